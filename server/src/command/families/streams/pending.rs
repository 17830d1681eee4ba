//! What is pending: `XPENDING`, `XCLAIM` and `XAUTOCLAIM`, and the specs of `XACK` and `XACKDEL`, which `delete` does.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

use larder_engine::{
    Event, GivenEntries, GroupProgress, GroupRef, PendingRef, StreamChange, StreamId, StreamMut,
    StreamRef, UnixMillis,
};

use super::{CHANGED_KEY, READING, WRITING, change, delete, ids, range, read};
use crate::command::families::pieces::AtOnce;
use crate::command::{Args, CommandSpec, Flags, KeyFlags, KeySpec, Keys, Run, ShardCall};
use crate::resp::errors::{self as all_errors, CommandResult, streams as errors};
use crate::resp::{ErrorReply, Reply};

/// The table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "xack",
        arity: -4,
        flags: Flags::WRITE.with(Flags::FAST),
        keys: CHANGED_KEY,
        syntax: "key group id [id ...]",
        summary: "Acknowledges entries that a group has pending, and returns how many there were.",
        complexity: "O(log(N)) for each id, where N is the number of entries pending.",
        run: Run::OnShard(|call| delete::xack(call, AtOnce::All).map(drop)),
        steps: Some(|call| delete::xack(call, AtOnce::Little)),
        ..WRITING
    },
    CommandSpec {
        name: "xackdel",
        arity: -6,
        flags: Flags::WRITE.with(Flags::FAST),
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::RW.update().delete())]),
        since: "8.2.0",
        syntax: "key group [KEEPREF | DELREF | ACKED] IDS numids id [id ...]",
        summary: "Acknowledges entries that a group has pending, and deletes them.",
        complexity: "O(log(N)) for each id, where N is the number of entries.",
        run: Run::OnShard(|call| delete::xackdel(call, AtOnce::All).map(drop)),
        steps: Some(|call| delete::xackdel(call, AtOnce::Little)),
        ..WRITING
    },
    CommandSpec {
        name: "xpending",
        arity: -3,
        tips: &["nondeterministic_output"],
        syntax: "key group [[IDLE min-idle-time] start end count [consumer]]",
        summary: "Returns what a group has pending.",
        complexity: "O(log(N)+M) where N is the number of entries pending, and M of those looked at, in one step.",
        run: Run::OnShard(xpending),
        ..READING
    },
    CommandSpec {
        name: "xclaim",
        arity: -6,
        flags: Flags::WRITE.with(Flags::FAST),
        keys: CHANGED_KEY,
        tips: &["nondeterministic_output"],
        syntax: "key group consumer min-idle-time id [id ...] [IDLE ms] [TIME unix-time-milliseconds] [RETRYCOUNT count] [FORCE] [JUSTID] [LASTID lastid]",
        summary: "Makes entries that are pending those of another consumer.",
        complexity: "O(log(N)) for each id, where N is the number of entries pending, in one step.",
        run: Run::OnShard(xclaim),
        ..WRITING
    },
    CommandSpec {
        name: "xautoclaim",
        arity: -6,
        flags: Flags::WRITE.with(Flags::FAST),
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::RW.delete())]),
        tips: &["nondeterministic_output"],
        since: "6.2.0",
        syntax: "key group consumer min-idle-time start [COUNT count] [JUSTID]",
        summary: "Makes entries that have been pending for long those of another consumer.",
        complexity: "O(log(N)) for each entry looked at, where N is the number of entries pending, in one step.",
        run: Run::OnShard(xautoclaim),
        ..WRITING
    },
];

/// Entries that `XAUTOCLAIM` claims if nothing is said, and how many it looks at for each.
const AUTOCLAIM_COUNT: i64 = 100;
const AUTOCLAIM_LOOKS: u64 = 10;
/// The most that Redis has memory for.
const AUTOCLAIM_COUNT_MAX: i64 = i64::MAX / 16;

