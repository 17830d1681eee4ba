//! Larder's cores within the process, stirred at random: one at a time takes a step of its turn, a batch to another core is
//! under way for any time, and so are a client's bytes. A seed gives the same again.
//!
//! ```text
//!  asleep ─▶ what was sent, begin_turn ─▶ receive … ─▶ take_mail ─▶ end_turn ─▶ ship ─▶ attend ─▶ send ─┐
//!    ▲         ▲                                                                                        │
//!    │         └──────────────────────────────── something is left to do ◀──────────────────────────────┤
//!    └─────────────────────────────────────────────────────────── fall_asleep ◀─────────────────────────┘
//! ```
//! The steps of a turn are those of the runtime's drive, and others come between any two of them. A core that sleeps is woken by
//! another that ships to it or appends an entry for it, by bytes of its clients, at the time it asked for, and when a batch
//! is seen that was sent before it slept. Nothing else wakes it: a wake-up that is lost shows in that all stand still.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::time::Instant;

use larder_engine::UnixMillis;
use larder_server::command::Clock;
use larder_server::config::Config;
use larder_server::dispatch::{Core, Intent, Shipped};
use larder_server::session::{Peer, SessionId};
use larder_server::shared::Shared;

use crate::Outcome;
use crate::inprocess::{Wires, wired};
use crate::random::Random;

/// The wall clock at the beginning.
const BEGAN_MS: u64 = 1_700_000_000_000;
/// Batches that a queue between cores takes, at most: few, so that queues are full at times.
const ROOM_MAX: usize = 6;
/// For how many steps the speeds of the cores last: one of these, each as likely. A core's turn takes about ten.
const SPEEDS_LAST: [u64; 3] = [30, 100, 400];
/// For how many steps batches from one core to another are under way, at most: one of these for a while, each as likely.
const DELAYS_MAX: [usize; 4] = [1, 20, 60, 400];
/// Batches that what is one of [`DELAYS_MAX`] lasts for, on an average.
const DELAYS_LAST: usize = 8;

/// A connection, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection(usize);

/// The server.
pub struct Stirred {
    cores: Vec<Stage>,
    wires: Rc<RefCell<Wires>>,
    connections: Vec<Wire>,
    random: Random,
    /// Steps so far, and those that nobody took.
    now: u64,
    /// The step from which on the speeds are others.
    speeds_until: u64,
    now_us: u64,
}

/// A core, and where it is in its turn.
struct Stage {
    core: Core,
    next: Next,
    /// It is more likely to be the next to take a step by so much; at 0 it stands still, wherever in its turn it is.
    speed: usize,
    /// Sessions whose connections have something to be done about.
    changed: Vec<SessionId>,
    /// Sessions with something to be sent.
    sends: Vec<SessionId>,
    /// What was sent, and how much.
    sent: Vec<(SessionId, usize)>,
    /// The next turn follows at once.
    is_busy: bool,
    shipped: Shipped,
}

/// What a core does next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    /// It sleeps, until then if nothing wakes it.
    Wake(Until),
    Begin,
    Receive,
    TakeMail,
    EndTurn,
    Ship,
    Attend,
    Send,
}

/// When a core that sleeps goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Until {
    /// This microsecond of the clock.
    us: Option<u64>,
    /// This step.
    step: Option<u64>,
}

/// A connection: what is under way in it.
struct Wire {
    core: usize,
    session: SessionId,
    to_server: VecDeque<u8>,
    to_client: Vec<u8>,
    /// The client sends nothing more and reads nothing.
    has_hung_up: bool,
    /// The server has been told.
    end_is_seen: bool,
    is_closed: bool,
}

