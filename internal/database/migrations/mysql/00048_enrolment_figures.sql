-- enrolment_figures: how many fans entered a version of a drip and how their runs ended, by day.
-- +goose Up
CREATE TABLE IF NOT EXISTS enrolment_figures (
    account_id INT NOT NULL,
    campaign_id INT NOT NULL,
    day INT NOT NULL,
    version_id INT NOT NULL,
    state VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    exit_reason VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    shard TINYINT NOT NULL,
    n BIGINT NOT NULL,
    PRIMARY KEY (account_id, campaign_id, day, version_id, state, exit_reason, shard)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
