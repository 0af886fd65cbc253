-- What the coordinator did and heard, one row for each transaction that changed a rollout.
CREATE TABLE rollout_history (
    rollout_id TEXT   NOT NULL,
    sequence   BIGINT NOT NULL,
    -- HistoryPage, protobuf in base64.
    payload    TEXT   NOT NULL,
    PRIMARY KEY (rollout_id, sequence)
);