impl Stirred {
    /// A server of so many cores.
    ///
    /// # Errors
    /// When a core cannot have its memory.
    pub fn new(cores: u16, seed: u64) -> Outcome<Self> {
        let mut random = Random::new(seed);
        let shared = Shared::new(Config::default(), cores, [1, 2, 3, 4], BEGAN_MS as i64);
        let mut delays = Random::new(random.number());
        let mut at_most = HashMap::new();
        let delay = move |line| {
            let at_most = at_most.entry(line).or_insert(1);
            if delays.one_in(DELAYS_LAST) {
                *at_most = DELAYS_MAX[delays.below(DELAYS_MAX.len())];
            }
            delays.below(*at_most) as u64
        };
        let wires = Wires::new(random.between(1, ROOM_MAX), delay);
        let wires = Rc::new(RefCell::new(wires));
        let cores = wired(&shared, &wires)?.into_iter();
        let cores = cores.map(|core| Stage {
            core,
            next: Next::Begin,
            speed: 1,
            changed: Vec::new(),
            sends: Vec::new(),
            sent: Vec::new(),
            is_busy: true,
            shipped: Shipped::All,
        });
        Ok(Self {
            cores: cores.collect(),
            wires,
            connections: Vec::new(),
            random,
            now: 0,
            speeds_until: 0,
            now_us: BEGAN_MS * 1000,
        })
    }

