-- tags: what an account sorts its fans by: tags of its own, and those that the platform has as well.
-- fan_tags: who has which tag.
-- +goose Up
CREATE TABLE IF NOT EXISTS tags (
    id INT NOT NULL AUTO_INCREMENT,
    account_id INT NOT NULL,
    wechat_id INT NULL,
    name VARCHAR(64) NULL,
    fans BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL,
    removed_at BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (id),
    UNIQUE KEY tags_name (account_id, name),
    UNIQUE KEY tags_wechat (account_id, wechat_id),
    KEY tags_removed (removed_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
CREATE TABLE IF NOT EXISTS fan_tags (
    tag_id INT NOT NULL,
    fan_id BIGINT NOT NULL,
    account_id INT NOT NULL,
    seen_at BIGINT NOT NULL,
    PRIMARY KEY (tag_id, fan_id),
    KEY fan_tags_fan (fan_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
