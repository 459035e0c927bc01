-- reactions: what a fan did after a message had arrived: the first of each kind.
-- +goose Up
CREATE TABLE IF NOT EXISTS reactions (
    delivery_id INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    fan_id INTEGER NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (delivery_id, kind)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS reactions_fan ON reactions (fan_id);
