-- inbox: where a row comes from: a push of the platform, or an event that we were told or found out ourselves.
-- +goose Up
ALTER TABLE inbox ADD COLUMN origin TEXT NOT NULL DEFAULT 'platform';
