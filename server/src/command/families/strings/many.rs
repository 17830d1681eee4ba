//! Strings of several keys: `MGET`, `MSET`, `MSETNX`, `MSETEX`.
//!
//! `MGET` and `MSET` spread by themselves. `MSETNX` and `MSETEX` with a condition take two rounds where their keys live
//! on several cores: every core is asked which of its keys exist, then every core writes its pairs.

use larder_engine::{Access, DbIndex, Event, Shard, StoreError, StringForm, TtlChange, UnixMillis};

use super::options::{Condition, Deadline, Expiry, Grammar, Options, Unit};
use super::ttl_change;
use crate::command::families::fetch::{self, by_core};
use crate::command::{
    Args, Category, CommandSpec, CoreCall, CoreRequest, Flags, Group, KeyFlags, KeySpec, Keys,
    Round, Rounds, Run, ShardCall, Spread,
};
use crate::resp::errors::{self, CommandResult};
use crate::resp::{ErrorReply, Reply};
use crate::routing::{CoreId, SlotMap};

/// The table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "mget",
        arity: -2,
        flags: Flags::READONLY.with(Flags::FAST),
        categories: &[Category::String],
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::RO.access()).to(-1)]),
        tips: &["request_policy:multi_shard"],
        group: Group::String,
        syntax: "key [key ...]",
        summary: "Returns the string values of several keys at once.",
        complexity: "O(N) where N is the number of keys to retrieve.",
        run: Run::FanOut {
            together: mget,
            spread: Spread::Gather,
        },
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "mset",
        arity: -3,
        flags: Flags::WRITE.with(Flags::DENYOOM),
        categories: &[Category::String],
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::OW.update()).to(-1).step(2)]),
        tips: &[
            "request_policy:multi_shard",
            "response_policy:all_succeeded",
        ],
        group: Group::String,
        since: "1.0.1",
        syntax: "key value [key value ...]",
        summary: "Sets the string values of several keys at once.",
        complexity: "O(N) where N is the number of keys to set.",
        run: Run::FanOut {
            together: mset,
            spread: Spread::All,
        },
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "msetnx",
        arity: -3,
        flags: Flags::WRITE.with(Flags::DENYOOM),
        categories: &[Category::String],
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::OW.insert()).to(-1).step(2)]),
        tips: &["request_policy:multi_shard", "response_policy:agg_min"],
        group: Group::String,
        since: "1.0.1",
        syntax: "key value [key value ...]",
        summary: "Sets the string values of several keys at once, if none of them exists.",
        complexity: "O(N) where N is the number of keys to set.",
        run: Run::FanOut {
            together: msetnx,
            spread: Spread::Rounds(msetnx_rounds),
        },
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "msetex",
        arity: -4,
        flags: Flags::WRITE.with(Flags::DENYOOM),
        categories: &[Category::String],
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::OW.update()).counted().step(2)]),
        group: Group::String,
        since: "8.4.0",
        syntax: "numkeys key value [key value ...] [NX | XX] [EX seconds | PX milliseconds | \
                 EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL]",
        summary: "Sets the string values of several keys at once, optionally with a condition and one deadline for all.",
        complexity: "O(N) where N is the number of keys to set.",
        run: Run::FanOut {
            together: msetex,
            spread: Spread::Rounds(msetex_rounds),
        },
        ..CommandSpec::BASE
    },
];

fn mget(call: &mut ShardCall<'_>) -> CommandResult {
    let began = call.reply.mark();
    call.reply.array(call.args.len() - 1);
    for at in 1..call.args.len() {
        let key = call.key(at);
        match call.shard.read(call.db, key, call.access) {
            Some(entry) => {
                call.stats.count_lookup((call.db, key.bytes()), true);
                match entry.string() {
                    Some(value) => call.reply.bulk(value),
                    None => call.reply.null(),
                }
            }
            None => {
                call.stats.count_lookup((call.db, key.bytes()), false);
                call.reply.null();
            }
        }
        call.reply.check_len(began)?;
    }
    Ok(())
}

fn mset(call: &mut ShardCall<'_>) -> CommandResult {
    check_pairs(&call.args, "mset")?;
    store_pairs(call, 1..call.args.len(), TtlChange::Clear)?;
    call.reply.ok();
    Ok(())
}

