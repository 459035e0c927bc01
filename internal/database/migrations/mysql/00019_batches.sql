-- batches: deliveries that travel together; the id of a row is all that the queue carries.
-- +goose Up
CREATE TABLE IF NOT EXISTS batches (
    id BIGINT NOT NULL AUTO_INCREMENT,
    account_id INT NOT NULL,
    lane TINYINT NOT NULL,
    state TINYINT NOT NULL,
    attempt INT NOT NULL DEFAULT 0,
    owner VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '',
    lease_until BIGINT NOT NULL DEFAULT 0,
    size INT NOT NULL,
    items MEDIUMBLOB NOT NULL,
    content MEDIUMBLOB NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (id),
    KEY batches_account (account_id, state)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
