-- fans: when and by what a fan was last compared with the platform.
-- +goose Up
ALTER TABLE fans
    ADD COLUMN listed_job BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN informed_at BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN blacklist_at BIGINT NOT NULL DEFAULT 0;
