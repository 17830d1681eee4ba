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

use super::calls::{Call, Step, reading, replacing};
use super::forms::{Form, Forms};
use super::keys::Keys;
use super::player::{Move, Player};
use super::{Copied, Feeder, GROUPS, Key, Operation, Token};
use crate::Outcome;
use crate::client::Client;
use crate::fragile::Fragile;
use crate::random::Random;
use crate::resp::Reply;

/// What is to be played.
#[derive(Debug, Clone)]
pub struct Plan {
    /// So many clients.
    pub clients: usize,
    /// Keys in use at a time, by their groups: the fewer there are, the more the clients meet.
    pub keys: Vec<u32>,
    /// Which types they have.
    pub forms: Forms,
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
    /// How often the clients do what.
    pub mix: Mix,
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
    /// A script that reaches for the keys it declares.
    Script,
    /// A script that declares none.
    ScriptOfAny,
    /// A script that declares one key and reaches for all of its group, on one core.
    ScriptNear,
    /// Two transactions without locks: from one key over another core's to another key of the first one's core.
    Chain,
    /// A write, and a script that reaches for that key from another core's, or a transaction that watches it and uses another.
    Behind,
    /// A script that declares some of its keys.
    ScriptFar,
    Echo,
    Exists,
    /// A token comes to a list from another, which has it or gets it from another client.
    Move,
    /// A transaction.
    Multi,
    /// A transaction on watched keys.
    Watch,
}

impl Kind {
    /// All, and how often each is done usually.
    const ALL: [(Self, usize); 15] = [
        (Self::Get, 2),
        (Self::Append, 2),
        (Self::Mget, 2),
        (Self::Copy, 2),
        (Self::Script, 3),
        (Self::ScriptOfAny, 1),
        (Self::ScriptNear, 2),
        (Self::Chain, 2),
        (Self::Behind, 2),
        (Self::ScriptFar, 3),
        (Self::Echo, 1),
        (Self::Exists, 1),
        (Self::Move, 2),
        (Self::Multi, 4),
        (Self::Watch, 4),
    ];

    fn is_script(self) -> bool {
        self == Self::Script || self == Self::ScriptOfAny || self.reaches_further()
    }

    /// Whether it is a script that declares some keys and reaches for others.
    pub(super) fn reaches_further(self) -> bool {
        self == Self::ScriptNear || self == Self::ScriptFar
    }
}

/// Kinds of calls that are dangerous together, and how often each is done; none: any are, by chance.
const THEMES: [&[(Kind, usize)]; 4] = [
    &[],
    // A script waits for the lock of one key and comes to another of its core, which others have passed on their way.
    &[(Kind::Copy, 2), (Kind::ScriptNear, 3), (Kind::Chain, 6)],
    // What a session sent before is under way, or waits for a lock, while the session goes on elsewhere.
    &[
        (Kind::Copy, 4),
        (Kind::Append, 1),
        (Kind::Behind, 8),
        (Kind::ScriptFar, 2),
        (Kind::Watch, 2),
    ],
    // Clients wait for lists of other cores, and what they wait for comes while others have locks of these.
    &[
        (Kind::Move, 6),
        (Kind::Copy, 1),
        (Kind::Multi, 2),
        (Kind::Script, 1),
        (Kind::Watch, 1),
    ],
];

/// Which keys scripts reach for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// They declare all or none.
    AsDeclared,
    /// Some declare a part, and reach for the others when they have read and written.
    Further,
}