/// Which of what is pending is wanted.
#[derive(Debug)]
struct Wanted<'a> {
    min_idle: i64,
    start: StreamId,
    end: StreamId,
    count: u64,
    consumer: Option<&'a [u8]>,
}

impl<'a> Wanted<'a> {
    /// `[IDLE min-idle-time] start end count [consumer]`; `None` if nothing is said.
    fn parse(args: &Args<'a>) -> Result<Option<Self>, ErrorReply> {
        if args.len() == 3 {
            return Ok(None);
        }
        if !(6..=9).contains(&args.len()) {
            return Err(all_errors::SYNTAX);
        }
        let (mut at, mut min_idle) = (3, 0);
        if args.is(3, "idle") {
            min_idle = args.integer(4)?;
            if args.len() < 8 {
                return Err(all_errors::SYNTAX);
            }
            at = 5;
        }
        let count = args.integer(at + 2)?.max(0).unsigned_abs();
        Ok(Some(Self {
            min_idle,
            start: ids::start(args.at(at))?,
            end: ids::end(args.at(at + 1))?,
            count,
            consumer: args.get(at + 3),
        }))
    }
}

fn xpending(call: &mut ShardCall<'_>) -> CommandResult {
    let wanted = Wanted::parse(&call.args)?;
    let (key, group) = (call.key(1), call.args.at(2));
    let now = call.shard.now();
    let found = read(call.shard, call.stats, (call.db, key, call.access))?;
    let group = found.and_then(|stream| stream.group(group));
    let group = group.ok_or_else(|| errors::no_key_or_group(key.bytes(), call.args.at(2)))?;
    let reply = &mut call.reply;
    let Some(wanted) = wanted else {
        return show_summary(&group, reply);
    };
    if wanted
        .consumer
        .is_some_and(|name| group.consumer(name).is_none())
    {
        reply.array(0);
        return Ok(());
    }
    let begun = reply.mark();
    let list = reply.begin_array(wanted.count.min(group.pending_len()) as usize);
    let mut shown = 0;
    let show = &mut |pending: PendingRef<'_>| {
        if pending.id > wanted.end || shown == wanted.count || reply.check_len(begun).is_err() {
            return ControlFlow::Break(());
        }
        let idle = now.0.saturating_sub(pending.delivered_at.0);
        if wanted.min_idle == 0 || idle >= wanted.min_idle {
            reply.array(4);
            ids::show(reply, pending.id);
            reply.bulk(pending.consumer);
            reply.integer(idle.max(0));
            reply.count(pending.deliveries);
            shown += 1;
        }
        ControlFlow::Continue(())
    };
    match wanted.consumer {
        None if wanted.min_idle > 0 => {
            let until = UnixMillis(now.0.saturating_sub(wanted.min_idle));
            group.walk_pending_since((wanted.start, until), show);
        }
        None => group.walk_pending(wanted.start, show),
        Some(consumer) => group.walk_own(consumer, wanted.start, show),
    }
    reply.check_len(begun)?;
    reply.end(list, shown as usize);
    Ok(())
}

fn show_summary(group: &GroupRef<'_>, reply: &mut Reply<'_>) -> CommandResult {
    let begun = reply.mark();
    reply.array(4);
    reply.count(group.pending_len());
    let Some((first, last)) = group.pending_ends() else {
        reply.null();
        reply.null();
        reply.null_array();
        return Ok(());
    };
    ids::show(reply, first);
    ids::show(reply, last);
    let list = reply.begin_array(group.consumers_len());
    let mut shown = 0;
    for consumer in group
        .consumers()
        .filter(|consumer| consumer.pending_len > 0)
    {
        reply.array(2);
        reply.bulk(consumer.name);
        reply.bulk_integer(consumer.pending_len as i64);
        reply.check_len(begun)?;
        shown += 1;
    }
    reply.end(list, shown);
    Ok(())
}

