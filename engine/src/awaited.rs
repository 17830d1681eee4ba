//! Keys that somebody waits for, to learn that something was put there: what blocking commands stand on.
//!
//! The journal tells of every change; those that can end a wait are noted in their order until they are taken: a key of
//! which more is there than before, of the type that somebody there waits for ([`WakesOn`]). Of what is of another type
//! nobody learns, as in Redis, lest who waits for several keys have his turn by the wrong one of them. With nobody waiting,
//! a change costs one test; with some, one look-up, which allocates nothing.

use crate::journal::Effect;
use crate::key_map::KeyMap;
use crate::{DbIndex, Kind};

/// What gives one who waits for a key his turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WakesOn {
    /// The key has come to hold a value of this type, or more of it.
    Value(Kind),
    /// That, or that such a value is gone: removed, or replaced by another.
    ValueOrLoss(Kind),
}

impl WakesOn {
    /// Whether he has a turn at a key that holds a value of this type; `None`: nothing.
    pub fn is_met_by(self, found: Option<Kind>) -> bool {
        match self {
            Self::Value(kind) => found == Some(kind),
            Self::ValueOrLoss(_) => true,
        }
    }

    fn is_met_by_change(self, effect: &Effect<'_>) -> bool {
        let (Self::Value(kind) | Self::ValueOrLoss(kind)) = self;
        effect.brings() == Some(kind) || self.wakes_on_loss() && effect.takes_away()
    }

    fn wakes_on_loss(self) -> bool {
        matches!(self, Self::ValueOrLoss(_))
    }
}

/// Which keys are waited for, and which of them were written.
#[derive(Debug, Default)]
pub struct AwaitedKeys {
    waiting: KeyMap<Awaited>,
    written: Vec<(DbIndex, Box<[u8]>)>,
    /// How many had been written when what follows began to be held back.
    held_from: Option<usize>,
}

/// What is known of a key that is waited for.
#[derive(Debug, Default)]
struct Awaited {
    /// How many wait for it, by what wakes them: of few types.
    waiters: Vec<(WakesOn, usize)>,
    /// It is among those written.
    is_written: bool,
}

impl AwaitedKeys {
    /// Whether nobody waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Number of keys waited for.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// One more waits for `key`, whom this wakes.
    pub fn add(&mut self, db: DbIndex, key: &[u8], wakes_on: WakesOn) {
        let waiters = &mut self.waiting.get_or_default(db, key).waiters;
        match waiters.iter_mut().find(|(on, _)| *on == wakes_on) {
            Some((_, count)) => *count += 1,
            None => waiters.push((wakes_on, 1)),
        }
    }

    /// One less waits for `key`, whom this wakes.
    ///
    /// # Panics
    /// None such waited for it.
    pub fn remove(&mut self, db: DbIndex, key: &[u8], wakes_on: WakesOn) {
        let awaited = self.waiting.get_mut(db, key);
        let awaited = awaited.expect("somebody waits for this key");
        let at = awaited.waiters.iter().position(|(on, _)| *on == wakes_on);
        let at = at.expect("somebody waits for this");
        awaited.waiters[at].1 -= 1;
        if awaited.waiters[at].1 == 0 {
            awaited.waiters.swap_remove(at);
        }
        if awaited.waiters.is_empty() {
            self.waiting.remove(db, key);
        }
    }

    /// Whether somebody waits for `key` who has a turn when it holds a value of this type; `None`: nothing.
    pub fn wakes_any(&self, db: DbIndex, key: &[u8], found: Option<Kind>) -> bool {
        let awaited = self.waiting.get(db, key);
        awaited.is_some_and(|awaited| awaited.has(|on| on.is_met_by(found)))
    }

    /// Whether a key waited for has been written since they were last taken. While that may be taken back, none has.
    #[inline]
    pub fn has_written(&self) -> bool {
        !self.written.is_empty() && self.is_not_held()
    }

    /// Apart: every command asks whether anything was written, and mostly nothing was.
    #[cold]
    #[inline(never)]
    fn is_not_held(&self) -> bool {
        self.held_from.is_none()
    }

    /// Takes the keys waited for that have been written, each once, in the order of the first write.
    pub fn take_written(&mut self) -> Vec<(DbIndex, Box<[u8]>)> {
        if self.held_from.is_some() {
            return Vec::new();
        }
        let written = std::mem::take(&mut self.written);
        for (db, key) in &written {
            if let Some(awaited) = self.waiting.get_mut(*db, key) {
                awaited.is_written = false;
            }
        }
        written
    }

    /// Holds back that keys are written from now on.
    pub(crate) fn hold(&mut self) {
        self.held_from = Some(self.written.len());
    }

    /// What was held back stands.
    pub(crate) fn release(&mut self) {
        self.held_from = None;
    }

    /// What was held back did not happen.
    pub(crate) fn drop_held(&mut self) {
        let held_from = self.held_from.take().unwrap_or(0);
        for (db, key) in self.written.drain(held_from..) {
            if let Some(awaited) = self.waiting.get_mut(db, &key) {
                awaited.is_written = false;
            }
        }
    }

    /// Lays aside what was held back: until [`Self::take_up`] it has not happened.
    pub(crate) fn lay_aside(&mut self) -> Vec<(DbIndex, Box<[u8]>)> {
        let held_from = self.held_from.take().unwrap_or(0);
        let aside = self.written.split_off(held_from);
        for (db, key) in &aside {
            if let Some(awaited) = self.waiting.get_mut(*db, key) {
                awaited.is_written = false;
            }
        }
        aside
    }

