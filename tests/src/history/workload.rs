//! Random clients on a server, and the history of what they did and saw.
//!
//! Each client ([`super::player`]) sends, over a connection of its own, reads and appends, alone, in transactions and in scripts;
//! transactions behind a `WATCH`; and now and then the chore of replacing, deleting or renaming worn keys ([`super::keys`]). It
//! keeps some of what it sent in flight while it sends more. Some cut connections: their own in the middle of a command, or
//! another's by `CLIENT KILL`; what was under way has no reply then, and the client connects anew.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::calls::{Call, Step};
use super::keys::Keys;
use super::player::{Move, Player};
use super::{Copied, Key, Operation, Token, Value};
use crate::Outcome;
use crate::client::Client;
use crate::fragile::Fragile;
use crate::resp::Reply;

/// What is to be played.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// So many clients.
    pub clients: usize,
    /// Keys in use at a time, at least 4: the fewer there are, the more the clients meet.
    pub keys: u32,
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

/// A kind of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Get,
    Append,
    Mget,
    Copy,
    Script,
    Echo,
    Exists,
    /// A transaction.
    Multi,
    /// A transaction on watched keys.
    Watch,
}

impl Kind {
    /// All, and how often each is done.
    const ALL: [(Self, usize); 9] = [
        (Self::Get, 2),
        (Self::Append, 2),
        (Self::Mget, 2),
        (Self::Copy, 2),
        (Self::Script, 4),
        (Self::Echo, 1),
        (Self::Exists, 1),
        (Self::Multi, 4),
        (Self::Watch, 4),
    ];
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
    /// What the clients do, each kind as often as it stands here.
    pub(super) kinds: Vec<Kind>,
    time: Time,
    keys: Mutex<Keys>,
    next_token: AtomicU32,
    next_copy: AtomicU32,
    next_number: AtomicU32,
    operations_left: AtomicI64,
    /// The connections' numbers, for `CLIENT KILL`; the last is nobody's to kill.
    pub(super) ids: Vec<AtomicI64>,
}

/// The clock of all clients.
pub(super) enum Time {
    /// Since then.
    Passes(Instant),
    /// In nanoseconds. No two looks at it see the same.
    IsSet(AtomicU64),
}

impl Stage {
    pub(super) fn new(plan: Plan, scripts: bool, time: Time) -> Self {
        let kinds = Kind::ALL
            .into_iter()
            .filter(|(kind, _)| scripts || *kind != Kind::Script);
        let kinds = kinds.flat_map(|(kind, often)| std::iter::repeat_n(kind, often));
        let kinds = kinds.collect();
        Self {
            plan,
            kinds,
            time,
            keys: Mutex::new(Keys::new(plan.keys)),
            next_token: AtomicU32::new(1),
            next_copy: AtomicU32::new(0),
            next_number: AtomicU32::new(0),
            operations_left: AtomicI64::new(plan.operations),
            ids: (0..=plan.clients).map(|_| AtomicI64::new(0)).collect(),
        }
    }

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
        match &self.time {
            Time::Passes(started) => started.elapsed().as_nanos() as u64,
            Time::IsSet(now_ns) => now_ns.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// Sets the time, where it does not pass by itself.
    pub(super) fn set_now(&self, ns: u64) {
        if let Time::IsSet(now_ns) = &self.time {
            now_ns.store(ns, Ordering::Relaxed);
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.operations_left.load(Ordering::Relaxed) <= 0
            || u128::from(self.now_ns()) > self.plan.time_max.as_nanos()
    }

    /// Makes the keys.
    pub(super) fn first_call(&self) -> Call {
        let made = (0..self.plan.keys)
            .map(|key| (Key(key), self.token()))
            .collect();
        Call::Plain(Step::Mset(made))
    }

    /// Read all keys.
    pub(super) fn last_calls(&self) -> Vec<Call> {
        let all: Vec<Key> = self.keys().all().collect();
        let some = all.chunks(20);
        some.map(|some| Call::Plain(Step::Mget(some.to_vec())))
            .collect()
    }

    /// Reads all copies, by whoever gives the replies to commands, and puts what they hold into the history.
    pub(super) fn reveal(
        &self,
        history: &mut [Operation],
        mut call: impl FnMut(&[String]) -> Outcome<Reply>,
    ) -> Outcome<()> {
        let copies = 0..self.next_copy.load(Ordering::Relaxed);
        let copies: Vec<Copied> = copies.map(Copied).collect();
        let mut values = HashMap::new();
        for some in copies.chunks(100) {
            let mut args = vec!["MGET".to_owned()];
            args.extend(some.iter().map(Copied::to_string));
            let Reply::Array(replies) = call(&args)? else {
                return Err("MGET is not answered by an array".into());
            };
            for (copy, reply) in some.iter().zip(replies) {
                values.extend(reply.bytes().map(|bytes| (*copy, Value(bytes.to_vec()))));
            }
        }
        super::reveal(history, &values);
        Ok(())
    }
}

/// A client with a socket.
struct Connected<'a> {
    player: Player<'a>,
    connection: Fragile<'a>,
}

impl<'a> Connected<'a> {
    fn new(address: SocketAddr, stage: &'a Stage, number: usize) -> Outcome<Self> {
        let player = Player::new(stage, number);
        let connection = Fragile::connect(address, player.id())?;
        Ok(Self { player, connection })
    }

    fn play(mut self) -> Outcome<Vec<Operation>> {
        loop {
            let moves = self.player.moves();
            if moves.is_empty() {
                return Ok(self.player.into_history());
            }
            for next in moves {
                match next {
                    Move::Send(calls) => self.connection.send(&self.player.send(calls)),
                    Move::Await(left) => self.receive(left)?,
                    Move::HangUp(calls) => {
                        self.connection.send(&self.player.send_part(calls));
                        self.cut()?;
                    }
                }
            }
        }
    }

    /// Sends one call and reads its reply.
    fn ask(&mut self, call: Call) -> Outcome<()> {
        let bytes = self.player.send(vec![(call, None)]);
        self.connection.send(&bytes);
        self.receive(0)
    }

    /// Reads replies until so many calls are in flight, or until the connection is cut.
    fn receive(&mut self, left: usize) -> Outcome<()> {
        while self.player.in_flight() > left
            && let Some(count) = self.player.awaited()
        {
            match self.connection.replies(count)? {
                Some(replies) => self.player.answered(&replies)?,
                None => self.cut()?,
            }
        }
        Ok(())
    }

    fn cut(&mut self) -> Outcome<()> {
        self.player.cut()?;
        self.connection.connect_anew()
    }
}

/// Plays the plan on a server that nobody else uses, and records it. At the end all keys are read.
///
/// # Errors
/// The server does not answer, or gives a reply that the command never has.
pub fn play(address: SocketAddr, plan: Plan) -> Outcome<Vec<Operation>> {
    let mut first = Client::connect(address)?;
    let scripts = first.knows_command("EVAL")?;
    let stage = Stage::new(plan, scripts, Time::Passes(Instant::now()));
    let mut director = Connected::new(address, &stage, plan.clients)?;
    director.ask(stage.first_call())?;
    let outcomes = std::thread::scope(|scope| {
        let players: Vec<_> = (0..plan.clients)
            .map(|number| {
                let stage = &stage;
                scope.spawn(move || Connected::new(address, stage, number)?.play())
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
    for call in stage.last_calls() {
        director.ask(call)?;
    }
    history.extend(director.player.into_history());
    stage.reveal(&mut history, |args| first.call(args))?;
    Ok(history)
}
