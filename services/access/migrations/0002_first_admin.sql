-- Users that the settings asked for and that were made once: one that was deleted afterwards does not come back.
CREATE TABLE first_admin (
    name    TEXT   NOT NULL PRIMARY KEY,
    made_at BIGINT NOT NULL
);
