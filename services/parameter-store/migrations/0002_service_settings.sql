-- Service settings that somebody changed; the others have their defaults.
CREATE TABLE service_setting (
    id          TEXT   NOT NULL PRIMARY KEY,
    value       TEXT   NOT NULL,
    modified_at BIGINT NOT NULL,
    modified_by TEXT   NOT NULL
);
