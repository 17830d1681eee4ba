//! Commands of property tests: on keys, strings, lists, sets, hashes and sorted sets; those on collections done alike to a shard and to
//! the model.

use proptest::prelude::*;

use crate::model::OpenEntry;
use crate::shard::Shard;
use crate::{
    DbIndex, Direction, End, Event, HashMut, Key, ListMut, Scored, SetMut, SortedSetMut,
    StoreError, Stored, TtlChange, UnixMillis, WrongType,
};

#[derive(Clone, Debug)]
pub(in crate::shard) enum Op {
    Get(u16, u8),
    Set(u16, u8, Content, Ttl),
    WriteRange(u16, u8, usize, Content),
    Remove(u16, u8),
    /// A command on a list.
    List(u16, u8, ListOp),
    /// A command on a set.
    OfSet(u16, u8, SetOp),
    /// A command on a hash.
    Hash(u16, u8, HashOp),
    /// A command on a sorted set.
    SortedSet(u16, u8, SortedSetOp),
    SetDeadline(u16, u8, Option<i64>),
    Relocate(u16, u8, u16, u8),
    Flush(u16),
    Swap(u16, u16),
    Wait(i64),
    Expire(u32),
    Tend(u32),
    Random(u16, u64),
    Prefetch(u16, u8),
    /// A value in a buffer that is lent, behind so many other bytes.
    SetLent(u16, u8, Content, usize),
    /// An image that shares what it may is stored elsewhere, and somebody else holds it for a while.
    Copy(u16, u8, u16, u8),
}

impl Op {
    /// The key that it looks up first.
    pub(in crate::shard) fn key(&self) -> Option<(u16, u8)> {
        match *self {
            Self::Get(db, k)
            | Self::Set(db, k, ..)
            | Self::WriteRange(db, k, ..)
            | Self::Remove(db, k)
            | Self::List(db, k, _)
            | Self::OfSet(db, k, _)
            | Self::Hash(db, k, _)
            | Self::SortedSet(db, k, _)
            | Self::SetDeadline(db, k, _)
            | Self::Relocate(db, k, ..)
            | Self::SetLent(db, k, ..)
            | Self::Copy(db, k, ..) => Some((db, k)),
            _ => None,
        }
    }
}

#[derive(Clone, Debug)]
pub(in crate::shard) struct Content(pub(in crate::shard) usize, pub(in crate::shard) u8);

impl Content {
    pub(in crate::shard) fn bytes(&self) -> Vec<u8> {
        (0..self.0)
            .map(|n| b'0' + (n as u8).wrapping_mul(self.1) % 10)
            .collect()
    }
}

#[derive(Clone, Debug)]
pub(in crate::shard) enum Ttl {
    Clear,
    Keep,
    In(i64),
}

pub(in crate::shard) fn key_of(n: u8) -> Vec<u8> {
    match n % 24 {
        0 => Vec::new(),
        1 => vec![b'L'; 20_000],
        2 => vec![b'M'; 16_384],
        3 => vec![b'N'; 130],
        // What is longest of a short string, and what is none.
        4 => vec![b'O'; 251],
        5 => vec![b'P'; 252],
        n => vec![b'k', n],
    }
}

/// Strings come to all keys, lists and hashes to some, so that they meet and stay.
fn list_key() -> impl Strategy<Value = u8> {
    prop_oneof![4 => Just(7u8), 2 => Just(10), 1 => Just(3), 1 => Just(1), 1 => Just(12)]
}

fn hash_key() -> impl Strategy<Value = u8> {
    prop_oneof![4 => Just(8u8), 2 => Just(11), 1 => Just(0), 1 => Just(1), 1 => Just(12)]
}

fn set_key() -> impl Strategy<Value = u8> {
    prop_oneof![4 => Just(9u8), 2 => Just(13), 1 => Just(2), 1 => Just(1), 1 => Just(12)]
}

fn sorted_set_key() -> impl Strategy<Value = u8> {
    prop_oneof![4 => Just(14u8), 2 => Just(15), 1 => Just(2), 1 => Just(1), 1 => Just(12)]
}

fn content() -> impl Strategy<Value = Content> {
    let len = prop_oneof![
        6 => 0usize..200,
        3 => 240usize..256,
        2 => 200usize..5000,
        1 => 32_000usize..34_000,
        1 => 60_000usize..200_000,
    ];
    (len, any::<u8>()).prop_map(|(len, seed)| Content(len, seed))
}

