//! The database file: opening, migrating, and every statement that is run on it. Knows nothing of threads.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipc_proto::operator::{Decision, HistoryQuery, RequestRecord};
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, ToSql, TransactionBehavior};
use rusqlite_migration::{M, Migrations};

use super::{StoreError, observed, row};
use crate::scheduler::learner::{KEPT, Observation};

/// How long a statement waits for another program that has the database locked. Nobody waits for the statement.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Marks the file as ours (`plm1`), so that another program's database is not taken for an empty one.
const APPLICATION_ID: i32 = 0x706c_6d31;
/// Rows of an answer when the question names no limit.
const DEFAULT_LIMIT: u32 = 100;

const STEPS: &[M<'static>] = &[
    M::up(include_str!("migrations/001_requests.sql")),
    M::up(include_str!("migrations/002_observations.sql")),
    M::up(include_str!("migrations/003_warnings.sql")),
];
const MIGRATIONS: Migrations<'static> = Migrations::from_slice(STEPS);

/// A request, and the decisions on it.
type Decided = (RequestRecord, Vec<Decision>);

/// What is written together.
#[derive(Default, Debug)]
pub(super) struct Batch {
    /// Records, and the decisions on each if there is news of them.
    pub(super) records: Vec<(RequestRecord, Option<Vec<Decision>>)>,
    pub(super) observations: Vec<Observation<String>>,
}

impl Batch {
    /// How many rows it is at most.
    pub(super) fn len(&self) -> usize {
        self.records.len() + self.observations.len()
    }

    /// Forgets what is in it.
    pub(super) fn clear(&mut self) {
        self.records.clear();
        self.observations.clear();
    }
}

/// An open database, and where it is.
#[derive(Debug)]
pub(super) struct Database {
    connection: Connection,
    upsert: String,
}

