-- interactions: what each did to the fan's grants, in which order. A generation of NULL was recorded before this was kept.
-- +goose Up
ALTER TABLE interactions
    ADD COLUMN generation INT NULL,
    ADD COLUMN touched TINYINT NOT NULL DEFAULT 0,
    ADD COLUMN uncounted SMALLINT NOT NULL DEFAULT 0;
