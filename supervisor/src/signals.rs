//! What the operating system asks of the instance by signals.

use std::io;

use tokio::sync::mpsc;

use crate::actor::Input;

/// What a signal asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Signal {
    /// End: drain first, and at once when asked again.
    Stop,
    /// Read the configuration again.
    Reload,
}

/// The signals that we take over from the system's default, which would be to die of them.
pub(crate) struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    hangup: tokio::signal::unix::Signal,
}

impl Signals {
    /// Takes the signals over, for as long as the process lives.
    pub(crate) fn take() -> io::Result<Self> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            Ok(Self {
                terminate: signal(SignalKind::terminate())?,
                interrupt: signal(SignalKind::interrupt())?,
                hangup: signal(SignalKind::hangup())?,
            })
        }
        #[cfg(not(unix))]
        Ok(Self {})
    }

    /// Tells `inputs` of every signal, until nobody reads it.
    pub(crate) async fn tell(mut self, inputs: mpsc::Sender<Input>) {
        while let Some(signal) = self.next().await {
            if inputs.send(Input::Signal(signal)).await.is_err() {
                return;
            }
        }
    }

    #[cfg(unix)]
    async fn next(&mut self) -> Option<Signal> {
        tokio::select! {
            signal = self.terminate.recv() => signal.map(|()| Signal::Stop),
            signal = self.interrupt.recv() => signal.map(|()| Signal::Stop),
            signal = self.hangup.recv() => signal.map(|()| Signal::Reload),
        }
    }

    #[cfg(not(unix))]
    async fn next(&mut self) -> Option<Signal> {
        tokio::signal::ctrl_c().await.ok().map(|()| Signal::Stop)
    }
}
