-- The processes that speak as a managed node; two that both go on speaking are two machines with one key.
CREATE TABLE node_session (
    node_id     TEXT   NOT NULL PRIMARY KEY REFERENCES node (node_id) ON DELETE CASCADE,
    -- The one that the node is; empty in all of these: none.
    holder      TEXT   NOT NULL,
    -- One that spoke later, and when, in microseconds.
    rival       TEXT   NOT NULL,
    rival_at    BIGINT NOT NULL,
    -- A copy, which is refused until an operator has looked.
    quarantined TEXT   NOT NULL
);
