-- erasures: that persons were removed, when and how many; nothing of who they were.
-- inbox: pushes by the person, who may ask that they are removed.
-- +goose Up
CREATE TABLE IF NOT EXISTS erasures (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id INTEGER NOT NULL,
    cause TEXT NOT NULL,
    fans INTEGER NOT NULL,
    at INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS erasures_account ON erasures (account_id);
CREATE INDEX IF NOT EXISTS inbox_openid ON inbox (openid) WHERE openid <> '';
