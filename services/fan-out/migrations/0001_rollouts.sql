-- One piece of work for an ordered list of nodes.
CREATE TABLE rollout (
    rollout_id     TEXT    NOT NULL PRIMARY KEY,
    -- StartRolloutRequest as it was accepted, protobuf in base64: owner, targets in their order, deadline, work, tags.
    request        TEXT    NOT NULL,
    -- The limits as numbers.
    concurrency    BIGINT  NOT NULL,
    errors_allowed BIGINT  NOT NULL,
    -- Trace context of the request that started it.
    traceparent    TEXT    NOT NULL,
    created_at     BIGINT  NOT NULL,
    -- All of it was cancelled.
    cancelled      BOOLEAN NOT NULL,
    -- The counted errors went over the limit.
    breached       BOOLEAN NOT NULL,
    -- Targets before this position have had their turn: one without a row of its own was sent once.
    dispatched     BIGINT  NOT NULL,
    -- Sequence of the last entry written to the outbox.
    told           BIGINT  NOT NULL,
    -- When every target was over and the owner knew it all; NULL until then.
    settled_at     BIGINT,
    -- The running process that works on it, the configured name of that replica, and until when it may.
    holder         TEXT    NOT NULL,
    replica        TEXT    NOT NULL,
    lease_until    BIGINT  NOT NULL,
    -- Grows with each change of the holder; a write with an old one is refused.
    fence          BIGINT  NOT NULL
);
CREATE INDEX rollout_open ON rollout (holder, lease_until) WHERE settled_at IS NULL;
CREATE INDEX rollout_settled ON rollout (settled_at) WHERE settled_at IS NOT NULL;

-- What has happened to a target.
-- No row: nothing yet, or, for positions before the rollout's `dispatched`, sent once.
CREATE TABLE rollout_target (
    rollout_id       TEXT    NOT NULL,
    -- Place in the order of the request, from 0.
    position         BIGINT  NOT NULL,
    -- Waiting, Sent, Accepted, Parked, Returning, or how it ended.
    phase            TEXT    NOT NULL,
    attempts         BIGINT  NOT NULL,
    maybe_delivered  BIGINT  NOT NULL,
    answered         BOOLEAN NOT NULL,
    late             BOOLEAN NOT NULL,
    cancel_requested BOOLEAN NOT NULL,
    last_sequence    BIGINT  NOT NULL,
    PRIMARY KEY (rollout_id, position)
);

-- Transitions that the owner has not taken yet.
CREATE TABLE outbox (
    rollout_id  TEXT   NOT NULL,
    sequence    BIGINT NOT NULL,
    transitions BIGINT NOT NULL,
    -- RecordRequest, protobuf in base64.
    payload     TEXT   NOT NULL,
    PRIMARY KEY (rollout_id, sequence)
);
