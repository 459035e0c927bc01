-- accounts: how an account is connected, by its secret or by a scan, and what a scan granted.
-- +goose Up
ALTER TABLE accounts
    ADD COLUMN connection VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT 'manual',
    ADD COLUMN component_id INT NOT NULL DEFAULT 0,
    ADD COLUMN permissions VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '';
