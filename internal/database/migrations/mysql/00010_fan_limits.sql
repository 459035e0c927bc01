-- fan_limits: what each fan's grants and caps have left.
-- +goose Up
CREATE TABLE IF NOT EXISTS fan_limits (
    fan_id BIGINT NOT NULL,
    account_id INT NOT NULL,
    version BIGINT NOT NULL DEFAULT 0,
    generation INT NOT NULL DEFAULT 0,
    message_left SMALLINT NOT NULL DEFAULT 0,
    message_until BIGINT NOT NULL DEFAULT 0,
    message_generation INT NOT NULL DEFAULT 0,
    menu_left SMALLINT NOT NULL DEFAULT 0,
    menu_until BIGINT NOT NULL DEFAULT 0,
    menu_generation INT NOT NULL DEFAULT 0,
    follow_left SMALLINT NOT NULL DEFAULT 0,
    follow_until BIGINT NOT NULL DEFAULT 0,
    follow_generation INT NOT NULL DEFAULT 0,
    scan_left SMALLINT NOT NULL DEFAULT 0,
    scan_until BIGINT NOT NULL DEFAULT 0,
    scan_generation INT NOT NULL DEFAULT 0,
    payment_left SMALLINT NOT NULL DEFAULT 0,
    payment_until BIGINT NOT NULL DEFAULT 0,
    payment_generation INT NOT NULL DEFAULT 0,
    agent_until BIGINT NOT NULL DEFAULT 0,
    cap_day INT NOT NULL DEFAULT 0,
    cap_used SMALLINT NOT NULL DEFAULT 0,
    marketing_at BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (fan_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
