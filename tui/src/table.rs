//! The order of the request table and what of it is shown: sorting, filtering, and the row that keys act on.
//!
//! The selection is a request, not a line: rows that come and go do not move it to another one.

use std::cmp::{Ordering, Reverse};
use std::sync::Arc;

use ipc_proto::operator::{RequestRecord, RequestState};

use crate::world::World;

/// By what the table is sorted.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) enum SortBy {
    /// Running ones by start, waiting ones by arrival, ended ones newest first.
    #[default]
    State,
    /// Newest first.
    Arrival,
    /// By model, then as usual.
    Model,
    /// By client, then as usual.
    Client,
    /// By backend, then as usual.
    Backend,
    /// The longest first.
    Elapsed,
}

impl SortBy {
    /// The next way.
    pub(crate) fn next(self) -> Self {
        match self {
            Self::State => Self::Arrival,
            Self::Arrival => Self::Model,
            Self::Model => Self::Client,
            Self::Client => Self::Backend,
            Self::Backend => Self::Elapsed,
            Self::Elapsed => Self::State,
        }
    }

    /// The word for it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Arrival => "arrival",
            Self::Model => "model",
            Self::Client => "client",
            Self::Backend => "backend",
            Self::Elapsed => "elapsed",
        }
    }
}

/// The table of requests.
#[derive(Default, Debug)]
pub(crate) struct Table {
    /// By what it is sorted.
    pub(crate) sort: SortBy,
    /// Whether upside down.
    pub(crate) reverse: bool,
    /// Only rows with this text; empty: all.
    pub(crate) filter: String,
    /// The rows, in order.
    pub(crate) rows: Vec<Arc<str>>,
    /// The row that keys act on.
    pub(crate) selected: Option<Arc<str>>,
    /// Where the selected row was, for when it is gone.
    place: usize,
    /// The first row on the screen.
    pub(crate) scroll: usize,
}

impl Table {
    /// Sorts anew after a change of the world or of the order.
    pub(crate) fn arrange(&mut self, world: &World, now_us: i64) {
        let needle = self.filter.to_lowercase();
        let mut rows: Vec<(&Arc<str>, &RequestRecord)> =
            world.requests.iter().filter(|(_, record)| matches(record, &needle)).collect();
        let sort = self.sort;
        rows.sort_unstable_by(|(_, left), (_, right)| compare(sort, left, right, now_us));
        if self.reverse {
            rows.reverse();
        }
        self.rows = rows.into_iter().map(|(id, _)| Arc::clone(id)).collect();
        self.find_again();
    }

    fn find_again(&mut self) {
        let Some(selected) = &self.selected else { return };
        if let Some(place) = self.rows.iter().position(|id| id == selected) {
            self.place = place;
        } else {
            self.place = self.place.min(self.rows.len().saturating_sub(1));
            self.selected = self.rows.get(self.place).cloned();
        }
    }

    /// Moves the selection by `step` rows and keeps it among the `visible` rows of the screen.
    pub(crate) fn step(&mut self, step: isize, visible: usize) {
        let last = self.rows.len().saturating_sub(1);
        let place = match self.selected {
            Some(_) => self.place.saturating_add_signed(step).min(last),
            // The first key selects the first row, or what a page or the end asks for.
            None if step > 0 => usize::try_from(step - 1).unwrap_or(0).min(last),
            None => 0,
        };
        self.select(place);
        let visible = visible.max(1);
        if self.place < self.scroll {
            self.scroll = self.place;
        } else if self.place >= self.scroll + visible {
            self.scroll = self.place + 1 - visible;
        }
    }

    /// Selects the row at `place`, if there is one.
    pub(crate) fn select(&mut self, place: usize) {
        if let Some(id) = self.rows.get(place) {
            self.selected = Some(Arc::clone(id));
            self.place = place;
        }
    }

    /// Scrolls by `step` rows without touching the selection.
    pub(crate) fn scroll_by(&mut self, step: isize, visible: usize) {
        self.scroll = self.scroll.saturating_add_signed(step);
        self.bound(visible);
    }

    /// Keeps the screen full as far as there are rows.
    pub(crate) fn bound(&mut self, visible: usize) {
        self.scroll = self.scroll.min(self.rows.len().saturating_sub(visible.max(1)));
    }
}

/// Whether a lower-case `needle` is in model, client, backend or state.
fn matches(record: &RequestRecord, needle: &str) -> bool {
    needle.is_empty()
        || [&record.model, &record.client, &record.backend]
            .iter()
            .any(|text| text.to_lowercase().contains(needle))
        || record.state.as_str().contains(needle)
}

fn compare(sort: SortBy, left: &RequestRecord, right: &RequestRecord, now_us: i64) -> Ordering {
    let usual = || by_state(left, right);
    match sort {
        SortBy::State => usual(),
        SortBy::Arrival => right.arrived_unix_us.cmp(&left.arrived_unix_us).then_with(usual),
        SortBy::Model => left.model.cmp(&right.model).then_with(usual),
        SortBy::Client => left.client.cmp(&right.client).then_with(usual),
        SortBy::Backend => left.backend.cmp(&right.backend).then_with(usual),
        SortBy::Elapsed => elapsed_us(right, now_us).cmp(&elapsed_us(left, now_us)).then_with(usual),
    }
}

