-- links: the addresses to which tracked links lead, each once for an account; never changed. link_keys: what tokens are signed with.
-- +goose Up
CREATE TABLE IF NOT EXISTS links (
    id BIGINT NOT NULL AUTO_INCREMENT,
    account_id INT NOT NULL,
    url VARCHAR(1024) NOT NULL,
    url_hash CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (id),
    UNIQUE KEY links_url (account_id, url_hash)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
CREATE TABLE IF NOT EXISTS link_keys (
    id INT NOT NULL,
    created_at BIGINT NOT NULL,
    secret VARBINARY(255) NOT NULL,
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
