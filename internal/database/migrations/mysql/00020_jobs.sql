-- jobs: long work: what to do, and how far it has come.
-- +goose Up
CREATE TABLE IF NOT EXISTS jobs (
    id BIGINT NOT NULL AUTO_INCREMENT,
    account_id INT NOT NULL,
    kind VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    open_key VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL,
    params MEDIUMTEXT NOT NULL,
    state VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    progress VARCHAR(1024) NOT NULL DEFAULT '',
    done BIGINT NOT NULL DEFAULT 0,
    failed BIGINT NOT NULL DEFAULT 0,
    total BIGINT NOT NULL,
    tries INT NOT NULL DEFAULT 0,
    error VARCHAR(512) NOT NULL DEFAULT '',
    owner VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '',
    due_at BIGINT NULL,
    parts INT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL,
    started_at BIGINT NOT NULL DEFAULT 0,
    ended_at BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (id),
    UNIQUE KEY jobs_open (open_key),
    KEY jobs_due (due_at),
    KEY jobs_account (account_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