impl Database {
    /// Opens the file for writing; makes and migrates it as needed.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        prepare_file(path)?;
        let failed = |source| StoreError::of(path, source);
        let connection = Connection::open(path).map_err(failed)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
        claim(&connection, path)?;
        connection.pragma_update(None, "journal_mode", "WAL").map_err(failed)?;
        connection.pragma_update(None, "synchronous", "NORMAL").map_err(failed)?;
        Self::migrate(connection, path)
    }

    /// A database that nobody else sees and that ends with this value.
    #[cfg(test)]
    pub(super) fn in_memory() -> Self {
        let connection = Connection::open_in_memory().expect("memory can be opened");
        Self::migrate(connection, Path::new(":memory:")).expect("an empty database can be migrated")
    }

    fn migrate(mut connection: Connection, path: &Path) -> Result<Self, StoreError> {
        use rusqlite_migration::{Error, MigrationDefinitionError};

        connection
            .pragma_update(None, "foreign_keys", true)
            .map_err(|source| StoreError::of(path, source))?;
        match MIGRATIONS.to_latest(&mut connection) {
            Ok(()) => Ok(Self { connection, upsert: row::upsert() }),
            Err(Error::RusqliteError { err, .. }) => Err(StoreError::of(path, err)),
            Err(Error::MigrationDefinition(MigrationDefinitionError::DatabaseTooFarAhead)) => {
                Err(StoreError::Newer { path: path.to_owned() })
            }
            Err(other) => Err(StoreError::Migrate { path: path.to_owned(), source: Box::new(other) }),
        }
    }

    /// Writes one row per request and one per observation, all or none; of several records of one request the last
    /// one counts, and of the decisions on it the last that came.
    pub(super) fn write(&mut self, batch: &Batch) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        {
            let mut statement = transaction.prepare_cached(&self.upsert)?;
            let last: HashMap<&str, usize> = (0..)
                .zip(&batch.records)
                .map(|(place, (record, _))| (record.exchange.as_str(), place))
                .collect();
            for (place, (record, decisions)) in batch.records.iter().enumerate() {
                if last[record.exchange.as_str()] == place || decisions.is_some() {
                    // Lists of plain words and numbers: they have a text.
                    let text = decisions.as_ref().and_then(|list| serde_json::to_string(list).ok());
                    row::write(&mut statement, record, text.as_deref())?;
                }
            }
            let mut statement = transaction.prepare_cached(observed::INSERT)?;
            for observation in &batch.observations {
                observed::write(&mut statement, observation)?;
            }
        }
        transaction.commit()
    }

    /// Deletes the observations that teach nothing any more. Returns how many.
    pub(super) fn trim(&mut self) -> rusqlite::Result<usize> {
        observed::trim(&mut self.connection, KEPT)
    }

    /// Ends the rows that an instance left open when it died. Returns how many.
    pub(super) fn close_left_open(&self, now_unix_us: i64) -> rusqlite::Result<usize> {
        self.connection.execute(
            "UPDATE requests SET state = 'cancelled', error_code = 'restarted', \
             error = 'the instance ended under it', ended_unix_us = ?1 WHERE state IN ('queued', 'running')",
            [now_unix_us],
        )
    }

    /// Deletes up to `most` of the requests that arrived before `before_unix_us`, oldest first. Returns how many.
    pub(super) fn forget(&self, before_unix_us: i64, most: u32) -> rusqlite::Result<usize> {
        let mut statement = self.connection.prepare_cached(
            "DELETE FROM requests WHERE exchange IN (SELECT exchange FROM requests \
             WHERE arrived_unix_us < ?1 ORDER BY arrived_unix_us LIMIT ?2)",
        )?;
        statement.execute(rusqlite::params![before_unix_us, most])
    }

    /// Gives the space of deleted rows back to the file system. Takes as long as a copy of the file.
    pub(super) fn vacuum(&self) -> rusqlite::Result<()> {
        self.connection.execute_batch("VACUUM")
    }

    /// Lets the file grow to so many pages and no further, as a full disk would.
    #[cfg(test)]
    pub(super) fn limit_pages(&self, pages: u32) {
        self.connection
            .pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))
            .expect("the bound can be set");
    }

    /// The same, with another bound.
    #[cfg(test)]
    pub(super) fn trim_to(&mut self, keep: usize) -> usize {
        observed::trim(&mut self.connection, keep).expect("the table is there")
    }

    #[cfg(test)]
    pub(super) fn observations(&self) -> Vec<Observation<String>> {
        observed::all(&self.connection).expect("the table is there")
    }

    #[cfg(test)]
    pub(super) fn decisions(&self, request: &str) -> Vec<Decision> {
        decisions(&self.connection, request).expect("the table is there").expect("so is the request").1
    }

    #[cfg(test)]
    pub(super) fn rows(&self) -> Vec<RequestRecord> {
        find(&self.connection, &HistoryQuery { limit: HistoryQuery::MAX, ..HistoryQuery::default() })
            .expect("the table is there")
    }
}

/// Makes the file if it is missing, for its owner only: SQLite's own files beside it take over its mode.
fn prepare_file(path: &Path) -> Result<(), StoreError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        return Err(StoreError::NoFolder { path: path.to_owned(), folder: folder.to_owned() });
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(source) => Err(StoreError::Create { path: path.to_owned(), source }),
    }
}

/// Makes sure that the file is a database, and ours or empty; the first look at its content.
fn claim(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let failed = |source| StoreError::of(path, source);
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map_err(failed);
    if number("PRAGMA application_id")? == i64::from(APPLICATION_ID) {
        return Ok(());
    }
    if number("SELECT count(*) FROM sqlite_master")? > 0 {
        return Err(StoreError::Foreign { path: path.to_owned() });
    }
    connection.pragma_update(None, "application_id", APPLICATION_ID).map_err(failed)
}

