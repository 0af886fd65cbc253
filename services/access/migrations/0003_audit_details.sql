-- What else is known of a record, such as the version of a secret that was read: a JSON list of texts. They are hashed where
-- there are any.
ALTER TABLE audit_record ADD COLUMN details TEXT NOT NULL DEFAULT '[]';