pub(in crate::shard) fn op() -> impl Strategy<Value = Op> {
    let db = 0u16..3;
    let ttl = prop_oneof![
        Just(Ttl::Clear),
        Just(Ttl::Keep),
        (-5i64..200).prop_map(Ttl::In),
        // No place of a node can tell these.
        prop_oneof![Just(1i64 << 50), Just(-(1i64 << 50))].prop_map(Ttl::In)
    ];
    prop_oneof![
        4 => (db.clone(), any::<u8>()).prop_map(|(d, k)| Op::Get(d, k)),
        8 => (db.clone(), any::<u8>(), content(), ttl).prop_map(|(d, k, c, t)| Op::Set(d, k, c, t)),
        5 => (db.clone(), any::<u8>(), prop_oneof![0usize..100, 0usize..40_000], content())
            .prop_map(|(d, k, o, c)| Op::WriteRange(d, k, o, c)),
        3 => (db.clone(), any::<u8>()).prop_map(|(d, k)| Op::Remove(d, k)),
        8 => (db.clone(), list_key(), list_op()).prop_map(|(d, k, op)| Op::List(d, k, op)),
        5 => (db.clone(), set_key(), set_op()).prop_map(|(d, k, op)| Op::OfSet(d, k, op)),
        8 => (db.clone(), hash_key(), hash_op()).prop_map(|(d, k, op)| Op::Hash(d, k, op)),
        5 => (db.clone(), sorted_set_key(), sorted_set_op()).prop_map(|(d, k, op)| Op::SortedSet(d, k, op)),
        3 => (db.clone(), any::<u8>(), prop::option::of(prop_oneof![5 => -5i64..200, 1 => Just(1i64 << 50), 1 => Just(-(1i64 << 50))])).prop_map(|(d, k, t)| Op::SetDeadline(d, k, t)),
        4 => (db.clone(), any::<u8>(), db.clone(), any::<u8>()).prop_map(|(d, k, e, l)| Op::Relocate(d, k, e, l)),
        2 => (db.clone(), any::<u8>(), db.clone(), any::<u8>()).prop_map(|(d, k, e, l)| Op::Copy(d, k, e, l)),
        1 => db.clone().prop_map(Op::Flush),
        1 => (db.clone(), db.clone()).prop_map(|(a, b)| Op::Swap(a, b)),
        2 => (0i64..60).prop_map(Op::Wait),
        2 => (0u32..30).prop_map(Op::Expire),
        2 => (0u32..300).prop_map(Op::Tend),
        2 => (db.clone(), any::<u64>()).prop_map(|(d, r)| Op::Random(d, r)),
        1 => (db, any::<u8>()).prop_map(|(d, k)| Op::Prefetch(d, k)),
    ]
}

/// A command on a list, which may have to be made.
#[derive(Clone, Debug)]
pub(in crate::shard) enum ListOp {
    /// So many elements.
    Push(End, Content, usize),
    Pop(End, usize),
    Insert(u32, Content),
    Replace(u32, Content),
    Cut(u32, u32),
    /// The first of these: of several, the records go by the leaves that they are in.
    RemoveEqual(Content, End),
}

/// A command on a hash, which may have to be made.
#[derive(Clone, Debug)]
pub(in crate::shard) enum HashOp {
    /// So many fields, from this number on.
    Set(u16, u16, Content, Ttl),
    SetDeadline(u16, u16, Option<i64>),
    Remove(u16, u16),
}

/// A command on a set, which may have to be made: on so many members, from this number on, integers or texts.
#[derive(Clone, Debug)]
pub(in crate::shard) enum SetOp {
    Add(u16, u16, bool),
    Remove(u16, u16, bool),
}

pub(in crate::shard) fn set_op() -> impl Strategy<Value = SetOp> {
    let times = prop_oneof![6 => 1u16..6, 1 => 1u16..600];
    let first = prop_oneof![4 => 0u16..20, 1 => 0u16..600];
    prop_oneof![
        5 => (first.clone(), times.clone(), any::<bool>()).prop_map(|(f, n, i)| SetOp::Add(f, n, i)),
        3 => (first, times, any::<bool>()).prop_map(|(f, n, i)| SetOp::Remove(f, n, i)),
    ]
}

fn member(n: u16, is_integer: bool) -> Vec<u8> {
    match is_integer {
        true => n.to_string().into_bytes(),
        false => field_name(n).into_iter().chain(*b"n").collect(),
    }
}

