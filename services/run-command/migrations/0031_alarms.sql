-- The alarm that stops the command while it rings; empty: none.
ALTER TABLE command ADD COLUMN alarm TEXT NOT NULL DEFAULT '';
-- How that alarm stood when it stopped the command, ALARM or UNKNOWN; empty: it did not.
ALTER TABLE command ADD COLUMN triggered_alarm TEXT NOT NULL DEFAULT '';
CREATE INDEX command_with_alarm ON command (alarm) WHERE alarm <> '' AND NOT finished AND NOT cancelled;
