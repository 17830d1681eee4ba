//! Random clients on a server, and the history of what they did and saw.
//!
//! Each client sends, over a connection of its own, pipelines of reads and appends, alone, in transactions and in scripts;
//! transactions behind a `WATCH`; and now and then the chore of replacing, deleting or renaming worn keys ([`super::keys`]). Some cut
//! connections: their own in the middle of a command, or another's by `CLIENT KILL`; what was under way has no reply
//! then, and the client connects anew.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::calls::{Call, End, Step};
use super::keys::{Chore, Keys};
use super::{Action, Copied, Fate, Key, Operation, Token, Value};
use crate::Outcome;
use crate::client::Client;
use crate::fragile::Fragile;
use crate::random::Random;
use crate::resp::Reply;

/// Keys in use at a time.
const KEYS: u32 = 8;
/// Operations that one client sends at once, at most.
const PIPELINE_MAX: usize = 3;

/// What is to be played.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// So many clients.
    pub clients: usize,
    /// So many operations of all of them together, some more or less.
    pub operations: i64,
    /// Less, if they take longer than this.
    pub time_max: Duration,
    /// Whether connections are cut.
    pub cuts: Cuts,
    /// Of the random numbers.
    pub seed: u64,
}

/// Whether connections are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cuts {
    /// Now and then.
    Some,
    /// Never.
    None,
}

/// What the clients share.
struct Stage {
    plan: Plan,
    address: SocketAddr,
    scripts: bool,
    started: Instant,
    keys: Mutex<Keys>,
    next_token: AtomicU32,
    next_copy: AtomicU32,
    operations_left: AtomicI64,
    /// The connections' numbers, for `CLIENT KILL`; the last is nobody's to kill.
    ids: Vec<AtomicI64>,
}

impl Stage {
    fn keys(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().expect("no client panics with the keys")
    }

    fn token(&self) -> Token {
        Token(self.next_token.fetch_add(1, Ordering::Relaxed))
    }

    fn copy(&self) -> Copied {
        Copied(self.next_copy.fetch_add(1, Ordering::Relaxed))
    }

    fn now_ns(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }

    fn is_over(&self) -> bool {
        self.operations_left.load(Ordering::Relaxed) <= 0
            || self.started.elapsed() > self.plan.time_max
    }
}

/// Plays the plan on a server that nobody else uses, and records it. At the end all keys are read.
///
/// # Errors
/// The server does not answer, or gives a reply that the command never has.
pub fn play(address: SocketAddr, plan: Plan) -> Outcome<Vec<Operation>> {
    let mut first = Client::connect(address)?;
    let stage = Stage {
        plan,
        address,
        scripts: first.knows_command("EVAL")?,
        started: Instant::now(),
        keys: Mutex::new(Keys::new(KEYS)),
        next_token: AtomicU32::new(1),
        next_copy: AtomicU32::new(0),
        operations_left: AtomicI64::new(plan.operations),
        ids: (0..=plan.clients).map(|_| AtomicI64::new(0)).collect(),
    };
    let mut director = Player::new(&stage, plan.clients)?;
    let made = (0..KEYS).map(|key| (Key(key), stage.token())).collect();
    director.send(&[Call::Plain(Step::Mset(made))], Manner::Waits)?;
    let outcomes = std::thread::scope(|scope| {
        let players: Vec<_> = (0..plan.clients)
            .map(|number| {
                let stage = &stage;
                scope.spawn(move || Player::new(stage, number)?.play())
            })
            .collect();
        let ends = players.into_iter().map(std::thread::ScopedJoinHandle::join);
        ends.map(|end| end.unwrap_or_else(|_| Err("a client panicked".into())))
            .collect::<Vec<_>>()
    });
    let mut history = Vec::new();
    for outcome in outcomes {
        history.extend(outcome?);
    }
    let all: Vec<Key> = stage.keys().all().collect();
    for some in all.chunks(20) {
        director.send(&[Call::Plain(Step::Mget(some.to_vec()))], Manner::Waits)?;
    }
    history.extend(director.history);
    let copies: Vec<Copied> = (0..stage.next_copy.into_inner()).map(Copied).collect();
    super::reveal(&mut history, &read_copies(&mut first, &copies)?);
    Ok(history)
}

