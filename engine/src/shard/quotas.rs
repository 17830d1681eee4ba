//! Quotas on a shard: what the entries of each prefix take, exactly, and eviction of one for others of its prefix.
//!
//! ```text
//!  an entry is about to change ─▶ note: it counts as so many bytes  ┐
//!  it changes, perhaps several times, grows, goes, comes back       ├─ settle: it counts as what it is by now
//!  somebody asks what a quota has ──────────────────────────────────┘
//! ```
//! Every change is announced ([`super::before`]), so that is where an entry is noted; the undo log, which announces nothing, notes what it
//! takes back. Behind the change nothing is done: what is noted is settled when somebody asks, or notes are many. Those of the last few
//! changes then stay, since one of them may be under way. So do those of collections of which something cut off has yet to be freed.
//!
//! What was there before the quotas is counted by a walk, in slices. An entry ahead of the walk is not noted: it is counted when the
//! walk comes to it. Sums are kept by the contents of a database, which they follow when databases are exchanged, flushed, or put back.
//!
//! Without quotas all this is one test where a change is announced, and nothing is.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Evicted, Shard};
use crate::entry::EntryRef;
use crate::evict::{Identity, Rng, Scope, below};
use crate::keyspace::Keyspace;
use crate::limits::{ENTRIES_SHOWN_AT_ONCE, GUARDED_SHARE, QUOTA_DRAWN, QUOTA_NOTES_MAX};
use crate::memory::Memory;
use crate::quota::{Counted, Shares};
use crate::spiral::entries::Entry;
use crate::{ContentsId, DbIndex, Key, KeyHasher, PrefixSet, QuotaId};

/// Notes of the last changes that stay when others are settled: a command changes two keys at once, at most.
const NOTES_KEPT: usize = 4;

/// Entries of quotas that do not go for others' sake.
pub(super) struct Guard {
    prefixes: Arc<PrefixSet>,
    /// Of each quota, whether its entries stay.
    guarded: Box<[bool]>,
}

impl Guard {
    /// Whether the entry of a key stays.
    pub(super) fn has(&self, key: &[u8]) -> bool {
        let quota = QuotaId::of(&self.prefixes, key);
        quota.is_some_and(|quota| self.guarded[quota.index()])
    }
}

/// An entry that has changed since it was counted, or is about to.
struct Note {
    quota: QuotaId,
    contents: ContentsId,
    hash: u64,
    key: Box<[u8]>,
    counted: Counted,
}

/// What a quota has of a shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    bytes: u64,
    /// Entries that may go.
    may_go: u64,
}

/// Whether it is known if an identity is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listing {
    /// As the entry was counted.
    Follows,
    /// While changes are taken back, entries with the same identity may count or not.
    IsUnknown,
}

/// A database, and what its entries are told by.
type Within<'a> = (&'a Keyspace, &'a Memory, &'a KeyHasher);

/// What the quotas have of a shard.
pub(super) struct Quotas {
    guard: Guard,
    /// Of which entries some may go.
    scope: Option<Scope>,
    shares: Vec<Shares>,
    /// What each quota has, in all databases.
    sums: Box<[Sum]>,
    /// What guarded quotas have.
    guarded: Sum,
    /// Those whose bytes have changed since somebody asked.
    changed: Vec<QuotaId>,
    is_changed: Box<[bool]>,
    notes: Vec<Note>,
    /// Bytes of the rosters of all shares.
    roster_bytes: u64,
    rng: Rng,
}

impl Quotas {
    fn new(
        prefixes: Arc<PrefixSet>,
        guarded: Box<[bool]>,
        scope: Option<Scope>,
        seed: u64,
    ) -> Self {
        let len = prefixes.len();
        assert_eq!(guarded.len(), len, "a word for each quota");
        Self {
            guard: Guard { prefixes, guarded },
            scope,
            shares: Vec::new(),
            sums: vec![Sum::default(); len].into(),
            guarded: Sum::default(),
            // Whoever was told of others before is told that these have nothing yet.
            changed: (0..len).map(|at| QuotaId(at as u16)).collect(),
            is_changed: vec![true; len].into(),
            notes: Vec::new(),
            roster_bytes: 0,
            rng: Rng::new(seed),
        }
    }

