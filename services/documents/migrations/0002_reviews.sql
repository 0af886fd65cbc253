-- Steps of the reviews of versions; the last one of a version says where its review stands.
CREATE TABLE document_review (
    document_id TEXT   NOT NULL,
    version     BIGINT NOT NULL,
    -- From 1, without gaps.
    number      BIGINT NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    -- PENDING, APPROVED or REJECTED.
    standing    TEXT   NOT NULL,
    comment     TEXT,
    reviewer    TEXT   NOT NULL,
    PRIMARY KEY (document_id, version, number),
    FOREIGN KEY (document_id, version) REFERENCES document_version (document_id, version) ON DELETE CASCADE
);
