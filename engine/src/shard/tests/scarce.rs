//! Memory that runs out after any number of blocks: what fails then leaves all as it was, what is taken back needs no more than there was,
//! who is told before a change has seen what changed, and in the end all is as in a shard that had what it wanted.

use proptest::collection::vec;

use super::*;
use crate::End;

const DATABASES: u16 = 2;
/// Later than the place of a deadline in a node can tell.
const WIDE_MS: i64 = 1 << 50;

/// A database and a key.
type Where = (DbIndex, u8);

#[derive(Clone, Debug)]
enum Step {
    Set(Where, Content, Ttl),
    Range(Where, usize, Content),
    Deadline(Where, Option<i64>),
    Remove(Where),
    Relocate(Where, Where),
    Copy(Where, Where),
    List(Where, ListOp),
    OfSet(Where, SetOp),
    Hash(Where, HashOp),
    SortedSet(Where, SortedSetOp),
    /// A collection of so many elements is gathered and put.
    Gather(Where, Kind, u32, Ttl),
    /// The string is stored anew.
    Rebuild(Where),
    Flush(DbIndex),
    Swap,
    Wait(i64),
    /// Each item and each node moves, as compaction would have it.
    MoveAll(DbIndex),
}

fn name(n: u8) -> Vec<u8> {
    let len = match n % 24 {
        0 => return Vec::new(),
        1 => 250,
        2 => 251,
        3 => 252,
        4 => 16_385,
        5..=9 => 100,
        _ => 8,
    };
    let mut name = format!("{n:03}").into_bytes();
    name.resize(len, b'k');
    name
}

fn content() -> impl Strategy<Value = Content> {
    let len = prop_oneof![
        6 => 0usize..40,
        6 => 40usize..248,
        4 => 244usize..251,
        2 => 251usize..3000,
        1 => 32_600usize..33_000,
    ];
    (len, any::<u8>()).prop_map(|(len, seed)| Content(len, seed))
}

fn deadline() -> impl Strategy<Value = i64> {
    prop_oneof![8 => 1i64..2000, 1 => Just(WIDE_MS), 1 => Just(-2_000_000), 1 => -5i64..1]
}

fn ttl() -> impl Strategy<Value = Ttl> {
    prop_oneof![
        4 => Just(Ttl::Clear),
        2 => Just(Ttl::Keep),
        3 => deadline().prop_map(Ttl::In),
    ]
}

fn place() -> impl Strategy<Value = Where> {
    (0..DATABASES, prop_oneof![3 => 0u8..12, 2 => 0u8..72]).prop_map(|(db, n)| (DbIndex(db), n))
}

fn list_step() -> impl Strategy<Value = ListOp> {
    let element = (prop_oneof![9 => 0usize..300, 1 => 300usize..5000], 0u8..4);
    let element = element.prop_map(|(len, seed)| Content(len, seed));
    let end = prop_oneof![Just(End::Head), Just(End::Tail)];
    prop_oneof![
        6 => (end.clone(), element.clone()).prop_map(|(e, c)| ListOp::Push(e, c, 1)),
        1 => end.prop_map(|e| ListOp::Pop(e, 1)),
        2 => (any::<u32>(), element.clone()).prop_map(|(i, c)| ListOp::Insert(i, c)),
        2 => (any::<u32>(), element).prop_map(|(i, c)| ListOp::Replace(i, c)),
        1 => (any::<u32>(), 0u32..20).prop_map(|(i, n)| ListOp::Cut(i, n)),
    ]
}

fn set_step() -> impl Strategy<Value = SetOp> {
    prop_oneof![
        5 => (0u16..25, any::<bool>()).prop_map(|(n, i)| SetOp::Add(n, 1, i)),
        1 => (0u16..25, any::<bool>()).prop_map(|(n, i)| SetOp::Remove(n, 1, i)),
    ]
}

