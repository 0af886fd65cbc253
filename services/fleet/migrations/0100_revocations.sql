-- Keys that stopped being good lately are those that the bus must refuse.
CREATE INDEX node_key_by_retirement ON node_key (retired_at);
