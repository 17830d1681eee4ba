//! HyperLogLogs: `PFADD`, `PFCOUNT`, `PFMERGE`. Values are strings in Redis's format (`larder_engine::hyperloglog`).
//!
//! What changes in a dense value is written in place, three bytes for each four registers of which one changes. A sparse value is
//! written from the first byte on that changes.

mod across;
mod debug;

use larder_engine::hyperloglog::{self, Corrupt, Rank, Registers, Representation};
use larder_engine::{
    Access, DbIndex, Encoding, EntryRef, Event, Key, Shard, StoreError, StringForm, TtlChange,
};

use crate::command::{
    Category, CommandSpec, Flags, Group, KeyFlags, KeySpec, Keys, Run, ShardCall, Spread,
};
use crate::config::Config;
use crate::resp::ErrorReply;
use crate::resp::errors::{self, CommandResult};

/// The table of what looks into values.
pub(crate) use debug::COMMANDS as DEBUG;

/// The table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "pfadd",
        arity: -2,
        flags: Flags::WRITE.with(Flags::DENYOOM).with(Flags::FAST).with(Flags::GROWS),
        categories: &[Category::HyperLogLog],
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::RW.insert())]),
        group: Group::HyperLogLog,
        since: "2.8.9",
        syntax: "key [element [element ...]]",
        summary: "Adds elements to a HyperLogLog, which comes to be if it does not exist.",
        complexity: "O(1) to add every element.",
        run: Run::OnShard(pfadd),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "pfcount",
        arity: -2,
        flags: Flags::READONLY.with(Flags::MAY_REPLICATE),
        categories: &[Category::HyperLogLog],
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::RW.access()).to(-1).note(
            "RW because it may change the internal representation of the key, and propagate to replicas",
        )]),
        is_constant_with_one_key: true,
        group: Group::HyperLogLog,
        since: "2.8.9",
        syntax: "key [key ...]",
        summary: "Estimates how many different elements were added to one HyperLogLog, or to any of several.",
        complexity: "O(1) with a very small average constant time when called with a single key. O(N) with N being \
                     the number of keys, and much bigger constant times, when called with multiple keys.",
        run: Run::FanOut {
            together: pfcount,
            spread: Spread::Rounds(across::pfcount_rounds),
        },
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "pfmerge",
        arity: -2,
        flags: Flags::WRITE.with(Flags::DENYOOM).with(Flags::GROWS),
        categories: &[Category::HyperLogLog],
        keys: Keys::of(&[
            KeySpec::at(1, KeyFlags::RW.access().insert()),
            KeySpec::at(2, KeyFlags::RO.access()).to(-1),
        ]),
        group: Group::HyperLogLog,
        since: "2.8.9",
        syntax: "destkey [sourcekey [sourcekey ...]]",
        summary: "Adds to a HyperLogLog all that was added to others.",
        complexity: "O(N) to merge N HyperLogLogs, but with high constant times.",
        run: Run::FanOut {
            together: pfmerge,
            spread: Spread::Rounds(across::pfmerge_rounds),
        },
        ..CommandSpec::BASE
    },
];

impl From<Corrupt> for ErrorReply {
    fn from(_: Corrupt) -> Self {
        errors::CORRUPT_HYPERLOGLOG
    }
}

/// The value of `entry`, and how its registers are written.
fn value_of<'e>(entry: &EntryRef<'e>) -> Result<(&'e [u8], Representation), ErrorReply> {
    let value = entry.string().ok_or(errors::WRONG_TYPE)?;
    let representation = hyperloglog::representation(value);
    Ok((value, representation.ok_or(errors::NOT_A_HYPERLOGLOG)?))
}

/// The most bytes of a sparse value.
fn sparse_max_bytes(config: &Config) -> u64 {
    config.hll_sparse_max_bytes
}

