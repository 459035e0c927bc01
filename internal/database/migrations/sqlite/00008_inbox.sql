-- inbox: every push, stored before it is acknowledged.
-- +goose Up
CREATE TABLE IF NOT EXISTS inbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id INTEGER NOT NULL,
    dedupe_key TEXT NOT NULL,
    openid TEXT NOT NULL,
    body BLOB NOT NULL,
    event_at INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    pending_at INTEGER NULL,
    owner TEXT NOT NULL DEFAULT '',
    lease_until INTEGER NOT NULL DEFAULT 0,
    tries INTEGER NOT NULL DEFAULT 0,
    error TEXT NOT NULL DEFAULT '',
    reply_state INTEGER NOT NULL DEFAULT 0,
    reply BLOB NULL,
    reply_delivery_id INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX IF NOT EXISTS inbox_push ON inbox (account_id, dedupe_key);
CREATE INDEX IF NOT EXISTS inbox_pending ON inbox (pending_at) WHERE pending_at IS NOT NULL;
