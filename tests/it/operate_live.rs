//! Looking on: `--follow`, the log, pauses and drains that are waited for; and what can be made of the command line.
//!
//! Everything here is local; operators from elsewhere need a key and have tests of their own.

use std::path::Path;
use std::process::{Child, ExitStatus};

use ipc_proto::Role;
use ipc_proto::link;
use ipc_proto::local::{self, RunDir};
use ipc_proto::operator::{Call, Command, Event, RequestRecord, Subscription, ToOperator};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::command::{Lines, PROGRAM, command, run};
use crate::support::instance::OTHER_KEY;
use crate::support::wait::wait_for;
use crate::support::{Client, Gate, Instance, Script, Setup, Upstream, wait_until};

/// A `proxylm ctl` that goes on.
struct Following {
    process: Child,
    out: Lines,
    err: Lines,
}

impl Following {
    fn start(instance: &Instance, arguments: &[&str]) -> Self {
        let run_dir = instance.dir().join("run").display().to_string();
        let all: Vec<_> =
            ["ctl", "--run-dir", &run_dir].into_iter().chain(arguments.iter().copied()).collect();
        let mut process = command(Path::new(PROGRAM), &all).spawn().unwrap();
        let out = Lines::collect(process.stdout.take().unwrap());
        let err = Lines::collect(process.stderr.take().unwrap());
        Self { process, out, err }
    }

    /// Returns the line that has all of `words`, once it is there.
    #[track_caller]
    fn wait_for_line(&self, words: &[&str]) -> String {
        let fits = |line: &str| words.iter().all(|word| line.contains(word)).then(|| line.to_owned());
        self.out
            .wait_for(fits)
            .unwrap_or_else(|| panic!("no line with {words:?}:\n{}\n{}", self.out.text(), self.err.text()))
    }

    #[track_caller]
    fn wait_for_exit(&mut self) -> ExitStatus {
        wait_for(|| self.process.try_wait().unwrap()).expect("it ends")
    }

