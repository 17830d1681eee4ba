//! What reads on from an id, and waits for more: `XREAD`, and `XREADGROUP`, which gives entries to a consumer of a group.
//!
//! ```text
//!  look at every stream: the types, the groups, what `$` and `+` are ──▶ serve each ──▶ nothing? wait, with what `$` was
//! ```
//! `$` is what was there when the wait began, `+` the last entry whenever there is one.
//! Each is done where the stream is: on one core one after the other, over several in a round each.

use std::ops::ControlFlow;

use larder_engine::{
    Access, DbIndex, Direction, Event, GroupRef, Key, Kind, Shard, StreamChange, StreamId,
    StreamMut, StreamRef, UnixMillis, WakesOn,
};

use super::{ids, range};
use crate::command::families::transfer::Answer;
use crate::command::{
    Args, Attempted, Blocking, Category, CommandSpec, CoreCall, CoreFn, CoreRequest, Flags, Group,
    KeyFlags, KeySpec, Keys, Round, Rounds, Run, ShardCall, Turn, WaitLimit,
};
use crate::observe::Stats;
use crate::resp::errors::{self as all_errors, streams as errors};
use crate::resp::{ErrorReply, Reply};
use crate::routing::{CoreId, SlotMap};

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
    complexity: "O(log(N)+M) for each stream, where N is the number of its entries, and M of those returned.",
    ..CommandSpec::BASE
};

const BLOCKING: Blocking = Blocking {
    attempt,
    begin: attempt_across,
    // One write serves all who read.
    takes: false,
    takes_one: false,
    awaits: GROUP_KEYS,
    wakes_on: WakesOn::ValueOrLoss(Kind::Stream),
    timeout: |args| Ok(Reading::parse(args)?.block.unwrap_or(WaitLimit::None)),
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

/// From where on a stream is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// Behind an id; of a group, what its consumer has pending from there on.
    Behind(StreamId),
    /// What the group has not been given yet.
    New,
}

