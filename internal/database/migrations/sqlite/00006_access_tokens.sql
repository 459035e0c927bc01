-- access_tokens: one token chain per account, and who may renew it.
-- +goose Up
CREATE TABLE IF NOT EXISTS access_tokens (
    account_id INTEGER NOT NULL,
    token BLOB NOT NULL,
    expires_at INTEGER NOT NULL,
    version INTEGER NOT NULL,
    owner TEXT NOT NULL DEFAULT '',
    owner_until INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (account_id)
) WITHOUT ROWID;
