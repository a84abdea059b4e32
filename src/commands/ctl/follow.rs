//! What `ctl` goes on printing: requests and log lines as they come, and the end of a drain.
//!
//! Ends well on Ctrl-C, when nobody reads what it prints any more, and when the instance has stopped.

use std::collections::BTreeMap;

use ipc_proto::operator::{BackendView, Command, Event, LogLine, RequestRecord, Snapshot, Subscription};

use super::line::{CallError, Line};
use crate::cli::{LogOptions, RequestsOptions};
use crate::report::{self, FAILED, Failure, NOT_RUNNING};
use crate::tables;

/// What comes next.
enum Next {
    Event(Event),
    /// The instance has ended.
    Ended,
    /// Ctrl-C.
    Interrupted,
}

async fn next(line: &mut Line) -> Next {
    tokio::select! {
        event = line.event() => event.map_or(Next::Ended, Next::Event),
        // Where signals cannot be had, the system's own way of ending us is left.
        Ok(()) = tokio::signal::ctrl_c() => Next::Interrupted,
    }
}

/// Subscribes to the requests that `options` are about.
fn of_requests(options: &RequestsOptions) -> Subscription {
    let (model, backend, client) = (options.model.clone(), options.backend.clone(), options.client.clone());
    Subscription { state: true, log: None, model, backend, client }
}

/// The state as far as `options` choose from it; `None` where they leave nothing out.
pub(super) async fn chosen(
    line: &mut Line,
    options: &RequestsOptions,
) -> Result<Option<Box<Snapshot>>, Failure> {
    if options.model.is_none() && options.backend.is_none() && options.client.is_none() {
        return Ok(None);
    }
    let subscribe = Command::Subscribe(of_requests(options));
    line.call(subscribe).await.map_err(CallError::into_failure)?;
    line.call(Command::Unsubscribe).await.map_err(CallError::into_failure)?;
    let snapshot = line.told_before().into_iter().find_map(|event| match event {
        Event::Snapshot(snapshot) => Some(snapshot),
        _ => None,
    });
    Ok(snapshot.map(|snapshot| {
        let chosen = snapshot.requests.len() as u64;
        Box::new(Snapshot { live: chosen, ..*snapshot })
    }))
}

/// Prints the live requests, then each change, until something ends it.
pub(super) async fn requests(mut line: Line, options: RequestsOptions, json: bool) -> Result<(), Failure> {
    let subscribe = Command::Subscribe(of_requests(&options));
    line.call(subscribe).await.map_err(CallError::into_failure)?;
    let mut shown = Shown::default();
    loop {
        let goes_on = match next(&mut line).await {
            Next::Event(Event::Snapshot(snapshot)) => {
                shown.forget_all_but(&snapshot.requests);
                snapshot.requests.iter().all(|record| shown.say(record, json))
            }
            Next::Event(Event::Requests(records)) => records.iter().all(|record| shown.say(record, json)),
            Next::Event(Event::Lagged { missed }) => {
                report::remark(&format!("{missed} changes were missed: this is not read fast enough"));
                true
            }
            Next::Event(_) => true,
            Next::Ended => {
                report::remark("the instance has stopped");
                false
            }
            Next::Interrupted => false,
        };
        if !goes_on {
            return Ok(());
        }
    }
}

/// What was printed last of each live request, so that the same is not printed twice.
#[derive(Default)]
struct Shown(BTreeMap<String, String>);

impl Shown {
    /// Prints a record if there is something new to be seen. `false`: nobody reads any more.
    fn say(&mut self, record: &RequestRecord, json: bool) -> bool {
        let news = tables::standing(record);
        if self.0.get(&record.exchange) == Some(&news) {
            return true;
        }
        if record.state.is_final() {
            self.0.remove(&record.exchange);
        } else {
            self.0.insert(record.exchange.clone(), news);
        }
        if json { report::go_on_json(record) } else { report::go_on(&tables::change(record)) }
    }

    /// Forgets requests of whose end we were not told.
    fn forget_all_but(&mut self, live: &[RequestRecord]) {
        self.0.retain(|exchange, _| live.iter().any(|record| record.exchange == *exchange));
    }
}

/// Prints the latest log lines, and if so wished each new one, until something ends it.
pub(super) async fn log(mut line: Line, options: LogOptions, json: bool) -> Result<(), Failure> {
    let wants = Subscription { log: Some(options.level), ..Subscription::default() };
    line.call(Command::Subscribe(wants)).await.map_err(CallError::into_failure)?;
    if !options.follow {
        // What there was to be told comes before this answer.
        line.call(Command::Unsubscribe).await.map_err(CallError::into_failure)?;
        for event in line.told_before() {
            if let Event::Log(written) = event
                && !say_line(&written, json)
            {
                break;
            }
        }
        return Ok(());
    }
    loop {
        let goes_on = match next(&mut line).await {
            Next::Event(Event::Log(written)) => say_line(&written, json),
            Next::Event(_) => true,
            Next::Ended => {
                report::remark("the instance has stopped");
                false
            }
            Next::Interrupted => false,
        };
        if !goes_on {
            return Ok(());
        }
    }
}

fn say_line(line: &LogLine, json: bool) -> bool {
    if json { report::go_on_json(line) } else { report::go_on(&tables::log_line(line)) }
}

/// Drains a backend and returns when nothing runs there any more, with a sentence about it.
pub(super) async fn drained(line: &mut Line, backend: String) -> Result<String, Failure> {
    let wants = Subscription { state: true, backend: Some(backend.clone()), ..Subscription::default() };
    line.call(Command::Subscribe(wants)).await.map_err(CallError::into_failure)?;
    line.call(Command::Drain { backend: backend.clone() }).await.map_err(CallError::into_failure)?;
    let mut was_draining = false;
    loop {
        let views = match next(line).await {
            Next::Event(Event::Snapshot(snapshot)) => snapshot.backends,
            Next::Event(Event::Backends(views)) => views,
            Next::Event(_) => continue,
            Next::Ended => {
                return Err(Failure::new(
                    format!("the instance ended while {backend} was drained"),
                    NOT_RUNNING,
                ));
            }
            Next::Interrupted => {
                return Err(Failure::new(format!("{backend} may still run something"), FAILED)
                    .with_hint(format!("it takes nothing new until `proxylm ctl undrain {backend}`")));
            }
        };
        let Some(view) = views.into_iter().find(|view| view.name == backend) else { continue };
        if was_draining && !view.draining {
            return Err(Failure::new(format!("{backend} is used again: somebody has undrained it"), FAILED));
        }
        was_draining = view.draining;
        if view.draining && is_idle(&view) {
            return Ok(format!("{backend} takes nothing new; nothing runs there any more"));
        }
    }
}

fn is_idle(view: &BackendView) -> bool {
    view.slots_used == 0 && view.lent == 0
}
