//! Fields whose deadlines, or whose ends, come with a read or a write: `HGETEX`, `HSETEX`, `HGETDEL`.

use std::collections::HashSet;
use std::ops::Range;

use larder_engine::{Event, Fate, Field, HashMut, TtlChange};

use super::WRITING;
use super::fields::close_told;
use super::options::{Expiry, FieldCondition, Grammar, Options, behind_type, only_fields};
use crate::command::{Args, CommandSpec, Flags, KeyFlags, KeySpec, Keys, Run, ShardCall};
use crate::resp::errors::{self, CommandResult};
use crate::resp::{BULK_FRAME_BYTES, NULL_BYTES, REPLY_MAX_BYTES};

/// The table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "hgetex",
        arity: -5,
        flags: Flags::WRITE.with(Flags::FAST),
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::RW.access().update())
            .note("RW and UPDATE because it changes the TTL")]),
        syntax: "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST] \
                 FIELDS numfields field [field ...]",
        summary: "Returns the values of fields of a hash, and sets or removes their deadlines.",
        run: Run::OnShard(hgetex),
        ..EXPIRING
    },
    CommandSpec {
        name: "hsetex",
        arity: -6,
        syntax: "key [NX | XX] [FNX | FXX] [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | \
                 KEEPTTL] FIELDS numfields field value [field value ...]",
        summary: "Sets the values of fields of a hash, optionally with a condition and one deadline for all.",
        run: Run::OnShard(hsetex),
        ..EXPIRING
    },
    CommandSpec {
        name: "hgetdel",
        arity: -5,
        flags: Flags::WRITE.with(Flags::FAST),
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::RW.access().delete())]),
        syntax: "key FIELDS numfields field [field ...]",
        summary: "Returns the values of fields of a hash, and deletes the fields.",
        run: Run::OnShard(hgetdel),
        ..EXPIRING
    },
];

const EXPIRING: CommandSpec = CommandSpec {
    since: "8.0.0",
    complexity: "O(N) where N is the number of fields named.",
    ..WRITING
};

fn hgetdel(call: &mut ShardCall<'_>) -> CommandResult {
    let args = call.args;
    let fields = only_fields(&args).map_err(|error| behind_type(call, error))?;
    show_each(call, fields, Event::HDel, |_| Fate::Goes)
}

fn hgetex(call: &mut ShardCall<'_>) -> CommandResult {
    let (args, now) = (call.args, call.shard.now());
    let options = Options::parse(&args, Grammar::GetEx, now);
    let Options { expiry, fields, .. } = options.map_err(|error| behind_type(call, error))?;
    match expiry {
        Expiry::At(deadline) if deadline <= now => {
            show_each(call, fields, Event::HDel, |_| Fate::Goes)
        }
        Expiry::At(deadline) => {
            show_each(call, fields, Event::HExpire, |_| Fate::Ends(Some(deadline)))
        }
        Expiry::Persist => show_each(call, fields, Event::HPersist, |field| {
            match field.expires_at {
                Some(_) => Fate::Ends(None),
                None => Fate::Stays,
            }
        }),
        Expiry::None | Expiry::Keep => show_each(call, fields, Event::HPersist, |_| Fate::Stays),
    }
}

