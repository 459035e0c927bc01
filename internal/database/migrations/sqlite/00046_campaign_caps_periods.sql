-- campaign_caps: what is used of a campaign's own weekly and monthly cap, in the week and the month of day.
-- +goose Up
ALTER TABLE campaign_caps ADD COLUMN week_used INTEGER NOT NULL DEFAULT 0;
ALTER TABLE campaign_caps ADD COLUMN month_used INTEGER NOT NULL DEFAULT 0;
