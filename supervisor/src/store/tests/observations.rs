//! What attempts teach, kept and trimmed; decisions on requests; the way from the first schema.

use ipc_proto::control::Class;
use ipc_proto::ids::{BackendId, ModelName};
use ipc_proto::operator::{Candidate, LearnedView};

use super::*;
use crate::scheduler::learner::{KEPT, KEPT_LOADS, Learner};

fn observation(backend: &str, number: u64, loaded: bool) -> Observation<String> {
    Observation {
        backend: backend.to_owned(),
        model: ModelName::new("small"),
        endpoint: Endpoint::ChatCompletions,
        input_tokens: Some(number),
        output_tokens: Some(10 + number),
        total_us: 1000 * (number + 1),
        first_byte_us: Some(number),
        loaded,
        after_load: false,
        concurrent: 3,
    }
}

fn taught(observations: &[Observation<String>]) -> Vec<LearnedView> {
    let mut learner = Learner::default();
    learner.backend(BackendId(0), "desk");
    learner.refill(observations.iter().map(|observation| observation.clone().at(BackendId(0))));
    learner.figures()
}

#[tokio::test]
async fn perf_13_what_was_learned_survives_a_restart() {
    let (_folder, path) = place();
    let store = open(&path);
    let vector =
        [(100, 50, 900, true), (200, 100, 1500, false), (150, 80, 1300, false), (300, 120, 2100, false)];
    let seen = vector.map(|(input, output, ms, loaded)| Observation {
        input_tokens: Some(input),
        output_tokens: Some(output),
        total_us: ms * 1000,
        ..observation("desk", 0, loaded)
    });
    for observation in &seen {
        store.observed(observation.clone());
    }
    assert!(store.close(PATIENCE).await);
    let store = open(&path);
    let kept = store.observations().unwrap();
    assert_eq!(kept, seen);
    let figures = taught(&kept);
    assert_eq!((figures[0].samples, figures[0].loads, figures[0].fitted), (4, 1, true));
    assert!((figures[0].load_ms - 113.013_707).abs() < 0.01, "{figures:?}");
    assert_eq!(figures, taught(&seen));
    assert_eq!(store.lost(), 0);
}

#[test]
fn everything_about_an_observation_is_kept() {
    let mut database = Database::in_memory();
    let full = observation("desk", 1, true);
    let bare = Observation {
        endpoint: Endpoint::Embeddings,
        input_tokens: None,
        output_tokens: None,
        first_byte_us: None,
        loaded: false,
        after_load: true,
        concurrent: 1,
        ..full.clone()
    };
    let observations = vec![full, bare];
    database.write(&Batch { observations: observations.clone(), ..Batch::default() }).unwrap();
    assert_eq!(database.observations(), observations);
}

#[test]
fn perf_13_the_newest_of_each_key_are_kept() {
    let mut database = Database::in_memory();
    let mixed: Vec<_> = (0..10)
        .flat_map(|number| {
            let attic = (number < 4).then(|| observation("attic", number, false));
            [Some(observation("desk", number, false)), attic]
        })
        .flatten()
        .collect();
    database.write(&Batch { observations: mixed.clone(), ..Batch::default() }).unwrap();
    assert_eq!(database.trim_to(5), 5);
    let kept: Vec<_> = mixed
        .into_iter()
        .filter(|observation| observation.backend == "attic" || observation.input_tokens >= Some(5))
        .collect();
    assert_eq!(database.observations(), kept, "in the order in which they came");
    assert_eq!(database.trim_to(5), 0);
}

#[test]
fn of_the_loads_a_few_are_kept_however_old() {
    let mut database = Database::in_memory();
    let loads = KEPT_LOADS as u64 + 2;
    let observations: Vec<_> = (0..20).map(|number| observation("desk", number, number < loads)).collect();
    database.write(&Batch { observations, ..Batch::default() }).unwrap();
    assert_eq!(database.trim_to(3), 20 - 3 - KEPT_LOADS);
    let numbers: Vec<_> = database.observations().iter().filter_map(|kept| kept.input_tokens).collect();
    assert_eq!(numbers, [2, 3, 4, 5, 6, 17, 18, 19]);
}

#[tokio::test]
async fn perf_13_the_start_trims_to_a_thousand() {
    let (_folder, path) = place();
    let mut database = Database::open(&path).unwrap();
    let observations = (0..KEPT as u64 + 40).map(|number| observation("desk", number, false)).collect();
    database.write(&Batch { observations, ..Batch::default() }).unwrap();
    drop(database);
    let kept = open(&path).observations().unwrap();
    assert_eq!((kept.len(), kept[0].input_tokens), (KEPT, Some(40)));
}

#[tokio::test]
async fn a_busy_instance_trims_as_it_goes() {
    let (_folder, path) = place();
    let store = open(&path);
    let mut sent = 0;
    // Two rounds of what the thread gathers before it trims.
    while sent < 2 * u64::try_from(writer::TRIM_AFTER).unwrap() {
        for _ in 0..1000 {
            store.observed(observation("desk", sent, false));
            sent += 1;
        }
        store.reader.flush(PATIENCE).await;
    }
    assert_eq!(store.lost(), 0);
    let rows = store.observations().unwrap().len();
    assert!(rows < writer::TRIM_AFTER + 2 * KEPT, "{rows} of {sent}");
}