fn msetnx(call: &mut ShardCall<'_>) -> CommandResult {
    check_pairs(&call.args, "msetnx")?;
    let free = (1..call.args.len()).step_by(2).all(|at| {
        let key = call.key(at);
        call.shard.get(call.db, key, call.access).is_none()
    });
    if free {
        store_pairs(call, 1..call.args.len(), TtlChange::Clear)?;
    }
    call.reply.integer(free.into());
    Ok(())
}

fn check_pairs(args: &Args<'_>, command: &str) -> Result<(), ErrorReply> {
    if args.len().is_multiple_of(2) {
        return Err(errors::wrong_arity(command));
    }
    Ok(())
}

/// Writes the pairs at `places`.
fn store_pairs(
    call: &mut ShardCall<'_>,
    places: std::ops::Range<usize>,
    ttl: TtlChange,
) -> CommandResult {
    for at in places.step_by(2) {
        let (key, value) = (call.args.at(at), call.args.at(at + 1));
        store_pair(call.shard, call.db, key, value, ttl)?;
    }
    Ok(())
}

fn store_pair(
    shard: &mut Shard,
    db: DbIndex,
    key: &[u8],
    value: &[u8],
    ttl: TtlChange,
) -> Result<(), StoreError> {
    let key = shard.hasher().key(key);
    shard.set(db, key, value, StringForm::Detect, ttl, Event::Set)?;
    if matches!(ttl, TtlChange::At(at) if at <= shard.now()) {
        // It is set, expires, and is gone.
        shard.get(db, key, Access::Peek);
    }
    Ok(())
}

/// `MSETEX`, parsed: its pairs stand from argument 2 to `end`.
struct Announced<'a> {
    end: usize,
    options: Options<'a>,
}

impl<'a> Announced<'a> {
    fn parse(args: &Args<'a>) -> Result<Self, ErrorReply> {
        let count = args.integer(1).map_err(|_| errors::BAD_NUMKEYS)?;
        let count = i32::try_from(count).ok().filter(|count| *count > 0);
        let count = count.ok_or(errors::BAD_NUMKEYS)? as usize;
        let end = 2 + count * 2;
        if end > args.len() {
            return Err(errors::BAD_PAIRS);
        }
        let options = Options::parse(args, end, Grammar::MSetEx)?;
        Ok(Self { end, options })
    }
}

fn msetex(call: &mut ShardCall<'_>) -> CommandResult {
    let Announced { end, options } = Announced::parse(&call.args)?;
    let ttl = ttl_change(options.expiry, call.shard.now(), "msetex")?;
    let holds = options.condition == Condition::None
        || (2..end).step_by(2).all(|at| {
            let key = call.key(at);
            let exists = call.shard.get(call.db, key, call.access).is_some();
            exists == (options.condition == Condition::Present)
        });
    if holds {
        store_pairs(call, 2..end, ttl)?;
    }
    call.reply.integer(holds.into());
    Ok(())
}

fn msetnx_rounds(args: &Args<'_>, slots: &SlotMap) -> Result<Box<dyn Rounds>, ErrorReply> {
    check_pairs(args, "msetnx")?;
    Ok(Box::new(SetMany::new(
        args,
        1..args.len(),
        slots,
        Some(false),
        Expiry::None,
    )))
}

fn msetex_rounds(args: &Args<'_>, slots: &SlotMap) -> Result<Box<dyn Rounds>, ErrorReply> {
    let Announced { end, options } = Announced::parse(args)?;
    let must_exist = match options.condition {
        Condition::Missing => Some(false),
        Condition::Present => Some(true),
        Condition::None | Condition::Value(_) => None,
    };
    Ok(Box::new(SetMany::new(
        args,
        2..end,
        slots,
        must_exist,
        options.expiry,
    )))
}

/// Writes pairs on several cores, if a condition holds for all their keys.
///
/// First round: [`probe`] on every core. Second round: [`write`] on every core, with the deadline that the first core
/// resolved, so that all keys get the same.
struct SetMany {
    state: State,
    /// Whether all keys must exist, or none; `None`: whichever.
    must_exist: Option<bool>,
    /// For each core the arguments of [`probe`].
    probes: Vec<(CoreId, Vec<Vec<u8>>)>,
    /// For each core the pairs.
    pairs: Vec<(CoreId, Vec<Vec<u8>>)>,
    keep_ttl: bool,
}

