-- fans: what the platform and, with their consent, the fans themselves say of who they are.
-- +goose Up
ALTER TABLE fans
    ADD COLUMN unionid VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '',
    ADD COLUMN avatar_url VARCHAR(512) NOT NULL DEFAULT '',
    ADD COLUMN follow_source VARCHAR(48) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '';
