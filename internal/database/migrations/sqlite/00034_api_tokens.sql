-- api_tokens: what programs log in with, by the SHA-256 of the token in hex. expires_at: 0 for never; used_at: 0 before the first use.
-- +goose Up
CREATE TABLE IF NOT EXISTS api_tokens (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    member_id INTEGER NOT NULL,
    hash TEXT NOT NULL,
    name TEXT NOT NULL,
    scopes TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL DEFAULT 0,
    used_at INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX IF NOT EXISTS api_tokens_hash ON api_tokens (hash);
CREATE INDEX IF NOT EXISTS api_tokens_member ON api_tokens (member_id, id);
