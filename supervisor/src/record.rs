//! The record of a scheduler's life: what it was told and what it decided, one line of JSON each, after a header.
//!
//! It holds labels, names, counts and times, as events do; never a key and no content. The same header and events make the
//! same decisions, so a record can be played again: [`reproduce`].

use std::io::BufRead;
use std::sync::Arc;

use ipc_proto::control::ToFrontend;
use ipc_proto::ids::{BackendId, GrantId, RequestId};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::clock::Time;
use crate::scheduler::catalog::Catalog;
use crate::scheduler::laws::Laws;
use crate::scheduler::learner::Observation;
use crate::scheduler::{Effect, Event, Scheduler};

/// The version of the format.
const FORMAT: u32 = 1;

/// The first line: what the scheduler began with.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Header {
    /// The version of the format: marks the file as a record, too.
    proxylm_record: u32,
    /// The program that wrote it.
    pub version: String,
    /// The seed of the scheduler's chance.
    pub seed: u64,
    /// Time 0, in microseconds since 1970.
    pub started_unix_us: i64,
    /// The configuration, as far as the scheduler knows it.
    pub catalog: Catalog,
    /// What it had learned before, by the backends' names, in order.
    #[serde(default)]
    pub observations: Vec<Observation<String>>,
}

impl Header {
    /// The header of a scheduler that begins now with these.
    pub fn new(
        catalog: Catalog,
        seed: u64,
        started_unix_us: i64,
        observations: Vec<Observation<String>>,
    ) -> Self {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Self { proxylm_record: FORMAT, version, seed, started_unix_us, catalog, observations }
    }
}

/// A line after the header.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// It began.
    Began {
        /// When.
        at: Time,
    },
    /// It was told something.
    Told {
        /// When.
        at: Time,
        /// What.
        event: Box<Event>,
    },
    /// It sent a request to a backend.
    Sent(Decision),
    /// Entries are missing here: they came faster than the disk took them.
    Lost {
        /// How many.
        entries: u64,
    },
}

/// A request sent to a backend.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Decision {
    /// When.
    pub at: Time,
    /// Which request.
    pub request: RequestId,
    /// The slot it takes.
    pub grant: GrantId,
    /// Where to.
    pub backend: BackendId,
    /// Counts its attempts from 1.
    pub attempt: u32,
    /// Why, in the strategy's word.
    pub reason: String,
    /// Whether the backend has to change its model for it.
    pub swap: bool,
}

/// The decisions among `effects`, which `scheduler` has just brought about.
pub fn decisions<L: Laws>(
    at: Time,
    scheduler: &Scheduler<L>,
    effects: &[Effect],
) -> impl Iterator<Item = Decision> {
    effects.iter().filter_map(move |effect| {
        let Effect::ToFrontend(_, ToFrontend::Granted(grant)) = effect else { return None };
        let record = scheduler.record(at, grant.request)?;
        Some(Decision {
            at,
            request: grant.request,
            grant: grant.grant,
            backend: grant.worker.backend,
            attempt: grant.attempt,
            reason: record.reason,
            swap: record.swap,
        })
    })
}