fn decision(reason: &str) -> Decision {
    Decision {
        at_unix_us: 1_700_000_000_000_000,
        chosen: "desk".to_owned(),
        reason: reason.to_owned(),
        position: Some(3),
        estimated_wait_ms: None,
        candidates: vec![Candidate {
            backend: "desk".to_owned(),
            verdict: "holds the model, 1 of 4 slots free".to_owned(),
            eligible: true,
            holds_model: true,
            load_ms: 0,
            service_ms: 1200,
            score: Some(0.1),
        }],
    }
}

#[tokio::test]
async fn decisions_come_back_with_their_request() {
    let (_folder, path) = place();
    let store = open(&path);
    let reader = store.reader();
    let ask = async |request: &str| reader.decisions(request.to_owned()).await.unwrap();
    assert_eq!(ask("label-1").await, None);
    store.save(record(1, RequestState::Queued));
    assert_eq!(ask("label-1").await, Some((record(1, RequestState::Queued), Vec::new())));
    let waits = vec![decision("waits")];
    store.save_with(record(1, RequestState::Running), waits.clone());
    let running = Some((record(1, RequestState::Running), waits.clone()));
    assert_eq!(ask("label-1").await, running);
    assert_eq!(ask("exchange-00000001").await, running);
    store.save(record(1, RequestState::Completed));
    assert_eq!(ask("label-1").await, Some((record(1, RequestState::Completed), waits)), "no news");
    let all = vec![decision("waits"), decision("loaded")];
    store.save_with(record(1, RequestState::Completed), all.clone());
    assert_eq!(ask("label-1").await, Some((record(1, RequestState::Completed), all.clone())));
    // A client that repeats its label asks for its latest request.
    let repeated = RequestRecord { id: "label-1".to_owned(), ..record(2, RequestState::Queued) };
    store.save(repeated.clone());
    assert_eq!(ask("label-1").await, Some((repeated, Vec::new())));
    assert_eq!(ask("exchange-00000001").await, Some((record(1, RequestState::Completed), all)));
}

#[tokio::test]
async fn a_request_is_found_by_the_beginning_of_its_label_or_id() {
    let (_folder, path) = place();
    let store = open(&path);
    for number in [1, 2, 10] {
        store.save(record(number, RequestState::Completed));
    }
    let repeated = RequestRecord { id: "label-1".to_owned(), ..record(20, RequestState::Completed) };
    store.save(repeated);
    let reader = store.reader();
    let ask = async |beginning: &str| reader.begun_so(beginning.to_owned()).await.unwrap();
    let exchange = |number| record(number, RequestState::Completed).exchange;
    assert_eq!(ask("label-2").await, [exchange(2)]);
    assert_eq!(ask("label-10").await, [exchange(10)]);
    assert_eq!(ask("label-").await.len(), 2, "three are meant, which is as good as two");
    assert_eq!(ask("label-1").await, [exchange(10), exchange(20)], "the latest of one label, and another");
    let own = exchange(10);
    assert_eq!(ask(&own[..own.len() - 1]).await, [own]);
    assert_eq!(ask("exchange").await.len(), 2);
    assert_eq!(ask("abel-2").await, [""; 0], "the beginning, not some part");
    assert_eq!(ask("label-%").await, [""; 0], "to the letter");
}

#[test]
fn decisions_are_not_lost_to_a_later_record_of_the_same_batch() {
    let mut database = Database::in_memory();
    let decided = |reason| Some(vec![decision(reason)]);
    let records = vec![
        (record(1, RequestState::Queued), decided("waits")),
        (record(1, RequestState::Running), decided("loaded")),
        (record(1, RequestState::Completed), None),
    ];
    database.write(&Batch { records, ..Batch::default() }).unwrap();
    assert_eq!(database.rows(), [record(1, RequestState::Completed)]);
    assert_eq!(database.decisions("label-1"), [decision("loaded")]);
}

#[tokio::test]
async fn db_03_the_rows_of_the_first_schema_survive() {
    let (_folder, path) = place();
    let old = Connection::open(&path).unwrap();
    old.execute_batch(include_str!("../migrations/001_requests.sql")).unwrap();
    old.execute_batch("PRAGMA application_id = 0x706c6d31; PRAGMA user_version = 1").unwrap();
    old.execute_batch(
        "INSERT INTO requests VALUES ('exchange-00000007', 'label-7', 'laptop', 'small', 'messages', 1, \
         1700000000000007, 8, 'completed', 'desk', 2, 1, 'attic', 200, 200, '', '', 1700000000000001, NULL, \
         1, 2, 3, 4, 5, 6, 7, NULL, 9)",
    )
    .unwrap();
    drop(old);
    let store = open(&path);
    let expected = RequestRecord {
        class: Class::Interactive,
        reason: String::new(),
        ..record(7, RequestState::Completed)
    };
    assert_eq!(all(&store).await, std::slice::from_ref(&expected));
    let asked = store.reader().decisions("label-7".to_owned()).await.unwrap();
    assert_eq!(asked, Some((expected, Vec::new())));
    assert_eq!(store.observations().unwrap(), []);
    store.observed(observation("desk", 1, true));
    store.save(record(8, RequestState::Completed));
    assert_eq!(all(&store).await[0], record(8, RequestState::Completed));
    assert_eq!(store.observations().unwrap(), [observation("desk", 1, true)]);
}
