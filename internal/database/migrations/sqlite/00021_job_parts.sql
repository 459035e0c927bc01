-- job_parts: the result file of a job, in the parts in which its steps made it.
-- +goose Up
CREATE TABLE IF NOT EXISTS job_parts (
    job_id INTEGER NOT NULL,
    part_no INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (job_id, part_no)
) WITHOUT ROWID;
