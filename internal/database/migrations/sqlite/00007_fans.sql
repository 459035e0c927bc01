-- fans: a person as one account sees them.
-- +goose Up
CREATE TABLE IF NOT EXISTS fans (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id INTEGER NOT NULL,
    openid TEXT NOT NULL,
    subscribed INTEGER NOT NULL,
    blacklisted INTEGER NOT NULL DEFAULT 0,
    opted_out INTEGER NOT NULL DEFAULT 0,
    refused INTEGER NOT NULL DEFAULT 0,
    nickname TEXT NOT NULL DEFAULT '',
    remark TEXT NOT NULL DEFAULT '',
    language TEXT NOT NULL DEFAULT '',
    scene TEXT NOT NULL DEFAULT '',
    subscribed_at INTEGER NOT NULL DEFAULT 0,
    unsubscribed_at INTEGER NOT NULL DEFAULT 0,
    interacted_at INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS fans_openid ON fans (account_id, openid);
