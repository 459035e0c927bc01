-- components: what members call one; '' where nobody gave it a name.
-- +goose Up
ALTER TABLE components ADD COLUMN name TEXT NOT NULL DEFAULT '';
