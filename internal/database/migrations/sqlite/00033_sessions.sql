-- sessions: log-ins of members, by the SHA-256 of the cookie in hex.
-- +goose Up
CREATE TABLE IF NOT EXISTS sessions (
    hash TEXT NOT NULL PRIMARY KEY,
    member_id INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    seen_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sessions_seen ON sessions (seen_at);
