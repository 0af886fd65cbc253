-- What stays the same on the machine of a managed node, each as a hash: by this it is known without its state directory.
CREATE TABLE machine_attribute (
    node_id TEXT NOT NULL REFERENCES node (node_id) ON DELETE CASCADE,
    kind    TEXT NOT NULL,
    hash    TEXT NOT NULL,
    PRIMARY KEY (node_id, kind)
);
CREATE INDEX machine_attribute_by_hash ON machine_attribute (kind, hash);

-- Public keys that nodes have or had. A key belongs to one node for ever.
CREATE TABLE node_key (
    public_key TEXT   NOT NULL PRIMARY KEY,
    node_id    TEXT   NOT NULL REFERENCES node (node_id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    -- When it stopped being good; null while it is.
    retired_at BIGINT
);
CREATE INDEX node_key_by_node ON node_key (node_id);

-- Why an operator is asked about a node: 'IdentityChanged' or 'Clone'; empty: nobody is.
ALTER TABLE node ADD COLUMN concern TEXT NOT NULL DEFAULT '';
-- An operator said that it may go on with other parts or from another place; used up by doing so.
ALTER TABLE node ADD COLUMN is_approved BOOLEAN NOT NULL DEFAULT false;