    /// Holds back again what was laid aside.
    pub(crate) fn take_up(&mut self, aside: Vec<(DbIndex, Box<[u8]>)>) {
        for (db, key) in aside {
            if let Some(awaited) = self.waiting.get_mut(db, &key)
                && !std::mem::replace(&mut awaited.is_written, true)
            {
                self.written.push((db, key));
            }
        }
    }

    /// A change has been made.
    #[cold]
    pub(crate) fn note(&mut self, db: DbIndex, key: &[u8], effect: &Effect<'_>) {
        match effect {
            Effect::FlushDb => self.note_all(db, |_, awaited| awaited.has(WakesOn::wakes_on_loss)),
            // `Self::note_exchange` tells of it.
            Effect::SwapDb { .. } => {}
            _ => {
                if let Some(awaited) = self.waiting.get_mut(db, key)
                    && !awaited.is_written
                    && awaited.has(|on| on.is_met_by_change(effect))
                {
                    awaited.is_written = true;
                    self.written.push((db, key.into()));
                }
            }
        }
    }

    /// The database is exchanged for another: `found_in_other` tells what a key is of there.
    pub(crate) fn note_exchange(
        &mut self,
        db: DbIndex,
        mut found_in_other: impl FnMut(&[u8]) -> Option<Kind>,
    ) {
        self.note_all(db, |key, awaited| {
            let found = found_in_other(key);
            awaited.has(|on| on.is_met_by(found))
        });
    }

    fn note_all(&mut self, db: DbIndex, mut is_written: impl FnMut(&[u8], &Awaited) -> bool) {
        for (of, key, awaited) in self.waiting.iter_mut() {
            if of == db && !awaited.is_written && is_written(key, awaited) {
                awaited.is_written = true;
                self.written.push((db, key.into()));
            }
        }
    }
}

impl Awaited {
    fn has(&self, is: impl Fn(WakesOn) -> bool) -> bool {
        self.waiters.iter().any(|(on, _)| is(*on))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Element, Removal};
    use crate::{Encoding, End};

    const DB: DbIndex = DbIndex(0);
    const LISTS: WakesOn = WakesOn::Value(Kind::List);
    const HASHES_OR_NONE: WakesOn = WakesOn::ValueOrLoss(Kind::Hash);

    fn put(kind: Kind) -> Effect<'static> {
        Effect::Put {
            kind,
            encoding: Encoding::ListPack,
            value: b"",
            expires_at: None,
        }
    }

    #[test]
    fn a_key_written_again_and_again_is_told_once_each_time_they_are_taken() {
        let mut awaited = AwaitedKeys::default();
        for key in [b"b", b"a"] {
            awaited.add(DB, key, LISTS);
        }
        for _ in 0..3 {
            for key in [b"a", b"c", b"b", b"a"] {
                let push = Element::Push {
                    end: End::Tail,
                    value: b"x",
                };
                awaited.note(DB, key, &Effect::Elements(&[push]));
            }
            awaited.note_exchange(DB, |_| Some(Kind::List));
            let written = awaited.take_written();
            let names: Vec<&[u8]> = written.iter().map(|(_, key)| &**key).collect();
            assert_eq!(names, [b"a", b"b"]);
            assert!(!awaited.has_written());
        }
        awaited.remove(DB, b"a", LISTS);
        awaited.remove(DB, b"b", LISTS);
        assert!(awaited.is_empty());
    }

    #[test]
    fn a_change_is_told_to_those_who_wait_for_its_type_or_for_a_loss() {
        let fields = [Element::Field {
            field: b"f",
            value: b"v",
            expires_at: None,
        }];
        let changes: [(Effect<'_>, bool, bool); 10] = [
            (put(Kind::String), false, true),
            (put(Kind::List), true, true),
            (put(Kind::Hash), false, true),
            (Effect::Arrive { kind: Kind::List }, true, true),
            (Effect::Arrive { kind: Kind::String }, false, true),
            (Effect::Elements(&fields), false, true),
            (Effect::Elements(&[Element::Pop(End::Head)]), false, false),
            (Effect::Remove(Removal::Expired), false, true),
            (Effect::Remove(Removal::HandedOver), false, false),
            (Effect::FlushDb, false, true),
        ];
        for (effect, tells_lists, tells_loss) in changes {
            let mut awaited = AwaitedKeys::default();
            awaited.add(DB, b"list", LISTS);
            awaited.add(DB, b"loss", HASHES_OR_NONE);
            for key in [b"list", b"loss"] {
                awaited.note(DB, key, &effect);
            }
            let written = awaited.take_written();
            let names: Vec<&[u8]> = written.iter().map(|(_, key)| &**key).collect();
            let is_told = |key: &[u8]| names.contains(&key);
            assert_eq!(is_told(b"list"), tells_lists, "{effect:?}");
            assert_eq!(is_told(b"loss"), tells_loss, "{effect:?}");
        }
    }

    #[test]
    fn an_exchange_is_told_to_those_for_whom_the_other_database_has_something() {
        for (found, tells_lists) in [
            (None, false),
            (Some(Kind::String), false),
            (Some(Kind::List), true),
        ] {
            let mut awaited = AwaitedKeys::default();
            awaited.add(DB, b"list", LISTS);
            awaited.add(DbIndex(1), b"list", LISTS);
            awaited.note_exchange(DB, |_| found);
            assert_eq!(awaited.has_written(), tells_lists, "{found:?}");
            awaited.add(DB, b"list", HASHES_OR_NONE);
            awaited.note_exchange(DB, |_| found);
            assert_eq!(awaited.take_written(), [(DB, b"list"[..].into())]);
            assert!(awaited.wakes_any(DB, b"list", found));
            awaited.remove(DB, b"list", HASHES_OR_NONE);
            assert_eq!(awaited.wakes_any(DB, b"list", found), tells_lists);
        }
    }
}
