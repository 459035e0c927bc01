-- inbox: every push, stored before it is acknowledged.
-- +goose Up
CREATE TABLE IF NOT EXISTS inbox (
    id BIGINT NOT NULL AUTO_INCREMENT,
    account_id INT NOT NULL,
    dedupe_key VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    openid VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    body MEDIUMBLOB NOT NULL,
    event_at BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    pending_at BIGINT NULL,
    owner VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '',
    lease_until BIGINT NOT NULL DEFAULT 0,
    tries SMALLINT NOT NULL DEFAULT 0,
    error VARCHAR(255) NOT NULL DEFAULT '',
    reply_state TINYINT NOT NULL DEFAULT 0,
    reply MEDIUMBLOB NULL,
    reply_delivery_id BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (id),
    UNIQUE KEY inbox_push (account_id, dedupe_key),
    KEY inbox_pending (pending_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
