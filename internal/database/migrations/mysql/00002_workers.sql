-- workers: processes that send: what each has seen of the stops.
-- +goose Up
CREATE TABLE IF NOT EXISTS workers (
    id VARCHAR(26) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    started_at BIGINT NOT NULL,
    seen_epoch BIGINT NOT NULL,
    permit_until BIGINT NOT NULL,
    on_wire INT NOT NULL DEFAULT 0,
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