fn hash_step() -> impl Strategy<Value = HashOp> {
    let value = (prop_oneof![9 => 0usize..300, 1 => 300usize..5000], 0u8..4);
    let value = value.prop_map(|(len, seed)| Content(len, seed));
    let ttl = prop_oneof![
        3 => Just(Ttl::Clear),
        1 => Just(Ttl::Keep),
        2 => (-5i64..2000).prop_map(Ttl::In),
    ];
    prop_oneof![
        5 => (0u16..25, value, ttl).prop_map(|(f, c, t)| HashOp::Set(f, 1, c, t)),
        3 => (0u16..25, prop::option::of(-5i64..2000)).prop_map(|(f, d)| HashOp::SetDeadline(f, 1, d)),
        1 => (0u16..25).prop_map(|f| HashOp::Remove(f, 1)),
    ]
}

fn sorted_set_step() -> impl Strategy<Value = SortedSetOp> {
    prop_oneof![
        6 => (0u16..25, any::<i16>()).prop_map(|(n, s)| SortedSetOp::Set(n, 1, s)),
        1 => (0u16..25).prop_map(|n| SortedSetOp::Remove(n, 1)),
        1 => (0u64..25, 0u64..9).prop_map(|(r, n)| SortedSetOp::RemoveRange(r, n)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![
        Just(Kind::List),
        Just(Kind::Set),
        Just(Kind::Hash),
        Just(Kind::SortedSet)
    ];
    let count = prop_oneof![3 => 1u32..10, 1 => 300u32..700];
    prop_oneof![
        12 => (place(), content(), ttl()).prop_map(|(at, c, t)| Step::Set(at, c, t)),
        4 => (place(), prop_oneof![0usize..260, 0usize..2000], content())
            .prop_map(|(at, o, c)| Step::Range(at, o, c)),
        5 => (place(), prop::option::of(deadline())).prop_map(|(at, d)| Step::Deadline(at, d)),
        3 => place().prop_map(Step::Remove),
        4 => (place(), place()).prop_map(|(a, b)| Step::Relocate(a, b)),
        2 => (place(), place()).prop_map(|(a, b)| Step::Copy(a, b)),
        3 => (place(), list_step()).prop_map(|(at, op)| Step::List(at, op)),
        3 => (place(), set_step()).prop_map(|(at, op)| Step::OfSet(at, op)),
        6 => (place(), hash_step()).prop_map(|(at, op)| Step::Hash(at, op)),
        4 => (place(), sorted_set_step()).prop_map(|(at, op)| Step::SortedSet(at, op)),
        2 => (place(), kind, count, ttl()).prop_map(|(at, k, n, t)| Step::Gather(at, k, n, t)),
        2 => place().prop_map(Step::Rebuild),
        1 => (0..DATABASES).prop_map(|db| Step::Flush(DbIndex(db))),
        1 => Just(Step::Swap),
        2 => (0i64..500).prop_map(Step::Wait),
        2 => (0..DATABASES).prop_map(|db| Step::MoveAll(DbIndex(db))),
    ]
}

type Entries = BTreeMap<Vec<u8>, Entry>;

/// What somebody could find out about a shard.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    databases: Vec<Entries>,
    contents: Vec<ContentsId>,
    lens: Vec<(u64, u64)>,
    changes: u64,
    payload_bytes: u64,
}

impl Seen {
    /// The same, whatever has been used: what a command opens it uses, even if it fails then.
    fn without_uses(mut self) -> Self {
        for entry in self.databases.iter_mut().flat_map(BTreeMap::values_mut) {
            entry.access = AccessClock(0);
        }
        self
    }
}

/// What a subscriber was told first of each key: what it held.
type Told = Rc<RefCell<BTreeMap<(ContentsId, Vec<u8>), Option<Entry>>>>;

struct Scarce {
    shard: Shard,
    now: i64,
}

impl Scarce {
    fn new(alike: Alike) -> Self {
        let mut shard = shard_with(alike);
        let now = 1_000_000;
        shard.set_now(UnixMillis(now));
        Self { shard, now }
    }

    fn seen(&self) -> Seen {
        let databases = || (0..DATABASES).map(DbIndex);
        let entries = |db| {
            let mut entries = BTreeMap::new();
            self.shard.for_each(db, &mut |entry| {
                entries.insert(entry.key().to_vec(), Entry::of(&entry));
            });
            entries
        };
        let lens = |db| (self.shard.len(db), self.shard.volatile_len(db));
        Seen {
            databases: databases().map(entries).collect(),
            contents: databases().map(|db| self.shard.contents_of(db)).collect(),
            lens: databases().map(lens).collect(),
            changes: self.shard.journal.changes(),
            payload_bytes: self.shard.memory().payload_bytes,
        }
    }

    fn run_out_after(&mut self, blocks: Option<u32>) {
        self.shard.memory.arena_mut().run_out_after(blocks);
    }

    /// Brings near what a step is about.
    fn bring_near(&mut self, step: &Step) {
        let (first, second) = match *step {
            Step::Set(at, ..)
            | Step::Range(at, ..)
            | Step::Deadline(at, _)
            | Step::Remove(at)
            | Step::List(at, _)
            | Step::OfSet(at, _)
            | Step::Hash(at, _)
            | Step::SortedSet(at, _)
            | Step::Gather(at, ..)
            | Step::Rebuild(at) => (at, None),
            Step::Relocate(from, to) | Step::Copy(from, to) => (from, Some(to)),
            Step::Flush(_) | Step::Swap | Step::Wait(_) | Step::MoveAll(_) => return,
        };
        let hash = |(_, n): Where| self.shard.hasher().hash(&name(n));
        let ahead = |at: Where| KeyAhead {
            hash: hash(at),
            writes: false,
        };
        let keys: Vec<KeyAhead> = [Some(first), second]
            .into_iter()
            .flatten()
            .map(ahead)
            .collect();
        self.shard.prefetch(first.0, &keys);
    }

    /// Takes a step.
    fn take(&mut self, step: &Step) -> Result<(), StoreError> {
        let hasher = self.shard.hasher().clone();
        let now = self.now;
        let at = |ms: i64| UnixMillis(now + ms);
        let ttl_of = |ttl: &Ttl| match *ttl {
            Ttl::Clear => TtlChange::Clear,
            Ttl::Keep => TtlChange::Keep,
            Ttl::In(ms) => TtlChange::At(at(ms)),
        };
        let shard = &mut self.shard;
        let failed = |answer: Result<String, WrongType>| match answer {
            Ok(answer) if answer.contains("OutOfMemory") => Err(StoreError::OutOfMemory),
            _ => Ok(()),
        };
        match *step {
            Step::Set((db, n), ref content, ref ttl) => {
                let (key, value, form) = (name(n), content.bytes(), StringForm::Detect);
                shard.set(db, hasher.key(&key), &value, form, ttl_of(ttl), Event::Set)
            }
            Step::Range((db, n), offset, ref content) => {
                let (key, value) = (name(n), content.bytes());
                let key = hasher.key(&key);
                let there = shard.get(db, key, Access::Peek);
                if there.is_some_and(|entry| entry.string().is_none()) {
                    return Ok(());
                }
                let written = shard.write_range(db, key, offset, &value, Event::SetRange);
                written.map(drop)
            }
            Step::Deadline((db, n), ms) => {
                let key = name(n);
                let set = shard.set_deadline(db, hasher.key(&key), ms.map(at), Event::Expire);
                set.map(drop)
            }
            Step::Remove((db, n)) => {
                shard.remove(db, hasher.key(&name(n)), Event::Del);
                Ok(())
            }
            Step::Relocate((db, n), (to_db, to)) => {
                let (key, to) = (name(n), name(to));
                let (key, to) = (hasher.key(&key), hasher.key(&to));
                let events = (Event::RenameFrom, Event::RenameTo);
                shard.relocate((db, key), (to_db, to), events).map(drop)
            }
            Step::Copy((db, n), (to_db, to)) => {
                let (key, to) = (name(n), name(to));
                let Some(found) = shard.get(db, hasher.key(&key), Access::Peek) else {
                    return Ok(());
                };
                if found.is_whole() {
                    let image = found.shared_image();
                    return shard.put(to_db, hasher.key(&to), &image, Event::CopyTo);
                }
                let attributes = (found.expires_at(), found.access());
                let whole = shard.part(db, hasher.key(&key), (0, usize::MAX));
                let (image, _) = whole.expect("it is there");
                let copy = shard.begin_loose(image.kind, Some(image.encoding));
                if let Err(error) = shard.add_part(copy, &image.bytes) {
                    shard.drop_loose(copy);
                    return Err(error);
                }
                shard.put_loose(to_db, hasher.key(&to), copy, attributes, Event::CopyTo)
            }
            Step::List((db, n), ref op) => failed(run_on_list(shard, db, hasher.key(&name(n)), op)),
            Step::OfSet((db, n), ref op) => failed(run_on_set(shard, db, hasher.key(&name(n)), op)),
            Step::Hash((db, n), ref op) => {
                failed(run_on_hash(shard, db, hasher.key(&name(n)), op, now))
            }
            Step::SortedSet((db, n), ref op) => {
                failed(run_on_sorted_set(shard, db, hasher.key(&name(n)), op))
            }
            Step::Gather((db, n), kind, count, ref ttl) => {
                let key = name(n);
                let ends_at = match *ttl {
                    Ttl::In(ms) => Some(at(ms)),
                    Ttl::Clear | Ttl::Keep => None,
                };
                let id = gather(shard, kind, count, now)?;
                let attributes = (ends_at, AccessClock::at(UnixMillis(now)));
                shard.put_loose(db, hasher.key(&key), id, attributes, Event::Restore)
            }
            Step::Rebuild((db, n)) => {
                let key = name(n);
                let key = hasher.key(&key);
                let Some(found) = shard.get(db, key, Access::Peek) else {
                    return Ok(());
                };
                let attributes = (found.expires_at(), found.access());
                let Some(value) = found.string().map(<[u8]>::to_vec) else {
                    return Ok(());
                };
                shard.rebuild_string(db, key, &value, attributes)
            }
            Step::Flush(db) => {
                shard.flush(db);
                Ok(())
            }
            Step::Swap => {
                shard.swap(DbIndex(0), DbIndex(1));
                Ok(())
            }
            Step::Wait(ms) => {
                self.now += ms;
                shard.set_now(UnixMillis(self.now));
                Ok(())
            }
            Step::MoveAll(db) => {
                move_all(shard, db);
                Ok(())
            }
        }
    }

    /// Takes a step, with a block more each time until there is memory enough; whether it was.
    fn take_with_ever_more(&mut self, step: &Step, is_told: bool) {
        let (mut blocks, now) = (0, self.now);
        loop {
            let before = self.seen();
            self.bring_near(step);
            if !matches!(step, Step::MoveAll(_)) {
                self.shard.begin_undo();
                self.run_out_after(Some(blocks));
                let _ = self.take(step);
                self.run_out_after(Some(0));
                self.shard.undo();
                self.run_out_after(None);
                self.now = now;
                self.shard.set_now(UnixMillis(now));
                self.shard.check();
                assert_eq!(self.seen(), before, "{blocks} {step:?} taken back");
            }
            let told: Told = Rc::default();
            // What ends as time goes by is told when it is removed.
            let is_told = is_told && !matches!(step, Step::Wait(_));
            let subscriber = is_told.then(|| {
                let told = Rc::clone(&told);
                let told = Box::new(move |upcoming: &Upcoming<'_>| note(&told, upcoming));
                self.shard.subscribe_before(told)
            });
            self.bring_near(step);
            self.run_out_after(Some(blocks));
            let taken = self.take(step);
            self.run_out_after(None);
            if let Some(subscriber) = subscriber {
                self.shard.unsubscribe_before(subscriber);
                assert_told(&told.borrow(), &before, &self.seen());
            }
            self.shard.check();
            match taken {
                Ok(()) => break,
                Err(error) => assert_eq!(error, StoreError::OutOfMemory),
            }
            let (is, was) = (self.seen().without_uses(), before.without_uses());
            assert_eq!(is, was, "{blocks} {step:?} failed");
            blocks += 1 + blocks / 8;
        }
    }

    /// Removes what has ended.
    fn expire(&mut self) {
        while self.shard.expire_cycle(u32::MAX).is_cut_short {}
    }
}

/// A collection that no key has yet.
fn gather(shard: &mut Shard, kind: Kind, count: u32, now: i64) -> Result<LooseId, StoreError> {
    let id = shard.begin_loose(kind, None);
    for n in 0..count {
        let expires_at = (n % 5 == 3).then_some(UnixMillis(now + 1 + i64::from(n)));
        let added = match kind {
            Kind::List => shard.push_loose(id, &number(n)),
            Kind::Set => shard.add_member(id, &number(n)).map(drop),
            Kind::SortedSet => {
                let (name, score) = (&*number(n), f64::from(n % 7) / 3.0);
                let member = Member { name, score };
                shard.add_scored(id, member).map(drop)
            }
            _ => {
                let (name, value) = (&*number(n), &b"value"[..]);
                let field = Field {
                    name,
                    value,
                    expires_at,
                };
                shard.add_field(id, field).map(drop)
            }
        };
        if let Err(error) = added {
            shard.drop_loose(id);
            return Err(error);
        }
    }
    Ok(id)
}

/// Has each item and each node of a database move.
fn move_all(shard: &mut Shard, db: DbIndex) {
    let mut blocks = Vec::new();
    shard.keyspace(db).for_each(&shard.memory, |entry| {
        let block = match entry {
            crate::spiral::entries::Entry::Item(item) => item,
            crate::spiral::entries::Entry::Short(short) => short.node(),
        };
        if !blocks.contains(&block) {
            blocks.push(block);
        }
    });
    for block in blocks {
        shard.move_block(block);
    }
}

fn note(told: &Told, upcoming: &Upcoming<'_>) {
    let mut told = told.borrow_mut();
    match *upcoming {
        Upcoming::Entry {
            contents,
            key,
            entry,
        } => {
            let held = entry.map(|entry| Entry::of(&entry));
            told.entry((contents, key.to_vec())).or_insert(held);
        }
        Upcoming::Flush { contents, entries } => entries.for_each(&mut |entry| {
            let held = Some(Entry::of(&entry));
            let place = (contents, entry.key().to_vec());
            told.entry(place).or_insert(held);
        }),
    }
}

/// What was told first of a key is what it held, and of each that holds something else now something was.
fn assert_told(told: &BTreeMap<(ContentsId, Vec<u8>), Option<Entry>>, before: &Seen, after: &Seen) {
    let flat = |seen: &Seen| -> BTreeMap<(ContentsId, Vec<u8>), Entry> {
        let databases = seen.contents.iter().zip(&seen.databases);
        let entries = databases.flat_map(|(&contents, entries)| {
            let of_contents =
                move |(key, entry): (&Vec<u8>, &Entry)| ((contents, key.clone()), entry.clone());
            entries.iter().map(of_contents)
        });
        entries.collect()
    };
    let (before, after) = (flat(before), flat(after));
    for (place, held) in told {
        let was = before.get(place);
        let is_same = match (held, was) {
            (Some(held), Some(was)) => {
                (&held.value, held.expires_at) == (&was.value, was.expires_at)
            }
            (held, was) => held.is_some() == was.is_some(),
        };
        assert!(is_same, "{place:?} was {was:?}, told {held:?}");
    }
    for place in before.keys().chain(after.keys()) {
        let value = |entry: &Entry| (entry.value.clone(), entry.expires_at);
        if before.get(place).map(value) != after.get(place).map(value) {
            assert!(told.contains_key(place), "{place:?} has changed");
        }
    }
}

fn play(alike: Alike, steps: &[(Step, bool)]) {
    let mut scarce = Scarce::new(alike);
    let mut rich = Scarce::new(Alike::Nothing);
    for (step, is_told) in steps {
        scarce.take_with_ever_more(step, *is_told);
        rich.take(step).expect("memory");
        scarce.run_out_after(Some(0));
        scarce.expire();
        scarce.run_out_after(None);
        scarce.shard.check();
        rich.expire();
        let (is, should_be) = (scarce.seen(), rich.seen());
        assert_eq!(
            (&is.databases, &is.lens),
            (&should_be.databases, &should_be.lens),
            "{step:?}"
        );
    }
    for db in (0..DATABASES).map(DbIndex) {
        scarce.shard.flush(db);
    }
    tend_to_the_end(&mut scarce.shard);
    scarce.shard.check();
    assert_eq!(scarce.shard.bytes_beside_nodes(), 0);
    assert_eq!(scarce.shard.memory().payload_bytes, 0);
}

proptest! {
    #![proptest_config(cases(60, 1))]

    #[test]
    fn what_lacks_memory_leaves_all_as_it_was(
        alike in alike(),
        steps in vec((step(), any::<bool>()), 1..80),
    ) {
        play(alike, &steps);
    }
}
