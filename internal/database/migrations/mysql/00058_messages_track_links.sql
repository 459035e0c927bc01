-- messages: whether the addresses in it are tracked; never changed once stored.
-- +goose Up
ALTER TABLE messages ADD COLUMN track_links SMALLINT NOT NULL DEFAULT 0;
