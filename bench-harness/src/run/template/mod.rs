//! Command templates: `ZADD board __score__ __key__` and the like.
//!
//! A template is one command, or several with a lone `;` between them that are always sent together (a group: read-modify-write,
//! `INCR` and `EXPIRE`). Words are separated by blanks; quotes keep blanks, and within double quotes `\n`, `\r`, `\t`, `\xHH`,
//! `\"` and `\\` mean what they do in C. What stands between double underscores is filled in anew for every command; the table is
//! [`PLACEHOLDERS`].

mod parse;
mod program;

pub(crate) use program::STAMP_DIGITS;
pub use program::{Program, Renderer, Sources};

use super::protocol::Protocol;

/// Every placeholder and what it becomes.
pub const PLACEHOLDERS: &[(&str, &str)] = &[
    ("__key__", "a key by --key-distribution; each is drawn anew"),
    ("__same_key__", "the first key of the template again"),
    ("__new_key__", "a key beyond all that were used"),
    (
        "__key_run:MIN-MAX__",
        "MIN to MAX keys in a row, as words of their own",
    ),
    (
        "__rand_int__",
        "the number of a key by --key-distribution, 12 digits",
    ),
    (
        "__value__, __data__",
        "the value of the command's first key, by --value-bytes",
    ),
    ("__bytes__", "its length (memcached)"),
    ("__field__", "field:N, N below --fields"),
    ("__score__", "a number from 0 to 999999"),
    ("__int:MIN-MAX__", "a number"),
    ("__ttl__", "a number by --ttl-seconds"),
    ("__now_ms__, __now_us__", "the time of day"),
    ("__stamp__", "nanoseconds of the run, 20 digits (pub/sub)"),
];

/// One template as parsed.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    /// The text it was parsed from.
    pub text: String,
    /// The commands of the group.
    pub commands: Vec<Command>,
    /// The keys that the group uses, by index in [`Piece::Key`].
    pub draws: Vec<Draw>,
}

/// Where a key of a group comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Draw {
    /// The key distribution.
    Sampled,
    /// The keys that nobody has used yet.
    Inserted,
}

/// One command of a group.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// Its first word in capitals; its name in reports.
    pub name: String,
    /// Its words.
    pub words: Vec<Vec<Piece>>,
}

/// A piece of a word.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    /// As it stands.
    Literal(Box<[u8]>),
    /// The name of the group's key of this index.
    Key(usize),
    /// Its number, 12 digits.
    KeyNumber(usize),
    /// The value of the command's first key.
    Value,
    /// The length of that value.
    ValueBytes,
    /// A field of a hash.
    Field,
    /// A number from `min` to `max`.
    Int {
        /// The least.
        min: u64,
        /// The greatest.
        max: u64,
    },
    /// A time to live in seconds.
    Ttl,
    /// The time of day in milliseconds.
    NowMs,
    /// The time of day in microseconds.
    NowUs,
    /// When the command was due, in nanoseconds of the run.
    Stamp,
    /// Several words: consecutive keys from the group's key of this index on.
    KeyRun {
        /// The first key.
        draw: usize,
        /// At least this many.
        min: u64,
        /// At most this many.
        max: u64,
    },
}

/// What the reply to a command tells about hits and misses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// Nothing.
    Nothing,
    /// Every value in it is a hit, every nil a miss; and values are those of the command's keys.
    Values,
    /// An empty aggregate is a miss, another one a hit.
    Aggregate,
}

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    /// One line that says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        parse::template(text).map_err(|error| format!("template `{text}`: {error}"))
    }
}

impl Command {
    /// What its reply tells about hits.
    #[must_use]
    pub fn reads(&self, protocol: Protocol) -> Reads {
        let resp = ["GET", "GETEX", "GETDEL", "MGET", "HGET", "HMGET"];
        let memcached = ["GET", "GETS", "GAT", "GATS", "MG"];
        let values: &[&str] = if protocol.is_resp() {
            &resp
        } else {
            &memcached
        };
        if values.contains(&self.name.as_str()) {
            Reads::Values
        } else if protocol.is_resp() && self.name == "HGETALL" {
            Reads::Aggregate
        } else {
            Reads::Nothing
        }
    }

    /// The indices of the keys it names, in their order.
    pub fn keys(&self) -> impl Iterator<Item = usize> + '_ {
        self.pieces().filter_map(|piece| match piece {
            Piece::Key(draw) | Piece::KeyNumber(draw) | Piece::KeyRun { draw, .. } => Some(*draw),
            _ => None,
        })
    }

    /// All its pieces.
    pub fn pieces(&self) -> impl Iterator<Item = &Piece> {
        self.words.iter().flatten()
    }
}