/// A command on a sorted set, which may have to be made.
#[derive(Clone, Debug)]
pub(in crate::shard) enum SortedSetOp {
    /// So many members from this number on get scores from this on.
    Set(u16, u16, i16),
    Remove(u16, u16),
    Pop(End, u16),
    /// Of these ranks.
    RemoveRange(u64, u64),
}

/// Mostly short, some longer than lies in a node, and than in a block.
fn element() -> impl Strategy<Value = Content> {
    let len = prop_oneof![30 => 0usize..40, 4 => 60usize..70, 3 => 200usize..1500, 1 => 33_000usize..40_000];
    (len, 0u8..4).prop_map(|(len, seed)| Content(len, seed))
}

fn list_op() -> impl Strategy<Value = ListOp> {
    let end = prop_oneof![Just(End::Head), Just(End::Tail)];
    let times = prop_oneof![5 => 1usize..8, 2 => 1usize..400];
    prop_oneof![
        6 => (end.clone(), element(), times.clone()).prop_map(|(e, c, n)| ListOp::Push(e, c, n)),
        3 => (end.clone(), times).prop_map(|(e, n)| ListOp::Pop(e, n)),
        2 => (any::<u32>(), element()).prop_map(|(i, c)| ListOp::Insert(i, c)),
        2 => (any::<u32>(), element()).prop_map(|(i, c)| ListOp::Replace(i, c)),
        2 => (any::<u32>(), prop_oneof![0u32..20, 0u32..500]).prop_map(|(i, n)| ListOp::Cut(i, n)),
        1 => (element(), end).prop_map(|(c, e)| ListOp::RemoveEqual(c, e)),
    ]
}

fn hash_op() -> impl Strategy<Value = HashOp> {
    let ttl = prop_oneof![
        4 => Just(Ttl::Clear),
        2 => Just(Ttl::Keep),
        2 => (-5i64..200).prop_map(Ttl::In)
    ];
    let times = prop_oneof![6 => 1u16..6, 1 => 1u16..600];
    let first = prop_oneof![4 => 0u16..20, 1 => 0u16..600];
    let deadline = prop::option::of(-5i64..200);
    prop_oneof![
        5 => (first.clone(), times.clone(), element(), ttl).prop_map(|(f, n, c, t)| HashOp::Set(f, n, c, t)),
        2 => (first.clone(), times.clone(), deadline).prop_map(|(f, n, d)| HashOp::SetDeadline(f, n, d)),
        3 => (first, times).prop_map(|(f, n)| HashOp::Remove(f, n)),
    ]
}

fn sorted_set_op() -> impl Strategy<Value = SortedSetOp> {
    let times = prop_oneof![6 => 1u16..6, 1 => 1u16..600];
    let first = prop_oneof![4 => 0u16..20, 1 => 0u16..600];
    let end = prop_oneof![Just(End::Head), Just(End::Tail)];
    prop_oneof![
        6 => (first.clone(), times.clone(), any::<i16>()).prop_map(|(f, n, s)| SortedSetOp::Set(f, n, s)),
        3 => (first, times.clone()).prop_map(|(f, n)| SortedSetOp::Remove(f, n)),
        1 => (end, times).prop_map(|(e, n)| SortedSetOp::Pop(e, n)),
        1 => (0u64..50, prop_oneof![0u64..20, 0u64..500]).prop_map(|(r, n)| SortedSetOp::RemoveRange(r, n)),
    ]
}

/// Some are longer than lie in a node, one than in a block.
fn field_name(n: u16) -> Vec<u8> {
    let len = match n {
        17 => 34_000,
        18 | 19 => 200,
        _ => 3,
    };
    // Digits, so that no two have the sum by which records tell them.
    let mut name = format!("{n:03}").into_bytes();
    name.resize(len, b'n');
    name
}

/// A list to change: a shard's, or the model's.
pub(in crate::shard) trait SomeList {
    fn len(&mut self) -> usize;
    fn push(&mut self, end: End, value: &[u8]) -> Result<(), StoreError>;
    fn pop(&mut self, end: End) -> Option<Vec<u8>>;
    fn insert(&mut self, index: u32, value: &[u8]) -> Result<(), StoreError>;
    fn replace(&mut self, index: u32, value: &[u8]) -> Result<(), StoreError>;
    fn remove(&mut self, range: std::ops::Range<u32>);
    fn remove_equal(&mut self, element: &[u8], count: u32, from: End) -> u32;
}

