//! What adds and trims entries, and sets what a stream says of itself: `XADD`, `XTRIM`, `XSETID` and `XCFGSET`; the specs of `XDEL` and `XDELEX`,
//! which `delete` does.

use larder_engine::{Event, Fields, StreamChange, StreamId, StreamMut, UnixMillis};

use super::ids::{self, NewId};
use super::trimming::{Of, Options, Producing, Trimming};
use super::{CHANGED_KEY, DELETED_KEY, WRITING, delete, message_hash};
use crate::command::families::pieces::AtOnce;
use crate::command::{CommandSpec, Flags, KeyFlags, KeySpec, Keys, Run, ShardCall, Steps};
use crate::resp::ErrorReply;
use crate::resp::errors::{self as all_errors, CommandResult, streams as errors};

/// The table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "xadd",
        arity: -5,
        flags: Flags::WRITE.with(Flags::DENYOOM).with(Flags::FAST),
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::RW.update())
            .note("UPDATE instead of INSERT because of the optional trimming feature")]),
        tips: &["nondeterministic_output"],
        syntax: "key [NOMKSTREAM] [KEEPREF | DELREF | ACKED] [IDMPAUTO producer | IDMP producer iid] [<MAXLEN | MINID> [= | ~] threshold [LIMIT count]] <* | id> field value [field value ...]",
        summary: "Adds an entry to a stream, and returns its id.",
        complexity: "O(1) to add an entry, O(N) to trim N of them, in one step.",
        run: Run::OnShard(xadd),
        ..WRITING
    },
    CommandSpec {
        name: "xtrim",
        arity: -4,
        keys: DELETED_KEY,
        tips: &["nondeterministic_output"],
        syntax: "key <MAXLEN | MINID> [= | ~] threshold [LIMIT count] [KEEPREF | DELREF | ACKED]",
        summary: "Deletes entries from the beginning of a stream.",
        complexity: "O(N) where N is the number of entries deleted; by whole leaves.",
        run: Run::OnShard(|call| xtrim(call, AtOnce::All).map(drop)),
        steps: Some(|call| xtrim(call, AtOnce::Little)),
        ..WRITING
    },
    CommandSpec {
        name: "xdel",
        arity: -3,
        flags: Flags::WRITE.with(Flags::FAST),
        keys: DELETED_KEY,
        syntax: "key id [id ...]",
        summary: "Deletes entries of a stream, and returns how many there were.",
        complexity: "O(log(N)) for each entry to delete.",
        run: Run::OnShard(|call| delete::xdel(call, AtOnce::All).map(drop)),
        steps: Some(|call| delete::xdel(call, AtOnce::Little)),
        ..WRITING
    },
    CommandSpec {
        name: "xdelex",
        arity: -5,
        flags: Flags::WRITE.with(Flags::FAST),
        keys: DELETED_KEY,
        since: "8.2.0",
        syntax: "key [KEEPREF | DELREF | ACKED] IDS numids id [id ...]",
        summary: "Deletes entries of a stream, with what groups have of them, or if no group has any.",
        complexity: "O(log(N)) for each entry to delete.",
        run: Run::OnShard(|call| delete::xdelex(call, AtOnce::All).map(drop)),
        steps: Some(|call| delete::xdelex(call, AtOnce::Little)),
        ..WRITING
    },
    CommandSpec {
        name: "xsetid",
        arity: -3,
        flags: Flags::WRITE.with(Flags::DENYOOM).with(Flags::FAST),
        keys: CHANGED_KEY,
        syntax: "key last-id [ENTRIESADDED entries-added] [MAXDELETEDID max-deleted-id]",
        summary: "Sets what a stream says of itself.",
        run: Run::OnShard(xsetid),
        ..WRITING
    },
    CommandSpec {
        name: "xcfgset",
        arity: -2,
        flags: Flags::WRITE.with(Flags::FAST),
        keys: CHANGED_KEY,
        since: "8.6.0",
        syntax: "key [IDMP-DURATION duration] [IDMP-MAXSIZE maxsize]",
        summary: "Sets for how long, and how many, identifiers of messages are kept in a stream.",
        run: Run::OnShard(xcfgset),
        ..WRITING
    },
    CommandSpec {
        name: "xidmprecord",
        arity: 5,
        flags: Flags::WRITE.with(Flags::DENYOOM).with(Flags::FAST),
        keys: CHANGED_KEY,
        since: "8.6.2",
        syntax: "key pid iid stream-id",
        summary: "Notes which entry a producer's message has.",
        run: Run::OnShard(xidmprecord),
        ..WRITING
    },
];

