-- deliveries: a row that has ended and should be looked at has its state in lane_source, so that such rows are a range of deliveries_lane.
-- +goose Up
UPDATE deliveries SET lane_source = state WHERE lane IS NULL AND state IN (6, 7);
