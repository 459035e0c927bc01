-- deliveries: a row that has ended and should be looked at has its state in lane_source, so that such rows are a range of an index.
-- +goose Up
UPDATE deliveries SET lane_source = state WHERE lane IS NULL AND state IN (6, 7);
CREATE INDEX IF NOT EXISTS deliveries_ended ON deliveries (account_id, lane_source, lane_at) WHERE lane IS NULL;