/// Looks at a stream before any is served: from where on it is to be read.
fn look(
    (shard, db, key): (&mut Shard, DbIndex, Key<'_>),
    stats: &mut Stats,
    (reading, id): (&Reading<'_>, &[u8]),
) -> Result<Start, ErrorReply> {
    let found = super::read(shard, stats, (db, key, Access::Peek))?;
    let is_of_group = reading.group.is_some();
    if let Some((group, _)) = reading.group
        && found.and_then(|stream| stream.group(group)).is_none()
    {
        return Err(errors::no_group_to_read(key.bytes(), group));
    }
    let behind = match id {
        b"$" | b"+" if is_of_group => {
            let id = if id == b"$" { "$" } else { "+" };
            return Err(errors::meaningless_in_group(id));
        }
        b">" if is_of_group => return Ok(Start::New),
        b">" => return Err(errors::NEW_WITHOUT_GROUP),
        b"$" => found.map_or(StreamId::MIN, |stream| stream.marks().last_id),
        b"+" => {
            let last = found.and_then(|stream| stream.last_entry_id());
            last.and_then(StreamId::previous).unwrap_or_default()
        }
        _ => ids::id(id, 0)?,
    };
    Ok(Start::Behind(behind))
}

/// Writes what a stream has from there on, behind its key; whether it has anything.
fn serve(
    place: (&mut Shard, DbIndex, Key<'_>),
    stats: &mut Stats,
    reading: &Reading<'_>,
    from: Start,
    reply: &mut Reply<'_>,
) -> Result<bool, ErrorReply> {
    match reading.group {
        None => serve_reader(place, stats, (reading, from), reply),
        Some(group) => {
            // There is a group, so there is a stream.
            stats.count_lookup(true);
            serve_consumer(place, (reading, group), from, reply)
        }
    }
}

/// Begins what is written of a stream: a pair in an array, or of a map.
fn begin_stream(reply: &mut Reply<'_>, key: &[u8]) {
    if !reply.is_resp3() {
        reply.array(2);
    }
    reply.bulk(key);
}

fn serve_reader(
    (shard, db, key): (&mut Shard, DbIndex, Key<'_>),
    stats: &mut Stats,
    (reading, from): (&Reading<'_>, Start),
    reply: &mut Reply<'_>,
) -> Result<bool, ErrorReply> {
    let Start::Behind(behind) = from else {
        unreachable!("only groups have been given something");
    };
    let found = super::read(shard, stats, (db, key, Access::Touch))?;
    let Some(stream) = found.filter(|stream| stream.last_entry_id() > Some(behind)) else {
        return Ok(false);
    };
    begin_stream(reply, key.bytes());
    let most = reading.count.unwrap_or(u64::MAX);
    let list = reply.begin_array(most.min(stream.len()) as usize);
    let mut shown = 0;
    let first = behind.next().expect("there is something behind it");
    let begun = reply.mark();
    stream.walk(first, Direction::Up, &mut |entry| {
        if shown == most || reply.check_len(begun).is_err() {
            return ControlFlow::Break(());
        }
        range::show(reply, &entry);
        shown += 1;
        ControlFlow::Continue(())
    });
    reply.check_len(begun)?;
    reply.end(list, shown as usize);
    Ok(true)
}

/// What a consumer is given.
#[derive(Debug, Default)]
struct Given {
    /// Entries that were pending, and how often each is delivered then.
    again: Vec<(StreamId, u64)>,
    /// Entries that are new to the group.
    new: Vec<StreamId>,
}

fn serve_consumer(
    (shard, db, key): (&mut Shard, DbIndex, Key<'_>),
    (reading, (group, consumer)): (&Reading<'_>, (&[u8], &[u8])),
    from: Start,
    reply: &mut Reply<'_>,
) -> Result<bool, ErrorReply> {
    let now = shard.now();
    let mut stream = shard.stream_mut(db, key)?;
    let given = give(
        &stream,
        (reading, group, consumer),
        (from, now),
        (key, reply),
    );
    let given = match given {
        Ok(given) => given,
        Err(error) => {
            stream.close(0, &[]);
            return Err(error);
        }
    };
    let mut noted = Noted::default();
    let done = note_given(
        (&mut stream, &mut noted),
        (reading, group, consumer),
        (from, now),
        given.as_ref(),
    );
    let changes = u64::from(noted.is_new) + u64::from(noted.is_given);
    match noted.is_new {
        true => stream.close(changes, &[Event::XGroupCreateConsumer]),
        false => stream.close(changes, &[]),
    }
    done.map(|()| given.is_some())
}

/// Writes what a consumer is given, if that is anything.
fn give(
    stream: &StreamMut<'_>,
    (reading, group, consumer): (&Reading<'_>, &[u8], &[u8]),
    (from, now): (Start, UnixMillis),
    (key, reply): (Key<'_>, &mut Reply<'_>),
) -> Result<Option<Given>, ErrorReply> {
    let view = stream.as_ref();
    let found = view.and_then(|view| Some((view, view.group(group)?)));
    let Some((view, group)) = found else {
        return Err(errors::no_group_to_read(key.bytes(), group));
    };
    let most = reading.count.unwrap_or(u64::MAX);
    let begun = reply.mark();
    let mut given = Given::default();
    if let Start::Behind(behind) = from {
        begin_stream(reply, key.bytes());
        let list = reply.begin_array(0);
        let own = (&group, consumer, behind);
        let shown = give_history((&view, own, most), &mut given, reply);
        reply.check_len(begun)?;
        reply.end(list, shown);
        return Ok(Some(given));
    }
    let has_new = view.last_entry_id() > Some(group.last_id());
    let claimed = match reading.claims_after {
        None => Vec::new(),
        Some(idle) => {
            let until = UnixMillis(now.0.saturating_sub(idle));
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            group.pending_since(until, most)
        }
    };
    if !has_new && claimed.is_empty() {
        return Ok(None);
    }
    begin_stream(reply, key.bytes());
    let list = reply.begin_array(most.min(view.len()) as usize);
    for pending in &claimed {
        if let Some(entry) = view.get(pending.id) {
            reply.array(4);
            range::show_parts(reply, &entry);
            reply.integer(now.0.saturating_sub(pending.delivered_at.0));
            reply.count(pending.deliveries);
            given
                .again
                .push((pending.id, pending.deliveries.saturating_add(1)));
        }
    }
    let left = most - given.again.len() as u64;
    let first = group.last_id().next();
    if let (true, true, Some(first)) = (has_new, left > 0, first) {
        let tells_idle = reading.claims_after.is_some();
        view.walk(first, Direction::Up, &mut |entry| {
            if given.new.len() as u64 == left || reply.check_len(begun).is_err() {
                return ControlFlow::Break(());
            }
            reply.array(if tells_idle { 4 } else { 2 });
            range::show_parts(reply, &entry);
            if tells_idle {
                reply.integer(0);
                reply.integer(0);
            }
            given.new.push(entry.id);
            ControlFlow::Continue(())
        });
    }
    reply.check_len(begun)?;
    reply.end(list, given.again.len() + given.new.len());
    Ok(Some(given))
}

/// Writes what a consumer has pending; how many entries those are.
fn give_history(
    (view, (group, consumer, behind), most): (
        &StreamRef<'_>,
        (&GroupRef<'_>, &[u8], StreamId),
        u64,
    ),
    given: &mut Given,
    reply: &mut Reply<'_>,
) -> usize {
    let Some(first) = behind.next() else {
        return 0;
    };
    let (mut shown, begun) = (0, reply.mark());
    group.walk_own(consumer, first, &mut |pending| {
        if shown as u64 == most || reply.check_len(begun).is_err() {
            return ControlFlow::Break(());
        }
        reply.array(2);
        match view.get(pending.id) {
            Some(entry) => {
                range::show_parts(reply, &entry);
                given
                    .again
                    .push((pending.id, pending.deliveries.saturating_add(1)));
            }
            None => range::show_gone(reply, pending.id),
        }
        shown += 1;
        ControlFlow::Continue(())
    });
    shown
}

/// What has been noted of a consumer.
#[derive(Debug, Default)]
struct Noted {
    is_new: bool,
    is_given: bool,
}

/// Notes that a consumer was heard of, and what it was given.
fn note_given(
    (stream, noted): (&mut StreamMut<'_>, &mut Noted),
    (reading, group, consumer): (&Reading<'_>, &[u8], &[u8]),
    (from, now): (Start, UnixMillis),
    given: Option<&Given>,
) -> Result<(), ErrorReply> {
    let view = stream.as_ref().and_then(|view| view.group(group));
    let known = view.and_then(|group| group.consumer(consumer));
    noted.is_new = known.is_none();
    let is_pending = given.is_some_and(|given| {
        let are_pending = !given.new.is_empty() && !reading.needs_no_ack;
        from == Start::New && (are_pending || !given.again.is_empty())
    });
    let active_at = match is_pending {
        true => Some(now),
        false => known.and_then(|known| known.active_at),
    };
    stream.change(&StreamChange::Consumer {
        group,
        consumer,
        seen_at: now,
        active_at,
    })?;
    let Some(given) = given else {
        return Ok(());
    };
    let mut pending = given.again.clone();
    if !reading.needs_no_ack {
        pending.extend(given.new.iter().map(|&id| (id, 1)));
    }
    for (id, deliveries) in pending {
        stream.change(&StreamChange::Pending {
            group,
            consumer,
            id,
            delivered_at: now,
            deliveries,
        })?;
    }
    noted.is_given = from == Start::New;
    let Some(view) = stream.as_ref().filter(|_| !given.new.is_empty()) else {
        return Ok(());
    };
    let progress = view.group(group).map(|group| group.progress());
    let mut progress = progress.expect("it was given something");
    for &id in &given.new {
        view.advance(&mut progress, id);
    }
    stream.change(&StreamChange::Group {
        group,
        last_id: progress.last_id,
        entries_read: progress.entries_read,
    })?;
    Ok(())
}

fn attempt(call: &mut ShardCall<'_>, turn: Turn) -> Result<Attempted, ErrorReply> {
    let reading = Reading::parse(&call.args)?;
    let mut from = Vec::with_capacity(reading.streams);
    for number in 0..reading.streams {
        let key = call.key(reading.key_at(number));
        let id = call.args.at(reading.id_at(number));
        let looked = look((call.shard, call.db, key), call.stats, (&reading, id));
        match looked {
            Ok(found) => from.push(found),
            // Who waits for a stream alone waits on past what is none.
            Err(error) if waits_past(&reading, turn, &error) => {
                return Ok(Attempted::Wait(None));
            }
            Err(error) => return Err(error),
        }
    }
    let mut served = 0;
    let mark = call.reply.mark();
    let list = begin_list(&mut call.reply, reading.streams);
    for (number, &from) in from.iter().enumerate() {
        let key = call.key(reading.key_at(number));
        let place = (&mut *call.shard, call.db, key);
        let is_served = serve(place, call.stats, &reading, from, &mut call.reply)?;
        served += usize::from(is_served);
    }
    if served > 0 {
        call.reply.end(list, served);
        return Ok(Attempted::Done);
    }
    call.reply.rewind(mark);
    if reading.block.is_some() {
        return Ok(Attempted::Wait(resolved(&call.args, &reading, &from)));
    }
    call.reply.null_array();
    Ok(Attempted::Done)
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

fn attempt_across(
    args: &Args<'_>,
    slots: &SlotMap,
    _: Turn,
) -> Result<Box<dyn Rounds>, ErrorReply> {
    let reading = Reading::parse(args)?;
    let cores = (0..reading.streams).map(|number| slots.core_of(args.at(reading.key_at(number))));
    let places = (0..reading.streams).map(|number| reading.id_at(number));
    Ok(Box::new(Across {
        args: args.iter_from(0).map(<[u8]>::to_vec).collect(),
        id_at: reading.id_at(0),
        of_last: places.filter(|&at| args.at(at) == b"+").collect(),
        waits: reading.block.is_some(),
        cores: cores.collect(),
        step: Step::Nothing,
    }))
}

/// Streams of several cores.
#[derive(Debug)]
struct Across {
    args: Vec<Vec<u8>>,
    /// Where the first id stands.
    id_at: usize,
    /// Where `+` stood.
    of_last: Vec<usize>,
    waits: bool,
    /// Of each stream.
    cores: Vec<CoreId>,
    step: Step,
}

/// What the answers at hand are to.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Nothing,
    Look,
    Serve,
}

impl Across {
    /// Asks each core about its streams: each about the stream of a number, which stands in the place of the name.
    fn ask(&self, run: CoreFn) -> Round {
        let requests = self.cores.iter().enumerate().map(|(number, &core)| {
            let mut args = self.args.clone();
            let name = &self.args[0];
            args[0] = [&(number as u32).to_le_bytes()[..], name].concat();
            CoreRequest { core, run, args }
        });
        Round::Ask(requests.collect())
    }
}

impl Rounds for Across {
    fn next(&mut self, answers: &[&[u8]], reply: &mut Reply<'_>) -> Result<Round, ErrorReply> {
        match self.step {
            Step::Nothing => {
                self.step = Step::Look;
                Ok(self.ask(look_part))
            }
            Step::Look => {
                for (number, answer) in answers.iter().enumerate() {
                    if let Answer::Yes(id) = Answer::of(answer)? {
                        self.args[self.id_at + number] = id.to_vec();
                    }
                }
                self.step = Step::Serve;
                Ok(self.ask(serve_part))
            }
            Step::Serve => {
                let answers = answers.iter().map(|answer| Answer::of(answer));
                let answers: Vec<Answer<'_>> = answers.collect::<Result<_, _>>()?;
                let served = answers.iter().filter(|answer| **answer != Answer::No);
                let served = served.count();
                if served == 0 && self.waits {
                    let mut args = self.args.clone();
                    for &at in &self.of_last {
                        args[at] = b"+".to_vec();
                    }
                    return Ok(Round::Wait(Some(args)));
                }
                if served == 0 {
                    reply.null_array();
                    return Ok(Round::Done);
                }
                let list = begin_list(reply, served);
                for answer in answers {
                    if let Answer::Yes(part) = answer {
                        reply.raw(part);
                    }
                }
                reply.end(list, served);
                Ok(Round::Done)
            }
        }
    }
}

/// Does something with the stream that argument 0 has the number of; the others are those of the command, whose name stands behind that.
fn with_stream(
    call: &mut CoreCall<'_>,
    answer: impl FnOnce(&mut CoreCall<'_>, &Reading<'_>, usize) -> Result<Option<Vec<u8>>, ErrorReply>,
) {
    let first = call.args.at(0);
    let (number, name) = first.split_first_chunk().expect("a number");
    let number = u32::from_le_bytes(*number) as usize;
    let args: Vec<&[u8]> = std::iter::once(name)
        .chain(call.args.iter_from(1))
        .collect();
    let mut input = Vec::new();
    let mut ranges = Vec::new();
    for arg in args {
        let (start, len) = (input.len() as u32, arg.len() as u32);
        ranges.push(crate::resp::ArgRange { start, len });
        input.extend_from_slice(arg);
    }
    let args = Args::new(&input, &ranges);
    let outcome = Reading::parse(&args).and_then(|reading| answer(call, &reading, number));
    match outcome {
        Ok(Some(part)) => Answer::yes(call.out, |out| out.extend_from_slice(&part)),
        Ok(None) => Answer::no(call.out),
        Err(error) => Answer::failed(call.out, &error),
    }
}

/// Answers from where on a stream is to be read.
fn look_part(call: &mut CoreCall<'_>) {
    with_stream(call, |call, reading, number| {
        let key = call
            .core
            .shard
            .hasher()
            .key(call.args.at(reading.key_at(number)));
        let id = call.args.at(reading.id_at(number));
        let place = (&mut call.core.shard, call.db, key);
        Ok(match look(place, &mut call.core.stats, (reading, id))? {
            Start::New => None,
            Start::Behind(id) => Some(ids::text(id)),
        })
    });
}

/// Serves a stream; answers what is to be replied of it.
fn serve_part(call: &mut CoreCall<'_>) {
    with_stream(call, |call, reading, number| {
        let key = call
            .core
            .shard
            .hasher()
            .key(call.args.at(reading.key_at(number)));
        let id = call.args.at(reading.id_at(number));
        let from = match id {
            b">" => Start::New,
            id => Start::Behind(ids::id(id, 0)?),
        };
        let mut part = Vec::new();
        let mut reply = Reply::new(&mut part, call.protocol);
        let place = (&mut call.core.shard, call.db, key);
        let is_served = serve(place, &mut call.core.stats, reading, from, &mut reply)?;
        Ok(is_served.then_some(part))
    });
}
