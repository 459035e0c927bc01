-- silence_cursors: up to which interaction each kind of silence that running drips ask for has been looked for.
-- +goose Up
CREATE TABLE IF NOT EXISTS silence_cursors (
    account_id INT NOT NULL,
    kind VARCHAR(8) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    n INT NOT NULL,
    interaction_id BIGINT NOT NULL,
    PRIMARY KEY (account_id, kind, n)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
