-- step_figures: what became of runs in the steps of a drip that are not messages, by day.
-- +goose Up
CREATE TABLE IF NOT EXISTS step_figures (
    account_id INT NOT NULL,
    campaign_id INT NOT NULL,
    day INT NOT NULL,
    version_id INT NOT NULL,
    step_no SMALLINT NOT NULL,
    outcome TINYINT NOT NULL,
    shard TINYINT NOT NULL,
    n BIGINT NOT NULL,
    PRIMARY KEY (account_id, campaign_id, day, version_id, step_no, outcome, shard)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
