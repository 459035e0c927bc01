-- interactions: what each did to the fan's grants, in which order. A generation of NULL was recorded before this was kept.
-- +goose Up
ALTER TABLE interactions ADD COLUMN generation INTEGER NULL;
ALTER TABLE interactions ADD COLUMN touched INTEGER NOT NULL DEFAULT 0;
ALTER TABLE interactions ADD COLUMN uncounted INTEGER NOT NULL DEFAULT 0;
