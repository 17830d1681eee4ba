//! Entries that are deleted or acknowledged by their ids: `XDEL`, `XDELEX`, `XACK` and `XACKDEL`. Many ids are gone through in steps, while the
//! stream is locked: all of them are read before the first entry is touched.

use std::ops::Range;

use larder_engine::{Event, StreamChange, StreamId, StreamMut};

use super::trimming::{self, Chosen, References};
use super::{change, ids};
use crate::command::families::pieces::{AtOnce, Pieces};
use crate::command::{Args, ShardCall, Step, Steps};
use crate::resp::errors::CommandResult;
use crate::resp::{ErrorReply, Reply};

/// What became of an entry that was to be deleted.
const NOT_THERE: i64 = -1;
const DELETED: i64 = 1;
const STILL_REFERENCED: i64 = 2;

/// Entries that are gone through in one step of several, and ids that are read in one.
const STEP_ENTRIES: usize = 512;
const STEP_IDS: usize = 8192;

/// A command that takes several steps, or is done.
type Begun = Result<Option<Box<dyn Steps>>, ErrorReply>;

/// What is done with each entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    /// It is deleted; how many were is replied.
    Delete,
    /// It is deleted if what references it has allows that; what became of each is replied.
    DeleteWith(References),
    /// It is acknowledged; how many were is replied.
    Acknowledge,
    /// It is acknowledged, and if it was pending deleted, as with `DeleteWith`.
    AcknowledgeWith(References),
}

impl What {
    /// Whether it is of what a group has pending, which argument 2 names.
    fn is_of_group(self) -> bool {
        matches!(self, Self::Acknowledge | Self::AcknowledgeWith(_))
    }

    fn shows_each(self) -> bool {
        matches!(self, Self::DeleteWith(_) | Self::AcknowledgeWith(_))
    }

    /// Whether there is what it is of.
    fn is_there(self, stream: &StreamMut<'_>, group: &[u8]) -> bool {
        match self.is_of_group() {
            false => stream.is_there(),
            true => stream
                .as_ref()
                .is_some_and(|view| view.group(group).is_some()),
        }
    }
}

/// How many entries were acknowledged, and deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    acknowledged: u64,
    deleted: u64,
}

impl Tally {
    /// Changes, as Redis counts them, and what is replied if it is a number.
    fn changes(self, what: What) -> u64 {
        match what.is_of_group() {
            true => self.acknowledged,
            false => self.deleted,
        }
    }

    /// Ends a command, or a step of it, that has done so much since `before`, and begun with nothing.
    fn close(self, stream: StreamMut<'_>, what: What, (before, is_last): (Self, bool)) {
        let changes = self.changes(what) - before.changes(what);
        match is_last && self.deleted > 0 {
            true => stream.close(changes, &[Event::XDel]),
            false => stream.close(changes, &[]),
        }
    }
}

pub(super) fn xdel(call: &mut ShardCall<'_>, at_once: AtOnce) -> Begun {
    by_ids(call, at_once, |args| Ok((What::Delete, 2..args.len())))
}

pub(super) fn xdelex(call: &mut ShardCall<'_>, at_once: AtOnce) -> Begun {
    by_ids(call, at_once, |args| {
        let chosen = Chosen::parse(args, 2)?;
        Ok((What::DeleteWith(chosen.references), chosen.ids))
    })
}

pub(super) fn xack(call: &mut ShardCall<'_>, at_once: AtOnce) -> Begun {
    by_ids(call, at_once, |args| Ok((What::Acknowledge, 3..args.len())))
}

pub(super) fn xackdel(call: &mut ShardCall<'_>, at_once: AtOnce) -> Begun {
    by_ids(call, at_once, |args| {
        let chosen = Chosen::parse(args, 3)?;
        Ok((What::AcknowledgeWith(chosen.references), chosen.ids))
    })
}

