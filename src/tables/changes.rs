//! Single lines of what goes on: a request that came, moved or ended, and a line of the log.

use ipc_proto::operator::{LogLine, RequestRecord, RequestState};

use super::{LONGEST_ERROR, duration_us, shorten, time_of_day, tokens, word_or_dash};
use crate::report::one_line;

/// What somebody who follows a request wants to be told anew when it changes.
pub(crate) fn standing(record: &RequestRecord) -> String {
    format!("{} {} {}", record.state.as_str(), record.attempts, record.backend)
}

/// A request as it stands now: when, how, whose, which, where, and its id.
pub(crate) fn change(record: &RequestRecord) -> String {
    let at = match record.state {
        RequestState::Queued => record.arrived_unix_us,
        RequestState::Running => record.started_unix_us.unwrap_or(record.arrived_unix_us),
        _ => record.ended_unix_us.unwrap_or(record.arrived_unix_us),
    };
    let columns = [
        time_of_day(at),
        format!("{:<9}", record.state.as_str()),
        format!("{:<10}", one_line(&word_or_dash(&record.client))),
        format!("{:<20}", one_line(&word_or_dash(&record.model))),
        format!("{:<12}", one_line(&word_or_dash(&record.backend))),
        one_line(&record.id),
        one_line(&detail(record)),
    ];
    columns.join("  ").trim_end().to_owned()
}

fn detail(record: &RequestRecord) -> String {
    let mut parts = Vec::new();
    match record.state {
        RequestState::Queued if record.attempts > 0 => {
            parts.push(format!("again, after it failed on {}", word_or_dash(&record.last_failed_backend)));
        }
        RequestState::Queued => {}
        RequestState::Running => {
            parts.extend((!record.reason.is_empty()).then(|| record.reason.clone()));
            parts.extend(record.swap.then(|| "loads the model".to_owned()));
            parts.extend(record.queue_us.map(|waited| format!("waited {}", duration_us(waited))));
        }
        RequestState::Completed | RequestState::Failed | RequestState::Cancelled => {
            parts.extend(record.http_status.map(|status| status.to_string()));
            parts.extend(record.total_us.map(duration_us));
            let has_tokens = record.input_tokens.is_some() || record.output_tokens.is_some();
            parts.extend(has_tokens.then(|| format!("{} tokens", tokens(record))));
            parts.extend((!record.error.is_empty()).then(|| shorten(&record.error, LONGEST_ERROR)));
        }
    }
    parts.join(", ")
}

/// A line of the log, in local time.
pub(crate) fn log_line(line: &LogLine) -> String {
    format!(
        "{}  {:<7}  {}: {}",
        time_of_day(line.unix_us),
        line.level.as_str(),
        one_line(&line.source),
        one_line(&line.message)
    )
}

#[cfg(test)]
mod tests {
    use super::super::tests::record;
    use super::*;

    #[test]
    fn a_request_is_told_by_what_matters_in_its_state() {
        let waits = RequestRecord { state: RequestState::Queued, ..record("job-0") };
        assert_eq!(detail(&waits), "");
        let again = RequestRecord { attempts: 1, last_failed_backend: "desk".to_owned(), ..waits.clone() };
        assert_eq!(detail(&again), "again, after it failed on desk");
        let runs = RequestRecord {
            state: RequestState::Running,
            reason: "relief".to_owned(),
            swap: true,
            queue_us: Some(1_500_000),
            ..waits.clone()
        };
        assert_eq!(detail(&runs), "relief, loads the model, waited 1.5 s");
        let failed = RequestRecord {
            state: RequestState::Failed,
            http_status: Some(502),
            total_us: Some(20_000),
            input_tokens: Some(7),
            output_tokens: None,
            error: "gone\u{7}away".to_owned(),
            ..waits.clone()
        };
        assert_eq!(detail(&failed), "502, 20 ms, 7→- tokens, gone away");
        assert_ne!(standing(&waits), standing(&again));
        let line = change(&RequestRecord { id: "job\n1".to_owned(), ..runs });
        assert!(line.contains("running") && line.contains("job 1"), "{line}");
    }

    #[test]
    fn a_log_line_moves_no_cursor() {
        let line = LogLine {
            unix_us: 0,
            level: ipc_proto::operator::LogLevel::Warning,
            source: "worker desk".to_owned(),
            message: "odd\u{1b}[2J".to_owned(),
        };
        assert!(log_line(&line).ends_with("  warning  worker desk: odd [2J"), "{}", log_line(&line));
    }
}
