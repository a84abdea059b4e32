//! The client port, held for the life of the instance without ever listening on it.
//!
//! A socket that is bound and does not listen takes no connection and no client's time; but the port stays ours
//! while frontends come and go, and "any port" becomes a number before the first one starts.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};

use crate::error::SupervisorError;

/// A held port. Frontends must bind the same address with `SO_REUSEPORT` when it is [shared](Self::is_shared).
#[derive(Debug)]
pub(crate) struct Reservation {
    address: SocketAddr,
    held: Option<Socket>,
}

impl Reservation {
    /// Takes `address`; with port 0 a free one. Fails when somebody listens there already.
    pub(crate) fn take(address: SocketAddr) -> Result<Self, SupervisorError> {
        if address.port() != 0 {
            // `SO_REUSEPORT` would let us in beside our own user's other programs; this bind does not.
            bound(address, Reuse::AfterEnd).map_err(|error| refused(address, error))?;
        }
        let held = hold(address).map_err(|error| refused(address, error))?;
        let real =
            held.local_addr().map(|local| local.as_socket()).map_err(|error| refused(address, error))?;
        let held = cfg!(unix).then_some(held);
        Ok(Self { address: real.unwrap_or(address), held })
    }

    /// The address, with its real port.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether the port is held by a socket that others must agree to share it with.
    pub(crate) fn is_shared(&self) -> bool {
        self.held.is_some()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reuse {
    /// Where connections of a listener that has ended still linger.
    AfterEnd,
    /// Where others of our user listen, if they agree.
    Shared,
    Both,
}

fn bound(address: SocketAddr, reuse: Reuse) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    #[cfg(unix)]
    {
        socket.set_reuse_address(reuse != Reuse::Shared)?;
        socket.set_reuse_port(reuse != Reuse::AfterEnd)?;
    }
    #[cfg(not(unix))]
    let _ = reuse;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Without `SO_REUSEADDR` another instance that starts at this very moment sees the port as taken, although nobody
/// listens yet; with it only where another program's old connections make it necessary.
fn hold(address: SocketAddr) -> io::Result<Socket> {
    bound(address, Reuse::Shared).or_else(|_| bound(address, Reuse::Both))
}

fn refused(address: SocketAddr, source: io::Error) -> SupervisorError {
    if source.kind() == io::ErrorKind::AddrInUse {
        SupervisorError::PortInUse { address }
    } else {
        SupervisorError::Listen { address, source }
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn any() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }

    #[test]
    fn port_0_becomes_a_number_and_a_second_instance_is_refused() {
        let first = Reservation::take(any()).unwrap();
        assert_ne!(first.address().port(), 0);
        let second = Reservation::take(first.address()).unwrap_err();
        assert!(matches!(second, SupervisorError::PortInUse { address } if address == first.address()));
    }

    #[test]
    fn a_listener_of_another_program_is_seen() {
        let listener = TcpListener::bind(any()).unwrap();
        let refused = Reservation::take(listener.local_addr().unwrap()).unwrap_err();
        assert!(matches!(refused, SupervisorError::PortInUse { .. }));
    }

    #[test]
    fn two_frontends_can_listen_beside_the_reservation() {
        let held = Reservation::take(any()).unwrap();
        let sockets: Vec<_> = (0..2)
            .map(|_| {
                let socket = bound(held.address(), Reuse::Both).unwrap();
                socket.listen(1).unwrap();
                socket
            })
            .collect();
        std::net::TcpStream::connect(held.address()).unwrap();
        assert!(held.is_shared());
        drop(sockets);
        assert!(std::net::TcpStream::connect(held.address()).is_err(), "the reservation takes no client");
    }

    #[test]
    fn an_address_that_is_not_ours_is_told_from_one_in_use() {
        let foreign = SocketAddr::from(([192, 0, 2, 1], 8080));
        assert!(matches!(Reservation::take(foreign), Err(SupervisorError::Listen { .. })));
    }
}
