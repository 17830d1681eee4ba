//! Histories of what concurrent clients did and saw, and a checker of their strict serializability.
//!
//! After Elle (Kingsbury, Alvaro, "Elle: Inferring Isolation Anomalies from Experimental Observations", VLDB 2020), with
//! its list-append histories: clients `APPEND` tokens that are used once to strings, so that whoever reads a value sees
//! which writes came before, in their order, and the reply to an `APPEND` says at which place its token came to stand.
//! From that follow Adya's dependencies between operations (Adya, Liskov, O'Neil, "Generalized Isolation Level
//! Definitions", ICDE 2000):
//!
//! ```text
//!  A ─ww→ B    B wrote the next version of a key after A's
//!  A ─wr→ B    B read A's version
//!  A ─rw→ B    B wrote the next version after the one that A read
//!  A ─po→ B    A was sent before B on the same connection, and both are on one key
//!  A ─rt→ B    A had its reply before B was sent
//! ```
//! A history is strictly serializable if some order of its operations explains every reply and keeps to real time; and what a
//! client sends without waiting for replies is to happen in that order, key by key. Then these edges have no cycle. A cycle is a broken promise, and its kind of edges is the anomaly's name.
//!
//! Keys are strings, lists and hashes ([`forms`]): what is said of strings holds for each. A token also comes to a list by `LMOVE` from another
//! list that has it alone, and that is filled before, or by another client while this one waits (`BLMOVE`).
//!
//! Two things are added to Elle's histories, so that more commands take part: a key may be **replaced** by a value that is
//! one new token ([`Action::Write`]: `SET`, `MSET`, `MSETNX`), and **deleted** once ([`Action::Delete`]: `DEL`, `RENAME`). Replacements of
//! one key must not overlap in time, so that their order is known; everything else may overlap them. And it may be **copied**
//! ([`Action::Copy`]: `COPY`, `RENAME`), which is a read whose value shows later.
//!
//! An operation whose connection broke may have happened or not ([`Fate::Unknown`]): it has if somebody saw a token of it,
//! and it may have happened at any time after it was sent.
//!
//! Cost: linear in operations and edges, but for the search for the shortest cycle once there is one. Real time takes two
//! edges an operation (see [`graph`]).
//!
//! * [`versions`] recovers the order of each key's versions, and finds what no order explains.
//! * [`graph`] makes the edges and looks for cycles, and shows the shortest.
//! * [`workload`] plays clients on a server and records a history.

pub mod calls;
mod examples;
pub mod forms;
pub mod graph;
pub mod keys;
mod player;
pub mod simulated;
pub mod versions;
pub mod workload;

use std::collections::HashMap;
use std::fmt::{self, Write as _};

/// A key, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(pub u32);

/// So many groups of keys there are. On two to four cores, no core has the keys of all groups, and each those of one.
pub const GROUPS: u32 = 4;

impl Key {
    /// Its group: the keys of a group are of one slot, and so of one core.
    #[must_use]
    pub fn group(self) -> u32 {
        self.0 % GROUPS
    }
}

impl fmt::Display for Key {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let form = forms::Form::of(*self).prefix();
        write!(out, "history:{form}{{{}}}:{}", self.group(), self.0)
    }
}

/// A list that gets one token, which is then moved to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Feeder {
    /// Its group ([`Key::group`]).
    pub group: u32,
    /// Used once.
    pub token: Token,
}

impl fmt::Display for Feeder {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "history:feed:{{{}}}:{}", self.group, self.token)
    }
}

/// A key that is written once, with the value of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Copied(pub u32);

impl Copied {
    /// Its group ([`Key::group`]).
    #[must_use]
    pub fn group(self) -> u32 {
        self.0 % GROUPS
    }
}

impl fmt::Display for Copied {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "history:copy:{{{}}}:{}", self.group(), self.0)
    }
}

/// What is written once and never again: seven hexadecimal digits and a semicolon in a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(pub u32);

/// Bytes of a token in a value.
pub const TOKEN_BYTES: usize = 8;

impl Token {
    /// As it stands in a value.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        format!("{:07x};", self.0).into_bytes()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let digits = bytes.strip_suffix(b";")?;
        let number = u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        Some(Self(number))
    }
}

impl fmt::Display for Token {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:07x}", self.0)
    }
}

/// What a key held: its tokens, one behind the other. Empty when there was no such key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Value(pub Vec<u8>);

