//! `SORT` and `SORT_RO`: the elements of a list or a set in an order, by themselves or by what other keys hold.
//!
//! ```text
//!  elements ──▶ a weight for each: itself, or what BY names ──▶ sorted, LIMIT ──▶ itself, or what each GET names ──▶ reply, or STORE
//! ```
//! Patterns name any keys, on any core. Where they can name some elsewhere, everything is locked: to be read, and the core of the
//! destination to be written (`across.rs`). So, unlike a cluster of Redis, a server of many cores has patterns.
//!
//! As Redis does it: numbers that are equal are ordered by the elements; texts that are equal stay as they were; what is not there
//! counts as 0 or comes before every text, and is stored as the empty string. Texts are compared byte by byte. A set has no order that
//! its members could keep, so that they are ordered as texts, which Redis does where they are stored or a script has them.
//!
//! Many elements are sorted in steps (`steps.rs`), if all is on one core.

mod across;
mod options;
mod order;
mod pattern;
mod steps;
mod texts;

use std::ops::ControlFlow;

use larder_engine::{Access, Bound, DbIndex, Direction, End, Event, Key, Kind, LooseId, Shard};

use crate::command::families::pieces::AtOnce;
use crate::command::{
    Args, Category, CommandSpec, Flags, Found, Group, KeyFlags, KeySpec, Keys, Run, ShardCall,
    Spread, Steps,
};
use crate::observe::Stats;
use crate::resp::ErrorReply;
use crate::resp::errors::CommandResult;
use options::{By, MayStore, Options};
use pattern::{Pattern, PatternedKey};
use texts::Texts;

/// The table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "sort",
        flags: Flags::WRITE.with(Flags::DENYOOM).with(Flags::GROWS),
        keys: Keys::of(&[SORTED, PATTERNED, STORED]),
        syntax: "key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC] [ALPHA] [STORE destination]",
        summary: "Returns the elements of a list, a set or a sorted set sorted, or stores them.",
        run: Run::FanOut {
            together: |call| sort(call, MayStore::Yes, AtOnce::All).map(drop),
            spread: Spread::Rounds(across::sort),
        },
        steps: Some(|call| sort(call, MayStore::Yes, AtOnce::Little)),
        ..SORT
    },
    CommandSpec {
        name: "sort_ro",
        flags: Flags::READONLY,
        keys: Keys::of(&[SORTED, PATTERNED]),
        since: "7.0.0",
        syntax: "key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC] [ALPHA]",
        summary: "Returns the elements of a list, a set or a sorted set sorted.",
        run: Run::FanOut {
            together: |call| sort(call, MayStore::No, AtOnce::All).map(drop),
            spread: Spread::Rounds(across::sort_ro),
        },
        steps: Some(|call| sort(call, MayStore::No, AtOnce::Little)),
        ..SORT
    },
];

const SORT: CommandSpec = CommandSpec {
    arity: -2,
    categories: &[
        Category::Set,
        Category::SortedSet,
        Category::List,
        Category::Dangerous,
    ],
    group: Group::Generic,
    complexity: "O(N+M*log(M)) where N is the number of elements, and M the number of those returned. O(N) where they are not sorted. On several cores, if patterns name other keys or the destination is another core's, the elements are copied in one step, and stored in one.",
    ..CommandSpec::BASE
};

const SORTED: KeySpec = KeySpec::at(1, KeyFlags::RO.access());
const PATTERNED: KeySpec = KeySpec::unknown(KeyFlags::RO.access())
    .unnamed(options::names_other_keys)
    .note(
        "For the optional BY/GET keyword. It is marked 'unknown' because the key names derive from the content of the key we sort",
    );
const STORED: KeySpec = KeySpec::unknown(KeyFlags::OW.update())
    .found_by(destination)
    .note(
        "For the optional STORE keyword. It is marked 'unknown' because the keyword can appear anywhere in the argument array",
    );

fn destination(args: &Args<'_>) -> Found {
    options::destination(args)
}

