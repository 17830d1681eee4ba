//! A server under comparison, with the connections over which episodes play.

use std::time::{Duration, Instant};

use super::step::{SESSIONS, Session, WAITERS};
use crate::Outcome;
use crate::client::{Arrival, Client, REPLY_TIMEOUT};
use crate::resp::{self, Reply};
use crate::server::{Options, Server, fault_in};

/// What a planted fault does with the words of each command on their way to the server.
pub type Fault = fn(&mut Vec<Vec<u8>>);

/// What every episode begins with, whatever the one before set.
const SETTINGS: &[&str] = &[
    "CONFIG SET hash-max-listpack-entries 512 hash-max-listpack-value 64",
    "CONFIG SET set-max-intset-entries 512",
    "CONFIG SET zset-max-listpack-entries 128 zset-max-listpack-value 64",
    "CONFIG SET list-max-listpack-size -2 list-compress-depth 0",
    // What is due goes soon: the server looks a hundred times a second.
    "CONFIG SET hz 100",
];

const SETTING_SINCE_7_2: &str = "CONFIG SET set-max-listpack-entries 128 set-max-listpack-value 64";

/// How to start one.
#[derive(Debug, Clone)]
pub struct Contender {
    /// The server.
    pub options: Options,
    /// What it is called in reports.
    pub label: String,
    /// What is wrong with it, in tests of the test.
    pub fault: Option<Fault>,
}

/// One that runs.
#[derive(Debug)]
pub(super) struct Target {
    contender: Contender,
    server: Server,
    connections: Connections,
}

#[derive(Debug)]
struct Connections {
    control: Client,
    sessions: Vec<Client>,
    waiters: Vec<i64>,
}

impl Connections {
    fn open(server: &Server) -> Outcome<Self> {
        let mut sessions = Vec::new();
        let mut waiters = Vec::new();
        for number in 0..SESSIONS + WAITERS {
            let mut client = server.connect()?;
            if number % 2 == 1 {
                client.run("HELLO 3")?;
            }
            if number >= SESSIONS {
                let id = client.run("CLIENT ID")?.integer();
                waiters.push(id.ok_or("CLIENT ID is no number")?);
            }
            sessions.push(client);
        }
        Ok(Self {
            control: server.connect()?,
            sessions,
            waiters,
        })
    }
}

impl Target {
    /// Starts the server and connects.
    ///
    /// # Errors
    /// It does not start or does not answer.
    pub(super) fn start(contender: Contender) -> Outcome<Self> {
        let server = Server::start(&contender.options)?;
        let connections = Connections::open(&server)?;
        Ok(Self {
            contender,
            server,
            connections,
        })
    }

    /// What it is called.
    #[must_use]
    pub(super) fn label(&self) -> &str {
        &self.contender.label
    }

    /// Whether it is a redis-server.
    pub(super) fn is_redis(&self) -> bool {
        self.contender.options.is_redis()
    }

    /// An empty server as it was at its start, without reconnecting.
    ///
    /// # Errors
    /// It does not answer.
    pub(super) fn empty(&mut self) -> Outcome<()> {
        for line in SETTINGS {
            let reply = self.connections.control.run(line)?;
            if let Reply::Error(why) = reply {
                return Err(format!("{line}: {}", String::from_utf8_lossy(&why)));
            }
        }
        // A Redis before 7.2 does not know it.
        self.connections.control.run(SETTING_SINCE_7_2)?;
        self.connections.control.run("FLUSHALL")?;
        self.connections.control.run("SELECT 0")?;
        for session in 0..SESSIONS + WAITERS {
            // A shrunk episode may leave a transaction open.
            let lines: [&[&str]; 3] = [&["DISCARD"], &["UNWATCH"], &["SELECT", "0"]];
            self.send(session, &lines.map(super::step::words))?;
            for _ in lines {
                self.read(session)?;
            }
        }
        Ok(())
    }

    /// Connects anew, or, where the server is gone, starts it again. Says what became of the former one.
    ///
    /// # Errors
    /// There is no server to be had.
    pub(super) fn recover(&mut self) -> Outcome<Option<String>> {
        let is_well = self.server.is_running() && fault_in(&self.server.log()).is_none();
        if is_well && let Ok(connections) = Connections::open(&self.server) {
            self.connections = connections;
            return Ok(None);
        }
        // It may be ending.
        let another = Server::start(&self.contender.options)?;
        let former = std::mem::replace(&mut self.server, another);
        self.connections = Connections::open(&self.server)?;
        let log = former.log_tail();
        let why = former.stop().err();
        Ok(Some(why.unwrap_or_else(|| {
            format!("it ended, or answers no more\n{log}")
        })))
    }

    /// Sends commands in one write.
    ///
    /// # Errors
    /// The connection does not take them.
    pub(super) fn send(&mut self, session: Session, commands: &[Vec<Vec<u8>>]) -> Outcome<()> {
        let mut bytes = Vec::new();
        for words in commands {
            match self.contender.fault {
                None => bytes.extend(resp::encode(words)),
                Some(fault) => {
                    let mut words = words.clone();
                    fault(&mut words);
                    bytes.extend(resp::encode(&words));
                }
            }
        }
        self.connections.sessions[session].send_raw(&bytes)
    }

    /// Reads one reply.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn read(&mut self, session: Session) -> Outcome<Reply> {
        self.connections.sessions[session].read()
    }

    /// Sends a command and reads its reply, over a connection that has no other task.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn ask<A: AsRef<[u8]>>(&mut self, words: &[A]) -> Outcome<Reply> {
        self.connections.control.call(words)
    }

    /// The number of this waiter's connection.
    #[must_use]
    pub(super) fn waiter_id(&self, waiter: usize) -> i64 {
        self.connections.waiters[waiter]
    }

    /// Waits until this waiter has blocked or has its reply; says which.
    ///
    /// # Errors
    /// Neither is so for too long.
    pub(super) fn settle(&mut self, waiter: usize) -> Outcome<Option<Reply>> {
        let id = self.connections.waiters[waiter].to_string();
        let deadline = Instant::now() + REPLY_TIMEOUT;
        while Instant::now() < deadline {
            let client = self.ask(&["CLIENT", "LIST", "ID", &id])?.to_text();
            let mut fields = client.split_whitespace();
            let flags = fields.find_map(|field| field.strip_prefix("flags="));
            if flags.is_some_and(|flags| flags.contains('b')) {
                return Ok(None);
            }
            // Its command has not come yet, or its reply is on its way.
            let session = &mut self.connections.sessions[SESSIONS + waiter];
            match session.arrival(Duration::from_millis(1))? {
                Arrival::Reply(reply) => return Ok(Some(reply)),
                Arrival::Closed => return Err("a waiter was cut off".into()),
                Arrival::Nothing => {}
            }
        }
        Err(format!(
            "a waiter neither blocks nor is answered for {REPLY_TIMEOUT:?}"
        ))
    }

    /// The process's end, with what it says of itself.
    ///
    /// # Errors
    /// It did not end well.
    pub(super) fn stop(self) -> Outcome<()> {
        drop(self.connections);
        self.server.stop()
    }
}