impl SomeList for ListMut<'_> {
    fn len(&mut self) -> usize {
        Self::len(self) as usize
    }

    fn push(&mut self, end: End, value: &[u8]) -> Result<(), StoreError> {
        self.push(end, value)
    }

    fn pop(&mut self, end: End) -> Option<Vec<u8>> {
        self.pop(end, <[u8]>::to_vec)
    }

    fn insert(&mut self, index: u32, value: &[u8]) -> Result<(), StoreError> {
        self.insert(index, value)
    }

    fn replace(&mut self, index: u32, value: &[u8]) -> Result<(), StoreError> {
        self.replace(index, value)
    }

    fn remove(&mut self, range: std::ops::Range<u32>) {
        self.remove(range);
    }

    fn remove_equal(&mut self, element: &[u8], count: u32, from: End) -> u32 {
        self.remove_equal(element, count, from)
    }
}

impl SomeList for OpenEntry<'_> {
    fn len(&mut self) -> usize {
        self.len()
    }

    fn push(&mut self, end: End, value: &[u8]) -> Result<(), StoreError> {
        self.push(end, value);
        Ok(())
    }

    fn pop(&mut self, end: End) -> Option<Vec<u8>> {
        self.pop(end)
    }

    fn insert(&mut self, index: u32, value: &[u8]) -> Result<(), StoreError> {
        self.insert(index, value);
        Ok(())
    }

    fn replace(&mut self, index: u32, value: &[u8]) -> Result<(), StoreError> {
        self.replace(index, value);
        Ok(())
    }

    fn remove(&mut self, range: std::ops::Range<u32>) {
        self.remove(range);
    }

    fn remove_equal(&mut self, element: &[u8], count: u32, from: End) -> u32 {
        self.remove_equal(element, count, from)
    }
}

/// A hash to change: a shard's, or the model's.
pub(in crate::shard) trait SomeHash {
    fn set(&mut self, name: &[u8], value: &[u8], ttl: TtlChange) -> Result<Stored, StoreError>;
    fn set_deadline(&mut self, name: &[u8], at: Option<UnixMillis>) -> Result<bool, StoreError>;
    fn remove(&mut self, name: &[u8]) -> bool;
}

impl SomeHash for HashMut<'_> {
    fn set(&mut self, name: &[u8], value: &[u8], ttl: TtlChange) -> Result<Stored, StoreError> {
        self.set(name, value, ttl)
    }

    fn set_deadline(&mut self, name: &[u8], at: Option<UnixMillis>) -> Result<bool, StoreError> {
        self.set_deadline(name, at)
    }

    fn remove(&mut self, name: &[u8]) -> bool {
        self.remove(name)
    }
}

impl SomeHash for OpenEntry<'_> {
    fn set(&mut self, name: &[u8], value: &[u8], ttl: TtlChange) -> Result<Stored, StoreError> {
        Ok(self.set_field(name, value, ttl))
    }

    fn set_deadline(&mut self, name: &[u8], at: Option<UnixMillis>) -> Result<bool, StoreError> {
        Ok(self.set_field_deadline(name, at))
    }

    fn remove(&mut self, name: &[u8]) -> bool {
        self.remove_field(name)
    }
}

/// A set to change: a shard's, or the model's.
pub(in crate::shard) trait SomeSet {
    fn add(&mut self, member: &[u8]) -> Result<bool, StoreError>;
    fn remove(&mut self, member: &[u8]) -> bool;
}

impl SomeSet for SetMut<'_> {
    fn add(&mut self, member: &[u8]) -> Result<bool, StoreError> {
        self.add(member)
    }

    fn remove(&mut self, member: &[u8]) -> bool {
        self.remove(member)
    }
}

impl SomeSet for OpenEntry<'_> {
    fn add(&mut self, member: &[u8]) -> Result<bool, StoreError> {
        Ok(self.add_member(member))
    }

    fn remove(&mut self, member: &[u8]) -> bool {
        self.remove_member(member)
    }
}

impl SetOp {
    /// Does it to a set; what that answers, and the events to tell.
    pub(in crate::shard) fn run(&self, set: &mut dyn SomeSet) -> (String, Vec<Event>) {
        match *self {
            Self::Add(first, count, is_integer) => {
                let members = first..first + count;
                let added: Vec<_> = members.map(|n| set.add(&member(n, is_integer))).collect();
                let event = added.contains(&Ok(true)).then_some(Event::SAdd);
                (format!("{added:?}"), event.into_iter().collect())
            }
            Self::Remove(first, count, is_integer) => {
                let members = first..first + count;
                let removed: Vec<_> = members
                    .map(|n| set.remove(&member(n, is_integer)))
                    .collect();
                let event = removed.contains(&true).then_some(Event::SRem);
                (format!("{removed:?}"), event.into_iter().collect())
            }
        }
    }
}

