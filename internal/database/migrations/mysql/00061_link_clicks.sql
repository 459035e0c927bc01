-- link_clicks: how often a link of a delivery was opened; first_at is when a person first did, 0 if none has. link_figures: the same counted by message and
-- day, which stays.
-- +goose Up
CREATE TABLE IF NOT EXISTS link_clicks (
    delivery_id BIGINT NOT NULL,
    link_id BIGINT NOT NULL,
    account_id INT NOT NULL,
    fan_id BIGINT NOT NULL,
    at BIGINT NOT NULL,
    first_at BIGINT NOT NULL DEFAULT 0,
    taps INT NOT NULL DEFAULT 0,
    others INT NOT NULL DEFAULT 0,
    PRIMARY KEY (delivery_id, link_id),
    KEY link_clicks_fan (fan_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
CREATE TABLE IF NOT EXISTS link_figures (
    account_id INT NOT NULL,
    message_id BIGINT NOT NULL,
    link_id BIGINT NOT NULL,
    day INT NOT NULL,
    people BIGINT NOT NULL,
    taps BIGINT NOT NULL,
    others BIGINT NOT NULL,
    PRIMARY KEY (account_id, message_id, link_id, day)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
