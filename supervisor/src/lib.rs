//! The supervisor: decides and remembers. It owns configuration, scheduler, children and database; it never
//! touches a payload byte and never listens on the network.

pub mod clock;
pub mod scheduler;