/// Answers the values of fields, and has become of each what `decide` says; with this event, if that changed anything. A field
/// that is named again is looked at again.
///
/// # Errors
/// The key is of another type, or the values are more than a reply holds: then nothing changed. Or memory is out.
fn show_each(
    call: &mut ShardCall<'_>,
    fields: Range<usize>,
    event: Event,
    decide: impl Fn(&Field<'_>) -> Fate,
) -> CommandResult {
    let key = call.key(1);
    let mut hash = call.shard.hash_mut(call.db, key)?;
    let names = fields.clone().map(|at| call.args.at(at));
    if let Err(error) = check_reply(&hash, names, REPLY_MAX_BYTES as u64, &decide) {
        hash.close(&[]);
        return Err(error);
    }
    call.reply.array(fields.len());
    let mut has_changed = false;
    let mut done = Ok(());
    for at in fields {
        let reply = &mut call.reply;
        let decided = hash.decide(call.args.at(at), |field| match field {
            Some(field) => {
                reply.bulk(field.value);
                decide(&field)
            }
            None => {
                reply.null();
                Fate::Stays
            }
        });
        match decided {
            Ok(changed) => has_changed |= changed,
            Err(error) => {
                done = Err(error.into());
                break;
            }
        }
    }
    close_told(hash, has_changed, event);
    done
}

/// Whether a reply of at most so many bytes holds the values of these fields. Mostly the size of the hash tells, and no field is looked at.
fn check_reply<'n>(
    hash: &HashMut<'_>,
    names: impl ExactSizeIterator<Item = &'n [u8]>,
    most_bytes: u64,
    decide: impl Fn(&Field<'_>) -> Fate,
) -> CommandResult {
    const EACH: u64 = BULK_FRAME_BYTES as u64;
    let each = hash.payload_bytes().saturating_add(EACH);
    if each.saturating_mul(names.len() as u64) <= most_bytes {
        return Ok(());
    }
    let (mut bytes, mut gone) = (0, HashSet::new());
    for name in names {
        let field = hash.get(name).filter(|_| !gone.contains(name));
        bytes += match field {
            Some(field) => EACH + field.value.len() as u64,
            None => NULL_BYTES as u64,
        };
        if bytes > most_bytes {
            return Err(errors::REPLY_TOO_LARGE);
        }
        if field.is_some_and(|field| decide(&field) == Fate::Goes) {
            gone.insert(name);
        }
    }
    Ok(())
}

fn hsetex(call: &mut ShardCall<'_>) -> CommandResult {
    let (args, now) = (call.args, call.shard.now());
    let options = Options::parse(&args, Grammar::SetEx, now)?;
    let key = call.key(1);
    let mut hash = call.shard.hash_mut(call.db, key)?;
    if !holds(&hash, &args, &options) {
        hash.close(&[]);
        call.reply.integer(0);
        return Ok(());
    }
    let (end, ttl) = match options.expiry {
        Expiry::At(deadline) if deadline <= now => (Some(Event::HDel), TtlChange::Clear),
        Expiry::At(deadline) => (Some(Event::HExpire), TtlChange::At(deadline)),
        Expiry::Keep => (None, TtlChange::Keep),
        Expiry::None | Expiry::Persist => (None, TtlChange::Clear),
    };
    let mut has_changed = false;
    let mut done = Ok(());
    for at in options.fields.step_by(2) {
        let name = args.at(at);
        done = hash.set(name, args.at(at + 1), ttl).map(|_| ());
        if done.is_err() {
            break;
        }
        has_changed = true;
        if end == Some(Event::HDel) {
            hash.remove(name);
            hash.count_as(1, 0);
        }
    }
    match end {
        Some(end) if has_changed => hash.close(&[Event::HSet, end]),
        _ => close_told(hash, has_changed, Event::HSet),
    }
    done?;
    call.reply.integer(1);
    Ok(())
}

/// Whether the conditions of an `HSETEX` hold, for the key and all its fields.
fn holds(hash: &HashMut<'_>, args: &Args<'_>, options: &Options) -> bool {
    if options
        .key_exists
        .is_some_and(|exists| exists != hash.is_there())
    {
        return false;
    }
    let mut names = options.fields.clone().step_by(2).map(|at| args.at(at));
    match options.condition {
        FieldCondition::None => true,
        FieldCondition::Missing => names.all(|name| hash.get(name).is_none()),
        FieldCondition::Present => names.all(|name| hash.get(name).is_some()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::families::testing::Bench;

    #[test]
    fn a_reply_is_bounded_and_a_field_that_goes_counts_once() {
        let mut bench = Bench::new();
        let value = "x".repeat(100);
        bench.run(&format!("HSET h a {value} b {value}"));
        let key = bench.shard.hasher().key(b"h");
        let hash = bench.shard.hash_mut(bench.db, key).unwrap();
        let bulk = (100 + BULK_FRAME_BYTES) as u64;
        let null = NULL_BYTES as u64;
        for (names, fate, bytes) in [
            (&[&b"a"[..], b"b"][..], Fate::Goes, 2 * bulk),
            (&[b"a", b"a", b"none"], Fate::Goes, bulk + 2 * null),
            (&[b"a", b"a", b"none"], Fate::Stays, 2 * bulk + null),
        ] {
            let check = |most| check_reply(&hash, names.iter().copied(), most, |_| fate);
            assert_eq!(check(bytes), Ok(()));
            assert_eq!(check(bytes - 1), Err(errors::REPLY_TOO_LARGE));
        }
        hash.close(&[]);
    }

    #[test]
    fn hgetex_answers_and_sets_or_removes_deadlines() {
        let mut bench = Bench::new();
        bench.check(&[
            ("HSET h a 1 b 2", "2"),
            ("HGETEX h FIELDS 3 a none a", "[\"1\", nil, \"1\"]"),
            ("HGETEX h PX 100 FIELDS 2 a none", "[\"1\", nil]"),
            ("HGETEX h PERSIST FIELDS 2 b none", "[\"2\", nil]"),
            ("HPTTL h FIELDS 2 a b", "[100, -1]"),
            ("HGETEX h PERSIST FIELDS 2 a a", "[\"1\", \"1\"]"),
            ("HGETEX h EXAT 1 FIELDS 2 a a", "[\"1\", nil]"),
            ("HGETEX h EX 0 FIELDS 1 b", "[\"2\"]"),
            ("EXISTS h", "0"),
            ("HGETEX h EX 100 FIELDS 1 b", "[nil]"),
            ("EXISTS h", "0"),
        ]);
        let expected = [
            "hset h",
            "hexpire h",
            "hpersist h",
            "hdel h",
            "hdel h",
            "del h",
        ];
        assert_eq!(bench.events(), expected);
        assert_eq!(bench.changes(), 2 + 1 + 1 + 1 + 1);
    }

    #[test]
    fn hsetex_sets_all_fields_or_none() {
        let mut bench = Bench::new();
        bench.check(&[
            ("HSETEX h FXX FIELDS 1 a 1", "0"),
            ("EXISTS h", "0"),
            ("HSETEX h FNX PX 100 FIELDS 2 a 1 b 2", "1"),
            ("HSETEX h FNX FIELDS 2 c 1 b 2", "0"),
            ("HSETEX h FXX FIELDS 2 c 1 b 2", "0"),
            ("HSETEX h FXX KEEPTTL FIELDS 2 a 3 b 4", "1"),
            ("HPTTL h FIELDS 2 a b", "[100, 100]"),
            ("HSETEX h FIELDS 1 a 5", "1"),
            ("HPTTL h FIELDS 2 a b", "[-1, 100]"),
            ("HSETEX h EXAT 1 FIELDS 2 a 5 c 6", "1"),
            ("HGETALL h", "[\"b\", \"4\"]"),
            ("HSETEX h PXAT 1 FIELDS 1 b 6", "1"),
            ("EXISTS h", "0"),
            ("HSETEX h PXAT 1 FIELDS 1 b 6", "1"),
            ("EXISTS h", "0"),
        ]);
        let expected = [
            "hset h",
            "hexpire h",
            "hset h",
            "hset h",
            "hset h",
            "hdel h",
            "hset h",
            "hdel h",
            "del h",
            "hset h",
            "hdel h",
            "del h",
        ];
        assert_eq!(bench.events(), expected);
    }

    #[test]
    fn hsetex_may_ask_for_the_key_as_well() {
        let mut bench = Bench::new();
        bench.check(&[
            ("HSETEX h XX FIELDS 1 a 1", "0"),
            ("HSETEX h NX FIELDS 1 a 1", "1"),
            ("HSETEX h nx NX FIELDS 1 b 1", "0"),
            ("HSETEX h XX FNX FIELDS 1 a 2", "0"),
            ("HSETEX h FNX XX FIELDS 1 b 2", "1"),
            ("HSETEX h NX XX FIELDS 1 a 1", "ERR syntax error"),
            ("HGETEX h NX FIELDS 1 a", "ERR unknown argument: NX"),
            ("HGETALL h", "[\"a\", \"1\", \"b\", \"2\"]"),
        ]);
    }

    #[test]
    fn hgetdel_answers_each_field_once() {
        let mut bench = Bench::new();
        bench.check(&[
            ("HSET h a 1 b 2", "2"),
            ("HGETDEL h FIELDS 3 a none a", "[\"1\", nil, nil]"),
            ("HGETDEL h FIELDS 1 a", "[nil]"),
            ("HGETDEL h FIELDS 1 b", "[\"2\"]"),
            ("EXISTS h", "0"),
            ("HGETDEL h FIELDS 1 b", "[nil]"),
        ]);
        let expected = ["hset h", "hdel h", "hdel h", "del h"];
        assert_eq!(bench.events(), expected);
    }

    #[test]
    fn a_field_past_its_deadline_is_none_to_conditions_and_writes() {
        let mut bench = Bench::new();
        bench.run("HSETEX h PX 5 FIELDS 2 a 1 b 2");
        bench.run("HSET h c 3");
        bench.advance(5);
        bench.check(&[
            ("HSETEX h FXX FIELDS 1 a 1", "0"),
            ("HSETEX h FNX KEEPTTL FIELDS 1 a 1", "1"),
            ("HTTL h FIELDS 2 a b", "[-1, -2]"),
            ("HSETNX h b 3", "1"),
            ("HDEL h b", "1"),
            ("HGETALL h", "[\"a\", \"1\", \"c\", \"3\"]"),
        ]);
    }
}
