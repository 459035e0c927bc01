-- job_runs: one row for each firing of a cron job: who inserts it, runs it.
-- +goose Up
CREATE TABLE IF NOT EXISTS job_runs (
    job VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    fire_at BIGINT NOT NULL,
    owner VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    started_at BIGINT NOT NULL,
    ended_at BIGINT NOT NULL DEFAULT 0,
    error VARCHAR(512) NOT NULL DEFAULT '',
    PRIMARY KEY (job, fire_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
