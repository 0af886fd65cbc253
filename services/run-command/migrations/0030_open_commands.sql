-- Commands that have not ended: few among many. Read whenever commands are accepted, to count what is pending.
CREATE INDEX command_open ON command (requested_at, command_id) WHERE NOT finished;
