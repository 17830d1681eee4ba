//! What reads on from an id, and waits for more: `XREAD`, and `XREADGROUP`, which gives entries to a consumer of a group.
//!
//! ```text
//!  look at every stream: the types, the groups, what `$` and `+` are ──▶ show what each has ──▶ note what was given
//!                                                                        └─ nothing? wait, with what `$` was
//! ```
//! `$` is what was there when the wait began, `+` the last entry whenever there is one.
//! Nothing is changed before all is shown: when a reply would be too large, no group has gone on. On one core it is done for one stream
//! after the other, over several in a round, and in another one they note what was given.
//!
//! | file | what |
//! |---|---|
//! | `show` | looks at a stream and shows what it has, which changes nothing |
//! | `given` | what a consumer is given, and noting it |
//! | `across` | streams of several cores |

mod across;
mod given;
mod show;

use std::collections::HashSet;

use larder_engine::{Kind, WakesOn};

use super::ids;
use crate::command::{
    Args, Attempted, Blocking, Category, CommandSpec, Flags, Group, KeyFlags, KeySpec, Keys,
    Resolved, Run, ShardCall, Turn, WaitLimit,
};
use crate::resp::errors::{self as all_errors, streams as errors};
use crate::resp::{ErrorReply, Reply};
use given::Given;
use show::Start;

/// The table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "xread",
        arity: -4,
        flags: Flags::READONLY.with(Flags::BLOCKING),
        keys: READ_KEYS,
        syntax: "[COUNT count] [BLOCK milliseconds] STREAMS key [key ...] id [id ...]",
        summary: "Returns the entries of streams behind an id in each. Waits until there are some, if told to.",
        run: Run::Blocking(Blocking {
            wakes_on: WakesOn::Value(Kind::Stream),
            awaits: READ_KEYS,
            ..BLOCKING
        }),
        ..SPEC
    },
    CommandSpec {
        name: "xreadgroup",
        arity: -7,
        flags: Flags::WRITE.with(Flags::BLOCKING),
        keys: GROUP_KEYS,
        complexity: "O(log(N)+M) for each stream, where N is the number of its entries, and M of those returned, in one step; with CLAIM, also O(log(P)) for each entry that is claimed, where P is the number of those pending.",
        syntax: "GROUP group consumer [COUNT count] [BLOCK milliseconds] [CLAIM min-idle-time] [NOACK] STREAMS key [key ...] id [id ...]",
        summary: "Gives a consumer entries of streams that its group has not been given yet, or those that it has pending. Waits until there are some, if told to.",
        // Those who wait for one group are served in their order.
        run: Run::Blocking(Blocking {
            takes: true,
            ..BLOCKING
        }),
        ..SPEC
    },
];

const READ_KEYS: Keys = Keys::of(&[KeySpec::after("STREAMS", 1, KeyFlags::RO.access())
    .to(-1)
    .limit(2)]);
const GROUP_KEYS: Keys = Keys::of(&[KeySpec::after("STREAMS", 4, KeyFlags::RW.access())
    .to(-1)
    .limit(2)]);

const SPEC: CommandSpec = CommandSpec {
    categories: &[Category::Stream, Category::Blocking],
    group: Group::Stream,
    since: "5.0.0",
    complexity: "O(log(N)+M) for each stream, where N is the number of its entries, and M of those returned, in one step.",
    ..CommandSpec::BASE
};

const BLOCKING: Blocking = Blocking {
    attempt,
    begin: across::begin,
    // One write serves all who read.
    takes: false,
    takes_one: false,
    awaits: GROUP_KEYS,
    wakes_on: WakesOn::ValueOrLoss(Kind::Stream),
    timeout: |args| match args
        .iter_from(1)
        .any(|arg| arg.eq_ignore_ascii_case(b"block"))
    {
        true => Ok(Reading::parse(args)?.block.unwrap_or(WaitLimit::None)),
        // Nor need it be parsed for that: the attempt finds what is wrong.
        false => Ok(WaitLimit::None),
    },
    on_timeout: |reply| reply.null_array(),
    on_nothing: |reply| reply.null_array(),
};

