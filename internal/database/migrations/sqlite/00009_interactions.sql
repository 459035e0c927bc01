-- interactions: what fans did, in the order in which it was recorded.
-- +goose Up
CREATE TABLE IF NOT EXISTS interactions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id INTEGER NOT NULL,
    fan_id INTEGER NOT NULL,
    inbox_id INTEGER NOT NULL,
    kind TEXT NOT NULL,
    detail TEXT NOT NULL DEFAULT '',
    event_at INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS interactions_inbox ON interactions (inbox_id);
CREATE INDEX IF NOT EXISTS interactions_fan ON interactions (fan_id, event_at);
