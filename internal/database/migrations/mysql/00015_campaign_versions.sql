-- campaign_versions: what a campaign said at a time; fans in the middle keep theirs.
-- +goose Up
CREATE TABLE IF NOT EXISTS campaign_versions (
    id INT NOT NULL AUTO_INCREMENT,
    account_id INT NOT NULL,
    campaign_id INT NOT NULL,
    number INT NOT NULL,
    definition MEDIUMTEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (id),
    UNIQUE KEY campaign_versions_number (campaign_id, number)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
