-- attributes: what an account wants to know of its fans, as it defines it.
-- fan_attributes: what it knows of each.
-- +goose Up
CREATE TABLE IF NOT EXISTS attributes (
    id INT NOT NULL AUTO_INCREMENT,
    account_id INT NOT NULL,
    name VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NULL,
    label VARCHAR(64) NOT NULL,
    type VARCHAR(8) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    choices TEXT NOT NULL,
    revision BIGINT NOT NULL DEFAULT 1,
    created_at BIGINT NOT NULL,
    removed_at BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (id),
    UNIQUE KEY attributes_name (account_id, name),
    KEY attributes_removed (removed_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
CREATE TABLE IF NOT EXISTS fan_attributes (
    fan_id BIGINT NOT NULL,
    attribute_id INT NOT NULL,
    account_id INT NOT NULL,
    number BIGINT NOT NULL,
    text VARCHAR(255) NOT NULL DEFAULT '',
    PRIMARY KEY (fan_id, attribute_id),
    KEY fan_attributes_number (attribute_id, number)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
