-- api_budgets: calls made per account, API and Beijing day.
-- +goose Up
CREATE TABLE IF NOT EXISTS api_budgets (
    account_id INT NOT NULL,
    api VARCHAR(48) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    day INT NOT NULL,
    used BIGINT NOT NULL,
    most BIGINT NOT NULL,
    PRIMARY KEY (account_id, api, day)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
