-- By whose id and code machines may register. A deleted one stays for a while, so that the audit can tell it from one
-- that never was.
CREATE TABLE activation (
    activation_id         TEXT    NOT NULL PRIMARY KEY,
    -- SHA-256 of the code, in hexadecimal; the code itself is nowhere.
    code_hash             TEXT    NOT NULL,
    description           TEXT    NOT NULL,
    -- Empty: none.
    default_instance_name TEXT    NOT NULL,
    iam_role              TEXT    NOT NULL,
    registration_limit    BIGINT  NOT NULL,
    registrations_count   BIGINT  NOT NULL,
    created_at            BIGINT  NOT NULL,
    expires_at            BIGINT  NOT NULL,
    deleted_at            BIGINT,
    -- A JSON object.
    tags                  TEXT    NOT NULL,
    -- Since the last right code or lock.
    wrong_codes           BIGINT  NOT NULL,
    -- 0: not locked.
    locked_until          BIGINT  NOT NULL
);
CREATE INDEX activation_by_age ON activation (created_at, activation_id);