fn read_copies(client: &mut Client, copies: &[Copied]) -> Outcome<HashMap<Copied, Value>> {
    let mut values = HashMap::new();
    for some in copies.chunks(100) {
        let mut args = vec!["MGET".to_owned()];
        args.extend(some.iter().map(Copied::to_string));
        let Reply::Array(replies) = client.call(&args)? else {
            return Err("MGET is not answered by an array".into());
        };
        for (copy, reply) in some.iter().zip(replies) {
            values.extend(reply.bytes().map(|bytes| (*copy, Value(bytes.to_vec()))));
        }
    }
    Ok(values)
}

/// What a client does when it has sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// It waits for the replies.
    Waits,
    /// It sends a part only, and cuts the connection.
    HangsUp,
}

struct Player<'a> {
    stage: &'a Stage,
    number: usize,
    random: Random,
    connection: Fragile<'a>,
    history: Vec<Operation>,
}

impl<'a> Player<'a> {
    fn new(stage: &'a Stage, number: usize) -> Outcome<Self> {
        Ok(Self {
            stage,
            number,
            random: Random::new(stage.plan.seed ^ ((number as u64) << 32)),
            connection: Fragile::connect(stage.address, &stage.ids[number])?,
            history: Vec::new(),
        })
    }

    fn play(mut self) -> Outcome<Vec<Operation>> {
        let cuts = self.stage.plan.cuts == Cuts::Some;
        while !self.stage.is_over() {
            let chore = self.stage.keys().chore();
            if let Some(chore) = chore {
                self.do_chore(&chore)?;
            } else if cuts && self.random.one_in(80) {
                let victim = self.random.below(self.stage.plan.clients);
                self.connection.kill(&self.stage.ids[victim])?;
            } else if self.random.one_in(4) {
                self.watch_and_exec()?;
            } else {
                let count = self.random.between(1, PIPELINE_MAX);
                let calls: Vec<Call> = (0..count).map(|_| self.any_call()).collect();
                let hangs_up = cuts && self.random.one_in(80);
                let manner = if hangs_up {
                    Manner::HangsUp
                } else {
                    Manner::Waits
                };
                self.send(&calls, manner)?;
            }
        }
        Ok(self.history)
    }

    /// Sends calls in one write and records them; gives what they did, up to the first that nothing is known of.
    fn send(&mut self, calls: &[Call], manner: Manner) -> Outcome<Vec<(Fate, Vec<Action>)>> {
        let mut bytes: Vec<u8> = calls.iter().flat_map(Call::encode).collect();
        if manner == Manner::HangsUp {
            bytes.truncate(self.random.between(1, bytes.len()));
        }
        let invoked_ns = self.stage.now_ns();
        self.connection.send(&bytes);
        let mut is_open = manner == Manner::Waits;
        let mut done = Vec::new();
        for call in calls {
            let replies = if is_open {
                self.connection.replies(call.replies())?
            } else {
                None
            };
            is_open = replies.is_some();
            if !is_open && self.stage.plan.cuts == Cuts::None {
                return Err(format!("{call:?}: the server closed the connection"));
            }
            let completed_ns = replies.as_ref().map_or(u64::MAX, |_| self.stage.now_ns());
            let (fate, actions) = match &replies {
                Some(replies) => call.decode(replies)?,
                None => (Fate::Unknown, call.effects()),
            };
            if !actions.is_empty() {
                self.stage.operations_left.fetch_sub(1, Ordering::Relaxed);
                self.history.push(Operation {
                    client: self.number,
                    connection: None,
                    form: call.form(),
                    invoked_ns,
                    completed_ns,
                    fate,
                    actions: actions.clone(),
                });
            }
            if is_open {
                done.push((fate, actions));
            }
        }
        if !is_open {
            self.connection.connect_anew()?;
        }
        Ok(done)
    }

    fn any_call(&mut self) -> Call {
        if self.random.one_in(20) {
            return Call::Plain(self.copy());
        }
        match self.random.below(10) {
            0 | 1 => Call::Plain(self.get()),
            2 | 3 => Call::Plain(self.append()),
            4 | 5 => Call::Plain(self.mget()),
            6 | 7 if self.stage.scripts => Call::Plain(self.script()),
            _ => Call::Multi {
                watched: Vec::new(),
                steps: self.steps(),
                end: self.end(),
            },
        }
    }