/// How often the clients do what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mix {
    /// All kinds of calls, some more often than others.
    Usual,
    /// As the seed has it: a theme, or some kinds much and others never. Of many histories that leave out different things, some
    /// come far into what those that do everything rarely reach (Groce, Zhang, Eide, Chen, Regehr, "Swarm Testing", ISSTA 2012).
    OfSeed,
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
    copies: Mutex<Vec<(Copied, Form)>>,
    /// Feeders whose token somebody waits for.
    feeders: Mutex<Vec<Feeder>>,
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
        let mut random = Random::new(plan.seed ^ 0x5a12_0d6e);
        let theme = THEMES[random.below(THEMES.len())];
        let kinds = Kind::ALL
            .into_iter()
            .filter(|(kind, _)| scripts || !kind.is_script())
            .filter(|(kind, _)| plan.reach == Reach::Further || !kind.reaches_further());
        let kinds = kinds.flat_map(|(kind, often)| {
            let often = match (plan.mix, theme) {
                (Mix::Usual, _) => often,
                (Mix::OfSeed, []) => often * [0, 1, 1, 3][random.below(4)],
                (Mix::OfSeed, theme) => {
                    let of_theme = theme.iter().find(|(of_theme, _)| *of_theme == kind);
                    of_theme.map_or(0, |(_, often)| *often)
                }
            };
            std::iter::repeat_n(kind, often)
        });
        let mut kinds: Vec<Kind> = kinds.collect();
        if kinds.is_empty() {
            kinds.push(Kind::Append);
        }
        let keys = Keys::new(&plan.keys, plan.forms);
        Self {
            kinds,
            time,
            keys: Mutex::new(keys),
            next_token: AtomicU32::new(1),
            copies: Mutex::default(),
            feeders: Mutex::default(),
            next_number: AtomicU32::new(0),
            operations_left: AtomicI64::new(plan.operations),
            ids: (0..=plan.clients).map(|_| AtomicI64::new(0)).collect(),
            plan,
        }
    }

    pub(super) fn keys(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().expect("no client panics with the keys")
    }

    pub(super) fn token(&self) -> Token {
        Token(self.next_token.fetch_add(1, Ordering::Relaxed))
    }

    /// What a key of this type is to be copied to, in one of the groups.
    pub(super) fn copy(&self, group: u32, form: Form) -> Copied {
        let mut copies = self.copies.lock().expect("no client panics with it");
        let copy = Copied(copies.len() as u32 * GROUPS + group % GROUPS);
        copies.push((copy, form));
        copy
    }

    /// Somebody waits for a feeder's token: whoever comes to it fills it.
    pub(super) fn want(&self, feeder: Feeder) {
        self.feeders().push(feeder);
    }

    /// A feeder to be filled.
    pub(super) fn wanted(&self) -> Option<Feeder> {
        self.feeders().pop()
    }

    fn feeders(&self) -> MutexGuard<'_, Vec<Feeder>> {
        self.feeders.lock().expect("no client panics with them")
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
        let keys = self.keys();
        let made: Vec<(Key, Token)> = keys.all().map(|key| (key, self.token())).collect();
        match self.plan.forms {
            Forms::Strings => Call::Plain(Step::Mset(made)),
            Forms::All => Call::of(replacing(made)),
        }
    }

    /// Read all keys.
    pub(super) fn last_calls(&self) -> Vec<Call> {
        let all: Vec<Key> = self.keys().all().collect();
        let some = all.chunks(20);
        some.map(|some| Call::of(reading(some.to_vec()))).collect()
    }

    /// Reads all copies, by whoever gives the replies to commands, and puts what they hold into the history.
    pub(super) fn reveal(
        &self,
        history: &mut [Operation],
        mut call: impl FnMut(&[String]) -> Outcome<Reply>,
    ) -> Outcome<()> {
        let copies = self.copies.lock().expect("no client panics with it");
        let mut values = HashMap::new();
        for (copy, form) in copies.iter() {
            let reply = call(&form.read_args(&copy.to_string()))?;
            let value = form.value(&reply);
            values.insert(*copy, value.ok_or("a copy is of another type")?);
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
    let mut director = Connected::new(address, &stage, stage.plan.clients)?;
    director.ask(stage.first_call())?;
    let outcomes = std::thread::scope(|scope| {
        let players: Vec<_> = (0..stage.plan.clients)
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
