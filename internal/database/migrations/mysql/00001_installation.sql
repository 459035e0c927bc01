-- installation: one row: which copy of the data this is, and whether it may send.
-- +goose Up
CREATE TABLE IF NOT EXISTS installation (
    id TINYINT NOT NULL,
    epoch VARCHAR(26) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    stopped TINYINT NOT NULL DEFAULT 0,
    stopped_reason VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '',
    stop_epoch BIGINT NOT NULL DEFAULT 0,
    heartbeat_at BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
