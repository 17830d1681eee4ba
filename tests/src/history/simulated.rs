//! A workload's clients on cores within the process that are stirred at random ([`crate::stirred`]): a history for a seed.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::calls::Call;
use super::forms::Forms;
use super::player::{Move, Player};
use super::workload::{Cuts, Mix, Plan, Reach, Stage, Time};
use super::{GROUPS, Operation};
use crate::Outcome;
use crate::random::Random;
use crate::resp::{self, ParseError, Reply};
use crate::stirred::{Connection, Stirred};

/// Operations of one seed, some more or less.
const OPERATIONS: i64 = 300;
/// Nanoseconds that a step counts in the history.
const STEP_NS: u64 = 1_000;
/// Steps of the server for one of a client, on an average.
const STEPS_OF_SERVER: usize = 1;

/// What is played of this seed.
#[must_use]
pub fn plan(reach: Reach, seed: u64) -> Plan {
    let mut random = Random::new(seed ^ 0x91a7_3b5c);
    let hot = random.below(GROUPS as usize) as u32;
    // Most keys are of one core, and at least one is of another.
    let mut keys = vec![hot; random.between(2, 3)];
    keys.push(hot + GROUPS / 2);
    for _ in 0..random.between(0, 2) {
        keys.push(random.below(GROUPS as usize) as u32);
    }
    Plan {
        clients: random.between(3, 7),
        keys,
        operations: OPERATIONS,
        time_max: Duration::MAX,
        cuts: if random.one_in(2) {
            Cuts::None
        } else {
            Cuts::Some
        },
        in_flight: [3, 8, 24][random.below(3)],
        forms: match random.one_in(3) {
            true => Forms::Strings,
            false => Forms::All,
        },
        reach,
        mix: Mix::OfSeed,
        seed,
    }
}

/// Plays the plan on a server of so many cores, and records it. At the end all keys are read. Times are counted in steps,
/// a microsecond each.
///
/// # Errors
/// The server stands still though it owes replies, or gives a reply that the command never has.
pub fn play(cores: u16, plan: Plan) -> Outcome<Vec<Operation>> {
    let stage = Stage::new(plan, true, Time::IsSet(AtomicU64::new(0)));
    let mut world = World {
        server: Stirred::new(cores, stage.plan.seed)?,
        random: Random::new(stage.plan.seed ^ 0xc11e_4750),
        stage: &stage,
    };
    let mut director = Actor::new(&mut world, stage.plan.clients);
    director.ask(&mut world, stage.first_call())?;
    let mut actors: Vec<Actor<'_>> = (0..stage.plan.clients)
        .map(|number| Actor::new(&mut world, number))
        .collect();
    while actors.iter().any(|actor| !actor.is_over) {
        let at = world.random.below(actors.len());
        let has_acted = actors[at].act(&mut world)?;
        if !world.turn() && !has_acted {
            let mut has_acted = false;
            for actor in &mut actors {
                has_acted |= actor.act(&mut world)?;
            }
            if !has_acted {
                return Err("the server sleeps, and owes replies".into());
            }
        }
    }
    let histories = actors.into_iter().map(|actor| actor.player.into_history());
    let mut history: Vec<Operation> = histories.flatten().collect();
    for call in stage.last_calls() {
        director.ask(&mut world, call)?;
    }
    let connection = director.connection;
    history.extend(director.player.into_history());
    stage.reveal(&mut history, |args| world.call(connection, args))?;
    Ok(history)
}

/// All that a client acts in.
struct World<'a> {
    server: Stirred,
    random: Random,
    stage: &'a Stage,
}

