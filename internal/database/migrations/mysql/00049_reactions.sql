-- reactions: what a fan did after a message had arrived: the first of each kind.
-- +goose Up
CREATE TABLE IF NOT EXISTS reactions (
    delivery_id BIGINT NOT NULL,
    kind TINYINT NOT NULL,
    fan_id BIGINT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (delivery_id, kind),
    KEY reactions_fan (fan_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
