-- api_tokens: what programs log in with, by the SHA-256 of the token in hex. expires_at: 0 for never; used_at: 0 before the first use.
-- +goose Up
CREATE TABLE IF NOT EXISTS api_tokens (
    id INT NOT NULL AUTO_INCREMENT,
    member_id INT NOT NULL,
    hash CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    name VARCHAR(64) NOT NULL,
    scopes VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL DEFAULT 0,
    used_at BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (id),
    UNIQUE KEY api_tokens_hash (hash),
    KEY api_tokens_member (member_id, id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
