-- fans: the ranges that lists of fans are read by: newest first, by latest interaction, by what they are called, by scene.
-- +goose Up
ALTER TABLE fans
    ADD KEY fans_newest (blacklisted, subscribed, account_id),
    ADD KEY fans_interacted (account_id, interacted_at),
    ADD KEY fans_nickname (account_id, nickname),
    ADD KEY fans_remark (account_id, remark),
    ADD KEY fans_unionid (account_id, unionid),
    ADD KEY fans_scene (account_id, scene);
