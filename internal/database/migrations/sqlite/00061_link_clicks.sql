-- link_clicks: how often a link of a delivery was opened; first_at is when a person first did, 0 if none has. link_figures: the same counted by message and
-- day, which stays.
-- +goose Up
CREATE TABLE IF NOT EXISTS link_clicks (
    delivery_id INTEGER NOT NULL,
    link_id INTEGER NOT NULL,
    account_id INTEGER NOT NULL,
    fan_id INTEGER NOT NULL,
    at INTEGER NOT NULL,
    first_at INTEGER NOT NULL DEFAULT 0,
    taps INTEGER NOT NULL DEFAULT 0,
    others INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (delivery_id, link_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS link_clicks_fan ON link_clicks (fan_id);
CREATE TABLE IF NOT EXISTS link_figures (
    account_id INTEGER NOT NULL,
    message_id INTEGER NOT NULL,
    link_id INTEGER NOT NULL,
    day INTEGER NOT NULL,
    people INTEGER NOT NULL,
    taps INTEGER NOT NULL,
    others INTEGER NOT NULL,
    PRIMARY KEY (account_id, message_id, link_id, day)
) WITHOUT ROWID;
