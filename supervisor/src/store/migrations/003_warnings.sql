-- What of a request could not be carried into its backend's dialect, in one line.
ALTER TABLE requests ADD COLUMN warnings TEXT NOT NULL DEFAULT '';