/// How entries are claimed.
#[derive(Clone, Copy, Debug)]
struct Claim<'a> {
    group: &'a [u8],
    consumer: &'a [u8],
    min_idle: i64,
    now: UnixMillis,
    delivered_at: UnixMillis,
    deliveries: Option<u64>,
    /// What is not pending is claimed as well.
    forces: bool,
    shows_ids_alone: bool,
}

/// What becomes of an entry that is to be claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It becomes the consumer's, delivered so often.
    Claimed(u64),
    /// It is in the stream no more, and so pending no more.
    Gone,
    /// It is not pending, or not for so long.
    Stays,
}

/// When an entry was delivered that is pending, and how often.
type Delivered = (UnixMillis, u64);

impl Claim<'_> {
    /// What becomes of an entry, which is shown if it is claimed. Nothing is changed.
    fn fate(
        &self,
        view: &StreamRef<'_>,
        (id, pending): (StreamId, Option<Delivered>),
        reply: &mut Reply<'_>,
    ) -> Fate {
        let Some(entry) = view.get(id) else {
            return match pending {
                Some(_) => Fate::Gone,
                None => Fate::Stays,
            };
        };
        let deliveries = match pending {
            None if !self.forces => return Fate::Stays,
            None => 1,
            Some((delivered_at, deliveries)) => {
                let idle = self.now.0.saturating_sub(delivered_at.0);
                if self.min_idle > 0 && idle < self.min_idle {
                    return Fate::Stays;
                }
                deliveries
            }
        };
        match self.shows_ids_alone {
            true => ids::show(reply, id),
            false => range::show(reply, &entry),
        }
        let once_more = deliveries.saturating_add(u64::from(!self.shows_ids_alone));
        Fate::Claimed(self.deliveries.unwrap_or(once_more))
    }

    /// Does what has been found of entries, those that stay among them, and notes that the consumer was heard of, and how far the group has come.
    fn settle(
        &self,
        stream: &mut StreamMut<'_>,
        fates: &[(StreamId, Fate)],
        progress: GroupProgress,
    ) -> Result<Done, ErrorReply> {
        let view = stream.as_ref().and_then(|view| view.group(self.group));
        let is_new = view.is_some_and(|group| group.consumer(self.consumer).is_none());
        // Of one that is named again, what it has come to last.
        let last: BTreeMap<StreamId, Fate> = fates.iter().copied().collect();
        let mut entries = GivenEntries::default();
        let mut gone = Vec::new();
        for (&id, &fate) in &last {
            match fate {
                Fate::Stays => {}
                Fate::Gone => gone.push(id),
                Fate::Claimed(deliveries) => entries.push(id, deliveries),
            }
        }
        stream.change(&StreamChange::Given {
            group: self.group,
            consumer: self.consumer,
            seen_at: self.now,
            is_active: !entries.bytes().is_empty(),
            delivered_at: self.delivered_at,
            last_id: progress.last_id,
            entries_read: progress.entries_read,
            entries: entries.bytes(),
        })?;
        for id in gone {
            let group = self.group;
            stream.change(&StreamChange::Acknowledged { group, id })?;
        }
        let changes = fates.iter().filter(|(_, fate)| *fate != Fate::Stays);
        Ok(Done {
            changes: changes.count() as u64,
            is_new,
        })
    }
}

/// What `XCLAIM` says behind its ids.
#[derive(Debug, Default)]
struct ClaimOptions {
    delivered_at: Option<i64>,
    deliveries: Option<u64>,
    forces: bool,
    shows_ids_alone: bool,
    last_id: StreamId,
}