    /// Whose entries stay while so many of all may go: nobody's, if those of others are so few that they could not make room.
    pub(super) fn guard(&self, may_go: u64) -> Option<&Guard> {
        let others = may_go.saturating_sub(self.guarded.may_go);
        let guards = self.guarded.may_go > 0 && others > may_go / GUARDED_SHARE;
        guards.then_some(&self.guard)
    }

    fn set_guarded(&mut self, guarded: &[bool]) {
        self.guard.guarded = guarded.into();
        self.guarded = sum_of_guarded(&self.sums, guarded);
    }

    fn quota_of(&self, key: &[u8]) -> Option<QuotaId> {
        QuotaId::of(&self.guard.prefixes, key)
    }

    /// What an entry counts as.
    fn count(&self, entry: &EntryRef<'_>) -> Counted {
        let may_go = match self.scope {
            None => false,
            Some(Scope::AllKeys) => true,
            Some(Scope::Volatile) => entry.expires_at().is_some(),
        };
        Counted {
            bytes: entry.own_bytes(),
            is_there: true,
            may_go,
        }
    }

    /// What quotas have of the contents of a keyspace.
    fn shares_of(&mut self, keyspace: &Keyspace) -> &mut Shares {
        let at = self.place_of(keyspace);
        &mut self.shares[at]
    }

    fn place_of(&mut self, keyspace: &Keyspace) -> usize {
        let id = keyspace.id();
        let known = self
            .shares
            .iter()
            .position(|shares| shares.contents() == id);
        known.unwrap_or_else(|| {
            let (quotas, is_empty) = (self.sums.len(), keyspace.len() == 0);
            self.shares.push(Shares::new(id, quotas, is_empty));
            self.shares.len() - 1
        })
    }

    /// A quota has something else than before.
    fn set_sum(&mut self, quota: QuotaId, sum: Sum) {
        let was = std::mem::replace(&mut self.sums[quota.index()], sum);
        if self.guard.guarded[quota.index()] {
            let guarded = self.guarded;
            self.guarded = Sum {
                bytes: guarded.bytes - was.bytes + sum.bytes,
                may_go: guarded.may_go - was.may_go + sum.may_go,
            };
        }
        if !std::mem::replace(&mut self.is_changed[quota.index()], true) {
            self.changed.push(quota);
        }
    }

    /// An entry of a key is about to change, or to be made.
    fn note(&mut self, keyspace: &Keyspace, (key, hash): (&[u8], u64), counted: Counted) {
        let contents = keyspace.id();
        let is_same =
            |note: &Note| note.hash == hash && note.contents == contents && *note.key == *key;
        let Some(quota) = self.quota_of(key) else {
            return;
        };
        if !self.shares_of(keyspace).counts(hash) {
            return;
        }
        // A change that is under way is among the last.
        if let Some(at) = self.notes.iter().position(is_same) {
            let note = self.notes.remove(at);
            return self.notes.push(note);
        }
        self.notes.push(Note {
            quota,
            contents,
            hash,
            key: key.into(),
            counted,
        });
    }

    /// Counts what has changed as what it is by now. Of the last `kept` the notes stay.
    fn settle(&mut self, databases: &[Keyspace], within: (&Memory, &KeyHasher), kept: usize) {
        let mut notes = std::mem::take(&mut self.notes);
        let last = notes.len().saturating_sub(kept);
        let mut at = 0;
        notes.retain_mut(|note| {
            at += 1;
            let has_more = self.settle_note(note, databases, within);
            has_more || at > last
        });
        self.notes = notes;
    }

