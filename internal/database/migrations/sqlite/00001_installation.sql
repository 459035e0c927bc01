-- installation: one row: which copy of the data this is, and whether it may send.
-- +goose Up
CREATE TABLE IF NOT EXISTS installation (
    id INTEGER NOT NULL,
    epoch TEXT NOT NULL,
    stopped INTEGER NOT NULL DEFAULT 0,
    stopped_reason TEXT NOT NULL DEFAULT '',
    stop_epoch INTEGER NOT NULL DEFAULT 0,
    heartbeat_at INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (id)
) WITHOUT ROWID;
