//! Sets, to change: a member that comes or goes is told before, takes the memory it needs, and makes its record.
//!
//! What a set answers as its encoding follows from its members as they come, as in Redis:
//!
//! ```text
//!  integers ──┬─ a text, few members, all short ──▶ listpack ──┬─ too many, or a long one ──▶ hashtable
//!   (intset)  └─ too many, or no listpack ─────────────────────┴──────────────────────────▶
//! ```

use crate::item::Variant;
use crate::journal::{Element, Event};
use crate::limits::MAX_VALUE_BYTES;
use crate::shard::Shard;
use crate::shard::named::NamedMut;
use crate::spiral::ElementRef;
use crate::{DbIndex, Intent, Key, Kind, StoreError, Thresholds, WrongType, parse_canonical_i64};

/// Integers have no more digits than this, a sign among them.
const INTEGER_MAX_BYTES: u64 = 20;

/// The set of a key, which may not be there yet, to change. [`Self::close`] ends it.
#[must_use = "what is opened is closed, however it went"]
pub struct SetMut<'a> {
    named: NamedMut<'a>,
    /// Members that are about to be added, if that is still to be thought of.
    expected: u64,
}

impl Shard {
    /// The set at a key, to change, which is a use of it. One that is not there is made by the first member.
    ///
    /// # Errors
    /// What is there is of another type.
    #[inline]
    pub fn set_mut<'a>(&'a mut self, db: DbIndex, key: Key<'a>) -> Result<SetMut<'a>, WrongType> {
        let named = self.named_mut(db, key, Kind::Set)?;
        Ok(SetMut { named, expected: 0 })
    }
}

impl SetMut<'_> {
    /// Whether there is a set.
    pub fn is_there(&self) -> bool {
        self.named.is_there()
    }

    /// Number of members.
    #[inline]
    pub fn len(&self) -> u64 {
        self.named.len()
    }

    /// Whether there is no member.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there is such a member.
    #[inline]
    pub fn contains(&self, member: &[u8]) -> bool {
        let (found, _) = self.named.find(member);
        found.live.is_some()
    }

    /// A member chosen by `random`, close to uniformly.
    pub fn random(&self, random: u64) -> Option<&[u8]> {
        let element = self.named.named()?.random(random)?;
        Some(element.name)
    }

    /// Shows each member once, as [`crate::SetRef::each`] does.
    pub fn each(&self, show: &mut dyn FnMut(&[u8])) {
        if let (Some(members), Some(item)) = (self.named.named(), self.named.open.item) {
            members.each_member(self.named.open.shard.memory.variant(item), show);
        }
    }

    /// Brings members near that a command is about to change: the first [`crate::limits::NEAR_AT_ONCE`] of these. A hint.
    #[inline]
    pub fn prefetch<'n>(&self, members: impl Iterator<Item = &'n [u8]>, intent: Intent) {
        self.named.prefetch(members, intent);
    }

    /// So many of the records just made count as so many changes.
    pub fn count_as(&mut self, records: u64, changes: u64) {
        self.named.count_as(records, changes);
    }

    /// So many members are about to be added, whether they are there or not: as in Redis, a set answers then what it would answer with
    /// so many.
    #[inline]
    pub fn expect(&mut self, members: u64) {
        self.expected = members;
    }

    /// Adds a member; whether it was not there.
    ///
    /// # Errors
    /// The member or the key is too large, or memory is out; then nothing changed.
    #[inline]
    pub fn add(&mut self, member: &[u8]) -> Result<bool, StoreError> {
        if member.len() > MAX_VALUE_BYTES {
            return Err(StoreError::TooLarge);
        }
        let (found, _) = self.named.find(member);
        if found.live.is_some() {
            return Ok(false);
        }
        let element = ElementRef {
            name: member,
            value: b"",
            deadline: None,
        };
        let told = Element::Member(member);
        let longest_before = self.longest_integer(member);
        self.named.put(&found, &element, &told)?;
        self.note_variant(member, longest_before);
        self.named.open.record(told);
        Ok(true)
    }

    /// Bytes of the longest member of a small set of integers to which another member comes, if that matters: to thresholds that are
    /// lower than integers are long.
    #[inline(always)]
    fn longest_integer(&self, coming: &[u8]) -> u64 {
        let shard = &*self.named.open.shard;
        if shard.thresholds.set_member_bytes >= INTEGER_MAX_BYTES {
            return 0;
        }
        let variant = self.named.open.item.map(|item| shard.memory.variant(item));
        let is_small = variant.is_some_and(|is| is.has_integers() && !is.is_outgrown());
        match is_small && parse_canonical_i64(coming).is_none() {
            true => self.longest(),
            false => 0,
        }
    }

    #[cold]
    fn longest(&self) -> u64 {
        let mut longest = 0;
        if let Some(members) = self.named.named() {
            members.for_each(|member| longest = longest.max(member.name.len() as u64));
        }
        longest
    }

    /// Says of the set what this member, which has come, makes it.
    #[inline(always)]
    fn note_variant(&mut self, member: &[u8], longest_before: u64) {
        let expected = std::mem::take(&mut self.expected);
        let thresholds = &self.named.open.shard.thresholds;
        let Thresholds {
            set_integers,
            set_members,
            set_member_bytes,
            ..
        } = *thresholds;
        self.named.note_variant(|was, len| {
            if was.is_outgrown() {
                return was;
            }
            let is_integer = parse_canonical_i64(member).is_some();
            let fits = |has_integers: bool| match has_integers {
                true => set_integers,
                false => set_members,
            };
            // What it was made as, or has been.
            let was = match len {
                1 if is_integer && expected.max(1) <= set_integers => Variant::of_empty(Kind::Set),
                1 => Variant::default(),
                _ => was,
            };
            let expected_most = fits(was.has_integers());
            let is = match is_integer {
                true => was,
                false => was.with_texts(),
            };
            let most = fits(is.has_integers());
            let longest = match is.has_integers() {
                true => 0,
                false if was.has_integers() => longest_before.max(member.len() as u64),
                false => member.len() as u64,
            };
            let is_outgrown = len > most || expected > expected_most || longest > set_member_bytes;
            if is_outgrown { is.outgrown() } else { is }
        });
    }

    /// Removes a member; whether it was there.
    #[inline]
    pub fn remove(&mut self, member: &[u8]) -> bool {
        let (found, _) = self.named.find(member);
        let is_there = found.live.is_some();
        if is_there {
            self.named.take(&found, member);
        }
        is_there
    }

    /// Bytes that all members have at most.
    pub fn payload_bytes(&self) -> u64 {
        self.named.payload_bytes()
    }

    /// Ends the command: tells that the key came to be, if it did; then these events, in their order; then, if no member is left,
    /// that the key is gone, which it then is. With no events nothing may have changed.
    #[inline]
    pub fn close(self, events: &[Event]) {
        self.named.close(events);
    }
}
