-- inbox: where a row comes from: a push of the platform, or an event that we were told or found out ourselves.
-- +goose Up
ALTER TABLE inbox ADD COLUMN origin VARCHAR(8) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT 'platform';
