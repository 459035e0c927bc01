-- webhooks: addresses of an account's other systems, to which events are posted, each with the secret that signs them.
-- +goose Up
CREATE TABLE IF NOT EXISTS webhooks (
    id INT NOT NULL AUTO_INCREMENT,
    account_id INT NOT NULL,
    name VARCHAR(64) NOT NULL,
    url VARCHAR(1024) NOT NULL,
    secret VARBINARY(512) NOT NULL,
    revision BIGINT NOT NULL DEFAULT 1,
    created_at BIGINT NOT NULL,
    removed_at BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (id),
    KEY webhooks_account (account_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
