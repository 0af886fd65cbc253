-- A machine that is managed, or was. An id is never used again, so the row of a node that was put out stays.
CREATE TABLE node (
    node_id           TEXT   NOT NULL PRIMARY KEY,
    name              TEXT   NOT NULL,
    registered_at     BIGINT NOT NULL,
    -- Put out; null while it is managed.
    deregistered_at   BIGINT,
    activation_id     TEXT   NOT NULL,
    iam_role          TEXT   NOT NULL,
    -- What its agent last told; empty where unknown.
    agent_version     TEXT   NOT NULL,
    -- The version in a form that sorts as text.
    agent_version_order TEXT NOT NULL,
    platform_type     TEXT   NOT NULL,
    platform_name     TEXT   NOT NULL,
    platform_version  TEXT   NOT NULL,
    computer_name     TEXT   NOT NULL,
    ip_address        TEXT   NOT NULL,
    architecture      TEXT   NOT NULL,
    boot_id           TEXT   NOT NULL,
    availability_zone TEXT   NOT NULL,
    -- Words with blanks between them.
    capabilities      TEXT   NOT NULL,
    -- Changed with each change of tags, which takes the row's lock first.
    revision          BIGINT NOT NULL
);

-- The node that a machine is now. A machine that registers again finds its node here.
-- There is no reference to `node`: this row is taken before the node's is written.
CREATE TABLE machine (
    machine_identity TEXT NOT NULL PRIMARY KEY,
    node_id          TEXT NOT NULL
);
CREATE INDEX machine_by_node ON machine (node_id);

-- When a managed node was last heard of. A table of its own, because it is written all the time.
CREATE TABLE presence (
    node_id      TEXT    NOT NULL PRIMARY KEY REFERENCES node (node_id) ON DELETE CASCADE,
    -- 0: never.
    last_ping    BIGINT  NOT NULL,
    -- What was last told in events. The ping status is not kept; it is computed from `last_ping`.
    is_connected BOOLEAN NOT NULL
);

-- A tag of a managed node.
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
