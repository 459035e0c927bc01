-- job_runs: one row for each firing of a cron job: who inserts it, runs it.
-- +goose Up
CREATE TABLE IF NOT EXISTS job_runs (
    job TEXT NOT NULL,
    fire_at INTEGER NOT NULL,
    owner TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at INTEGER NOT NULL DEFAULT 0,
    error TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (job, fire_at)
) WITHOUT ROWID;
