-- retention_policies: for how many days an account's data is kept, and how far what is older has been removed.
-- +goose Up
CREATE TABLE IF NOT EXISTS retention_policies (
    account_id INT NOT NULL,
    inbox_days INT NOT NULL,
    interaction_days INT NOT NULL,
    trace_days INT NOT NULL,
    left_fan_days INT NOT NULL,
    inbox_cursor BIGINT NOT NULL DEFAULT 0,
    interaction_cursor BIGINT NOT NULL DEFAULT 0,
    trace_cursor BIGINT NOT NULL DEFAULT 0,
    left_fan_cursor BIGINT NOT NULL DEFAULT 0,
    revision BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (account_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
