//! Sorted sets, to change: each change of a member is told before, takes the memory it needs, is made and makes its record, and
//! [`SortedSetMut::close`] ends the command.

use std::ops::Range;

use super::{Member, SortedSetRef};
use crate::Direction;
use crate::item::Variant;
use crate::journal::{Element, Event};
use crate::limits::{MAX_KEY_BYTES, MAX_VALUE_BYTES};
use crate::memory::{Known, SortedAt};
use crate::raw::Block;
use crate::shard::{Open, Shard};
use crate::sorted::{Bound, SortedSetView};
use crate::{DbIndex, Key, Kind, StoreError, WrongType};

/// What became of a member that was given a score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scored {
    /// It was not there.
    Added,
    /// It had another score.
    Changed,
    /// It had this one.
    Same,
}

/// The sorted set of a key, which may not be there yet, to change. [`Self::close`] ends it.
#[must_use = "what is opened is closed, however it went"]
pub struct SortedSetMut<'a> {
    pub(super) open: Open<'a>,
    /// Where it lies, if it is there.
    pub(super) at: Option<SortedAt>,
    /// Members that are about to be added, if that is still to be thought of.
    expected: u64,
}

impl Shard {
    /// The sorted set at a key, to change, which is a use of it. One that is not there is made by the first member.
    ///
    /// # Errors
    /// What is there is of another type.
    #[inline]
    pub fn sorted_set_mut<'a>(
        &'a mut self,
        db: DbIndex,
        key: Key<'a>,
    ) -> Result<SortedSetMut<'a>, WrongType> {
        let open = self.open(db, key, Kind::SortedSet)?;
        let at = open.item.map(|item| open.shard.memory.sorted_at(item));
        Ok(SortedSetMut {
            open,
            at,
            expected: 0,
        })
    }
}

