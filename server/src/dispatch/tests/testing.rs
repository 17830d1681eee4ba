//! A whole server of several cores in one thread, whose batches are exchanged by hand and whose clients are byte
//! strings.

#![cfg(test)]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use larder_engine::UnixMillis;

use crate::command::Clock;
use crate::config::Config;
use crate::dispatch::{Batch, Core, Intent, Lines};
use crate::persist::files::{FileDone, FileOp};
use crate::routing::CoreId;
use crate::session::{Endpoint, Peer, SessionId, UserId};
use crate::shared::Shared;
use crate::topics::Topic;

/// A client: the core that serves it, and its session there.
pub(crate) type Client = (usize, SessionId);

/// Cores, what is under way between them, and the clock they share.
pub(crate) struct Server {
    pub(crate) cores: Vec<Core>,
    pub(crate) now_ms: u64,
    under_way: UnderWay,
    full: Full,
    /// What comes of operations on files.
    pub(crate) disk: Disk,
}

/// See [`Server::disk`].
pub(crate) type Disk = Box<dyn FnMut(&FileOp) -> std::io::Result<FileDone>>;

/// Batches under way from the first core to the second, oldest first.
type UnderWay = Rc<RefCell<Vec<Vec<VecDeque<Box<Batch>>>>>>;

/// Lines that have no room for now, from the first core to the second.
type Full = Rc<RefCell<Vec<(usize, usize)>>>;

/// The lines of one core.
struct Wires {
    own: usize,
    under_way: UnderWay,
    full: Full,
}

impl Lines for Wires {
    fn receive(&mut self, from: CoreId) -> Option<Box<Batch>> {
        self.under_way.borrow_mut()[from.index()][self.own].pop_front()
    }

    fn arrived(&self, from: CoreId) -> usize {
        self.under_way.borrow()[from.index()][self.own].len()
    }

    fn has_room(&self, to: CoreId) -> bool {
        !self.full.borrow().contains(&(self.own, to.index()))
    }

    fn send(&mut self, to: CoreId, batch: Box<Batch>) -> Result<(), Box<Batch>> {
        if !self.has_room(to) {
            return Err(batch);
        }
        self.under_way.borrow_mut()[self.own][to.index()].push_back(batch);
        Ok(())
    }
}

impl Server {
    /// A server of `cores` cores with the default configuration, at rest.
    pub(crate) fn new(cores: u16) -> Self {
        Self::configured(cores, &[])
    }

    /// The same with directives of its own.
    pub(crate) fn configured(cores: u16, directives: &[(&str, &str)]) -> Self {
        let words = directives.iter();
        let words = words.flat_map(|(name, value)| [format!("--{name}"), (*value).to_owned()]);
        let words: Vec<String> = words.collect();
        let config = Config::load(None, &words).unwrap();
        let shared = Shared::new(config, cores, [1, 2, 3, 4], 0);
        let count = usize::from(cores);
        let queues = (0..count).map(|_| (0..count).map(|_| VecDeque::new()).collect());
        let under_way = Rc::new(RefCell::new(queues.collect()));
        let full = Full::default();
        let cores = (0..cores).map(|id| {
            let mut core = Core::new(CoreId(id), Arc::clone(&shared)).unwrap();
            core.connect_lines(Box::new(Wires {
                own: usize::from(id),
                under_way: Rc::clone(&under_way),
                full: Rc::clone(&full),
            }));
            core
        });
        let cores = cores.collect();
        let mut server = Self {
            cores,
            now_ms: BEGAN_MS,
            under_way,
            full,
            disk: Box::new(FileOp::pretend),
        };
        server.turns();
        server
    }

    /// A server whose cores have endpoints of their own, core `i` on port `7001 + i`.
    pub(crate) fn with_core_endpoints(cores: u16) -> Self {
        let mut server = Self::new(cores);
        let ports = (0..cores).map(|core| 7001 + core).collect();
        server.cores[0].state().shared.set_core_ports(ports);
        server
    }

