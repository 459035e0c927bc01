-- enrolments: one fan's run through one drip version.
-- +goose Up
CREATE TABLE IF NOT EXISTS enrolments (
    id BIGINT NOT NULL AUTO_INCREMENT,
    account_id INT NOT NULL,
    campaign_id INT NOT NULL,
    version_id INT NOT NULL,
    fan_id BIGINT NOT NULL,
    occurrence INT NOT NULL,
    interaction_id BIGINT NOT NULL,
    state VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    step_no INT NOT NULL,
    wake_at BIGINT NULL,
    started_at BIGINT NOT NULL,
    ended_at BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (id),
    UNIQUE KEY enrolments_occurrence (campaign_id, fan_id, occurrence),
    KEY enrolments_wake (wake_at),
    KEY enrolments_fan (fan_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
