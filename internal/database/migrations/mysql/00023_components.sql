-- components: third-party platforms, each with its access token, and what accounts' owners granted them by a scan.
-- +goose Up
CREATE TABLE IF NOT EXISTS components (
    id INT NOT NULL AUTO_INCREMENT,
    appid VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    base_url VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '',
    secret VARBINARY(512) NOT NULL,
    callback_token VARBINARY(512) NOT NULL,
    aes_key VARBINARY(512) NOT NULL,
    previous_aes_key VARBINARY(512) NOT NULL,
    ticket VARBINARY(1024) NOT NULL,
    ticket_at BIGINT NOT NULL DEFAULT 0,
    revision BIGINT NOT NULL DEFAULT 1,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (id),
    UNIQUE KEY components_appid (appid)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
CREATE TABLE IF NOT EXISTS component_tokens (
    component_id INT NOT NULL,
    token VARBINARY(1024) NOT NULL,
    expires_at BIGINT NOT NULL,
    version BIGINT NOT NULL,
    owner VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '',
    owner_until BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (component_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
CREATE TABLE IF NOT EXISTS authorisations (
    id INT NOT NULL AUTO_INCREMENT,
    component_id INT NOT NULL,
    appid VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    account_id INT NOT NULL DEFAULT 0,
    state VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    refresh_token VARBINARY(1024) NOT NULL,
    previous_token VARBINARY(1024) NOT NULL,
    permissions VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '',
    authorised_at BIGINT NOT NULL DEFAULT 0,
    withdrawn_at BIGINT NOT NULL DEFAULT 0,
    code VARBINARY(1024) NOT NULL,
    code_hash CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '',
    code_at BIGINT NOT NULL DEFAULT 0,
    due_at BIGINT NOT NULL DEFAULT 0,
    tries INT NOT NULL DEFAULT 0,
    erase_due TINYINT NOT NULL DEFAULT 0,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (id),
    UNIQUE KEY authorisations_account (component_id, appid)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
