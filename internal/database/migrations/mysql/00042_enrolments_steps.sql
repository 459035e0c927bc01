-- enrolments: where a run stands in steps that are not messages. base_at is the end of the previous step; timer_at is when the current step is due, or when
-- its waiting ends, negative while the drip is paused; waiting tells that it waits for an act of the fan; began_by is the kind of trigger.
-- +goose Up
ALTER TABLE enrolments
    ADD COLUMN base_at BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN timer_at BIGINT NULL,
    ADD COLUMN waiting SMALLINT NOT NULL DEFAULT 0,
    ADD COLUMN exit_reason VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '',
    ADD COLUMN began_by VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '';
