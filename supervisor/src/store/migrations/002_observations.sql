-- How a request was treated and why, and every decision on it (a JSON list; NULL where none was kept).
ALTER TABLE requests ADD COLUMN class TEXT NOT NULL DEFAULT 'interactive';
ALTER TABLE requests ADD COLUMN reason TEXT NOT NULL DEFAULT '';
ALTER TABLE requests ADD COLUMN decisions TEXT;

-- What completed attempts teach of loads and speeds, in the order in which they ended. Durations are microseconds.
CREATE TABLE observations (
    id            INTEGER NOT NULL PRIMARY KEY,
    backend       TEXT    NOT NULL,
    model         TEXT    NOT NULL,
    endpoint      TEXT    NOT NULL,
    input_tokens  INTEGER,
    output_tokens INTEGER,
    total_us      INTEGER NOT NULL,
    first_byte_us INTEGER,
    loaded        INTEGER NOT NULL,
    after_load    INTEGER NOT NULL,
    concurrent    INTEGER NOT NULL
);

-- What is trimmed is counted by these three; the row's id, which every index ends with, is the age.
CREATE INDEX observations_by_key ON observations (backend, model, endpoint);
-- The few loads that are kept longer than the rest.
CREATE INDEX observations_of_loads ON observations (backend, model, endpoint) WHERE loaded;
