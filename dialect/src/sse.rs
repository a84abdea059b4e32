//! Incremental reading of server-sent events, however the bytes are cut.
