//! Plays a dialogue on a server: to compare its replies with the expected ones, or to write them down.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::pattern::{has_wildcards, matches};
use super::script::{Action, Item, Script, arguments};
use crate::Outcome;
use crate::client::{Arrival, Client};
use crate::resp;

/// What playing a dialogue is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Compare the replies with the expected ones.
    Replay,
    /// Write the replies down as the expected ones.
    Bless,
}

/// What came of it.
#[derive(Debug)]
pub struct Report {
    /// The dialogue, with new replies after [`Mode::Bless`].
    pub script: Script,
    /// One text for each reply that was not as expected.
    pub failures: Vec<String>,
    /// How many replies were looked at.
    pub replies: usize,
}

/// A reply that does not come within this time is missing.
const REPLY_PATIENCE: Duration = Duration::from_secs(5);
/// How long silence must last before a reply that should not come counts as not coming.
const SILENCE: Duration = Duration::from_millis(60);
/// How long to wait while blessing before writing that no reply comes.
const BLESS_PATIENCE: Duration = Duration::from_millis(1200);
/// How long `! eventually` goes on.
const EVENTUALLY: Duration = Duration::from_secs(5);
/// A dialogue with more failures than this is given up.
const MAX_FAILURES: usize = 25;

/// Plays `script` on the server at `address`; `first`, if there is one, is its connection 1.
///
/// # Errors
/// When the server cannot be talked to at all, or the dialogue asks for something impossible.
pub fn play(
    script: &Script,
    address: SocketAddr,
    mode: Mode,
    first: Option<Client>,
) -> Outcome<Report> {
    let mut player = Player {
        address,
        mode,
        by_hand_file: script.by_hand().is_some(),
        connections: first.map(|client| (1, client)).into_iter().collect(),
        saved: HashMap::new(),
        next: Manner::default(),
        report: Report {
            script: script.clone(),
            failures: Vec::new(),
            replies: 0,
        },
    };
    let mut index = 0;
    while index < player.report.script.items.len() && player.report.failures.len() < MAX_FAILURES {
        index = player.step(index).map_err(|why| {
            let line_number = player.report.script.items[index].line_number;
            format!("{}:{line_number}: {why}", script.path().display())
        })?;
    }
    player.look_for_leftovers();
    Ok(player.report)
}

/// What the directives in front of a command ask for.
#[derive(Default)]
struct Manner {
    unordered: bool,
    eventually: bool,
    by_hand: bool,
    save: Option<String>,
}

struct Player {
    address: SocketAddr,
    mode: Mode,
    by_hand_file: bool,
    connections: HashMap<u32, Client>,
    saved: HashMap<String, String>,
    next: Manner,
    report: Report,
}

impl Player {
    /// Plays the item at `index`, giving the index to go on with.
    fn step(&mut self, index: usize) -> Outcome<usize> {
        let item = self.report.script.items[index].clone();
        match &item.action {
            Action::Nothing | Action::EndPipeline => {}
            Action::Unordered => self.next.unordered = true,
            Action::Eventually => self.next.eventually = true,
            Action::ByHand => self.next.by_hand = true,
            Action::Save { name } => self.next.save = Some(name.clone()),
            Action::Sleep { millis } => std::thread::sleep(Duration::from_millis(*millis)),
            Action::Close { connection } => drop(self.connections.remove(connection)),
            Action::Resp3 { connection } => {
                self.connection(*connection)?.call(&["HELLO", "3"])?;
            }
            Action::Command { connection, line } => {
                let bytes = resp::encode(&arguments(line, &self.saved)?);
                self.exchange(index, *connection, &bytes)?;
            }
            Action::Raw { connection, line } => {
                let bytes = arguments(line, &self.saved)?.concat();
                self.exchange(index, *connection, &bytes)?;
            }
            Action::Read { connection } => self.exchange(index, *connection, &[])?,
            Action::Pipeline => return self.pipeline(index + 1),
        }
        Ok(index + 1)
    }

    /// Sends all commands up to the end of the pipeline, then reads their replies.
    fn pipeline(&mut self, start: usize) -> Outcome<usize> {
        let items = &self.report.script.items[start..];
        let count = items
            .iter()
            .position(|item| item.action == Action::EndPipeline)
            .ok_or("a pipeline without end")?;
        let mut bytes: HashMap<u32, Vec<u8>> = HashMap::new();
        for item in &items[..count] {
            if let Action::Command { connection, line } = &item.action {
                bytes
                    .entry(*connection)
                    .or_default()
                    .extend(resp::encode(&arguments(line, &self.saved)?));
            }
        }
        for (connection, bytes) in bytes {
            self.connection(connection)?.send_raw(&bytes)?;
        }
        for index in start..start + count {
            if let Action::Command { connection, .. } = self.report.script.items[index].action {
                self.exchange(index, connection, &[])?;
            }
        }
        Ok(start + count + 1)
    }

