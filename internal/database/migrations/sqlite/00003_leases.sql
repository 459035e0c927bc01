-- leases: who does a job that only one process may do.
-- +goose Up
CREATE TABLE IF NOT EXISTS leases (
    name TEXT NOT NULL,
    owner TEXT NOT NULL,
    until_at INTEGER NOT NULL,
    fence INTEGER NOT NULL,
    PRIMARY KEY (name)
) WITHOUT ROWID;
