-- enrolments: one fan's run through one drip version.
-- +goose Up
CREATE TABLE IF NOT EXISTS enrolments (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id INTEGER NOT NULL,
    campaign_id INTEGER NOT NULL,
    version_id INTEGER NOT NULL,
    fan_id INTEGER NOT NULL,
    occurrence INTEGER NOT NULL,
    interaction_id INTEGER NOT NULL,
    state TEXT NOT NULL,
    step_no INTEGER NOT NULL,
    wake_at INTEGER NULL,
    started_at INTEGER NOT NULL,
    ended_at INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX IF NOT EXISTS enrolments_occurrence ON enrolments (campaign_id, fan_id, occurrence);
CREATE INDEX IF NOT EXISTS enrolments_wake ON enrolments (wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS enrolments_fan ON enrolments (fan_id);
