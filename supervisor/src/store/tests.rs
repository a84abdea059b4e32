use std::path::Path;

use dialect::Endpoint;
use ipc_proto::operator::RequestState;
use rusqlite::Connection;

use super::*;

mod observations;

/// Longer than anything takes here: a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(30);

fn record(number: u32, state: RequestState) -> RequestRecord {
    RequestRecord {
        id: format!("label-{number}"),
        exchange: format!("exchange-{number:08}"),
        client: "laptop".to_owned(),
        model: "small".to_owned(),
        endpoint: Endpoint::Messages,
        stream: true,
        state,
        backend: "desk".to_owned(),
        attempts: 2,
        swap: true,
        last_failed_backend: "attic".to_owned(),
        http_status: Some(200),
        upstream_status: Some(200),
        class: ipc_proto::control::Class::Batch,
        reason: "claim_overdue".to_owned(),
        waiting: None,
        error_code: String::new(),
        error: String::new(),
        warnings: String::new(),
        arrived_unix_us: 1_700_000_000_000_000 + i64::from(number),
        started_unix_us: Some(1_700_000_000_000_001),
        ended_unix_us: None,
        queue_us: Some(1),
        load_us: Some(2),
        first_byte_us: Some(3),
        total_us: Some(4),
        input_tokens: Some(5),
        output_tokens: Some(6),
        cached_tokens: Some(7),
        reasoning_tokens: None,
        request_bytes: 8,
        response_bytes: 9,
    }
}

fn batch(records: impl IntoIterator<Item = RequestRecord>) -> Batch {
    Batch { records: records.into_iter().map(|record| (record, None)).collect(), ..Batch::default() }
}

fn settings(path: &Path) -> StoreSettings {
    StoreSettings { path: path.to_owned(), retention_days: None, vacuum_on_start: false }
}

fn open(path: &Path) -> Store {
    Store::open(&settings(path), Clock::start()).unwrap()
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    (folder, path)
}

async fn all(store: &Store) -> Vec<RequestRecord> {
    store.reader.flush(PATIENCE).await;
    let query = HistoryQuery { limit: HistoryQuery::MAX, ..HistoryQuery::default() };
    store.reader().find(query).await.unwrap()
}

#[tokio::test]
async fn db_01_a_request_is_one_row_from_queue_to_end() {
    let (_folder, path) = place();
    let store = open(&path);
    for state in [RequestState::Queued, RequestState::Running] {
        store.save(record(1, state));
        assert_eq!(all(&store).await, [record(1, state)]);
    }
    let ended = RequestRecord {
        ended_unix_us: Some(1_700_000_000_500_000),
        reasoning_tokens: Some(11),
        error_code: "stream_aborted".to_owned(),
        ..record(1, RequestState::Failed)
    };
    store.save(ended.clone());
    assert_eq!(all(&store).await, std::slice::from_ref(&ended));
    assert!(store.close(PATIENCE).await);
    let store = open(&path);
    assert_eq!(all(&store).await, [ended], "an ended request is left alone by a restart");
}

#[tokio::test]
async fn rows_left_open_are_ended_at_the_next_start() {
    let (_folder, path) = place();
    let store = open(&path);
    store.save(record(1, RequestState::Queued));
    store.save(record(2, RequestState::Running));
    store.save(record(3, RequestState::Completed));
    assert!(store.close(PATIENCE).await);
    let store = open(&path);
    let found = all(&store).await;
    let ends: Vec<_> =
        found.iter().map(|row| (row.state, row.error_code.as_str(), row.ended_unix_us.is_some())).collect();
    let restarted = (RequestState::Cancelled, "restarted", true);
    assert_eq!(ends, [(RequestState::Completed, "", false), restarted, restarted]);
}

#[test]
fn of_several_records_of_one_request_in_a_batch_the_last_one_counts() {
    let mut database = Database::in_memory();
    let states = [RequestState::Queued, RequestState::Running, RequestState::Completed];
    database.write(&batch(states.map(|state| record(1, state)))).unwrap();
    assert_eq!(database.rows(), [record(1, RequestState::Completed)]);
}

#[test]
fn db_02_retention_takes_only_what_is_older_oldest_first() {
    let mut database = Database::in_memory();
    let rows: Vec<_> = (1..=6).map(|number| record(number, RequestState::Completed)).collect();
    database.write(&batch(rows.clone())).unwrap();
    let border = rows[3].arrived_unix_us;
    assert_eq!(database.forget(border, 2).unwrap(), 2);
    assert_eq!(database.rows().last(), Some(&rows[2]), "the oldest two went first");
    assert_eq!(database.forget(border, 2).unwrap(), 1);
    assert_eq!(database.forget(border, 2).unwrap(), 0);
    assert_eq!(database.rows().last(), Some(&rows[3]), "the border itself stays");
    database.vacuum().unwrap();
}

#[tokio::test]
async fn db_02_the_thread_forgets_by_days_and_zero_days_are_for_ever() {
    for (days, left) in [(Some(1), 0), (Some(0), 1), (None, 1)] {
        let (_folder, path) = place();
        let store = open(&path);
        // From 2023.
        store.save(record(1, RequestState::Completed));
        assert!(store.close(PATIENCE).await);
        let settings = StoreSettings { retention_days: days, vacuum_on_start: true, ..settings(&path) };
        let store = Store::open(&settings, Clock::start()).unwrap();
        // The first round of the thread forgets; the second flush is answered after it.
        store.reader.flush(PATIENCE).await;
        assert_eq!(all(&store).await.len(), left, "{days:?}");
    }
}

