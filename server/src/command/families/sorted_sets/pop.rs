//! `ZPOPMIN` and `ZPOPMAX`; how members are popped, by them and by others.

use std::ops::ControlFlow;

use larder_engine::{Bound, DbIndex, Direction, End, Event, Key, Shard};

use super::{WRITING, write_member};
use crate::command::families::counts;
use crate::command::{CommandSpec, Flags, KeyFlags, KeySpec, Keys, Run, ShardCall};
use crate::resp::errors::{self, CommandResult};
use crate::resp::{ErrorReply, Reply};

/// The table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "zpopmin",
        summary: "Takes the members of a sorted set that have the lowest scores, and returns them.",
        run: Run::OnShard(zpopmin),
        ..POP
    },
    CommandSpec {
        name: "zpopmax",
        summary: "Takes the members of a sorted set that have the highest scores, and returns them.",
        run: Run::OnShard(zpopmax),
        ..POP
    },
];

const POP: CommandSpec = CommandSpec {
    arity: -2,
    flags: Flags::WRITE.with(Flags::FAST),
    keys: Keys::of(&[KeySpec::at(1, KeyFlags::RW.access().delete())]),
    since: "5.0.0",
    syntax: "key [count]",
    complexity: "O(log(N)*M) where N is the number of members of the sorted set, and M that of those returned.",
    ..WRITING
};

fn zpopmin(call: &mut ShardCall<'_>) -> CommandResult {
    pop(call, End::Head)
}

fn zpopmax(call: &mut ShardCall<'_>) -> CommandResult {
    pop(call, End::Tail)
}

fn pop(call: &mut ShardCall<'_>, end: End) -> CommandResult {
    let (count, form) = match call.args.len() {
        2 => (1, Form::Flat),
        3 => {
            let count = counts::count(call.args.at(2))?;
            let is_nested = call.reply.is_resp3();
            (count, if is_nested { Form::Pairs } else { Form::Flat })
        }
        _ => return Err(errors::SYNTAX),
    };
    let key = call.key(1);
    let what = (end, count, form);
    if !pop_many(call.shard, call.db, key, what, &mut call.reply)? {
        call.reply.array(0);
    }
    Ok(())
}

/// How popped members are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Names and scores as elements of one array.
    Flat,
    /// An array of an array each.
    Pairs,
    /// Names and scores, as elements of an array that is begun already.
    Bare,
}

/// Pops at most `count` members at an end, and writes them. Whether there is a sorted set.
///
/// # Errors
/// The key is of another type, or its members are more than a reply holds. Then it is as it was.
pub(super) fn pop_many(
    shard: &mut Shard,
    db: DbIndex,
    key: Key<'_>,
    (end, count, form): (End, u64, Form),
    reply: &mut Reply<'_>,
) -> Result<bool, ErrorReply> {
    let mut set = shard.sorted_set_mut(db, key)?;
    let len = set.len();
    let count = count.min(len);
    let (direction, from, event) = match end {
        End::Head => (Direction::Up, Bound::Start, Event::ZPopMin),
        End::Tail => (Direction::Down, Bound::End, Event::ZPopMax),
    };
    let Some(there) = set.as_ref() else {
        set.close(&[]);
        return Ok(false);
    };
    let (began, mut fits, mut left) = (reply.mark(), Ok(()), count);
    match form {
        Form::Flat => reply.array(2 * count as usize),
        Form::Pairs => reply.array(count as usize),
        Form::Bare => {}
    }
    if count > 0 {
        there.walk(&from, direction, &mut |member| {
            if form == Form::Pairs {
                reply.array(2);
            }
            write_member(reply, &member);
            fits = reply.check_len(began);
            left -= 1;
            match left == 0 || fits.is_err() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
    }
    if fits.is_err() || count == 0 {
        set.close(&[]);
        return fits.map(|()| true);
    }
    let ranks = match end {
        End::Head => 0..count,
        End::Tail => len - count..len,
    };
    set.remove_range(ranks);
    set.close(&[event]);
    Ok(true)
}

#[cfg(test)]
mod tests {
    use crate::command::families::testing::Bench;
    use crate::resp::Protocol;

    #[test]
    fn members_are_popped_from_either_end_one_record_each() {
        let mut bench = Bench::new();
        bench.check(&[
            ("ZADD z 1 a 2 b 3 c 4 d 5 e", "5"),
            ("ZPOPMIN z", "[\"a\", \"1\"]"),
            ("ZPOPMAX z 2", "[\"e\", \"5\", \"d\", \"4\"]"),
            ("ZPOPMIN z 0", "[]"),
            (
                "ZPOPMIN z -1",
                "ERR value is out of range, must be positive",
            ),
            ("ZPOPMIN z a", "ERR value is out of range, must be positive"),
            ("ZPOPMIN z 1 2", "ERR syntax error"),
            ("ZPOPMIN z 10", "[\"b\", \"2\", \"c\", \"3\"]"),
            ("EXISTS z", "0"),
            ("ZPOPMAX z", "[]"),
        ]);
        assert_eq!(bench.changes(), 5 + 1 + 2 + 2);
        let expected = ["zadd z", "zpopmin z", "zpopmax z", "zpopmin z", "del z"];
        assert_eq!(bench.events(), expected);
    }

    #[test]
    fn with_a_count_pairs_are_nested_in_resp3() {
        let mut bench = Bench::new();
        bench.protocol = Protocol::Resp3;
        bench.run("ZADD z 1 a 2 b");
        assert_eq!(
            bench.run_words(&[b"ZPOPMIN", b"z"]),
            b"*2\r\n$1\r\na\r\n,1\r\n"
        );
        let nested = b"*1\r\n*2\r\n$1\r\nb\r\n,2\r\n";
        assert_eq!(bench.run_words(&[b"ZPOPMIN", b"z", b"1"]), nested);
    }
}
