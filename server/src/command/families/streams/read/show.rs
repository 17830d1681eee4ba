//! Looking at a stream, and showing what it has behind an id, or for a consumer. Nothing is changed.

use std::ops::ControlFlow;

use larder_engine::{
    Access, DbIndex, Direction, GroupRef, Key, Shard, StreamId, StreamRef, UnixMillis,
};

use super::Reading;
use super::given::Given;
use crate::command::families::streams::{ids, range, read};
use crate::observe::Stats;
use crate::resp::errors::streams as errors;
use crate::resp::{ErrorReply, Reply};

/// While nothing is pending, it is looked for no sooner, in milliseconds: it would have to be given to somebody first.
const LOOK_AGAIN_MIN_MS: i64 = 100;

/// From where on a stream is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// Behind an id; of a group, what its consumer has pending from there on.
    Behind(StreamId),
    /// What the group has not been given yet.
    New,
}

/// Looks at a stream before any is shown: from where on it is to be read.
pub(super) fn look(
    (shard, db, key): (&mut Shard, DbIndex, Key<'_>),
    stats: &mut Stats,
    (reading, id): (&Reading<'_>, &[u8]),
) -> Result<Start, ErrorReply> {
    let found = read(shard, stats, (db, key, Access::Peek))?;
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
    // No history is behind the greatest id: that says the same as `>`.
    match is_of_group && behind == StreamId::MAX {
        true => Ok(Start::New),
        false => Ok(Start::Behind(behind)),
    }
}

/// Writes what a stream has from there on, behind its key, if it has anything; what a consumer is given with that.
pub(super) fn show(
    (shard, db, key): (&mut Shard, DbIndex, Key<'_>),
    stats: &mut Stats,
    (reading, from): (&Reading<'_>, Start),
    reply: &mut Reply<'_>,
) -> Result<Option<Given>, ErrorReply> {
    let Some((group, consumer)) = reading.group else {
        let found = read(shard, stats, (db, key, Access::Touch))?;
        let is_shown = show_to_reader(found, key, (reading, from), reply)?;
        return Ok(is_shown.then(Given::default));
    };
    // There is a group, so there is a stream.
    stats.count_lookup((db, key.bytes()), true);
    let now = shard.now();
    let most = reading.count.unwrap_or(u64::MAX);
    let claimed = match (from, reading.claims_after) {
        (Start::New, Some(idle)) => {
            let until = UnixMillis(now.0.saturating_sub(idle));
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            shard.pending_longest((db, key), group, (until, most))?
        }
        _ => Vec::new(),
    };
    let view = shard.stream(db, key, Access::Peek)?;
    let found = view.and_then(|view| Some((view, view.group(group)?)));
    let Some((view, group)) = found else {
        return Err(errors::no_group_to_read(key.bytes(), group));
    };
    match from {
        Start::Behind(behind) => {
            begin_stream(reply, key.bytes());
            let own = (&group, consumer, behind);
            show_history((&view, own, most), reply).map(Some)
        }
        Start::New => {
            let tells_idle = reading.claims_after.is_some();
            show_new(
                (&view, &group, key),
                (&claimed, tells_idle, most, now),
                reply,
            )
        }
    }
}

/// In how many milliseconds something of a stream that has nothing for a group now will have been pending for so long that it is claimed; by then
/// it is looked for again, if nothing is pending yet.
pub(super) fn claimable_in_ms(
    (shard, db, key): (&mut Shard, DbIndex, Key<'_>),
    reading: &Reading<'_>,
) -> Option<u64> {
    let (idle, (group, _)) = reading.claims_after.zip(reading.group)?;
    let now = shard.now();
    let any = (UnixMillis(i64::MAX), 1);
    let oldest = shard.pending_longest((db, key), group, any).ok()?;
    let millis = match oldest.first() {
        Some((oldest, _)) => oldest.0.saturating_add(idle).saturating_sub(now.0),
        None => idle.max(LOOK_AGAIN_MIN_MS),
    };
    Some(millis.max(1).unsigned_abs())
}

/// Begins what is written of a stream: a pair in an array, or of a map.
fn begin_stream(reply: &mut Reply<'_>, key: &[u8]) {
    if !reply.is_resp3() {
        reply.array(2);
    }
    reply.bulk(key);
}

fn show_to_reader(
    found: Option<StreamRef<'_>>,
    key: Key<'_>,
    (reading, from): (&Reading<'_>, Start),
    reply: &mut Reply<'_>,
) -> Result<bool, ErrorReply> {
    let Start::Behind(behind) = from else {
        unreachable!("only groups have been given something");
    };
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

/// Writes what a consumer has pending.
fn show_history(
    (view, (group, consumer, behind), most): (
        &StreamRef<'_>,
        (&GroupRef<'_>, &[u8], StreamId),
        u64,
    ),
    reply: &mut Reply<'_>,
) -> Result<Given, ErrorReply> {
    let (mut given, mut shown) = (Given::default(), 0);
    let list = reply.begin_array(0);
    let begun = reply.mark();
    let show = &mut |pending: larder_engine::PendingRef<'_>| {
        if shown as u64 == most || reply.check_len(begun).is_err() {
            return ControlFlow::Break(());
        }
        reply.array(2);
        match view.get(pending.id) {
            Some(entry) => {
                range::show_parts(reply, &entry);
                let deliveries = pending.deliveries.saturating_add(1);
                given.again.push((pending.id, deliveries));
            }
            None => range::show_gone(reply, pending.id),
        }
        shown += 1;
        ControlFlow::Continue(())
    };
    if let Some(first) = behind.next() {
        group.walk_own(consumer, first, show);
    }
    reply.check_len(begun)?;
    reply.end(list, shown);
    Ok(given)
}

/// Writes what has been pending for so long that it is claimed, and what is new to the group, if there is any.
fn show_new(
    (view, group, key): (&StreamRef<'_>, &GroupRef<'_>, Key<'_>),
    (claimed, tells_idle, most, now): (&[(UnixMillis, StreamId)], bool, u64, UnixMillis),
    reply: &mut Reply<'_>,
) -> Result<Option<Given>, ErrorReply> {
    let has_new = view.last_entry_id() > Some(group.last_id());
    if !has_new && claimed.is_empty() {
        return Ok(None);
    }
    let mut given = Given {
        is_new: true,
        ..Given::default()
    };
    begin_stream(reply, key.bytes());
    let list = reply.begin_array(most.min(view.len()) as usize);
    let begun = reply.mark();
    for &(_, id) in claimed {
        if let Some((entry, pending)) = view.get(id).zip(group.pending(id)) {
            reply.array(4);
            range::show_parts(reply, &entry);
            reply.integer(now.0.saturating_sub(pending.delivered_at.0));
            reply.count(pending.deliveries);
            let deliveries = pending.deliveries.saturating_add(1);
            given.again.push((pending.id, deliveries));
            reply.check_len(begun)?;
        }
    }
    let left = most - given.again.len() as u64;
    let first = group.last_id().next();
    if let (true, true, Some(first)) = (has_new, left > 0, first) {
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
