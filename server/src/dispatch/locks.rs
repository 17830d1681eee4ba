//! Who may touch which keys of a shard, and who waits: the locks of transactions over several cores.
//!
//! After VLL (Ren, Thomson, Abadi, "Lightweight Locking for Main Memory Database Systems", VLDB 2013): a transaction states
//! all its keys beforehand, to every shard at once, and transactions are ordered by a number given once for the whole server.
//! Two departures: VLL counts the waiters of a key and queues transactions per shard, here those who share a key know each
//! other, so that none waits for another whose keys it does not share; and VLL has transactions that reach a shard in the
//! wrong order begin anew, here they wound (Rosenkrantz, Stearns, Lewis, "System Level Concurrency Control for Distributed
//! Database Systems", TODS 1978), so that none begins anew for ever.
//!
//! ```text
//!  "a":  #7 exclusive, holds      #9 shared, waits for #7      #12 exclusive, waits for #7 and #9
//!  "b":  #12 exclusive, waits too, for it gets all its keys of the shard or none
//!  now comes #8 for "a", exclusive: it waits for #7 alone; #9 and #12, of higher numbers and without their locks yet, wait
//!  for it too. Were #9 a holder, #8 would wait for it and wound it.
//! ```
//!
//! **No deadlock, no starvation.** Who waits comes behind all holders and all waiters of lower numbers. A holder of a higher
//! number that somebody has to wait for is wounded: its transaction gives these locks back and asks for them again, with
//! the number it has, unless it holds all its locks everywhere: then it waits for nobody and is soon done. So nobody waits
//! for good for a higher number, and the lowest number of all waits for nobody. What waits on this shard alone
//! ([`Order::Local`]) comes behind whoever is there, and holds nothing elsewhere.
//!
//! What a session has sent to a shard before its transaction comes before it: where it waits still, it is given the
//! transaction's number ([`Locks::promote`]), and with it the right to wound.
//!
//! A script under way that reaches keys it did not declare ([`Order::First`]) has a lower number than all: it holds what it
//! has, and waits for holders only, which do not wait for it: one such script at a time, in the whole server, may wait.
//!
//! A key is known by its hash, whatever its database: two keys of one hash are locked together, which is slower and right.
//! Cost: a look-up and a push a key, and a glance at each who shares it; nothing while no transaction is under way.

use std::collections::HashMap;
use std::collections::hash_map::Entry as MapEntry;

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

/// Where in the order a request for locks stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order<T> {
    /// A transaction over several shards, by its number; `by` says where word of a wound goes.
    Numbered { number: u64, by: T },
    /// Work of this shard alone: behind whatever is there, and behind those of numbers below `behind` that are to come.
    Local { behind: u64 },
    /// Work that is under way and cannot give back what it holds: before all who wait.
    First,
    /// The same, that goes on meanwhile with what nobody holds.
    Bar,
}

/// The answer to a request for locks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked<T> {
    /// It holds them.
    Granted(LockId),
    /// It waits for them, and wounds these holders.
    Waits(LockId, Vec<(LockId, T)>),
}

/// The locks of one shard. `W` is what is handed back when a wait is over, `T` names a transaction.
#[derive(Debug)]
pub(super) struct Locks<W, T> {
    entries: Slab<Entry<W, T>>,
    keys: HashMap<u64, Vec<(LockId, Mode)>>,
    /// Holders of and waiters for the whole shard.
    whole: Vec<LockId>,
    /// Requests so far: an entry's place in time.
    arrivals: u64,
}

#[derive(Debug)]
struct Entry<W, T> {
    /// Orders waiters: the number, then the time.
    rank: (u64, u64),
    scope: Scope,
    /// How many conflicts it has with entries before it, one for each key; a holder has none.
    conflicts: usize,
    by: Option<T>,
    waiter: Option<W>,
    /// It keeps newcomers out before it holds.
    bars: bool,
    /// Another entry of the same work, which is not in its way.
    kin: Option<LockId>,
}

impl<W, T> Entry<W, T> {
    fn holds(&self) -> bool {
        self.conflicts == 0
    }