/// What is to be read.
#[derive(Clone, Copy, Debug)]
struct Reading<'a> {
    /// A group, and its consumer.
    group: Option<(&'a [u8], &'a [u8])>,
    /// At most so many entries of each stream; without, all.
    count: Option<u64>,
    /// How long it waits, if it does.
    block: Option<WaitLimit>,
    /// What is read need not be acknowledged.
    needs_no_ack: bool,
    /// What has been pending so long is read, too, in milliseconds.
    claims_after: Option<i64>,
    /// Where the first key stands, and how many there are.
    first_key: usize,
    streams: usize,
}

impl<'a> Reading<'a> {
    fn parse(args: &Args<'a>) -> Result<Self, ErrorReply> {
        let is_of_group = args.is(0, "xreadgroup");
        let mut reading = Self {
            group: None,
            count: None,
            block: None,
            needs_no_ack: false,
            claims_after: None,
            first_key: 0,
            streams: 0,
        };
        let mut at = 1;
        while at < args.len() && reading.first_key == 0 {
            let more = args.len() - 1 - at;
            let is = |word: &str| args.is(at, word);
            if is("claim") && more > 0 {
                if !is_of_group {
                    return Err(errors::only_of_groups("CLAIM"));
                }
                let idle = args
                    .integer(at + 1)
                    .map_err(|_| errors::CLAIM_NOT_AN_INTEGER)?;
                if idle < 0 {
                    return Err(errors::CLAIM_NEGATIVE);
                }
                reading.claims_after = Some(idle);
                at += 1;
            } else if is("block") && more > 0 {
                reading.block = Some(milliseconds(args, at + 1)?);
                at += 1;
            } else if is("count") && more > 0 {
                let count = args.integer(at + 1)?;
                reading.count = u64::try_from(count).ok().filter(|&count| count > 0);
                at += 1;
            } else if is("streams") && more > 0 {
                if !more.is_multiple_of(2) {
                    return Err(match is_of_group {
                        true => errors::unbalanced("xreadgroup", "ID or '>'"),
                        false => errors::unbalanced("xread", "ID, '+', or '$'"),
                    });
                }
                (reading.first_key, reading.streams) = (at + 1, more / 2);
            } else if is("group") && more > 1 {
                if !is_of_group {
                    return Err(errors::only_of_groups("GROUP"));
                }
                reading.group = Some((args.at(at + 1), args.at(at + 2)));
                at += 2;
            } else if is("noack") {
                if !is_of_group {
                    return Err(errors::only_of_groups("NOACK"));
                }
                reading.needs_no_ack = true;
            } else {
                return Err(all_errors::SYNTAX);
            }
            at += 1;
        }
        if reading.first_key == 0 {
            return Err(all_errors::SYNTAX);
        }
        if is_of_group && reading.group.is_none() {
            return Err(errors::GROUP_MISSING);
        }
        Ok(reading)
    }

    /// Whether a group's stream is named more than once. What is given of one then follows from what was given before, and is noted
    /// at once, as in Redis.
    fn names_again(&self, args: &Args<'_>) -> bool {
        if self.group.is_none() || self.streams == 1 {
            return false;
        }
        let mut known = HashSet::new();
        let mut numbers = 0..self.streams;
        !numbers.all(|number| known.insert(args.at(self.key_at(number))))
    }

    fn key_at(&self, number: usize) -> usize {
        self.first_key + number
    }

    fn id_at(&self, number: usize) -> usize {
        self.first_key + self.streams + number
    }
}

/// The time that an argument says in milliseconds; zero is for ever.
fn milliseconds(args: &Args<'_>, at: usize) -> Result<WaitLimit, ErrorReply> {
    let millis = args
        .integer(at)
        .map_err(|_| all_errors::TIMEOUT_NOT_AN_INTEGER)?;
    match u64::try_from(millis).map_err(|_| all_errors::TIMEOUT_NEGATIVE)? {
        0 => Ok(WaitLimit::None),
        millis if millis > (i64::MAX as u64) - (1 << 41) => Err(all_errors::TIMEOUT_OUT_OF_RANGE),
        millis => Ok(WaitLimit::Millis(millis)),
    }
}