    /// Sends `bytes` and deals with the replies that the item at `index` expects.
    fn exchange(&mut self, index: usize, connection: u32, bytes: &[u8]) -> Outcome<()> {
        let manner = std::mem::take(&mut self.next);
        let item = self.report.script.items[index].clone();
        let deadline = Instant::now() + EVENTUALLY;
        let actual = loop {
            // A connection that breaks while bytes are sent shows as closed when it is read.
            if !bytes.is_empty() && self.connection(connection)?.send_raw(bytes).is_err() {
                break vec!["(closed)".to_owned()];
            }
            let actual = self.replies(&item, connection, &manner)?;
            let fits = item.expected.is_empty() || matches(&item.expected, &actual);
            if fits || !manner.eventually || Instant::now() > deadline {
                break actual;
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        self.report.replies += 1;
        let by_hand = manner.by_hand || self.by_hand_file;
        match self.mode {
            Mode::Replay if !matches(&item.expected, &actual) => self.fail(&item, &actual),
            Mode::Bless if !by_hand && !matches(&item.expected, &actual) => {
                if has_wildcards(&item.expected) {
                    self.fail(&item, &actual);
                } else {
                    self.report.script.items[index].expected = actual;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Reads the replies to an item, as lines.
    fn replies(&mut self, item: &Item, connection: u32, manner: &Manner) -> Outcome<Vec<String>> {
        let blessing = self.mode == Mode::Bless;
        let is_raw = matches!(item.action, Action::Raw { .. });
        let wanted = item.expected_replies();
        let mut lines = Vec::new();
        let mut read = 0;
        loop {
            let expected = item.expected.get(lines.len()).map(String::as_str);
            let patience = match expected {
                _ if blessing && read > 0 => SILENCE,
                Some("(none)") => 2 * SILENCE,
                None if blessing => BLESS_PATIENCE,
                _ => REPLY_PATIENCE,
            };
            let client = self.connection_to_read(connection)?;
            match client.arrival(patience)? {
                Arrival::Reply(reply) => {
                    let is_push = matches!(reply, resp::Reply::Push(_));
                    let reply = if manner.unordered {
                        reply.sorted()
                    } else {
                        reply
                    };
                    if let Some(name) = manner.save.as_ref().filter(|_| read == 0) {
                        self.saved.insert(name.clone(), reply.to_text());
                    }
                    lines.extend(reply.lines());
                    read += 1;
                    let is_last = if blessing {
                        !is_raw && !is_push
                    } else {
                        read >= wanted
                    };
                    if is_last {
                        return Ok(lines);
                    }
                }
                Arrival::Closed => {
                    self.connections.remove(&connection);
                    lines.push("(closed)".into());
                    return Ok(lines);
                }
                Arrival::Nothing => {
                    if expected != Some("(none)") && !blessing {
                        // A reply that comes late must not be taken for the next one.
                        self.connections.remove(&connection);
                    }
                    if read == 0 {
                        lines.push("(none)".into());
                    }
                    return Ok(lines);
                }
            }
        }
    }

    /// The connection of this number, opened anew when the server has closed it.
    fn connection(&mut self, number: u32) -> Outcome<&mut Client> {
        if self.connections.get(&number).is_some_and(Client::is_closed) {
            self.connections.remove(&number);
        }
        self.connection_to_read(number)
    }

    /// The connection of this number as it is, even closed, if there was one.
    fn connection_to_read(&mut self, number: u32) -> Outcome<&mut Client> {
        if !self.connections.contains_key(&number) {
            self.connections
                .insert(number, Client::connect(self.address)?);
        }
        self.connections
            .get_mut(&number)
            .ok_or_else(|| format!("no connection {number}"))
    }

    fn fail(&mut self, item: &Item, actual: &[String]) {
        let mut text = format!(
            "{}:{}: {}\n",
            self.report.script.path().display(),
            item.line_number,
            item.text()
        );
        let mut list = |title: &str, lines: &[String]| {
            writeln!(text, "  {title}").expect("writing to a string does not fail");
            for line in lines.iter().take(60) {
                writeln!(text, "    {line}").expect("writing to a string does not fail");
            }
        };
        list("expected", &item.expected);
        list("received", actual);
        self.report.failures.push(text);
    }

    /// Replies that nothing in the dialogue accounts for.
    fn look_for_leftovers(&mut self) {
        for (number, client) in &mut self.connections {
            if let Ok(Arrival::Reply(reply)) = client.arrival(Duration::from_millis(2)) {
                let path = self.report.script.path().display();
                let lines = reply.lines().join("\n    ");
                self.report.failures.push(format!(
                    "{path}: connection {number} got one more reply\n    {lines}\n"
                ));
            }
        }
    }
}
