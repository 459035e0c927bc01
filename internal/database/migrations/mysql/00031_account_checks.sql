-- account_checks: what the last self-check of each account found, and its newest refused push.
-- +goose Up
CREATE TABLE IF NOT EXISTS account_checks (
    account_id INT NOT NULL,
    checked_at BIGINT NOT NULL,
    report MEDIUMTEXT NOT NULL,
    refused_at BIGINT NOT NULL DEFAULT 0,
    refused_reason VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '',
    PRIMARY KEY (account_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
