//! Which entries go: the options of `XADD` and `XTRIM`, and of what deletes by id, and doing it.

use std::ops::ControlFlow;

use larder_engine::{
    Direction, Event, StoreError, StreamChange, StreamId, StreamMut, StreamRef, TrimBy, TrimPlan,
    TrimTo,
};

use super::ids::{self, NewId};
use crate::command::families::pieces::AtOnce;
use crate::command::{Args, ShardCall, Step, Steps};
use crate::config::Config;
use crate::resp::ErrorReply;
use crate::resp::errors::{self as all_errors, streams as errors};

/// What an approximate trim takes out at most, if nothing is said and nothing follows from the size of nodes.
const LIMIT: i64 = 10_000;
const LIMIT_MAX: i64 = 1_000_000;
/// Nodes that an approximate trim takes out at most, if nothing is said.
const LIMIT_NODES: i64 = 100;

/// What becomes of the references that groups have to entries which are to go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum References {
    /// They stay.
    #[default]
    Keep,
    /// They go, too.
    Delete,
    /// An entry that has some stays, and one that some group has yet to read.
    Acked,
}

impl References {
    /// What a word says.
    pub(super) fn of(args: &Args<'_>, at: usize) -> Option<Self> {
        match () {
            () if args.is(at, "keepref") => Some(Self::Keep),
            () if args.is(at, "delref") => Some(Self::Delete),
            () if args.is(at, "acked") => Some(Self::Acked),
            () => None,
        }
    }
}

/// A trim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trim {
    to: TrimTo,
    by: TrimBy,
    references: References,
}

/// Whose message an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Producing<'a> {
    pub(super) producer: &'a [u8],
    /// The identifier that it gave; else its fields say which it is.
    pub(super) iid: Option<&'a [u8]>,
}

/// The options of `XADD` and `XTRIM`.
#[derive(Debug, Default)]
pub(super) struct Options<'a> {
    pub(super) trim: Option<Trim>,
    pub(super) makes_no_stream: bool,
    pub(super) producing: Option<Producing<'a>>,
    /// Of `XADD` the id, and where it stands.
    pub(super) id: Option<(NewId, usize)>,
}

/// Whose options they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    Add,
    Trim,
}

impl<'a> Options<'a> {
    /// The options from argument 2 on.
    pub(super) fn parse(args: &Args<'a>, config: &Config, of: Of) -> Result<Self, ErrorReply> {
        let mut options = Self::default();
        let (mut to, mut is_approximate, mut limit) = (None, false, None);
        let mut references = None;
        let mut at = 2;
        while at < args.len() {
            let more = args.len() - 1 - at;
            let is = |word: &str| args.is(at, word);
            if of == Of::Add && args.at(at) == b"*" {
                options.id = Some((NewId::Auto, at));
                break;
            } else if (is("maxlen") || is("minid")) && more > 0 {
                if to.is_some() {
                    return Err(errors::MAXLEN_AND_MINID);
                }
                let by_len = is("maxlen");
                let sign = args.at(at + 1);
                let has_sign = more > 1 && (sign == b"~" || sign == b"=");
                is_approximate = has_sign && sign == b"~";
                at += 1 + usize::from(has_sign);
                to = Some(match by_len {
                    true => TrimTo::Len(not_negative(args, at, errors::MAXLEN_NEGATIVE)?),
                    false => TrimTo::Id(ids::id(args.at(at), 0)?),
                });
            } else if is("limit") && more > 0 {
                at += 1;
                limit = Some(not_negative(args, at, errors::LIMIT_NEGATIVE)?);
            } else if let (None, Some(said)) = (references, References::of(args, at)) {
                references = Some(said);
            } else if of == Of::Trim {
                return Err(all_errors::SYNTAX);
            } else if is("nomkstream") {
                options.makes_no_stream = true;
            } else if is("idmpauto") && more > 0 {
                options.set_producing(args, at, None)?;
                at += 1;
            } else if is("idmp") && more > 1 {
                options.set_producing(args, at, Some(args.at(at + 2)))?;
                at += 2;
            } else {
                options.id = Some((ids::new_id(args.at(at))?, at));
                if options.producing.is_some() {
                    return Err(errors::IDMP_NOT_AUTO);
                }
                break;
            }
            at += 1;
        }
        let Some(to) = to else {
            return match (limit, of) {
                (Some(1..), _) => Err(errors::LIMIT_ALONE),
                (_, Of::Trim) => Err(errors::TRIM_WITHOUT_STRATEGY),
                (Some(_), _) => Err(errors::LIMIT_EXACT),
                (None, Of::Add) => Ok(options),
            };
        };
        let by = match (is_approximate, limit) {
            (false, Some(_)) => return Err(errors::LIMIT_EXACT),
            (false, None) => TrimBy::Entry,
            (true, Some(limit)) => TrimBy::Leaf(limit),
            (true, None) => TrimBy::Leaf(limit_of(config)),
        };
        options.trim = Some(Trim {
            to,
            by,
            references: references.unwrap_or_default(),
        });
        Ok(options)
    }

