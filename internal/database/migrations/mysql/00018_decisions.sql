-- decisions: why a delivery waited, stopped or failed: the steps of its trace.
-- +goose Up
CREATE TABLE IF NOT EXISTS decisions (
    id BIGINT NOT NULL AUTO_INCREMENT,
    delivery_id BIGINT NOT NULL,
    at BIGINT NOT NULL,
    attempt SMALLINT NOT NULL,
    verdict TINYINT NOT NULL,
    reason TINYINT NOT NULL,
    values_json VARCHAR(512) NOT NULL,
    errcode INT NOT NULL DEFAULT 0,
    rid VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '',
    PRIMARY KEY (id),
    KEY decisions_delivery (delivery_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