#[derive(Clone, Copy)]
enum State {
    Begun,
    Probed,
    Written,
}

impl SetMany {
    fn new(
        args: &Args<'_>,
        places: std::ops::Range<usize>,
        slots: &SlotMap,
        must_exist: Option<bool>,
        expiry: Expiry<'_>,
    ) -> Self {
        let places = by_core(args, places.step_by(2), slots);
        let (unit, number) = match expiry {
            Expiry::Deadline(Deadline { unit, number }) => (unit.name(), number),
            Expiry::None | Expiry::Keep | Expiry::Persist => ("", &b""[..]),
        };
        let probes = places.iter().map(|(core, places)| {
            let mut words = vec![unit.as_bytes().to_vec(), number.to_vec()];
            words.extend(places.iter().map(|&at| args.at(at).to_vec()));
            (*core, words)
        });
        let pairs = places.iter().map(|(core, places)| {
            let pairs = places.iter().flat_map(|&at| [args.at(at), args.at(at + 1)]);
            (*core, pairs.map(<[u8]>::to_vec).collect())
        });
        Self {
            state: State::Begun,
            must_exist,
            probes: probes.collect(),
            pairs: pairs.collect(),
            keep_ttl: expiry == Expiry::Keep,
        }
    }

    /// What the second round is to do with deadlines, or the reply if there is none.
    fn judge(&self, answers: &[&[u8]]) -> Result<Option<Vec<u8>>, ErrorReply> {
        let mut holds = true;
        let mut deadline = None;
        for answer in answers {
            let answer = fetch::outcome(answer)?;
            let (exist, at) = answer.split_at(2);
            holds &= match self.must_exist {
                None => true,
                Some(true) => exist[1] == 1,
                Some(false) => exist[0] == 0,
            };
            deadline = deadline.or((!at.is_empty()).then(|| at.to_vec()));
        }
        let clear_or_keep = if self.keep_ttl { KEEP } else { CLEAR };
        Ok(holds.then(|| deadline.unwrap_or(clear_or_keep.to_vec())))
    }
}

const KEEP: &[u8] = b"k";
const CLEAR: &[u8] = b"c";

impl Rounds for SetMany {
    fn next(&mut self, answers: &[&[u8]], reply: &mut Reply<'_>) -> Result<Round, ErrorReply> {
        match self.state {
            State::Begun => {
                self.state = State::Probed;
                let asks = std::mem::take(&mut self.probes).into_iter();
                Ok(Round::Ask(
                    asks.map(|(core, args)| CoreRequest {
                        core,
                        run: probe,
                        args,
                    })
                    .collect(),
                ))
            }
            State::Probed => {
                let Some(ttl) = self.judge(answers)? else {
                    reply.integer(0);
                    return Ok(Round::Done);
                };
                self.state = State::Written;
                let asks = std::mem::take(&mut self.pairs).into_iter();
                Ok(Round::Ask(
                    asks.map(|(core, mut args)| {
                        args.insert(0, ttl.clone());
                        CoreRequest {
                            core,
                            run: write,
                            args,
                        }
                    })
                    .collect(),
                ))
            }
            State::Written => {
                for answer in answers {
                    fetch::outcome(answer)?;
                }
                reply.integer(1);
                Ok(Round::Done)
            }
        }
    }
}

/// Answers whether any of the keys (arguments from 2 on) exists, whether all do, and the deadline that unit and number
/// (arguments 0 and 1) mean now: `any all [8 bytes]`.
fn probe(call: &mut CoreCall<'_>) {
    let (args, db) = (call.args, call.db);
    let shard = &mut call.core.shard;
    let deadline = Unit::parse(args.at(0)).map(|unit| {
        let number = args.at(1);
        Deadline { unit, number }.resolve(shard.now(), "msetex")
    });
    let deadline = match deadline.transpose() {
        Ok(deadline) => deadline,
        Err(error) => return fetch::fail(call.out, &error),
    };
    let (mut any, mut all) = (false, true);
    for key in args.iter_from(2) {
        let key = shard.hasher().key(key);
        let exists = shard.get(db, key, Access::Touch).is_some();
        any |= exists;
        all &= exists;
    }
    fetch::succeed(call.out);
    call.out.extend([u8::from(any), u8::from(all)]);
    if let Some(UnixMillis(at)) = deadline {
        call.out.extend(at.to_le_bytes());
    }
}