    /// Counts an entry anew; whether it changes by itself.
    fn settle_note(
        &mut self,
        note: &mut Note,
        databases: &[Keyspace],
        (memory, hasher): (&Memory, &KeyHasher),
    ) -> bool {
        let found = databases
            .iter()
            .find(|keyspace| keyspace.id() == note.contents);
        let keyspace = found.expect("notes are settled before contents go");
        let entry = keyspace.find(Key::new(&note.key, note.hash), memory);
        let counted = match entry {
            Some(entry) => self.count(&memory.view(entry)),
            None => Counted::default(),
        };
        if counted != note.counted {
            let was = std::mem::replace(&mut note.counted, counted);
            let who = (note.quota, Key::new(&note.key, note.hash));
            self.recount(
                (keyspace, memory, hasher),
                who,
                (&was, &counted),
                Listing::Follows,
            );
        }
        entry.is_some_and(|entry| memory.has_some_to_reclaim(entry))
    }

    /// The entry of a key, of a quota, counts as `is`, no more as `was`.
    fn recount(
        &mut self,
        within: Within<'_>,
        (quota, key): (QuotaId, Key<'_>),
        (was, is): (&Counted, &Counted),
        listing: Listing,
    ) {
        let identity = Identity::of(key.hash());
        let is_to_be_listed = match (was.may_go, is.may_go, listing) {
            (_, true, _) => Some(true),
            (true, false, _) | (_, _, Listing::IsUnknown) => {
                Some(self.may_go_like(within, (quota, identity)))
            }
            (false, false, Listing::Follows) => None,
        };
        let place = self.place_of(within.0);
        let share = self.shares[place].of_mut(quota);
        share.recount(was, is);
        let held = share.roster.held_bytes();
        match is_to_be_listed {
            Some(true) => share.roster.insert(identity),
            Some(false) => share.roster.remove(identity),
            None => {}
        }
        self.roster_bytes = self.roster_bytes - held + share.roster.held_bytes();
        let sum = self.sums[quota.index()];
        let sum = Sum {
            bytes: sum.bytes - was.bytes + is.bytes,
            may_go: sum.may_go - u64::from(was.may_go) + u64::from(is.may_go),
        };
        self.set_sum(quota, sum);
    }

    /// Whether an entry of a quota may go that has this identity.
    fn may_go_like(
        &self,
        (keyspace, memory, hasher): Within<'_>,
        (quota, identity): (QuotaId, Identity),
    ) -> bool {
        let mut may_go = false;
        keyspace.entries_like(memory, identity, |entry| {
            let view = memory.view(entry);
            let is_like = Identity::of(hasher.hash(view.key())) == identity;
            may_go |=
                is_like && self.quota_of(view.key()) == Some(quota) && self.count(&view).may_go;
        });
        may_go
    }

    fn held_bytes(&self) -> u64 {
        let shares: u64 = self.shares.iter().map(Shares::held_bytes).sum();
        let notes = self.notes.capacity() * size_of::<Note>()
            + self.notes.iter().map(|note| note.key.len()).sum::<usize>();
        let each = size_of::<Sum>() + size_of::<QuotaId>() + 2;
        shares + self.roster_bytes + (size_of::<Self>() + notes + self.sums.len() * each) as u64
    }
}

/// What those of some quotas have together that are guarded.
fn sum_of_guarded(sums: &[Sum], guarded: &[bool]) -> Sum {
    let sums = sums.iter().zip(guarded);
    let guarded = sums.filter_map(|(sum, is_guarded)| is_guarded.then_some(sum));
    guarded.fold(Sum::default(), |all, sum| Sum {
        bytes: all.bytes + sum.bytes,
        may_go: all.may_go + sum.may_go,
    })
}

impl Shard {
    /// Keeps account of what the keys of these prefixes take, or of none any more. The entries of those that are `guarded` do not go for
    /// others' sake. What is there already is counted in slices by [`Self::tend`].
    pub fn set_quotas(&mut self, prefixes: &Arc<PrefixSet>, guarded: &[bool]) {
        let scope = self.eviction_scope();
        if let Some(quotas) = &mut self.quotas
            && quotas.guard.prefixes == *prefixes
            && quotas.scope == scope
        {
            return quotas.set_guarded(guarded);
        }
        if let Some(old) = self.quotas.take() {
            let rosters = old.shares.into_iter().flat_map(Shares::into_rosters);
            self.dying_rosters.add(rosters);
        }
        if !prefixes.is_empty() {
            let (prefixes, guarded) = (Arc::clone(prefixes), guarded.into());
            let seed = self.hasher.hash(b"quotas");
            let mut quotas = Quotas::new(prefixes, guarded, scope, seed);
            for keyspace in &self.databases {
                quotas.shares_of(keyspace);
            }
            self.quotas = Some(Box::new(quotas));
        }
        self.see_who_is_told();
    }

