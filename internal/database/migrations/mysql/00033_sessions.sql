-- sessions: log-ins of members, by the SHA-256 of the cookie in hex.
-- +goose Up
CREATE TABLE IF NOT EXISTS sessions (
    hash CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    member_id INT NOT NULL,
    created_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL,
    PRIMARY KEY (hash),
    KEY sessions_seen (seen_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
