//! The scripts of a core: the one at work ([`running`]), those that wait ([`parked`]), what each holds ([`hold`]), and where one
//! runs ([`placement`]). What they do is driven by `core/scripts`.

pub(super) mod hold;
pub(super) mod parked;
pub(super) mod placement;
pub(super) mod running;

use std::collections::{HashMap, VecDeque};

use self::parked::Parked;
use self::running::{Running, nobody};
use super::limits::SCRIPTS_ON_CORES_MAX;
use super::notify::publication::Publication;
use crate::session::{Reader, Session, SessionId, gate};

/// A core's dealings with scripts.
#[derive(Default)]
pub(in crate::dispatch) struct Scripts {
    /// The script at work.
    pub(in crate::dispatch) running: Option<Box<Running>>,
    /// The scripts that wait, by their messengers.
    pub(in crate::dispatch) parked: HashMap<SessionId, Parked>,
    /// Of those, the ones that may be able to go on.
    ready: VecDeque<SessionId>,
    /// Scripts that have their locks, and begin one after another as long as not too many are under way.
    queue: VecDeque<SessionId>,
    /// What the script published that was over last, and has yet to go out.
    pub(in crate::dispatch) publications: Vec<Publication>,
    /// Commands that the script had run which was over last and begins again.
    pub(in crate::dispatch) repeats: u64,
    /// The messenger of the script that was over last, if what that did has yet to be told.
    pub(in crate::dispatch) told_by: Option<SessionId>,
    /// What runs now has waited for locks of its keys on this core.
    pub(in crate::dispatch) has_waited: bool,
    /// How many that needed locks have begun, and are under way.
    begun: usize,
    /// A client as which the next script runs commands.
    pub(in crate::dispatch) client: Option<Box<Session>>,
    /// Memory of the last script's, for the next one.
    pub(in crate::dispatch) spare: Option<Box<Running>>,
    /// Memory of the last reply, for the next one.
    pub(in crate::dispatch) reply: Vec<u8>,
    /// The same of the hashes of the keys it declared.
    pub(in crate::dispatch) declared: Vec<u64>,
}

impl Scripts {
    /// Whether some script may be able to go on, or to begin.
    #[inline]
    pub(in crate::dispatch) fn has_ready(&self) -> bool {
        !self.ready.is_empty() || !self.queue.is_empty() && self.may_begin()
    }

    /// Whether so few scripts are under way that another one may begin.
    fn may_begin(&self) -> bool {
        self.begun < SCRIPTS_ON_CORES_MAX
    }

    /// Something has come for a script's messenger.
    pub(in crate::dispatch) fn note_answer(&mut self, messenger: SessionId) {
        self.ready.push_back(messenger);
    }

    /// Whether any script that has begun, or is about to, has yet to end.
    pub(in crate::dispatch) fn has_any(&self) -> bool {
        !self.parked.is_empty()
    }

    /// Whether no script is under way.
    #[cfg(test)]
    pub(in crate::dispatch) fn is_idle(&self) -> bool {
        self.running.is_none() && self.parked.is_empty() && self.queue.is_empty() && self.begun == 0
    }

    /// Keeps a reply's memory for the next one, unless it is much.
    pub(in crate::dispatch) fn keep_reply(&mut self, mut reply: Vec<u8>) {
        const KEPT_BYTES: usize = 1 << 16;
        if reply.capacity() <= KEPT_BYTES {
            reply.clear();
            self.reply = reply;
        }
    }

    /// A client as which a script runs commands.
    pub(in crate::dispatch) fn client(&mut self) -> Box<Session> {
        self.client.take().unwrap_or_else(|| {
            let mut client = nobody(SessionId::default());
            client.set_gate(gate::SCRIPT, true);
            Box::new(client)
        })
    }

    /// The next of those that wait and may be able to go on.
    pub(in crate::dispatch) fn next_ready(&mut self) -> Option<SessionId> {
        self.ready.pop_front()
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
        let running = self.running.as_ref();
        let running = running.filter(|running| running.hold.messenger == Some(messenger));
        match running {
            Some(running) => Some(running.reads.by),
            None => {
                let parked = self.parked.get(&messenger);
                parked.map(|parked| parked.caller.reads.by)
            }
        }
    }
}
