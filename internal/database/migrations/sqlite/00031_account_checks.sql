-- account_checks: what the last self-check of each account found, and its newest refused push.
-- +goose Up
CREATE TABLE IF NOT EXISTS account_checks (
    account_id INTEGER NOT NULL PRIMARY KEY,
    checked_at INTEGER NOT NULL,
    report TEXT NOT NULL,
    refused_at INTEGER NOT NULL DEFAULT 0,
    refused_reason TEXT NOT NULL DEFAULT ''
);
