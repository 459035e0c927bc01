-- delivery_figures: how many deliveries of a message were planned or came to an end, by day; what reports read instead of the ledger.
-- +goose Up
CREATE TABLE IF NOT EXISTS delivery_figures (
    account_id INT NOT NULL,
    source_kind TINYINT NOT NULL,
    source_id BIGINT NOT NULL,
    day INT NOT NULL,
    message_id BIGINT NOT NULL,
    figure TINYINT NOT NULL,
    reason TINYINT NOT NULL,
    errcode INT NOT NULL,
    shard TINYINT NOT NULL,
    n BIGINT NOT NULL,
    PRIMARY KEY (account_id, source_kind, source_id, figure, day, message_id, reason, errcode, shard)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
