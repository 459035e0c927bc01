-- accounts: Official Accounts and their sending policy.
-- +goose Up
CREATE TABLE IF NOT EXISTS accounts (
    id INT NOT NULL AUTO_INCREMENT,
    appid VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    original_id VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    name VARCHAR(128) NOT NULL,
    kind VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    verified TINYINT NOT NULL,
    sandbox TINYINT NOT NULL DEFAULT 0,
    base_url VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '',
    secret VARBINARY(512) NOT NULL,
    callback_mode VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    callback_token VARBINARY(512) NOT NULL,
    aes_key VARBINARY(512) NOT NULL,
    previous_aes_key VARBINARY(512) NOT NULL,
    time_zone VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    policy TEXT NOT NULL,
    rate_per_second INT NOT NULL,
    in_flight INT NOT NULL,
    stopped TINYINT NOT NULL DEFAULT 0,
    stopped_reason VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '',
    revision BIGINT NOT NULL DEFAULT 1,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (id),
    UNIQUE KEY accounts_appid (appid)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
