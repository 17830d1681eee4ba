//! What each command's reply has to be, computed the plainest way there is.

use std::collections::BTreeMap;

use super::steps::SESSIONS;
use crate::quoting::escape;
use crate::resp::Reply;

/// A reply that is fixed, or fixed as far as a server is free.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expectation {
    /// Exactly this.
    Is(Reply),
    /// This, with the members in any order.
    Unordered(Vec<Reply>),
    /// An integer in this range.
    Between(i64, i64),
    /// One of these.
    OneOf(Vec<Reply>),
}

impl Expectation {
    /// Whether a server may give this reply.
    #[must_use]
    pub fn allows(&self, reply: &Reply) -> bool {
        match self {
            Self::Is(expected) => expected == reply,
            Self::Unordered(items) => {
                Reply::Array(items.clone()).sorted() == reply.clone().sorted()
            }
            Self::Between(low, high) => reply
                .integer()
                .is_some_and(|value| (*low..=*high).contains(&value)),
            Self::OneOf(replies) => replies.contains(reply),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    value: Vec<u8>,
    deadline_ms: Option<u64>,
}

type Database = BTreeMap<Vec<u8>, Entry>;

/// The databases, the clock, and which database each client has selected.
///
/// An entry past its deadline stays in the map until something removes it, as in a server that expires lazily: it is
/// seen by nothing but the upper bound of `DBSIZE`.
#[derive(Debug, Clone)]
pub struct Keyspace {
    databases: Vec<Database>,
    selected: [usize; SESSIONS],
    now_ms: u64,
}

fn ok() -> Reply {
    Reply::Status(b"OK".to_vec())
}

fn error(text: &str) -> Reply {
    Reply::Error(text.as_bytes().to_vec())
}

fn number(value: usize) -> Reply {
    Reply::Integer(i64::try_from(value).expect("the model holds few and short things"))
}

/// The value as a bulk string, or a null.
fn bulk_or_null(value: Option<Vec<u8>>) -> Reply {
    value.map_or(Reply::NullBulk, Reply::Bulk)
}

/// An integer the way Redis reads one: canonical decimal, nothing before or behind it.
fn integer(text: &[u8]) -> Option<i64> {
    let value: i64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    (value.to_string().as_bytes() == text).then_some(value)
}

const NOT_AN_INTEGER: &str = "ERR value is not an integer or out of range";
const SAME_OBJECT: &str = "ERR source and destination objects are the same";

impl Keyspace {
    /// Empty databases at this time.
    #[must_use]
    pub fn new(now_ms: u64) -> Self {
        Self {
            databases: vec![Database::new(); 16],
            selected: [0; SESSIONS],
            now_ms,
        }
    }

    /// Lets time pass.
    pub fn advance(&mut self, millis: u64) {
        self.now_ms += millis;
    }

    /// The keys of a database that are there.
    #[must_use]
    pub fn live_keys(&self, database: usize) -> Vec<Vec<u8>> {
        let entries = self.databases[database].iter();
        entries
            .filter(|(_, entry)| self.is_live(entry))
            .map(|(key, _)| key.clone())
            .collect()
    }

    /// The reply to a command of a client, and its effect.
    ///
    /// # Panics
    /// On a command that [`super::Steps`] does not make.
    pub fn apply(&mut self, session: usize, args: &[Vec<u8>]) -> Expectation {
        let name = String::from_utf8_lossy(&args[0]).to_uppercase();
        let db = self.selected[session];
        let reply = match (name.as_str(), &args[1..]) {
            ("SELECT", [index]) => {
                self.selected[session] = database_index(index);
                ok()
            }
            ("SWAPDB", [one, other]) => {
                self.databases
                    .swap(database_index(one), database_index(other));
                ok()
            }
            ("FLUSHDB", []) => {
                self.databases[db].clear();
                ok()
            }
            ("FLUSHALL", []) => {
                self.databases.iter_mut().for_each(Database::clear);
                ok()
            }
            ("DBSIZE", []) => {
                let high = self.databases[db].len() as i64;
                return Expectation::Between(self.live_keys(db).len() as i64, high);
            }
            ("KEYS", [_]) => {
                return Expectation::Unordered(
                    self.live_keys(db).into_iter().map(Reply::Bulk).collect(),
                );
            }
            ("RANDOMKEY", []) => {
                let keys: Vec<Reply> = self.live_keys(db).into_iter().map(Reply::Bulk).collect();
                return Expectation::OneOf(if keys.is_empty() {
                    vec![Reply::NullBulk]
                } else {
                    keys
                });
            }
            ("MGET", keys) => Reply::Array(
                keys.iter()
                    .map(|key| bulk_or_null(self.get(db, key)))
                    .collect(),
            ),
            ("MSET", pairs) => {
                self.set_all(db, pairs);
                ok()
            }
            ("MSETNX", pairs) => {
                let free = pairs.chunks(2).all(|pair| self.get(db, &pair[0]).is_none());
                if free {
                    self.set_all(db, pairs);
                }
                number(usize::from(free))
            }
            ("DEL" | "UNLINK", keys) => number(
                keys.iter()
                    .filter(|key| self.take(db, key).is_some())
                    .count(),
            ),
            ("EXISTS" | "TOUCH", keys) => number(
                keys.iter()
                    .filter(|key| self.get(db, key).is_some())
                    .count(),
            ),
            ("RENAME" | "RENAMENX", [from, to]) => self.rename(db, from, to, name == "RENAMENX"),
            ("COPY", [from, to, options @ ..]) => self.copy(db, from, to, options),
            ("MOVE", [key, to]) => self.move_key(db, key, database_index(to)),
            ("BITOP", [operation, to, sources @ ..]) => self.bitop(db, operation, to, sources),
            (_, [key, rest @ ..]) => self.apply_to_key(db, &name, key, rest),
            _ => panic!("the model does not know {name}"),
        };
        Expectation::Is(reply)
    }

    /// The commands of one key and its string.
    fn apply_to_key(&mut self, db: usize, name: &str, key: &[u8], rest: &[Vec<u8>]) -> Reply {
        match (name, rest) {
            ("GET", []) => bulk_or_null(self.get(db, key)),
            ("SET", [value, options @ ..]) => self.set_with(db, key, value, options),
            ("SETNX", [value]) => {
                let free = self.get(db, key).is_none();
                if free {
                    self.put(db, key, value.clone(), None);
                }
                number(usize::from(free))
            }
            ("GETSET", [value]) => {
                let old = self.get(db, key);
                self.put(db, key, value.clone(), None);
                bulk_or_null(old)
            }
            ("GETDEL", []) => bulk_or_null(self.take(db, key).map(|entry| entry.value)),
            ("GETEX", options) => {
                let Some(entry) = self.live(db, key) else {
                    return Reply::NullBulk;
                };
                let deadline_ms = match options {
                    [] => entry.deadline_ms,
                    [_persist] => None,
                    [_, span, ..] => Some(self.now_ms + span_ms(span)),
                };
                self.put(db, key, entry.value.clone(), deadline_ms);
                Reply::Bulk(entry.value)
            }
            ("STRLEN", []) => number(self.get(db, key).map_or(0, |value| value.len())),
            ("APPEND", [tail]) => {
                let length = self.change(db, key, |value| value.extend_from_slice(tail));
                number(length)
            }
            ("SETRANGE", [offset, patch]) => {
                if patch.is_empty() {
                    return number(self.get(db, key).map_or(0, |value| value.len()));
                }
                let start = span_ms(offset) as usize;
                number(self.change(db, key, |value| {
                    value.resize(value.len().max(start + patch.len()), 0);
                    value[start..start + patch.len()].copy_from_slice(patch);
                }))
            }
            ("GETRANGE", [start, end]) => match (integer(start), integer(end)) {
                (Some(start), Some(end)) => {
                    Reply::Bulk(range(&self.get(db, key).unwrap_or_default(), start, end))
                }
                _ => error(NOT_AN_INTEGER),
            },
            ("INCR", []) => self.increment(db, key, 1),
            ("DECR", []) => self.increment(db, key, -1),
            ("INCRBY" | "DECRBY", [by]) => match integer(by) {
                None => error(NOT_AN_INTEGER),
                Some(by) => self.increment(db, key, if name == "INCRBY" { by } else { -by }),
            },
            ("PEXPIRE", [span, condition @ ..]) => self.expire(db, key, span, condition),
            ("PERSIST", []) => match self.live(db, key) {
                Some(Entry {
                    value,
                    deadline_ms: Some(_),
                }) => {
                    self.put(db, key, value, None);
                    number(1)
                }
                _ => number(0),
            },
            ("PTTL", []) => Reply::Integer(match self.live(db, key) {
                None => -2,
                Some(Entry {
                    deadline_ms: None, ..
                }) => -1,
                Some(Entry {
                    deadline_ms: Some(deadline),
                    ..
                }) => (deadline - self.now_ms) as i64,
            }),
            ("TYPE", []) => {
                let there = self.get(db, key).is_some();
                Reply::Status(if there {
                    b"string".to_vec()
                } else {
                    b"none".to_vec()
                })
            }
            ("SETBIT", [offset, bit]) => {
                let (byte, mask) = bit_place(offset);
                let mut old = 0;
                self.change(db, key, |value| {
                    value.resize(value.len().max(byte + 1), 0);
                    old = usize::from(value[byte] & mask != 0);
                    value[byte] = if bit == b"1" {
                        value[byte] | mask
                    } else {
                        value[byte] & !mask
                    };
                });
                number(old)
            }
            ("GETBIT", [offset]) => {
                let (byte, mask) = bit_place(offset);
                let value = self.get(db, key).unwrap_or_default();
                number(usize::from(
                    value.get(byte).is_some_and(|byte| byte & mask != 0),
                ))
            }
            ("BITCOUNT", []) => {
                let value = self.get(db, key).unwrap_or_default();
                number(value.iter().map(|byte| byte.count_ones() as usize).sum())
            }
            _ => panic!("the model does not know {name} {}", escape(key)),
        }
    }

    fn is_live(&self, entry: &Entry) -> bool {
        entry
            .deadline_ms
            .is_none_or(|deadline| self.now_ms < deadline)
    }

    fn live(&self, db: usize, key: &[u8]) -> Option<Entry> {
        self.databases[db]
            .get(key)
            .filter(|entry| self.is_live(entry))
            .cloned()
    }

    fn get(&self, db: usize, key: &[u8]) -> Option<Vec<u8>> {
        self.live(db, key).map(|entry| entry.value)
    }

    /// Removes the key, giving what it held if it was live.
    fn take(&mut self, db: usize, key: &[u8]) -> Option<Entry> {
        let live = self.live(db, key);
        self.databases[db].remove(key);
        live
    }

    fn put(&mut self, db: usize, key: &[u8], value: Vec<u8>, deadline_ms: Option<u64>) {
        self.databases[db].insert(key.to_vec(), Entry { value, deadline_ms });
    }

    fn set_all(&mut self, db: usize, pairs: &[Vec<u8>]) {
        for pair in pairs.chunks(2) {
            self.put(db, &pair[0], pair[1].clone(), None);
        }
    }

    /// Changes the string in place, its deadline kept; gives its new length.
    fn change(&mut self, db: usize, key: &[u8], edit: impl FnOnce(&mut Vec<u8>)) -> usize {
        let mut entry = self.live(db, key).unwrap_or(Entry {
            value: Vec::new(),
            deadline_ms: None,
        });
        edit(&mut entry.value);
        let length = entry.value.len();
        self.put(db, key, entry.value, entry.deadline_ms);
        length
    }

    fn increment(&mut self, db: usize, key: &[u8], by: i64) -> Reply {
        let Some(old) = self.get(db, key).map_or(Some(0), |value| integer(&value)) else {
            return error(NOT_AN_INTEGER);
        };
        let Some(new) = old.checked_add(by) else {
            return error("ERR increment or decrement would overflow");
        };
        self.change(db, key, |value| *value = new.to_string().into_bytes());
        Reply::Integer(new)
    }

    fn set_with(&mut self, db: usize, key: &[u8], value: &[u8], options: &[Vec<u8>]) -> Reply {
        let has = |name: &[u8]| options.iter().any(|option| option == name);
        let old = self.live(db, key);
        let refused = (has(b"NX") && old.is_some()) || (has(b"XX") && old.is_none());
        if !refused {
            let span = options
                .iter()
                .position(|option| option == b"PX")
                .map(|at| span_ms(&options[at + 1]));
            let kept = old
                .as_ref()
                .and_then(|entry| entry.deadline_ms)
                .filter(|_| has(b"KEEPTTL"));
            self.put(
                db,
                key,
                value.to_vec(),
                span.map(|span| self.now_ms + span).or(kept),
            );
        }
        match (has(b"GET"), refused) {
            (true, _) => bulk_or_null(old.map(|entry| entry.value)),
            (false, true) => Reply::NullBulk,
            (false, false) => ok(),
        }
    }

    fn expire(&mut self, db: usize, key: &[u8], span: &[u8], condition: &[Vec<u8>]) -> Reply {
        let Some(entry) = self.live(db, key) else {
            return number(0);
        };
        let span = integer(span).expect("spans are integers");
        let deadline = self.now_ms.saturating_add_signed(span);
        let old = entry.deadline_ms;
        let holds = match condition.first().map(Vec::as_slice) {
            Some(b"NX") => old.is_none(),
            Some(b"XX") => old.is_some(),
            Some(b"GT") => old.is_some_and(|old| deadline > old),
            Some(b"LT") => old.is_none_or(|old| deadline < old),
            _ => true,
        };
        if holds && span <= 0 {
            self.take(db, key);
        } else if holds {
            self.put(db, key, entry.value, Some(deadline));
        }
        number(usize::from(holds))
    }

    fn rename(&mut self, db: usize, from: &[u8], to: &[u8], only_if_free: bool) -> Reply {
        if self.live(db, from).is_none() {
            return error("ERR no such key");
        }
        let free = self.live(db, to).is_none();
        if !only_if_free || free {
            let entry = self.take(db, from).expect("it was there");
            self.put(db, to, entry.value, entry.deadline_ms);
        }
        if only_if_free {
            number(usize::from(free))
        } else {
            ok()
        }
    }

    fn copy(&mut self, db: usize, from: &[u8], to: &[u8], options: &[Vec<u8>]) -> Reply {
        let target = options.iter().position(|option| option == b"DB");
        let target = target.map_or(db, |at| database_index(&options[at + 1]));
        let replace = options.iter().any(|option| option == b"REPLACE");
        if target == db && from == to {
            return error(SAME_OBJECT);
        }
        let Some(entry) = self.live(db, from) else {
            return number(0);
        };
        if self.live(target, to).is_some() && !replace {
            return number(0);
        }
        self.put(target, to, entry.value, entry.deadline_ms);
        number(1)
    }

    fn move_key(&mut self, db: usize, key: &[u8], target: usize) -> Reply {
        if target == db {
            return error(SAME_OBJECT);
        }
        if self.live(db, key).is_none() || self.live(target, key).is_some() {
            return number(0);
        }
        let entry = self.take(db, key).expect("it was there");
        self.put(target, key, entry.value, entry.deadline_ms);
        number(1)
    }

    fn bitop(&mut self, db: usize, operation: &[u8], to: &[u8], sources: &[Vec<u8>]) -> Reply {
        let values: Vec<Vec<u8>> = sources
            .iter()
            .map(|key| self.get(db, key).unwrap_or_default())
            .collect();
        let length = values.iter().map(Vec::len).max().unwrap_or(0);
        let at = |value: &Vec<u8>, i: usize| value.get(i).copied().unwrap_or(0);
        let result: Vec<u8> = (0..length)
            .map(|i| {
                let bytes = values.iter().map(|value| at(value, i));
                match operation {
                    b"AND" => bytes.fold(0xff, |a, b| a & b),
                    b"OR" => bytes.fold(0, |a, b| a | b),
                    b"XOR" => bytes.fold(0, |a, b| a ^ b),
                    _ => !at(&values[0], i),
                }
            })
            .collect();
        if result.is_empty() {
            self.take(db, to);
        } else {
            self.put(db, to, result, None);
        }
        number(length)
    }
}

fn database_index(text: &[u8]) -> usize {
    span_ms(text) as usize
}

/// A small number that the steps made.
fn span_ms(text: &[u8]) -> u64 {
    integer(text)
        .and_then(|value| u64::try_from(value).ok())
        .expect("the steps make this a small number")
}

fn bit_place(offset: &[u8]) -> (usize, u8) {
    let offset = span_ms(offset) as usize;
    (offset / 8, 0x80 >> (offset % 8))
}

/// `GETRANGE`'s piece: both ends included, negative ones counted from the end.
fn range(value: &[u8], start: i64, end: i64) -> Vec<u8> {
    let length = value.len() as i128;
    let place = |index: i64| {
        if index < 0 {
            length + i128::from(index)
        } else {
            i128::from(index)
        }
    };
    if start < 0 && end < 0 && start > end {
        return Vec::new();
    }
    let (start, end) = (place(start).max(0), place(end).max(0).min(length - 1));
    if start > end {
        Vec::new()
    } else {
        value[start as usize..=end as usize].to_vec()
    }
}
