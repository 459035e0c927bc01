-- interactions: what an account's fans did, newest first.
-- +goose Up
ALTER TABLE interactions ADD KEY interactions_account (account_id);
