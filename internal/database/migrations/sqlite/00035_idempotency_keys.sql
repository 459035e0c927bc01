-- idempotency_keys: what was asked for under a key, and how it was answered. status 0: nobody has answered yet; owner and lease_until say who is at it.
-- +goose Up
CREATE TABLE IF NOT EXISTS idempotency_keys (
    account_id INTEGER NOT NULL,
    caller TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    hash TEXT NOT NULL,
    owner TEXT NOT NULL,
    lease_until INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    status INTEGER NOT NULL DEFAULT 0,
    headers TEXT NULL,
    body TEXT NULL,
    PRIMARY KEY (account_id, caller, idempotency_key)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS idempotency_keys_created ON idempotency_keys (created_at);
