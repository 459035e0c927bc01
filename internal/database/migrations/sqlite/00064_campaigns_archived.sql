-- campaigns: when a member put one away that is over; 0 for those that lists show.
-- +goose Up
ALTER TABLE campaigns ADD COLUMN archived_at BIGINT NOT NULL DEFAULT 0;
