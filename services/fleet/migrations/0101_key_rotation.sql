-- A key that is to take the place of another is good until then; null: it is the node's.
ALTER TABLE node_key ADD COLUMN offered_until BIGINT;

-- An operator wants the node to have another key; null: nobody does.
ALTER TABLE node ADD COLUMN rotation_asked_at BIGINT;