    /// A client that connects to the endpoint of `core` at `host`.
    pub(crate) fn connect_to_core(&mut self, core: usize, host: &str) -> Client {
        let peer = Peer {
            addr: "127.0.0.1:40000".into(),
            local_addr: format!("{host}:{}", 7001 + core).into(),
            endpoint: Endpoint::Core,
            ..Peer::default()
        };
        (core, self.cores[core].connect(peer).unwrap())
    }

    /// A client that connects to `core`.
    pub(crate) fn connect(&mut self, core: usize) -> Client {
        (core, self.cores[core].connect(Peer::default()).unwrap())
    }

    /// Hands in bytes of a client, without a turn.
    pub(crate) fn receive(&mut self, client: Client, bytes: &[u8]) {
        self.cores[client.0].receive(client.1, bytes);
    }

    /// Sends `bytes`, lets the server come to rest, and returns all it replied.
    pub(crate) fn send(&mut self, client: Client, bytes: &[u8]) -> String {
        self.receive(client, bytes);
        let mut replies = Vec::new();
        loop {
            self.turns();
            let more = self.take_output(client);
            if more.is_empty() {
                return String::from_utf8_lossy(&replies).into_owned();
            }
            replies.extend(more);
        }
    }

    /// Takes all there is to send to a client.
    pub(crate) fn take_output(&mut self, (core, id): Client) -> Vec<u8> {
        let mut out = Vec::new();
        loop {
            let more = self.cores[core].unsent(id).to_vec();
            if more.is_empty() {
                return out;
            }
            self.cores[core].sent(id, more.len());
            out.extend(more);
        }
    }

    /// Takes output, turn after turn, until none comes; its bytes.
    pub(crate) fn read_all(&mut self, client: Client) -> Vec<u8> {
        let mut taken = Vec::new();
        loop {
            self.turns();
            let more = self.take_output(client);
            if more.is_empty() {
                return taken;
            }
            taken.extend(more);
        }
    }

    /// What is to become of a client's connection.
    pub(crate) fn intent(&self, (core, id): Client) -> Intent {
        self.cores[core].intent(id)
    }

    /// The client breaks its connection off.
    pub(crate) fn disconnect(&mut self, (core, id): Client) {
        self.cores[core].disconnected(id);
        self.cores[core].closed(id);
    }

    /// Lets time pass.
    pub(crate) fn advance(&mut self, millis: u64) {
        self.now_ms += millis;
        let clock = self.clock();
        for core in &mut self.cores {
            core.begin_turn(clock);
        }
    }

    /// What the clocks of all cores show.
    pub(crate) fn clock(&self) -> Clock {
        Clock {
            unix: UnixMillis(self.now_ms as i64),
            monotonic_us: self.now_ms * 1000,
            read_at: Instant::now(),
        }
    }

    /// Turns of all cores until no batch is under way and no core wants another turn at once.
    pub(crate) fn turns(&mut self) {
        const TURNS_MAX: usize = 100_000;
        for _ in 0..TURNS_MAX {
            let hurried = self.turn();
            self.ship();
            let mut delivered = false;
            for from in 0..self.cores.len() {
                for to in 0..self.cores.len() {
                    while self.deliver_one(from, to) {
                        delivered = true;
                    }
                }
            }
            // Entries are appended between turns here, and let sessions go on.
            if !delivered && !hurried && !self.cores.iter().any(Core::has_let_go) {
                return;
            }
        }
        panic!("the server does not come to rest");
    }

    /// Ends a turn of every core and begins the next. Whether a core wanted that at once.
    pub(crate) fn turn(&mut self) -> bool {
        let (now_ms, clock) = (self.now_ms, self.clock());
        let mut hurried = false;
        let is_hurried = |core: &Core| core.next_wake_ms().is_some_and(|wake_ms| wake_ms <= now_ms);
        for core in &mut self.cores {
            core.end_turn();
            hurried |= core.do_file_ops(&mut self.disk);
            hurried |= is_hurried(core);
            core.begin_turn(clock);
            // What has begun between turns may go on in the next.
            hurried |= is_hurried(core);
        }
        hurried
    }

    /// A number of turns after each of which all batches arrive, for a server that does not come to rest.
    pub(crate) fn some_turns(&mut self, count: usize) {
        for _ in 0..count {
            self.turn();
            self.ship();
            let cores = self.cores.len();
            for pair in 0..cores * cores {
                while self.deliver_one(pair / cores, pair % cores) {}
            }
        }
    }

