-- interactions: what fans did, in the order in which it was recorded.
-- +goose Up
CREATE TABLE IF NOT EXISTS interactions (
    id BIGINT NOT NULL AUTO_INCREMENT,
    account_id INT NOT NULL,
    fan_id BIGINT NOT NULL,
    inbox_id BIGINT NOT NULL,
    kind VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    detail VARCHAR(191) NOT NULL DEFAULT '',
    event_at BIGINT NOT NULL,
    recorded_at BIGINT NOT NULL,
    PRIMARY KEY (id),
    UNIQUE KEY interactions_inbox (inbox_id),
    KEY interactions_fan (fan_id, event_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
