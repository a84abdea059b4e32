//! DB-01..03, 05 and 06: what is on record, for how long, and what a bad disk costs.

use rusqlite::Connection;
use serde_json::json;

use crate::support::{Gate, Script, Setup, Upstream, wait_until};

#[test]
fn db_01_a_row_tells_the_whole_story_of_a_request() {
    let upstream = Upstream::start(&["m"]);
    let instance = Setup::with(&upstream).start();
    let gate = Gate::default();
    upstream.next(Script::json("{\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2}}").after(&gate));
    let call = instance.client().with("x-request-id", "story").start_chat("m");
    upstream.wait_for(1);
    let waiting = instance.client().with("x-request-id", "second").start_chat("m");
    instance.wait_for_queued(1);
    let state_on_record = |id: &str| instance.history(&["--id", id]).first().map(|row| row.state.as_str());
    wait_until("queued and running are on record", || {
        state_on_record("story") == Some("running") && state_on_record("second") == Some("queued")
    });
    gate.open_for_all();
    assert_eq!((call.answer().status, waiting.answer().status), (200, 200));
    let row = instance.ended("story");
    assert_eq!((row.client.as_str(), row.model.as_str(), row.backend.as_str()), ("tester", "m", "b1"));
    assert_eq!(
        (row.state.as_str(), row.http_status, row.upstream_status),
        ("completed", Some(200), Some(200))
    );
    assert_eq!((row.input_tokens, row.output_tokens, row.attempts, row.swap), (Some(5), Some(2), 1, true));
    assert!(row.load_us.is_some() && row.queue_us.is_some() && row.first_byte_us <= row.total_us);
    assert!(row.arrived_unix_us <= row.started_unix_us.unwrap() && row.started_unix_us <= row.ended_unix_us);
    assert!(row.request_bytes > 0 && row.response_bytes > 0 && row.error.is_empty());
    let second = instance.ended("second");
    assert!(!second.swap && second.load_us.is_none() && second.queue_us > row.queue_us);
    let list = instance.history(&[]);
    assert_eq!(
        list.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(),
        ["second", "story"],
        "newest first"
    );
}

#[test]
fn db_01_history_can_be_asked_by_model_backend_state_and_limit() {
    let (first, second) = (Upstream::start(&["a"]), Upstream::start(&["b"]));
    let instance = Setup::with_two(&first, &second).start();
    for model in ["a", "b", "b", "zzz"] {
        instance.client().chat(model);
    }
    let count = |filter: &[&str]| instance.history(filter).len();
    wait_until("all are on record", || count(&[]) == 4);
    assert_eq!(count(&["--model", "b"]), 2);
    assert_eq!(count(&["--backend", "b1"]), 1);
    assert_eq!(count(&["--state", "failed"]), 1);
    assert_eq!(count(&["--limit", "3"]), 3);
    assert_eq!(count(&["--client", "nobody"]), 0);
    let table = instance.order(&["history", "--model", "a"]);
    assert!(table.contains("completed") && table.contains("tester"), "{table}");
}

#[test]
fn db_02_retention_deletes_only_older_rows() {
    let upstream = Upstream::start(&["m"]);
    let setup = Setup::with(&upstream)
        .settings(json!({ "storage": { "history_retention_days": 10, "vacuum_on_start": true } }));
    let mut instance = setup.start();
    for id in ["old", "young"] {
        instance.client().with("x-request-id", id).chat("m");
        instance.ended(id);
    }
    instance.signal(nix::sys::signal::Signal::SIGTERM);
    instance.wait_for_exit();
    let eleven_days_us = 11_i64 * 24 * 3600 * 1_000_000;
    {
        let database = Connection::open(instance.database()).unwrap();
        let changed = database
            .execute(
                "UPDATE requests SET arrived_unix_us = arrived_unix_us - ?1 WHERE id = 'old'",
                [eleven_days_us],
            )
            .unwrap();
        assert_eq!(changed, 1);
    }
    let instance = instance.start_again();
    wait_until("the old row is gone", || instance.history(&[]).len() == 1);
    assert_eq!(instance.history(&[])[0].id, "young");
}

#[test]
fn db_03_the_history_survives_a_restart() {
    let upstream = Upstream::start(&["m"]);
    let instance = Setup::with(&upstream).start();
    let id = instance.client().chat("m").request_id();
    let before = instance.ended(&id);
    let instance = instance.restart();
    assert_eq!(instance.ended(&id), before);
    instance.client().chat("m");
    wait_until("the new one is added", || instance.history(&[]).len() == 2);
}

#[test]
fn db_05_a_locked_database_slows_nobody_and_the_loss_is_counted() {
    let upstream = Upstream::start(&["m"]);
    let instance = Setup::with(&upstream).start();
    let locker = Connection::open(instance.database()).unwrap();
    locker.execute_batch("BEGIN EXCLUSIVE").unwrap();
    for _ in 0..20 {
        assert_eq!(instance.client().chat("m").status, 200);
    }
    wait_until("the loss is counted", || instance.snapshot().counters.history_lost > 0);
    locker.execute_batch("COMMIT").unwrap();
    let id = instance.client().chat("m").request_id();
    assert_eq!(instance.ended(&id).state.as_str(), "completed");
    assert!(instance.order(&["status"]).contains("LOST"));
}

#[test]
fn db_05_a_full_disk_slows_nobody_and_the_loss_is_counted() {
    let upstream = Upstream::start(&["m"]);
    let instance = Setup::with(&upstream).largest_file(400).start();
    wait_until("the loss is counted", || {
        for _ in 0..20 {
            assert_eq!(instance.client().chat("m").status, 200);
        }
        instance.snapshot().counters.history_lost > 0
    });
    assert_eq!(instance.client().start_stream("m").answer().status, 200);
    assert!(
        instance.log().lines().any(|line| line.contains("WARN") && line.contains("history")),
        "{}",
        instance.log()
    );
}

#[test]
fn db_06_rows_of_one_second_are_in_order() {
    let upstream = Upstream::start(&["m"]);
    let instance = Setup::with(&upstream).start();
    let ids: Vec<_> = (0..30).map(|_| instance.client().chat("m").request_id()).collect();
    wait_until("all are on record", || {
        instance.history(&["--limit", "100", "--state", "completed"]).len() == 30
    });
    let listed: Vec<_> = instance.history(&["--limit", "100"]).into_iter().map(|row| row.id).collect();
    assert_eq!(listed.into_iter().rev().collect::<Vec<_>>(), ids);
}