/// `SORT` and `SORT_RO` on one core.
fn sort(
    call: &mut ShardCall<'_>,
    may_store: MayStore,
    at_once: AtOnce,
) -> Result<Option<Box<dyn Steps>>, ErrorReply> {
    let options = Options::parse(&call.args, may_store)?;
    if at_once == AtOnce::Little
        && let Some(steps) = steps::begin(call, &options)
    {
        return Ok(Some(steps));
    }
    sort_here(call, &options)?;
    Ok(None)
}

fn sort_here(call: &mut ShardCall<'_>, options: &Options) -> CommandResult {
    let (key, access) = (call.key(1), call.access);
    let mut place = Place {
        shard: call.shard,
        stats: call.stats,
        db: call.db,
        access,
    };
    let elements = place.elements(key, options)?;
    let weights = match &options.by {
        By::Pattern(Pattern::Key(pattern)) => Some(place.values(&elements, pattern)?),
        _ => None,
    };
    let order = order::order(&elements, weights.as_ref(), options)?;
    if let Some(destination) = options.store {
        let mut stored = Texts::default();
        for &at in &order {
            if options.gets.is_empty() {
                stored.push(elements.get(at));
            }
            for get in &options.gets {
                place.get(&elements, at, get, |value| {
                    stored.push(Some(value.unwrap_or_default()));
                });
                stored.check_beside(elements.bytes())?;
            }
        }
        let key = call.key(destination);
        let count = stored.len();
        store(
            call.shard,
            call.db,
            key,
            stored.iter().map(Option::unwrap_or_default),
        )?;
        call.reply.count(count as u64);
        return Ok(());
    }
    let (mark, reply) = (call.reply.mark(), &mut call.reply);
    reply.array(order.len() * options.gets.len().max(1));
    for &at in &order {
        if options.gets.is_empty() {
            reply.bulk(elements.get(at).unwrap_or_default());
        }
        for get in &options.gets {
            place.get(&elements, at, get, |value| match value {
                Some(value) => reply.bulk(value),
                None => reply.null(),
            });
            reply.check_len(mark)?;
        }
        reply.check_len(mark)?;
    }
    Ok(())
}

/// Where values are read.
struct Place<'a> {
    shard: &'a mut Shard,
    stats: &'a mut Stats,
    db: DbIndex,
    access: Access,
}

