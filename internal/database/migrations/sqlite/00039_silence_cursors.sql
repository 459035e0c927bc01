-- silence_cursors: up to which interaction each kind of silence that running drips ask for has been looked for.
-- +goose Up
CREATE TABLE IF NOT EXISTS silence_cursors (
    account_id INTEGER NOT NULL,
    kind TEXT NOT NULL,
    n INTEGER NOT NULL,
    interaction_id INTEGER NOT NULL,
    PRIMARY KEY (account_id, kind, n)
);
