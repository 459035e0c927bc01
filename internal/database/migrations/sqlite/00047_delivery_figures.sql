-- delivery_figures: how many deliveries of a message were planned or came to an end, by day; what reports read instead of the ledger.
-- +goose Up
CREATE TABLE IF NOT EXISTS delivery_figures (
    account_id INTEGER NOT NULL,
    source_kind INTEGER NOT NULL,
    source_id INTEGER NOT NULL,
    day INTEGER NOT NULL,
    message_id INTEGER NOT NULL,
    figure INTEGER NOT NULL,
    reason INTEGER NOT NULL,
    errcode INTEGER NOT NULL,
    shard INTEGER NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (account_id, source_kind, source_id, figure, day, message_id, reason, errcode, shard)
) WITHOUT ROWID;