    /// Whether it comes before `other`, with which it conflicts.
    fn is_before(&self, other: &Self) -> bool {
        self.holds() || !other.holds() && self.rank < other.rank
    }
}

#[cfg(any(test, debug_assertions))]
thread_local! {
    /// A planted bug: nobody is in anybody's way. Tests that look for broken promises must find some. A release build
    /// does not have it.
    pub(super) static LOCKS_ARE_OFF: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

impl<W, T> Default for Locks<W, T> {
    fn default() -> Self {
        Self {
            entries: Slab::new(),
            keys: HashMap::new(),
            whole: Vec::new(),
            arrivals: 0,
        }
    }
}

impl<W, T: Copy> Locks<W, T> {
    /// Whether nobody holds or awaits a lock.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether work on `scope` would have to wait, were it to come last.
    pub(super) fn conflicts(&self, scope: &Scope) -> bool {
        !self.conflicting(scope).is_empty()
    }

    /// Whether somebody but `own` has keys of `scope`.
    pub(super) fn is_held(&self, scope: &Scope, own: Option<LockId>) -> bool {
        let mut conflicting = self.conflicting(scope).into_iter();
        conflicting.any(|id| {
            let entry = self.entry(id);
            Some(id) != own && (entry.holds() || entry.bars)
        })
    }

    /// Asks for `scope`. If it has to wait, `waiter` is handed back by [`Self::release`] of what it waits for.
    pub(super) fn ask(&mut self, order: Order<T>, scope: Scope, waiter: W) -> Asked<T> {
        self.ask_beside(None, order, scope, waiter)
    }

    /// As [`Self::ask`], for work that has asked here before, as `kin`, and keeps that. It must be given back before `kin`.
    pub(super) fn ask_beside(
        &mut self,
        kin: Option<LockId>,
        order: Order<T>,
        mut scope: Scope,
        waiter: W,
    ) -> Asked<T> {
        scope.normalize();
        let mut conflicting = self.conflicting(&scope);
        conflicting.retain(|id| Some(*id) != kin);
        let (number, by) = match order {
            Order::Numbered { number, by } => (number, Some(by)),
            Order::Local { behind } => {
                let numbers = conflicting.iter().map(|id| self.entry(*id).rank.0);
                // Behind those who come first, whose number is zero.
                (numbers.max().unwrap_or(0).max(behind).max(1), None)
            }
            Order::First | Order::Bar => (0, None),
        };
        let rank = (number, self.arrivals);
        self.arrivals += 1;
        let mut conflicts = 0;
        let mut wounded = Vec::new();
        for &other in &conflicting {
            let entry = self.entry(other);
            if entry.holds() || entry.rank < rank {
                conflicts += 1;
            }
            if let Some(by) = entry.by
                && entry.holds()
                && entry.rank > rank
            {
                wounded.push((other, by));
            }
        }
        // Waiters of higher numbers come behind.
        for &other in &conflicting {
            let entry = &mut self.entries[other.0 as usize];
            if !entry.holds() && entry.rank > rank {
                entry.conflicts += 1;
            }
        }
        let index = self.entries.insert(Entry {
            rank,
            scope: scope.clone(),
            conflicts,
            by,
            waiter: (conflicts > 0).then_some(waiter),
            bars: matches!(order, Order::Bar),
            kin,
        });
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
        if conflicts == 0 {
            return Asked::Granted(id);
        }
        wounded.sort_unstable_by_key(|(id, _)| id.0);
        wounded.dedup_by_key(|(id, _)| id.0);
        Asked::Waits(id, wounded)
    }

    /// Gives those who wait and are such this number, if theirs is higher, so that they come before whoever comes with it
    /// next. Who waits no longer by that is added to `granted`; holders that are in the way and come later are wounded.
    pub(super) fn promote(
        &mut self,
        is_such: impl Fn(&W) -> bool,
        number: u64,
        granted: &mut Vec<(LockId, W)>,
    ) -> Vec<(LockId, T)> {
        let such = self.entries.iter().filter(|(_, entry)| {
            entry.rank.0 > number && entry.waiter.as_ref().is_some_and(&is_such)
        });
        let mut such: Vec<((u64, u64), LockId)> = such
            .map(|(index, entry)| (entry.rank, LockId(index as u32)))
            .collect();
        such.sort_unstable_by_key(|(rank, _)| *rank);
        let mut wounded = Vec::new();
        for (before, id) in such {
            // Among themselves they keep their order: it is that of their arrival.
            let rank = (number, before.1);
            let mut passed = 0;
            for other in self.conflicting(&self.entry(id).scope) {
                let entry = &mut self.entries[other.0 as usize];
                if other == id || entry.rank < rank {
                    continue;
                }
                if !entry.holds() && entry.rank < before {
                    entry.conflicts += 1;
                    passed += 1;
                } else if entry.holds()
                    && let Some(by) = entry.by
                {
                    wounded.push((other, by));
                }
            }
            let entry = &mut self.entries[id.0 as usize];
            entry.rank = rank;
            entry.conflicts -= passed;
            if entry.holds() {
                let waiter = entry.waiter.take().expect("it was waiting until now");
                granted.push((id, waiter));
            }
        }
        wounded.sort_unstable_by_key(|(id, _)| id.0);
        wounded.dedup_by_key(|(id, _)| id.0);
        wounded
    }

    /// Takes out those who wait and are such, in their order. Who waits no longer by that is added to `granted`.
    pub(super) fn take_waiters(
        &mut self,
        is_such: impl Fn(&W) -> bool,
        granted: &mut Vec<(LockId, W)>,
    ) -> Vec<W> {
        let waiting = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.waiter.as_ref().is_some_and(&is_such));
        let mut waiting: Vec<((u64, u64), LockId)> = waiting
            .map(|(index, entry)| (entry.rank, LockId(index as u32)))
            .collect();
        waiting.sort_unstable_by_key(|(rank, _)| *rank);
        let taken: Vec<W> = waiting
            .iter()
            .filter_map(|(_, id)| self.entries[id.0 as usize].waiter.take())
            .collect();
        for (_, id) in waiting {
            self.release(id, granted);
        }
        taken
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

    /// Gives up what `id` holds or awaits. Those who wait no longer are added to `granted`.
    pub(super) fn release(&mut self, id: LockId, granted: &mut Vec<(LockId, W)>) {
        let gone = self.entries.remove(id.0 as usize);
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
        for other in self.conflicting(&gone.scope) {
            let entry = &mut self.entries[other.0 as usize];
            if !gone.is_before(entry) || gone.kin == Some(other) {
                continue;
            }
            entry.conflicts -= 1;
            if entry.holds() {
                let waiter = entry.waiter.take().expect("it was waiting until now");
                granted.push((other, waiter));
            }
        }
    }

    fn entry(&self, id: LockId) -> &Entry<W, T> {
        &self.entries[id.0 as usize]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::super::testing::{Random, seeds};
    use super::*;

    /// The naive model: all entries, and who holds is who conflicts with nobody before it.
    #[derive(Default)]
    struct Model {
        entries: Vec<Known>,
    }

    struct Known {
        id: LockId,
        rank: (u64, usize),
        scope: Scope,
        holds: bool,
        by: Option<u32>,
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
        fn conflicting<'a>(&'a self, scope: &'a Scope) -> impl Iterator<Item = &'a Known> {
            let entries = self.entries.iter();
            entries.filter(|known| scopes_conflict(&known.scope, scope))
        }

        /// Whether an entry of this rank would hold at once.
        fn is_free(&self, scope: &Scope, rank: (u64, usize)) -> bool {
            let mut conflicting = self.conflicting(scope);
            !conflicting.any(|known| known.holds || known.rank < rank)
        }

        /// Those who come to hold.
        fn grant(&mut self) -> Vec<LockId> {
            let mut granted = Vec::new();
            for at in 0..self.entries.len() {
                let known = &self.entries[at];
                let others = self.conflicting(&known.scope);
                let free = others
                    .filter(|other| other.id != known.id)
                    .all(|other| !other.holds && other.rank > known.rank);
                if !known.holds && free {
                    granted.push(known.id);
                    self.entries[at].holds = true;
                }
            }
            granted
        }
    }

    fn random_scope(random: &mut Random) -> Scope {
        let mode = |random: &mut Random| random.of(&[Mode::Shared, Mode::Exclusive]);
        if random.one_in(8) {
            return Scope::Whole(mode(random));
        }
        let claims = (0..1 + random.below(4)).map(|_| Claim {
            hash: random.below(6) as u64,
            mode: mode(random),
        });
        Scope::Keys(claims.collect())
    }

    #[test]
    fn who_conflicts_with_nobody_before_it_holds_and_holders_in_the_way_are_wounded() {
        for seed in 0..seeds(200) {
            let mut random = Random(seed);
            let mut locks: Locks<usize, u32> = Locks::default();
            let mut model = Model::default();
            for arrival in 0..300 {
                if model.entries.is_empty() || !random.one_in(3) {
                    let scope = random_scope(&mut random);
                    let by = (!random.one_in(3)).then_some(arrival as u32);
                    let mut near = || (arrival as u64 + 8).saturating_sub(random.next() % 16);
                    let order = match by {
                        Some(by) => Order::Numbered { number: near(), by },
                        None => Order::Local { behind: near() },
                    };
                    let number = match order {
                        Order::Numbered { number, .. } => number,
                        Order::Local { behind } => {
                            let numbers = model.conflicting(&scope).map(|known| known.rank.0);
                            numbers.max().unwrap_or(0).max(behind).max(1)
                        }
                        Order::First | Order::Bar => 0,
                    };
                    let rank = (number, arrival);
                    let in_the_way = model
                        .conflicting(&scope)
                        .filter(|known| known.holds && known.rank > rank);
                    let mut expected: Vec<(LockId, u32)> = in_the_way
                        .filter_map(|known| Some((known.id, known.by?)))
                        .collect();
                    expected.sort_by_key(|(id, _)| id.0);
                    let holds = model.is_free(&scope, rank);
                    let id = match locks.ask(order, scope.clone(), arrival) {
                        Asked::Granted(id) => {
                            assert!(holds);
                            id
                        }
                        Asked::Waits(id, wounded) => {
                            assert!(!holds);
                            assert_eq!(wounded, expected);
                            id
                        }
                    };
                    model.entries.push(Known {
                        id,
                        rank,
                        scope,
                        holds,
                        by,
                    });
                } else if random.one_in(4) {
                    // One of those that wait gets a lower number.
                    let at = random.below(model.entries.len());
                    let number = random.below(arrival + 8) as u64;
                    let known = &model.entries[at];
                    let (arrived, scope) = (known.rank.1, known.scope.clone());
                    if known.holds || known.rank.0 <= number {
                        continue;
                    }
                    let rank = (number, known.rank.1);
                    let in_the_way = model
                        .conflicting(&scope)
                        .filter(|known| known.holds && known.rank > rank);
                    let mut expected: Vec<(LockId, u32)> = in_the_way
                        .filter_map(|known| Some((known.id, known.by?)))
                        .collect();
                    expected.sort_by_key(|(id, _)| id.0);
                    let mut granted = Vec::new();
                    let wounded = locks.promote(|waiter| *waiter == arrived, number, &mut granted);
                    model.entries[at].rank = rank;
                    assert_eq!(wounded, expected, "seed {seed}");
                    let granted: Vec<LockId> = granted.into_iter().map(|(id, _)| id).collect();
                    assert_eq!(granted, model.grant(), "seed {seed}");
                } else {
                    // A holder is done, or a waiter gives up.
                    let at = random.below(model.entries.len());
                    let gone = model.entries.remove(at);
                    let mut granted = Vec::new();
                    locks.release(gone.id, &mut granted);
                    let mut granted: Vec<LockId> = granted.into_iter().map(|(id, _)| id).collect();
                    let mut expected = model.grant();
                    granted.sort_by_key(|id| id.0);
                    expected.sort_by_key(|id| id.0);
                    assert_eq!(granted, expected, "seed {seed}");
                }
                for known in &model.entries {
                    assert_eq!(locks.entry(known.id).holds(), known.holds);
                }
            }
            for known in model.entries {
                locks.release(known.id, &mut Vec::new());
            }
            assert!(locks.is_empty() && locks.keys.is_empty() && locks.whole.is_empty());
        }
    }

    /// What is under way between a transaction and a shard, which may take any time.
    #[derive(Debug)]
    enum Message {
        Ask { transaction: usize, shard: usize },
        Granted(usize, usize, LockId),
        Wound(usize, usize, LockId),
        Release(usize, LockId),
    }

    struct Transaction {
        number: u64,
        scopes: Vec<Option<Scope>>,
        held: Vec<Option<LockId>>,
        done: bool,
    }

    #[test]
    fn transactions_that_reach_shards_in_any_order_all_come_to_their_end() {
        const SHARDS: usize = 3;
        for seed in 0..seeds(200) {
            let mut random = Random(seed);
            let mut shards: Vec<Locks<usize, usize>> =
                (0..SHARDS).map(|_| Locks::default()).collect();
            // A message overtakes only those of other pairs of transaction and shard.
            let mut under_way: Vec<VecDeque<Message>> = Vec::new();
            let mut all = Vec::new();
            for number in 0..30 {
                let scopes: Vec<Option<Scope>> = (0..SHARDS)
                    .map(|_| (!random.one_in(3)).then(|| random_scope(&mut random)))
                    .collect();
                for (shard, scope) in scopes.iter().enumerate() {
                    let ask = Message::Ask {
                        transaction: number,
                        shard,
                    };
                    let asks = scope.is_some().then_some(ask);
                    under_way.push(asks.into_iter().collect());
                }
                all.push(Transaction {
                    number: number as u64,
                    done: scopes.iter().all(Option::is_none),
                    scopes,
                    held: vec![None; SHARDS],
                });
            }
            let lane = |transaction: usize, shard: usize| transaction * SHARDS + shard;
            let mut steps = 0;
            while all.iter().any(|transaction| !transaction.done) {
                steps += 1;
                assert!(steps < 200_000, "seed {seed}: no end in sight");
                let at = random.below(under_way.len());
                let Some(message) = under_way[at].pop_front() else {
                    continue;
                };
                let mut granted = Vec::new();
                match message {
                    Message::Ask { transaction, shard } => {
                        let own = &all[transaction];
                        let order = Order::Numbered {
                            number: own.number,
                            by: transaction,
                        };
                        let scope = own.scopes[shard].clone().unwrap();
                        match shards[shard].ask(order, scope, transaction) {
                            Asked::Granted(id) => {
                                under_way[at].push_back(Message::Granted(transaction, shard, id))
                            }
                            Asked::Waits(_, wounded) => {
                                for (id, by) in wounded {
                                    under_way[lane(by, shard)]
                                        .push_back(Message::Wound(by, shard, id));
                                }
                            }
                        }
                    }
                    Message::Granted(transaction, shard, id) => {
                        let own = &mut all[transaction];
                        own.held[shard] = Some(id);
                        let complete = (0..SHARDS)
                            .all(|shard| own.held[shard].is_some() == own.scopes[shard].is_some());
                        if complete {
                            own.done = true;
                            for shard in 0..SHARDS {
                                if let Some(id) = own.held[shard] {
                                    under_way[lane(transaction, shard)]
                                        .push_back(Message::Release(shard, id));
                                }
                            }
                        }
                    }
                    Message::Wound(transaction, shard, id) => {
                        let own = &mut all[transaction];
                        if !own.done && own.held[shard] == Some(id) {
                            own.held[shard] = None;
                            under_way[at].push_back(Message::Release(shard, id));
                            under_way[at].push_back(Message::Ask { transaction, shard });
                        }
                    }
                    Message::Release(shard, id) => {
                        shards[shard].release(id, &mut granted);
                        for (id, waiter) in granted {
                            under_way[lane(waiter, shard)]
                                .push_back(Message::Granted(waiter, shard, id));
                        }
                    }
                }
            }
        }
    }
}
