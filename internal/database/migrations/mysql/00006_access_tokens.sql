-- access_tokens: one token chain per account, and who may renew it.
-- +goose Up
CREATE TABLE IF NOT EXISTS access_tokens (
    account_id INT NOT NULL,
    token VARBINARY(1024) NOT NULL,
    expires_at BIGINT NOT NULL,
    version BIGINT NOT NULL,
    owner VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '',
    owner_until BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (account_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
