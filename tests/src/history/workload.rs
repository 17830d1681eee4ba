//! Random clients on a server, and the history of what they did and saw.
//!
//! Each client ([`super::player`]) sends, over a connection of its own, reads and appends, alone, in transactions and in scripts;
//! transactions behind a `WATCH`; and now and then the chore of replacing, deleting or renaming worn keys ([`super::keys`]). It
//! keeps some of what it sent in flight while it sends more. Some cut connections: their own in the middle of a command, or
//! another's by `CLIENT KILL`; what was under way has no reply then, and the client connects anew.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::calls::{Call, Step};
use super::keys::Keys;
use super::player::Player;
use super::{Copied, Key, Operation, Token, Value};
use crate::Outcome;
use crate::client::Client;
use crate::resp::Reply;

/// Keys in use at a time.
const KEYS: u32 = 8;
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
    /// Operations that a client has in flight when it sends more, at most.
    pub in_flight: usize,
    /// Which keys scripts reach for.
    pub reach: Reach,
    /// Of the random numbers.
    pub seed: u64,
}

/// Which keys scripts reach for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// They declare all or none.
    AsDeclared,
    /// Some declare a part, and reach for the others when they have read and written.
    Further,
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
pub(super) struct Stage {
    pub(super) plan: Plan,
    pub(super) address: SocketAddr,
    pub(super) scripts: bool,
    started: Instant,
    keys: Mutex<Keys>,
    next_token: AtomicU32,
    next_copy: AtomicU32,
    next_number: AtomicU32,
    operations_left: AtomicI64,
    /// The connections' numbers, for `CLIENT KILL`; the last is nobody's to kill.
    pub(super) ids: Vec<AtomicI64>,
}

impl Stage {
    pub(super) fn keys(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().expect("no client panics with the keys")
    }

    pub(super) fn token(&self) -> Token {
        Token(self.next_token.fetch_add(1, Ordering::Relaxed))
    }

    pub(super) fn copy(&self) -> Copied {
        Copied(self.next_copy.fetch_add(1, Ordering::Relaxed))
    }

    /// A number that nobody else has.
    pub(super) fn number(&self) -> u32 {
        self.next_number.fetch_add(1, Ordering::Relaxed)
    }

    /// An operation has been played.
    pub(super) fn count_one(&self) {
        self.operations_left.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn now_ns(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }

    pub(super) fn is_over(&self) -> bool {
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
        next_number: AtomicU32::new(0),
        operations_left: AtomicI64::new(plan.operations),
        ids: (0..=plan.clients).map(|_| AtomicI64::new(0)).collect(),
    };
    let mut director = Player::new(&stage, plan.clients)?;
    let made = (0..KEYS).map(|key| (Key(key), stage.token())).collect();
    director.ask(Call::Plain(Step::Mset(made)))?;
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
        director.ask(Call::Plain(Step::Mget(some.to_vec())))?;
    }
    history.extend(director.into_history());
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
