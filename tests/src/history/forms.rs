//! The types that keys have, and how tokens are put into a value of each and read again.
//!
//! ```text
//!            read     append   replace
//!  string    GET      APPEND   SET
//!  list      LRANGE   RPUSH    DEL, RPUSH
//!  hash      HKEYS    HSET     DEL, HSET      its fields are the tokens: while it is small it keeps the order in which they came
//! ```

use super::{GROUPS, Key, Token, Value};
use crate::resp::Reply;

/// The type of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A string: its tokens one behind the other.
    String,
    /// A list: an element a token.
    List,
    /// A hash: a field a token.
    Hash,
}

/// Which types the keys of a workload have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forms {
    /// All are strings.
    Strings,
    /// The keys of a group take turns.
    All,
}

/// Two Lua functions on keys of any type: `read` gives the tokens in one string, `append` so many bytes as they are since then.
pub(super) const LUA: &str = "local function form(key) return key:match('^history:(%a+):') end \
    local function read(key) \
      if form(key) == 'list' then return table.concat(redis.call('LRANGE', key, 0, -1)) end \
      if form(key) == 'hash' then return table.concat(redis.call('HKEYS', key)) end \
      return redis.call('GET', key) \
    end \
    local function put(key, token) \
      if form(key) == 'list' then return 8 * redis.call('RPUSH', key, token) end \
      if form(key) == 'hash' then \
        redis.call('HSET', key, token, '') \
        return 8 * redis.call('HLEN', key) \
      end \
      return redis.call('APPEND', key, token) \
    end ";

impl Form {
    const ALL: [Self; 3] = [Self::String, Self::List, Self::Hash];

    /// The type of a key.
    #[must_use]
    pub fn of(key: Key) -> Self {
        Self::ALL[(key.0 / GROUPS) as usize % Self::ALL.len()]
    }

    /// What stands before its keys' names.
    pub(super) fn prefix(self) -> &'static str {
        match self {
            Self::String => "",
            Self::List => "list:",
            Self::Hash => "hash:",
        }
    }

    /// The command that reads a key.
    pub(super) fn read_args(self, key: &str) -> Vec<String> {
        let words: &[&str] = match self {
            Self::String => &["GET", key],
            Self::List => &["LRANGE", key, "0", "-1"],
            Self::Hash => &["HKEYS", key],
        };
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    /// What such a command has answered; none: it never answers so.
    pub(super) fn value(self, reply: &Reply) -> Option<Value> {
        match (self, reply) {
            (Self::String, Reply::Bulk(bytes)) => Some(Value(bytes.clone())),
            (Self::String, Reply::NullBulk) => Some(Value::default()),
            (Self::List | Self::Hash, Reply::Array(tokens)) => {
                let tokens: Option<Vec<&[u8]>> = tokens.iter().map(Reply::bytes).collect();
                Some(Value(tokens?.concat()))
            }
            _ => None,
        }
    }

    /// The command that puts a token behind the others.
    pub(super) fn append_args(self, key: &str, token: Token) -> Vec<Vec<u8>> {
        let (name, value): (&str, Option<Vec<u8>>) = match self {
            Self::String => ("APPEND", None),
            Self::List => ("RPUSH", None),
            Self::Hash => ("HSET", Some(Vec::new())),
        };
        let args = [
            name.as_bytes().to_vec(),
            key.as_bytes().to_vec(),
            token.to_bytes(),
        ];
        args.into_iter().chain(value).collect()
    }

    /// How many tokens there are since, as the reply says; of a hash it says nothing.
    pub(super) fn length(self, reply: i64) -> Option<usize> {
        let number = usize::try_from(reply).unwrap_or(0);
        match self {
            Self::String => Some(number / super::TOKEN_BYTES),
            Self::List => Some(number),
            Self::Hash => None,
        }
    }
}

impl Forms {
    /// The number of a group's key, of which there were `count` before.
    pub(super) fn number(self, count: usize) -> u32 {
        match self {
            Self::Strings => (count * Form::ALL.len()) as u32,
            Self::All => count as u32,
        }
    }
}
