-- How far the files of a version have come that has attachments. It is no part of the version's own row, which never
-- changes, and outlives it until the objects are removed.
CREATE TABLE document_files (
    document_id TEXT   NOT NULL,
    version     BIGINT NOT NULL,
    -- Creating, Active or Failed.
    standing    TEXT   NOT NULL,
    -- Why it failed.
    reason      TEXT,
    -- The files that are stored, JSON.
    found       TEXT   NOT NULL,
    attempts    BIGINT NOT NULL,
    -- When somebody may work on it next; whoever does puts it off first.
    due_at      BIGINT NOT NULL,
    PRIMARY KEY (document_id, version)
);
CREATE INDEX document_files_by_due ON document_files (standing, due_at);
