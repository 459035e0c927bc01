-- enrolments_timer: the runs whose timers have run out, by account, for the waker; without those that wait for nothing.
-- +goose Up
ALTER TABLE enrolments ADD KEY enrolments_timer (account_id, timer_at, campaign_id);
