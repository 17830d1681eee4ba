//! The connections of one core: a socket each, and what is under way for it.

use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

use super::backend::Token;
use crate::session::{Endpoint, Peer, SessionId};

/// What is under way on the receiving side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Receiving {
    /// Nothing.
    Off,
    /// Bytes are taken as they come.
    On,
    /// It was asked to stop and has not yet.
    Stopping,
}

/// What is under way on the sending side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writing {
    /// Nothing.
    Idle,
    /// The turn's list of sends holds it.
    Listed,
    /// The socket is full; word will come when it takes more.
    Blocked,
}

/// How far a connection is from its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Life {
    /// It is open.
    Open,
    /// The client sends nothing more; it may still be owed something.
    InputEnded,
    /// It closes once everything is sent.
    Finishing,
    /// It closes as soon as nothing is under way for it.
    Closing,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) id: SessionId,
    pub(super) socket: OwnedFd,
    pub(super) receiving: Receiving,
    pub(super) writing: Writing,
    pub(super) life: Life,
}

/// The connections of one core, by token.
#[derive(Debug, Default)]
pub(super) struct Connections {
    places: Vec<Option<Connection>>,
    open: usize,
}

impl Connections {
    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.open == 0
    }

    /// Adds the connection of a session that has just begun.
    pub(super) fn insert(&mut self, id: SessionId, socket: OwnedFd) {
        let index = Token::of(id).index();
        if self.places.len() <= index {
            self.places.resize_with(index + 1, || None);
        }
        assert!(
            self.places[index].is_none(),
            "a session's index is free only after its connection was removed"
        );
        self.open += 1;
        self.places[index] = Some(Connection {
            id,
            socket,
            receiving: Receiving::Off,
            writing: Writing::Idle,
            life: Life::Open,
        });
    }

    /// The connection with this token.
    #[inline]
    pub(super) fn at(&mut self, token: Token) -> Option<&mut Connection> {
        self.places.get_mut(token.index())?.as_mut()
    }

    /// The connection of this session.
    #[inline]
    pub(super) fn of(&mut self, id: SessionId) -> Option<&mut Connection> {
        self.at(Token::of(id))
            .filter(|connection| connection.id == id)
    }

    /// The socket of the connection with this token.
    #[inline]
    pub(super) fn socket(&self, token: Token) -> Option<BorrowedFd<'_>> {
        let connection = self.places.get(token.index())?.as_ref()?;
        Some(connection.socket.as_fd())
    }

    /// Removes and closes the connection with this token.
    pub(super) fn remove(&mut self, token: Token) -> Option<Connection> {
        let removed = self.places.get_mut(token.index())?.take();
        self.open -= usize::from(removed.is_some());
        removed
    }

    /// The sessions of all connections.
    pub(super) fn ids(&self) -> impl Iterator<Item = SessionId> {
        self.places.iter().flatten().map(|connection| connection.id)
    }
}

/// Where a connection comes from, as Redis shows it: `ip:port`, `[ip6]:port`, or the socket's path and `:0`.
pub(super) fn peer_of(socket: &OwnedFd, unix_path: Option<&str>, endpoint: Endpoint) -> Peer {
    let fd = socket.as_raw_fd();
    if let Some(path) = unix_path {
        return Peer {
            addr: format!("{path}:0").into(),
            local_addr: format!("{path}:0").into(),
            fd,
            unix: true,
            endpoint,
        };
    }
    let socket = SockRef::from(socket);
    let text = |address: std::io::Result<socket2::SockAddr>| -> Box<str> {
        match address.ok().and_then(|address| address.as_socket()) {
            Some(SocketAddr::V4(address)) => address.to_string().into(),
            Some(SocketAddr::V6(address)) => {
                format!("[{}]:{}", address.ip(), address.port()).into()
            }
            // Gone again already.
            None => "?:0".into(),
        }
    };
    Peer {
        addr: text(socket.peer_addr()),
        local_addr: text(socket.local_addr()),
        fd,
        unix: false,
        endpoint,
    }
}

/// Sets what every TCP connection has: no delay, and probes after `keepalive_s` silent seconds (0: none), given up after
/// three unanswered ones, as Redis spaces them. A refusal means that the connection is broken, which receiving tells.
pub(super) fn prepare_tcp(socket: &OwnedFd, keepalive_s: u64) {
    const PROBES: u32 = 3;
    let socket = SockRef::from(socket);
    let _ = socket.set_tcp_nodelay(true);
    if keepalive_s > 0 {
        let between_s = (keepalive_s / u64::from(PROBES)).max(1);
        let keepalive = TcpKeepalive::new()
            .with_time(Duration::from_secs(keepalive_s))
            .with_interval(Duration::from_secs(between_s))
            .with_retries(PROBES);
        let _ = socket.set_tcp_keepalive(&keepalive);
    }
}