    /// The quotas whose bytes have changed since this was asked, and what they have now.
    pub fn changed_quotas(&mut self, mut show: impl FnMut(QuotaId, u64)) {
        self.settle_quotas();
        let Some(quotas) = &mut self.quotas else {
            return;
        };
        for quota in quotas.changed.drain(..) {
            quotas.is_changed[quota.index()] = false;
            show(quota, quotas.sums[quota.index()].bytes);
        }
    }

    /// Bytes of the entries of a quota, and how many there are.
    ///
    /// # Panics
    /// There is no such quota.
    pub fn quota_usage(&mut self, quota: QuotaId) -> (u64, u64) {
        self.settle_quotas();
        let quotas = self.quotas.as_ref().expect("a quota is one of some");
        let ids = self.databases.iter().map(Keyspace::id);
        let shares = ids.filter_map(|id| {
            let mut shares = quotas.shares.iter();
            shares.find(|shares| shares.contents() == id)
        });
        let entries = shares.map(|shares| shares.of(quota).entries).sum();
        (quotas.sums[quota.index()].bytes, entries)
    }

    /// Whether entries of a quota may go.
    ///
    /// # Panics
    /// There is no such quota.
    pub fn has_evictable_of(&self, quota: QuotaId) -> bool {
        let quotas = self.quotas.as_ref().expect("a quota is one of some");
        self.databases.iter().any(|keyspace| {
            let mut shares = quotas.shares.iter();
            let shares = shares.find(|shares| shares.contents() == keyspace.id());
            shares.is_some_and(|shares| shares.of(quota).roster.len() > 0)
        })
    }

    /// One step of eviction within a quota: of some of its entries that are drawn the one of least worth goes, by the policy in force,
    /// but none whose key's hash is of those that `stays` says stay.
    pub fn evict_of_quota(&mut self, quota: QuotaId, stays: impl Fn(u64) -> bool) -> Evicted {
        self.settle_quotas();
        let Some((database, drawn)) = self.draw_of_quota(quota) else {
            return Evicted::Nothing;
        };
        let keyspace = &self.databases[database];
        let (memory, hasher) = (&self.memory, &self.hasher);
        let prefixes = self.quotas.as_ref().map(|quotas| &quotas.guard.prefixes);
        let mut candidates = Vec::new();
        for identity in drawn {
            keyspace.entries_like(memory, identity, |entry| {
                let key = memory.key_of(entry);
                let hash = hasher.hash(key);
                let is_of_quota =
                    prefixes.is_some_and(|prefixes| QuotaId::of(&prefixes, key) == Some(quota));
                if is_of_quota && Identity::of(hash) == identity && !stays(hash) {
                    candidates.push((hash, entry));
                }
            });
        }
        let is_volatile = self.eviction_scope() == Some(Scope::Volatile);
        candidates.retain(|&(_, entry)| !is_volatile || self.memory.deadline_of(entry).is_some());
        let rank = |&(hash, entry): &(u64, Entry)| self.rank_of(hash, entry);
        let Some(&(hash, entry)) = candidates.iter().min_by_key(|candidate| rank(candidate)) else {
            return Evicted::Later;
        };
        // As often as one goes, one is spared: so each is looked at as often as by a hand that goes round.
        let spared = candidates.iter().find(|(other, _)| *other != hash);
        if let Some(&(hash, entry)) = spared {
            self.spare(hash, entry);
        }
        self.evict_entry(DbIndex(database as u16), hash, entry);
        Evicted::Entry
    }

