//! A RESP client that hides nothing: bytes out, replies in, over TCP or a unix socket.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::resp::{self, ParseError, Reply};

/// How long a reply may take before a test calls it missing.
pub const REPLY_TIMEOUT: Duration = Duration::from_secs(10);

/// One connection to a server.
#[derive(Debug)]
pub struct Client {
    socket: Socket,
    received: Vec<u8>,
    taken: usize,
    closed: bool,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// What came when a reply was awaited.
#[derive(Debug, PartialEq, Eq)]
pub enum Arrival {
    /// A whole reply.
    Reply(Reply),
    /// The server closed the connection.
    Closed,
    /// Nothing whole within the time given.
    Nothing,
}

impl Client {
    /// Connects over TCP.
    ///
    /// # Errors
    /// When nothing accepts the connection.
    pub fn connect(address: SocketAddr) -> Outcome<Self> {
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))
            .map_err(|why| format!("connecting to {address}: {why}"))?;
        stream.set_nodelay(true).map_err(|why| why.to_string())?;
        Ok(Self::over(Socket::Tcp(stream)))
    }

    /// Connects over a unix socket.
    ///
    /// # Errors
    /// When nothing accepts the connection.
    pub fn connect_unix(path: &Path) -> Outcome<Self> {
        let stream = UnixStream::connect(path)
            .map_err(|why| format!("connecting to {}: {why}", path.display()))?;
        Ok(Self::over(Socket::Unix(stream)))
    }

    fn over(socket: Socket) -> Self {
        Self {
            socket,
            received: Vec::new(),
            taken: 0,
            closed: false,
        }
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// When the connection does not take them.
    pub fn send_raw(&mut self, bytes: &[u8]) -> Outcome<()> {
        let sent = match &mut self.socket {
            Socket::Tcp(stream) => stream.write_all(bytes),
            Socket::Unix(stream) => stream.write_all(bytes),
        };
        sent.map_err(|why| format!("sending {} bytes: {why}", bytes.len()))
    }

    /// Sends one command without waiting for its reply.
    ///
    /// # Errors
    /// When the connection does not take it.
    pub fn send<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Outcome<()> {
        self.send_raw(&resp::encode(args))
    }

    /// Waits for one reply.
    ///
    /// # Errors
    /// No reply within [`REPLY_TIMEOUT`], a closed connection, or bytes that are no reply.
    pub fn read(&mut self) -> Outcome<Reply> {
        match self.arrival(REPLY_TIMEOUT)? {
            Arrival::Reply(reply) => Ok(reply),
            Arrival::Closed => Err("the server closed the connection".into()),
            Arrival::Nothing => Err(format!("no reply within {REPLY_TIMEOUT:?}")),
        }
    }

    /// Sends one command and waits for its reply.
    ///
    /// # Errors
    /// As [`Client::send`] and [`Client::read`].
    pub fn call<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Outcome<Reply> {
        self.send(args)?;
        self.read()
    }

    /// Sends one command given as text with redis-cli's quoting, and waits for its reply.
    ///
    /// # Errors
    /// As [`Client::call`], and for unbalanced quotes.
    pub fn run(&mut self, line: &str) -> Outcome<Reply> {
        self.call(&crate::quoting::split(line)?)
    }

    /// Whether the server has this command.
    ///
    /// # Errors
    /// It does not say.
    pub fn knows_command(&mut self, name: &str) -> Outcome<bool> {
        match self.call(&["COMMAND", "INFO", name])? {
            Reply::Array(commands) => Ok(matches!(commands[..], [Reply::Array(_)])),
            other => Err(format!("COMMAND INFO {name}: {:?}", other.lines())),
        }
    }

    /// Waits up to `patience` for a reply or for the end of the connection.
    ///
    /// # Errors
    /// Bytes that are no reply.
    pub fn arrival(&mut self, patience: Duration) -> Outcome<Arrival> {
        let deadline = Instant::now() + patience;
        // A reply of many megabytes is not parsed again for each piece that arrives.
        let mut parse_from = 0;
        loop {
            if self.received.len() - self.taken > parse_from || self.closed {
                match resp::parse(&self.received[self.taken..]) {
                    Ok((reply, used)) => {
                        self.take(used);
                        return Ok(Arrival::Reply(reply));
                    }
                    Err(ParseError::Malformed(why)) => return Err(why),
                    Err(ParseError::Incomplete) if self.closed => return Ok(Arrival::Closed),
                    Err(ParseError::Incomplete) => {
                        let have = self.received.len() - self.taken;
                        parse_from = if have < 1 << 20 {
                            have
                        } else {
                            have + have / 4
                        };
                    }
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Arrival::Nothing);
            }
            // Whatever waits below the threshold is looked at again once the socket falls silent.
            if !self.receive(left.min(Duration::from_millis(200)))? {
                parse_from = 0;
            }
        }
    }

    /// The bytes received and not yet read as a reply.
    #[must_use]
    pub fn unread(&self) -> &[u8] {
        &self.received[self.taken..]
    }

    /// Whether the server has closed the connection, as far as was read.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    fn take(&mut self, used: usize) {
        self.taken += used;
        if self.taken == self.received.len() {
            self.received.clear();
            self.taken = 0;
        }
    }

    /// Reads what the socket has, waiting up to `patience`; says whether anything came.
    fn receive(&mut self, patience: Duration) -> Outcome<bool> {
        if self.closed {
            return Ok(false);
        }
        let mut chunk = vec![0; 1 << 16];
        let patience = Some(patience.max(Duration::from_millis(1)));
        let read = match &mut self.socket {
            Socket::Tcp(stream) => stream
                .set_read_timeout(patience)
                .and_then(|()| stream.read(&mut chunk)),
            Socket::Unix(stream) => stream
                .set_read_timeout(patience)
                .and_then(|()| stream.read(&mut chunk)),
        };
        match read {
            Ok(0) => self.closed = true,
            Ok(count) => self.received.extend_from_slice(&chunk[..count]),
            Err(why)
                if matches!(
                    why.kind(),
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                ) =>
            {
                return Ok(false);
            }
            Err(why)
                if matches!(
                    why.kind(),
                    ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
                ) =>
            {
                self.closed = true
            }
            Err(why) => return Err(format!("receiving: {why}")),
        }
        Ok(true)
    }
}
