-- interactions: what an account's fans did, newest first.
-- +goose Up
CREATE INDEX IF NOT EXISTS interactions_account ON interactions (account_id);
