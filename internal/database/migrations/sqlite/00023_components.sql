-- components: third-party platforms, each with its access token, and what accounts' owners granted them by a scan.
-- +goose Up
CREATE TABLE IF NOT EXISTS components (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    appid TEXT NOT NULL,
    base_url TEXT NOT NULL DEFAULT '',
    secret BLOB NOT NULL,
    callback_token BLOB NOT NULL,
    aes_key BLOB NOT NULL,
    previous_aes_key BLOB NOT NULL,
    ticket BLOB NOT NULL,
    ticket_at INTEGER NOT NULL DEFAULT 0,
    revision INTEGER NOT NULL DEFAULT 1,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS components_appid ON components (appid);
CREATE TABLE IF NOT EXISTS component_tokens (
    component_id INTEGER NOT NULL,
    token BLOB NOT NULL,
    expires_at INTEGER NOT NULL,
    version INTEGER NOT NULL,
    owner TEXT NOT NULL DEFAULT '',
    owner_until INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (component_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS authorisations (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    component_id INTEGER NOT NULL,
    appid TEXT NOT NULL,
    account_id INTEGER NOT NULL DEFAULT 0,
    state TEXT NOT NULL,
    refresh_token BLOB NOT NULL,
    previous_token BLOB NOT NULL,
    permissions TEXT NOT NULL DEFAULT '',
    authorised_at INTEGER NOT NULL DEFAULT 0,
    withdrawn_at INTEGER NOT NULL DEFAULT 0,
    code BLOB NOT NULL,
    code_hash TEXT NOT NULL DEFAULT '',
    code_at INTEGER NOT NULL DEFAULT 0,
    due_at INTEGER NOT NULL DEFAULT 0,
    tries INTEGER NOT NULL DEFAULT 0,
    erase_due INTEGER NOT NULL DEFAULT 0,
    updated_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS authorisations_account ON authorisations (component_id, appid);
