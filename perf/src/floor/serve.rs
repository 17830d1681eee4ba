//! Connections and the turn: receive, run, gather replies, send once per connection, wait.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use crate::resp::{self, Command, Malformed};
use crate::ring::{Ended, Events, Ring, Sends};
use crate::store::Store;

/// How replies leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SendBy {
    /// A SEND entry per connection, submitted with the wait.
    Ring,
    /// A send(2) per connection, before the wait.
    Direct,
}

/// Whether a reply's rest is on its way through the ring.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outbound {
    Free,
    /// New replies gather behind the rest.
    Blocked,
}

struct Connection {
    socket: TcpStream,
    /// The beginning of a command whose end has not arrived.
    carry: Vec<u8>,
    /// Replies gathered in this turn, or behind a rest.
    out: Vec<u8>,
    outbound: Outbound,
}

/// Everything but the ring, which calls it.
#[derive(Default)]
struct Server {
    store: Store,
    /// By descriptor.
    connections: Vec<Option<Connection>>,
    /// Emptied reply buffers, the last used on top.
    spare: Vec<Vec<u8>>,
    turn: Turn,
}

/// What is left to do on the ring once the completions are drained.
#[derive(Default)]
struct Turn {
    /// Connections with something in `out`.
    replies: Vec<RawFd>,
    /// Connections without an armed receive.
    receives: Vec<RawFd>,
    rests: Vec<(RawFd, Vec<u8>, usize)>,
    closed: Vec<RawFd>,
    accepting_ended: Option<io::Result<()>>,
}

/// Serves `listener` for ever.
///
/// # Errors
///
/// When the ring cannot be made, or it or the listener fails.
pub(crate) fn serve(listener: &TcpListener, send_by: SendBy) -> io::Result<()> {
    let mut ring = Ring::new()?;
    ring.accept(listener);
    let mut server = Server::default();
    loop {
        ring.enter()?;
        let sends = ring.drain(&mut server);
        server.finish_turn(&mut ring, listener, send_by, sends)?;
    }
}

impl Server {
    fn finish_turn(
        &mut self,
        ring: &mut Ring,
        listener: &TcpListener,
        send_by: SendBy,
        sends: Sends,
    ) -> io::Result<()> {
        // Before anything is queued: an entry must not outlive the descriptor it names.
        if sends == Sends::Over && !self.turn.closed.is_empty() {
            self.close_finished();
        }
        for (socket, buffer, sent) in self.turn.rests.drain(..) {
            ring.send_rest(socket, buffer, sent);
        }
        while let Some(socket) = self.turn.replies.pop() {
            self.reply(ring, socket, send_by);
        }
        for socket in self.turn.receives.drain(..) {
            ring.receive(socket);
        }
        if let Some(why) = self.turn.accepting_ended.take() {
            why?;
            ring.accept(listener);
        }
        Ok(())
    }

    fn reply(&mut self, ring: &mut Ring, socket: RawFd, send_by: SendBy) {
        let Some(connection) = &mut self.connections[socket as usize] else {
            return; // Closed in this turn.
        };
        if connection.outbound == Outbound::Blocked || connection.out.is_empty() {
            return;
        }
        let mut buffer = std::mem::take(&mut connection.out);
        match send_by {
            SendBy::Ring => ring.send(socket, buffer),
            SendBy::Direct => match Ring::send_directly(socket, &buffer) {
                Ok(sent) if sent < buffer.len() => {
                    connection.outbound = Outbound::Blocked;
                    ring.send_rest(socket, buffer, sent);
                }
                // An error also ends the receive, which closes the connection.
                Ok(_) | Err(_) => {
                    buffer.clear();
                    self.spare.push(buffer);
                }
            },
        }
    }

    /// Closes what has no receive armed and nothing to send; what has replies left is closed in a later turn.
    fn close_finished(&mut self) {
        let connections = &mut self.connections;
        self.turn.closed.retain(|&socket| {
            let connection = connection(connections, socket);
            let busy = connection.outbound == Outbound::Blocked || !connection.out.is_empty();
            if !busy {
                connections[socket as usize] = None;
            }
            busy
        });
    }

    /// The rest is over: what gathered behind it may go.
    fn unblock(&mut self, socket: RawFd) {
        connection(&mut self.connections, socket).outbound = Outbound::Free;
        self.turn.replies.push(socket);
    }
}