fn pfadd(call: &mut ShardCall<'_>) -> CommandResult {
    let (db, key) = (call.db, call.key(1));
    let elements = call.args.iter_from(2).map(Rank::of);
    let sparse_max = sparse_max_bytes(call.config);
    let Some(entry) = call.shard.get(db, key, call.access) else {
        return create(call, key);
    };
    let is_raw = entry.encoding() == Encoding::Raw;
    let (value, representation) = value_of(&entry)?;
    let raised = match representation {
        Representation::Dense => {
            // Nothing is written for elements that change nothing.
            let ranks = elements.filter(|rank| hyperloglog::raises(value, *rank));
            let mut ranks: Vec<Rank> = ranks.collect();
            if ranks.is_empty() {
                0
            } else {
                let stale = hyperloglog::keeping_none(value);
                let forgets = hyperloglog::kept_count(value).is_some();
                let (changes, raised) = hyperloglog::dense_changes(value, &mut ranks);
                write_changes(call.shard, db, key, forgets.then_some(stale), &changes)?;
                raised
            }
        }
        Representation::Sparse => {
            let added = hyperloglog::add_to_sparse(value, elements, sparse_max);
            if let Some(more) = &added.value {
                let was = (value.len(), unchanged_bytes(value, more));
                // As in Redis, what came before a fault is added, and nobody is told.
                let event = match added.is_corrupt {
                    true => Event::Silent,
                    false => Event::PfAdd,
                };
                write_over(call.shard, db, key, was, more, event)?;
            }
            if added.is_corrupt {
                return Err(errors::CORRUPT_HYPERLOGLOG);
            }
            added.raised
        }
    };
    if raised > 0 {
        call.shard.journal().count_as(0, raised - 1);
    } else if !is_raw {
        make_raw(call.shard, db, key)?;
    }
    call.reply.integer((raised > 0).into());
    Ok(())
}

/// `PFADD` of a key that does not exist.
fn create(call: &mut ShardCall<'_>, key: Key<'_>) -> CommandResult {
    let empty = hyperloglog::empty();
    let sparse_max = sparse_max_bytes(call.config);
    let elements = call.args.iter_from(2).map(Rank::of);
    let added = hyperloglog::add_to_sparse(&empty, elements, sparse_max);
    let mut value = added.value.unwrap_or(empty);
    hyperloglog::forget_count(&mut value);
    let (form, ttl) = (StringForm::Raw, TtlChange::Clear);
    call.shard
        .set(call.db, key, &value, form, ttl, Event::PfAdd)?;
    call.shard.journal().count_as(0, added.raised);
    call.reply.integer(1);
    Ok(())
}

/// How many bytes at the beginning of two values are the same, or a few fewer.
fn unchanged_bytes(was: &[u8], is: &[u8]) -> usize {
    let (was, is) = (was.as_chunks::<16>().0, is.as_chunks::<16>().0);
    let same = was.iter().zip(is).take_while(|(was, is)| was == is);
    16 * same.count()
}

/// Writes changes of a dense value in place.
fn write_changes(
    shard: &mut Shard,
    db: DbIndex,
    key: Key<'_>,
    stale: Option<(usize, [u8; 1])>,
    changes: &[(usize, [u8; 3])],
) -> Result<(), StoreError> {
    let stale = stale.as_ref().map(|(at, byte)| (*at, byte.as_slice()));
    let changes = changes.iter().map(|(at, bytes)| (*at, bytes.as_slice()));
    let mut event = Event::PfAdd;
    for (at, bytes) in stale.into_iter().chain(changes) {
        shard.write_range(db, key, at, bytes, event)?;
        event = Event::Silent;
    }
    Ok(())
}

/// Writes `value` over one of `was_bytes` of which the first `unchanged` are the same.
fn write_over(
    shard: &mut Shard,
    db: DbIndex,
    key: Key<'_>,
    (was_bytes, unchanged): (usize, usize),
    value: &[u8],
    event: Event,
) -> Result<(), StoreError> {
    if value.len() < was_bytes {
        return shard.set(db, key, value, StringForm::Raw, TtlChange::Keep, event);
    }
    let changed = &value[unchanged..];
    shard.write_range(db, key, unchanged, changed, event)?;
    Ok(())
}