    #[track_caller]
    fn interrupt(mut self) {
        kill(Pid::from_raw(i32::try_from(self.process.id()).unwrap()), Signal::SIGINT).unwrap();
        assert!(self.wait_for_exit().success(), "Ctrl-C is a clean end");
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        // One that has ended already cannot be killed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_follower_sees_requests_come_run_and_end() {
    let upstream = Upstream::start(&["m"]);
    let mut instance = Setup::with(&upstream).start();
    let gate = Gate::default();
    upstream.next(Script::json("{}").after(&gate));
    let first = instance.client().with("x-request-id", "first-1").start_chat("m");
    upstream.wait_for(1);
    let people = Following::start(&instance, &["requests", "--follow"]);
    people.wait_for_line(&["first-1", "running", "b1"]);
    let mut scripts = Following::start(&instance, &["requests", "--follow", "--json", "--model", "m"]);
    scripts.wait_for_line(&["first-1"]);
    let strangers = Following::start(&instance, &["requests", "--follow", "--client", "other"]);
    let second = instance.client().with("x-request-id", "second-2").start_chat("m");
    people.wait_for_line(&["second-2", "queued"]);
    gate.open_for_all();
    assert_eq!((first.answer().status, second.answer().status), (200, 200));
    people.wait_for_line(&["first-1", "completed", "200"]);
    people.wait_for_line(&["second-2", "completed"]);
    scripts.wait_for_line(&["second-2", "\"completed\""]);
    let records: Vec<RequestRecord> = scripts
        .out
        .text()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    let ended = records.iter().filter(|record| record.id == "first-1" && record.state.is_final());
    assert_eq!(ended.count(), 1, "an end is told once");
    let other = Client::new(instance.address(), OTHER_KEY);
    assert_eq!(other.with("x-request-id", "third-3").chat("m").status, 200);
    strangers.wait_for_line(&["third-3", "completed"]);
    assert!(!strangers.out.text().contains("second-2"), "what was filtered out is not shown");
    people.interrupt();
    instance.order(&["stop"]);
    assert!(scripts.wait_for_exit().success(), "the end of the instance is a clean end");
    assert!(scripts.err.wait_for(|line| line.contains("stopped").then_some(())).is_some());
    assert!(instance.wait_for_exit().success());
    assert_eq!(instance.ctl(&["requests", "--follow"]).code, 3);
    assert_eq!(instance.ctl(&["log"]).code, 3);
}

#[test]
fn live_requests_can_be_chosen() {
    let (first, second) = (Upstream::start(&["a"]), Upstream::start(&["b"]));
    let instance = Setup::with_two(&first, &second).start();
    first.next(Script::hang());
    let _call = instance.client().start_chat("a");
    first.wait_for(1);
    let count = |filter: &[&str]| {
        let arguments: Vec<_> = ["requests", "--json"].into_iter().chain(filter.iter().copied()).collect();
        serde_json::from_str::<Vec<RequestRecord>>(&instance.order(&arguments)).unwrap().len()
    };
    wait_until("it runs", || count(&["--backend", "b1"]) == 1);
    assert_eq!((count(&["--backend", "b2"]), count(&["--model", "a"]), count(&["--model", "b"])), (0, 1, 0));
    assert_eq!((count(&["--client", "tester"]), count(&["--client", "other"])), (1, 0));
}

#[test]
fn pause_lets_what_runs_finish_and_what_comes_wait() {
    let upstream = Upstream::start(&["m"]);
    let instance = Setup::with(&upstream).settings(json!({ "scheduler": { "max_queue": 1 } }));
    let instance = instance.start();
    let gate = Gate::default();
    upstream.next(Script::json("{}").after(&gate));
    let running = instance.client().start_chat("m");
    upstream.wait_for(1);
    instance.order(&["pause"]);
    assert!(instance.order(&["status"]).contains(", paused, up "));
    gate.open_for_all();
    assert_eq!(running.answer().status, 200);
    let waiting = instance.client().start_chat("m");
    instance.wait_for_queued(1);
    assert_eq!(instance.client().chat("m").status, 429, "the queue has its bound as ever");
    assert_eq!(upstream.count(), 1);
    instance.order(&["resume"]);
    assert_eq!(waiting.answer().status, 200);
    assert_eq!(instance.snapshot().instance.phase, "running");
}

#[test]
fn a_drain_can_be_waited_for() {
    let upstream = Upstream::start(&["m"]);
    let instance = Setup::with(&upstream).start();
    let gate = Gate::default();
    upstream.next(Script::json("{}").after(&gate));
    let running = instance.client().start_chat("m");
    upstream.wait_for(1);
    let mut draining = Following::start(&instance, &["drain", "b1", "--wait"]);
    wait_until("it is drained", || instance.backend("b1").draining);
    assert!(draining.process.try_wait().unwrap().is_none(), "something runs there");
    gate.open_for_all();
    assert_eq!(running.answer().status, 200);
    assert!(draining.wait_for_exit().success());
    draining.wait_for_line(&["b1", "nothing runs there"]);
    assert_eq!(instance.ctl(&["drain", "b1", "--wait"]).code, 0, "nor does it wait for nothing");
    let unknown = instance.ctl(&["drain", "b9", "--wait"]);
    assert_eq!(unknown.code, 1);
    assert!(unknown.err.contains("b1"), "{unknown:?}");
}

#[test]
fn the_log_of_all_processes_is_shown_and_followed() {
    let upstream = Upstream::start(&["m"]);
    let instance = Setup::with(&upstream).start();
    let before = instance.order(&["log"]);
    assert!(before.contains("supervisor: ") && before.contains("backend up"), "{before}");
    assert!(!before.contains("debug"), "{before}");
    let mut following = Following::start(&instance, &["log", "--follow", "--level", "debug"]);
    following.wait_for_line(&["backend up"]);
    let quiet = Following::start(&instance, &["log", "--follow", "--level", "error", "--json"]);
    assert_eq!(instance.client().with("x-request-id", "logged-2").chat("m").status, 200);
    following.wait_for_line(&["info", "request ended", "logged-2"]);
    instance.kill_worker("b1");
    following.wait_for_line(&["warning", "a child was lost"]);
    instance.wait_for_health("b1", "up");
    let lines = instance.order(&["log", "--json", "--level", "warning"]);
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(!lines.is_empty() && lines.iter().all(|line| line["level"] == "warning"), "{lines:?}");
    assert_eq!(quiet.out.text(), "");
    assert!(!following.out.text().contains(crate::support::KEY));
    // A reader that goes away ends it: with its next line.
    following.process.kill().unwrap();
    assert_eq!(instance.ctl(&["log", "--level", "loud"]).code, 2);
}

#[test]
fn a_request_is_shown_with_all_that_is_known() {
    let upstream = Upstream::start(&["m"]);
    let instance = Setup::with(&upstream).start();
    instance.client().with("x-request-id", "shown-1").chat("m");
    instance.ended("shown-1");
    let text = instance.order(&["show", "shown"]);
    for word in ["shown-1", "completed", "tester", "b1", "total_us"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let record: RequestRecord =
        serde_json::from_str(&instance.order(&["show", "shown-1", "--json"])).unwrap();
    assert_eq!(record.id, "shown-1");
    let unknown = instance.ctl(&["show", "nobody"]);
    assert!(unknown.code == 1 && unknown.err.contains("hint: "), "{unknown:?}");
}

#[test]
fn the_history_is_given_by_time_and_as_comma_separated_values() {
    let upstream = Upstream::start(&["m"]);
    let instance = Setup::with(&upstream).start();
    for number in 0..5 {
        instance.client().with("x-request-id", &format!("past-{number}")).chat("m");
    }
    instance.ended("past-4");
    assert_eq!(instance.history(&["--since", "1h", "--limit", "100"]).len(), 5);
    assert_eq!(instance.history(&["--until", "1h"]).len(), 0);
    assert_eq!(instance.history(&["--limit", "3"]).len(), 3);
    let csv = instance.order(&["history", "--csv", "--limit", "2"]);
    let lines: Vec<_> = csv.lines().collect();
    assert!(lines[0].starts_with("id,exchange,client,model,endpoint,"), "{csv}");
    assert!(lines.len() == 3 && lines[1].starts_with("past-4,") && lines[1].contains(",completed,"), "{csv}");
    assert_eq!(instance.ctl(&["history", "--csv", "--json"]).code, 2);
    assert_eq!(instance.ctl(&["history", "--since", "yesterday"]).code, 2);
}

#[test]
fn completions_and_manual_pages_are_made_without_an_instance() {
    let bash = run(&["completions", "bash"]);
    assert!(bash.code == 0 && bash.out.contains("undrain") && !bash.out.contains("__worker"), "{bash:?}");
    assert_eq!(run(&["completions", "cmd.exe"]).code, 2);
    let page = run(&["man"]);
    assert!(page.code == 0 && page.out.contains(".TH proxylm"), "{page:?}");
    let folder = TempDir::new().unwrap();
    let said = run(&["man", "--out", folder.path().to_str().unwrap()]);
    assert_eq!(said.code, 0, "{said:?}");
    for name in ["proxylm.1", "proxylm-ctl.1", "proxylm-ctl-drain.1", "proxylm-serve.1"] {
        assert!(folder.path().join(name).exists(), "{name}");
    }
    let nowhere = run(&["man", "--out", "/nowhere/at/all"]);
    assert!(nowhere.code == 1 && nowhere.err.contains("hint: "), "{nowhere:?}");
}

#[test]
fn ws_03_an_operator_that_does_not_read_costs_nobody_anything() {
    let upstream = Upstream::start(&["m"]);
    let instance = Setup::with(&upstream).start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let run_dir = RunDir::at(instance.dir().join("run"));
    runtime.block_on(async {
        let mut stream = local::connect(&run_dir.supervisor_socket()).await.unwrap();
        link::greet(&mut stream, Role::Operator).await.unwrap();
        let (outbox, mut inbox, writer) = link::open::<Call, ToOperator, _>(stream);
        let wants = Subscription { state: true, ..Subscription::default() };
        outbox.send(&Call { id: 1, command: Command::Subscribe(wants) }).unwrap();
        tokio::select! {
            written = writer.run() => written.unwrap(),
            () = outbox.written() => {}
        }
        // From here on it does not read. Names that nobody serves make long records, and cost no backend anything.
        let following = Following::start(&instance, &["requests", "--follow"]);
        let client = instance.client();
        let name = "n".repeat(500);
        for number in 0..1200 {
            let label = format!("{number:04}-{}", "l".repeat(50));
            assert_eq!(client.with("x-request-id", &label).chat(&name).status, 404);
        }
        following.wait_for_line(&["1199-l", "failed"]);
        assert_eq!(client.chat("m").status, 200);
        // Now it reads: old news, then that it missed some, and everything as it is.
        let mut has_missed = false;
        loop {
            let Some(ToOperator::Event(event)) = inbox.recv().await.unwrap() else { continue };
            match *event {
                Event::Lagged { missed } => has_missed = missed > 0,
                Event::Snapshot(snapshot) if has_missed => {
                    assert_eq!(snapshot.counters.admitted, 1201);
                    break;
                }
                _ => {}
            }
        }
    });
}