impl Place<'_> {
    /// The elements at a key that are to be sorted: all, or those that are wanted in the order that they have.
    ///
    /// # Errors
    /// What is there has no elements.
    fn elements(&mut self, key: Key<'_>, options: &Options) -> Result<Texts, ErrorReply> {
        let mut elements = Texts::default();
        let list = self.shard.list(self.db, key, self.access);
        self.stats.count_typed_lookup((self.db, key.bytes()), &list);
        let list = match list {
            Ok(Some(list)) => list,
            Ok(None) => return Ok(elements),
            Err(_) => return self.members(key, options),
        };
        let len = list.len();
        if !matches!(options.by, By::Nothing) {
            let mut fits = Ok(());
            list.range(0..len, |element| {
                if fits.is_ok() {
                    elements.push(Some(element));
                    fits = elements.check_beside(0);
                }
            });
            return fits.map(|()| elements);
        }
        let range = options.range(len as usize);
        let mut rest = range.len();
        if rest > 0 {
            let (first, from) = match options.is_descending {
                false => (range.start as u32, End::Head),
                true => (len - 1 - range.start as u32, End::Tail),
            };
            list.walk(first, from, |_, element| {
                elements.push(Some(element));
                rest -= 1;
                rest > 0 && elements.check_beside(0).is_ok()
            });
        }
        elements.check_beside(0).map(|()| elements)
    }

    /// The members of the set at a key, as [`Self::elements`].
    fn members(&mut self, key: Key<'_>, options: &Options) -> Result<Texts, ErrorReply> {
        let mut elements = Texts::default();
        let set = match self.shard.set_at(self.db, key, self.access) {
            Ok(Some(set)) => set,
            Ok(None) => return Ok(elements),
            Err(_) => return self.scored(key, options),
        };
        if !matches!(options.by, By::Nothing) {
            let mut fits = Ok(());
            set.each(&mut |member| {
                if fits.is_ok() {
                    elements.push(Some(member));
                    fits = elements.check_beside(0);
                }
            });
            return fits.map(|()| elements);
        }
        let mut members = Vec::with_capacity(set.len() as usize);
        set.each(&mut |member| members.push(member));
        members.sort_unstable();
        if options.is_descending {
            members.reverse();
        }
        let wanted = &members[options.range(members.len())];
        for member in wanted {
            elements.push(Some(member));
            elements.check_beside(0)?;
        }
        Ok(elements)
    }

    /// As [`Self::elements`], of a sorted set: their order is that of their scores.
    fn scored(&mut self, key: Key<'_>, options: &Options) -> Result<Texts, ErrorReply> {
        let mut elements = Texts::default();
        let Some(set) = self.shard.sorted_set(self.db, key, self.access)? else {
            return Ok(elements);
        };
        let (mut from, mut direction) = (Bound::Start, Direction::Up);
        let mut rest = set.len() as usize;
        if matches!(options.by, By::Nothing) {
            let range = options.range(rest);
            (from, direction) = match options.is_descending {
                false => (Bound::Rank(range.start as u64), Direction::Up),
                true => (Bound::Rank((rest - range.start) as u64), Direction::Down),
            };
            rest = range.len();
        }
        if rest > 0 {
            set.walk(&from, direction, &mut |member| {
                elements.push(Some(member.name));
                rest -= 1;
                match rest == 0 || elements.check_beside(0).is_err() {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            });
        }
        elements.check_beside(0).map(|()| elements)
    }

    /// What a pattern names for each element.
    ///
    /// # Errors
    /// It is too much.
    fn values(&mut self, elements: &Texts, pattern: &PatternedKey) -> Result<Texts, ErrorReply> {
        let (mut values, mut key) = (Texts::default(), Vec::new());
        for element in elements.iter() {
            pattern.name(element.unwrap_or_default(), &mut key);
            self.value(&key, pattern.field(), |value| values.push(value));
            values.check_beside(elements.bytes())?;
        }
        Ok(values)
    }

    /// Shows what `get` answers for the element of number `at`.
    fn get(
        &mut self,
        elements: &Texts,
        at: usize,
        get: &Pattern,
        show: impl FnOnce(Option<&[u8]>),
    ) {
        let element = elements.get(at);
        match get {
            Pattern::Element => show(element),
            Pattern::Nothing => show(None),
            Pattern::Key(pattern) => {
                let mut key = Vec::new();
                pattern.name(element.unwrap_or_default(), &mut key);
                self.value(&key, pattern.field(), show);
            }
        }
    }

    /// Shows the string at a key, or the field of the hash there; none if there is no such thing.
    fn value(&mut self, key: &[u8], field: Option<&[u8]>, show: impl FnOnce(Option<&[u8]>)) {
        let key = self.shard.hasher().key(key);
        let Some(field) = field else {
            let entry = self.shard.read(self.db, key, self.access);
            self.stats
                .count_lookup((self.db, key.bytes()), entry.is_some());
            return show(entry.and_then(|entry| entry.string()));
        };
        let hash = self.shard.hash(self.db, key, self.access);
        self.stats.count_typed_lookup((self.db, key.bytes()), &hash);
        let found = hash.ok().flatten().and_then(|hash| hash.get(field));
        show(found.map(|field| field.value));
    }
}

/// Makes a list of `elements` at a key, in the place of what is there; removes that, if there are none.
///
/// # Errors
/// Memory is out; then the key is as it was.
fn store<'e>(
    shard: &mut Shard,
    db: DbIndex,
    key: Key<'_>,
    mut elements: impl ExactSizeIterator<Item = &'e [u8]>,
) -> CommandResult {
    let gathered = shard.begin_loose(Kind::List, None);
    let stored = elements.try_for_each(|element| Ok(shard.push_loose(gathered, element)?));
    drop_if_failed(shard, gathered, stored)?;
    remove_or_put(shard, db, key, gathered)?;
    Ok(())
}