    /// Steps so far, those among them that nobody took: the time of all clients.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.now
    }

    /// Connects a client with some core.
    ///
    /// # Panics
    /// When the server does not admit it.
    pub fn connect(&mut self) -> Connection {
        let core = self.random.below(self.cores.len());
        let stage = &mut self.cores[core];
        let session = stage.core.connect(Peer::default());
        let session = session.expect("the server admits a few clients");
        stage.changed.push(session);
        stage.rouse();
        self.connections.push(Wire {
            core,
            session,
            to_server: VecDeque::new(),
            to_client: Vec::new(),
            has_hung_up: false,
            end_is_seen: false,
            is_closed: false,
        });
        Connection(self.connections.len() - 1)
    }

    /// The number that `CLIENT KILL` knows it by; none once it is gone.
    pub fn client_id(&mut self, connection: Connection) -> Option<u64> {
        let wire = &self.connections[connection.0];
        let sessions = &self.cores[wire.core].core.state().sessions;
        sessions.get(wire.session).map(|session| session.client_id)
    }

    /// A client sends bytes.
    pub fn send(&mut self, connection: Connection, bytes: &[u8]) {
        self.connections[connection.0].to_server.extend(bytes);
    }

    /// What has come for a client, and has not been read.
    pub fn read(&mut self, connection: Connection) -> Vec<u8> {
        std::mem::take(&mut self.connections[connection.0].to_client)
    }

    /// Whether the server has closed the connection.
    #[must_use]
    pub fn is_closed(&self, connection: Connection) -> bool {
        self.connections[connection.0].is_closed
    }

    /// A client closes its connection. What it has sent may yet be received.
    pub fn hang_up(&mut self, connection: Connection) {
        self.connections[connection.0].has_hung_up = true;
    }

    /// One core takes a step; where all sleep, time passes until one does not. `false`: all would sleep for ever.
    pub fn step(&mut self) -> bool {
        self.pass_to(self.now + 1);
        if self.random.one_in(30) {
            self.now_us += self.random.below(1_000) as u64;
        }
        if self.now >= self.speeds_until {
            self.change_speeds();
        }
        self.rouse_sleepers();
        let speeds = |stage: &Stage| match stage.next {
            Next::Wake(_) => 0,
            _ => stage.speed,
        };
        let all: usize = self.cores.iter().map(speeds).sum();
        if all == 0 {
            let sleeps = |stage: &Stage| matches!(stage.next, Next::Wake(_));
            return !self.cores.iter().all(sleeps) || self.sleep_on();
        }
        let mut left = self.random.below(all);
        for at in 0..self.cores.len() {
            let speed = speeds(&self.cores[at]);
            if left < speed {
                self.step_of(at);
                break;
            }
            left -= speed;
        }
        true
    }

    /// Gives each core another speed. More often than not one stands still, and the others come far while it does.
    fn change_speeds(&mut self) {
        self.speeds_until = self.now + SPEEDS_LAST[self.random.below(SPEEDS_LAST.len())];
        for stage in &mut self.cores {
            stage.speed = [1, 4, 16][self.random.below(3)];
        }
        if !self.random.one_in(3) {
            let at = self.random.below(self.cores.len());
            self.cores[at].speed = 0;
        }
    }

    fn pass_to(&mut self, now: u64) {
        self.now = now;
        self.wires.borrow_mut().pass_to(now);
    }

    /// Wakes who has something to do.
    fn rouse_sleepers(&mut self) {
        for at in 0..self.cores.len() {
            if let Next::Wake(until) = self.cores[at].next {
                let is_time = until.us.is_some_and(|us| us <= self.now_us)
                    || until.step.is_some_and(|step| step <= self.now);
                if is_time || self.has_come(at) {
                    self.cores[at].rouse();
                }
            }
        }
    }

    /// All sleep: time passes until one of them is to go on.
    fn sleep_on(&mut self) -> bool {
        let untils = self.cores.iter().map(|stage| match stage.next {
            Next::Wake(until) => until,
            _ => unreachable!("all sleep"),
        });
        let untils: Vec<Until> = untils.collect();
        if let Some(step) = untils.iter().filter_map(|until| until.step).min() {
            self.pass_to(step.max(self.now));
            return true;
        }
        if let Some(us) = untils.iter().filter_map(|until| until.us).min() {
            self.now_us = us.max(self.now_us);
            return true;
        }
        false
    }

    /// Whether a core is to receive from a client.
    fn has_come(&self, at: usize) -> bool {
        self.connections.iter().any(|wire| {
            let has_bytes = !wire.to_server.is_empty() && self.cores[at].reads(wire.session);
            let is_news = has_bytes || wire.has_hung_up && !wire.end_is_seen;
            wire.core == at && !wire.is_closed && is_news
        })
    }

    fn step_of(&mut self, at: usize) {
        let clock = Clock {
            unix: UnixMillis((self.now_us / 1000) as i64),
            monotonic_us: self.now_us - BEGAN_MS * 1000,
            read_at: Instant::now(),
        };
        let stage = &mut self.cores[at];
        let next = match stage.next {
            Next::Wake(_) => unreachable!("it sleeps"),
            Next::Begin => {
                stage.core.wake_up();
                stage.settle_sends();
                stage.core.begin_turn(clock);
                Next::Receive
            }
            Next::Receive => {
                if self.random.one_in(3) || !self.receive(at) {
                    Next::TakeMail
                } else {
                    Next::Receive
                }
            }
            Next::TakeMail => {
                stage.core.take_mail();
                Next::EndTurn
            }
            Next::EndTurn => {
                stage.is_busy = stage.core.end_turn();
                Next::Ship
            }
            Next::Ship => {
                stage.shipped = stage.core.ship();
                let woken: Vec<usize> = stage.core.take_wakes().collect();
                for core in woken {
                    self.cores[core].rouse();
                }
                Next::Attend
            }
            Next::Attend => {
                self.attend(at);
                Next::Send
            }
            Next::Send => {
                self.send_out(at);
                self.sleeps(at).map_or(Next::Begin, Next::Wake)
            }
        };
        self.cores[at].next = next;
    }

    /// Receives some bytes of some client, or the end of a connection. `false`: there is nothing.
    fn receive(&mut self, at: usize) -> bool {
        let stage = &mut self.cores[at];
        let ready = |wire: &Wire| {
            let has_bytes = !wire.to_server.is_empty() && stage.reads(wire.session);
            wire.core == at
                && !wire.is_closed
                && (has_bytes || wire.has_hung_up && !wire.end_is_seen)
        };
        let ready: Vec<usize> = (0..self.connections.len())
            .filter(|number| ready(&self.connections[*number]))
            .collect();
        if ready.is_empty() {
            return false;
        }
        let wire = &mut self.connections[ready[self.random.below(ready.len())]];
        // Of one that has hung up, what it sent last may be lost.
        if wire.has_hung_up && (wire.to_server.is_empty() || self.random.one_in(4)) {
            wire.end_is_seen = true;
            if self.random.one_in(2) {
                stage.core.disconnected(wire.session);
            } else {
                stage.core.input_ended(wire.session);
            }
            stage.changed.push(wire.session);
            return true;
        }
        let waiting = wire.to_server.len();
        let count = if self.random.one_in(3) {
            self.random.between(1, waiting)
        } else {
            waiting
        };
        let bytes: Vec<u8> = wire.to_server.drain(..count).collect();
        stage.core.receive(wire.session, &bytes);
        true
    }

    /// Closes the connections that the core wants closed.
    fn attend(&mut self, at: usize) {
        let stage = &mut self.cores[at];
        stage.core.take_dirty(&mut stage.changed);
        stage.changed.sort_unstable();
        stage.changed.dedup();
        for id in std::mem::take(&mut stage.changed) {
            let has_unsent = !stage.core.unsent(id).is_empty();
            let closes = match stage.core.intent(id) {
                Intent::CloseNow => true,
                Intent::CloseAfterSend => !has_unsent,
                Intent::Read | Intent::PauseReading => false,
            };
            if !closes {
                if has_unsent {
                    stage.sends.push(id);
                }
            } else if self.random.one_in(2) {
                // It takes a while.
                stage.changed.push(id);
            } else {
                stage.core.closed(id);
                let mut wires = self.connections.iter_mut();
                if let Some(wire) = wires.find(|wire| wire.is_of(at, id)) {
                    wire.is_closed = true;
                }
            }
        }
    }

    /// Sends what the core has for clients; now and then not all of it.
    fn send_out(&mut self, at: usize) {
        let stage = &mut self.cores[at];
        for id in std::mem::take(&mut stage.sends) {
            let bytes = stage.core.unsent(id);
            let mut wires = self.connections.iter_mut();
            let wire = wires.find(|wire| wire.is_of(at, id));
            let wire = wire.expect("what is closed is not sent to");
            let count = match bytes.len() {
                all if self.random.one_in(4) => self.random.below(all + 1),
                all => all,
            };
            wire.to_client.extend(&bytes[..count]);
            stage.sent.push((id, count));
        }
    }

    /// Until when the core sleeps after its turn; none if it does not.
    fn sleeps(&mut self, at: usize) -> Option<Until> {
        let is_busy = self.cores[at].is_busy || self.has_come(at);
        let stage = &mut self.cores[at];
        // Whatever was sent is accounted for in the next turn, and what follows from that is done.
        let has_more = !stage.changed.is_empty() || !stage.sent.is_empty();
        if is_busy || has_more || !stage.core.fall_asleep() {
            return None;
        }
        let at_ms = stage.core.next_wake_ms();
        let mut us = at_ms.map(|ms| ms * 1000 + BEGAN_MS * 1000);
        if stage.shipped == Shipped::Some {
            let again = self.now_us + 1000;
            us = Some(us.map_or(again, |us| us.min(again)));
        }
        let step = self.wires.borrow().next_seen(at as u16);
        Some(Until { us, step })
    }
}

impl Wire {
    /// Whether it is the open connection of this session of this core.
    fn is_of(&self, core: usize, session: SessionId) -> bool {
        self.core == core && self.session == session && !self.is_closed
    }
}

impl Stage {
    fn rouse(&mut self) {
        if let Next::Wake(_) = self.next {
            self.next = Next::Begin;
        }
    }

    /// Whether the core receives from this client.
    fn reads(&self, session: SessionId) -> bool {
        self.core.intent(session) == Intent::Read
    }

    /// Accounts for what was sent.
    fn settle_sends(&mut self) {
        for (id, count) in std::mem::take(&mut self.sent) {
            if count > 0 {
                self.core.sent(id, count);
            }
            self.changed.push(id);
        }
    }
}
