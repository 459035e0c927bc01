-- attributes: what an account wants to know of its fans, as it defines it.
-- fan_attributes: what it knows of each.
-- +goose Up
CREATE TABLE IF NOT EXISTS attributes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id INTEGER NOT NULL,
    name TEXT NULL,
    label TEXT NOT NULL,
    type TEXT NOT NULL,
    choices TEXT NOT NULL,
    revision INTEGER NOT NULL DEFAULT 1,
    created_at INTEGER NOT NULL,
    removed_at INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX IF NOT EXISTS attributes_name ON attributes (account_id, name);
CREATE INDEX IF NOT EXISTS attributes_removed ON attributes (removed_at) WHERE removed_at > 0;
CREATE TABLE IF NOT EXISTS fan_attributes (
    fan_id INTEGER NOT NULL,
    attribute_id INTEGER NOT NULL,
    account_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    text TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (fan_id, attribute_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS fan_attributes_number ON fan_attributes (attribute_id, number);
