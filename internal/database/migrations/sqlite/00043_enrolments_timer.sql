-- enrolments_timer: the runs whose timers have run out, by account, for the waker; without those that wait for nothing.
-- +goose Up
CREATE INDEX IF NOT EXISTS enrolments_timer ON enrolments (account_id, timer_at, campaign_id) WHERE timer_at IS NOT NULL;
