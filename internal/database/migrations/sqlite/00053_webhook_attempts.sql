-- webhook_attempts: the tries to post an event, and what was answered.
-- +goose Up
CREATE TABLE IF NOT EXISTS webhook_attempts (
    event_id INTEGER NOT NULL,
    try_no INTEGER NOT NULL,
    at INTEGER NOT NULL,
    took INTEGER NOT NULL,
    status INTEGER NOT NULL,
    answer TEXT NOT NULL,
    error TEXT NOT NULL,
    PRIMARY KEY (event_id, try_no)
) WITHOUT ROWID;
