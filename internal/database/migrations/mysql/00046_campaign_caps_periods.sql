-- campaign_caps: what is used of a campaign's own weekly and monthly cap, in the week and the month of day.
-- +goose Up
ALTER TABLE campaign_caps
    ADD COLUMN week_used SMALLINT NOT NULL DEFAULT 0,
    ADD COLUMN month_used SMALLINT NOT NULL DEFAULT 0;
