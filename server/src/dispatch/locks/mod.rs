//! Locks of a shard's keys, first come, first served. They keep others from keys while data flows between cores.
//!
//! ```text
//!  "a":  #1 exclusive, holds      #2 shared, waits for #1      #3 exclusive, waits for #1 and #2
//!  "b":  #3 exclusive, waits too, for it gets all its keys of the shard or none
//!  now comes #4 for "a", exclusive: it waits for all of them
//! ```
//! **No deadlock.** A transaction asks for its locks at its place in the order of all transactions ([`crate::order`]), which
//! is the same on every core. So a transaction waits only for transactions of earlier places, and for work of this core
//! alone, which waits for nobody on another core.
//!
//! Two kinds of entries are not first come, first served:
//!
//! - A *reservation* keeps back work of this core alone from keys that were written while a client waited for them, until that
//!   client has been served. Transactions pass it: their places are fixed, and the client's is yet to come. When a transaction asks for
//!   locks, all that reservations keep back goes on before it, so that the transaction does not wait for what waits for them.
//! - A *bar* keeps everybody out of the core, until the script is over that waits there. It comes before all who wait, and
//!   waits for nobody: the script has not touched what holders have, nor what was asked for before it began.
//!
//! A key is known by its hash, whatever its database: two keys of one hash are locked together, which is slower and right.
//! Cost: a look-up and a push a key, and a glance at each who shares it; nothing while nothing is locked.

use std::collections::HashMap;
use std::collections::hash_map::Entry as MapEntry;

use larder_engine::{Moment, UnixMillis};
use slab::Slab;

use crate::session::LockId;

/// What others may do meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mode {
    /// Read too.
    Shared,
    /// Nothing.
    Exclusive,
}

impl Mode {
    fn conflicts(self, other: Self) -> bool {
        self == Self::Exclusive || other == Self::Exclusive
    }
}

/// A key to be locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Claim {
    /// The key's hash.
    pub(super) hash: u64,
    pub(super) mode: Mode,
}

/// What is to be locked of a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// These keys.
    Keys(Vec<Claim>),
    /// Every key there is or could be.
    Whole(Mode),
}

impl Scope {
    /// Nothing yet.
    pub(super) const NOTHING: Self = Self::Keys(Vec::new());

    /// Whether there is nothing to lock.
    pub(super) fn is_nothing(&self) -> bool {
        matches!(self, Self::Keys(claims) if claims.is_empty())
    }

    /// Adds a key.
    pub(super) fn add(&mut self, claim: Claim) {
        match self {
            Self::Keys(claims) => claims.push(claim),
            Self::Whole(mode) => *mode = (*mode).max(claim.mode),
        }
    }

    /// Widens it to the whole shard.
    pub(super) fn add_whole(&mut self, mode: Mode) {
        *self = Self::Whole(match self {
            Self::Keys(claims) => claims.iter().map(|claim| claim.mode).fold(mode, Mode::max),
            Self::Whole(before) => (*before).max(mode),
        });
    }

    /// Whether it conflicts with a lock of the whole shard.
    fn conflicts_whole(&self, mode: Mode) -> bool {
        match self {
            Self::Keys(claims) => claims.iter().any(|claim| claim.mode.conflicts(mode)),
            Self::Whole(own) => own.conflicts(mode),
        }
    }

    /// Each key once, with the stronger of its modes.
    fn normalize(&mut self) {
        if let Self::Keys(claims) = self {
            // The stronger mode of a key comes first, and stays.
            claims.sort_unstable_by_key(|claim| (claim.hash, std::cmp::Reverse(claim.mode)));
            claims.dedup_by_key(|claim| claim.hash);
        }
    }
}

/// Who asks for locks. Decision 0017 has a table of who waits for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A transaction at its place in the order.
    InOrder,
    /// Work of this core alone.
    Alone,
    /// A transaction at its place that serves a client who has waited: what a reservation keeps back stays behind it.
    Served,
    /// A client that waits for the keys, and is to be served next.
    Reservation,
    /// A script of this core alone that has begun, and waits.
    Bar,
}

