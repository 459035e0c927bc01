-- webhook_events: what is posted to webhooks, and what became of it. due_at is when somebody should look at it, NULL once it has ended.
-- +goose Up
CREATE TABLE IF NOT EXISTS webhook_events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id INTEGER NOT NULL,
    webhook_id INTEGER NOT NULL,
    fan_id INTEGER NOT NULL DEFAULT 0,
    event_id TEXT NOT NULL,
    type TEXT NOT NULL,
    body TEXT NOT NULL,
    state TEXT NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    due_at INTEGER NULL,
    owner TEXT NOT NULL DEFAULT '',
    created_at INTEGER NOT NULL,
    ended_at INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS webhook_events_due ON webhook_events (webhook_id, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS webhook_events_state ON webhook_events (webhook_id, state);
CREATE INDEX IF NOT EXISTS webhook_events_fan ON webhook_events (fan_id);
