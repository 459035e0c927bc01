-- stream_events: what browsers and programs are told as it happens, for an hour. seq is the order in which all of them are told, NULL until it is given.
-- +goose Up
CREATE TABLE IF NOT EXISTS stream_events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    seq INTEGER NULL,
    account_id INTEGER NOT NULL,
    topic TEXT NOT NULL,
    at INTEGER NOT NULL,
    payload TEXT NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS stream_events_seq ON stream_events (seq);
CREATE TABLE IF NOT EXISTS stream_cursor (
    id INTEGER PRIMARY KEY,
    last_seq INTEGER NOT NULL,
    trimmed_seq INTEGER NOT NULL
);
INSERT OR IGNORE INTO stream_cursor (id, last_seq, trimmed_seq) VALUES (1, 0, 0);