impl Kind {
    /// Whether it has a place in the order.
    fn has_place(self) -> bool {
        matches!(self, Self::InOrder | Self::Served)
    }
}

/// The answer to a request for locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// It holds them.
    Granted(LockId),
    /// They are pending: others hold them.
    Pending(LockId),
}

/// The locks of one shard. `W` is what is handed back when a wait is over.
#[derive(Debug)]
pub(super) struct Locks<W> {
    entries: Slab<Entry<W>>,
    keys: HashMap<u64, Vec<(LockId, Mode)>>,
    /// Claims to the whole shard, held and pending.
    whole: Vec<LockId>,
    reservations: usize,
    /// Requests so far: an entry's place in time.
    arrivals: u64,
    /// Those who waited, hold their locks now, and have yet to go on; in the order in which these were granted.
    granted: Vec<(LockId, W)>,
}

#[derive(Debug)]
struct Entry<W> {
    arrival: u64,
    kind: Kind,
    scope: Scope,
    /// How many conflicts it has with entries before it, reservations apart, one for each key; a holder has none.
    conflicts: usize,
    /// How many it has with reservations before it.
    kept_back: usize,
    /// It waits for reservations no longer, since a transaction has asked for locks.
    passes_reservations: bool,
    /// Entries before this one that reservations keep back. One who is served does not wait for them, but they for him; a
    /// reservation keeps them back, too.
    passed: Vec<LockId>,
    claimant: Option<W>,
    /// The moment at which what is done under it takes effect.
    moment: Moment,
    /// The time then.
    time: UnixMillis,
}

impl<W> Entry<W> {
    fn holds(&self) -> bool {
        self.conflicts == 0 && self.kept_back == 0
    }

    /// Whether `other`, with which it conflicts, waits for it.
    fn is_before(&self, other: &Self) -> bool {
        self.arrival < other.arrival || self.kind == Kind::Bar && !other.holds()
    }
}