    /// Some entries of a quota that may go, of one database: the more it has, the sooner it is drawn.
    fn draw_of_quota(&mut self, quota: QuotaId) -> Option<(usize, Vec<Identity>)> {
        let quotas = self.quotas.as_deref_mut()?;
        let mut rosters = Vec::new();
        for (database, keyspace) in self.databases.iter().enumerate() {
            let place = quotas.place_of(keyspace);
            let len = quotas.shares[place].of(quota).roster.len();
            if len > 0 {
                rosters.push((database, place, len));
            }
        }
        let all: u64 = rosters.iter().map(|(.., len)| len).sum();
        let mut number = below(quotas.rng.next(), all);
        for (database, place, len) in rosters {
            if number < len {
                let mut drawn = Vec::with_capacity(QUOTA_DRAWN);
                let roster = &quotas.shares[place].of(quota).roster;
                roster.draw(&mut quotas.rng, QUOTA_DRAWN, |identity| {
                    drawn.push(identity)
                });
                return Some((database, drawn));
            }
            number -= len;
        }
        None
    }

    /// Bytes of entries that do not go for others' sake.
    pub fn guarded_bytes(&self) -> u64 {
        let quotas = self.quotas.as_ref();
        quotas.map_or(0, |quotas| quotas.guarded.bytes)
    }

    /// An entry is about to change, or to go.
    pub(super) fn note_for_quota(&mut self, db: DbIndex, entry: Entry) {
        let Some(quotas) = &mut self.quotas else {
            return;
        };
        let view = self.memory.view(entry);
        if quotas.quota_of(view.key()).is_none() {
            return;
        }
        let hash = self.hasher.hash(view.key());
        let counted = quotas.count(&view);
        let keyspace = &self.databases[usize::from(db.0)];
        quotas.note(keyspace, (view.key(), hash), counted);
        self.bound_notes();
    }

    /// An entry is about to be made.
    pub(super) fn note_new_for_quota(&mut self, db: DbIndex, key: &[u8]) {
        let Some(quotas) = &mut self.quotas else {
            return;
        };
        if quotas.quota_of(key).is_none() {
            return;
        }
        let hash = self.hasher.hash(key);
        let keyspace = &self.databases[usize::from(db.0)];
        quotas.note(keyspace, (key, hash), Counted::default());
        self.bound_notes();
    }

    /// The undo log is about to take back what was done to a key, or has done so: until then its entry does not count.
    pub(super) fn count_undone(&mut self, db: DbIndex, key: Key<'_>, is_done: bool) {
        let Some(quotas) = &mut self.quotas else {
            return;
        };
        let keyspace = &self.databases[usize::from(db.0)];
        let id = keyspace.id();
        let Some(quota) = quotas.quota_of(key.bytes()) else {
            return;
        };
        if !quotas.shares_of(keyspace).counts(key.hash()) {
            return;
        }
        let entry = keyspace.find(key, &self.memory);
        let counted = entry.map(|entry| quotas.count(&self.memory.view(entry)));
        let (counted, nothing) = (counted.unwrap_or_default(), Counted::default());
        let change = match is_done {
            true => (&nothing, &counted),
            false => (&counted, &nothing),
        };
        let within = (keyspace, &self.memory, &self.hasher);
        quotas.recount(within, (quota, key), change, Listing::IsUnknown);
        if !is_done {
            let is_same = |note: &Note| note.contents == id && *note.key == *key.bytes();
            quotas.notes.retain(|note| !is_same(note));
        } else if entry.is_some_and(|entry| self.memory.has_some_to_reclaim(entry)) {
            quotas.notes.push(Note {
                quota,
                contents: id,
                hash: key.hash(),
                key: key.bytes().into(),
                counted,
            });
        }
    }

    fn bound_notes(&mut self) {
        if let Some(quotas) = &mut self.quotas
            && quotas.notes.len() >= QUOTA_NOTES_MAX
        {
            quotas.settle(&self.databases, (&self.memory, &self.hasher), NOTES_KEPT);
        }
    }