fn xadd(call: &mut ShardCall<'_>) -> CommandResult {
    let options = Options::parse(&call.args, call.config, Of::Add)?;
    let Some((wanted, id_at)) = options.id else {
        return Err(all_errors::wrong_arity("xadd"));
    };
    let fields_at = id_at + 1;
    let count = call.args.len() - fields_at;
    if count < 2 || !count.is_multiple_of(2) {
        return Err(all_errors::wrong_arity("xadd"));
    }
    if wanted == NewId::Given(StreamId::MIN) {
        return Err(errors::ID_ZERO);
    }
    let (key, now) = (call.key(1), call.shard.now());
    let mut stream = call.shard.stream_mut(call.db, key)?;
    if options.makes_no_stream && !stream.is_there() {
        stream.close(0, &[]);
        call.reply.null();
        return Ok(());
    }
    let mut fields = Vec::with_capacity(count * 16);
    for at in (fields_at..call.args.len()).step_by(2) {
        Fields::write(call.args.at(at), call.args.at(at + 1), &mut fields);
    }
    let message = options
        .producing
        .map(|producing| identify(&producing, &fields));
    if let Some((producer, iid)) = &message
        && let Some(id) = known_message(&mut stream, (producer, iid), now)?
    {
        ids::show(&mut call.reply, id);
        stream.close(1, &[]);
        return Ok(());
    }
    let added = next_id(&stream, wanted, now.0.max(0) as u64).and_then(|id| {
        let fields = &fields[..];
        stream.change(&StreamChange::Added { id, fields })?;
        Ok(id)
    });
    let id = match added {
        Ok(id) => id,
        Err(error) => {
            stream.close(0, &[]);
            return Err(error);
        }
    };
    let mut done = Ok(());
    if let Some((producer, iid)) = &message {
        let produced = StreamChange::Produced {
            producer,
            iid,
            id,
            is_oldest: false,
        };
        done = stream.change(&produced);
    }
    let mut trimming = options.trim.map(Trimming::new);
    if let (Ok(()), Some(trimming)) = (&done, &mut trimming) {
        done = trimming.go_on(&mut stream, AtOnce::All).map(drop);
    }
    match trimming.is_some_and(|trimming| trimming.gone() > 0) {
        true => stream.close(1, &[Event::XAdd, Event::XTrim]),
        false => stream.close(1, &[Event::XAdd]),
    }
    done?;
    ids::show(&mut call.reply, id);
    Ok(())
}

/// The id of an entry that is to be added.
fn next_id(stream: &StreamMut<'_>, wanted: NewId, now_ms: u64) -> Result<StreamId, ErrorReply> {
    let last = stream
        .as_ref()
        .map_or(StreamId::MIN, |stream| stream.marks().last_id);
    if last == StreamId::MAX {
        return Err(errors::EXHAUSTED);
    }
    let id = match wanted {
        NewId::Given(id) => Some(id),
        NewId::OfMs(ms) if ms == last.ms => last.next().filter(|next| next.ms == ms),
        NewId::OfMs(ms) => Some(StreamId::new(ms, 0)),
        NewId::Auto if now_ms > last.ms => Some(StreamId::new(now_ms, 0)),
        NewId::Auto => last.next(),
    };
    id.filter(|&id| id > last).ok_or(errors::ID_NOT_BEHIND)
}