/// Answers `query` from the file at `path`, over a connection of its own that can write nothing.
pub(super) fn find_in(path: &Path, query: &HistoryQuery) -> Result<Vec<RequestRecord>, StoreError> {
    ask(path, |connection| find(connection, query))
}

/// The latest request that is called `request`, with the decisions on it.
pub(super) fn decisions_in(path: &Path, request: &str) -> Result<Option<Decided>, StoreError> {
    ask(path, |connection| decisions(connection, request))
}

fn decisions(connection: &Connection, request: &str) -> rusqlite::Result<Option<Decided>> {
    let sql = format!(
        "SELECT {} FROM requests WHERE id = ?1 OR exchange = ?1 ORDER BY arrived_unix_us DESC, exchange DESC \
         LIMIT 1",
        row::columns_with_decisions()
    );
    connection.query_row(&sql, [request], row::read_with_decisions).optional()
}

/// The own ids of at most two requests whose label or own id begins so; of those with the same label the latest.
pub(super) fn begun_so_in(path: &Path, beginning: &str) -> Result<Vec<String>, StoreError> {
    ask(path, |connection| begun_so(connection, beginning))
}

/// Stops at the second: the beginning of a time, which own ids begin with, may be that of every row.
fn begun_so(connection: &Connection, beginning: &str) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare(
        "WITH labels AS (SELECT DISTINCT id FROM requests WHERE id >= ?1 AND id < ?2 LIMIT 2) \
         SELECT (SELECT max(exchange) FROM requests WHERE requests.id = labels.id) FROM labels \
         UNION SELECT * FROM (SELECT exchange FROM requests WHERE exchange >= ?1 AND exchange < ?2 LIMIT 2) \
         LIMIT 2",
    )?;
    statement.query_map([beginning, &format!("{beginning}{}", char::MAX)], |row| row.get(0))?.collect()
}

/// Every observation, oldest first.
pub(super) fn observations_in(path: &Path) -> Result<Vec<Observation<String>>, StoreError> {
    ask(path, observed::all)
}

fn ask<T>(path: &Path, question: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
    let failed = |source| StoreError::of(path, source);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
    question(&connection).map_err(failed)
}

fn find(connection: &Connection, query: &HistoryQuery) -> rusqlite::Result<Vec<RequestRecord>> {
    let limit = if query.limit == 0 { DEFAULT_LIMIT } else { query.limit.min(HistoryQuery::MAX) };
    let state = query.state.map(|state| state.as_str().to_owned());
    let filters = [
        ("model = ?", &query.model),
        ("backend = ?", &query.backend),
        ("client = ?", &query.client),
        ("state = ?", &state),
    ];
    let mut conditions = vec!["1"];
    let mut values: Vec<&dyn ToSql> = Vec::new();
    for (condition, value) in filters {
        if let Some(value) = value {
            conditions.push(condition);
            values.push(value);
        }
    }
    if let Some(request) = &query.request {
        conditions.push("(id = ? OR exchange = ?)");
        values.extend([request as &dyn ToSql, request]);
    }
    let times =
        [("arrived_unix_us >= ?", &query.since_unix_us), ("arrived_unix_us <= ?", &query.until_unix_us)];
    for (condition, time) in times {
        if let Some(time) = time {
            conditions.push(condition);
            values.push(time);
        }
    }
    values.push(&limit);
    let sql = format!(
        "SELECT {} FROM requests WHERE {} ORDER BY arrived_unix_us DESC, exchange DESC LIMIT ?",
        row::columns(),
        conditions.join(" AND "),
    );
    let mut statement = connection.prepare(&sql)?;
    statement.query_map(values.as_slice(), row::read)?.collect()
}

impl StoreError {
    /// The error of a failed statement or opening, as far as possible with what it means for the reader.
    fn of(path: &Path, source: rusqlite::Error) -> Self {
        let path: PathBuf = path.to_owned();
        match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => Self::NotADatabase { path, source },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked { path, source },
            _ => Self::Use { path, source },
        }
    }
}
