-- ARN of who sent the command; empty: from before this column.
ALTER TABLE command ADD COLUMN sender TEXT NOT NULL DEFAULT '';
