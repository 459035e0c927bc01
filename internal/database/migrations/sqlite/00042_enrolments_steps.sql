-- enrolments: where a run stands in steps that are not messages. base_at is the end of the previous step; timer_at is when the current step is due, or when
-- its waiting ends, negative while the drip is paused; waiting tells that it waits for an act of the fan; began_by is the kind of trigger.
-- +goose Up
ALTER TABLE enrolments ADD COLUMN base_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE enrolments ADD COLUMN timer_at INTEGER NULL;
ALTER TABLE enrolments ADD COLUMN waiting INTEGER NOT NULL DEFAULT 0;
ALTER TABLE enrolments ADD COLUMN exit_reason TEXT NOT NULL DEFAULT '';
ALTER TABLE enrolments ADD COLUMN began_by TEXT NOT NULL DEFAULT '';