#[tokio::test]
async fn db_03_an_empty_file_is_migrated_and_belongs_to_its_owner_alone() {
    let (_folder, path) = place();
    assert!(open(&path).close(PATIENCE).await);
    assert!(open(&path).close(PATIENCE).await, "a second time is a no-op");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn a_file_that_cannot_be_the_history_is_refused_with_its_name_and_a_way_out() {
    let (folder, path) = place();
    let refusal = |path: &Path| Store::open(&settings(path), Clock::start()).unwrap_err();

    std::fs::write(&path, "this is a letter to my aunt, and it is long enough to have a header".repeat(20))
        .unwrap();
    let error = refusal(&path);
    assert!(matches!(error, StoreError::NotADatabase { .. }), "{error:?}");
    assert!(error.to_string().contains("history.db"), "{error}");
    assert!(error.hint().unwrap().contains("storage.database_path"));

    let foreign = folder.path().join("foreign.db");
    Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE requests (id TEXT)").unwrap();
    assert!(matches!(refusal(&foreign), StoreError::Foreign { .. }));

    let newer = folder.path().join("newer.db");
    drop(Database::open(&newer).unwrap());
    Connection::open(&newer).unwrap().pragma_update(None, "user_version", 99).unwrap();
    assert!(matches!(refusal(&newer), StoreError::Newer { .. }));

    assert!(matches!(refusal(&folder.path().join("missing/history.db")), StoreError::NoFolder { .. }));
    assert!(matches!(refusal(folder.path()), StoreError::Use { .. }), "a folder is no database");
}

#[tokio::test]
async fn two_instances_do_not_share_a_history() {
    let (_folder, path) = place();
    let first = open(&path);
    let error = Store::open(&settings(&path), Clock::start()).unwrap_err();
    assert!(matches!(error, StoreError::InUse { pid: Some(_), .. }), "{error:?}");
    assert!(error.hint().unwrap().contains("storage.database_path"));
    assert!(first.close(PATIENCE).await);
    open(&path);
}

#[tokio::test]
async fn db_05_a_locked_file_slows_nobody_and_what_is_lost_is_counted() {
    let (_folder, path) = place();
    let store = open(&path);
    store.save(record(0, RequestState::Completed));
    store.reader.flush(PATIENCE).await;

    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let rows = 3 * u32::try_from(CAPACITY).unwrap();
    for number in 1..=rows {
        // Would hang here if it waited: nobody gives the lock back in the meantime.
        store.save(record(number, RequestState::Completed));
    }
    let lost_while_locked = store.lost();
    assert!(lost_while_locked > 0);
    let query = HistoryQuery { request: Some("label-0".to_owned()), ..HistoryQuery::default() };
    assert_eq!(store.reader().find(query).await.unwrap().len(), 1, "reading goes on");

    other.execute_batch("COMMIT").unwrap();
    drop(other);
    let store = {
        let lost = Arc::clone(&store.shared);
        assert!(store.close(PATIENCE).await);
        lost
    };
    let written: u64 = Connection::open(&path)
        .unwrap()
        .query_row("SELECT count(*) FROM requests", [], |row| row.get::<_, u32>(0))
        .unwrap()
        .into();
    assert_eq!(written + store.lost(), u64::from(rows) + 1, "every row is either there or counted");
}

#[tokio::test]
async fn db_05_a_full_disk_costs_rows_and_the_thread_goes_on() {
    let (_folder, path) = place();
    let database = Database::open(&path).unwrap();
    database.limit_pages(12);
    let store = Store::start(database, &settings(&path), Clock::start()).unwrap();
    for number in 0..400 {
        store.save(RequestRecord { error: "x".repeat(500), ..record(number, RequestState::Failed) });
    }
    store.reader.flush(PATIENCE).await;
    assert_eq!(store.lost(), 400, "a batch is written whole or not at all");
    store.save(record(1000, RequestState::Completed));
    assert_eq!(all(&store).await.len(), 1);
}

#[tokio::test]
async fn db_06_rows_of_one_second_and_of_one_microsecond_are_in_order() {
    let (_folder, path) = place();
    let store = open(&path);
    let arrivals = [100_000, 0, 999_999, 5, 5, 50_000];
    for (number, micros) in (0..).zip(arrivals) {
        let arrived_unix_us = 1_700_000_000_000_000 + micros;
        store.save(RequestRecord { arrived_unix_us, ..record(number, RequestState::Completed) });
    }
    let order: Vec<_> = all(&store).await.into_iter().map(|row| row.id).collect();
    assert_eq!(order, ["label-2", "label-0", "label-5", "label-4", "label-3", "label-1"]);
}

#[tokio::test]
async fn questions_are_filtered_and_bounded() {
    let (_folder, path) = place();
    let store = open(&path);
    for number in 0..150 {
        store.save(record(number, RequestState::Completed));
    }
    let other = RequestRecord {
        model: "large".to_owned(),
        backend: "attic".to_owned(),
        client: "phone".to_owned(),
        ..record(200, RequestState::Failed)
    };
    store.save(other.clone());
    let none = HistoryQuery::default();
    assert_eq!(store.reader().find(none.clone()).await.unwrap().len(), 100, "unless asked, a hundred");
    let large = Some("large".to_owned());
    for query in [
        HistoryQuery { model: large.clone(), ..none.clone() },
        HistoryQuery { backend: Some("attic".to_owned()), ..none.clone() },
        HistoryQuery { client: Some("phone".to_owned()), model: large, ..none.clone() },
        HistoryQuery { state: Some(RequestState::Failed), ..none.clone() },
        HistoryQuery { request: Some("label-200".to_owned()), ..none.clone() },
        HistoryQuery { request: Some(other.exchange.clone()), ..none.clone() },
        HistoryQuery { limit: 1, ..none },
    ] {
        let found = store.reader().find(query.clone()).await.unwrap();
        assert_eq!(found, std::slice::from_ref(&other), "{query:?}");
    }
}
