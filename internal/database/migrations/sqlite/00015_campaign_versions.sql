-- campaign_versions: what a campaign said at a time; fans in the middle keep theirs.
-- +goose Up
CREATE TABLE IF NOT EXISTS campaign_versions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id INTEGER NOT NULL,
    campaign_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    definition TEXT NOT NULL,
    created_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS campaign_versions_number ON campaign_versions (campaign_id, number);