/// Has a value that was set as a short string answer the encoding `raw`, as in Redis, where it is about to be changed in place.
fn make_raw(shard: &mut Shard, db: DbIndex, key: Key<'_>) -> Result<(), StoreError> {
    let entry = shard.get(db, key, Access::Peek);
    let first = entry.and_then(|entry| entry.string()?.first().copied());
    if let Some(first) = first {
        shard.write_range(db, key, 0, &[first], Event::Silent)?;
    }
    Ok(())
}

fn pfcount(call: &mut ShardCall<'_>) -> CommandResult {
    if call.args.len() > 2 {
        let (registers, _) = merge_all(call)?;
        call.reply.integer(registers.count() as i64);
        return Ok(());
    }
    let key = call.key(1);
    let Some(entry) = call.shard.read(call.db, key, call.access) else {
        call.stats.count_lookup((call.db, key.bytes()), false);
        call.reply.integer(0);
        return Ok(());
    };
    call.stats.count_lookup((call.db, key.bytes()), true);
    let (value, _) = value_of(&entry)?;
    let is_raw = entry.encoding() == Encoding::Raw;
    let count = match hyperloglog::kept_count(value) {
        Some(count) => {
            if !is_raw {
                make_raw(call.shard, call.db, key)?;
            }
            count
        }
        None => {
            let count = hyperloglog::count(value)?;
            let (at, bytes) = hyperloglog::keeping(count);
            call.shard
                .write_range(call.db, key, at, &bytes, Event::PfCount)?;
            count
        }
    };
    call.reply.integer(count as i64);
    Ok(())
}

/// The registers of all keys together, and whether any is dense.
fn merge_all(call: &mut ShardCall<'_>) -> Result<(Registers, bool), ErrorReply> {
    let mut registers = Registers::default();
    let mut is_dense = false;
    for at in 1..call.args.len() {
        let key = call.key(at);
        let Some(entry) = call.shard.read(call.db, key, call.access) else {
            call.stats.count_lookup((call.db, key.bytes()), false);
            continue;
        };
        call.stats.count_lookup((call.db, key.bytes()), true);
        let (value, representation) = value_of(&entry)?;
        is_dense |= representation == Representation::Dense;
        registers.merge(value)?;
    }
    Ok((registers, is_dense))
}

fn pfmerge(call: &mut ShardCall<'_>) -> CommandResult {
    let merged = merge_all(call)?;
    let key = call.key(1);
    store_merged(call.shard, call.db, key, &merged, call.config)?;
    call.reply.ok();
    Ok(())
}

