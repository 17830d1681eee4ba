//! `ZPOPMIN` and `ZPOPMAX`; how members are popped, by them and by others.

use std::ops::{ControlFlow, Range};

use larder_engine::{Bound, DbIndex, Direction, End, Event, Key, Member, Shard};

use super::{WRITING, remove_all, write_member};
use crate::command::families::counts;
use crate::command::families::pieces::{AtOnce, InSteps, More, Shown, StepOf};
use crate::command::{CommandSpec, Flags, KeyFlags, KeySpec, Keys, Run, ShardCall, Steps};
use crate::resp::errors;
use crate::resp::{ErrorReply, Protocol, REPLY_MAX_BYTES, Reply};

/// The table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "zpopmin",
        summary: "Takes the members of a sorted set that have the lowest scores, and returns them.",
        run: Run::OnShard(|call| pop(call, End::Head, AtOnce::All).map(drop)),
        steps: Some(|call| pop(call, End::Head, AtOnce::Little)),
        ..POP
    },
    CommandSpec {
        name: "zpopmax",
        summary: "Takes the members of a sorted set that have the highest scores, and returns them.",
        run: Run::OnShard(|call| pop(call, End::Tail, AtOnce::All).map(drop)),
        steps: Some(|call| pop(call, End::Tail, AtOnce::Little)),
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

/// A command that takes several steps, or is done.
pub(super) type Begun = Result<Option<Box<dyn Steps>>, ErrorReply>;

fn pop(call: &mut ShardCall<'_>, end: End, at_once: AtOnce) -> Begun {
    let (count, form) = match call.args.len() {
        2 => (1, Form::Flat),
        3 => {
            let count = counts::count(call.args.at(2))?;
            let is_nested = call.reply.is_resp3();
            (count, if is_nested { Form::Pairs } else { Form::Flat })
        }
        _ => return Err(errors::SYNTAX),
    };
    if at_once == AtOnce::Little
        && let Some(steps) = begin_steps(call, 1, (end, count), false)?
    {
        return Ok(Some(steps));
    }
    let key = call.key(1);
    let what = (end, count, form);
    if !pop_many(call.shard, call.db, key, what, &mut call.reply)? {
        call.reply.array(0);
    }
    Ok(None)
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

#[inline]
fn write_popped(reply: &mut Reply<'_>, form: Form, member: &Member<'_>) {
    if form == Form::Pairs {
        reply.array(2);
    }
    write_member(reply, member);
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
    let (direction, from, event) = way_of(end);
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
    if count == 1 {
        let popped = set.pop(direction, |member| {
            write_popped(reply, form, &member);
            reply.check_len(began)
        });
        match popped {
            Ok(_) => set.close(&[event]),
            Err(_) => set.close(&[]),
        }
        return popped;
    }
    if count > 0 {
        there.walk(&from, direction, &mut |member| {
            write_popped(reply, form, &member);
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
    if count == len {
        set.close(&[]);
        remove_all(shard, (db, key), len, event);
        return Ok(true);
    }
    set.remove_range(ranks_at(end, count, len));
    set.close(&[event]);
    Ok(true)
}

/// In which direction members are popped at an end, from where on, and the event.
fn way_of(end: End) -> (Direction, Bound<'static>, Event) {
    match end {
        End::Head => (Direction::Up, Bound::Start, Event::ZPopMin),
        End::Tail => (Direction::Down, Bound::End, Event::ZPopMax),
    }
}

/// The ranks of so many members at an end.
fn ranks_at(end: End, count: u64, len: u64) -> Range<u64> {
    match end {
        End::Head => 0..count,
        End::Tail => len - count..len,
    }
}

/// Members that are popped in one step of several.
const STEP_MEMBERS: u64 = 512;

/// Begins to pop so many members of the sorted set at the key that argument `key_at` is, in steps, if they are many, and within a reply;
/// which names the key, if that is asked for.
///
/// # Errors
/// The key is of another type.
pub(super) fn begin_steps(
    call: &mut ShardCall<'_>,
    key_at: usize,
    (end, count): (End, u64),
    names_key: bool,
) -> Begun {
    if count <= STEP_MEMBERS {
        return Ok(None);
    }
    let key = call.key(key_at);
    let set = call.shard.sorted_set_mut(call.db, key)?;
    let len = set.len();
    let count = count.min(len);
    let payload_bytes = set.as_ref().map_or(0, |set| set.payload_bytes());
    set.close(&[]);
    if count <= STEP_MEMBERS || !is_within_a_reply(payload_bytes, count) {
        return Ok(None);
    }
    Ok(InSteps::begin(Popping {
        key_at,
        end,
        named: names_key.then(|| key.bytes().to_vec()),
        len: (count == len && !names_key).then_some(len),
        left: count,
    }))
}

/// Whether so many members, whichever they are, are no more than a reply holds.
fn is_within_a_reply(payload_bytes: u64, count: u64) -> bool {
    /// Bytes of a member in a reply beside its name, at most.
    const BESIDE_BYTES: u64 = 64;
    payload_bytes + BESIDE_BYTES * count <= REPLY_MAX_BYTES as u64
}

/// Members that are popped in steps: some in each, or, if they are all, shown in steps and then removed as one. Of a sorted set that has
/// reached its deadline meanwhile, those are shown that were popped before.
#[derive(Debug)]
struct Popping {
    key_at: usize,
    end: End,
    /// The key, if the reply names it: each member is in an array of its own then.
    named: Option<Vec<u8>>,
    /// How many there are, if they are all, and go as one.
    len: Option<u64>,
    left: u64,
}

impl Popping {
    fn form(&self, protocol: Protocol) -> Form {
        match self.named.is_some() || protocol == Protocol::Resp3 {
            true => Form::Pairs,
            false => Form::Flat,
        }
    }
}

impl Shown for Popping {
    fn show(
        &mut self,
        call: &mut ShardCall<'_>,
        step: &mut StepOf<'_>,
    ) -> Result<More, ErrorReply> {
        let form = self.form(call.reply.protocol());
        let key = call.key(self.key_at);
        let (direction, from, event) = way_of(self.end);
        let mut set = call.shard.sorted_set_mut(call.db, key)?;
        let Some(there) = set.as_ref() else {
            set.close(&[]);
            return Ok(if self.len.is_some() {
                More::Gone
            } else {
                More::No
            });
        };
        let shown = match (self.len, self.end) {
            (None, _) => from,
            (Some(len), End::Head) => Bound::Rank(len - self.left),
            (Some(_), End::Tail) => Bound::Rank(self.left),
        };
        let (mut now, mut fits) = (0, Ok(()));
        let most = self.left.min(STEP_MEMBERS);
        there.walk(&shown, direction, &mut |member| {
            fits = step.add(|reply| write_popped(reply, form, &member));
            now += 1;
            match now == most || step.is_full() || fits.is_err() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        self.left -= now;
        let more = match self.left {
            0 => More::No,
            _ => More::Yes,
        };
        let events = match more {
            More::No => [event],
            _ => [Event::Silent],
        };
        match self.len {
            None => {
                let len = set.len();
                set.remove_range(ranks_at(self.end, now, len));
                set.close(&events);
            }
            Some(len) => {
                set.close(&[]);
                if more == More::No {
                    remove_all(call.shard, (call.db, key), len, event);
                }
            }
        }
        fits.map(|()| more)
    }

    fn head(&self, count: usize, reply: &mut Reply<'_>) {
        if let Some(key) = &self.named {
            reply.array(2);
            reply.bulk(key);
        }
        reply.array(match self.form(reply.protocol()) {
            Form::Flat => 2 * count,
            Form::Pairs | Form::Bare => count,
        });
    }
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

    /// Of so many members.
    fn many(members: usize) -> Bench {
        let mut bench = Bench::new();
        let numbers: Vec<usize> = (0..members).collect();
        for some in numbers.chunks(1000) {
            let words = some.iter().map(|n| format!(" {n} {n:06}"));
            bench.run(&format!("ZADD z{}", words.collect::<String>()));
        }
        bench
    }

    const MANY: &[(&str, u64)] = &[
        ("ZPOPMIN z 3000", 3000),
        ("ZPOPMAX z 3000", 3000),
        ("ZPOPMIN z 100000", 5000),
        ("ZPOPMAX z 5000", 5000),
        ("ZMPOP 2 none z MIN COUNT 3000", 3000),
        ("ZMPOP 1 z MAX COUNT 9999", 5000),
    ];

    #[test]
    fn many_are_popped_in_steps_and_few_in_each() {
        for protocol in [Protocol::Resp2, Protocol::Resp3] {
            for &(line, popped) in MANY {
                let (mut one, mut other) = (many(5000), many(5000));
                (one.protocol, other.protocol) = (protocol, protocol);
                let at_once = one.run(line);
                let (mut before, mut steps) = (other.changes(), 0);
                let changes = before + popped;
                let in_steps = other.run_in_steps(line, &mut |shard, _| {
                    let now = shard.journal().changes();
                    let is_all = shard.len(larder_engine::DbIndex(0)) == 0;
                    assert!(now - before <= 512 || is_all, "{line}");
                    (before, steps) = (now, steps + 1);
                });
                assert!(at_once == in_steps, "{line}");
                assert!(steps >= popped / 512, "{line}: {steps}");
                assert_eq!(other.changes(), changes);
                assert_eq!(other.events(), one.events());
                assert_eq!(other.run("ZCARD z"), (5000 - popped).to_string());
                other.shard.check();
            }
        }
    }

    #[test]
    fn few_are_popped_in_no_steps_whatever_is_asked_for() {
        let mut bench = many(500);
        for line in [
            "ZPOPMIN z 100",
            "ZMPOP 1 z MAX COUNT 9999",
            "ZPOPMIN z 9999",
        ] {
            let mut steps = 0;
            bench.run_in_steps(line, &mut |_, _| steps += 1);
            assert_eq!(steps, 0, "{line}");
        }
    }

    #[test]
    fn what_ends_meanwhile_has_popped_what_was_popped() {
        for (line, popped) in [
            ("ZPOPMIN z 3000", Some(512)),
            ("ZMPOP 1 z MIN COUNT 9999", Some(512)),
            ("ZPOPMAX z 5000", None),
        ] {
            let mut bench = many(5000);
            bench.run("PEXPIRE z 10");
            let reply = bench.run_ending(line, 10);
            let members = reply.matches("\"00").count();
            assert_eq!(members, popped.unwrap_or(0), "{line}");
        }
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