    /// One of the things that may happen next: a turn of all cores, a core's batches put on their way, or one that arrives.
    pub(crate) fn stir(&mut self, random: &mut Random) {
        let cores = self.cores.len();
        match random.below(3) {
            0 => drop(self.turn()),
            1 => self.ship_from(random.below(cores)),
            _ => {
                let (from, to) = (random.below(cores), random.below(cores));
                self.deliver_one(from, to);
            }
        }
    }

    /// Puts the cores' outboxes on their way.
    pub(crate) fn ship(&mut self) {
        (0..self.cores.len()).for_each(|from| self.ship_from(from));
    }

    /// Puts one core's outboxes on their way.
    pub(crate) fn ship_from(&mut self, from: usize) {
        let core = &mut self.cores[from];
        if core.has_to_publish() {
            core.publish_entry();
        }
        let others = (0..self.cores.len()).filter(|to| *to != from);
        others.for_each(|to| self.ship_between(from, to));
        self.cores[from].note_shipped();
    }

    /// Puts one core's outbox for another on its way.
    pub(crate) fn ship_between(&mut self, from: usize, to: usize) {
        if let Some(batch) = self.cores[from].take_outbox(CoreId(to as u16)) {
            self.under_way.borrow_mut()[from][to].push_back(batch);
        }
    }

    /// Delivers the oldest batch from one core to another. Whether there was one.
    pub(crate) fn deliver_one(&mut self, from: usize, to: usize) -> bool {
        let batch = self.under_way.borrow_mut()[from][to].pop_front();
        let Some(batch) = batch else {
            return false;
        };
        self.cores[to].take(CoreId(from as u16), batch);
        true
    }

    /// Shows each batch under way.
    pub(crate) fn each_under_way(&self, show: impl FnMut(&Batch)) {
        let under_way = self.under_way.borrow();
        let batches = under_way.iter().flatten().flatten();
        batches.map(Box::as_ref).for_each(show);
    }

    /// A client's commands are those of `user` from now on.
    pub(crate) fn user_of(&mut self, (core, id): Client, user: UserId) {
        let session = self.cores[core].state().sessions.get_mut(id);
        session.expect("the client is there").user = user;
    }

    /// A turn of one core alone, with what has come for it; what it has to send is put on its way.
    pub(crate) fn turn_of(&mut self, core: usize) {
        let clock = self.clock();
        self.cores[core].begin_turn(clock);
        for from in 0..self.cores.len() {
            while self.deliver_one(from, core) {}
        }
        while self.cores[core].end_turn() {
            self.cores[core].begin_turn(clock);
        }
        self.ship_from(core);
    }

    /// Sends `bytes`, and has only those cores take turns that have something to do for it; all else sleeps. All it replied.
    pub(crate) fn send_alone(&mut self, client: Client, bytes: &[u8]) -> String {
        let clock = self.clock();
        self.cores[client.0].begin_turn(clock);
        self.receive(client, bytes);
        self.turns_alone(client.0);
        String::from_utf8_lossy(&self.take_output(client)).into_owned()
    }

    /// Turns of one core, then of those alone that have mail, until none has.
    pub(crate) fn turns_alone(&mut self, first: usize) {
        let mut next = Some(first);
        while let Some(core) = next {
            self.turn_of(core);
            next = (0..self.cores.len()).find(|&core| self.has_mail(core));
        }
    }

    fn has_mail(&self, core: usize) -> bool {
        let under_way = self.under_way.borrow();
        under_way.iter().any(|from| !from[core].is_empty())
    }

    /// The line from one core to another has no room from now on.
    pub(crate) fn fill_line(&mut self, from: usize, to: usize) {
        self.full.borrow_mut().push((from, to));
    }

    /// All lines have room again.
    pub(crate) fn clear_lines(&mut self) {
        self.full.borrow_mut().clear();
    }

    /// Number of the batches under way from one core to another.
    pub(crate) fn batches_under_way(&self, from: usize, to: usize) -> usize {
        self.under_way.borrow()[from][to].len()
    }

