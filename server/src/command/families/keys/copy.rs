//! `COPY` and `MOVE`. A key keeps its shard in every database, so that `MOVE` never leaves one; `COPY` between shards
//! takes two rounds: fetch the entry, then check the destination and put it. A large value is not copied before the first write to
//! either. A large collection takes these rounds for each of its parts; on one shard, each is a step.

use larder_engine::{
    Access, AccessClock, DbIndex, Event, LooseId, PartFrom, UnixMillis, ValueImage,
};

use crate::command::families::databases::db_argument;
use crate::command::families::transfer::{self, Answer};
use crate::command::{
    Args, CoreCall, CoreRequest, Extent, Handed, Round, Rounds, ShardCall, Step as Stepped, Steps,
    run_all_steps,
};
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
    run_all_steps(call, begin_copy)
}

/// `COPY` on one shard, with its first step.
pub(super) fn begin_copy(call: &mut ShardCall<'_>) -> Result<Option<Box<dyn Steps>>, ErrorReply> {
    let databases = call.shard.databases();
    let options = Options::parse(&call.args, call.args.len(), call.db, databases)?;
    let (from, to) = (call.key(1), call.key(2));
    if options.db == call.db && from.bytes() == to.bytes() {
        return Err(errors::SAME_OBJECT);
    }
    let source = call.shard.read(call.db, from, call.access);
    call.stats
        .count_lookup((call.db, from.bytes()), source.is_some());
    let Some(source) = source else {
        call.reply.integer(0);
        return Ok(None);
    };
    let (kind, encoding, expires_at) = (source.kind(), source.encoding(), source.expires_at());
    let image = source.is_whole().then(|| source.shared_image());
    let there = call.shard.get(options.db, to, Access::Peek).is_some();
    if there && options.taken == Taken::Refuse {
        call.reply.integer(0);
        return Ok(None);
    }
    let access = call.shard.access_of_new();
    let Some(image) = image else {
        let gathered = call.shard.begin_loose(kind, Some(encoding));
        return Ok(Some(Box::new(CopySteps {
            to: options.db,
            from: PartFrom::default(),
            gathered,
            attributes: (expires_at, access),
        })));
    };
    let image = unused(image, access);
    call.shard.put(options.db, to, &image, Event::CopyTo)?;
    call.reply.integer(1);
    Ok(None)
}

/// Bytes of the elements that one step copies, but for what the last of them exceeds that by: of short fields some seven hundred, in a
/// fifth of a millisecond.
const STEP_BYTES: usize = 16 << 10;

/// A large collection that is copied on its own shard.
#[derive(Debug)]
struct CopySteps {
    /// The destination's database.
    to: DbIndex,
    /// Where the next part begins.
    from: PartFrom,
    /// What has the parts so far.
    gathered: LooseId,
    attributes: (Option<UnixMillis>, AccessClock),
}

impl Steps for CopySteps {
    fn next(&mut self, call: &mut ShardCall<'_>) -> Result<Stepped, ErrorReply> {
        let part = call
            .shard
            .part(call.db, call.key(1), (self.from, STEP_BYTES));
        let Some((part, next)) = part else {
            // The source has reached its deadline.
            call.shard.drop_loose(self.gathered);
            call.reply.integer(0);
            return Ok(Stepped::Done);
        };
        if let Err(error) = call.shard.add_part(self.gathered, &part.bytes) {
            call.shard.drop_loose(self.gathered);
            return Err(error.into());
        }
        if let Some(next) = next {
            self.from = next;
            return Ok(Stepped::More);
        }
        let (to, event) = (call.key(2), Event::CopyTo);
        call.shard
            .put_loose(self.to, to, self.gathered, self.attributes, event)?;
        call.reply.integer(1);
        Ok(Stepped::Done)
    }

    fn held_bytes(&self) -> usize {
        0
    }
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
        next: None,
        gathered: None,
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
    /// Where the part begins that comes behind this one.
    next: Option<PartFrom>,
    /// What has the parts so far, at the destination.
    gathered: Option<LooseId>,
}

/// What the answers at hand are to.
#[derive(Debug)]
enum Step {
    Nothing,
    Fetch,
    Put,
    /// The source is gone: the destination drops what it has of it.
    Drop,
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
                let [handed] = entry.as_slice() else {
                    let Some(gathered) = self.gathered.take() else {
                        reply.integer(0);
                        return Ok(Round::Done);
                    };
                    self.step = Step::Drop;
                    let dropping = transfer::drop_request(self.destination, gathered);
                    return Ok(Round::Ask(vec![dropping]));
                };
                self.step = Step::Put;
                self.next = match handed.extent {
                    Extent::Whole => None,
                    Extent::Part { next } => next,
                };
                let mut args = self.args.clone();
                args.push(transfer::loose_argument(self.gathered));
                let request = CoreRequest {
                    core: self.destination,
                    run: put,
                    args,
                };
                return Ok(Round::Hand(request, entry));
            }
            Step::Put => {
                let answer = Answer::of(answers[0])?;
                if let (Answer::Yes(gathered), Some(next)) = (&answer, self.next) {
                    self.gathered = transfer::loose_of(gathered);
                    self.step = Step::Fetch;
                    let request = CoreRequest {
                        core: self.source,
                        run: fetch_part,
                        args: vec![self.args[1].clone(), next.to_bytes().to_vec()],
                    };
                    return Ok(Round::Ask(vec![request]));
                }
                reply.integer(i64::from(answer != Answer::No));
                return Ok(Round::Done);
            }
            Step::Drop => {
                reply.integer(0);
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
    core.stats
        .count_lookup((call.db, key.bytes()), source.is_some());
    call.hands.extend(core.hand_copy(call.db, key));
    Answer::yes(call.out, |_| ());
}

/// Hands over the part of the collection of the key at argument 0 that begins at argument 1, if it is there.
fn fetch_part(call: &mut CoreCall<'_>) {
    let key = call.core.shard.hasher().key(call.args.at(0));
    let from = PartFrom::of_bytes(call.args.at(1));
    let part = call.core.hand_part(call.db, key, from);
    call.hands.extend(part);
    Answer::yes(call.out, |_| ());
}

/// Puts the entry at the destination, or gathers a part of it; answers no if that is taken. The arguments are the command's, and
/// behind them what has the parts so far.
fn put(call: &mut CoreCall<'_>) {
    let shard = &mut call.core.shard;
    let databases = shard.databases();
    let end = call.args.len() - 1;
    let gathered = transfer::loose_of(call.args.at(end));
    let options = match Options::parse(&call.args, end, call.db, databases) {
        Ok(options) => options,
        Err(error) => return Answer::failed(call.out, &error),
    };
    let key = shard.hasher().key(call.args.at(2));
    let there = shard.get(options.db, key, Access::Peek).is_some();
    if gathered.is_none() && there && options.taken == Taken::Refuse {
        return Answer::no(call.out);
    }
    let access = shard.access_of_new();
    let parts = (&call.handed[0], gathered);
    let core = &mut *call.core;
    match core.take_handed((options.db, key), parts, Some(access), Event::CopyTo) {
        Ok(gathered) => Answer::yes(call.out, |out| {
            out.extend(transfer::loose_argument(gathered));
        }),
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
