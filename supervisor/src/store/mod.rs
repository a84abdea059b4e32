//! The history: one row per request in SQLite, and what completed attempts teach, written by a thread of its own.
//!
//! Promises that saving never waits: a full disk, a locked file or a slow one costs rows, which are counted, and
//! never slows a request. Holds no payload and no key.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::Thread;
use std::time::Duration;

use ipc_proto::operator::{Decision, HistoryQuery, RequestRecord};
use tokio::sync::{Semaphore, oneshot};

use self::database::{Batch, Database};
use self::writer::{Message, Writer};
use crate::clock::{Clock, Time};
use crate::hold::{Hold, NotHeld};
use crate::scheduler::learner::Observation;

mod database;
mod observed;
mod row;
mod writer;

#[cfg(test)]
mod tests;

/// Records that may wait for the disk. At a thousand requests a second the disk may hang for some four seconds
/// before rows are lost; when full, the newest is lost and counted.
const CAPACITY: usize = 8192;
/// How long a question waits for what was saved before it, so that a request just ended is found.
const READ_YOUR_WRITES: Duration = Duration::from_millis(200);
/// Questions answered at once; each takes a thread for as long as it runs. One more waits.
const QUESTIONS: usize = 4;

/// Why the history cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder the file should be in does not exist.
    #[error("the folder {} of the database {} does not exist", folder.display(), path.display())]
    NoFolder {
        /// The database.
        path: PathBuf,
        /// The folder.
        folder: PathBuf,
    },
    /// The file cannot be made.
    #[error("cannot create the database {}", path.display())]
    Create {
        /// The database.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is something else than a database, or a damaged one.
    #[error("{} is not a database, or a damaged one", path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// It is a database that another program made.
    #[error("{} is the database of another program", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A later version of proxylm has changed it in ways this one does not know.
    #[error("the database {} was made by a newer proxylm", path.display())]
    Newer {
        /// The database.
        path: PathBuf,
    },
    /// Another proxylm keeps its history there.
    #[error("the database {} is in use by another proxylm{}", path.display(), process(*pid))]
    InUse {
        /// The database.
        path: PathBuf,
        /// The other one's process, if it wrote it down.
        pid: Option<u32>,
    },
    /// Another program has it locked.
    #[error("the database {} is locked by another program", path.display())]
    Locked {
        /// The database.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// It cannot be brought up to date.
    #[error("cannot bring the database {} up to date", path.display())]
    Migrate {
        /// The database.
        path: PathBuf,
        /// Why.
        source: Box<rusqlite_migration::Error>,
    },
    /// A statement failed.
    #[error("cannot use the database {}", path.display())]
    Use {
        /// The database.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// The thread that writes cannot be started.
    #[error("cannot start the thread that writes the history")]
    Thread(#[source] std::io::Error),
}

impl StoreError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoFolder { folder, .. } => {
                format!("create {}, or set storage.database_path", folder.display())
            }
            Self::Create { .. } | Self::Use { .. } => {
                "make sure that the file and its folder can be written, or set storage.database_path"
                    .to_owned()
            }
            Self::NotADatabase { .. } | Self::Foreign { .. } => {
                "move the file away, or set storage.database_path to another one".to_owned()
            }
            Self::Newer { .. } => "use that version, or set storage.database_path to another file".to_owned(),
            Self::InUse { .. } => "give this one a file of its own with storage.database_path".to_owned(),
            Self::Locked { .. } => "end the program that uses it, or set storage.database_path".to_owned(),
            Self::Migrate { .. } | Self::Thread(_) => return None,
        };
        Some(hint)
    }
}

/// Where the history is kept, and for how long.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// The database file.
    pub path: PathBuf,
    /// How many days a row is kept; `None` or 0: for ever.
    pub retention_days: Option<u32>,
    /// Whether to give back the space of deleted rows at the start.
    pub vacuum_on_start: bool,
}

/// Makes the file ours, by a lock beside it: SQLite has its own use for locks on the file itself. `None` where the
/// file system knows no locks.
fn hold(path: &Path) -> Result<Option<Hold>, StoreError> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".lock");
    match Hold::take(Path::new(&beside)) {
        Ok(hold) => Ok(Some(hold)),
        Err(NotHeld::ByAnother(pid)) => Err(StoreError::InUse { path: path.to_owned(), pid }),
        Err(NotHeld::Io(error)) => {
            tracing::debug!(%error, "the database cannot be locked against other instances");
            Ok(None)
        }
    }
}

fn process(pid: Option<u32>) -> String {
    pid.map(|pid| format!(", process {pid}")).unwrap_or_default()
}

/// What both sides of the channel know.
#[derive(Default, Debug)]
struct Shared {
    lost: AtomicU64,
    closing: AtomicBool,
}

impl Shared {
    fn lose(&self, rows: u64) {
        self.lost.fetch_add(rows, Ordering::Relaxed);
    }

    fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

/// The history, open for writing. Dropping it without [`Store::close`] loses what waits.
#[derive(Debug)]
pub struct Store {
    messages: SyncSender<Message>,
    thread: Thread,
    shared: Arc<Shared>,
    ended: oneshot::Receiver<()>,
    reader: Reader,
    /// The next instance would end our open rows as those of a dead one; so there is none while we live.
    _hold: Option<Hold>,
}

impl Store {
    /// Opens the history, brings its file up to date and ends the rows that a dead instance left open.
    ///
    /// Blocks for as long as the disk takes. Fails when another instance has the file open.
    pub fn open(settings: &StoreSettings, clock: Clock) -> Result<Self, StoreError> {
        let hold = hold(&settings.path)?;
        let mut database = Database::open(&settings.path)?;
        let now_unix_us = clock.started_unix_us().saturating_add_unsigned(clock.now().0);
        match database.close_left_open(now_unix_us) {
            Ok(0) => {}
            Ok(rows) => tracing::info!(rows, "ended the requests that the last instance left open"),
            Err(error) => tracing::warn!(%error, "cannot end the requests that the last instance left open"),
        }
        if let Err(error) = database.trim() {
            tracing::warn!(%error, "cannot delete old observations");
        }
        if settings.vacuum_on_start
            && let Err(error) = database.vacuum()
        {
            tracing::warn!(%error, "cannot vacuum the database");
        }
        Ok(Self { _hold: hold, ..Self::start(database, settings, clock)? })
    }

