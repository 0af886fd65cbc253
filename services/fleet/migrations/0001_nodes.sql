-- A machine that is, or was, managed. Ids are never used again, so deregistered nodes stay.
CREATE TABLE node (
    node_id          TEXT   NOT NULL PRIMARY KEY,
    -- What stays the same when the machine registers again; empty once it belongs to a later node.
    machine_identity TEXT   NOT NULL,
    name             TEXT   NOT NULL,
    registered_at    BIGINT NOT NULL,
    deregistered_at  BIGINT,
    last_ping        BIGINT NOT NULL,
    -- What the agent last told, protobuf in base64.
    facts            TEXT   NOT NULL
);
CREATE UNIQUE INDEX node_by_machine ON node (machine_identity)
    WHERE deregistered_at IS NULL AND machine_identity <> '';

CREATE TABLE node_tag (
    node_id TEXT NOT NULL REFERENCES node (node_id) ON DELETE CASCADE,
    key     TEXT NOT NULL,
    value   TEXT NOT NULL,
    PRIMARY KEY (node_id, key)
);
CREATE INDEX node_tag_by_value ON node_tag (key, value, node_id);

-- The key of list tokens; one row.
CREATE TABLE page_key (
    id     BIGINT NOT NULL PRIMARY KEY,
    secret TEXT   NOT NULL
);
