//! The screen: what an instance does, on a terminal, and the keys to act on it.
//!
//! | module | owns |
//! |---|---|
//! | [`app`] | the state of the screen: pure, messages in and actions out |
//! | `world` | what the instance has told |
//! | `table` | the order of the request table, filter and selection |
//! | `past` | the last minutes, for charts |
//! | `layout` | where everything is on a screen of a given size |
//! | [`look`] | glyphs and colours, with their fallbacks |
//! | `measure` | cells, durations, times |
//! | [`view`] | drawing |
//! | `client` | the link to the instance |
//! | `screen` | the terminal, taken and given back |

pub mod app;
mod client;
mod layout;
pub mod look;
mod measure;
mod past;
#[cfg(test)]
mod sample;
mod screen;
mod table;
#[cfg(test)]
mod tests;
pub mod view;
mod world;

use std::io;
use std::time::Duration;

use crossterm::event::{Event as Input, EventStream};
use futures_util::StreamExt;
use ipc_proto::local::RunDir;
use ipc_proto::operator::Call;
use jiff::tz::TimeZone;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

pub use self::client::ConnectError;
use crate::app::{Action, App, Message};
use crate::look::{Environment, Look};
use crate::screen::Screen;

/// Messages of the instance that may wait for the screen. One that does not draw does not read either; the instance
/// then tells it that it lags.
const WAITING_MESSAGES: usize = 256;
/// Calls that may wait for the link.
const WAITING_CALLS: usize = 64;
/// Between two frames when news comes.
const CALM: Duration = Duration::from_millis(100);
/// Between two frames when somebody types.
const PROMPT: Duration = Duration::from_millis(33);
/// Between two frames when only a lamp pulses.
const PULSE: Duration = Duration::from_millis(160);
/// Between two frames when nothing happens: ages go on.
const IDLE: Duration = Duration::from_secs(1);

/// Why the screen ended.
#[derive(Debug, thiserror::Error)]
pub enum TuiError {
    /// The instance could not be reached in the first place.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The terminal cannot be used.
    #[error("the terminal cannot be used: standard output and input must be one")]
    Terminal(#[from] io::Error),
}

/// Shows the instance in `run_dir` until somebody quits or the process is told to end. The terminal is given back in
/// any case.
pub async fn run(run_dir: RunDir) -> Result<(), TuiError> {
    let line = client::connect(&run_dir).await?;
    let look = look();
    let mut screen = Screen::take()?;
    let app = App::new(run_dir.path().display().to_string(), screen.size()?);
    let (said, hears) = mpsc::channel(WAITING_MESSAGES);
    let (calls, called) = mpsc::channel(WAITING_CALLS);
    let mut tasks = JoinSet::new();
    tasks.spawn(client::keep(run_dir, line, said, called));
    let mut session = Session { app, look, begun: Instant::now(), calls, prompt: true, quits: false };
    session.show(&mut screen, hears).await?;
    tasks.abort_all();
    Ok(())
}

fn look() -> Look {
    let read = |name: &str| std::env::var(name).ok();
    let (no_unicode, no_color) = (read("PROXYLM_NO_UNICODE"), read("NO_COLOR"));
    let (theme, color_fg_bg) = (read("PROXYLM_THEME"), read("COLORFGBG"));
    let environment = Environment {
        no_unicode: no_unicode.as_deref(),
        no_color: no_color.as_deref(),
        theme: theme.as_deref(),
        color_fg_bg: color_fg_bg.as_deref(),
    };
    Look::new(environment, TimeZone::system())
}

/// The loop between terminal, link and state.
struct Session {
    app: App,
    look: Look,
    begun: Instant,
    calls: mpsc::Sender<Call>,
    /// Somebody waits for the next frame.
    prompt: bool,
    quits: bool,
}

impl Session {
    async fn show(&mut self, screen: &mut Screen, mut hears: mpsc::Receiver<Message>) -> io::Result<()> {
        let mut inputs = EventStream::new();
        let mut signals = Signals::new()?;
        let mut drawn = Instant::now();
        // The first frame comes at once.
        let mut changed = true;
        while !self.quits {
            let pause = match (changed, self.prompt) {
                (true, true) => PROMPT,
                (true, false) => CALM,
                (false, _) if self.app.is_moving() => PULSE,
                (false, _) => IDLE,
            };
            tokio::select! {
                biased;
                () = signals.ended() => self.quits = true,
                input = inputs.next() => match input {
                    Some(input) => changed |= self.input(input?, screen)?,
                    // The terminal is gone.
                    None => self.quits = true,
                },
                () = tokio::time::sleep_until(drawn + pause) => {
                    if !changed {
                        self.take(Message::Tick);
                    }
                    drawn = Instant::now();
                    changed = false;
                    self.prompt = false;
                    self.app.settle();
                    let (app, look) = (&mut self.app, &self.look);
                    screen.draw(|frame| view::draw(frame, app, look))?;
                }
                message = hears.recv() => if let Some(message) = message {
                    self.take(message);
                    changed = true;
                },
            }
        }
        Ok(())
    }

    /// Takes an input. Returns whether the screen may have changed.
    fn input(&mut self, input: Input, screen: &mut Screen) -> io::Result<bool> {
        self.prompt = true;
        match input {
            Input::Key(key) => self.take(Message::Key(key)),
            Input::Mouse(mouse) => self.take(Message::Mouse(mouse)),
            Input::Paste(text) => self.take(Message::Paste(text)),
            Input::Resize(width, height) => {
                screen.forget()?;
                self.take(Message::Resize(width, height));
            }
            Input::FocusGained | Input::FocusLost => return Ok(false),
        }
        Ok(true)
    }

    fn take(&mut self, message: Message) {
        let now_ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        for action in self.app.update(message, now_ms) {
            match action {
                Action::Quit => self.quits = true,
                // A link so slow that its calls pile up is about to break; the screen says so when it does.
                Action::Call { id, command } => drop(self.calls.try_send(Call { id, command })),
            }
        }
    }
}

/// The signals that end the program.
#[cfg(unix)]
struct Signals {
    all: [tokio::signal::unix::Signal; 3],
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};

        let all = [
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
            signal(SignalKind::interrupt())?,
        ];
        Ok(Self { all })
    }

    /// Returns when one has come.
    async fn ended(&mut self) {
        let [terminate, hangup, interrupt] = &mut self.all;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
}

/// The signals that end the program.
#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    #[expect(clippy::unnecessary_wraps, reason = "as on other systems")]
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    /// Returns when Ctrl-C was pressed where the terminal does not send it as a key.
    async fn ended(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
