//! The private wire between proxylm's processes.
//!
//! One page, read top to bottom:
//!
//! | module | owns |
//! |---|---|
//! | [`ids`] | the names of things: requests, grants, workers, frontends |
//! | [`failure`] | what can befall a request, and what follows from each kind |
//! | [`control`] | the two control links, frontend and worker to supervisor |
//! | [`spec`] | the whole configuration of one child, as a control link carries it |
//! | [`stream`] | the frames of one attempt, frontend to worker |
//! | [`operator`] | what `ctl`, the TUI and the admin API may ask, and what they are told |
//! | [`frame`] | length-prefixed frames and the codec |
//! | [`link`] | the handshake, and typed sending and receiving over any byte stream |
//! | [`local`] | local sockets: names, binding, connecting, whose process is at the other end |
//! | [`lifeline`] | how a child learns its boot secret, and that its parent is gone |
//! | [`pulse`] | a slow ticker that spares system calls |
//! | [`tap`] | where a process's log lines go besides its standard error |
//! | [`secret`] | strings that do not show themselves |
//!
//! Every connection opens with eight fixed bytes (magic, protocol version, role), checked before anything is
//! decoded: the codec does not describe itself, so two builds must agree first.

pub mod control;
pub mod failure;
pub mod frame;
pub mod ids;
pub mod lifeline;
pub mod link;
pub mod local;
pub mod operator;
pub mod pulse;
#[cfg(unix)]
mod quiet;
pub mod secret;
pub mod spec;
pub mod stream;
pub mod tap;

/// The version of everything in this crate that crosses a socket. Raised with any change to a message.
pub const PROTOCOL_VERSION: u16 = 1;

/// What the process at the connecting end of a link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Role {
    /// Holds clients; speaks [`control::FromFrontend`].
    Frontend = 1,
    /// Calls one backend; speaks [`control::FromWorker`].
    Worker = 2,
    /// `ctl` or a screen; speaks [`operator::Call`].
    Operator = 3,
    /// A frontend that comes to a worker with attempts; speaks [`stream`].
    Data = 4,
}

impl Role {
    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        [Self::Frontend, Self::Worker, Self::Operator, Self::Data]
            .into_iter()
            .find(|role| *role as u8 == byte)
    }
}