    fn set_producing(
        &mut self,
        args: &Args<'a>,
        at: usize,
        iid: Option<&'a [u8]>,
    ) -> Result<(), ErrorReply> {
        let producer = args.at(at + 1);
        if self.producing.is_some() {
            return Err(errors::IDMP_TWICE);
        }
        if producer.is_empty() {
            return Err(match iid {
                None => errors::IDMPAUTO_PRODUCER,
                Some(_) => errors::IDMP_PRODUCER,
            });
        }
        if iid.is_some_and(<[u8]>::is_empty) {
            return Err(errors::IDMP_IID);
        }
        self.producing = Some(Producing { producer, iid });
        Ok(())
    }
}

fn not_negative(args: &Args<'_>, at: usize, error: ErrorReply) -> Result<u64, ErrorReply> {
    u64::try_from(args.integer(at)?).map_err(|_| error)
}

fn limit_of(config: &Config) -> u64 {
    let entries = i64::try_from(config.stream_node_max_entries).unwrap_or(i64::MAX);
    let limit = match entries.saturating_mul(LIMIT_NODES) {
        0 => LIMIT,
        limit => limit.min(LIMIT_MAX),
    };
    limit.unsigned_abs()
}

/// Leaves that are trimmed in one step of several, and entries that are looked at where references say what goes.
const STEP_LEAVES: usize = 64;
const STEP_LOOKS: usize = 512;

/// A trim that is under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trimming {
    trim: Trim,
    /// Entries that went.
    gone: u64,
    /// Where it goes on, where references say what goes.
    from: StreamId,
}

impl Trimming {
    pub(super) fn new(trim: Trim) -> Self {
        Self {
            trim,
            gone: 0,
            from: StreamId::MIN,
        }
    }

    /// How many entries went.
    pub(super) fn gone(&self) -> u64 {
        self.gone
    }

    /// How many more may go, if that is limited.
    fn left(&self) -> Option<u64> {
        match self.trim.by {
            TrimBy::Leaf(most) if most > 0 => Some(most - self.gone),
            _ => None,
        }
    }

    /// Trims a stream that is there, all of it or a little; whether there may be more to do.
    pub(super) fn go_on(
        &mut self,
        stream: &mut StreamMut<'_>,
        at_once: AtOnce,
    ) -> Result<bool, StoreError> {
        if self.trim.references != References::Keep {
            return self.go_on_referenced(stream, at_once);
        }
        let by = match self.left() {
            Some(0) => return Ok(false),
            Some(left) => TrimBy::Leaf(left),
            None => self.trim.by,
        };
        let most_leaves = match at_once {
            AtOnce::All => usize::MAX,
            AtOnce::Little => STEP_LEAVES,
        };
        let view = stream.as_ref();
        let plan = view.and_then(|view| view.plan_trim(self.trim.to, by, most_leaves));
        let Some(TrimPlan { last, gone, is_all }) = plan else {
            return Ok(false);
        };
        let first = StreamId::MIN;
        stream.change(&StreamChange::Trimmed { first, last })?;
        self.gone += gone;
        Ok(!is_all)
    }

    /// Trims entry by entry, since what goes depends on references, or they go with it.
    fn go_on_referenced(
        &mut self,
        stream: &mut StreamMut<'_>,
        at_once: AtOnce,
    ) -> Result<bool, StoreError> {
        let Some(view) = stream.as_ref() else {
            return Ok(false);
        };
        let Trim { to, references, .. } = self.trim;
        let (mut going, mut len) = (Vec::new(), view.len());
        let most = self.left().unwrap_or(u64::MAX);
        let (mut looks, mut next) = (0, None);
        view.walk(self.from, Direction::Up, &mut |entry| {
            let is_enough = match to {
                TrimTo::Len(to) => len <= to,
                TrimTo::Id(id) => entry.id >= id,
            };
            if is_enough || going.len() as u64 >= most {
                return ControlFlow::Break(());
            }
            if at_once == AtOnce::Little && looks == STEP_LOOKS {
                next = Some(entry.id);
                return ControlFlow::Break(());
            }
            looks += 1;
            if references == References::Delete || !view.is_referenced(entry.id) {
                going.push(entry.id);
                len -= 1;
            }
            ControlFlow::Continue(())
        });
        for &id in &going {
            if references == References::Delete {
                drop_references(stream, id)?;
            }
            stream.change(&StreamChange::Trimmed {
                first: id,
                last: id,
            })?;
            self.gone += 1;
        }
        self.from = next.unwrap_or(self.from);
        Ok(next.is_some())
    }

    /// Goes on in steps, the stream being locked.
    pub(super) fn in_steps(self) -> Option<Box<dyn Steps>> {
        Some(Box::new(self))
    }
}

