-- One row that every write changes first: writers take turns, so that versions, limits and labels are decided on what is
-- there, on PostgreSQL as on SQLite. Readers never wait. Many puts make one transaction.
CREATE TABLE catalogue (
    id       BIGINT NOT NULL PRIMARY KEY,
    -- Transactions so far: the order of the events.
    writes   BIGINT NOT NULL,
    -- Parameters of each tier.
    standard BIGINT NOT NULL,
    advanced BIGINT NOT NULL
);
INSERT INTO catalogue (id, writes, standard, advanced) VALUES (1, 0, 0, 0);

CREATE TABLE parameter (
    -- Random. A parameter that was deleted and made again is another one.
    id           TEXT   NOT NULL PRIMARY KEY,
    -- The one form of all spellings: with a slash in front.
    path         TEXT   NOT NULL UNIQUE,
    -- The path without its last part: empty for root parameters.
    parent       TEXT   NOT NULL,
    -- The spelling that it was made with.
    name         TEXT   NOT NULL,
    tier         TEXT   NOT NULL,
    created_at   BIGINT NOT NULL,
    -- The latest version; the hundred that end here are there, without a gap.
    last_version BIGINT NOT NULL,
    -- From then on it is not there any more, whether its rows were removed or not.
    expires_at   BIGINT
);

-- A version. Of its row only the wrapped key changes, when it is wrapped anew.
CREATE TABLE parameter_version (
    parameter_id    TEXT   NOT NULL REFERENCES parameter (id) ON DELETE CASCADE,
    version         BIGINT NOT NULL,
    type            TEXT   NOT NULL,
    data_type       TEXT   NOT NULL,
    tier            TEXT   NOT NULL,
    description     TEXT,
    allowed_pattern TEXT,
    -- As the caller named it.
    key_id          TEXT,
    -- The JSON array that the caller gave.
    policies        TEXT   NOT NULL,
    modified_at     BIGINT NOT NULL,
    modified_by     TEXT   NOT NULL,
    -- Absent for a SecureString.
    value           TEXT,
    -- Present for a SecureString: nonce, text and tag; which key wrapped the data key; the wrapped data key. Base64.
    ciphertext      TEXT,
    key_provider    TEXT,
    key_name        TEXT,
    key_version     TEXT,
    wrapped_key     TEXT,
    PRIMARY KEY (parameter_id, version)
);
-- Which keys are in use, and by what.
CREATE INDEX parameter_version_by_key ON parameter_version (key_provider, key_name, key_version);

CREATE TABLE parameter_label (
    parameter_id TEXT   NOT NULL REFERENCES parameter (id) ON DELETE CASCADE,
    label        TEXT   NOT NULL,
    version      BIGINT NOT NULL,
    PRIMARY KEY (parameter_id, label)
);

CREATE TABLE parameter_tag (
    parameter_id TEXT NOT NULL REFERENCES parameter (id) ON DELETE CASCADE,
    key          TEXT NOT NULL,
    value        TEXT NOT NULL,
    PRIMARY KEY (parameter_id, key)
);

-- When the policies of the latest version have their say. A row stays when it did, so that it does so once.
CREATE TABLE parameter_timer (
    parameter_id TEXT    NOT NULL REFERENCES parameter (id) ON DELETE CASCADE,
    -- The policy's place in its version.
    place        BIGINT  NOT NULL,
    due_at       BIGINT  NOT NULL,
    done         BOOLEAN NOT NULL,
    PRIMARY KEY (parameter_id, place)
);
CREATE INDEX parameter_timer_by_time ON parameter_timer (done, due_at);

-- Events, written with the change that they tell of, deleted when they were published.
CREATE TABLE news (
    -- The number of the transaction, and the place in it.
    turn    BIGINT NOT NULL,
    place   BIGINT NOT NULL,
    what    TEXT   NOT NULL,
    payload TEXT   NOT NULL,
    PRIMARY KEY (turn, place)
);

-- The key of the tokens of lists.
CREATE TABLE page_key (
    id     BIGINT NOT NULL PRIMARY KEY,
    secret TEXT   NOT NULL
);
