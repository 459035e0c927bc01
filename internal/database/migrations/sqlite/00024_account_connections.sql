-- accounts: how an account is connected, by its secret or by a scan, and what a scan granted.
-- +goose Up
ALTER TABLE accounts ADD COLUMN connection TEXT NOT NULL DEFAULT 'manual';
ALTER TABLE accounts ADD COLUMN component_id INTEGER NOT NULL DEFAULT 0;
ALTER TABLE accounts ADD COLUMN permissions TEXT NOT NULL DEFAULT '';
