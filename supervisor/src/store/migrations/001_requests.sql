-- One row per request, in the vocabulary of states that screens and scripts use.
-- Times are microseconds since 1970, durations microseconds. The key is proxylm's own id, which grows with time, so
-- new rows are appended; the client may repeat its X-Request-Id (column id).
CREATE TABLE requests (
    exchange            TEXT    NOT NULL PRIMARY KEY,
    id                  TEXT    NOT NULL,
    client              TEXT    NOT NULL,
    model               TEXT    NOT NULL,
    endpoint            TEXT    NOT NULL,
    stream              INTEGER NOT NULL,
    arrived_unix_us     INTEGER NOT NULL,
    request_bytes       INTEGER NOT NULL,
    state               TEXT    NOT NULL,
    backend             TEXT    NOT NULL,
    attempts            INTEGER NOT NULL,
    swap                INTEGER NOT NULL,
    last_failed_backend TEXT    NOT NULL,
    http_status         INTEGER,
    upstream_status     INTEGER,
    error_code          TEXT    NOT NULL,
    error               TEXT    NOT NULL,
    started_unix_us     INTEGER,
    ended_unix_us       INTEGER,
    queue_us            INTEGER,
    load_us             INTEGER,
    first_byte_us       INTEGER,
    total_us            INTEGER,
    input_tokens        INTEGER,
    output_tokens       INTEGER,
    cached_tokens       INTEGER,
    reasoning_tokens    INTEGER,
    response_bytes      INTEGER NOT NULL
) WITHOUT ROWID;

-- The history's order and the retention's.
CREATE INDEX requests_by_arrival ON requests (arrived_unix_us);
-- "What became of this X-Request-Id?"
CREATE INDEX requests_by_id ON requests (id);
-- What a crash left open; empty in quiet times, so it costs next to nothing.
CREATE INDEX requests_open ON requests (state) WHERE state IN ('queued', 'running');
