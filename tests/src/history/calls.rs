//! What the clients of a workload send, and what the replies say: a command (a script is one) or a transaction, as one
//! operation of the history.

use super::{Action, Copied, Fate, Key, Token, Value};
use crate::Outcome;
use crate::resp::{Reply, encode};

/// Reads all keys, then appends to those that have an argument; replies with the values and the new lengths.
const SCRIPT: &str = "local seen = {} \
    for i, key in ipairs(KEYS) do seen[i] = redis.call('GET', key) end \
    for i, token in ipairs(ARGV) do \
      seen[#KEYS + i] = token ~= '' and redis.call('APPEND', KEYS[i], token) or 0 \
    end \
    return seen";

/// One command on keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// `GET`
    Get(Key),
    /// `MGET`
    Mget(Vec<Key>),
    /// `APPEND`
    Append(Key, Token),
    /// `MSET`
    Mset(Vec<(Key, Token)>),
    /// `MSETNX` of keys that never were.
    Msetnx(Vec<(Key, Token)>),
    /// `DEL` of keys that are there.
    Del(Vec<Key>),
    /// `COPY`
    Copy(Key, Copied),
    /// `RENAME` of a key that is there.
    Rename(Key, Copied),
    /// `EVAL` of a script that reads all keys, then appends to some.
    Script(Vec<(Key, Option<Token>)>),
    /// `WATCH`
    Watch(Vec<Key>),
    /// `UNWATCH`
    Unwatch,
}

/// How a transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With `EXEC`.
    Exec,
    /// With `DISCARD`.
    Discard,
}

/// What is one operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// A command.
    Plain(Step),
    /// A transaction.
    Multi {
        /// What was read since the `WATCH` that is in force.
        watched: Vec<(Key, Value)>,
        /// Between `MULTI` and the end.
        steps: Vec<Step>,
        /// `EXEC` or `DISCARD`.
        end: End,
    },
}

impl Step {
    fn args(&self) -> Vec<Vec<u8>> {
        let text = |name: &str| name.as_bytes().to_vec();
        let named = |name: &str, keys: &[Key]| -> Vec<Vec<u8>> {
            let keys = keys.iter().map(|key| key.to_string().into_bytes());
            std::iter::once(text(name)).chain(keys).collect()
        };
        let pairs = |name: &str, pairs: &[(Key, Token)]| -> Vec<Vec<u8>> {
            let pairs = pairs
                .iter()
                .flat_map(|(key, token)| [key.to_string().into_bytes(), token.to_bytes()]);
            std::iter::once(text(name)).chain(pairs).collect()
        };
        match self {
            Self::Get(key) => named("GET", &[*key]),
            Self::Mget(keys) => named("MGET", keys),
            Self::Append(key, token) => pairs("APPEND", &[(*key, *token)]),
            Self::Mset(written) => pairs("MSET", written),
            Self::Msetnx(written) => pairs("MSETNX", written),
            Self::Del(keys) => named("DEL", keys),
            Self::Copy(key, into) => vec![
                text("COPY"),
                text(&key.to_string()),
                text(&into.to_string()),
            ],
            Self::Rename(key, into) => vec![
                text("RENAME"),
                text(&key.to_string()),
                text(&into.to_string()),
            ],
            Self::Script(keys) => {
                let mut args = vec![
                    b"EVAL".to_vec(),
                    SCRIPT.into(),
                    keys.len().to_string().into(),
                ];
                args.extend(keys.iter().map(|(key, _)| key.to_string().into_bytes()));
                args.extend(
                    keys.iter()
                        .map(|(_, token)| token.map_or_else(Vec::new, Token::to_bytes)),
                );
                args
            }
            Self::Watch(keys) => named("WATCH", keys),
            Self::Unwatch => named("UNWATCH", &[]),
        }
    }

    /// What it did if it happened, as far as is known without a reply.
    fn effects(&self) -> Vec<Action> {
        match self {
            Self::Append(key, token) => vec![Action::Append {
                key: *key,
                token: *token,
                length: None,
            }],
            Self::Mset(pairs) | Self::Msetnx(pairs) => pairs
                .iter()
                .map(|&(key, token)| Action::Write { key, token })
                .collect(),
            Self::Del(keys) => keys.iter().map(|&key| Action::Delete { key }).collect(),
            &Self::Copy(key, into) => vec![Action::Copy { key, into }],
            &Self::Rename(key, into) => vec![Action::Copy { key, into }, Action::Delete { key }],
            Self::Script(keys) => keys
                .iter()
                .filter_map(|&(key, token)| {
                    token.map(|token| Action::Append {
                        key,
                        token,
                        length: None,
                    })
                })
                .collect(),
            Self::Get(_) | Self::Mget(_) | Self::Watch(_) | Self::Unwatch => Vec::new(),
        }
    }

    fn decode(&self, reply: &Reply) -> Outcome<Vec<Action>> {
        let wrong = || format!("{self:?} is answered by {:?}", reply.lines());
        let as_expected = match (self, reply) {
            (Self::Script(keys), _) => return decode_script(keys, reply),
            (Self::Get(key), _) => return Ok(vec![read(*key, reply).ok_or_else(wrong)?]),
            (Self::Mget(keys), Reply::Array(values)) if values.len() == keys.len() => {
                let values = keys.iter().zip(values);
                let reads = values.map(|(key, value)| read(*key, value));
                return reads.collect::<Option<_>>().ok_or_else(wrong);
            }
            (Self::Append(key, token), Reply::Integer(length)) => {
                return Ok(vec![append(*key, *token, *length)]);
            }
            (
                Self::Mset(_) | Self::Rename(..) | Self::Watch(_) | Self::Unwatch,
                Reply::Status(text),
            ) => text == b"OK",
            (Self::Copy(..), Reply::Integer(1)) => true,
            (Self::Copy(key, _), Reply::Integer(0)) => {
                return Ok(vec![Action::Read {
                    key: *key,
                    value: Value::default(),
                }]);
            }
            (Self::Msetnx(_), Reply::Integer(count)) => *count == 1,
            (Self::Del(keys), Reply::Integer(count)) => *count == keys.len() as i64,
            _ => false,
        };
        as_expected.then(|| self.effects()).ok_or_else(wrong)
    }
}