fn attempt(call: &mut ShardCall<'_>, turn: Turn) -> Result<Attempted, ErrorReply> {
    let reading = Reading::parse(&call.args)?;
    let mut from = Vec::with_capacity(reading.streams);
    for number in 0..reading.streams {
        let key = call.key(reading.key_at(number));
        let id = call.args.at(reading.id_at(number));
        let looked = show::look((call.shard, call.db, key), call.stats, (&reading, id));
        match looked {
            Ok(found) => from.push(found),
            // Who waits for a stream alone waits on past what is none.
            Err(error) if waits_past(&reading, turn, &error) => {
                return Ok(Attempted::Wait(Resolved::AS_BEFORE));
            }
            Err(error) => return Err(error),
        }
    }
    let (mut served, mut given) = (0, Vec::new());
    let notes_at_once = reading.names_again(&call.args);
    let mark = call.reply.mark();
    let list = begin_list(&mut call.reply, reading.streams);
    for (number, &from) in from.iter().enumerate() {
        let key = call.key(reading.key_at(number));
        let place = (&mut *call.shard, call.db, key);
        let shown = show::show(place, call.stats, (&reading, from), &mut call.reply)?;
        call.reply.check_len(mark)?;
        served += usize::from(shown.is_some());
        given.push(shown.unwrap_or_default());
        if notes_at_once {
            note_all(call, &reading, given.drain(..).map(|given| (number, given)))?;
        }
    }
    note_all(call, &reading, given.into_iter().enumerate())?;
    if served > 0 {
        call.reply.end(list, served);
        return Ok(Attempted::Done);
    }
    call.reply.rewind(mark);
    if reading.block.is_some() {
        let again_in_ms = (0..reading.streams).filter_map(|number| {
            let key = call.key(reading.key_at(number));
            show::claimable_in_ms((call.shard, call.db, key), &reading)
        });
        let again_in_ms = again_in_ms.min();
        let args = resolved(&call.args, &reading, &from);
        return Ok(Attempted::Wait(Resolved { args, again_in_ms }));
    }
    call.reply.null_array();
    Ok(Attempted::Done)
}

/// Notes what was given of the streams of these numbers.
fn note_all(
    call: &mut ShardCall<'_>,
    reading: &Reading<'_>,
    given: impl Iterator<Item = (usize, Given)>,
) -> Result<(), ErrorReply> {
    let Some(group) = reading.group else {
        return Ok(());
    };
    for (number, given) in given {
        let key = call.key(reading.key_at(number));
        given.note((call.shard, call.db, key), (reading, group))?;
    }
    Ok(())
}

fn waits_past(reading: &Reading<'_>, turn: Turn, error: &ErrorReply) -> bool {
    let is_reader = reading.group.is_none() && reading.streams == 1;
    is_reader && turn == Turn::Later && *error == all_errors::WRONG_TYPE
}

fn begin_list(reply: &mut Reply<'_>, streams: usize) -> crate::resp::DeferredLen {
    match reply.is_resp3() {
        true => reply.begin_map(streams),
        false => reply.begin_array(streams),
    }
}

/// The arguments with the ids that `$` stands for, if there are such.
fn resolved(args: &Args<'_>, reading: &Reading<'_>, from: &[Start]) -> Option<Vec<Vec<u8>>> {
    let is_relative = |number: usize| args.at(reading.id_at(number)) == b"$";
    if !(0..reading.streams).any(is_relative) {
        return None;
    }
    let mut all: Vec<Vec<u8>> = args.iter_from(0).map(<[u8]>::to_vec).collect();
    for (number, from) in from.iter().enumerate() {
        if let (true, Start::Behind(id)) = (is_relative(number), from) {
            all[reading.id_at(number)] = ids::text(*id);
        }
    }
    Some(all)
}
