//! The scripts of a core: the one at work ([`running`]), those that wait ([`parked`]), what each holds ([`hold`]), and where one
//! runs ([`placement`]). What they do is driven by `core/scripts`.

pub(super) mod hold;
pub(super) mod parked;
pub(super) mod placement;
pub(super) mod running;

use std::collections::{HashMap, VecDeque};

use larder_engine::UnixMillis;

use self::hold::Hold;
use self::parked::Parked;
use self::running::{Needs, Running, Start, nobody};
use super::limits::SCRIPTS_ON_CORES_MAX;
use super::mail::requests::LocksHeld;
use super::notify::publication::Publication;
use crate::session::{Reader, Session, SessionId, gate};

/// A core's dealings with scripts.
#[derive(Default)]
pub(in crate::dispatch) struct Scripts {
    /// The script at work.
    at_work: Option<Box<Running>>,
    /// The scripts that wait, by their messengers.
    parked: HashMap<SessionId, Parked>,
    /// Of those, the ones that may be able to go on.
    ready: VecDeque<SessionId>,
    /// Scripts that have their locks, and begin one after another as long as not too many are under way.
    queue: VecDeque<SessionId>,
    /// How many that needed locks have begun, and are under way.
    begun: usize,
    /// What runs now has waited for locks of its keys on this core.
    has_waited: bool,
    /// What the script published that was over last, and has yet to go out.
    publications: Vec<Publication>,
    /// Commands that the script had run which was over last and begins again.
    repeats: u64,
    /// The messenger of the script that was over last, if what that did has yet to be told.
    told_by: Option<SessionId>,
    memory: Memory,
}

/// Memory of scripts that are over, for the next ones.
#[derive(Default)]
struct Memory {
    /// A client as which one runs commands.
    client: Option<Box<Session>>,
    running: Option<Box<Running>>,
    reply: Vec<u8>,
    /// The hashes of the keys that one declared.
    declared: Vec<u64>,
}

/// The script at work.
impl Scripts {
    /// A script begins.
    #[inline(always)]
    pub(in crate::dispatch) fn begin(
        &mut self,
        start: Start,
        hold: Hold,
        client: Box<Session>,
    ) -> &mut Running {
        let running = Running::new(start, hold, client);
        let running = match self.memory.running.take() {
            Some(mut spare) => {
                *spare = running;
                spare
            }
            None => Box::new(running),
        };
        self.at_work.insert(running)
    }

    /// A script goes on that had to wait.
    pub(in crate::dispatch) fn go_on(&mut self, running: Box<Running>) {
        self.at_work = Some(running);
    }

    /// The script at work.
    ///
    /// # Panics
    /// None is.
    #[inline]
    pub(in crate::dispatch) fn at_work(&self) -> &Running {
        self.at_work.as_ref().expect("a script is at work")
    }

    /// The script at work.
    ///
    /// # Panics
    /// None is.
    #[inline]
    pub(in crate::dispatch) fn at_work_mut(&mut self) -> &mut Running {
        self.at_work.as_mut().expect("a script is at work")
    }

    /// Whether a script is at work that may have to be taken back.
    #[inline]
    pub(in crate::dispatch) fn is_undoable(&self) -> bool {
        let at_work = self.at_work.as_ref();
        at_work.is_some_and(|running| running.start().is_undoable)
    }

    /// The script at work has to wait.
    ///
    /// # Panics
    /// None is.
    pub(in crate::dispatch) fn suspend(&mut self) -> Box<Running> {
        let mut running = self.at_work.take().expect("a script is at work");
        running.suspend();
        running
    }

    /// The script at work is over. What it published is kept to be sent, or, if it begins again, how many commands it ran. Bytes
    /// of publications that are not sent.
    ///
    /// # Panics
    /// None is.
    #[inline]
    pub(in crate::dispatch) fn end(&mut self) -> (Box<Running>, usize) {
        let mut running = self.at_work.take().expect("a script is at work");
        self.memory.client = running.give_client();
        let publications = running.take_publications();
        if running.begins_again() {
            self.repeats = running.commands_run();
            let dropped = publications.iter().map(Publication::bytes);
            return (running, dropped.sum());
        }
        self.publications = publications;
        (running, 0)
    }

    /// What the script did that is over has yet to be told, by its messenger.
    pub(in crate::dispatch) fn leave_telling(&mut self, messenger: SessionId) {
        self.told_by = Some(messenger);
    }

    /// The messenger of the script that was over last, if what that did has yet to be told.
    #[inline]
    pub(in crate::dispatch) fn take_telling(&mut self) -> Option<SessionId> {
        self.told_by.take()
    }

    /// Whether messages of the script that was over last have yet to go out.
    #[inline]
    pub(in crate::dispatch) fn has_publications(&self) -> bool {
        !self.publications.is_empty()
    }

    /// Takes these messages, to be sent.
    pub(in crate::dispatch) fn take_publications(&mut self) -> Vec<Publication> {
        std::mem::take(&mut self.publications)
    }

    /// How many commands the script had run that was over last and begins again.
    pub(in crate::dispatch) fn repeats(&self) -> u64 {
        self.repeats
    }

    /// Says whether what runs next has waited for locks of its keys on this core.
    #[inline]
    pub(in crate::dispatch) fn note_waited(&mut self, has_waited: bool) {
        self.has_waited = has_waited;
    }

    /// Whether what runs now has waited for locks of its keys on this core.
    #[inline]
    pub(in crate::dispatch) fn has_waited(&self) -> bool {
        self.has_waited
    }
}