impl SortedSetMut<'_> {
    /// Whether there is a sorted set.
    pub fn is_there(&self) -> bool {
        self.at.is_some()
    }

    #[inline]
    fn view(&self) -> Option<SortedSetView<'_>> {
        let at = self.at?;
        Some(self.open.shard.memory.sorted_view(at))
    }

    /// What there is, to read; it may have lost its last member.
    #[inline]
    pub fn as_ref(&self) -> Option<SortedSetRef<'_>> {
        let item = self.open.item?;
        Some(SortedSetRef {
            view: self.view()?,
            shard: self.open.shard,
            item,
        })
    }

    /// Number of members.
    #[inline]
    pub fn len(&self) -> u64 {
        self.view().map_or(0, |view| view.len())
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The hash of a name, and the member, if it is there.
    #[inline(always)]
    fn find(&self, name: &[u8]) -> (u64, Option<Known>) {
        let shard = &*self.open.shard;
        let hash = shard.hasher.hash(name);
        let known = self.at.and_then(|at| shard.memory.known(at, hash, name));
        (hash, known)
    }

    /// The score of a member.
    #[inline]
    pub fn score(&self, name: &[u8]) -> Option<f64> {
        self.find(name).1.map(|known| known.score)
    }

    /// Brings members near that a command is about to change: the first [`crate::limits::NEAR_AT_ONCE`] of these. A hint.
    #[inline]
    pub fn prefetch<'n>(&self, names: impl Iterator<Item = &'n [u8]>) {
        if let Some(view) = self.view() {
            view.prefetch_names(&self.open.shard.hasher, names);
        }
    }

    /// So many members are about to be given scores, whether they are there or not: as in Redis, a sorted set answers then what it would
    /// answer with so many.
    #[inline]
    pub fn expect(&mut self, members: u64) {
        self.expected = members;
    }

    /// Gives a member the score that `make` makes of the one it has, none if it is not there; `None` of that leaves all as it is. The
    /// member is looked up once. Answers what became of it, if it was to have a score. As in Redis, a score that equals the one it has
    /// changes nothing, whatever the sign of a zero; and only what is no small sorted set keeps that of −0.
    ///
    /// # Errors
    /// What `make` answers; the name or the key is too large, there are as many members as there may be, or memory is out; then
    /// nothing changed.
    #[inline]
    pub fn update<E: From<StoreError>>(
        &mut self,
        name: &[u8],
        make: impl FnOnce(Option<f64>) -> Result<Option<f64>, E>,
    ) -> Result<Option<Scored>, E> {
        let found = self.find(name);
        let was = found.1.map(|known| known.score);
        let Some(score) = make(was)? else {
            return Ok(None);
        };
        assert!(!score.is_nan(), "commands refuse such scores");
        Ok(Some(self.store(found, name, score)?))
    }

    /// Gives a member a score.
    ///
    /// # Errors
    /// As [`Self::update`].
    #[inline]
    pub fn set(&mut self, name: &[u8], score: f64) -> Result<Scored, StoreError> {
        let scored = self.update::<StoreError>(name, |_| Ok(Some(score)))?;
        Ok(scored.unwrap_or(Scored::Same))
    }

    #[inline(always)]
    fn store(
        &mut self,
        (hash, known): (u64, Option<Known>),
        name: &[u8],
        score: f64,
    ) -> Result<Scored, StoreError> {
        if name.len() > MAX_VALUE_BYTES {
            return Err(StoreError::TooLarge);
        }
        if known.is_some_and(|known| known.score == score) {
            return Ok(Scored::Same);
        }
        let is_outgrown = self.outgrows(known.is_none(), name);
        let score = match is_outgrown || score != 0.0 || self.is_outgrown() {
            true => score,
            false => 0.0,
        };
        let element = Element::Score {
            member: name,
            score,
        };
        match (self.open.item, self.at) {
            (Some(item), Some(at)) => {
                self.open.before(&element);
                let Shard { memory, hasher, .. } = &mut *self.open.shard;
                let hash_of = |name: &[u8]| hasher.hash(name);
                let moved = memory.put_member(item, at, &hash_of, (hash, known), (name, score))?;
                self.moved(moved);
            }
            _ => self.create((name, score))?,
        }
        if is_outgrown {
            self.note_outgrown();
        }
        self.open.record(element);
        Ok(match known {
            None => Scored::Added,
            Some(_) => Scored::Changed,
        })
    }

    /// Makes the sorted set, of one member.
    #[cold]
    #[inline(never)]
    fn create(&mut self, member: (&[u8], f64)) -> Result<(), StoreError> {
        let key = self.open.key.bytes();
        if key.len() > MAX_KEY_BYTES {
            return Err(StoreError::TooLarge);
        }
        self.open.before_new();
        let Shard {
            memory,
            hasher,
            clock,
            ..
        } = &mut *self.open.shard;
        let hash_of = |name: &[u8]| hasher.hash(name);
        let item = memory.create_sorted(key, *clock, &hash_of, member)?;
        self.open.attach(item)?;
        self.at = Some(self.open.shard.memory.sorted_at(item));
        Ok(())
    }

    /// The item is elsewhere now, or written anew.
    #[inline(always)]
    fn moved(&mut self, to: Block) {
        if self.open.item != Some(to) {
            self.open.moved(to);
            self.at = Some(self.open.shard.memory.sorted_at(to));
        }
    }

    /// Whether it is no small one any more when this member has its score.
    #[inline(always)]
    fn outgrows(&mut self, is_new: bool, name: &[u8]) -> bool {
        let expected = std::mem::take(&mut self.expected);
        let (len, longest) = match is_new {
            true => (self.len() + 1, name.len() as u64),
            false => (0, 0),
        };
        let thresholds = &self.open.shard.thresholds;
        thresholds.is_outgrown_sorted_set((len.max(expected), longest))
    }

    /// Whether it has been no small one before.
    fn is_outgrown(&self) -> bool {
        let variant = self
            .open
            .item
            .map(|item| self.open.shard.memory.variant(item));
        variant.is_some_and(Variant::is_outgrown)
    }

    /// Says of the sorted set that it is no small one any more.
    #[inline]
    fn note_outgrown(&mut self) {
        let Some(at) = self.at else { return };
        let memory = &mut self.open.shard.memory;
        match at {
            SortedAt::Packed(at) => {
                let (variant, _) = memory.packed_mut_at(at);
                *variant = Variant(*variant).outgrown().0;
            }
            SortedAt::Large(owner) => {
                let was = memory.variant_of(owner);
                if !was.is_outgrown() {
                    memory.set_variant(owner, was.outgrown());
                }
            }
        }
    }

    /// Removes a member; the score that it had, if it was there.
    #[inline]
    pub fn remove(&mut self, name: &[u8]) -> Option<f64> {
        let (hash, known) = self.find(name);
        let known = known?;
        self.take(name, hash, known);
        Some(known.score)
    }

    /// Removes a member that is there.
    #[inline(always)]
    fn take(&mut self, name: &[u8], hash: u64, known: Known) {
        let gone = Element::Gone(name);
        self.open.before(&gone);
        let (item, at) = self.place();
        let Shard { memory, hasher, .. } = &mut *self.open.shard;
        let hash_of = |name: &[u8]| hasher.hash(name);
        let moved = memory.remove_member(item, at, &hash_of, (hash, known), name);
        self.moved(moved);
        self.open.record(gone);
    }

    fn place(&self) -> (Block, SortedAt) {
        let place = self.open.item.zip(self.at);
        place.expect("a member is of a sorted set that is there")
    }

    /// Takes the member that a walk in this direction shows first out, after showing it; whether there is one.
    ///
    /// # Errors
    /// What `show` answers; then it is in.
    #[inline]
    pub fn pop<E>(
        &mut self,
        direction: Direction,
        show: impl FnOnce(Member<'_>) -> Result<(), E>,
    ) -> Result<bool, E> {
        let Some(view) = self.view().filter(|view| view.len() > 0) else {
            return Ok(false);
        };
        let (name, score) = view.first(direction);
        show(Member { name, score })?;
        self.remove_first(direction);
        Ok(true)
    }

    /// Removes the members of these ranks; how many there were. Each makes a record.
    pub fn remove_range(&mut self, ranks: Range<u64>) -> u64 {
        let len = self.len();
        let end = ranks.end.min(len);
        let all = end.saturating_sub(ranks.start);
        match (all, ranks.start) {
            (1, 0) => return self.remove_first(Direction::Up),
            (1, start) if start + 1 == len => return self.remove_first(Direction::Down),
            _ => {}
        }
        let mut left = all;
        let mut names = Vec::new();
        while left > 0 {
            let (item, at) = self.place();
            let range = ranks.start..ranks.start + left;
            let together = self.open.shard.memory.together(at, range);
            self.names_of(ranks.start, together, &mut names);
            for name in names_in(&names) {
                self.open.before(&Element::Gone(name));
            }
            let Shard { memory, hasher, .. } = &mut *self.open.shard;
            let hash_of = |name: &[u8]| hasher.hash(name);
            let range = ranks.start..ranks.start + together;
            let moved = memory.remove_together(item, at, &hash_of, range);
            self.moved(moved);
            for name in names_in(&names) {
                self.open.record(Element::Gone(name));
            }
            left -= together;
        }
        all
    }

    /// Removes the member that a walk in this direction shows first, of some; how many that is.
    fn remove_first(&mut self, direction: Direction) -> u64 {
        let view = self.view().expect("there are members");
        let copy = NameCopy::of(view.first(direction).0);
        let name = copy.bytes();
        let gone = Element::Gone(name);
        self.open.before(&gone);
        let (item, at) = self.place();
        let Shard { memory, hasher, .. } = &mut *self.open.shard;
        let hash_of = |name: &[u8]| hasher.hash(name);
        let moved = memory.remove_first(item, at, &hash_of, (hash_of(name), direction));
        self.moved(moved);
        self.open.record(gone);
        1
    }

    /// The names of so many members from a rank on, each with its length before it.
    fn names_of(&self, rank: u64, mut count: u64, names: &mut Vec<u8>) {
        names.clear();
        let Some(view) = self.view() else { return };
        view.walk(&Bound::Rank(rank), Direction::Up, &mut |name, _| {
            names.extend_from_slice(&(name.len() as u32).to_le_bytes());
            names.extend_from_slice(name);
            count -= 1;
            match count {
                0 => std::ops::ControlFlow::Break(()),
                _ => std::ops::ControlFlow::Continue(()),
            }
        });
    }

    /// Ends the command: tells that the key came to be, if it did; then these events, in their order; then, if no member is left,
    /// that the key is gone, which it then is. With no events nothing may have changed.
    #[inline]
    pub fn close(self, events: &[Event]) {
        let is_empty = self.is_there() && self.is_empty();
        self.open.close(is_empty, events);
    }
}

/// A name that was a member's, as long as that is removed.
enum NameCopy {
    Short(usize, [u8; Self::SHORT_BYTES]),
    Long(Vec<u8>),
}

impl NameCopy {
    /// Bytes of a name that costs no memory of its own.
    const SHORT_BYTES: usize = 64;

    #[inline]
    fn of(name: &[u8]) -> Self {
        let mut short = [0; Self::SHORT_BYTES];
        match short.get_mut(..name.len()) {
            Some(place) => {
                place.copy_from_slice(name);
                Self::Short(name.len(), short)
            }
            None => Self::Long(name.to_vec()),
        }
    }

    #[inline]
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Short(len, bytes) => &bytes[..*len],
            Self::Long(name) => name,
        }
    }
}

/// Names that each have their length before them.
fn names_in(mut names: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (len, rest) = names.split_first_chunk()?;
        let (name, rest) = rest.split_at(u32::from_le_bytes(*len) as usize);
        names = rest;
        Some(name)
    })
}
