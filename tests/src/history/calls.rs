//! What the clients of a workload send, and what the replies say: a command (a script is one) or a transaction, as one
//! operation of the history.

use super::forms::{self, Form};
use super::{Action, Copied, Fate, Feeder, Key, Token, Value};
use crate::Outcome;
use crate::resp::{Reply, encode};

/// Reads keys and appends to those that have a token, some of the keys declared and the others among the arguments:
/// `number of keys, undeclared keys, tokens`. Replies with the values read and the new lengths.
const SCRIPT_KEYS: &str = "local count = tonumber(ARGV[1]) \
    local keys, tokens, seen = {}, {}, {} \
    for i = 1, count do \
      keys[i] = KEYS[i] or ARGV[1 + i - #KEYS] \
      tokens[i] = ARGV[1 + count - #KEYS + i] \
    end \
    local function append(i) \
      return tokens[i] ~= '' and put(keys[i], tokens[i]) or 0 \
    end ";
const READS_FIRST: &str = "for i, key in ipairs(keys) do seen[i] = read(key) end \
    for i in ipairs(keys) do seen[count + i] = append(i) end \
    return seen";
const AS_IT_GOES: &str = "for i, key in ipairs(keys) do \
      seen[i] = read(key) \
      seen[count + i] = append(i) \
    end \
    local replies = {} \
    for i = 1, 2 * count do replies[i] = seen[i] end \
    return replies";

/// A script that reads keys and appends to some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// The keys, and what is appended to them.
    pub keys: Vec<(Key, Option<Token>)>,
    /// So many of them, from the first on, are declared.
    pub declared: usize,
    /// When it appends.
    pub appends: Appends,
    /// A number that makes its text one that nobody has run; none for the text that all send.
    pub fresh: Option<u32>,
}

/// When a script appends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appends {
    /// When it has read all keys.
    AtTheEnd,
    /// To each key as it comes to it: it reaches for keys when it has written others.
    AsItGoes,
}

impl Script {
    fn args(&self) -> Vec<Vec<u8>> {
        let deed = match self.appends {
            Appends::AtTheEnd => READS_FIRST,
            Appends::AsItGoes => AS_IT_GOES,
        };
        let fresh = self.fresh.map(|number| format!(" -- {number}"));
        let text = format!(
            "{}{SCRIPT_KEYS}{deed}{}",
            forms::LUA,
            fresh.unwrap_or_default()
        );
        let (declared, undeclared) = self.keys.split_at(self.declared);
        let names = |keys: &[(Key, Option<Token>)]| -> Vec<Vec<u8>> {
            let names = keys.iter().map(|(key, _)| key.to_string().into_bytes());
            names.collect()
        };
        let mut args = vec![b"EVAL".to_vec(), text.into_bytes()];
        args.push(self.declared.to_string().into_bytes());
        args.extend(names(declared));
        args.push(self.keys.len().to_string().into_bytes());
        args.extend(names(undeclared));
        let tokens = self.keys.iter().map(|(_, token)| *token);
        args.extend(tokens.map(|token| token.map_or_else(Vec::new, Token::to_bytes)));
        args
    }

    fn form(&self) -> &'static str {
        match (self.declared, self.fresh) {
            (count, None) if count == self.keys.len() => "EVAL",
            (count, Some(_)) if count == self.keys.len() => "EVAL, first run",
            (_, None) => "EVAL, undeclared keys",
            (_, Some(_)) => "EVAL, undeclared keys, first run",
        }
    }
}

/// One command on keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// `GET`, or what reads a key of another type.
    Get(Key),
    /// `MGET` of strings.
    Mget(Vec<Key>),
    /// `APPEND`, or what puts a token behind the others of another type.
    Append(Key, Token),
    /// `SET` of a string.
    Set(Key, Token),
    /// `DEL` of a list or a hash whose first token comes next in the same transaction.
    Clear(Key),
    /// That first token.
    First(Key, Token),
    /// `RPUSH` of its token to a feeder.
    Feed(Feeder),
    /// `LMOVE` of a feeder's token to a list.
    Move(Feeder, Key),
    /// The same by `BLMOVE`: it waits for the token, if that is not there.
    Await(Feeder, Key),
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
    /// `EVAL`
    Script(Script),
    /// `EXISTS`, of which is looked only that it is answered.
    Exists(Vec<Key>),
    /// `ECHO` of a number: that replies come in the order of the commands.
    Echo(u32),
    /// `WATCH`
    Watch(Vec<Key>),
    /// `UNWATCH`
    Unwatch,
    /// `CLIENT KILL` of the connection of this number, if it is still there.
    Kill(i64),
}

