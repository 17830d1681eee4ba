//! `COPY` and `MOVE`. A key keeps its shard in every database, so that `MOVE` never leaves one; `COPY` between shards
//! takes two rounds: fetch the entry, then check the destination and put it. A large value is not copied before the first write to
//! either.

use larder_engine::{Access, AccessClock, DbIndex, Event, ValueImage};

use crate::command::families::databases::db_argument;
use crate::command::families::transfer::Answer;
use crate::command::{Args, CoreCall, CoreRequest, Handed, Round, Rounds, ShardCall};
use crate::resp::errors::{self, CommandResult};
use crate::resp::{ErrorReply, Reply};
use crate::routing::{CoreId, SlotMap};

/// What becomes of an entry that is at the destination already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    Refuse,
    Replace,
}

/// The options of `COPY`.
#[derive(Clone, Copy, Debug)]
struct Options {
    db: DbIndex,
    taken: Taken,
}

impl Options {
    /// Reads arguments 3 to `end` of a command that runs in database `from` of `databases`.
    fn parse(
        args: &Args<'_>,
        end: usize,
        from: DbIndex,
        databases: u16,
    ) -> Result<Self, ErrorReply> {
        let mut options = Self {
            db: from,
            taken: Taken::Refuse,
        };
        let mut at = 3;
        while at < end {
            if args.is(at, "replace") {
                options.taken = Taken::Replace;
            } else if args.is(at, "db") && at + 1 < end {
                at += 1;
                options.db = db_argument(args.at(at), databases)?;
            } else {
                return Err(errors::SYNTAX);
            }
            at += 1;
        }
        Ok(options)
    }
}

/// `COPY` on one shard.
pub(super) fn copy(call: &mut ShardCall<'_>) -> CommandResult {
    let databases = call.shard.databases();
    let options = Options::parse(&call.args, call.args.len(), call.db, databases)?;
    let (from, to) = (call.key(1), call.key(2));
    if options.db == call.db && from.bytes() == to.bytes() {
        return Err(errors::SAME_OBJECT);
    }
    let source = call.shard.read(call.db, from, call.access);
    call.stats.count_lookup(source.is_some());
    let Some(image) = source.map(|entry| entry.shared_image()) else {
        call.reply.integer(0);
        return Ok(());
    };
    let there = call.shard.get(options.db, to, Access::Peek).is_some();
    if there && options.taken == Taken::Refuse {
        call.reply.integer(0);
        return Ok(());
    }
    let image = unused(image, AccessClock::at(call.shard.now()));
    call.shard.put(options.db, to, &image, Event::CopyTo)?;
    call.reply.integer(1);
    Ok(())
}

/// A copy begins its own access history.
fn unused(image: ValueImage, access: AccessClock) -> ValueImage {
    ValueImage { access, ..image }
}

/// `COPY` between shards.
pub(super) fn copy_across(args: &Args<'_>, slots: &SlotMap) -> Result<Box<dyn Rounds>, ErrorReply> {
    Ok(Box::new(Copy {
        args: args.iter_from(0).map(<[u8]>::to_vec).collect(),
        source: slots.core_of(args.at(1)),
        destination: slots.core_of(args.at(2)),
        step: Step::Nothing,
        entry: Vec::new(),
    }))
}

#[derive(Debug)]
struct Copy {
    /// The command's own arguments: only a core knows how many databases there are, so the cores read the options.
    args: Vec<Vec<u8>>,
    source: CoreId,
    destination: CoreId,
    step: Step,
    /// The entry, between source and destination.
    entry: Vec<Handed>,
}

/// What the answers at hand are to.
#[derive(Debug)]
enum Step {
    Nothing,
    Fetch,
    Put,
}

impl Rounds for Copy {
    fn next(&mut self, answers: &[&[u8]], reply: &mut Reply<'_>) -> Result<Round, ErrorReply> {
        let request = match self.step {
            Step::Nothing => {
                self.step = Step::Fetch;
                CoreRequest {
                    core: self.source,
                    run: fetch,
                    args: self.args.clone(),
                }
            }
            Step::Fetch => {
                Answer::of(answers[0])?;
                let entry = std::mem::take(&mut self.entry);
                if entry.is_empty() {
                    reply.integer(0);
                    return Ok(Round::Done);
                }
                self.step = Step::Put;
                let request = CoreRequest {
                    core: self.destination,
                    run: put,
                    args: std::mem::take(&mut self.args),
                };
                return Ok(Round::Hand(request, entry));
            }
            Step::Put => {
                let copied = matches!(Answer::of(answers[0])?, Answer::Yes(_));
                reply.integer(i64::from(copied));
                return Ok(Round::Done);
            }
        };
        Ok(Round::Ask(vec![request]))
    }

    fn hand(&mut self, entry: Vec<Handed>) {
        self.entry = entry;
    }
}

/// Hands over the entry of the source, if there is one. The arguments are the command's.
fn fetch(call: &mut CoreCall<'_>) {
    let core = &mut *call.core;
    let databases = core.shard.databases();
    if let Err(error) = Options::parse(&call.args, call.args.len(), call.db, databases) {
        return Answer::failed(call.out, &error);
    }
    let key = core.shard.hasher().key(call.args.at(1));
    let source = core.shard.read(call.db, key, Access::Touch);
    core.stats.count_lookup(source.is_some());
    call.hands.extend(source.map(Handed::copy));
    Answer::yes(call.out, |_| ());
}

/// Puts the entry at the destination; answers no if that is taken. The arguments are the command's.
fn put(call: &mut CoreCall<'_>) {
    let shard = &mut call.core.shard;
    let databases = shard.databases();
    let options = match Options::parse(&call.args, call.args.len(), call.db, databases) {
        Ok(options) => options,
        Err(error) => return Answer::failed(call.out, &error),
    };
    let key = shard.hasher().key(call.args.at(2));
    let there = shard.get(options.db, key, Access::Peek).is_some();
    if there && options.taken == Taken::Refuse {
        return Answer::no(call.out);
    }
    let entry = call.handed[0].image.clone();
    let image = unused(entry, AccessClock::at(shard.now()));
    match shard.put(options.db, key, &image, Event::CopyTo) {
        Ok(()) => Answer::yes(call.out, |_| ()),
        Err(error) => Answer::failed(call.out, &error.into()),
    }
}

/// `MOVE`.
pub(super) fn move_to_db(call: &mut ShardCall<'_>) -> CommandResult {
    let to = db_argument(call.args.at(2), call.shard.databases())?;
    if to == call.db {
        return Err(errors::SAME_OBJECT);
    }
    let key = call.key(1);
    let there = call.shard.get(call.db, key, call.access).is_some();
    let moved = there && call.shard.get(to, key, Access::Peek).is_none();
    if moved {
        let events = (Event::MoveFrom, Event::MoveTo);
        call.shard.relocate((call.db, key), (to, key), events)?;
    }
    call.reply.integer(i64::from(moved));
    Ok(())
}
