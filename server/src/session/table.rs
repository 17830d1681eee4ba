//! The sessions of one core, by a key that a closed session's successor never answers to.

use slab::Slab;

use super::{Session, SessionMemory};

/// A session's place in its core's table. The generation tells it from earlier sessions of the same place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId {
    index: u32,
    generation: u32,
}

impl SessionId {
    /// Bytes of [`Self::to_bytes`].
    pub const BYTES: usize = 8;

    /// A form to send to another core.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        (u64::from(self.index) << 32 | u64::from(self.generation)).to_le_bytes()
    }

    /// What [`Self::to_bytes`] was made of.
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        let word = u64::from_le_bytes(bytes);
        Self {
            index: (word >> 32) as u32,
            generation: word as u32,
        }
    }

    /// Its place, dense from zero, reused after the session ends.
    #[inline]
    pub fn index(self) -> usize {
        self.index as usize
    }

    /// Whether it is none of a client's.
    #[inline]
    pub fn is_messenger(self) -> bool {
        self.index & MESSENGER != 0
    }

    fn place(self) -> usize {
        (self.index & !MESSENGER) as usize
    }
}

/// Set in the place of a session that is none of a client's: it has a table of its own.
const MESSENGER: u32 = 1 << 31;

/// The sessions of one core.
#[derive(Debug, Default)]
pub struct Sessions {
    slots: Slab<Slot>,
    /// Sessions without a client, as which scripts ask other cores: found by their ids, and no part of any list.
    messengers: Slab<Slot>,
    generation: u32,
    memory: SessionMemory,
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    /// Absent while the session's commands run.
    session: Option<Box<Session>>,
}

impl Sessions {
    /// Number of sessions.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Adds the session `make` builds for its new place.
    pub fn insert(&mut self, make: impl FnOnce(SessionId) -> Session) -> SessionId {
        self.generation = self.generation.wrapping_add(1);
        let generation = self.generation;
        let entry = self.slots.vacant_entry();
        let index = u32::try_from(entry.key()).expect("maxclients bounds the sessions of a core");
        let id = SessionId { index, generation };
        entry.insert(Slot {
            generation,
            session: Some(Box::new(make(id))),
        });
        id
    }

    /// Adds a session without a client.
    pub fn insert_messenger(&mut self, make: impl FnOnce(SessionId) -> Session) -> SessionId {
        self.generation = self.generation.wrapping_add(1);
        let generation = self.generation;
        let entry = self.messengers.vacant_entry();
        let index = u32::try_from(entry.key()).expect("a client waits for each, and those are few");
        let index = index | MESSENGER;
        let id = SessionId { index, generation };
        entry.insert(Slot {
            generation,
            session: Some(Box::new(make(id))),
        });
        id
    }

    /// The session, unless it has ended or is taken out.
    #[inline]
    pub fn get_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.slot(id)?.session.as_deref_mut()
    }

    /// The session, unless it has ended or is taken out.
    #[inline]
    pub fn get(&self, id: SessionId) -> Option<&Session> {
        let slot = match id.is_messenger() {
            false => self.slots.get(id.index()),
            true => self.messengers.get(id.place()),
        };
        let slot = slot.filter(|slot| slot.generation == id.generation)?;
        slot.session.as_deref()
    }

    /// Takes the session out while its commands run, so that they can use the rest of the core; [`Self::put_back`] ends it.
    #[inline]
    pub fn take_out(&mut self, id: SessionId) -> Option<Box<Session>> {
        self.slot(id)?.session.take()
    }

    /// Puts back a session that was taken out.
    #[inline]
    pub fn put_back(&mut self, session: Box<Session>) {
        let slot = self
            .slot(session.id)
            .expect("a session that is out keeps its place");
        slot.session = Some(session);
    }

    /// Ends the session.
    pub fn remove(&mut self, id: SessionId) -> Option<Box<Session>> {
        self.slot(id)?;
        let slot = match id.is_messenger() {
            false => self.slots.try_remove(id.index()),
            true => self.messengers.try_remove(id.place()),
        };
        let mut session = slot?.session?;
        self.memory.forget(&mut session);
        Some(session)
    }

    /// Bytes that the sessions hold.
    #[inline]
    pub fn memory(&self) -> &SessionMemory {
        &self.memory
    }

    /// The same, to be told of a session that is taken out, or of those that are not counted.
    pub fn memory_mut(&mut self) -> &mut SessionMemory {
        &mut self.memory
    }

    /// A session has changed in its place.
    #[cold]
    pub fn count(&mut self, id: SessionId) {
        if let Some(session) = self
            .slots
            .get_mut(id.index())
            .and_then(|slot| slot.session.as_deref_mut())
            && session.id == id
        {
            self.memory.count(session);
        }
    }

    /// Every session that is not taken out.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Session> {
        self.slots
            .iter_mut()
            .filter_map(|(_, slot)| slot.session.as_deref_mut())
    }

    /// The same, and the memory that they hold, to be counted.
    pub(super) fn iter_mut_beside_memory(
        &mut self,
    ) -> (impl Iterator<Item = &mut Session>, &mut SessionMemory) {
        let sessions = self.slots.iter_mut();
        let sessions = sessions.filter_map(|(_, slot)| slot.session.as_deref_mut());
        (sessions, &mut self.memory)
    }

    /// Every session that is not taken out.
    pub fn iter(&self) -> impl Iterator<Item = &Session> {
        self.slots
            .iter()
            .filter_map(|(_, slot)| slot.session.as_deref())
    }

    #[inline]
    fn slot(&mut self, id: SessionId) -> Option<&mut Slot> {
        let slot = match id.is_messenger() {
            false => self.slots.get_mut(id.index()),
            true => self.messengers.get_mut(id.place()),
        };
        slot.filter(|slot| slot.generation == id.generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Peer;

    fn insert(sessions: &mut Sessions, client_id: u64) -> SessionId {
        sessions.insert(|id| Session::new(client_id, id, Peer::default(), 0))
    }

    #[test]
    fn the_id_of_an_ended_session_finds_nothing_once_its_place_is_taken_again() {
        let mut sessions = Sessions::default();
        let first = insert(&mut sessions, 1);
        assert!(sessions.remove(first).is_some());
        let second = insert(&mut sessions, 2);
        assert_eq!(first.index(), second.index());
        assert!(sessions.get_mut(first).is_none());
        assert!(sessions.remove(first).is_none());
        assert_eq!(sessions.get_mut(second).unwrap().client_id, 2);
    }

    #[test]
    fn a_session_taken_out_keeps_its_place() {
        let mut sessions = Sessions::default();
        let id = insert(&mut sessions, 1);
        let session = sessions.take_out(id).unwrap();
        assert!(sessions.get_mut(id).is_none());
        assert_eq!(sessions.len(), 1);
        sessions.put_back(session);
        assert!(sessions.get_mut(id).is_some());
    }

    #[test]
    fn a_messenger_is_found_by_its_id_and_is_in_no_list() {
        let mut sessions = Sessions::default();
        let client = insert(&mut sessions, 1);
        let id = sessions.insert_messenger(|id| Session::new(0, id, Peer::default(), 0));
        assert!(id.is_messenger() && !client.is_messenger());
        let messenger = sessions.take_out(id).unwrap();
        assert!(sessions.get(id).is_none());
        sessions.put_back(messenger);
        assert_eq!(sessions.get(id).unwrap().client_id, 0);
        assert_eq!((sessions.len(), sessions.iter().count()), (1, 1));
        assert!(sessions.remove(id).is_some() && sessions.get(id).is_none());
        assert_eq!(sessions.get(client).unwrap().client_id, 1);
    }
}