/// Why a file is no record.
#[derive(Debug, Error)]
pub enum RecordError {
    /// It cannot be read.
    #[error("the record cannot be read")]
    Read(#[from] std::io::Error),
    /// It has no header.
    #[error("this is no record of a scheduler")]
    Header(#[source] Option<serde_json::Error>),
    /// It was written in a form this program does not know.
    #[error("the record has format {0}, which this version does not know")]
    Format(u32),
    /// A line is broken.
    #[error("line {line} of the record is broken")]
    Line {
        /// Which, from 1.
        line: usize,
        /// How.
        source: serde_json::Error,
    },
}

/// A whole record.
#[derive(Clone, PartialEq, Debug)]
pub struct Record {
    /// What it began with.
    pub header: Header,
    /// What followed.
    pub entries: Vec<Entry>,
}

impl Record {
    /// Reads a record. The last line may be cut off, as it is where the program was killed; it is left out.
    pub fn read(from: impl BufRead) -> Result<Self, RecordError> {
        let mut lines = from.lines().enumerate().peekable();
        let Some((_, first)) = lines.next() else { return Err(RecordError::Header(None)) };
        let header: Header =
            serde_json::from_str(&first?).map_err(|error| RecordError::Header(Some(error)))?;
        if header.proxylm_record != FORMAT {
            return Err(RecordError::Format(header.proxylm_record));
        }
        let mut entries = Vec::new();
        while let Some((number, line)) = lines.next() {
            match serde_json::from_str(&line?) {
                Ok(entry) => entries.push(entry),
                Err(error) if error.is_eof() && lines.peek().is_none() => {}
                Err(source) => return Err(RecordError::Line { line: number + 1, source }),
            }
        }
        Ok(Self { header, entries })
    }

    /// The record as it is written: one line of JSON each.
    ///
    /// # Panics
    /// Never: it is our own types, without maps that have other keys than texts and numbers.
    pub fn to_lines(&self) -> String {
        const PLAIN: &str = "our own types have plain keys and finite numbers";
        let header = serde_json::to_string(&self.header).expect(PLAIN);
        let entries = self.entries.iter().map(|entry| serde_json::to_string(entry).expect(PLAIN));
        std::iter::once(header).chain(entries).map(|line| line + "\n").collect()
    }

    /// Entries that could not be written when the record was made.
    pub fn lost(&self) -> u64 {
        let lost =
            self.entries.iter().map(|entry| if let Entry::Lost { entries } = entry { *entries } else { 0 });
        lost.sum()
    }

    /// The recorded decisions, in order.
    pub fn decisions(&self) -> impl Iterator<Item = &Decision> {
        self.entries
            .iter()
            .filter_map(|entry| if let Entry::Sent(decision) = entry { Some(decision) } else { None })
    }
}

/// How far a record could be reproduced.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reproduction {
    /// Recorded decisions.
    pub recorded: usize,
    /// Of them, made again at the same place, before the first that was not.
    pub reproduced: usize,
    /// The first place at which they part: recorded, made now.
    pub parting: Option<(Option<Decision>, Option<Decision>)>,
}

/// Tells a new scheduler what the recorded one was told, and compares the decisions.
pub fn reproduce(record: &Record) -> Reproduction {
    let header = &record.header;
    let catalog = Arc::new(header.catalog.clone());
    let learner = crate::remembered(&header.observations, &catalog);
    let mut scheduler = Scheduler::new(catalog, header.seed, header.started_unix_us).with_learner(learner);
    let (mut made, mut effects) = (Vec::new(), Vec::new());
    for entry in &record.entries {
        let at = match entry {
            Entry::Began { at } => {
                scheduler.start(*at, &mut effects);
                *at
            }
            Entry::Told { at, event } => {
                scheduler.handle(*at, Event::clone(event), &mut effects);
                *at
            }
            Entry::Sent(_) | Entry::Lost { .. } => continue,
        };
        made.extend(decisions(at, &scheduler, &effects));
        effects.clear();
    }
    let recorded: Vec<&Decision> = record.decisions().collect();
    let same = recorded.iter().zip(&made).take_while(|(old, new)| *old == new).count();
    let (old, new) = (recorded.get(same).copied().cloned(), made.get(same).cloned());
    let parting = (old.is_some() || new.is_some()).then_some((old, new));
    Reproduction { recorded: recorded.len(), reproduced: same, parting }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scheduler::Order;
    use crate::simulation::{Flavour, Instance, Setting};

    fn header() -> Header {
        let catalog = Setting::new(crate::scheduler::catalog::Strategy::ModelTurns)
            .catalog(&Instance::random(1, Flavour::Rough));
        Header::new(catalog, 7, 1_000, Vec::new())
    }

    fn text(entries: &[Entry]) -> String {
        let lines = entries.iter().map(|entry| serde_json::to_string(entry).unwrap() + "\n");
        serde_json::to_string(&header()).unwrap() + "\n" + &lines.collect::<String>()
    }

    #[test]
    fn a_record_is_read_as_it_was_written_but_for_a_last_line_cut_off() {
        let order = Event::Ordered { ticket: 1, order: Order::Stop };
        let entries = [
            Entry::Began { at: Time(0) },
            Entry::Told { at: Time(5), event: Box::new(order) },
            Entry::Sent(Decision {
                at: Time(5),
                request: RequestId(u128::MAX - 1),
                grant: GrantId(1),
                backend: BackendId(2),
                attempt: 1,
                reason: "loaded".to_owned(),
                swap: false,
            }),
            Entry::Lost { entries: 3 },
        ];
        let whole = text(&entries);
        let record = Record::read(whole.as_bytes()).unwrap();
        assert_eq!((&record.header, &record.entries[..]), (&header(), &entries[..]));
        assert_eq!(record.lost(), 3);
        let cut = Record::read(&whole.as_bytes()[..whole.len() - 4]).unwrap();
        assert_eq!(cut.entries, entries[..3]);
    }

    #[test]
    fn what_is_no_record_is_refused() {
        assert!(matches!(Record::read(&b""[..]), Err(RecordError::Header(None))));
        assert!(matches!(Record::read(&b"{}\n"[..]), Err(RecordError::Header(Some(_)))));
        let broken = text(&[]) + "nonsense\n" + &serde_json::to_string(&Entry::Lost { entries: 1 }).unwrap();
        assert!(matches!(Record::read(broken.as_bytes()), Err(RecordError::Line { line: 2, .. })));
        let newer = text(&[]).replace("\"proxylm_record\":1", "\"proxylm_record\":2");
        assert!(matches!(Record::read(newer.as_bytes()), Err(RecordError::Format(2))));
    }
}
