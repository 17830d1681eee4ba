//! A simulated core: its turn is that of the product, with the order where dispatch will have it.

use std::collections::VecDeque;
use std::sync::Arc;

use shuttle::rand::{Rng, thread_rng};

use super::coordinator::{Coordinator, Post, Publication, Ticket};
use super::follower::{EntryAt, Follower, Parcel, Station};
use super::left_out::{Clock, Rule, clock, keeps};
use super::ring::{Cursor, Ring};
use super::routing::CoreId;
use super::sleepers::Sleepers;
use super::word::Position;
use super::world::{Message, Parts, World, lock};

/// A client's commands that have not begun.
#[derive(Default)]
struct Session {
    waiting: VecDeque<usize>,
    /// The entry of its last transaction.
    ticket: Option<Ticket>,
}

/// A core without its place in the order.
struct Desk {
    me: CoreId,
    world: Arc<World>,
    now_ms: u64,
    /// By receiver.
    outgoing: Vec<Vec<Message>>,
    /// By number; only those that are here have anything.
    sessions: Vec<Session>,
    /// Commands whose reply goes out at the end of the turn.
    answered: Vec<usize>,
    /// Mail that waits for parts that it should precede.
    late: Vec<Message>,
}

impl Desk {
    /// The time to judge by now.
    fn judge(&mut self) -> u64 {
        if clock() == Clock::Watermark {
            let mut watermark = lock(&self.world.watermark_ms);
            *watermark = self.now_ms.max(*watermark);
        }
        self.now_ms
    }

    /// Something was taken that may know of later times.
    fn heed_watermark(&mut self) {
        if clock() == Clock::Watermark {
            self.now_ms = self.now_ms.max(*lock(&self.world.watermark_ms));
        }
    }

    fn touch(&mut self, command: usize, key: usize, writes: bool) {
        let now_ms = self.judge();
        lock(&self.world.history).touch(command, key, writes, now_ms);
    }

    /// A part of `command` has run here; `home` gathers the answers.
    fn answer(&mut self, command: usize, home: CoreId) {
        if home == self.me {
            self.count_answer(command);
        } else {
            self.outgoing[home.index()].push(Message::Answer { command });
        }
    }

    fn count_answer(&mut self, command: usize) {
        let mut history = lock(&self.world.history);
        let unanswered = &mut history.commands[command].unanswered;
        *unanswered -= 1;
        if *unanswered == 0 {
            self.answered.push(command);
        }
    }

    fn take_input(&mut self) -> Option<Vec<usize>> {
        let input = self.world.take_input(self.me)?;
        self.heed_watermark();
        Some(input)
    }

    /// Puts commands where their session's wait.
    fn admit(&mut self, commands: Vec<usize>) {
        for command in commands {
            let session = lock(&self.world.history).commands[command].session;
            if self.sessions.len() <= session {
                self.sessions.resize_with(session + 1, Session::default);
            }
            self.sessions[session].waiting.push_back(command);
        }
    }

    /// Lets sessions go on as far as they may.
    fn run_sessions<const N: usize>(
        &mut self,
        coordinator: &mut Coordinator<Parts>,
        follower: &Follower<Vec<Message>, Parts, N>,
    ) {
        for session in 0..self.sessions.len() {
            while let Some(&command) = self.sessions[session].waiting.front() {
                let (keys, is_transaction) = {
                    let history = lock(&self.world.history);
                    let command = &history.commands[command];
                    (command.keys.clone(), command.is_transaction)
                };
                let ticket = self.sessions[session].ticket;
                let may_run = |ticket| coordinator.has_passed(ticket, follower);
                if is_transaction {
                    self.gather(command, &keys, coordinator);
                    self.sessions[session].ticket = Some(coordinator.ticket());
                } else if ticket.is_none_or(may_run) {
                    self.run(command, keys[0]);
                } else {
                    break;
                }
                self.sessions[session].waiting.pop_front();
            }
        }
    }

    fn gather(
        &mut self,
        command: usize,
        keys: &[(usize, bool)],
        coordinator: &mut Coordinator<Parts>,
    ) {
        let now_ms = self.judge();
        let mut parts = 0;
        for core in (0..self.world.cores).map(CoreId) {
            let is_here = |key: &&(usize, bool)| self.world.owner(key.0) == core;
            let keys: Vec<_> = keys.iter().filter(is_here).copied().collect();
            if !keys.is_empty() {
                parts += 1;
                coordinator.parts_for(core).push((command, keys, now_ms));
            }
        }
        lock(&self.world.history).commands[command].unanswered = parts;
    }

    fn run(&mut self, command: usize, (key, writes): (usize, bool)) {
        lock(&self.world.history).commands[command].unanswered = 1;
        let owner = self.world.owner(key);
        if owner == self.me {
            self.touch(command, key, writes);
            self.count_answer(command);
        } else {
            let home = self.me;
            self.outgoing[owner.index()].push(Message::Request { command, home });
        }
    }

    fn run_messages(&mut self, mail: Vec<Message>) {
        for message in mail {
            match message {
                Message::Answer { command } => self.count_answer(command),
                Message::Request { command, home } => {
                    let (key, writes) = lock(&self.world.history).commands[command].keys[0];
                    self.touch(command, key, writes);
                    self.answer(command, home);
                }
            }
        }
    }