/// Drops what is gathered, if something of it could not be.
fn drop_if_failed(shard: &mut Shard, gathered: LooseId, outcome: CommandResult) -> CommandResult {
    if outcome.is_err() {
        shard.drop_loose(gathered);
    }
    outcome
}

/// Puts what is gathered at a key, or removes what is there, if that is nothing. How many elements there are.
///
/// # Errors
/// Memory is out; then the key is as it was.
fn remove_or_put(
    shard: &mut Shard,
    db: DbIndex,
    key: Key<'_>,
    gathered: LooseId,
) -> Result<u64, ErrorReply> {
    let count = shard.loose_len(gathered);
    if count == 0 {
        shard.drop_loose(gathered);
        shard.remove(db, key, Event::Del);
        return Ok(0);
    }
    let attributes = (None, shard.access_of_new());
    shard.put_loose(db, key, gathered, attributes, Event::SortStore)?;
    // As in Redis, where each element counts.
    shard.journal().count_as(1, count);
    Ok(count)
}

#[cfg(test)]
mod tests {
    use larder_engine::limits::MAX_VALUE_BYTES;

    use super::*;
    use crate::command::families::testing::Bench;

    #[test]
    fn what_cannot_be_stored_leaves_what_was_there() {
        let mut bench = Bench::new();
        bench.run("RPUSH d old");
        let key = bench.shard.hasher().key(b"d");
        // Its pages are never touched.
        let large = vec![0; MAX_VALUE_BYTES + 1];
        let elements = [&b"new"[..], &large];
        assert!(store(&mut bench.shard, bench.db, key, elements.into_iter()).is_err());
        bench.check(&[("LRANGE d 0 -1", "[\"old\"]")]);
    }

    #[test]
    fn members_of_a_set_are_sorted_and_have_no_order_of_their_own() {
        let mut bench = Bench::new();
        bench.check(&[
            ("SADD s 10 9 1", "3"),
            ("SORT s", "[\"1\", \"9\", \"10\"]"),
            ("SORT s DESC LIMIT 0 2", "[\"10\", \"9\"]"),
            ("SORT s BY nosort", "[\"1\", \"10\", \"9\"]"),
            ("SORT s BY nosort DESC LIMIT 1 1", "[\"10\"]"),
            ("MSET w1 3 w9 2 w10 1", "OK"),
            (
                "SORT s BY w* GET # GET w*",
                "[\"10\", \"1\", \"9\", \"2\", \"1\", \"3\"]",
            ),
            ("SORT s BY nosort STORE d", "3"),
            ("LRANGE d 0 -1", "[\"1\", \"10\", \"9\"]"),
        ]);
    }

    #[test]
    fn members_of_a_sorted_set_have_the_order_of_their_scores_if_they_are_not_sorted() {
        let mut bench = Bench::new();
        bench.check(&[
            ("ZADD z 1 9 2 10 3 1", "3"),
            ("SORT z", "[\"1\", \"9\", \"10\"]"),
            ("SORT z ALPHA DESC", "[\"9\", \"10\", \"1\"]"),
            ("SORT z BY nosort", "[\"9\", \"10\", \"1\"]"),
            ("SORT z BY nosort DESC LIMIT 1 2", "[\"10\", \"9\"]"),
            ("SORT_RO z BY nosort LIMIT 2 5", "[\"1\"]"),
            ("SORT z BY nosort LIMIT 3 5", "[]"),
            ("SORT z BY nosort STORE d", "3"),
            ("LRANGE d 0 -1", "[\"9\", \"10\", \"1\"]"),
        ]);
    }

    #[test]
    fn what_is_stored_takes_the_place_of_what_was_there() {
        let mut bench = Bench::new();
        bench.check(&[
            ("RPUSH l 3 1 2", "3"),
            ("SET d old EX 100", "OK"),
            ("SORT l STORE d", "3"),
            ("LRANGE d 0 -1", "[\"1\", \"2\", \"3\"]"),
            ("TTL d", "-1"),
            ("SORT none STORE d", "0"),
            ("EXISTS d", "0"),
            ("SORT l BY nosort LIMIT 0 1 STORE l", "1"),
            ("LRANGE l 0 -1", "[\"3\"]"),
        ]);
    }
}
