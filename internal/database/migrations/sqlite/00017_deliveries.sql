-- deliveries: the ledger: one row per intended message to a fan.
-- +goose Up
CREATE TABLE IF NOT EXISTS deliveries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id INTEGER NOT NULL,
    source_kind INTEGER NOT NULL,
    source_id INTEGER NOT NULL,
    fan_id INTEGER NOT NULL,
    occurrence INTEGER NOT NULL,
    step_no INTEGER NOT NULL,
    message_no INTEGER NOT NULL,
    resend INTEGER NOT NULL,
    step_size INTEGER NOT NULL,
    channel INTEGER NOT NULL,
    class INTEGER NOT NULL,
    options INTEGER NOT NULL DEFAULT 0,
    message_id INTEGER NOT NULL,
    state INTEGER NOT NULL,
    reason INTEGER NOT NULL DEFAULT 0,
    due_at INTEGER NOT NULL,
    not_after INTEGER NOT NULL,
    deadline_at INTEGER NOT NULL,
    lane INTEGER NULL,
    lane_source INTEGER NULL,
    lane_at INTEGER NULL,
    planned_at INTEGER NOT NULL,
    marked_at INTEGER NOT NULL DEFAULT 0,
    ended_at INTEGER NOT NULL DEFAULT 0,
    attempt INTEGER NOT NULL DEFAULT 0,
    batch_id INTEGER NOT NULL DEFAULT 0,
    reserved INTEGER NOT NULL DEFAULT 0,
    reserved_generation INTEGER NOT NULL DEFAULT 0,
    cap_day INTEGER NOT NULL DEFAULT 0,
    errcode INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX IF NOT EXISTS deliveries_message ON deliveries (account_id, source_kind, source_id, fan_id, occurrence, step_no, message_no, resend);
CREATE INDEX IF NOT EXISTS deliveries_lane ON deliveries (account_id, lane, lane_source, lane_at) WHERE lane IS NOT NULL;
CREATE INDEX IF NOT EXISTS deliveries_fan ON deliveries (fan_id);
