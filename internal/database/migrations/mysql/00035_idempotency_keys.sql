-- idempotency_keys: what was asked for under a key, and how it was answered. status 0: nobody has answered yet; owner and lease_until say who is at it.
-- +goose Up
CREATE TABLE IF NOT EXISTS idempotency_keys (
    account_id INT NOT NULL,
    caller VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    idempotency_key VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    hash CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    owner VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    lease_until BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    status INT NOT NULL DEFAULT 0,
    headers TEXT NULL,
    body MEDIUMTEXT NULL,
    PRIMARY KEY (account_id, caller, idempotency_key),
    KEY idempotency_keys_created (created_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
