-- api_budgets: calls made per account, API and Beijing day.
-- +goose Up
CREATE TABLE IF NOT EXISTS api_budgets (
    account_id INTEGER NOT NULL,
    api TEXT NOT NULL,
    day INTEGER NOT NULL,
    used INTEGER NOT NULL,
    most INTEGER NOT NULL,
    PRIMARY KEY (account_id, api, day)
) WITHOUT ROWID;
