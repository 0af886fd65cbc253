-- Who wants to be a node and is not let: a machine with another key, or with other parts. An operator gives leave to one
-- of them, by its fingerprint.
CREATE TABLE node_claim (
    node_id     TEXT   NOT NULL REFERENCES node (node_id) ON DELETE CASCADE,
    -- Of the key, or of the parts.
    fingerprint TEXT   NOT NULL,
    -- 'IdentityChanged', 'Clone' or 'Doubtful'.
    concern     TEXT   NOT NULL,
    -- From where it asked; empty: nobody knows.
    source      TEXT   NOT NULL,
    claimed_at  BIGINT NOT NULL,
    PRIMARY KEY (node_id, fingerprint)
);

-- The fingerprint to which an operator gave leave; used up by using it. Empty: none. A leave without one counts no more.
ALTER TABLE node ADD COLUMN approved TEXT NOT NULL DEFAULT '';
ALTER TABLE node DROP COLUMN is_approved;