    fn end(&mut self) -> End {
        if self.random.one_in(10) {
            End::Discard
        } else {
            End::Exec
        }
    }

    fn keys(&mut self, count: usize) -> Vec<Key> {
        self.stage.keys().pick(&mut self.random, count)
    }

    fn get(&mut self) -> Step {
        Step::Get(self.keys(1)[0])
    }

    fn append(&mut self) -> Step {
        let key = self.keys(1)[0];
        self.append_to(key)
    }

    fn append_to(&mut self, key: Key) -> Step {
        self.stage.keys().note_append(key);
        Step::Append(key, self.stage.token())
    }

    fn copy(&mut self) -> Step {
        Step::Copy(self.keys(1)[0], self.stage.copy())
    }

    fn mget(&mut self) -> Step {
        let count = self.random.between(2, 4);
        Step::Mget(self.keys(count))
    }

    fn steps(&mut self) -> Vec<Step> {
        let count = self.random.between(1, 4);
        (0..count)
            .map(|_| match self.random.below(12) {
                0 | 1 => self.get(),
                2 | 3 => self.mget(),
                4 => self.copy(),
                5 if self.stage.scripts => self.script(),
                _ => self.append(),
            })
            .collect()
    }

    fn script(&mut self) -> Step {
        let count = self.random.between(1, 3);
        let mut keys = Vec::new();
        for key in self.keys(count) {
            let appends = self.random.one_in(2);
            if appends {
                self.stage.keys().note_append(key);
            }
            keys.push((key, appends.then(|| self.stage.token())));
        }
        Step::Script(keys)
    }

    /// A transaction on what was watched and read before; sometimes the watch is given up.
    fn watch_and_exec(&mut self) -> Outcome<()> {
        let count = self.random.between(1, 3);
        let keys = self.keys(count);
        let watch = Call::Plain(Step::Watch(keys.clone()));
        let reading = Call::Plain(Step::Mget(keys.clone()));
        let done = self.send(&[watch, reading], Manner::Waits)?;
        let Some((_, reads)) = done.get(1) else {
            return Ok(());
        };
        let mut watched: Vec<(Key, Value)> = reads
            .iter()
            .filter_map(|action| match action {
                Action::Read { key, value } => Some((*key, value.clone())),
                _ => None,
            })
            .collect();
        if self.random.one_in(10) {
            let done = self.send(&[Call::Plain(Step::Unwatch)], Manner::Waits)?;
            if done.is_empty() {
                return Ok(());
            }
            watched.clear();
        }
        let mut steps: Vec<Step> = keys.iter().map(|key| self.append_to(*key)).collect();
        if self.random.one_in(3) {
            steps.truncate(1);
        }
        if self.random.one_in(3) {
            steps.extend(self.steps());
        }
        let end = self.end();
        let call = Call::Multi {
            watched,
            steps,
            end,
        };
        self.send(&[call], Manner::Waits)?;
        Ok(())
    }

    fn do_chore(&mut self, chore: &Chore) -> Outcome<()> {
        let written: Vec<(Key, Token)> = match chore {
            Chore::Replace(keys) | Chore::Renew { fresh: keys, .. } => {
                keys.iter().map(|key| (*key, self.stage.token())).collect()
            }
        };
        let call = match chore {
            Chore::Renew { .. } => Call::Plain(Step::Msetnx(written)),
            Chore::Replace(_) if self.random.one_in(2) => Call::Plain(Step::Mset(written)),
            Chore::Replace(keys) => Call::Multi {
                watched: Vec::new(),
                steps: vec![Step::Mget(keys.clone()), Step::Mset(written)],
                end: End::Exec,
            },
        };
        let done = self.send(&[call], Manner::Waits)?;
        let fate = done.first().map_or(Fate::Unknown, |(fate, _)| *fate);
        let unused = self.stage.keys().done(chore, fate);
        if !unused.is_empty() {
            let ends = if self.random.one_in(2) {
                vec![Call::Plain(Step::Del(unused))]
            } else {
                let renamed = unused.iter();
                let renamed = renamed.map(|key| Step::Rename(*key, self.stage.copy()));
                renamed.map(Call::Plain).collect()
            };
            self.send(&ends, Manner::Waits)?;
        }
        Ok(())
    }
}
