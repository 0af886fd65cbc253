-- One row that every change takes first: writers take turns, so that limits and names are decided on what is there, on
-- PostgreSQL as on SQLite. The count is the epoch that answers carry.
CREATE TABLE catalogue (
    id    BIGINT NOT NULL PRIMARY KEY,
    epoch BIGINT NOT NULL
);
INSERT INTO catalogue (id, epoch) VALUES (1, 0);

-- A user, a group or a role.
CREATE TABLE identity (
    -- Random. A user that was deleted and made again is another one.
    id         TEXT   NOT NULL PRIMARY KEY,
    -- `user`, `group` or `role`.
    kind       TEXT   NOT NULL,
    name       TEXT   NOT NULL,
    -- The name in lower case: two names that differ only in case are the same.
    folded     TEXT   NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX identity_by_name ON identity (kind, folded);

CREATE TABLE identity_tag (
    identity_id TEXT NOT NULL REFERENCES identity (id) ON DELETE CASCADE,
    key         TEXT NOT NULL,
    value       TEXT NOT NULL,
    PRIMARY KEY (identity_id, key)
);

-- A user in a group.
CREATE TABLE membership (
    group_id TEXT NOT NULL REFERENCES identity (id),
    user_id  TEXT NOT NULL REFERENCES identity (id),
    PRIMARY KEY (group_id, user_id)
);
CREATE INDEX membership_by_user ON membership (user_id);

-- A policy of people's own; the built-in ones are in the program.
CREATE TABLE policy (
    name        TEXT   NOT NULL PRIMARY KEY,
    folded      TEXT   NOT NULL UNIQUE,
    description TEXT   NOT NULL,
    document    TEXT   NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL
);

-- A policy of a user, a group or a role. No reference to `policy`: it may be a built-in one.
CREATE TABLE attachment (
    identity_id TEXT NOT NULL REFERENCES identity (id),
    policy_name TEXT NOT NULL,
    PRIMARY KEY (identity_id, policy_name)
);
CREATE INDEX attachment_by_policy ON attachment (policy_name);

CREATE TABLE access_key (
    access_key_id TEXT    NOT NULL PRIMARY KEY,
    user_id       TEXT    NOT NULL REFERENCES identity (id),
    is_active     BOOLEAN NOT NULL,
    created_at    BIGINT  NOT NULL,
    -- Null: never.
    last_used_at  BIGINT,
    -- Which key of the key file encrypted the secret.
    key_id        TEXT    NOT NULL,
    -- AES-256-GCM: nonce and ciphertext, Base64; the access key id is bound to it.
    secret        TEXT    NOT NULL
);
CREATE INDEX access_key_by_user ON access_key (user_id);

-- Changes that are to be told: written with the change, removed when they were published.
CREATE TABLE principal_change (
    id            TEXT   NOT NULL PRIMARY KEY,
    epoch         BIGINT NOT NULL,
    -- Both null: anybody may be concerned.
    principal     TEXT,
    access_key_id TEXT
);

-- The audit log. A row is never changed; `domain/audit.rs` says what is hashed.
CREATE TABLE audit_record (
    sequence      BIGINT NOT NULL PRIMARY KEY,
    recorded_at   BIGINT NOT NULL,
    principal     TEXT   NOT NULL,
    access_key_id TEXT   NOT NULL,
    surface       TEXT   NOT NULL,
    source_ip     TEXT   NOT NULL,
    action        TEXT   NOT NULL,
    resource      TEXT   NOT NULL,
    decision      TEXT   NOT NULL,
    -- A JSON list.
    statements    TEXT   NOT NULL,
    request_id    TEXT   NOT NULL,
    hash          TEXT   NOT NULL
);
CREATE INDEX audit_record_by_principal ON audit_record (principal, sequence);
CREATE INDEX audit_record_by_action ON audit_record (action, sequence);
CREATE INDEX audit_record_by_time ON audit_record (recorded_at);

-- The ends of the log, one row: what the next record is chained to, and what was before the first that is there.
CREATE TABLE audit_head (
    id              BIGINT NOT NULL PRIMARY KEY,
    sequence        BIGINT NOT NULL,
    hash            TEXT   NOT NULL,
    anchor_sequence BIGINT NOT NULL,
    anchor_hash     TEXT   NOT NULL,
    -- HMAC of all of them under the key file's key, with that key's id: who has the tables only cannot make one.
    key_id          TEXT   NOT NULL,
    seal            TEXT   NOT NULL
);

-- The key of the tokens of lists.
CREATE TABLE page_key (
    id     BIGINT NOT NULL PRIMARY KEY,
    secret TEXT   NOT NULL
);