impl World<'_> {
    /// Some steps of the server, or none. `false`: it sleeps.
    fn turn(&mut self) -> bool {
        let mut goes_on = true;
        for _ in 0..self.random.below(2 * STEPS_OF_SERVER + 1) {
            goes_on = self.step();
        }
        goes_on
    }

    fn step(&mut self) -> bool {
        let goes_on = self.server.step();
        self.stage.set_now(self.server.now() * STEP_NS);
        goes_on
    }

    /// One command and its reply, on a connection where nothing else is under way.
    fn call(&mut self, connection: Connection, args: &[String]) -> Outcome<Reply> {
        self.server.send(connection, &resp::encode(args));
        let mut came = Vec::new();
        loop {
            let goes_on = self.step();
            came.extend(self.server.read(connection));
            match resp::parse(&came) {
                Ok((reply, _)) => return Ok(reply),
                Err(ParseError::Incomplete) if goes_on => {}
                Err(why) => return Err(format!("{args:?}: {why:?}")),
            }
        }
    }
}

/// A client, its connection, and what it is about to do.
struct Actor<'a> {
    player: Player<'a>,
    connection: Connection,
    moves: VecDeque<Move>,
    /// What came that is no whole reply yet.
    came: Vec<u8>,
    /// Replies of the oldest call in flight.
    replies: Vec<Reply>,
    is_over: bool,
}

impl<'a> Actor<'a> {
    fn new(world: &mut World<'a>, number: usize) -> Self {
        let player = Player::new(world.stage, number);
        let mut actor = Self {
            player,
            connection: world.server.connect(),
            moves: VecDeque::new(),
            came: Vec::new(),
            replies: Vec::new(),
            is_over: false,
        };
        actor.tell_id(world);
        actor
    }

    fn tell_id(&mut self, world: &mut World<'a>) {
        let id = world.server.client_id(self.connection).unwrap_or(0);
        self.player.id().store(id as i64, Ordering::Relaxed);
    }

    /// Reads what has come, and does what comes next unless it waits. `false`: nothing was to be done.
    fn act(&mut self, world: &mut World<'a>) -> Outcome<bool> {
        if self.is_over {
            return Ok(false);
        }
        let has_read = self.read(world)?;
        if self.moves.is_empty() {
            self.moves.extend(self.player.moves());
            self.is_over = self.moves.is_empty();
        }
        match self.moves.pop_front() {
            Some(Move::Await(left)) if self.player.in_flight() > left => {
                self.moves.push_front(Move::Await(left));
                return Ok(has_read);
            }
            Some(Move::Send(calls)) => {
                let bytes = self.player.send(calls);
                world.server.send(self.connection, &bytes);
            }
            Some(Move::HangUp(calls)) => {
                let bytes = self.player.send_part(calls);
                world.server.send(self.connection, &bytes);
                self.cut(world)?;
            }
            Some(Move::Await(_)) | None => {}
        }
        Ok(true)
    }

    fn read(&mut self, world: &mut World<'a>) -> Outcome<bool> {
        let came = world.server.read(self.connection);
        let is_closed = world.server.is_closed(self.connection);
        if came.is_empty() && !is_closed {
            return Ok(false);
        }
        self.came.extend(came);
        let mut used = 0;
        loop {
            match resp::parse(&self.came[used..]) {
                Ok((reply, bytes)) => {
                    used += bytes;
                    self.replies.push(reply);
                    if Some(self.replies.len()) == self.player.awaited() {
                        self.player.answered(&self.replies)?;
                        self.replies.clear();
                    }
                }
                Err(ParseError::Incomplete) => break,
                Err(why) => return Err(format!("{why:?}")),
            }
        }
        self.came.drain(..used);
        if is_closed {
            self.cut(world)?;
        }
        Ok(true)
    }

    /// Leaves the connection, which may be closed already, for another.
    fn cut(&mut self, world: &mut World<'a>) -> Outcome<()> {
        world.server.hang_up(self.connection);
        self.player.cut()?;
        self.came.clear();
        self.replies.clear();
        self.connection = world.server.connect();
        self.tell_id(world);
        Ok(())
    }

    /// Sends one call and waits for its reply.
    fn ask(&mut self, world: &mut World<'a>, call: Call) -> Outcome<()> {
        let bytes = self.player.send(vec![(call, None)]);
        world.server.send(self.connection, &bytes);
        while self.player.in_flight() > 0 {
            let goes_on = world.step();
            if !self.read(world)? && !goes_on {
                return Err("the server sleeps, and owes a reply".into());
            }
        }
        Ok(())
    }
}
