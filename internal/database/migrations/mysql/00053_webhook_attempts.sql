-- webhook_attempts: the tries to post an event, and what was answered.
-- +goose Up
CREATE TABLE IF NOT EXISTS webhook_attempts (
    event_id BIGINT NOT NULL,
    try_no INT NOT NULL,
    at BIGINT NOT NULL,
    took INT NOT NULL,
    status INT NOT NULL,
    answer VARCHAR(200) NOT NULL,
    error VARCHAR(200) NOT NULL,
    PRIMARY KEY (event_id, try_no)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