/// For how long a client waits for a feeder's token: its feeder may be gone.
const AWAIT_SECONDS: &str = "0.05";

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
        /// The keys of the `WATCH` in force.
        watched: Vec<Key>,
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
            Self::Get(key) => {
                let words = Form::of(*key).read_args(&key.to_string());
                words.into_iter().map(String::into_bytes).collect()
            }
            Self::Mget(keys) => named("MGET", keys),
            Self::Append(key, token) | Self::First(key, token) => {
                Form::of(*key).append_args(&key.to_string(), *token)
            }
            Self::Clear(key) => named("DEL", &[*key]),
            Self::Feed(feeder) => vec![
                text("RPUSH"),
                text(&feeder.to_string()),
                feeder.token.to_bytes(),
            ],
            Self::Move(from, to) | Self::Await(from, to) => {
                let (name, seconds) = match self {
                    Self::Await(..) => ("BLMOVE", Some(AWAIT_SECONDS)),
                    _ => ("LMOVE", None),
                };
                let (from, to) = (from.to_string(), to.to_string());
                let words = [name, &from, &to, "LEFT", "RIGHT"].into_iter();
                words.chain(seconds).map(text).collect()
            }
            Self::Set(key, token) => pairs("SET", &[(*key, *token)]),
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
            Self::Script(script) => script.args(),
            Self::Exists(keys) => named("EXISTS", keys),
            Self::Echo(number) => vec![text("ECHO"), text(&number.to_string())],
            Self::Watch(keys) => named("WATCH", keys),
            Self::Unwatch => named("UNWATCH", &[]),
            Self::Kill(id) => {
                let words = ["CLIENT", "KILL", "ID", &id.to_string()];
                words.map(text).to_vec()
            }
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
            Self::Move(from, key) | Self::Await(from, key) => vec![Action::Append {
                key: *key,
                token: from.token,
                length: None,
            }],
            &Self::Set(key, token) | &Self::First(key, token) => {
                vec![Action::Write { key, token }]
            }
            Self::Mset(pairs) | Self::Msetnx(pairs) => pairs
                .iter()
                .map(|&(key, token)| Action::Write { key, token })
                .collect(),
            Self::Del(keys) => keys.iter().map(|&key| Action::Delete { key }).collect(),
            &Self::Copy(key, into) => vec![Action::Copy { key, into }],
            &Self::Rename(key, into) => vec![Action::Copy { key, into }, Action::Delete { key }],
            Self::Script(script) => script
                .keys
                .iter()
                .filter_map(|&(key, token)| {
                    token.map(|token| Action::Append {
                        key,
                        token,
                        length: None,
                    })
                })
                .collect(),
            Self::Get(_)
            | Self::Mget(_)
            | Self::Exists(_)
            | Self::Echo(_)
            | Self::Watch(_)
            | Self::Unwatch
            | Self::Clear(_)
            | Self::Feed(_)
            | Self::Kill(_) => Vec::new(),
        }
    }

    fn decode(&self, reply: &Reply) -> Outcome<Vec<Action>> {
        let wrong = || format!("{self:?} is answered by {:?}", reply.lines());
        let as_expected = match (self, reply) {
            (Self::Script(script), _) => return decode_script(&script.keys, reply),
            (Self::Get(key), _) => {
                let value = Form::of(*key).value(reply).ok_or_else(wrong)?;
                return Ok(vec![Action::Read { key: *key, value }]);
            }
            (Self::Mget(keys), Reply::Array(values)) if values.len() == keys.len() => {
                let values = keys.iter().zip(values);
                let reads = values.map(|(key, value)| read(*key, value));
                return reads.collect::<Option<_>>().ok_or_else(wrong);
            }
            (Self::Append(key, token), Reply::Integer(length)) => {
                let length = Form::of(*key).length(*length);
                return Ok(vec![append(*key, *token, length)]);
            }
            (Self::First(..) | Self::Feed(_), Reply::Integer(length)) => *length == 1,
            (Self::Clear(_), Reply::Integer(count)) => (0..=1).contains(count),
            (Self::Move(from, _) | Self::Await(from, _), Reply::Bulk(moved)) => {
                *moved == from.token.to_bytes()
            }
            // There was nothing to move.
            (Self::Move(..) | Self::Await(..), Reply::NullBulk | Reply::NullArray) => {
                return Ok(Vec::new());
            }
            (
                Self::Set(..) | Self::Mset(_) | Self::Rename(..) | Self::Watch(_) | Self::Unwatch,
                Reply::Status(text),
            ) => text == b"OK",
            (Self::Exists(keys), Reply::Integer(count)) => (0..=keys.len() as i64).contains(count),
            (Self::Echo(number), Reply::Bulk(said)) => said == number.to_string().as_bytes(),
            (Self::Copy(..), Reply::Integer(1)) => true,
            (Self::Copy(key, _), Reply::Integer(0)) => {
                return Ok(vec![Action::Read {
                    key: *key,
                    value: Value::default(),
                }]);
            }
            (Self::Msetnx(_), Reply::Integer(count)) => *count == 1,
            (Self::Kill(_), Reply::Integer(count)) => (0..=1).contains(count),
            (Self::Del(keys), Reply::Integer(count)) => *count == keys.len() as i64,
            _ => false,
        };
        as_expected.then(|| self.effects()).ok_or_else(wrong)
    }
}

