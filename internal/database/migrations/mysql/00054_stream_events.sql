-- stream_events: what browsers and programs are told as it happens, for an hour. seq is the order in which all of them are told, NULL until it is given.
-- +goose Up
CREATE TABLE IF NOT EXISTS stream_events (
    id BIGINT NOT NULL AUTO_INCREMENT,
    seq BIGINT NULL,
    account_id INT NOT NULL,
    topic VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    at BIGINT NOT NULL,
    payload TEXT NOT NULL,
    PRIMARY KEY (id),
    UNIQUE KEY stream_events_seq (seq)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
CREATE TABLE IF NOT EXISTS stream_cursor (
    id INT NOT NULL,
    last_seq BIGINT NOT NULL,
    trimmed_seq BIGINT NOT NULL,
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
INSERT IGNORE INTO stream_cursor (id, last_seq, trimmed_seq) VALUES (1, 0, 0);
