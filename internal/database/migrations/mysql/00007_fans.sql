-- fans: a person as one account sees them.
-- +goose Up
CREATE TABLE IF NOT EXISTS fans (
    id BIGINT NOT NULL AUTO_INCREMENT,
    account_id INT NOT NULL,
    openid VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    subscribed TINYINT NOT NULL,
    blacklisted TINYINT NOT NULL DEFAULT 0,
    opted_out TINYINT NOT NULL DEFAULT 0,
    refused TINYINT NOT NULL DEFAULT 0,
    nickname VARCHAR(191) NOT NULL DEFAULT '',
    remark VARCHAR(191) NOT NULL DEFAULT '',
    language VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '',
    scene VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '',
    subscribed_at BIGINT NOT NULL DEFAULT 0,
    unsubscribed_at BIGINT NOT NULL DEFAULT 0,
    interacted_at BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (id),
    UNIQUE KEY fans_openid (account_id, openid)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