fn read(key: Key, reply: &Reply) -> Option<Action> {
    let value = match reply {
        Reply::Bulk(bytes) => Value(bytes.clone()),
        Reply::NullBulk => Value::default(),
        _ => return None,
    };
    Some(Action::Read { key, value })
}

fn append(key: Key, token: Token, length_bytes: i64) -> Action {
    let length = usize::try_from(length_bytes).map_or(0, |bytes| bytes / super::TOKEN_BYTES);
    Action::Append {
        key,
        token,
        length: Some(length),
    }
}

impl Call {
    /// What is sent.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Plain(step) => encode(&step.args()),
            Self::Multi { steps, end, .. } => {
                let mut bytes = encode(&["MULTI"]);
                for step in steps {
                    bytes.extend(encode(&step.args()));
                }
                bytes.extend(encode(&[match end {
                    End::Exec => "EXEC",
                    End::Discard => "DISCARD",
                }]));
                bytes
            }
        }
    }

    /// How many replies it has.
    #[must_use]
    pub fn replies(&self) -> usize {
        match self {
            Self::Multi { steps, .. } => steps.len() + 2,
            Self::Plain(_) => 1,
        }
    }

    /// In words.
    #[must_use]
    pub fn form(&self) -> &'static str {
        match self {
            Self::Plain(Step::Get(_)) => "GET",
            Self::Plain(Step::Mget(_)) => "MGET",
            Self::Plain(Step::Append(..)) => "APPEND",
            Self::Plain(Step::Mset(_)) => "MSET",
            Self::Plain(Step::Msetnx(_)) => "MSETNX",
            Self::Plain(Step::Del(_)) => "DEL",
            Self::Plain(Step::Copy(..)) => "COPY",
            Self::Plain(Step::Rename(..)) => "RENAME",
            Self::Plain(Step::Script(_)) => "EVAL",
            Self::Plain(Step::Watch(_)) => "WATCH",
            Self::Plain(Step::Unwatch) => "UNWATCH",
            Self::Multi {
                end: End::Discard, ..
            } => "MULTI and DISCARD",
            Self::Multi { watched, .. } if watched.is_empty() => "MULTI and EXEC",
            Self::Multi { .. } => "MULTI and EXEC, with what was read since WATCH",
        }
    }

    /// What it did if it happened, as far as is known without replies.
    #[must_use]
    pub fn effects(&self) -> Vec<Action> {
        match self {
            Self::Plain(step) => step.effects(),
            Self::Multi { steps, .. } => steps.iter().flat_map(Step::effects).collect(),
        }
    }

    /// What it did, by its replies.
    ///
    /// # Errors
    /// A reply that such a command never has.
    pub fn decode(&self, replies: &[Reply]) -> Outcome<(Fate, Vec<Action>)> {
        let last = replies.last().ok_or("a call has a reply")?;
        match self {
            Self::Plain(step) => Ok((Fate::Happened, step.decode(last)?)),
            Self::Multi {
                watched,
                steps,
                end,
            } => {
                let wrong = || {
                    let lines: Vec<_> = replies.iter().flat_map(Reply::lines).collect();
                    format!("{self:?} is answered by {lines:?}")
                };
                let (first, queued) = (&replies[0], &replies[1..replies.len() - 1]);
                let is = |reply: &Reply, text: &str| *reply == Reply::Status(text.into());
                if !is(first, "OK") || !queued.iter().all(|reply| is(reply, "QUEUED")) {
                    return Err(wrong());
                }
                let results = match (end, last) {
                    (End::Discard, last) if is(last, "OK") => {
                        return Ok((Fate::DidNot, self.effects()));
                    }
                    (End::Exec, Reply::NullArray) if !watched.is_empty() => {
                        return Ok((Fate::DidNot, self.effects()));
                    }
                    (End::Exec, Reply::Array(results)) if results.len() == steps.len() => results,
                    _ => return Err(wrong()),
                };
                // What was watched is at the EXEC as it was read: that is what WATCH is for.
                let mut actions: Vec<Action> = watched
                    .iter()
                    .map(|(key, value)| Action::Read {
                        key: *key,
                        value: value.clone(),
                    })
                    .collect();
                for (step, result) in steps.iter().zip(results) {
                    actions.extend(step.decode(result)?);
                }
                Ok((Fate::Happened, actions))
            }
        }
    }
}

fn decode_script(keys: &[(Key, Option<Token>)], reply: &Reply) -> Outcome<Vec<Action>> {
    let wrong = || format!("a script on {keys:?} is answered by {:?}", reply.lines());
    let Reply::Array(results) = reply else {
        return Err(wrong());
    };
    if results.len() != 2 * keys.len() {
        return Err(wrong());
    }
    let (values, lengths) = results.split_at(keys.len());
    let mut actions = Vec::with_capacity(results.len());
    for ((key, _), value) in keys.iter().zip(values) {
        actions.push(read(*key, value).ok_or_else(wrong)?);
    }
    for ((key, token), length) in keys.iter().zip(lengths) {
        if let Some(token) = token {
            let length = length.integer().ok_or_else(wrong)?;
            actions.push(append(*key, *token, length));
        }
    }
    Ok(actions)
}