impl ClaimOptions {
    fn parse(args: &Args<'_>, mut at: usize, now: UnixMillis) -> Result<Self, ErrorReply> {
        let mut options = Self::default();
        while at < args.len() {
            let has_more = at + 1 < args.len();
            let number = |option| {
                let number = args.integer(at + 1);
                number.map_err(|_| errors::invalid_claim_option(option))
            };
            if args.is(at, "force") {
                options.forces = true;
            } else if args.is(at, "justid") {
                options.shows_ids_alone = true;
            } else if args.is(at, "idle") && has_more {
                options.delivered_at = Some(now.0.wrapping_sub(number("IDLE")?));
                at += 1;
            } else if args.is(at, "time") && has_more {
                options.delivered_at = Some(number("TIME")?);
                at += 1;
            } else if args.is(at, "retrycount") && has_more {
                options.deliveries = u64::try_from(number("RETRYCOUNT")?).ok();
                at += 1;
            } else if args.is(at, "lastid") && has_more {
                options.last_id = ids::id(args.at(at + 1), 0)?;
                at += 1;
            } else {
                return Err(errors::unknown_claim_option(args.at(at)));
            }
            at += 1;
        }
        Ok(options)
    }
}

/// Opens the stream of a group that is claimed from, does so, and ends that. `claim` answers how many changes that were.
fn claiming(
    call: &mut ShardCall<'_>,
    claim: impl FnOnce(
        &Args<'_>,
        &mut StreamMut<'_>,
        &mut Reply<'_>,
        UnixMillis,
    ) -> Result<Done, ErrorReply>,
) -> CommandResult {
    let (key, now) = (call.key(1), call.shard.now());
    let mut stream = change(call.shard, call.stats, (call.db, key))?;
    let group = call.args.at(2);
    let is_there = stream
        .as_ref()
        .is_some_and(|view| view.group(group).is_some());
    let done = match is_there {
        true => claim(&call.args, &mut stream, &mut call.reply, now),
        false => Err(errors::no_key_or_group(key.bytes(), group)),
    };
    match &done {
        Ok(done) if done.is_new => stream.close(done.changes + 1, &[Event::XGroupCreateConsumer]),
        Ok(done) => stream.close(done.changes, &[]),
        Err(_) => stream.close(0, &[]),
    }
    done.map(|_| ())
}

/// What a claim has done.
#[derive(Debug, Default)]
struct Done {
    changes: u64,
    /// Whether the consumer is new.
    is_new: bool,
}

fn xclaim(call: &mut ShardCall<'_>) -> CommandResult {
    claiming(call, |args, stream, reply, now| {
        let min_idle = args
            .integer(4)
            .map_err(|_| errors::invalid_min_idle("xclaim"))?;
        let ids: Vec<StreamId> = args
            .iter_from(5)
            .map_while(|arg| ids::id(arg, 0).ok())
            .collect();
        let options = ClaimOptions::parse(args, 5 + ids.len(), now)?;
        let delivered_at = options.delivered_at.filter(|&at| at >= 0 && at <= now.0);
        let claim = Claim {
            group: args.at(2),
            consumer: args.at(3),
            min_idle: min_idle.max(0),
            now,
            delivered_at: UnixMillis(delivered_at.unwrap_or(now.0)),
            deliveries: options.deliveries,
            forces: options.forces,
            shows_ids_alone: options.shows_ids_alone,
        };
        let view = stream.as_ref().expect("it is there");
        let group = view.group(claim.group).expect("it is there");
        let fates = show_claimed((&claim, &view, &group), ids, reply)?;
        let mut progress = group.progress();
        let goes_on = options.last_id > progress.last_id;
        progress.last_id = progress.last_id.max(options.last_id);
        let mut done = claim.settle(stream, &fates, progress)?;
        done.changes += u64::from(goes_on);
        Ok(done)
    })
}