/// Does with entries what `parse` says the arguments ask for, which are looked at once the key is known to have no value of another type.
fn by_ids(
    call: &mut ShardCall<'_>,
    at_once: AtOnce,
    parse: impl FnOnce(&Args<'_>) -> Result<(What, Range<usize>), ErrorReply>,
) -> Begun {
    let key = call.key(1);
    let counts = call.args.is(0, "xack") || call.args.is(0, "xackdel");
    let mut stream = match counts {
        true => change(call.shard, call.stats, (call.db, key))?,
        false => call.shard.stream_mut(call.db, key)?,
    };
    let (what, ids_at) = match parse(&call.args) {
        Ok(parsed) => parsed,
        Err(error) => {
            stream.close(0, &[]);
            return Err(error);
        }
    };
    let group = call.args.at(2);
    if !what.is_there(&stream, group) {
        stream.close(0, &[]);
        show_nothing(what, ids_at.len(), &mut call.reply);
        return Ok(None);
    }
    if at_once == AtOnce::Little && ids_at.len() > STEP_ENTRIES {
        stream.close(0, &[]);
        return Ok(Some(Box::new(ByIds {
            what,
            ids_at,
            ids: Vec::new(),
            next: 0,
            tally: Tally::default(),
            shown: Pieces::default(),
        })));
    }
    let ids = match ids::all(ids_at.map(|at| call.args.at(at))) {
        Ok(ids) => ids,
        Err(error) => {
            stream.close(0, &[]);
            return Err(error);
        }
    };
    if what.shows_each() {
        call.reply.array(ids.len());
    }
    let (mut tally, mut done) = (Tally::default(), Ok(()));
    for id in ids {
        match act(&mut stream, what, (group, id), &mut tally) {
            Ok(told) if what.shows_each() => call.reply.integer(told),
            Ok(_) => {}
            Err(error) => {
                done = Err(error);
                break;
            }
        }
    }
    tally.close(stream, what, (Tally::default(), true));
    done?;
    if !what.shows_each() {
        call.reply.count(tally.changes(what));
    }
    Ok(None)
}

/// Replies that none of so many entries was there.
fn show_nothing(what: What, ids: usize, reply: &mut Reply<'_>) {
    if !what.shows_each() {
        return reply.integer(0);
    }
    reply.array(ids);
    (0..ids).for_each(|_| reply.integer(NOT_THERE));
}

/// Does with an entry what is to be done; what became of it.
#[inline]
fn act(
    stream: &mut StreamMut<'_>,
    what: What,
    (group, id): (&[u8], StreamId),
    tally: &mut Tally,
) -> Result<i64, ErrorReply> {
    if what.is_of_group() {
        let view = stream.as_ref().and_then(|view| view.group(group));
        if view.is_none_or(|group| group.pending(id).is_none()) {
            return Ok(NOT_THERE);
        }
        stream.change(&StreamChange::Acknowledged { group, id })?;
        tally.acknowledged += 1;
    }
    let references = match what {
        What::Acknowledge => return Ok(DELETED),
        What::Delete => References::Keep,
        What::DeleteWith(references) | What::AcknowledgeWith(references) => references,
    };
    match references {
        References::Keep => {}
        References::Acked if stream.as_ref().is_some_and(|view| view.is_referenced(id)) => {
            return Ok(STILL_REFERENCED);
        }
        References::Acked => {}
        References::Delete => trimming::drop_references(stream, id)?,
    }
    if stream.as_ref().is_some_and(|view| view.contains(id)) {
        stream.change(&StreamChange::Removed { id })?;
        tally.deleted += 1;
        return Ok(DELETED);
    }
    Ok(match what.is_of_group() {
        // It was pending, and is not any more.
        true => DELETED,
        false => NOT_THERE,
    })
}

/// Many entries that are gone through in steps: the stream is locked.
#[derive(Debug)]
struct ByIds {
    what: What,
    /// Where the ids stand, and those that have been read.
    ids_at: Range<usize>,
    ids: Vec<StreamId>,
    /// The first that nothing was done with.
    next: usize,
    tally: Tally,
    /// What became of each.
    shown: Pieces,
}

impl Steps for ByIds {
    fn next(&mut self, call: &mut ShardCall<'_>) -> Result<Step, ErrorReply> {
        let read = self.ids.len();
        if read < self.ids_at.len() {
            let args = self.ids_at.clone().skip(read).take(STEP_IDS);
            self.ids.extend(ids::all(args.map(|at| call.args.at(at)))?);
            return Ok(Step::More);
        }
        self.go_on(call)?;
        if self.next < self.ids.len() {
            return Ok(Step::More);
        }
        if !self.what.shows_each() {
            call.reply.count(self.tally.changes(self.what));
            return Ok(Step::Done);
        }
        let shown = std::mem::take(&mut self.shown);
        let count = shown.count();
        let protocol = call.reply.protocol();
        Ok(Step::Reply(
            shown.into_reply(protocol, |reply| reply.array(count)),
        ))
    }

    fn held_bytes(&self) -> usize {
        self.ids.capacity() * size_of::<StreamId>() + self.shown.held_bytes()
    }
}

impl ByIds {
    fn go_on(&mut self, call: &mut ShardCall<'_>) -> CommandResult {
        let (what, before, protocol) = (self.what, self.tally, call.reply.protocol());
        let (key, group) = (call.key(1), call.args.at(2));
        let mut stream = call.shard.stream_mut(call.db, key)?;
        // It may have reached its deadline.
        let is_there = what.is_there(&stream, group);
        let until = self.ids.len().min(self.next + STEP_ENTRIES);
        let mut done = Ok(());
        for &id in &self.ids[self.next..until] {
            let told = match is_there {
                true => act(&mut stream, what, (group, id), &mut self.tally),
                false => Ok(NOT_THERE),
            };
            done = told.and_then(|told| match what.shows_each() {
                true => self.shown.add(protocol, |reply| reply.integer(told)),
                false => Ok(()),
            });
            if done.is_err() {
                break;
            }
        }
        self.next = until;
        let is_last = done.is_err() || until == self.ids.len();
        self.tally
            .close(stream, what, (before, is_last && is_there));
        done
    }
}

#[cfg(test)]
mod tests {
    use crate::command::families::testing::Bench;

    /// A stream of so many entries, all of which a consumer has.
    fn bench(entries: usize) -> Bench {
        let mut bench = Bench::new();
        for number in 1..=entries {
            bench.run(&format!("XADD s {number} a {number}"));
        }
        bench.run("XGROUP CREATE s g 0");
        bench.run("XREADGROUP GROUP g one STREAMS s >");
        bench
    }

    fn lines(entries: usize) -> [String; 4] {
        let ids: String = (1..=entries).map(|number| format!(" {number}")).collect();
        [
            format!("XDEL s{ids} 7"),
            format!("XACK s g{ids} 7"),
            format!("XDELEX s ACKED IDS {entries}{ids}"),
            format!("XACKDEL s g DELREF IDS {entries}{ids}"),
        ]
    }

    #[test]
    fn many_ids_are_gone_through_in_steps_as_at_once() {
        for number in 0..4 {
            let line = &lines(3000)[number];
            let (mut steps, mut at_once) = (bench(2900), bench(2900));
            let (mut before, mut count) = (steps.changes(), 0);
            let reply = steps.run_in_steps(line, &mut |shard, _| {
                let now = shard.journal().changes();
                assert!(now - before <= 512, "{}", now - before);
                (before, count) = (now, count + 1);
            });
            assert!(reply == at_once.run(line), "{}", &line[..9]);
            assert!(count >= 7, "{count}");
            assert_eq!(steps.changes(), at_once.changes());
            for line in ["XLEN s", "XPENDING s g", "XINFO STREAM s"] {
                assert_eq!(steps.run(line), at_once.run(line));
            }
            assert_eq!(steps.events(), at_once.events());
        }
    }

    #[test]
    fn an_id_that_is_none_is_found_before_an_entry_is_touched() {
        let mut bench = bench(2000);
        let line = lines(2000)[0].replace(" 7", " x");
        let mut steps = 0;
        assert_eq!(
            bench.run_in_steps(&line, &mut |_, _| steps += 1),
            "ERR Invalid stream ID specified as stream command argument"
        );
        assert_eq!(steps, 0);
        bench.check(&[("XLEN s", "2000")]);
    }

    #[test]
    fn a_stream_that_ends_meanwhile_has_none_of_what_is_left() {
        for (line, replied) in lines(2000).iter().zip(["0", "0", "-1", "-1"]) {
            let mut bench = bench(2000);
            bench.run("PEXPIRE s 10");
            let reply = bench.run_ending(line, 10);
            assert!(reply.trim_end_matches(']').ends_with(replied));
        }
    }
}
