//! Hands log lines to whoever listens from afar: operators of this instance.
//!
//! Costs nothing while nobody listens: the places that log are told so, and do not even put a line together.

use std::error::Error;
use std::fmt::{self, Write as _};
use std::time::{SystemTime, UNIX_EPOCH};

use ipc_proto::operator::{LogLevel, LogLine};
use ipc_proto::tap;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter, Layer};

use super::OURS;

/// The supervisor's lines about the end of single requests.
const OF_REQUESTS: &str = "proxylm::request";
/// Where those lines come from, in an operator's eyes.
const REQUESTS: &str = "request";
/// The longest line, in bytes.
const LONGEST: usize = 4096;

/// Hands over what passes [`WhatIsWanted`].
pub(super) struct Overheard;

impl<S: Subscriber> Layer<S> for Overheard {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let Some(level) = level_of(*event.metadata().level()) else { return };
        let mut words = Words::default();
        event.record(&mut words);
        let source = if event.metadata().target() == OF_REQUESTS { REQUESTS } else { "" };
        tap::put(LogLine { unix_us: now_unix_us(), level, source: source.to_owned(), message: words.line() });
    }
}

#[expect(clippy::disallowed_methods, reason = "a line of the log says when it was written")]
fn now_unix_us() -> i64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_1970.as_micros()).unwrap_or(i64::MAX)
}

/// Lets through what operators want to hear now.
pub(super) struct WhatIsWanted;

impl WhatIsWanted {
    fn passes(metadata: &Metadata<'_>) -> bool {
        let (Some(least), Some(level)) = (tap::least(), level_of(*metadata.level())) else { return false };
        let is_of_requests = metadata.target() == OF_REQUESTS;
        let is_ours = OURS.iter().any(|name| {
            let rest = metadata.target().strip_prefix(name);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        });
        metadata.is_event()
            && level >= least
            && (is_ours || level >= LogLevel::Warning)
            && (!is_of_requests || tap::takes_requests())
    }
}

impl<S> Filter<S> for WhatIsWanted {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        Self::passes(metadata)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if Self::passes(metadata) { Interest::always() } else { Interest::never() }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(tap::least().map_or(LevelFilter::OFF, |least| match least {
            LogLevel::Debug => LevelFilter::DEBUG,
            LogLevel::Info => LevelFilter::INFO,
            LogLevel::Warning => LevelFilter::WARN,
            LogLevel::Error => LevelFilter::ERROR,
        }))
    }
}

/// `None` for what nobody can ask for.
fn level_of(level: Level) -> Option<LogLevel> {
    match level {
        Level::ERROR => Some(LogLevel::Error),
        Level::WARN => Some(LogLevel::Warning),
        Level::INFO => Some(LogLevel::Info),
        Level::DEBUG => Some(LogLevel::Debug),
        _ => None,
    }
}

/// An event in words: what it says, then its fields.
#[derive(Default)]
struct Words {
    message: String,
    fields: String,
}

impl Words {
    fn field(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        // Writing to a text cannot fail.
        let _ = match field.name() {
            "message" => self.message.write_fmt(value),
            name => write!(self.fields, " {name}={value}"),
        };
    }

    /// All on one line that moves no cursor, and no longer than is useful.
    fn line(self) -> String {
        let mut line: String =
            (self.message + &self.fields).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        if line.len() > LONGEST {
            line.truncate(line.floor_char_boundary(LONGEST));
            line.push('…');
        }
        line
    }
}

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.field(field, format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let is_word = !value.is_empty() && !value.contains(|c: char| c.is_whitespace() || c == '"');
        if is_word || field.name() == "message" {
            self.field(field, format_args!("{value}"));
        } else {
            self.field(field, format_args!("{value:?}"));
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let mut text = value.to_string();
        let mut cause = value.source();
        while let Some(error) = cause {
            let _ = write!(text, ": {error}");
            cause = error.source();
        }
        self.record_str(field, &text);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt as _;
    use tracing_subscriber::registry;

    use super::*;

    /// One test, since a process has one tap.
    #[test]
    fn what_is_wanted_is_handed_over_in_one_line_and_nothing_else_is() {
        let heard: Arc<Mutex<Vec<LogLine>>> = Arc::default();
        let ear = Arc::clone(&heard);
        tap::pour_into(Arc::new(move |line| {
            ear.lock().unwrap().push(line);
            true
        }));
        let listening = registry().with(Overheard.with_filter(WhatIsWanted));
        tracing::subscriber::with_default(listening, || {
            let say = || {
                tracing::debug!(target: "worker::pump", "chatter");
                tracing::info!(target: "frontend", seat = 3, name = "a b", word = "ab", "listens\nhere");
                tracing::info!(target: "hyper::client", "somebody else's");
                tracing::info!(target: "proxylm::request", "request ended");
                tracing::warn!(target: "hyper::client", none = None::<u8>, "trouble");
            };
            say();
            assert!(heard.lock().unwrap().is_empty(), "nobody listens");
            tap::open(LogLevel::Info, false);
            say();
            tap::open(LogLevel::Warning, true);
            say();
            tap::open(LogLevel::Debug, true);
            say();
        });
        let heard = heard.lock().unwrap();
        let lines: Vec<_> = heard.iter().map(|line| (line.level, &line.message[..])).collect();
        let (debug, info) =
            ((LogLevel::Debug, "chatter"), (LogLevel::Info, "listens here seat=3 name=\"a b\" word=ab"));
        let (request, warning) = ((LogLevel::Info, "request ended"), (LogLevel::Warning, "trouble"));
        assert_eq!(lines, [info, warning, warning, debug, info, request, warning]);
        assert_eq!((&heard[5].source[..], &heard[4].source[..]), ("request", ""));
    }
}