/// Stores registers at `key`, of which they have all there are.
fn store_merged(
    shard: &mut Shard,
    db: DbIndex,
    key: Key<'_>,
    (registers, is_dense): &(Registers, bool),
    config: &Config,
) -> CommandResult {
    let entry = shard.get(db, key, Access::Touch);
    let was = entry.as_ref().map(value_of).transpose()?;
    let was = was.map(|(value, _)| value);
    let empty = hyperloglog::empty();
    let sparse_max = sparse_max_bytes(config);
    let value = registers.merged_into(was.unwrap_or(&empty), *is_dense, sparse_max)?;
    match was.map(<[u8]>::len) {
        Some(bytes) => write_over(shard, db, key, (bytes, 0), &value, Event::PfAdd)?,
        None => shard.set(
            db,
            key,
            &value,
            StringForm::Raw,
            TtlChange::Keep,
            Event::PfAdd,
        )?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::families::testing::{Bench, check};

    const NOT_ONE: &str = "WRONGTYPE Key is not a valid HyperLogLog string value.";
    const CORRUPT: &str = "INVALIDOBJ Corrupted HLL object detected";

    #[test]
    fn elements_are_added_and_counted_and_the_count_is_kept() {
        let mut bench = Bench::new();
        bench.check(&[
            ("PFADD h", "1"),
            ("PFADD h", "0"),
            ("PFCOUNT h", "0"),
            ("PFADD h a b c", "1"),
            ("PFADD h a b c", "0"),
            ("GETRANGE h 15 15", r#""\x80""#),
            ("PFCOUNT h", "3"),
            ("GETRANGE h 8 15", r#""\x03\x00\x00\x00\x00\x00\x00\x00""#),
            ("PFCOUNT none", "0"),
        ]);
        assert_eq!(bench.encoding("h"), "raw");
        assert_eq!(bench.events(), ["pfadd h", "pfadd h"]);
        // The key that comes to be, its count, the elements, and their count.
        assert_eq!(bench.changes(), 1 + 1 + 3 + 1);
    }

    #[test]
    fn a_dense_value_is_changed_where_its_registers_are() {
        let mut bench = Bench::new();
        bench.configure("hll-sparse-max-bytes", "20");
        bench.check(&[
            ("PFADD h a b c", "1"),
            ("PFDEBUG ENCODING h", "dense"),
            ("EXPIRE h 100", "1"),
            ("PFCOUNT h", "3"),
            ("PFADD h c b a", "0"),
            ("PFADD h d e f g", "1"),
            ("PFCOUNT h", "7"),
            ("STRLEN h", "12304"),
        ]);
        assert!(bench.deadline("h").is_some());
    }

    #[test]
    fn a_key_that_a_client_has_set_is_taken_for_what_it_says_it_is() {
        let mut bench = Bench::new();
        bench.check(&[
            ("SET x foo", "OK"),
            ("PFADD x a", NOT_ONE),
            ("PFCOUNT x", NOT_ONE),
            ("PFMERGE y x", NOT_ONE),
            ("PFMERGE x y", NOT_ONE),
            ("PFADD h a b c", "1"),
            ("APPEND h hello", "32"),
            ("PFCOUNT h", CORRUPT),
            ("PFADD h a b c", "0"),
            ("PFCOUNT h h", CORRUPT),
            ("PFMERGE h", CORRUPT),
            (
                r#"SET e "HYLL\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x7f\xff""#,
                "OK",
            ),
        ]);
        assert_eq!(bench.encoding("e"), "embstr");
        bench.check(&[("PFCOUNT e", "0")]);
        assert_eq!(bench.encoding("e"), "raw");
        check(&[
            ("RPUSH l a", "1"),
            (
                "PFADD l a",
                "WRONGTYPE Operation against a key holding the wrong kind of value",
            ),
        ]);
    }

    #[test]
    fn merging_keeps_the_deadline_and_makes_a_key_of_nothing() {
        let mut bench = Bench::new();
        bench.check(&[
            ("PFADD a 1 2 3", "1"),
            ("PFADD b 3 4 5", "1"),
            ("PFCOUNT a b", "5"),
            ("PFADD d 9", "1"),
            ("EXPIRE d 100", "1"),
            ("PFMERGE d a b none", "OK"),
            ("PFCOUNT d", "6"),
            ("PFMERGE e none", "OK"),
            ("PFCOUNT e", "0"),
        ]);
        assert!(bench.deadline("d").is_some());
        assert_eq!(bench.deadline("e"), None);
    }

    #[test]
    fn of_registers_that_are_corrupt_those_before_the_fault_are_raised_as_in_redis() {
        let mut bench = Bench::new();
        // 100 registers only; a's is 12711, e70's is 55.
        bench.check(&[
            (
                r#"SET k "HYLL\x01\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x40\x63""#,
                "OK",
            ),
            ("PFADD k", "0"),
            ("PFADD k a", CORRUPT),
            ("PFCOUNT k", "5"),
        ]);
        let before = bench.changes();
        bench.check(&[("PFADD k e70 a", CORRUPT)]);
        // The first element is added, and that counts as no change.
        assert_eq!(bench.changes(), before);
        bench.check(&[("PFCOUNT k", CORRUPT), ("PFADD k e70", "0")]);
        assert_eq!(bench.events(), ["set k"]);
    }
}
