-- fan_limits: what each fan's grants and caps have left.
-- +goose Up
CREATE TABLE IF NOT EXISTS fan_limits (
    fan_id INTEGER NOT NULL,
    account_id INTEGER NOT NULL,
    version INTEGER NOT NULL DEFAULT 0,
    generation INTEGER NOT NULL DEFAULT 0,
    message_left INTEGER NOT NULL DEFAULT 0,
    message_until INTEGER NOT NULL DEFAULT 0,
    message_generation INTEGER NOT NULL DEFAULT 0,
    menu_left INTEGER NOT NULL DEFAULT 0,
    menu_until INTEGER NOT NULL DEFAULT 0,
    menu_generation INTEGER NOT NULL DEFAULT 0,
    follow_left INTEGER NOT NULL DEFAULT 0,
    follow_until INTEGER NOT NULL DEFAULT 0,
    follow_generation INTEGER NOT NULL DEFAULT 0,
    scan_left INTEGER NOT NULL DEFAULT 0,
    scan_until INTEGER NOT NULL DEFAULT 0,
    scan_generation INTEGER NOT NULL DEFAULT 0,
    payment_left INTEGER NOT NULL DEFAULT 0,
    payment_until INTEGER NOT NULL DEFAULT 0,
    payment_generation INTEGER NOT NULL DEFAULT 0,
    agent_until INTEGER NOT NULL DEFAULT 0,
    cap_day INTEGER NOT NULL DEFAULT 0,
    cap_used INTEGER NOT NULL DEFAULT 0,
    marketing_at INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (fan_id)
) WITHOUT ROWID;
