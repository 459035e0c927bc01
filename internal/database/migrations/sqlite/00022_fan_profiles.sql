-- fans: what the platform and, with their consent, the fans themselves say of who they are.
-- +goose Up
ALTER TABLE fans ADD COLUMN unionid TEXT NOT NULL DEFAULT '';
ALTER TABLE fans ADD COLUMN avatar_url TEXT NOT NULL DEFAULT '';
ALTER TABLE fans ADD COLUMN follow_source TEXT NOT NULL DEFAULT '';
