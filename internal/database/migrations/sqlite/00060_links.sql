-- links: the addresses to which tracked links lead, each once for an account; never changed. link_keys: what tokens are signed with.
-- +goose Up
CREATE TABLE IF NOT EXISTS links (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id INTEGER NOT NULL,
    url TEXT NOT NULL,
    url_hash TEXT NOT NULL,
    created_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS links_url ON links (account_id, url_hash);
CREATE TABLE IF NOT EXISTS link_keys (
    id INTEGER PRIMARY KEY,
    created_at INTEGER NOT NULL,
    secret BLOB NOT NULL
);
