-- accounts: Official Accounts and their sending policy.
-- +goose Up
CREATE TABLE IF NOT EXISTS accounts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    appid TEXT NOT NULL,
    original_id TEXT NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    verified INTEGER NOT NULL,
    sandbox INTEGER NOT NULL DEFAULT 0,
    base_url TEXT NOT NULL DEFAULT '',
    secret BLOB NOT NULL,
    callback_mode TEXT NOT NULL,
    callback_token BLOB NOT NULL,
    aes_key BLOB NOT NULL,
    previous_aes_key BLOB NOT NULL,
    time_zone TEXT NOT NULL,
    policy TEXT NOT NULL,
    rate_per_second INTEGER NOT NULL,
    in_flight INTEGER NOT NULL,
    stopped INTEGER NOT NULL DEFAULT 0,
    stopped_reason TEXT NOT NULL DEFAULT '',
    revision INTEGER NOT NULL DEFAULT 1,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS accounts_appid ON accounts (appid);
