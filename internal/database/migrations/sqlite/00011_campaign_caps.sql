-- campaign_caps: a campaign's own daily cap, only where it has one.
-- +goose Up
CREATE TABLE IF NOT EXISTS campaign_caps (
    campaign_id INTEGER NOT NULL,
    fan_id INTEGER NOT NULL,
    day INTEGER NOT NULL,
    used INTEGER NOT NULL,
    PRIMARY KEY (campaign_id, fan_id)
) WITHOUT ROWID;
