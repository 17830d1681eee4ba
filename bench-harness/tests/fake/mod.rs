//! Small servers for the tests: a map behind RESP or memcached's protocol, with faults to order.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "every test file uses a part of this"
)]

pub mod memcached;
pub mod resp;
pub mod run;

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What goes wrong, counted in commands of the load (not of the introduction), from 1.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// This command and everybody's after it waits for so long.
    pub stall: Option<(u64, Duration)>,
    /// Every so many replies to a read are of another key.
    pub wrong_value_every: Option<u64>,
    /// The reply to this command is no reply.
    pub garbage_at: Option<u64>,
    /// The connection is closed instead of this reply.
    pub close_at: Option<u64>,
    /// From this command on there is no reply.
    pub mute_from: Option<u64>,
    /// Every command is answered with an error.
    pub only_errors: bool,
}

/// What a server keeps, and what it has seen.
#[derive(Debug, Default)]
pub struct State {
    pub map: Mutex<HashMap<Vec<u8>, Vec<u8>>>,
    /// Commands of the load, in order of arrival; words.
    pub seen: Mutex<Vec<Vec<Vec<u8>>>>,
    pub commands: AtomicU64,
    pub connections: AtomicUsize,
    pub faults: Faults,
    pub password: Option<&'static str>,
    pub cluster: Mutex<Option<Cluster>>,
    pub subscribers: Mutex<Vec<Subscriber>>,
    /// Held while the server stands still.
    pub gate: Mutex<()>,
}

/// The channel, and where its messages go.
pub type Subscriber = (Vec<u8>, Box<dyn Socket>);

/// A node's view of its cluster.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// What `CLUSTER SLOTS` says: first slot, last slot, port.
    pub told: Vec<(u16, u16, u16)>,
    /// Who really owns the slots: first, last, port.
    pub real: Vec<(u16, u16, u16)>,
    /// Slots that are asked for elsewhere: slot, port.
    pub asking: Vec<(u16, u16)>,
    /// Slots that this node takes after `ASKING`.
    pub importing: Vec<u16>,
    pub port: u16,
    /// Whether `CLUSTER SLOTS` is unknown and `CLUSTER SHARDS` must be asked.
    pub knows_shards_only: bool,
}

/// A connection to a client.
pub trait Socket: io::Read + Write + Send + std::fmt::Debug {
    fn another(&self) -> Box<dyn Socket>;
}

impl Socket for std::net::TcpStream {
    fn another(&self) -> Box<dyn Socket> {
        Box::new(self.try_clone().unwrap())
    }
}

impl Socket for std::os::unix::net::UnixStream {
    fn another(&self) -> Box<dyn Socket> {
        Box::new(self.try_clone().unwrap())
    }
}

/// How a server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Resp,
    Memcached,
}

/// A server on a port of its own, for as long as the test runs.
pub struct Fake {
    pub port: u16,
    pub state: Arc<State>,
}

impl Fake {
    pub fn resp(state: State) -> Self {
        Self::start(Dialect::Resp, state)
    }

    pub fn memcached(state: State) -> Self {
        Self::start(Dialect::Memcached, state)
    }

    pub fn start(dialect: Dialect, state: State) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(state);
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                stream.set_nodelay(true).unwrap();
                serve(Box::new(stream), dialect, &shared);
            }
        });
        Self { port, state }
    }

    /// A RESP server on a Unix socket in a directory of its own.
    pub fn unix(state: State) -> (PathBuf, Arc<State>) {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!(
            "larder-bench-fake-{}-{number}.sock",
            std::process::id()
        ));
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        let state = Arc::new(state);
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming() {
                serve(Box::new(stream.unwrap()), Dialect::Resp, &shared);
            }
        });
        (path, state)
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The commands of the load with this name.
    pub fn seen(&self, name: &str) -> Vec<Vec<Vec<u8>>> {
        let seen = self.state.seen.lock().unwrap();
        seen.iter()
            .filter(|words| words[0].eq_ignore_ascii_case(name.as_bytes()))
            .cloned()
            .collect()
    }

    pub fn command_count(&self) -> u64 {
        self.state.commands.load(Ordering::SeqCst)
    }
}

fn serve(socket: Box<dyn Socket>, dialect: Dialect, state: &Arc<State>) {
    let state = Arc::clone(state);
    state.connections.fetch_add(1, Ordering::SeqCst);
    thread::spawn(move || {
        let reader = BufReader::new(socket.another());
        // A client that goes away ends its thread.
        let _ = match dialect {
            Dialect::Resp => resp::converse(reader, socket, &state),
            Dialect::Memcached => memcached::converse(reader, socket, &state),
        };
    });
}

/// What becomes of a reply.
pub enum Fate {
    Send,
    Replace(Vec<u8>),
    Drop,
    Close,
}

impl State {
    /// Counts a command of the load, lets faults happen, and says what becomes of its reply.
    pub fn meet(&self, words: &[Vec<u8>], error: &[u8]) -> Fate {
        let number = self.commands.fetch_add(1, Ordering::SeqCst) + 1;
        self.seen.lock().unwrap().push(words.to_vec());
        let gate = self.gate.lock().unwrap();
        if let Some((at, length)) = self.faults.stall
            && at == number
        {
            thread::sleep(length);
        }
        drop(gate);
        match self.faults {
            Faults {
                only_errors: true, ..
            } => Fate::Replace(error.to_vec()),
            Faults {
                garbage_at: Some(at),
                ..
            } if at == number => Fate::Replace(b"?garbage\r\n".to_vec()),
            Faults {
                close_at: Some(at), ..
            } if at == number => Fate::Close,
            Faults {
                mute_from: Some(from),
                ..
            } if from <= number => Fate::Drop,
            _ => Fate::Send,
        }
    }

    /// The value of a key; now and then another's, when that is ordered.
    pub fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        let map = self.map.lock().unwrap();
        let number = self.commands.load(Ordering::SeqCst);
        match self.faults.wrong_value_every {
            Some(every) if number.is_multiple_of(every) => map
                .iter()
                .find(|(other, _)| other.as_slice() != key)
                .map(|(_, value)| value.clone()),
            _ => map.get(key).cloned(),
        }
    }

    pub fn set(&self, key: &[u8], value: &[u8]) {
        self.map
            .lock()
            .unwrap()
            .insert(key.to_vec(), value.to_vec());
    }
}

/// A line without its end; none at the end of the stream.
pub fn read_line(reader: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    if reader.read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    while matches!(line.last(), Some(b'\r' | b'\n')) {
        line.pop();
    }
    Ok(Some(line))
}

/// A file for one test, gone when it ends.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("larder-bench-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