impl Steps for Trimming {
    fn next(&mut self, call: &mut ShardCall<'_>) -> Result<Step, ErrorReply> {
        let key = call.key(1);
        let mut stream = call.shard.stream_mut(call.db, key)?;
        let before = self.gone;
        // It may have reached its deadline.
        let is_there = stream.is_there();
        let goes_on = match is_there {
            true => Trimming::go_on(self, &mut stream, AtOnce::Little),
            false => Ok(false),
        };
        let changes = self.gone - before;
        match goes_on == Ok(true) || !is_there {
            true => stream.close(changes, &[]),
            false => stream.close(changes, &[Event::XTrim]),
        }
        if goes_on? {
            return Ok(Step::More);
        }
        call.reply.count(self.gone);
        Ok(Step::Done)
    }

    fn held_bytes(&self) -> usize {
        0
    }
}

/// No group has an entry pending any more.
pub(super) fn drop_references(stream: &mut StreamMut<'_>, id: StreamId) -> Result<(), StoreError> {
    for group in groups_with(stream.as_ref(), id) {
        stream.change(&StreamChange::Acknowledged { group: &group, id })?;
    }
    Ok(())
}

fn groups_with(stream: Option<StreamRef<'_>>, id: StreamId) -> Vec<Vec<u8>> {
    let mut with = Vec::new();
    if let Some(stream) = stream {
        let groups = stream.groups().filter(|group| group.pending(id).is_some());
        with.extend(groups.map(|group| group.name().to_vec()));
    }
    with
}

/// Ids that are to go, and what becomes of references to them: `[KEEPREF|DELREF|ACKED] IDS numids id [id ...]`.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) references: References,
    /// Where the ids stand.
    pub(super) ids: std::ops::Range<usize>,
}

impl Chosen {
    /// The options from argument `at` on.
    pub(super) fn parse(args: &Args<'_>, mut at: usize) -> Result<Self, ErrorReply> {
        let (mut references, mut ids) = (None, None);
        while at < args.len() {
            if let (None, Some(said)) = (references, References::of(args, at)) {
                references = Some(said);
                at += 1;
            } else if args.is(at, "ids") && at + 1 < args.len() {
                let count = args.integer(at + 1).ok().filter(|&count| count > 0);
                let count = count.ok_or(errors::NUMIDS_NOT_POSITIVE)?;
                let first = at + 2;
                let fits = |count: &usize| *count <= args.len() - first;
                let count = usize::try_from(count).ok().filter(fits);
                let count = count.ok_or(errors::NUMIDS_MISMATCH)?;
                ids = Some(first..first + count);
                at = first + count;
            } else {
                return Err(all_errors::SYNTAX);
            }
        }
        Ok(Self {
            references: references.unwrap_or_default(),
            ids: ids.ok_or(errors::IDS_MISSING)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::command::families::testing::Bench;

    /// A stream of so many entries, of whose first hundred a group has every other one pending.
    fn bench(entries: usize) -> Bench {
        let mut bench = Bench::new();
        for number in 1..=entries {
            bench.run(&format!("XADD s {number} a {number}"));
        }
        bench.run("XGROUP CREATE s g 0");
        bench.run("XREADGROUP GROUP g one STREAMS s >");
        let ids: String = (1..50).map(|number| format!(" {}", 2 * number)).collect();
        bench.run(&format!("XACK s g{ids}"));
        bench
    }

    #[test]
    fn a_long_trim_goes_in_steps_and_comes_to_the_same() {
        for (line, steps_min) in [
            ("XTRIM s MAXLEN 7", 3),
            ("XTRIM s MINID = 19000", 3),
            ("XTRIM s MAXLEN ~ 7 LIMIT 15000", 3),
            ("XTRIM s MAXLEN 10000 DELREF", 20),
            ("XTRIM s MAXLEN 10000 ACKED", 40),
            ("XTRIM s MAXLEN ~ 10000 LIMIT 2000 DELREF", 4),
        ] {
            let (mut steps, mut at_once) = (bench(20_000), bench(20_000));
            let (mut before, mut count) = (steps.changes(), 0);
            let reply = steps.run_in_steps(line, &mut |shard, _| {
                let now = shard.journal().changes();
                // Before the first of them the command itself has trimmed as much.
                let most = if count == 0 { 2 * 64 * 100 } else { 64 * 100 };
                assert!(now - before <= most, "{line}: {}", now - before);
                (before, count) = (now, count + 1);
            });
            assert_eq!(reply, at_once.run(line), "{line}");
            assert!(count >= steps_min - 1, "{line}: {count}");
            assert_eq!(steps.changes(), at_once.changes(), "{line}");
            for line in ["XLEN s", "XPENDING s g", "XINFO STREAM s"] {
                assert_eq!(steps.run(line), at_once.run(line));
            }
            assert_eq!(steps.events(), at_once.events());
            steps.shard.check();
        }
    }
}