impl Value {
    /// The value of these tokens.
    #[must_use]
    pub fn of(tokens: &[u32]) -> Self {
        Self(tokens.iter().flat_map(|&t| Token(t).to_bytes()).collect())
    }

    /// How many tokens it has.
    #[must_use]
    pub fn length(&self) -> usize {
        self.0.len().div_ceil(TOKEN_BYTES)
    }

    /// The token at a place; none where the value has other bytes than tokens.
    #[must_use]
    pub fn token(&self, place: usize) -> Option<Token> {
        let at = place * TOKEN_BYTES;
        Token::from_bytes(self.0.get(at..at + TOKEN_BYTES)?)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Of a longer value only the last ones are shown.
        const SHOWN: usize = 4;
        let length = self.length();
        if length == 0 {
            return out.write_str("nothing");
        }
        out.write_str("[")?;
        if length > SHOWN {
            write!(out, "{} more, ", length - SHOWN)?;
        }
        for place in length.saturating_sub(SHOWN)..length {
            let separator = if place + 1 < length { ", " } else { "]" };
            match self.token(place) {
                Some(token) => write!(out, "{token}{separator}")?,
                None => write!(out, "?{separator}")?,
            }
        }
        Ok(())
    }
}

/// One thing that an operation did to one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// It saw this value.
    Read {
        /// Of this key.
        key: Key,
        /// Nothing, where there was no such key.
        value: Value,
    },
    /// It copied the value to another key, which nobody else writes: what it saw is known to [`reveal`] when that is read.
    Copy {
        /// From this key.
        key: Key,
        /// To the copy of this number.
        into: Copied,
    },
    /// It put a token behind the value.
    Append {
        /// Of this key.
        key: Key,
        /// Used here only.
        token: Token,
        /// How many tokens the value has had since, as the reply says.
        length: Option<usize>,
    },
    /// It replaced the value by one token.
    Write {
        /// Of this key.
        key: Key,
        /// Used here only.
        token: Token,
    },
    /// It removed the key. At most once for a key, and only for one whose life began with a [`Action::Write`].
    Delete {
        /// This key.
        key: Key,
    },
}

impl Action {
    /// The key.
    #[must_use]
    pub fn key(&self) -> Key {
        match self {
            Self::Read { key, .. }
            | Self::Copy { key, .. }
            | Self::Append { key, .. }
            | Self::Write { key, .. }
            | Self::Delete { key } => *key,
        }
    }

    /// The token it wrote.
    #[must_use]
    pub fn token(&self) -> Option<Token> {
        match self {
            Self::Append { token, .. } | Self::Write { token, .. } => Some(*token),
            Self::Read { .. } | Self::Copy { .. } | Self::Delete { .. } => None,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { key, value } => write!(out, "{key} was {value}"),
            Self::Copy { key, into } => write!(out, "{key} copied to {into}"),
            Self::Append { key, token, length } => {
                write!(out, "{key} append {token}")?;
                match length {
                    Some(length) => write!(out, ", has {length} since"),
                    None => out.write_str(", no reply"),
                }
            }
            Self::Write { key, token } => write!(out, "{key} set to {token}"),
            Self::Delete { key } => write!(out, "{key} deleted"),
        }
    }
}

/// What is known of an operation's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Its reply says that it happened.
    Happened,
    /// Its reply says that it did not: a transaction that was discarded, or whose watched keys had changed.
    DidNot,
    /// No reply came.
    Unknown,
}

/// A command, a transaction or a script of one client: all of it is to happen at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Whose.
    pub client: usize,
    /// Its connection, on which it was sent behind those that come before it in the history; none where nothing is known of it.
    pub connection: Option<usize>,
    /// In which form it was sent.
    pub form: &'static str,
    /// When it was sent, by the clock of all clients.
    pub invoked_ns: u64,
    /// When its reply was there; `u64::MAX` when none came.
    pub completed_ns: u64,
    /// Whether it happened.
    pub fate: Fate,
    /// What it did, in this order.
    pub actions: Vec<Action>,
}

impl fmt::Display for Operation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |ns: u64| ns as f64 / 1e6;
        write!(
            out,
            "client {}, {:.3} ms to ",
            self.client,
            ms(self.invoked_ns)
        )?;
        match self.fate {
            Fate::Happened if self.completed_ns < u64::MAX => {
                write!(out, "{:.3} ms", ms(self.completed_ns))?;
            }
            Fate::DidNot => write!(out, "{:.3} ms, did not happen", ms(self.completed_ns))?,
            Fate::Happened | Fate::Unknown => out.write_str("no reply")?,
        }
        write!(out, ", {}", self.form)?;
        for action in &self.actions {
            write!(out, "\n       {action}")?;
        }
        Ok(())
    }
}

