//! `ZRANGESTORE`: members in a range, stored at another key.

use std::ops::ControlFlow;

use larder_engine::{Access, DbIndex, Event, Key, Shard};

use super::selection::{Grammar, Selection};
use super::store::{self, Members, Plan};
use super::{READING, read};
use crate::command::{
    Args, CommandSpec, CoreCall, Flags, KeyFlags, KeySpec, Keys, Rounds, Run, ShardCall, Spread,
};
use crate::observe::Stats;
use crate::resp::ErrorReply;
use crate::resp::errors::CommandResult;
use crate::routing::SlotMap;

/// The table.
pub(crate) static COMMANDS: &[CommandSpec] = &[CommandSpec {
    name: "zrangestore",
    arity: -5,
    flags: Flags::WRITE.with(Flags::DENYOOM).with(Flags::GROWS),
    keys: Keys::of(&[
        KeySpec::at(1, KeyFlags::OW.update()),
        KeySpec::at(2, KeyFlags::RO.access()),
    ]),
    since: "6.2.0",
    syntax: "dst src min max [BYSCORE | BYLEX] [REV] [LIMIT offset count]",
    summary: "Stores the members of a sorted set in a range of ranks, scores or names.",
    complexity: "O(log(N)+M*log(M)) where N is the number of members of the sorted set, and M that of those stored.",
    run: Run::FanOut {
        together: zrangestore,
        spread: Spread::Rounds(zrangestore_across),
    },
    ..READING
}];

fn zrangestore(call: &mut ShardCall<'_>) -> CommandResult {
    let place = (call.db, call.key(2), call.access);
    let members = choose(&call.args, call.shard, call.stats, place)?;
    let destination = (call.db, call.key(1));
    let count = store::store(call.shard, destination, members.iter(), Event::ZRangeStore)?;
    call.reply.count(count);
    Ok(())
}

/// The members that the arguments choose.
fn choose(
    args: &Args<'_>,
    shard: &mut Shard,
    stats: &mut Stats,
    place: (DbIndex, Key<'_>, Access),
) -> Result<Members, ErrorReply> {
    let selection = Selection::parse(args, 2, Grammar::Stored)?;
    let (mut members, mut fits) = (Members::default(), Ok(()));
    if let Some(set) = read(shard, stats, place)? {
        selection.each(set, &mut |member| {
            fits = members.push(member);
            match fits {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        });
    }
    fits.map(|()| members)
}

fn zrangestore_across(args: &Args<'_>, slots: &SlotMap) -> Result<Box<dyn Rounds>, ErrorReply> {
    Selection::parse(args, 2, Grammar::Stored)?;
    let plan = Plan {
        source: 2,
        destination: 1,
        choose: choose_part,
        event: Event::ZRangeStore,
    };
    Ok(plan.begin(args, slots))
}

fn choose_part(call: &mut CoreCall<'_>) {
    let (args, core) = (call.args, &mut *call.core);
    if let Some(reader) = call.reader {
        core.remember_key(args.at(2), reader);
    }
    let key = core.shard.hasher().key(args.at(2));
    let place = (call.db, key, Access::Touch);
    let chosen = choose(&args, &mut core.shard, &mut core.stats, place);
    store::answer(call.out, chosen);
}

#[cfg(test)]
mod tests {
    use crate::command::families::testing::Bench;

    #[test]
    fn what_is_stored_takes_the_place_of_what_was_there() {
        let mut bench = Bench::new();
        bench.check(&[
            ("ZADD z 1 a 2 b 3 c", "3"),
            ("SET d old EX 100", "OK"),
            ("ZRANGESTORE d z 0 -2", "2"),
            ("ZRANGE d 0 -1 WITHSCORES", "[\"a\", \"1\", \"b\", \"2\"]"),
            ("TTL d", "-1"),
            ("ZRANGESTORE z z (1 +inf BYSCORE LIMIT 1 1", "1"),
            ("ZRANGE z 0 -1", "[\"c\"]"),
            ("ZRANGESTORE d none 0 -1", "0"),
            ("EXISTS d", "0"),
            ("ZRANGESTORE d z 0 -1 WITHSCORES", "ERR syntax error"),
        ]);
        let expected = [
            "zadd z",
            "set d",
            "expire d",
            "zrangestore d",
            "zrangestore z",
            "del d",
        ];
        assert_eq!(bench.events(), expected);
    }
}