fn by_state(left: &RequestRecord, right: &RequestRecord) -> Ordering {
    let rank = |record: &RequestRecord| match record.state {
        RequestState::Running => 0,
        RequestState::Queued => 1,
        _ => 2,
    };
    let within = || match left.state {
        RequestState::Running => left.started_unix_us.cmp(&right.started_unix_us),
        RequestState::Queued => left.arrived_unix_us.cmp(&right.arrived_unix_us),
        // An end that is not known comes last, and the order is newest first.
        _ => Reverse(left.ended_unix_us).cmp(&Reverse(right.ended_unix_us)),
    };
    rank(left).cmp(&rank(right)).then_with(within).then_with(|| left.exchange.cmp(&right.exchange))
}

/// How long a request ran, or has been running; `None` while it waits and where it never ran.
pub(crate) fn elapsed_us(record: &RequestRecord, now_us: i64) -> Option<i64> {
    let start = record.started_unix_us?;
    match record.state {
        RequestState::Queued => None,
        RequestState::Running => Some(now_us - start),
        _ => record.ended_unix_us.map(|end| end - start),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use ipc_proto::operator::Event;

    fn table(records: Vec<RequestRecord>) -> (World, Table) {
        let mut world = World::default();
        world.learn(Event::Requests(records));
        let mut table = Table::default();
        table.arrange(&world, sample::NOW_US);
        (world, table)
    }

    fn ids(table: &Table) -> Vec<&str> {
        table.rows.iter().map(AsRef::as_ref).collect()
    }

    #[test]
    fn tui_03_running_by_start_waiting_by_arrival_ended_newest_first() {
        let record = |id: &str, state, at: i64| {
            let mut record = sample::request(id, state);
            record.arrived_unix_us = at;
            record.started_unix_us = (state != RequestState::Queued).then_some(at);
            record.ended_unix_us = state.is_final().then_some(at);
            record
        };
        let mut unknown_end = record("z", RequestState::Cancelled, 9);
        unknown_end.ended_unix_us = None;
        let (_, table) = table(vec![
            record("e2", RequestState::Failed, 2),
            unknown_end,
            record("e1", RequestState::Completed, 3),
            record("q2", RequestState::Queued, 8),
            record("q1", RequestState::Queued, 7),
            record("r2", RequestState::Running, 6),
            record("r0", RequestState::Running, 6),
            record("r1", RequestState::Running, 5),
        ]);
        assert_eq!(ids(&table), ["r1", "r0", "r2", "q1", "q2", "e1", "e2", "z"]);
    }

    #[test]
    fn tui_03_the_filter_looks_at_model_client_backend_and_state() {
        let mut record = sample::request("1", RequestState::Running);
        record.model = "qwen2.5:14b".to_owned();
        record.client = "service-a".to_owned();
        record.backend = "srv1".to_owned();
        for (needle, found) in [
            ("", true),
            ("qwen", true),
            ("QWEN", true),
            ("14b", true),
            ("service", true),
            ("SERVICE-A", true),
            ("srv", true),
            ("run", true),
            ("llama", false),
            ("srv2", false),
        ] {
            assert_eq!(matches(&record, &needle.to_lowercase()), found, "{needle}");
        }
    }

    #[test]
    fn the_selection_stays_on_its_request_and_goes_to_a_neighbour_when_that_is_gone() {
        let queued = |id: &str, at| {
            let mut record = sample::request(id, RequestState::Queued);
            record.arrived_unix_us = at;
            record
        };
        let (mut world, mut table) = table(vec![queued("a", 1), queued("b", 2), queued("c", 3)]);
        table.step(2, 10);
        assert_eq!(table.selected.as_deref(), Some("b"));
        world.learn(Event::Requests(vec![queued("0", 0)]));
        table.arrange(&world, 0);
        assert_eq!(table.selected.as_deref(), Some("b"));
        world.requests.remove("b");
        table.arrange(&world, 0);
        assert_eq!((ids(&table), table.selected.as_deref()), (vec!["0", "a", "c"], Some("c")));
    }

    #[test]
    fn the_screen_follows_the_selection() {
        let records = (0..50).map(|number| sample::request(&format!("{number:02}"), RequestState::Queued));
        let (_, mut table) = table(records.collect());
        table.step(1, 10);
        table.step(20, 10);
        assert_eq!((table.selected.as_deref(), table.scroll), (Some("20"), 11));
        table.step(isize::MIN, 10);
        assert_eq!((table.selected.as_deref(), table.scroll), (Some("00"), 0));
        table.step(isize::MAX, 10);
        assert_eq!((table.selected.as_deref(), table.scroll), (Some("49"), 40));
        table.scroll_by(-3, 10);
        assert_eq!((table.selected.as_deref(), table.scroll), (Some("49"), 37));
    }

    #[test]
    fn the_ways_to_sort_go_round() {
        let mut sort = SortBy::default();
        let mut words = Vec::new();
        loop {
            words.push(sort.as_str());
            sort = sort.next();
            if sort == SortBy::default() {
                break;
            }
        }
        assert_eq!(words, ["state", "arrival", "model", "client", "backend", "elapsed"]);
    }
}
