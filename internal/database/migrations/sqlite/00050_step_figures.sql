-- step_figures: what became of runs in the steps of a drip that are not messages, by day.
-- +goose Up
CREATE TABLE IF NOT EXISTS step_figures (
    account_id INTEGER NOT NULL,
    campaign_id INTEGER NOT NULL,
    day INTEGER NOT NULL,
    version_id INTEGER NOT NULL,
    step_no INTEGER NOT NULL,
    outcome INTEGER NOT NULL,
    shard INTEGER NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (account_id, campaign_id, day, version_id, step_no, outcome, shard)
) WITHOUT ROWID;
