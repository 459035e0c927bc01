-- fan_limits: what is used of the weekly and monthly cap, in the week and the month of cap_day.
-- +goose Up
ALTER TABLE fan_limits
    ADD COLUMN cap_week_used SMALLINT NOT NULL DEFAULT 0,
    ADD COLUMN cap_month_used SMALLINT NOT NULL DEFAULT 0;