/// What a string was, or the tokens of another value as one.
fn read(key: Key, reply: &Reply) -> Option<Action> {
    let value = Form::String.value(reply)?;
    Some(Action::Read { key, value })
}

fn append(key: Key, token: Token, length: Option<usize>) -> Action {
    Action::Append { key, token, length }
}

/// Steps that read these keys.
#[must_use]
pub fn reading(keys: Vec<Key>) -> Vec<Step> {
    match keys.iter().all(|key| Form::of(*key) == Form::String) {
        true => vec![Step::Mget(keys)],
        false => keys.into_iter().map(Step::Get).collect(),
    }
}

/// Steps of a transaction that give these keys new values.
#[must_use]
pub fn replacing(written: Vec<(Key, Token)>) -> Vec<Step> {
    let steps = written
        .into_iter()
        .flat_map(|(key, token)| match Form::of(key) {
            Form::String => vec![Step::Set(key, token)],
            Form::List | Form::Hash => vec![Step::Clear(key), Step::First(key, token)],
        });
    steps.collect()
}

impl Call {
    /// These steps at one moment.
    #[must_use]
    pub fn of(mut steps: Vec<Step>) -> Self {
        if steps.len() == 1 {
            return Self::Plain(steps.remove(0));
        }
        Self::Multi {
            watched: Vec::new(),
            steps,
            end: End::Exec,
        }
    }

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
            Self::Plain(Step::Get(key)) => match Form::of(*key) {
                Form::String => "GET",
                Form::List => "LRANGE",
                Form::Hash => "HKEYS",
            },
            Self::Plain(Step::Mget(_)) => "MGET",
            Self::Plain(Step::Append(key, _) | Step::First(key, _)) => match Form::of(*key) {
                Form::String => "APPEND",
                Form::List => "RPUSH",
                Form::Hash => "HSET",
            },
            Self::Plain(Step::Feed(_)) => "RPUSH",
            Self::Plain(Step::Move(..)) => "LMOVE",
            Self::Plain(Step::Await(..)) => "BLMOVE",
            Self::Plain(Step::Clear(_)) => "DEL",
            Self::Plain(Step::Mset(_)) => "MSET",
            Self::Plain(Step::Msetnx(_)) => "MSETNX",
            Self::Plain(Step::Del(_)) => "DEL",
            Self::Plain(Step::Copy(..)) => "COPY",
            Self::Plain(Step::Rename(..)) => "RENAME",
            Self::Plain(Step::Set(..)) => "SET",
            Self::Plain(Step::Script(script)) => script.form(),
            Self::Plain(Step::Exists(_)) => "EXISTS",
            Self::Plain(Step::Echo(_)) => "ECHO",
            Self::Plain(Step::Watch(_)) => "WATCH",
            Self::Plain(Step::Unwatch) => "UNWATCH",
            Self::Plain(Step::Kill(_)) => "CLIENT KILL",
            Self::Multi {
                end: End::Discard, ..
            } => "MULTI and DISCARD",
            Self::Multi { watched, .. } if watched.is_empty() => "MULTI and EXEC",
            Self::Multi { .. } => "MULTI and EXEC, with WATCH",
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

    /// What it did, by its replies. `seen` is what was read of watched keys since they were watched.
    ///
    /// # Errors
    /// A reply that such a command never has.
    pub fn decode(&self, replies: &[Reply], seen: &[(Key, Value)]) -> Outcome<(Fate, Vec<Action>)> {
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
                let mut actions: Vec<Action> = seen
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
            actions.push(append(*key, *token, Form::String.length(length)));
        }
    }
    Ok(actions)
}
