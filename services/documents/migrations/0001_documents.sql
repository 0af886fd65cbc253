-- One row that every write changes first: writers take turns, so that numbers, limits and duplicates are decided
-- on what is there, on PostgreSQL as on SQLite. Documents are written seldom and read always; readers never wait.
CREATE TABLE catalogue (
    id     BIGINT NOT NULL PRIMARY KEY,
    writes BIGINT NOT NULL
);
INSERT INTO catalogue (id, writes) VALUES (1, 0);

CREATE TABLE document (
    -- Random. A document that was deleted and made again is another one, with other contents under the same numbers.
    id              TEXT    NOT NULL PRIMARY KEY,
    name            TEXT    NOT NULL UNIQUE,
    -- Muster's own: the owner is shown as Amazon, and nobody may change it.
    built_in        BOOLEAN NOT NULL,
    document_type   TEXT    NOT NULL,
    default_version BIGINT  NOT NULL,
    -- The highest number that is there.
    latest_version  BIGINT  NOT NULL,
    -- The highest number that was ever given.
    last_version    BIGINT  NOT NULL
);

-- A version. Its row is never changed.
CREATE TABLE document_version (
    document_id  TEXT   NOT NULL REFERENCES document (id) ON DELETE CASCADE,
    version      BIGINT NOT NULL,
    version_name TEXT,
    created_at   BIGINT NOT NULL,
    format       TEXT   NOT NULL,
    display_name TEXT,
    target_type  TEXT,
    -- SHA-256 of the content.
    hash         TEXT   NOT NULL,
    -- SHA-256 of the content with equal line ends: what makes it a duplicate.
    identity     TEXT   NOT NULL,
    -- Words, separated by commas.
    platforms    TEXT   NOT NULL,
    -- Name and description in lower case, to be searched.
    keywords     TEXT   NOT NULL,
    -- What was found in the content, JSON.
    facts        TEXT   NOT NULL,
    content      TEXT   NOT NULL,
    PRIMARY KEY (document_id, version)
);
CREATE UNIQUE INDEX document_version_by_name ON document_version (document_id, version_name);
CREATE UNIQUE INDEX document_version_by_content ON document_version (document_id, format, identity);

CREATE TABLE document_tag (
    document_id TEXT NOT NULL REFERENCES document (id) ON DELETE CASCADE,
    key         TEXT NOT NULL,
    value       TEXT NOT NULL,
    PRIMARY KEY (document_id, key)
);

-- With whom a document is shared; the account `all` is everybody.
CREATE TABLE document_share (
    document_id    TEXT NOT NULL REFERENCES document (id) ON DELETE CASCADE,
    account_id     TEXT NOT NULL,
    shared_version TEXT NOT NULL,
    PRIMARY KEY (document_id, account_id)
);
CREATE INDEX document_share_by_account ON document_share (account_id);

-- The key of the tokens of lists.
CREATE TABLE page_key (
    id     BIGINT NOT NULL PRIMARY KEY,
    secret TEXT   NOT NULL
);