    /// Counts what has changed.
    #[inline]
    pub(super) fn settle_quotas(&mut self) {
        if let Some(quotas) = &mut self.quotas
            && !quotas.notes.is_empty()
        {
            quotas.settle(&self.databases, (&self.memory, &self.hasher), 0);
        }
    }

    /// The contents of a database are about to go.
    pub(super) fn forget_quotas_of(&mut self, db: DbIndex) {
        self.settle_quotas();
        let Some(quotas) = &mut self.quotas else {
            return;
        };
        let id = self.databases[usize::from(db.0)].id();
        quotas.notes.retain(|note| note.contents != id);
        let shares = quotas
            .shares
            .iter()
            .position(|shares| shares.contents() == id);
        let Some(shares) = shares else {
            return;
        };
        for quota in (0..quotas.sums.len()).map(|at| QuotaId(at as u16)) {
            let (share, sum) = (quotas.shares[shares].of(quota), quotas.sums[quota.index()]);
            let left = Sum {
                bytes: sum.bytes - share.bytes,
                may_go: sum.may_go - share.may_go,
            };
            if left != sum {
                quotas.set_sum(quota, left);
            }
        }
    }

    /// New contents have come to be those of a database, of which all is counted.
    pub(super) fn begin_shares_of(&mut self, db: DbIndex) {
        if let Some(quotas) = &mut self.quotas {
            quotas.shares_of(&self.databases[usize::from(db.0)]);
        }
    }

    /// Other contents have come to be those of the databases.
    pub(super) fn add_up_quotas(&mut self) {
        let Some(quotas) = &mut self.quotas else {
            return;
        };
        for quota in (0..quotas.sums.len()).map(|at| QuotaId(at as u16)) {
            let mut sum = Sum::default();
            for keyspace in &self.databases {
                let share = quotas.shares_of(keyspace).of(quota);
                sum.bytes += share.bytes;
                sum.may_go += share.may_go;
            }
            quotas.set_sum(quota, sum);
        }
        let ids: Vec<ContentsId> = self.databases.iter().map(Keyspace::id).collect();
        quotas.notes.retain(|note| ids.contains(&note.contents));
    }

    /// Contents are no more.
    pub(super) fn bury_shares(&mut self, contents: ContentsId) {
        let Some(quotas) = &mut self.quotas else {
            return;
        };
        let at = quotas
            .shares
            .iter()
            .position(|shares| shares.contents() == contents);
        if let Some(at) = at {
            let rosters = quotas.shares.swap_remove(at).into_rosters();
            let rosters = rosters.inspect(|roster| quotas.roster_bytes -= roster.held_bytes());
            self.dying_rosters.add(rosters);
        }
    }

    /// Other entries may go than before, or none: the lists of those that may are made anew.
    pub(super) fn follow_scope(&mut self) {
        let scope = self.eviction_scope();
        if let Some(quotas) = &self.quotas
            && quotas.scope != scope
        {
            let (prefixes, guarded) = (
                Arc::clone(&quotas.guard.prefixes),
                quotas.guard.guarded.clone(),
            );
            self.set_quotas(&prefixes, &guarded);
        }
    }

    /// Whether there are entries to count, or lists to free.
    #[inline(always)]
    pub(super) fn has_to_tend_quotas(&self) -> bool {
        let is_counting = |quotas: &Quotas| self.uncounted_database(quotas).is_some();
        !self.dying_rosters.is_empty() || self.quotas.as_deref().is_some_and(is_counting)
    }

    /// A database of which not all is counted.
    fn uncounted_database(&self, quotas: &Quotas) -> Option<usize> {
        self.databases.iter().position(|keyspace| {
            let mut shares = quotas.shares.iter();
            let shares = shares.find(|shares| shares.contents() == keyspace.id());
            shares.map_or(keyspace.len() > 0, |shares| shares.cursor().is_some())
        })
    }

    /// Counts some of what was there before the quotas, or frees some lists; whether there was something to do.
    pub(super) fn tend_quotas(&mut self) -> bool {
        if self.dying_rosters.drop_some() {
            return true;
        }
        let Some(mut quotas) = self.quotas.take() else {
            return false;
        };
        let has_worked = self.count_some(&mut quotas);
        self.quotas = Some(quotas);
        has_worked
    }