/// The open connection on `socket`.
#[inline]
fn connection(connections: &mut [Option<Connection>], socket: RawFd) -> &mut Connection {
    connections[socket as usize]
        .as_mut()
        .expect("a connection stays until nothing on the ring names it")
}

impl Events for Server {
    fn accepted(&mut self, socket: OwnedFd) {
        let socket = TcpStream::from(socket);
        // Refused only when the peer is already gone, which the receive will tell.
        let _ = socket.set_nodelay(true);
        let fd = socket.as_raw_fd();
        if self.connections.len() <= fd as usize {
            self.connections.resize_with(fd as usize + 1, || None);
        }
        self.connections[fd as usize] = Some(Connection {
            socket,
            carry: Vec::new(),
            out: Vec::new(),
            outbound: Outbound::Free,
        });
        self.turn.receives.push(fd);
    }

    fn accepting_ended(&mut self, why: io::Result<()>) {
        self.turn.accepting_ended = Some(why);
    }

    fn received(&mut self, socket: RawFd, bytes: &[u8]) {
        let connection = connection(&mut self.connections, socket);
        if connection.out.is_empty() {
            self.turn.replies.push(socket);
            if connection.out.capacity() == 0
                && let Some(buffer) = self.spare.pop()
            {
                connection.out = buffer;
            }
        }
        let ran = if connection.carry.is_empty() {
            run_all(bytes, &mut self.store, &mut connection.out).map(|used| {
                connection.carry.extend_from_slice(&bytes[used..]);
            })
        } else {
            connection.carry.extend_from_slice(bytes);
            run_all(&connection.carry, &mut self.store, &mut connection.out).map(|used| {
                connection.carry.drain(..used);
            })
        };
        if ran == Err(Malformed) {
            // Ends the receive, which closes the connection.
            let _ = connection.socket.shutdown(Shutdown::Both);
        }
    }

    fn receiving_ended(&mut self, socket: RawFd, why: Ended) {
        match why {
            Ended::Rearm => self.turn.receives.push(socket),
            Ended::Closed => self.turn.closed.push(socket),
        }
    }

    fn sent(&mut self, mut buffer: Vec<u8>) {
        buffer.clear();
        self.spare.push(buffer);
    }

    fn rest_sent(&mut self, socket: RawFd, buffer: Vec<u8>) {
        self.sent(buffer);
        self.unblock(socket);
    }

    fn sent_partly(&mut self, socket: RawFd, buffer: Vec<u8>, sent: io::Result<usize>) {
        match sent {
            Ok(sent) => {
                connection(&mut self.connections, socket).outbound = Outbound::Blocked;
                self.turn.rests.push((socket, buffer, sent));
            }
            // The receive ends by itself and closes the connection.
            Err(_) => self.unblock(socket),
        }
    }
}

/// Runs every complete command of `input`; returns how many bytes they were.
#[inline]
fn run_all(input: &[u8], store: &mut Store, out: &mut Vec<u8>) -> Result<usize, Malformed> {
    let mut used = 0;
    while let Some((command, len)) = resp::next_command(&input[used..])? {
        run(&command, store, out);
        used += len;
    }
    Ok(used)
}

#[inline]
fn run(command: &Command<'_>, store: &mut Store, out: &mut Vec<u8>) {
    match *command {
        Command::Get { key } => match store.get(key) {
            Some(value) => resp::push_bulk(out, value),
            None => out.extend_from_slice(b"$-1\r\n"),
        },
        Command::Set { key, value } => {
            store.set(key, value);
            out.extend_from_slice(b"+OK\r\n");
        }
        Command::Ping => out.extend_from_slice(b"+PONG\r\n"),
        Command::Dbsize => resp::push_number(out, b':', store.len()),
        Command::Flushall => {
            store.clear();
            out.extend_from_slice(b"+OK\r\n");
        }
        // Load generators ask for `save` and `appendonly` and print what they get.
        Command::ConfigGet { parameter } => {
            resp::push_number(out, b'*', 2);
            resp::push_bulk(out, parameter);
            resp::push_bulk(out, b"");
        }
        Command::ListCommands => resp::push_number(out, b'*', 0),
        Command::Info => resp::push_bulk(out, b"redis_version:7.0.0\r\nredis_mode:standalone\r\n"),
        Command::Other => out.extend_from_slice(b"+OK\r\n"),
    }
}