/// Shows which of the entries are claimed, and finds what becomes of each. One that is named again is found as it is by then.
fn show_claimed(
    (claim, view, group): (&Claim<'_>, &StreamRef<'_>, &GroupRef<'_>),
    ids: Vec<StreamId>,
    reply: &mut Reply<'_>,
) -> Result<Vec<(StreamId, Fate)>, ErrorReply> {
    let begun = reply.mark();
    let list = reply.begin_array(ids.len());
    let mut so_far: HashMap<StreamId, Option<Delivered>> = HashMap::new();
    let (mut fates, mut shown) = (Vec::with_capacity(ids.len()), 0);
    for id in ids {
        let pending = match so_far.get(&id) {
            Some(pending) => *pending,
            None => {
                let pending = group.pending(id);
                pending.map(|pending| (pending.delivered_at, pending.deliveries))
            }
        };
        let fate = claim.fate(view, (id, pending), reply);
        match fate {
            Fate::Stays => continue,
            Fate::Gone => so_far.insert(id, None),
            Fate::Claimed(deliveries) => {
                shown += 1;
                so_far.insert(id, Some((claim.delivered_at, deliveries)))
            }
        };
        fates.push((id, fate));
        reply.check_len(begun)?;
    }
    reply.end(list, shown);
    Ok(fates)
}

fn xautoclaim(call: &mut ShardCall<'_>) -> CommandResult {
    let args = &call.args;
    let min_idle = args
        .integer(4)
        .map_err(|_| errors::invalid_min_idle("xautoclaim"))?;
    let start = ids::start(args.at(5))?;
    let (mut count, mut shows_ids_alone) = (AUTOCLAIM_COUNT, false);
    let mut at = 6;
    while at < args.len() {
        if args.is(at, "count") && at + 1 < args.len() {
            let given = args.integer(at + 1).ok();
            let given = given.filter(|given| (1..=AUTOCLAIM_COUNT_MAX).contains(given));
            count = given.ok_or(errors::AUTOCLAIM_COUNT)?;
            at += 1;
        } else if args.is(at, "justid") {
            shows_ids_alone = true;
        } else {
            return Err(all_errors::SYNTAX);
        }
        at += 1;
    }
    claiming(call, |args, stream, reply, now| {
        let claim = Claim {
            group: args.at(2),
            consumer: args.at(3),
            min_idle: min_idle.max(0),
            now,
            delivered_at: now,
            deliveries: None,
            forces: false,
            shows_ids_alone,
        };
        claim_all(&claim, stream, (start, count.unsigned_abs()), reply)
    })
}

/// Claims what has been pending for long enough, from an id on.
fn claim_all(
    claim: &Claim<'_>,
    stream: &mut StreamMut<'_>,
    (start, count): (StreamId, u64),
    reply: &mut Reply<'_>,
) -> Result<Done, ErrorReply> {
    let view = stream.as_ref().expect("it is there");
    let group = view.group(claim.group).expect("it is there");
    let mut claimed = Vec::new();
    let mut shown = Reply::new(&mut claimed, reply.protocol());
    let begun = shown.mark();
    let (mut fates, mut next) = (Vec::new(), None);
    let (mut left, mut looks) = (count, count.saturating_mul(AUTOCLAIM_LOOKS));
    let mut fits = Ok(());
    group.walk_pending(start, &mut |pending| {
        if left == 0 || looks == 0 {
            next = Some(pending.id);
            return ControlFlow::Break(());
        }
        looks -= 1;
        let delivered = (pending.delivered_at, pending.deliveries);
        let fate = claim.fate(&view, (pending.id, Some(delivered)), &mut shown);
        if fate != Fate::Stays {
            fates.push((pending.id, fate));
            left -= 1;
        }
        fits = shown.check_len(begun);
        match fits {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    });
    fits?;
    let gone = fates.iter().filter(|(_, fate)| *fate == Fate::Gone);
    let begun = reply.mark();
    reply.array(3);
    ids::show(reply, next.unwrap_or(StreamId::MIN));
    reply.array(fates.len() - gone.clone().count());
    reply.raw(&claimed);
    reply.array(gone.clone().count());
    gone.for_each(|&(id, _)| ids::show(reply, id));
    reply.check_len(begun)?;
    let progress = group.progress();
    claim.settle(stream, &fates, progress)
}