/// A sorted set to change: a shard's, or the model's.
pub(in crate::shard) trait SomeSortedSet {
    fn set(&mut self, name: &[u8], score: f64) -> Result<Scored, StoreError>;
    fn remove(&mut self, name: &[u8]) -> Option<f64>;
    fn pop(&mut self, end: End) -> Option<(Vec<u8>, f64)>;
    fn remove_range(&mut self, ranks: std::ops::Range<u64>) -> u64;
}

impl SomeSortedSet for SortedSetMut<'_> {
    fn set(&mut self, name: &[u8], score: f64) -> Result<Scored, StoreError> {
        self.set(name, score)
    }

    fn remove(&mut self, name: &[u8]) -> Option<f64> {
        self.remove(name)
    }

    fn pop(&mut self, end: End) -> Option<(Vec<u8>, f64)> {
        let direction = match end {
            End::Head => Direction::Up,
            End::Tail => Direction::Down,
        };
        let mut popped = None;
        let was_there = self.pop(direction, |member| {
            popped = Some((member.name.to_vec(), member.score));
            Ok::<_, StoreError>(())
        });
        assert_eq!(was_there, Ok(popped.is_some()));
        popped
    }

    fn remove_range(&mut self, ranks: std::ops::Range<u64>) -> u64 {
        self.remove_range(ranks)
    }
}

impl SomeSortedSet for OpenEntry<'_> {
    fn set(&mut self, name: &[u8], score: f64) -> Result<Scored, StoreError> {
        Ok(self.score(name, score))
    }

    fn remove(&mut self, name: &[u8]) -> Option<f64> {
        self.remove_scored(name)
    }

    fn pop(&mut self, end: End) -> Option<(Vec<u8>, f64)> {
        self.pop_member(end)
    }

    fn remove_range(&mut self, ranks: std::ops::Range<u64>) -> u64 {
        self.remove_ranks(ranks)
    }
}

impl SortedSetOp {
    /// Does it to a sorted set; what that answers, and the events to tell.
    pub(in crate::shard) fn run(&self, set: &mut dyn SomeSortedSet) -> (String, Vec<Event>) {
        // Which event is nothing to the engine.
        let (answer, is_done) = match *self {
            Self::Set(first, count, from) => {
                let members = (0..count).map(|n| {
                    let score = match n % 3 {
                        0 => f64::from(from),
                        1 => f64::from(from) + f64::from(n),
                        _ => f64::from(from) / 7.0,
                    };
                    set.set(&field_name(first + n), score)
                });
                let scored: Vec<_> = members.collect();
                let is_done = scored.iter().any(|scored| scored != &Ok(Scored::Same));
                (format!("{scored:?}"), is_done)
            }
            Self::Remove(first, count) => {
                let names = first..first + count;
                let removed: Vec<_> = names.map(|n| set.remove(&field_name(n))).collect();
                let is_done = removed.iter().any(Option::is_some);
                (format!("{removed:?}"), is_done)
            }
            Self::Pop(end, count) => {
                let popped: Vec<_> = (0..count).map_while(|_| set.pop(end)).collect();
                (format!("{popped:?}"), !popped.is_empty())
            }
            Self::RemoveRange(start, count) => {
                let removed = set.remove_range(start..start + count);
                (removed.to_string(), removed > 0)
            }
        };
        (
            answer,
            is_done.then_some(Event::CopyTo).into_iter().collect(),
        )
    }
}

