//! Writes the record: takes notes without waiting, and a thread of its own brings them to the disk.
//!
//! When the disk is slower than events come, entries are left out, and the record says how many. A disk that fails ends
//! the record, with one line in the log; the instance goes on.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;

use crate::clock::Time;
use crate::record::{Entry, Header, decisions};
use crate::scheduler::{Effect, Event, Scheduler};

/// Entries that may wait for the disk.
const WAITING: usize = 8192;

/// Takes notes.
pub(crate) struct Recorder {
    notes: Option<SyncSender<Entry>>,
    thread: Option<JoinHandle<()>>,
    /// Entries left out since the last that was taken.
    lost: u64,
    has_lost: bool,
}

impl Recorder {
    /// Begins a record at `path`. One that is there already is kept beside it, with `.old` at the end of its name.
    pub(crate) fn begin(path: &Path, header: &Header) -> std::io::Result<Self> {
        if path.exists() {
            let mut old = path.as_os_str().to_owned();
            old.push(".old");
            fs::rename(path, PathBuf::from(old))?;
        }
        let mut file = BufWriter::new(create(path)?);
        serde_json::to_writer(&mut file, header)?;
        file.write_all(b"\n")?;
        file.flush()?;
        let (notes, waiting) = sync_channel(WAITING);
        let work = move || write(&waiting, file);
        let thread = std::thread::Builder::new().name("record".to_owned()).spawn(work)?;
        Ok(Self { notes: Some(notes), thread: Some(thread), lost: 0, has_lost: false })
    }

    /// The scheduler has begun, and said `effects`.
    pub(crate) fn began(&mut self, at: Time, scheduler: &Scheduler, effects: &[Effect]) {
        self.note(Entry::Began { at });
        self.decided(at, scheduler, effects);
    }

    /// The scheduler is about to be told.
    pub(crate) fn told(&mut self, at: Time, event: &Event) {
        self.note(Entry::Told { at, event: Box::new(event.clone()) });
    }

    /// The scheduler has said `effects`.
    pub(crate) fn decided(&mut self, at: Time, scheduler: &Scheduler, effects: &[Effect]) {
        for decision in decisions(at, scheduler, effects) {
            self.note(Entry::Sent(decision));
        }
    }

    fn note(&mut self, entry: Entry) {
        let Some(notes) = &self.notes else { return };
        if self.lost > 0 && notes.try_send(Entry::Lost { entries: self.lost }).is_ok() {
            self.lost = 0;
        }
        if self.lost > 0 || notes.try_send(entry).is_err() {
            self.lost += 1;
            if !std::mem::replace(&mut self.has_lost, true) {
                tracing::warn!("the record has gaps: events come faster than the disk takes them");
            }
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.notes = None;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has written what it could.
            let _ = thread.join();
        }
    }
}

#[cfg(unix)]
fn create(path: &Path) -> std::io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    // Names of clients and models are nobody else's business.
    File::options().write(true).create(true).truncate(true).mode(0o600).open(path)
}

#[cfg(not(unix))]
fn create(path: &Path) -> std::io::Result<File> {
    File::create(path)
}

/// The thread: writes until nobody takes notes any more. The file is brought up to date whenever nothing waits.
fn write(waiting: &Receiver<Entry>, mut file: BufWriter<File>) {
    while let Ok(entry) = waiting.recv() {
        if let Err(error) = write_all_that_waits(entry, waiting, &mut file) {
            tracing::error!(%error, "the record ends here: it cannot be written");
            return;
        }
    }
}

fn write_all_that_waits(
    first: Entry,
    waiting: &Receiver<Entry>,
    file: &mut BufWriter<File>,
) -> std::io::Result<()> {
    let mut next = Ok(first);
    while let Ok(entry) = next {
        serde_json::to_writer(&mut *file, &entry)?;
        file.write_all(b"\n")?;
        next = waiting.try_recv();
        if let Err(TryRecvError::Disconnected) = next {
            break;
        }
    }
    file.flush()
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;
    use std::sync::Arc;

    use super::*;
    use crate::record::{Record, reproduce};
    use crate::scheduler::catalog::Strategy;
    use crate::simulation::{Flavour, Instance, Setting};

    #[test]
    fn what_is_noted_can_be_read_and_reproduced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record.jsonl");
        fs::write(&path, "before").unwrap();
        let catalog = Setting::new(Strategy::ModelTurns).catalog(&Instance::random(1, Flavour::Plain));
        let header = Header::new(catalog.clone(), 3, 0, Vec::new());
        let mut scheduler = Scheduler::new(Arc::new(catalog), 3, 0);
        let mut recorder = Recorder::begin(&path, &header).unwrap();
        let mut effects = Vec::new();
        scheduler.start(Time(0), &mut effects);
        recorder.began(Time(0), &scheduler, &effects);
        for at in [Time(1), Time(2)] {
            recorder.told(at, &Event::Tick);
            effects.clear();
            scheduler.handle(at, Event::Tick, &mut effects);
            recorder.decided(at, &scheduler, &effects);
        }
        drop(recorder);
        let record = Record::read(BufReader::new(File::open(&path).unwrap())).unwrap();
        assert_eq!(record.header, header);
        assert_eq!(record.entries.len(), 3);
        let reproduction = reproduce(&record);
        assert_eq!((reproduction.recorded, reproduction.parting), (0, None));
        assert_eq!(fs::read_to_string(folder.path().join("record.jsonl.old")).unwrap(), "before");
    }
}