    fn count_some(&mut self, quotas: &mut Quotas) -> bool {
        let Some(database) = self.uncounted_database(quotas) else {
            return false;
        };
        let keyspace = &self.databases[database];
        let place = quotas.place_of(keyspace);
        let Some(cursor) = quotas.shares[place].cursor() else {
            return true;
        };
        let mut entries = Vec::new();
        let within = (&self.memory, &self.hasher);
        let next = keyspace.scan(within, cursor, ENTRIES_SHOWN_AT_ONCE, &mut |entry| {
            entries.push(entry);
        });
        for entry in entries {
            let view = self.memory.view(entry);
            let Some(quota) = quotas.quota_of(view.key()) else {
                continue;
            };
            let key = self.hasher.key(view.key());
            let is = quotas.count(&view);
            let counted = (&Counted::default(), &is);
            let within = (keyspace, &self.memory, &self.hasher);
            quotas.recount(within, (quota, key), counted, Listing::Follows);
        }
        quotas.shares[place].set_cursor(next);
        true
    }

    /// Bytes of what is known of quotas.
    #[inline(always)]
    pub(super) fn quota_bytes(&self) -> u64 {
        let held = self.quotas.as_ref().map_or(0, |quotas| quotas.held_bytes());
        held + self.dying_rosters.held_bytes()
    }

    /// Verifies the sums of quotas, and who is listed. Takes as long as there are entries: for tests.
    pub(super) fn check_quotas(&self) {
        let Some(quotas) = &self.quotas else {
            return;
        };
        let mut sums = vec![Sum::default(); quotas.sums.len()];
        for keyspace in &self.databases {
            let mut shares = quotas.shares.iter();
            let shares = shares.find(|shares| shares.contents() == keyspace.id());
            let Some(shares) = shares else {
                continue;
            };
            let mut counted = vec![(0, 0, 0); sums.len()];
            let mut listed: Vec<HashSet<Identity>> = vec![HashSet::new(); sums.len()];
            let mut add = |quota: QuotaId, hash: u64, is: &Counted| {
                let (bytes, entries, may_go) = &mut counted[quota.index()];
                *bytes += is.bytes;
                *entries += u64::from(is.is_there);
                if is.may_go {
                    *may_go += 1;
                    listed[quota.index()].insert(Identity::of(hash));
                }
            };
            let of_these = |note: &&Note| note.contents == keyspace.id();
            keyspace.for_each(&self.memory, |entry| {
                let view = self.memory.view(entry);
                let hash = self.hasher.hash(view.key());
                let mut notes = quotas.notes.iter().filter(of_these);
                let is_noted = notes.any(|note| *note.key == *view.key());
                let quota = quotas.quota_of(view.key()).filter(|_| shares.counts(hash));
                if let Some(quota) = quota.filter(|_| !is_noted) {
                    add(quota, hash, &quotas.count(&view));
                }
            });
            for note in quotas.notes.iter().filter(of_these) {
                add(note.quota, note.hash, &note.counted);
            }
            for (at, (bytes, entries, may_go)) in counted.into_iter().enumerate() {
                let share = shares.of(QuotaId(at as u16));
                let sum = &mut sums[at];
                assert_eq!((share.bytes, share.entries), (bytes, entries));
                assert_eq!(share.may_go, may_go);
                share.roster.check();
                assert_eq!(share.roster.len(), listed[at].len() as u64);
                let is_listed = |identity: &Identity| share.roster.contains(*identity);
                assert!(listed[at].iter().all(is_listed));
                (sum.bytes, sum.may_go) = (sum.bytes + bytes, sum.may_go + may_go);
            }
        }
        let all = quotas.shares.iter().map(Shares::roster_bytes);
        assert_eq!(all.sum::<u64>(), quotas.roster_bytes);
        assert_eq!(sums, *quotas.sums);
        assert_eq!(sum_of_guarded(&sums, &quotas.guard.guarded), quotas.guarded);
    }
}