impl ListOp {
    /// Does it to a list; what that answers, and the events to tell.
    pub(in crate::shard) fn run(&self, list: &mut dyn SomeList) -> (String, Vec<Event>) {
        let len = list.len() as u32;
        let (answer, event) = match *self {
            Self::Push(end, ref content, times) => {
                let times = if content.0 > 1000 {
                    times.min(3)
                } else {
                    times
                };
                let push = |n: usize| {
                    let value = Content(content.0, content.1.wrapping_add(n as u8 % 3)).bytes();
                    list.push(end, &value)
                };
                let pushed: Vec<_> = (0..times).map(push).collect();
                (format!("{pushed:?}"), Some(Event::LPush))
            }
            Self::Pop(end, times) => {
                let popped: Vec<_> = (0..times).map_while(|_| list.pop(end)).collect();
                (format!("{popped:?}"), (len > 0).then_some(Event::LPop))
            }
            Self::Insert(index, ref content) if len > 0 => {
                let inserted = list.insert(index % (len + 1), &content.bytes());
                (format!("{inserted:?}"), Some(Event::LInsert))
            }
            Self::Replace(index, ref content) if len > 0 => {
                let replaced = list.replace(index % len, &content.bytes());
                (format!("{replaced:?}"), Some(Event::LSet))
            }
            Self::Cut(index, count) if len > 0 => {
                // At an end as often as not.
                let start = match index % 4 {
                    0 => 0,
                    1 => len.saturating_sub(count),
                    _ => index % len,
                };
                let end = len.min(start.saturating_add(count));
                list.remove(start..end);
                (String::new(), (end > start).then_some(Event::LTrim))
            }
            Self::RemoveEqual(ref content, end) => {
                let removed = list.remove_equal(&content.bytes(), 1, end);
                (removed.to_string(), (removed > 0).then_some(Event::LRem))
            }
            _ => (String::new(), None),
        };
        (answer, event.into_iter().collect())
    }
}

impl HashOp {
    /// Does it to a hash at a time; what that answers, and the events to tell.
    pub(in crate::shard) fn run(&self, hash: &mut dyn SomeHash, now: i64) -> (String, Vec<Event>) {
        let at = |ms: i64| UnixMillis(now + ms);
        match *self {
            Self::Set(first, count, ref content, ref ttl) => {
                let ttl = match *ttl {
                    Ttl::Clear => TtlChange::Clear,
                    Ttl::Keep => TtlChange::Keep,
                    Ttl::In(ms) => TtlChange::At(at(ms)),
                };
                let count = if content.0 > 1000 {
                    count.min(3)
                } else {
                    count
                };
                let value = content.bytes();
                let fields = first..first + count;
                let set = fields.map(|n| hash.set(&field_name(n), &value, ttl));
                (format!("{:?}", set.collect::<Vec<_>>()), vec![Event::HSet])
            }
            Self::SetDeadline(first, count, deadline) => {
                let fields = first..first + count;
                let set = fields.map(|n| hash.set_deadline(&field_name(n), deadline.map(at)));
                let set: Vec<_> = set.collect();
                let event = set.contains(&Ok(true)).then_some(Event::HExpire);
                (format!("{set:?}"), event.into_iter().collect())
            }
            Self::Remove(first, count) => {
                let fields = first..first + count;
                let removed: Vec<_> = fields.map(|n| hash.remove(&field_name(n))).collect();
                let event = removed.contains(&true).then_some(Event::HDel);
                (format!("{removed:?}"), event.into_iter().collect())
            }
        }
    }
}

/// Does a command on the list at a key; what that answers.
pub(in crate::shard) fn run_on_list(
    shard: &mut Shard,
    db: DbIndex,
    key: Key<'_>,
    op: &ListOp,
) -> Result<String, WrongType> {
    let mut list = shard.list_mut(db, key)?;
    let (answer, events) = op.run(&mut list);
    list.close(&events);
    Ok(answer)
}

/// Does a command on the set at a key; what that answers.
pub(in crate::shard) fn run_on_set(
    shard: &mut Shard,
    db: DbIndex,
    key: Key<'_>,
    op: &SetOp,
) -> Result<String, WrongType> {
    let mut set = shard.set_mut(db, key)?;
    let (answer, events) = op.run(&mut set);
    set.close(&events);
    Ok(answer)
}

/// Does a command on the hash at a key, at a time; what that answers.
pub(in crate::shard) fn run_on_hash(
    shard: &mut Shard,
    db: DbIndex,
    key: Key<'_>,
    op: &HashOp,
    now: i64,
) -> Result<String, WrongType> {
    let mut hash = shard.hash_mut(db, key)?;
    let (answer, events) = op.run(&mut hash, now);
    hash.close(&events);
    Ok(answer)
}

/// Does a command on the sorted set at a key; what that answers.
pub(in crate::shard) fn run_on_sorted_set(
    shard: &mut Shard,
    db: DbIndex,
    key: Key<'_>,
    op: &SortedSetOp,
) -> Result<String, WrongType> {
    let mut set = shard.sorted_set_mut(db, key)?;
    let (answer, events) = op.run(&mut set);
    set.close(&events);
    Ok(answer)
}
