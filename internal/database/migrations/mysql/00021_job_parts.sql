-- job_parts: the result file of a job, in the parts in which its steps made it.
-- +goose Up
CREATE TABLE IF NOT EXISTS job_parts (
    job_id BIGINT NOT NULL,
    part_no INT NOT NULL,
    body MEDIUMBLOB NOT NULL,
    PRIMARY KEY (job_id, part_no)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
