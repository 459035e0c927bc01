-- fans: when and by what a fan was last compared with the platform.
-- +goose Up
ALTER TABLE fans ADD COLUMN listed_job INTEGER NOT NULL DEFAULT 0;
ALTER TABLE fans ADD COLUMN informed_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE fans ADD COLUMN blacklist_at INTEGER NOT NULL DEFAULT 0;
