-- A command as the caller gave it, with what is counted over its invocations.
CREATE TABLE command (
    command_id               TEXT    NOT NULL PRIMARY KEY,
    requested_at             BIGINT  NOT NULL,
    expires_at               BIGINT  NOT NULL,
    document_name            TEXT    NOT NULL,
    -- The Command message without status and counters, protobuf in base64.
    facts                    TEXT    NOT NULL,
    status                   TEXT    NOT NULL,
    status_details           TEXT    NOT NULL,
    finished                 BOOLEAN NOT NULL,
    -- The user cancelled the whole command.
    cancelled                BOOLEAN NOT NULL,
    errors_allowed           BIGINT  NOT NULL,
    target_count             BIGINT  NOT NULL,
    in_progress_count        BIGINT  NOT NULL,
    success_count            BIGINT  NOT NULL,
    failed_count             BIGINT  NOT NULL,
    execution_timed_out_count BIGINT NOT NULL,
    delivery_timed_out_count BIGINT  NOT NULL,
    -- Ended in any other way.
    other_count              BIGINT  NOT NULL,
    -- Changed with each write, which takes the row's lock first.
    revision                 BIGINT  NOT NULL
);
CREATE INDEX command_by_time ON command (requested_at, command_id);

-- A command on one node.
CREATE TABLE invocation (
    command_id    TEXT   NOT NULL REFERENCES command (command_id) ON DELETE CASCADE,
    node_id       TEXT   NOT NULL,
    instance_name TEXT   NOT NULL,
    -- When the command was accepted, and later when the work was sent.
    requested_at  BIGINT NOT NULL,
    status        TEXT   NOT NULL,
    status_details TEXT  NOT NULL,
    trace         TEXT   NOT NULL,
    PRIMARY KEY (command_id, node_id)
);
CREATE INDEX invocation_by_node ON invocation (node_id, command_id);

-- One step of a command on one node.
CREATE TABLE plugin (
    command_id     TEXT   NOT NULL,
    node_id        TEXT   NOT NULL,
    position       BIGINT NOT NULL,
    name           TEXT   NOT NULL,
    action         TEXT   NOT NULL,
    status         TEXT   NOT NULL,
    status_details TEXT   NOT NULL,
    response_code  BIGINT NOT NULL,
    started_at     BIGINT,
    finished_at    BIGINT,
    output         TEXT   NOT NULL,
    stdout         TEXT   NOT NULL,
    stderr         TEXT   NOT NULL,
    PRIMARY KEY (command_id, node_id, position),
    FOREIGN KEY (command_id, node_id) REFERENCES invocation (command_id, node_id) ON DELETE CASCADE
);

-- What the coordinator has to be told.
CREATE TABLE outbox (
    id         TEXT   NOT NULL PRIMARY KEY,
    kind       TEXT   NOT NULL,
    command_id TEXT   NOT NULL,
    -- The request, protobuf in base64.
    payload    TEXT   NOT NULL,
    -- Trace context of the request that caused it.
    traceparent TEXT  NOT NULL
);

-- The key of list tokens; one row.
CREATE TABLE page_key (
    id     BIGINT NOT NULL PRIMARY KEY,
    secret TEXT   NOT NULL
);
