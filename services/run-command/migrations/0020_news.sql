-- Events that may not have been published yet: one row for each transaction that changed something.
CREATE TABLE news (
    -- A UUID of version 7: rows sort by age.
    id      TEXT NOT NULL PRIMARY KEY,
    -- The events, as a JSON list of tuples.
    payload TEXT NOT NULL
);

-- Notifications that were not delivered yet.
CREATE TABLE notification (
    id         TEXT   NOT NULL PRIMARY KEY,
    command_id TEXT   NOT NULL,
    -- The ARN under which the sink is configured.
    sink       TEXT   NOT NULL,
    payload    TEXT   NOT NULL,
    attempts   BIGINT NOT NULL,
    -- When it is tried next; moved on while somebody tries.
    due_at     BIGINT NOT NULL
);
CREATE INDEX notification_due ON notification (sink, due_at);
