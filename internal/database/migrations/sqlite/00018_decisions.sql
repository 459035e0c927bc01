-- decisions: why a delivery waited, stopped or failed: the steps of its trace.
-- +goose Up
CREATE TABLE IF NOT EXISTS decisions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    delivery_id INTEGER NOT NULL,
    at INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    verdict INTEGER NOT NULL,
    reason INTEGER NOT NULL,
    values_json TEXT NOT NULL,
    errcode INTEGER NOT NULL DEFAULT 0,
    rid TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS decisions_delivery ON decisions (delivery_id);
