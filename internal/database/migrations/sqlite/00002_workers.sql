-- workers: processes that send: what each has seen of the stops.
-- +goose Up
CREATE TABLE IF NOT EXISTS workers (
    id TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    seen_epoch INTEGER NOT NULL,
    permit_until INTEGER NOT NULL,
    on_wire INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (id)
) WITHOUT ROWID;
