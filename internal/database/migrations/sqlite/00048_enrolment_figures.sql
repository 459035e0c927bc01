-- enrolment_figures: how many fans entered a version of a drip and how their runs ended, by day.
-- +goose Up
CREATE TABLE IF NOT EXISTS enrolment_figures (
    account_id INTEGER NOT NULL,
    campaign_id INTEGER NOT NULL,
    day INTEGER NOT NULL,
    version_id INTEGER NOT NULL,
    state TEXT NOT NULL,
    exit_reason TEXT NOT NULL,
    shard INTEGER NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (account_id, campaign_id, day, version_id, state, exit_reason, shard)
) WITHOUT ROWID;