/// Memory for reuse.
impl Scripts {
    /// A client as which a script runs commands.
    pub(in crate::dispatch) fn client(&mut self) -> Box<Session> {
        self.memory.client.take().unwrap_or_else(|| {
            let mut client = nobody(SessionId::default());
            client.set_gate(gate::SCRIPT, true);
            Box::new(client)
        })
    }

    /// Keeps the memory of a script that is over, and that of what it declared, unless it is much.
    #[inline]
    pub(in crate::dispatch) fn keep(&mut self, mut running: Box<Running>) {
        const DECLARED_KEPT: usize = 1024;
        let declared = running.hold_mut().take_declared();
        if declared.capacity() <= DECLARED_KEPT {
            self.memory.declared = declared;
        }
        self.memory.running = Some(running);
    }

    /// An empty list, for what a script declares.
    #[inline]
    pub(in crate::dispatch) fn take_declared(&mut self) -> Vec<u64> {
        let mut declared = std::mem::take(&mut self.memory.declared);
        declared.clear();
        declared
    }

    /// Memory for a reply; it is empty.
    #[inline]
    pub(in crate::dispatch) fn take_reply(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.memory.reply)
    }

    /// Keeps a reply's memory for the next one, unless it is much.
    #[inline]
    pub(in crate::dispatch) fn keep_reply(&mut self, mut reply: Vec<u8>) {
        const KEPT_BYTES: usize = 1 << 16;
        if reply.capacity() <= KEPT_BYTES {
            reply.clear();
            self.memory.reply = reply;
        }
    }
}

/// The scripts that wait.
impl Scripts {
    /// A script waits, whose messenger is `messenger`.
    pub(in crate::dispatch) fn park(&mut self, messenger: SessionId, parked: Parked) {
        self.parked.insert(messenger, parked);
    }

    /// A script that waits begins or goes on.
    ///
    /// # Panics
    /// It does not wait.
    pub(in crate::dispatch) fn unpark(&mut self, messenger: SessionId) -> Parked {
        self.parked.remove(&messenger).expect("it waits")
    }

    /// A script that waits.
    pub(in crate::dispatch) fn parked(&mut self, messenger: SessionId) -> Option<&mut Parked> {
        self.parked.get_mut(&messenger)
    }

    /// A script that waits has the locks it asked for, at `time`.
    ///
    /// # Panics
    /// It does not wait.
    pub(in crate::dispatch) fn grant(
        &mut self,
        messenger: SessionId,
        locks: LocksHeld,
        time: UnixMillis,
    ) {
        let parked = self.parked.get_mut(&messenger);
        let parked = parked.expect("a script that waits is kept");
        parked.clock.unix = time;
        parked.state.grant(locks);
    }

    /// When the oldest of those that wait began.
    pub(in crate::dispatch) fn oldest_time(&self) -> Option<UnixMillis> {
        let parked = self.parked.values();
        parked.map(|parked| parked.clock.unix).min()
    }

    /// Those that go on in each turn, for their slice of it.
    pub(in crate::dispatch) fn due_each_turn(&self) -> Vec<SessionId> {
        let parked = self.parked.iter();
        let due = parked.filter(|(_, parked)| parked.state.needs() == Needs::Slice);
        due.map(|(id, _)| *id).collect()
    }

    /// Whether any script that has begun, or is about to, has yet to end.
    pub(in crate::dispatch) fn has_any(&self) -> bool {
        !self.parked.is_empty()
    }

    /// Whether no script is under way.
    #[cfg(test)]
    pub(in crate::dispatch) fn is_idle(&self) -> bool {
        self.at_work.is_none() && self.parked.is_empty() && self.queue.is_empty() && self.begun == 0
    }

    /// Something has come for a script's messenger.
    pub(in crate::dispatch) fn note_answer(&mut self, messenger: SessionId) {
        self.ready.push_back(messenger);
    }

    /// The next of those that wait and may be able to go on.
    pub(in crate::dispatch) fn next_ready(&mut self) -> Option<SessionId> {
        self.ready.pop_front()
    }

    /// Whether some script may be able to go on, or to begin.
    #[inline]
    pub(in crate::dispatch) fn has_ready(&self) -> bool {
        !self.ready.is_empty() || !self.queue.is_empty() && self.may_begin()
    }

    /// Whether so few scripts are under way that another one may begin.
    fn may_begin(&self) -> bool {
        self.begun < SCRIPTS_ON_CORES_MAX
    }

    /// One has its locks, and begins when not too many are under way.
    pub(in crate::dispatch) fn enqueue(&mut self, messenger: SessionId) {
        self.queue.push_back(messenger);
    }

    /// The next of those, if it may begin.
    pub(in crate::dispatch) fn next_to_begin(&mut self) -> Option<SessionId> {
        if self.may_begin() {
            self.queue.pop_front()
        } else {
            None
        }
    }

    /// One that needed locks begins.
    pub(in crate::dispatch) fn note_begun(&mut self) {
        self.begun += 1;
    }

    /// It is over.
    pub(in crate::dispatch) fn note_over(&mut self) {
        self.begun -= 1;
    }

    /// The client of the script that `messenger` runs commands for.
    pub(in crate::dispatch) fn client_of(&self, messenger: SessionId) -> Option<Reader> {
        let at_work = self.at_work.as_ref();
        let at_work = at_work.filter(|running| running.hold().messenger() == Some(messenger));
        match at_work {
            Some(running) => Some(running.start().reads.by),
            None => {
                let parked = self.parked.get(&messenger);
                parked.map(|parked| parked.caller.reads.by)
            }
        }
    }
}
