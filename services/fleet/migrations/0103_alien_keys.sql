-- Keys that connected with credentials of the key that signs nodes, and are no node's: somebody else signs too.
CREATE TABLE alien_key (
    public_key TEXT   NOT NULL PRIMARY KEY,
    -- As whom.
    name       TEXT   NOT NULL,
    seen_at    BIGINT NOT NULL
);