    /// Bytes of the batches under way from one core to another.
    pub(crate) fn bytes_under_way(&self, from: usize, to: usize) -> usize {
        let under_way = self.under_way.borrow();
        let batches = under_way[from][to].iter();
        batches.map(|batch| batch.memory_bytes()).sum()
    }

    /// Whether slots are to move.
    pub(crate) fn is_rebalancing(&mut self) -> bool {
        let shared = &self.cores[0].state().shared;
        shared.rebalance.busy.load(Ordering::Relaxed)
    }

    /// Panics unless nothing is left behind: no session, no question without its answer, no request that has yet to run.
    pub(crate) fn assert_nothing_is_left(&mut self) {
        const SLICES_MAX: usize = 100_000;
        self.turns();
        for _ in 0..SLICES_MAX {
            if self
                .cores
                .iter()
                .all(|core| core.oldest_script_time().is_none())
            {
                break;
            }
            // Some script has run for long, and goes on in slices.
            self.turns();
        }
        for core in &mut self.cores {
            core.assert_nothing_is_left();
        }
        let shared = &self.cores[0].state().shared;
        assert_eq!(shared.clients(), 0, "no client is counted");
        assert_eq!(
            shared.monitors.load(Ordering::Relaxed),
            0,
            "no monitor is counted"
        );
        assert_eq!(
            Topic::ALL.map(|topic| shared.topics.count(topic)),
            [0; 3],
            "no name has a subscriber"
        );
    }
}

/// Random numbers (SplitMix64; Steele, Lea, Flood, OOPSLA 2014).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub(crate) fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    pub(crate) fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

/// A key that core `core` of `cores` owns.
pub(crate) fn key_on(core: u16, cores: u16, name: &str) -> String {
    let slots = crate::routing::SlotMap::even(cores);
    let tags = 0..;
    tags.map(|tag| format!("{{{tag}}}{name}"))
        .find(|key| slots.core_of(key.as_bytes()) == CoreId(core))
        .unwrap()
}

/// How many scripts a test tries: `LARDER_STRESS_SEEDS`, or as many as are usual.
pub(crate) fn seeds(usual: u64) -> u64 {
    let asked = std::env::var("LARDER_STRESS_SEEDS").ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// When a server begins, by its clock.
pub(crate) const BEGAN_MS: u64 = 1_700_000_000_000;

/// The replies in `bytes`, the elements of arrays of keys sorted: which come first depends on the cores.
pub(crate) fn replies(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = bytes;
    let mut replies = Vec::new();
    while !rest.is_empty() {
        replies.push(reply(&mut rest));
    }
    replies
}

fn reply(rest: &mut &[u8]) -> Vec<u8> {
    let line = rest
        .windows(2)
        .position(|two| two == b"\r\n")
        .expect("a reply has a line")
        + 2;
    let (head, tail) = rest.split_at(line);
    *rest = tail;
    let count = || {
        std::str::from_utf8(&head[1..line - 2])
            .unwrap()
            .parse::<i64>()
            .unwrap()
    };
    let mut out = head.to_vec();
    match head[0] {
        b'$' | b'=' if count() >= 0 => {
            let (body, tail) = rest.split_at(count() as usize + 2);
            *rest = tail;
            out.extend_from_slice(body);
        }
        b'*' | b'~' | b'>' | b'%' if count() >= 0 => {
            let count = count() * if head[0] == b'%' { 2 } else { 1 };
            // What an `EXEC` ran may have silenced the rest.
            let mut elements: Vec<_> = (0..count)
                .map_while(|_| (!rest.is_empty()).then(|| reply(rest)))
                .collect();
            let is_key = |element: &Vec<u8>| element.windows(4).any(|part| part == b"\r\nk:");
            if elements.iter().all(is_key) {
                elements.sort_unstable();
            }
            out.extend(elements.concat());
        }
        b'*' | b'~' | b'>' | b'%' | b'$' | b'=' | b'+' | b'-' | b':' | b',' | b'_' | b'#'
        | b'(' => {}
        other => panic!("no reply begins with {:?}", char::from(other)),
    }
    out
}
