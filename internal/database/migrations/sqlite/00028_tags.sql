-- tags: what an account sorts its fans by: tags of its own, and those that the platform has as well.
-- fan_tags: who has which tag.
-- +goose Up
CREATE TABLE IF NOT EXISTS tags (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id INTEGER NOT NULL,
    wechat_id INTEGER NULL,
    name TEXT NULL,
    fans INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    removed_at INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX IF NOT EXISTS tags_name ON tags (account_id, name);
CREATE UNIQUE INDEX IF NOT EXISTS tags_wechat ON tags (account_id, wechat_id) WHERE wechat_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS tags_removed ON tags (removed_at) WHERE removed_at > 0;
CREATE TABLE IF NOT EXISTS fan_tags (
    tag_id INTEGER NOT NULL,
    fan_id INTEGER NOT NULL,
    account_id INTEGER NOT NULL,
    seen_at INTEGER NOT NULL,
    PRIMARY KEY (tag_id, fan_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS fan_tags_fan ON fan_tags (fan_id);
