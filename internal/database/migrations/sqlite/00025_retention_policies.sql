-- retention_policies: for how many days an account's data is kept, and how far what is older has been removed.
-- +goose Up
CREATE TABLE IF NOT EXISTS retention_policies (
    account_id INTEGER NOT NULL,
    inbox_days INTEGER NOT NULL,
    interaction_days INTEGER NOT NULL,
    trace_days INTEGER NOT NULL,
    left_fan_days INTEGER NOT NULL,
    inbox_cursor INTEGER NOT NULL DEFAULT 0,
    interaction_cursor INTEGER NOT NULL DEFAULT 0,
    trace_cursor INTEGER NOT NULL DEFAULT 0,
    left_fan_cursor INTEGER NOT NULL DEFAULT 0,
    revision INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (account_id)
) WITHOUT ROWID;
