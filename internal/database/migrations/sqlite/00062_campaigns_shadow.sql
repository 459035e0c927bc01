-- campaigns: since when a draft is tried in shadow mode, unix ms; 0 if it is not.
-- +goose Up
ALTER TABLE campaigns ADD COLUMN shadow_since BIGINT NOT NULL DEFAULT 0;
