-- webhook_events: what is posted to webhooks, and what became of it. due_at is when somebody should look at it, NULL once it has ended.
-- +goose Up
CREATE TABLE IF NOT EXISTS webhook_events (
    id BIGINT NOT NULL AUTO_INCREMENT,
    account_id INT NOT NULL,
    webhook_id INT NOT NULL,
    fan_id BIGINT NOT NULL DEFAULT 0,
    event_id CHAR(26) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    type VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    body MEDIUMTEXT NOT NULL,
    state VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    tries INT NOT NULL DEFAULT 0,
    due_at BIGINT NULL,
    owner VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '',
    created_at BIGINT NOT NULL,
    ended_at BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (id),
    KEY webhook_events_due (webhook_id, due_at),
    KEY webhook_events_state (webhook_id, state),
    KEY webhook_events_fan (fan_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