/// Writes pairs (arguments from 1 on); argument 0 says what becomes of deadlines.
fn write(call: &mut CoreCall<'_>) {
    let (args, db) = (call.args, call.db);
    let shard = &mut call.core.shard;
    let ttl = match args.at(0) {
        CLEAR => TtlChange::Clear,
        KEEP => TtlChange::Keep,
        at => TtlChange::At(UnixMillis(i64::from_le_bytes(
            at.try_into().expect("a deadline has eight bytes"),
        ))),
    };
    for at in (1..args.len()).step_by(2) {
        if let Err(error) = store_pair(shard, db, args.at(at), args.at(at + 1), ttl) {
            return fetch::fail(call.out, &error.into());
        }
    }
    fetch::succeed(call.out);
}

#[cfg(test)]
mod tests {
    use crate::command::families::testing::{Bench, check};

    #[test]
    fn several_strings_are_set_and_read_at_once() {
        let mut bench = Bench::new();
        bench.check(&[
            ("MSET a 1 b 2 a 3", "OK"),
            ("MGET a none b", "[\"3\", nil, \"2\"]"),
            (
                "MSET a 1 b",
                "ERR wrong number of arguments for 'mset' command",
            ),
            ("MSETNX c 1 a 2", "0"),
            ("MGET c", "[nil]"),
            ("MSETNX c 1 c 2", "1"),
            ("MGET c", "[\"2\"]"),
            (
                "MSETNX c 1 d",
                "ERR wrong number of arguments for 'msetnx' command",
            ),
        ]);
        assert_eq!(
            bench.events(),
            ["set a", "set b", "set a", "set c", "set c"]
        );
    }

    #[test]
    fn a_reply_that_names_a_large_value_too_often_is_refused() {
        let mut bench = Bench::new();
        bench.check(&[("SETRANGE large 67108863 x", "67108864")]);
        let names = " large".repeat(17);
        bench.check(&[(
            &format!("MGET{names}"),
            "ERR the reply exceeds the maximum allowed size (1gb)",
        )]);
    }

    #[test]
    fn msetex_sets_a_deadline_for_all_if_its_condition_holds() {
        let mut bench = Bench::new();
        let now = bench.now();
        bench.check(&[
            ("MSETEX 2 a 1 b 2 EX 10 NX", "1"),
            ("MSETEX 2 b 1 c 2 NX", "0"),
            ("MSETEX 2 b 1 c 2 XX", "0"),
            ("MSETEX 2 b 1 a 2 XX KEEPTTL", "1"),
            ("MGET a b c", "[\"2\", \"1\", nil]"),
        ]);
        assert_eq!(bench.deadline("a"), Some(now + 10_000));
        bench.check(&[("MSETEX 1 a 3", "1")]);
        assert_eq!(bench.deadline("a"), None);
    }

    #[test]
    fn msetex_says_what_is_wrong_with_its_arguments() {
        check(&[
            ("MSETEX key1 val1 ex 10", "ERR invalid numkeys value"),
            ("MSETEX 0 key1 val1", "ERR invalid numkeys value"),
            (
                "MSETEX 2147483648 key1 val1 ex 10",
                "ERR invalid numkeys value",
            ),
            (
                "MSETEX 2147483647 key1 val1 ex 10",
                "ERR wrong number of key-value pairs",
            ),
            (
                "MSETEX 2 key1 val1 key2",
                "ERR wrong number of key-value pairs",
            ),
            ("MSETEX 1 key1 val1 foo", "ERR syntax error"),
            ("MSETEX 1 key1 val1 GET", "ERR syntax error"),
            ("MSETEX 1 key1 val1 NX XX", "ERR syntax error"),
            ("MSETEX 1 key1 val1 EX 1 PX 1", "ERR syntax error"),
            (
                "MSETEX 1 key1 val1 EX 0",
                "ERR invalid expire time in 'msetex' command",
            ),
        ]);
    }
}
