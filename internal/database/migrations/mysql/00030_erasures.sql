-- erasures: that persons were removed, when and how many; nothing of who they were.
-- inbox: pushes by the person, who may ask that they are removed.
-- +goose Up
CREATE TABLE IF NOT EXISTS erasures (
    id BIGINT NOT NULL AUTO_INCREMENT,
    account_id INT NOT NULL,
    cause VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    fans BIGINT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (id),
    KEY erasures_account (account_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
ALTER TABLE inbox ADD KEY inbox_openid (openid);
