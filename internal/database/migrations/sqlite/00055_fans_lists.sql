-- fans: the ranges that lists of fans are read by: newest first, by latest interaction, by what they are called, by scene.
-- +goose Up
CREATE INDEX IF NOT EXISTS fans_newest ON fans (blacklisted, subscribed, account_id);
CREATE INDEX IF NOT EXISTS fans_interacted ON fans (account_id, interacted_at);
CREATE INDEX IF NOT EXISTS fans_nickname ON fans (account_id, nickname) WHERE nickname <> '';
CREATE INDEX IF NOT EXISTS fans_remark ON fans (account_id, remark) WHERE remark <> '';
CREATE INDEX IF NOT EXISTS fans_unionid ON fans (account_id, unionid) WHERE unionid <> '';
CREATE INDEX IF NOT EXISTS fans_scene ON fans (account_id, scene) WHERE scene <> '';
