-- leases: who does a job that only one process may do.
-- +goose Up
CREATE TABLE IF NOT EXISTS leases (
    name VARCHAR(96) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    owner VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    until_at BIGINT NOT NULL,
    fence BIGINT NOT NULL,
    PRIMARY KEY (name)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