    fn start(database: Database, settings: &StoreSettings, clock: Clock) -> Result<Self, StoreError> {
        let (messages, receiver) = sync_channel(CAPACITY);
        let (ending, ended) = oneshot::channel();
        let shared = Arc::new(Shared::default());
        let writer = Writer {
            database,
            messages: receiver,
            shared: Arc::clone(&shared),
            clock,
            retention_days: settings.retention_days.filter(|days| *days > 0),
            batch: Batch::default(),
            flushes: Vec::new(),
            retention_due: Time::default(),
            trim_due: clock.now() + writer::RETENTION_INTERVAL,
            untrimmed: 0,
            complained: None,
        };
        let work = move || {
            writer.run();
            drop(ending);
        };
        let handle =
            std::thread::Builder::new().name("history".to_owned()).spawn(work).map_err(StoreError::Thread)?;
        let reader = Reader {
            path: settings.path.clone().into(),
            messages: messages.clone(),
            thread: handle.thread().clone(),
            questions: Arc::new(Semaphore::new(QUESTIONS)),
        };
        Ok(Self { messages, thread: handle.thread().clone(), shared, ended, reader, _hold: None })
    }

    /// Keeps `record`, in place of any earlier one of the same exchange. Never waits; when the disk cannot follow,
    /// the record is lost and counted.
    pub fn save(&self, record: RequestRecord) {
        self.send(Message::Save(Box::new((record, None))));
    }

    /// The same, with all decisions on the request so far, in place of those kept before.
    pub fn save_with(&self, record: RequestRecord, decisions: Vec<Decision>) {
        self.send(Message::Save(Box::new((record, Some(decisions)))));
    }

    /// Keeps what a completed attempt took, by its backend's name. Like [`Store::save`], it never waits.
    pub fn observed(&self, observation: Observation<String>) {
        self.send(Message::Observed(Box::new(observation)));
    }

    fn send(&self, message: Message) {
        if self.messages.try_send(message).is_err() {
            self.shared.lose(1);
        }
    }

    /// The observations kept when the store was opened and since, in the order in which they came: the newest of
    /// each backend name, model and endpoint. Blocks for as long as the disk takes; meant for the start.
    pub fn observations(&self) -> Result<Vec<Observation<String>>, StoreError> {
        database::observations_in(&self.reader.path)
    }

    /// Records that could not be kept since the start.
    pub fn lost(&self) -> u64 {
        self.shared.lost()
    }

    /// A way to ask about the past that does not need the store itself.
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// Writes what waits and ends the thread. Returns `false` when that took longer than `within`: the disk hangs,
    /// and what waits is left behind.
    pub async fn close(self, within: Duration) -> bool {
        self.shared.closing.store(true, Ordering::Release);
        // A full channel needs no waking.
        drop(self.messages.try_send(Message::Wake));
        self.thread.unpark();
        tokio::time::timeout(within, self.ended).await.is_ok()
    }
}

/// Answers questions about the past. Clones share one bound on questions at once.
#[derive(Clone, Debug)]
pub struct Reader {
    path: Arc<Path>,
    messages: SyncSender<Message>,
    thread: Thread,
    questions: Arc<Semaphore>,
}

impl Reader {
    /// The requests that `query` asks for, newest first, live ones included as of their last change.
    ///
    /// Works while another program has the database locked for writing.
    pub async fn find(&self, query: HistoryQuery) -> Result<Vec<RequestRecord>, StoreError> {
        self.ask(move |path| database::find_in(path, &query)).await
    }

    /// The request that is called `request`, by its label or by its own id, with the decisions on it; the latest if
    /// there are several. `None` if there is none.
    pub async fn decisions(
        &self,
        request: String,
    ) -> Result<Option<(RequestRecord, Vec<Decision>)>, StoreError> {
        self.ask(move |path| database::decisions_in(path, &request)).await
    }

    /// The own ids of the requests whose label or own id begins with `beginning`, at most two: enough to know whether
    /// it means one. Of several with the same label, the latest stands for all.
    pub async fn begun_so(&self, beginning: String) -> Result<Vec<String>, StoreError> {
        self.ask(move |path| database::begun_so_in(path, &beginning)).await
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Path) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        // Only a closed semaphore fails, and nobody closes it.
        let _place = self.questions.acquire().await;
        self.flush(READ_YOUR_WRITES).await;
        let path = Arc::clone(&self.path);
        let asked = tokio::task::spawn_blocking(move || question(&path));
        asked.await.unwrap_or_else(|_| {
            Err(StoreError::Thread(std::io::Error::other("the thread that reads the history ended")))
        })
    }

    /// Waits until what was saved before is written or lost, at most `within`.
    async fn flush(&self, within: Duration) {
        let (done, written) = oneshot::channel();
        match self.messages.try_send(Message::Flush(done)) {
            Ok(()) => {
                self.thread.unpark();
                // Late or not, the question is asked.
                drop(tokio::time::timeout(within, written).await);
            }
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
        }
    }
}