    /// Ships what mail has room, and wakes its receivers.
    fn ship_mail(&mut self, stamp: Position) {
        let mut shipped = Vec::new();
        for to in (0..self.world.cores).map(CoreId) {
            if !self.outgoing[to.index()].is_empty() && self.world.has_room(self.me, to) {
                let mail = std::mem::take(&mut self.outgoing[to.index()]);
                let parts = None;
                self.world.send(self.me, to, Parcel { stamp, mail, parts });
                shipped.push(to);
            }
        }
        Sleepers::before_rousing();
        shipped.into_iter().for_each(|to| self.rouse(to));
    }

    fn has_unsent(&self) -> bool {
        self.outgoing.iter().any(|mail| !mail.is_empty())
    }
}

impl Station<Vec<Message>, Parts> for Desk {
    fn receive(&mut self, from: CoreId) -> Option<Parcel<Vec<Message>, Parts>> {
        let parcel = self.world.receive(from, self.me)?;
        self.heed_watermark();
        Some(parcel)
    }

    fn run_mail(&mut self, _from: CoreId, mail: Vec<Message>) {
        if !keeps(Rule::MailFirst) {
            return self.late.extend(mail);
        }
        self.run_messages(mail);
    }

    fn run_parts(&mut self, at: EntryAt, parts: Parts) {
        for (command, keys, time_ms) in parts {
            if clock() == Clock::Watermark {
                self.now_ms = self.now_ms.max(time_ms);
            }
            for (key, writes) in keys {
                self.touch(command, key, writes);
            }
            self.answer(command, at.coordinator);
        }
    }

    fn time_is(&mut self, ms: u64) {
        self.now_ms = ms;
    }
}

impl Post<Parts> for Desk {
    fn has_room(&self, to: CoreId) -> bool {
        self.world.has_room(self.me, to)
    }

    fn ship(&mut self, to: CoreId, stamp: Position, parts: Parts) {
        let mail = std::mem::take(&mut self.outgoing[to.index()]);
        let parts = Some(parts);
        self.world.send(self.me, to, Parcel { stamp, mail, parts });
    }

    fn rouse(&mut self, core: CoreId) {
        if self.world.sleepers.rouse(core) {
            self.world.wake(core);
        }
    }
}

/// A core.
pub(crate) struct Core<const N: usize> {
    desk: Desk,
    follower: Follower<Vec<Message>, Parts, N>,
    coordinator: Coordinator<Parts>,
}

impl<const N: usize> Core<N> {
    pub(crate) fn new(me: CoreId, world: Arc<World>, ring: &Arc<Ring<N>>) -> Self {
        let cores = world.cores;
        let desk = Desk {
            me,
            world,
            now_ms: 1,
            outgoing: (0..cores).map(|_| Vec::new()).collect(),
            sessions: Vec::new(),
            answered: Vec::new(),
            late: Vec::new(),
        };
        Self {
            desk,
            follower: Follower::new(Cursor::new(ring, me)),
            coordinator: Coordinator::new(cores),
        }
    }

    /// Turns until all clients have what they asked for.
    pub(crate) fn run(mut self) {
        while !self.desk.world.is_over() {
            self.turn();
            self.sleep();
        }
    }

    fn turn(&mut self) {
        let me = self.desk.me;
        let now_ms = self.desk.world.clock_ms();
        if !keeps(Rule::TimeInOrder) {
            self.desk.now_ms = self.desk.now_ms.max(now_ms);
        }
        self.follower.begin_turn(now_ms, &mut self.desk);
        while let Some(input) = self.desk.take_input() {
            if keeps(Rule::CatchUpAfterTaking) {
                self.follower.catch_up(&mut self.desk);
            }
            self.desk.admit(input);
            self.desk
                .run_sessions(&mut self.coordinator, &self.follower);
            if thread_rng().gen_bool(0.3) {
                self.publish();
            }
        }
        for from in (0..self.desk.world.cores)
            .map(CoreId)
            .filter(|&from| from != me)
        {
            while let Some(parcel) = self.desk.receive(from) {
                self.follower.deliver(from, parcel, &mut self.desk);
                let late = std::mem::take(&mut self.desk.late);
                self.desk.run_messages(late);
            }
        }
        self.desk
            .run_sessions(&mut self.coordinator, &self.follower);
        self.publish();
        self.desk
            .run_sessions(&mut self.coordinator, &self.follower);
        let late = std::mem::take(&mut self.desk.late);
        self.desk.run_messages(late);
        self.desk.ship_mail(self.coordinator.stamp());
        for command in std::mem::take(&mut self.desk.answered) {
            self.desk.world.reply(command);
        }
    }

    fn publish(&mut self) {
        let publication = self.coordinator.publish(&mut self.follower, &mut self.desk);
        if let Publication::At(_) = publication {
            self.follower.catch_up(&mut self.desk);
        }
    }

    /// Sleeps, unless there is something to do.
    fn sleep(&mut self) {
        if self.coordinator.is_waiting() || self.desk.has_unsent() || !self.desk.answered.is_empty()
        {
            return super::world::step();
        }
        let (world, me) = (&self.desk.world, self.desk.me);
        world.sleepers.announce(me);
        if !world.has_mail(me) && self.follower.may_sleep() && !world.is_over() {
            world.sleep(me);
        }
        world.sleepers.withdraw(me);
    }
}