/// The producer of a message, and its identifier: the one that it was given, or a hash of its fields.
fn identify(producing: &Producing<'_>, fields: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let iid = match producing.iid {
        Some(iid) => iid.to_vec(),
        None => message_hash::of(Fields::of_bytes(fields)).to_vec(),
    };
    (producing.producer.to_vec(), iid)
}

/// The entry that a message has already, which is noted.
fn known_message(
    stream: &mut StreamMut<'_>,
    (producer, iid): (&[u8], &[u8]),
    now: UnixMillis,
) -> Result<Option<StreamId>, ErrorReply> {
    stream.forget_ended();
    let Some(view) = stream.as_ref() else {
        return Ok(None);
    };
    let Some(id) = view.produced(producer, iid) else {
        return Ok(None);
    };
    if view.has_production_ended(id, now) {
        stream.change(&StreamChange::Forgotten { producer, iid })?;
        return Ok(None);
    }
    let mut marks = view.marks();
    marks.iids_duplicate = marks.iids_duplicate.saturating_add(1);
    stream.change(&StreamChange::Marks(marks))?;
    Ok(Some(id))
}

/// A command that takes several steps, or is done.
type Begun = Result<Option<Box<dyn Steps>>, ErrorReply>;

fn xtrim(call: &mut ShardCall<'_>, at_once: AtOnce) -> Begun {
    let options = Options::parse(&call.args, call.config, Of::Trim)?;
    let trim = options.trim.ok_or(errors::TRIM_WITHOUT_STRATEGY)?;
    let key = call.key(1);
    let mut stream = call.shard.stream_mut(call.db, key)?;
    let mut trimming = Trimming::new(trim);
    let goes_on = match stream.is_there() {
        true => trimming.go_on(&mut stream, at_once),
        false => Ok(false),
    };
    if goes_on == Ok(true) {
        stream.close(trimming.gone(), &[]);
        return Ok(trimming.in_steps());
    }
    match trimming.gone() {
        gone @ 1.. => stream.close(gone, &[Event::XTrim]),
        0 => stream.close(0, &[]),
    }
    goes_on?;
    call.reply.count(trimming.gone());
    Ok(None)
}

fn xsetid(call: &mut ShardCall<'_>) -> CommandResult {
    let last_id = ids::id(call.args.at(2), 0)?;
    let (mut entries_added, mut max_deleted) = (None, StreamId::MIN);
    let mut at = 3;
    while at < call.args.len() {
        let has_more = at + 1 < call.args.len();
        if call.args.is(at, "entriesadded") && has_more {
            let added = call.args.integer(at + 1)?;
            let added = u64::try_from(added).map_err(|_| errors::ENTRIES_ADDED_NEGATIVE)?;
            entries_added = Some(added);
        } else if call.args.is(at, "maxdeletedid") && has_more {
            max_deleted = ids::id(call.args.at(at + 1), 0)?;
            if last_id < max_deleted {
                return Err(errors::SETID_BELOW_GIVEN);
            }
        } else {
            return Err(all_errors::SYNTAX);
        }
        at += 2;
    }
    let key = call.key(1);
    let mut stream = call.shard.stream_mut(call.db, key)?;
    let set = match stream.as_ref() {
        None => Err(all_errors::NO_SUCH_KEY),
        Some(view) if last_id < view.marks().max_deleted_id => Err(errors::SETID_BELOW_DELETED),
        Some(view) if view.last_entry_id().is_some_and(|last| last_id < last) => {
            Err(errors::SETID_BELOW_LAST)
        }
        Some(view) if entries_added.is_some_and(|added| view.len() > added) => {
            Err(errors::SETID_TOO_FEW)
        }
        Some(view) => {
            let mut marks = view.marks();
            marks.last_id = last_id;
            marks.entries_added = entries_added.unwrap_or(marks.entries_added);
            if max_deleted != StreamId::MIN {
                marks.max_deleted_id = max_deleted;
            }
            Ok(marks)
        }
    };
    let set = set.and_then(|marks| Ok(stream.change(&StreamChange::Marks(marks))?));
    match set {
        Ok(()) => stream.close(1, &[Event::XSetId]),
        Err(_) => stream.close(0, &[]),
    }
    set?;
    call.reply.ok();
    Ok(())
}

