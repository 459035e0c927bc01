-- campaign_caps: a campaign's own daily cap, only where it has one.
-- +goose Up
CREATE TABLE IF NOT EXISTS campaign_caps (
    campaign_id INT NOT NULL,
    fan_id BIGINT NOT NULL,
    day INT NOT NULL,
    used SMALLINT NOT NULL,
    PRIMARY KEY (campaign_id, fan_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