/// The name of a broken promise, as Adya and Elle have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anomaly {
    /// Somebody read what nobody wrote.
    Garbage,
    /// G1a: somebody read a write that did not happen.
    AbortedRead,
    /// G1b: somebody saw a transaction between two of its writes to one key.
    IntermediateRead,
    /// An operation did not see its own earlier write.
    OwnWriteUnseen,
    /// Two values of one key neither of which continues the other, or a token that does not stand where its reply said.
    IncompatibleOrders,
    /// G0: a cycle of writes.
    WriteCycle,
    /// G1c: a cycle of writes and reads of them.
    CircularFlow,
    /// G-single on one key: a write behind one that its writer had not seen.
    LostUpdate,
    /// G-single: a cycle with one read of a version that was replaced.
    ReadSkew,
    /// G2: a cycle with several such reads.
    WriteSkew,
    /// Some order explains all replies, but not one in which each connection's operations on a key were sent.
    AgainstProgramOrder,
    /// Some order explains all replies, but it is not that of real time.
    AgainstRealTime,
}

impl fmt::Display for Anomaly {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Garbage => "a read of what nobody wrote",
            Self::AbortedRead => "G1a, a read of a write that did not happen",
            Self::IntermediateRead => "G1b, a read of a transaction's intermediate state",
            Self::OwnWriteUnseen => "an operation that does not see its own write",
            Self::IncompatibleOrders => "incompatible orders of one key's writes",
            Self::WriteCycle => "G0, a cycle of writes",
            Self::CircularFlow => "G1c, circular information flow",
            Self::LostUpdate => "G-single, a lost update",
            Self::ReadSkew => "G-single, read skew",
            Self::WriteSkew => "G2, write skew",
            Self::AgainstProgramOrder => "an order against that of one connection",
            Self::AgainstRealTime => "an order against real time",
        })
    }
}

/// A broken promise, with the operations that show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Its name.
    pub anomaly: Anomaly,
    /// The operations, by their place in the history. A cycle's in its order.
    pub operations: Vec<usize>,
    /// For a person.
    pub text: String,
}

impl Violation {
    /// That `sentence` is true of these operations.
    fn new(anomaly: Anomaly, history: &[Operation], of: &[usize], sentence: &str) -> Box<Self> {
        let mut text = format!("strict serializability is broken: {anomaly}\n  {sentence}");
        for (number, &at) in of.iter().enumerate() {
            write!(text, "\n  {}  {}", name(number), history[at]).expect("a string takes all");
        }
        Box::new(Self {
            anomaly,
            operations: of.to_vec(),
            text,
        })
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

/// What an operation is called in a violation's text: A, B, …
fn name(number: usize) -> String {
    match u8::try_from(number) {
        Ok(small) if small < 26 => char::from(b'A' + small).to_string(),
        _ => format!("#{number}"),
    }
}

/// What was looked at, of a history without a broken promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Checked {
    /// Operations that happened.
    pub operations: usize,
    /// Versions of all keys.
    pub versions: usize,
    /// Dependencies between operations, without those of real time.
    pub dependencies: usize,
}

/// Puts what the copies hold in the end in the place of what is known of the copying operations: reads of these values. One
/// without a reply has happened if there is its copy.
pub fn reveal(history: &mut [Operation], copies: &HashMap<Copied, Value>) {
    for operation in history {
        for action in &mut operation.actions {
            let Action::Copy { key, into } = *action else {
                continue;
            };
            let value = copies.get(&into).cloned().unwrap_or_default();
            let is_there = value.length() > 0;
            match operation.fate {
                Fate::DidNot => continue,
                Fate::Unknown if !is_there => continue,
                Fate::Unknown => operation.fate = Fate::Happened,
                Fate::Happened => {}
            }
            *action = Action::Read { key, value };
        }
    }
}

/// Checks that a history is strictly serializable. A copy that was not revealed tells nothing.
///
/// # Errors
/// The first broken promise that is found; of cycles the shortest.
///
/// # Panics
/// When the history cannot be checked: a token was written twice, or replacements of a key overlap.
pub fn check(history: &[Operation]) -> Result<Checked, Box<Violation>> {
    let recovered = versions::recover(history)?;
    graph::check(history, &recovered)
}