/// The longest time for which identifiers are kept, in seconds, and the most of a producer.
const DURATION_MAX_SECS: u64 = 86_400;
const MAXSIZE_MAX: u64 = 10_000;

fn xcfgset(call: &mut ShardCall<'_>) -> CommandResult {
    let key = call.key(1);
    let mut stream = call.shard.stream_mut(call.db, key)?;
    let set = match stream.as_ref() {
        None => Err(all_errors::NO_SUCH_KEY),
        Some(view) => {
            let before = view.production_limits();
            production_limits(&call.args, before).map(|limits| (before, limits))
        }
    };
    let set = set.and_then(|(before, (duration_secs, most))| {
        if before != (duration_secs, most) {
            stream.change(&StreamChange::Producers {
                duration_secs,
                most,
            })?;
        }
        Ok(before != (duration_secs, most))
    });
    stream.close(u64::from(set == Ok(true)), &[]);
    set?;
    call.reply.ok();
    Ok(())
}

fn xidmprecord(call: &mut ShardCall<'_>) -> CommandResult {
    let id = ids::id(call.args.at(4), 0)?;
    let (producer, iid) = (call.args.at(2), call.args.at(3));
    if producer.is_empty() {
        return Err(errors::RECORD_PRODUCER);
    }
    if iid.is_empty() {
        return Err(errors::RECORD_IID);
    }
    let key = call.key(1);
    let mut stream = call.shard.stream_mut(call.db, key)?;
    let known = match stream.as_ref() {
        None => Err(all_errors::NO_SUCH_KEY),
        Some(view) if !view.contains(id) => Err(errors::RECORD_NO_ENTRY),
        Some(view) => match view.produced(producer, iid) {
            Some(other) if other != id => Err(errors::RECORD_OTHER_ENTRY),
            known => Ok(known.is_some()),
        },
    };
    let noted = known.and_then(|is_known| {
        if !is_known {
            stream.change(&StreamChange::Produced {
                producer,
                iid,
                id,
                is_oldest: false,
            })?;
        }
        Ok(!is_known)
    });
    stream.close(u64::from(noted == Ok(true)), &[]);
    noted?;
    call.reply.ok();
    Ok(())
}

/// What the options say of production, and what they leave as it was.
fn production_limits(
    args: &crate::command::Args<'_>,
    (was_duration, was_most): (u64, u64),
) -> Result<(u64, u64), ErrorReply> {
    let (mut duration, mut most) = (None, None);
    let mut at = 2;
    while at < args.len() {
        let has_more = at + 1 < args.len();
        let (option, place, bound, unit) = if args.is(at, "idmp-duration") && has_more {
            ("IDMP-DURATION", &mut duration, DURATION_MAX_SECS, "seconds")
        } else if args.is(at, "idmp-maxsize") && has_more {
            ("IDMP-MAXSIZE", &mut most, MAXSIZE_MAX, "entries")
        } else {
            return Err(all_errors::SYNTAX);
        };
        if place.is_some() {
            return Err(errors::set_twice(option));
        }
        let value = u64::try_from(args.integer(at + 1)?).ok();
        let value = value.filter(|value| (1..=bound).contains(value));
        *place = Some(value.ok_or_else(|| errors::set_out_of_bounds(option, bound, unit))?);
        at += 2;
    }
    if duration.is_none() && most.is_none() {
        return Err(errors::NOTHING_TO_SET);
    }
    Ok((duration.unwrap_or(was_duration), most.unwrap_or(was_most)))
}
