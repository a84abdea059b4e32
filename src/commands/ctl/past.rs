//! `ctl history`: asks for the past page by page, since one answer holds only so much.

use std::collections::BTreeSet;

use ipc_proto::operator::{Command, HistoryQuery, Reply, RequestRecord};

use super::line::{CallError, Line};
use crate::cli::HistoryFilter;
use crate::report::Failure;

/// The requests that `filter` is about, newest first.
pub(super) async fn requests(line: &mut Line, filter: HistoryFilter) -> Result<Vec<RequestRecord>, Failure> {
    let wanted = filter.limit as usize;
    let mut query = query(filter);
    let mut found: Vec<RequestRecord> = Vec::new();
    let mut known = BTreeSet::new();
    while found.len() < wanted {
        // One more than are missing: the last one known comes again.
        let missing = u32::try_from(wanted - found.len()).unwrap_or(u32::MAX);
        query.limit = missing.saturating_add(1).min(HistoryQuery::MAX);
        let reply = line.call(Command::History(query.clone())).await.map_err(CallError::into_failure)?;
        let Reply::History(page) = reply else { break };
        let before = found.len();
        found.extend(page.into_iter().filter(|record| known.insert(record.exchange.clone())));
        if found.len() == before {
            break;
        }
        query.until_unix_us = found.last().map(|record| record.arrived_unix_us);
    }
    found.truncate(wanted);
    Ok(found)
}

fn query(filter: HistoryFilter) -> HistoryQuery {
    HistoryQuery {
        limit: filter.limit,
        model: filter.model,
        backend: filter.backend,
        client: filter.client,
        state: filter.state,
        request: filter.id,
        since_unix_us: filter.since,
        until_unix_us: filter.until,
    }
}
