CREATE TABLE thing (
    id    TEXT    NOT NULL PRIMARY KEY,
    size  BIGINT  NOT NULL,
    ready BOOLEAN NOT NULL,
    note  TEXT
);
CREATE TABLE page_key (
    id     BIGINT NOT NULL PRIMARY KEY,
    secret TEXT   NOT NULL
);