#[cfg(any(test, debug_assertions))]
thread_local! {
    /// A planted bug: nobody is in anybody's way. Tests that look for broken promises must find some. A release build
    /// does not have it.
    pub(super) static LOCKS_ARE_OFF: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

impl<W> Default for Locks<W> {
    fn default() -> Self {
        Self {
            entries: Slab::new(),
            keys: HashMap::new(),
            whole: Vec::new(),
            reservations: 0,
            arrivals: 0,
            granted: Vec::new(),
        }
    }
}

impl<W> Locks<W> {
    /// Whether no lock is held or pending.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether work of this core alone on `scope` would have to wait.
    pub(super) fn conflicts(&self, scope: &Scope) -> bool {
        !self.conflicting(scope).is_empty()
    }

    /// Whether a transaction on `scope` whose place has come would have to wait.
    pub(super) fn conflicts_in_order(&self, scope: &Scope) -> bool {
        let mut conflicting = self.conflicting(scope).into_iter();
        conflicting.any(|id| self.entry(id).kind != Kind::Reservation)
    }

    /// Whether somebody holds the key of `hash`, under other locks than `own`.
    pub(super) fn holds_other(&self, hash: u64, own: Option<LockId>) -> bool {
        let mode = Mode::Exclusive;
        let scope = Scope::Keys(vec![Claim { hash, mode }]);
        let mut conflicting = self.conflicting(&scope).into_iter();
        conflicting.any(|id| {
            let entry = self.entry(id);
            Some(id) != own && entry.kind != Kind::Reservation && entry.holds()
        })
    }

    /// Whether work on `scope` that is due behind `own` has to wait: for holders of other locks, or for transactions whose
    /// place has come. Work of this core alone that waits itself is passed.
    pub(super) fn is_in_way(&self, scope: &Scope, own: Option<LockId>) -> bool {
        let mut conflicting = self.conflicting(scope).into_iter();
        conflicting.any(|id| {
            let entry = self.entry(id);
            let counts = entry.holds() || entry.kind == Kind::InOrder;
            Some(id) != own && entry.kind != Kind::Reservation && counts
        })
    }

    /// Whether somebody holds keys of `scope`, or asked for them before the script did whose bar is `own`. A script without a
    /// bar comes last.
    pub(super) fn is_taken(&self, scope: &Scope, own: Option<LockId>) -> bool {
        let began = own.map_or(self.arrivals, |bar| self.entry(bar).arrival);
        let mut conflicting = self.conflicting(scope).into_iter();
        conflicting.any(|id| {
            let entry = self.entry(id);
            let is_before = entry.holds() || entry.arrival < began;
            Some(id) != own && entry.kind != Kind::Reservation && is_before
        })
    }

    /// Whether somebody has been granted the locks that he waited for, and has yet to go on.
    #[inline]
    pub(super) fn has_granted(&self) -> bool {
        !self.granted.is_empty()
    }

    /// Takes those who have been granted the locks that they waited for, to go on.
    pub(super) fn take_granted(&mut self) -> Vec<(LockId, W)> {
        std::mem::take(&mut self.granted)
    }

    /// Whether `id` was waited for, has been granted, and is about to be looked at.
    pub(super) fn is_granted(&self, id: LockId) -> bool {
        self.granted.iter().any(|(granted, _)| *granted == id)
    }

    /// Asks for `scope`. If that is pending, `claimant` is among those of [`Self::take_granted`] once what it waits for has been
    /// released. So are, at once, those whom reservations keep back no longer.
    pub(super) fn ask(&mut self, kind: Kind, mut scope: Scope, claimant: W) -> Asked {
        scope.normalize();
        let conflicting = self.conflicting(&scope);
        if kind == Kind::InOrder && self.reservations > 0 {
            self.give_up_reserved();
        }
        let is_reservation = |id: &LockId| self.entry(*id).kind == Kind::Reservation;
        let reserved = conflicting.iter().copied().filter(is_reservation).count();
        let passed = self.passed_by(kind, &conflicting);
        for id in &passed {
            let entry = &mut self.entries[id.0 as usize];
            match kind {
                Kind::Reservation => entry.kept_back += 1,
                // And waits for who is served, should the reservation be given up before.
                _ => entry.conflicts += 1,
            }
        }
        let (conflicts, kept_back) = match kind {
            Kind::InOrder => (conflicting.len() - reserved, 0),
            Kind::Served => (conflicting.len() - reserved - passed.len(), 0),
            Kind::Alone => (conflicting.len() - reserved, reserved),
            Kind::Reservation | Kind::Bar => (0, 0),
        };
        if kind == Kind::Bar {
            for id in conflicting {
                let entry = &mut self.entries[id.0 as usize];
                if !entry.holds() {
                    entry.conflicts += 1;
                }
            }
        }
        let is_pending = conflicts > 0 || kept_back > 0;
        self.reservations += usize::from(kind == Kind::Reservation);
        let index = self.entries.insert(Entry {
            arrival: self.arrivals,
            kind,
            scope: scope.clone(),
            conflicts,
            kept_back,
            passes_reservations: false,
            passed,
            claimant: is_pending.then_some(claimant),
            moment: Moment::default(),
            time: UnixMillis::default(),
        });
        self.arrivals += 1;
        let id = LockId(u32::try_from(index).expect("sessions bound the entries of a core"));
        match scope {
            Scope::Keys(claims) => {
                for claim in claims {
                    let sharers = self.keys.entry(claim.hash).or_default();
                    sharers.push((id, claim.mode));
                }
            }
            Scope::Whole(_) => self.whole.push(id),
        }
        if is_pending {
            Asked::Pending(id)
        } else {
            Asked::Granted(id)
        }
    }

    /// Which of the conflicting claims one of this kind comes before. `Served` comes before those that a reservation keeps back.
    /// A reservation also comes before work of this core alone that is pending: that has come since the keys were written.
    /// What has a transaction behind it is not passed, lest the transaction wait for it.
    fn passed_by(&self, kind: Kind, conflicting: &[LockId]) -> Vec<LockId> {
        let is_reservation = match kind {
            Kind::Served => false,
            Kind::Reservation => true,
            _ => return Vec::new(),
        };
        let entries = self.entries.iter();
        let in_order = entries.filter(|(_, entry)| entry.kind.has_place());
        let last = in_order.map(|(_, entry)| entry.arrival).max();
        let waits_alone = |entry: &Entry<W>| {
            let is_last = last.is_none_or(|last| last < entry.arrival);
            entry.kind == Kind::Alone && !entry.holds() && !entry.passes_reservations && is_last
        };
        let passed = conflicting.iter().copied().filter(|id| {
            let entry = self.entry(*id);
            entry.kept_back > 0 || is_reservation && waits_alone(entry)
        });
        passed.collect()
    }

    /// What is done under `id` takes effect at `moment`, when it is this time.
    pub(super) fn set_moment(&mut self, id: LockId, moment: Moment, time: UnixMillis) {
        let entry = &mut self.entries[id.0 as usize];
        (entry.moment, entry.time) = (moment, time);
    }

    /// Whether a lock of the whole shard is held or pending.
    pub(super) fn has_whole(&self) -> bool {
        !self.whole.is_empty()
    }

    /// Whether a lock of the key of this hash by itself is held or pending.
    pub(super) fn has_key(&self, hash: u64) -> bool {
        self.keys.contains_key(&hash)
    }

    /// The earliest time at which something done under locks takes effect, held or awaited.
    pub(super) fn oldest_time(&self) -> Option<UnixMillis> {
        self.entries.iter().map(|(_, entry)| entry.time).min()
    }

    /// The time at which what is done under `id` takes effect.
    pub(super) fn time(&self, id: LockId) -> UnixMillis {
        self.entries[id.0 as usize].time
    }

    /// The moment at which what is done under `id` takes effect.
    pub(super) fn moment(&self, id: LockId) -> Moment {
        self.entry(id).moment
    }

    /// The first position at which something done under locks takes effect, held or awaited.
    pub(super) fn oldest_position(&self) -> Option<u64> {
        let entries = self.entries.iter();
        entries.map(|(_, entry)| entry.moment.position).min()
    }

    /// Ends the wait for reservations of all that they keep back.
    #[cold]
    fn give_up_reserved(&mut self) {
        let mut freed = Vec::new();
        for (index, entry) in &mut self.entries {
            if entry.kept_back == 0 {
                continue;
            }
            entry.kept_back = 0;
            entry.passes_reservations = true;
            if entry.holds() {
                let claimant = entry.claimant.take().expect("it was waiting until now");
                freed.push((entry.arrival, (LockId(index as u32), claimant)));
            }
        }
        freed.sort_unstable_by_key(|(arrival, _)| *arrival);
        self.granted
            .extend(freed.into_iter().map(|(_, freed)| freed));
    }

    /// The entries that conflict with `scope`, once for each key in which they do.
    fn conflicting(&self, scope: &Scope) -> Vec<LockId> {
        let mut found = Vec::new();
        #[cfg(any(test, debug_assertions))]
        if LOCKS_ARE_OFF.get() {
            return found;
        }
        match scope {
            Scope::Whole(mode) => {
                let others = self.entries.iter();
                let conflicting = others.filter(|(_, entry)| entry.scope.conflicts_whole(*mode));
                found.extend(conflicting.map(|(index, _)| LockId(index as u32)));
            }
            Scope::Keys(claims) => {
                for claim in claims {
                    let sharers = self.keys.get(&claim.hash).into_iter().flatten();
                    let conflicting = sharers.filter(|(_, mode)| mode.conflicts(claim.mode));
                    found.extend(conflicting.map(|(id, _)| *id));
                }
                let whole = self.whole.iter().copied().filter(|&id| {
                    let Scope::Whole(mode) = self.entry(id).scope else {
                        unreachable!("these entries are for the whole shard")
                    };
                    scope.conflicts_whole(mode)
                });
                found.extend(whole);
            }
        }
        found
    }

    /// Gives up the lock `id`, held or pending. Those whose locks are granted by that are handed out by [`Self::take_granted`],
    /// first come, first served.
    pub(super) fn release(&mut self, id: LockId) {
        let gone = self.entries.remove(id.0 as usize);
        self.reservations -= usize::from(gone.kind == Kind::Reservation);
        match &gone.scope {
            Scope::Keys(claims) => {
                for claim in claims {
                    let MapEntry::Occupied(mut slot) = self.keys.entry(claim.hash) else {
                        unreachable!("an entry stands with each of its keys")
                    };
                    slot.get_mut().retain(|(other, _)| *other != id);
                    if slot.get().is_empty() {
                        slot.remove();
                    }
                }
            }
            Scope::Whole(_) => self.whole.retain(|&other| other != id),
        }
        let mut freed = Vec::new();
        for other in self.conflicting(&gone.scope) {
            let entry = &mut self.entries[other.0 as usize];
            let keeps_back = gone.passed.contains(&other);
            if !gone.is_before(entry) && !keeps_back {
                continue;
            }
            if let Some(at) = entry.passed.iter().position(|passed| *passed == id) {
                entry.passed.swap_remove(at);
                continue;
            }
            match (gone.kind, entry.kind) {
                (Kind::Reservation, Kind::Alone) if !entry.passes_reservations => {
                    entry.kept_back -= 1;
                }
                (Kind::Reservation, _) | (_, Kind::Reservation | Kind::Bar) => continue,
                _ => entry.conflicts -= 1,
            }
            if entry.holds() {
                let claimant = entry.claimant.take().expect("it was waiting until now");
                freed.push((entry.arrival, (other, claimant)));
            }
        }
        freed.sort_unstable_by_key(|(arrival, _)| *arrival);
        self.granted
            .extend(freed.into_iter().map(|(_, freed)| freed));
    }

    fn entry(&self, id: LockId) -> &Entry<W> {
        &self.entries[id.0 as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::tests::testing::{Random, seeds};

    /// The naive model: all entries, in the order they came.
    #[derive(Default)]
    struct Model {
        entries: Vec<Known>,
    }

    struct Known {
        id: LockId,
        kind: Kind,
        scope: Scope,
        holds: bool,
        passes_reservations: bool,
        /// Who is behind it though he came before.
        keeps_back: Vec<LockId>,
    }

    fn scopes_conflict(one: &Scope, other: &Scope) -> bool {
        match (one, other) {
            (Scope::Keys(claims), Scope::Keys(others)) => claims.iter().any(|claim| {
                let mut same = others.iter().filter(|other| other.hash == claim.hash);
                same.any(|other| other.mode.conflicts(claim.mode))
            }),
            (Scope::Whole(mode), scope) | (scope, Scope::Whole(mode)) => {
                scope.conflicts_whole(*mode)
            }
        }
    }

    impl Model {
        /// Whether entry `at` has nothing to wait for.
        fn is_free(&self, at: usize) -> bool {
            let own = &self.entries[at];
            let mut others = self.entries.iter().enumerate();
            !others.any(|(index, other)| {
                let is_in_the_way = match (other.kind, own.kind) {
                    (_, Kind::Reservation | Kind::Bar) => false,
                    (Kind::Reservation, Kind::InOrder | Kind::Served) => false,
                    (Kind::Reservation, Kind::Alone) => {
                        (index < at || other.keeps_back.contains(&own.id))
                            && !own.passes_reservations
                    }
                    (Kind::Bar, _) => index != at,
                    (Kind::Served, Kind::Alone) if other.keeps_back.contains(&own.id) => true,
                    (Kind::Alone, Kind::Served) if own.keeps_back.contains(&other.id) => false,
                    _ => index < at,
                };
                is_in_the_way && scopes_conflict(&own.scope, &other.scope)
            })
        }

        /// Who will be behind one who asks for `scope`, though he came before: whom reservations keep back, and if it is a
        /// reservation, work of the core alone that waits and has no transaction behind it.
        fn kept_back(&self, kind: Kind, scope: &Scope) -> Vec<LockId> {
            if !matches!(kind, Kind::Reservation | Kind::Served) {
                return Vec::new();
            }
            let has_place = |known: &Known| matches!(known.kind, Kind::InOrder | Kind::Served);
            let entries = self.entries.iter().enumerate();
            let behind = entries.filter(|(at, known)| {
                let waits = kind == Kind::Reservation
                    && !known.holds
                    && !self.entries[*at..].iter().any(has_place);
                known.kind == Kind::Alone
                    && !known.passes_reservations
                    && scopes_conflict(&known.scope, scope)
                    && (self.is_kept_back(*at) || waits)
            });
            behind.map(|(_, known)| known.id).collect()
        }

        /// Whether a reservation keeps entry `at` back.
        fn is_kept_back(&self, at: usize) -> bool {
            let known = &self.entries[at];
            known.kind == Kind::Alone
                && !known.passes_reservations
                && self.entries.iter().enumerate().any(|(index, other)| {
                    other.kind == Kind::Reservation
                        && (index < at || other.keeps_back.contains(&known.id))
                        && scopes_conflict(&known.scope, &other.scope)
                })
        }

        /// Those who come to hold.
        fn grant(&mut self) -> Vec<LockId> {
            let mut granted = Vec::new();
            for at in 0..self.entries.len() {
                if !self.entries[at].holds && self.is_free(at) {
                    self.entries[at].holds = true;
                    granted.push(self.entries[at].id);
                }
            }
            granted
        }
    }

    fn take_granted(locks: &mut Locks<usize>) -> Vec<LockId> {
        let granted = locks.take_granted().into_iter();
        granted.map(|(id, _)| id).collect()
    }

    fn random_scope(random: &mut Random) -> Scope {
        let mode = random.of(&[Mode::Shared, Mode::Exclusive, Mode::Exclusive]);
        if random.one_in(8) {
            return Scope::Whole(mode);
        }
        let mut scope = Scope::NOTHING;
        for _ in 0..1 + random.below(3) {
            scope.add(Claim {
                hash: random.below(5) as u64,
                mode: random.of(&[Mode::Shared, Mode::Exclusive]),
            });
        }
        scope
    }

    #[test]
    fn locks_are_first_come_first_served_but_for_reservations_and_bars() {
        for seed in 0..seeds(300) {
            let mut random = Random(seed);
            let (mut locks, mut model) = (Locks::default(), Model::default());
            for step in 0..200 {
                if random.one_in(3) && !model.entries.is_empty() {
                    let gone = model.entries.remove(random.below(model.entries.len()));
                    locks.release(gone.id);
                    assert_eq!(
                        take_granted(&mut locks),
                        model.grant(),
                        "seed {seed}, step {step}"
                    );
                    continue;
                }
                let kind = match random.below(14) {
                    0 => Kind::Reservation,
                    12 => Kind::Served,
                    13 => Kind::Reservation,
                    // One script at a time has a core.
                    1 if !model.entries.iter().any(|known| known.kind == Kind::Bar) => Kind::Bar,
                    2..7 => Kind::InOrder,
                    _ => Kind::Alone,
                };
                let scope = match kind {
                    Kind::Bar => Scope::Whole(Mode::Exclusive),
                    _ => random_scope(&mut random),
                };
                if kind == Kind::InOrder {
                    for at in 0..model.entries.len() {
                        model.entries[at].passes_reservations |= model.is_kept_back(at);
                    }
                }
                let freed = model.grant();
                let asked = locks.ask(kind, scope.clone(), step);
                assert_eq!(take_granted(&mut locks), freed, "seed {seed}, step {step}");
                let (Asked::Granted(id) | Asked::Pending(id)) = asked;
                let keeps_back = model.kept_back(kind, &scope);
                model.entries.push(Known {
                    keeps_back,
                    id,
                    kind,
                    scope,
                    holds: false,
                    passes_reservations: false,
                });
                let at = model.entries.len() - 1;
                let is_free = model.is_free(at);
                model.entries[at].holds = is_free;
                assert_eq!(
                    asked == Asked::Granted(id),
                    is_free,
                    "seed {seed}, step {step}"
                );
            }
            for known in model.entries.drain(..) {
                locks.release(known.id);
            }
            assert!(locks.is_empty() && locks.keys.is_empty() && locks.whole.is_empty());
        }
    }
}
