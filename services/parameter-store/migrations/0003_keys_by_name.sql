-- Which keys are in use, by what, and how their callers named them: an alias may come to mean another key.
DROP INDEX parameter_version_by_key;
CREATE INDEX parameter_version_by_key ON parameter_version (key_provider, key_name, key_version, key_id);
