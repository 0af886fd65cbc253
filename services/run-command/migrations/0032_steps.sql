-- Name and action of each step of the command's document, as a JSON list of pairs; empty: from before this column.
ALTER TABLE command ADD COLUMN steps TEXT NOT NULL DEFAULT '';
