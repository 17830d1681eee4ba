//! `ZRANDMEMBER`: members chosen at random. Every rank is as likely as any other.

use std::ops::ControlFlow;

use larder_engine::{
    Access, Bound, DbIndex, Direction, Key, Member, Shard, SortedSetRef, WrongType,
};

use super::{Parts, READING, read};
use crate::command::families::choose::{self, Chooses, ChosenFrom, Wanted};
use crate::command::families::pieces::AtOnce;
use crate::command::{CommandSpec, Run, ShardCall, Steps};
use crate::resp::{ErrorReply, Reply};

/// The table.
pub(crate) static COMMANDS: &[CommandSpec] = &[CommandSpec {
    name: "zrandmember",
    arity: -2,
    tips: &["nondeterministic_output"],
    since: "6.2.0",
    syntax: "key [count [WITHSCORES]]",
    summary: "Returns members of a sorted set chosen at random.",
    complexity: "O(N*log(M)) where N is the number of members returned, and M that of the sorted set.",
    run: Run::OnShard(|call| zrandmember(call, AtOnce::All).map(drop)),
    steps: Some(|call| zrandmember(call, AtOnce::Little)),
    ..READING
}];

impl<'a> ChosenFrom<'a> for SortedSetRef<'a> {
    type Element = Member<'a>;

    fn len(self) -> u64 {
        SortedSetRef::len(&self)
    }

    fn random(self, random: u64) -> Option<Member<'a>> {
        SortedSetRef::random(&self, random)
    }

    fn each(self, show: &mut dyn FnMut(Member<'a>)) {
        self.walk(&Bound::Start, Direction::Up, &mut |member| {
            show(member);
            ControlFlow::Continue(())
        });
    }

    fn scan(self, cursor: u64, show: &mut dyn FnMut(Member<'a>)) -> Option<u64> {
        SortedSetRef::scan(&self, cursor, choose::SCAN_ELEMENTS, show)
    }

    fn name(member: &Member<'a>) -> &'a [u8] {
        member.name
    }
}

fn zrandmember(
    call: &mut ShardCall<'_>,
    at_once: AtOnce,
) -> Result<Option<Box<dyn Steps>>, ErrorReply> {
    let wanted = Wanted::parse(&call.args, "withscores")?;
    let place = (call.db, call.key(1), call.access);
    let set = read(call.shard, call.stats, place)?;
    let Some(wanted) = wanted else {
        match set.and_then(|set| choose::one(set, call.random)) {
            Some(member) => call.reply.bulk(member.name),
            None => call.reply.null(),
        }
        return Ok(None);
    };
    let Some(set) = set else {
        call.reply.array(0);
        return Ok(None);
    };
    let members = Members(Parts::with_scores(wanted.shows_both));
    let to = (&mut *call.random, &mut call.reply);
    choose::begin(members, set, wanted.count, to, at_once)
}

/// Members are chosen, of which this is shown.
#[derive(Debug)]
struct Members(Parts);

impl Chooses for Members {
    type From<'a> = SortedSetRef<'a>;

    fn at<'a>(
        shard: &'a mut Shard,
        db: DbIndex,
        key: Key<'_>,
    ) -> Result<Option<SortedSetRef<'a>>, WrongType> {
        shard.sorted_set(db, key, Access::Peek)
    }

    fn replies_each(&self, reply: &Reply<'_>) -> usize {
        self.0.replies_each(reply)
    }

    fn write<'a>(&self, reply: &mut Reply<'_>, member: &Member<'a>) {
        self.0.write(reply, member);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use crate::command::families::testing::Bench;
    use crate::resp::Protocol;

    fn set_of(members: usize) -> Bench {
        let mut bench = Bench::new();
        for member in 0..members {
            bench.run(&format!("ZADD z {member} m{member}"));
        }
        bench
    }

    fn words(reply: &str) -> Vec<String> {
        let words = reply.trim_matches(['[', ']']).split(", ");
        let words = words.filter(|word| !word.is_empty());
        words
            .map(|word| word.trim_matches('"').to_owned())
            .collect()
    }

    #[test]
    fn as_many_different_members_are_chosen_as_there_are() {
        for members in [1, 10, 1000] {
            let mut bench = set_of(members);
            for count in [0, 1, members / 2, members - 1, members, members + 5] {
                let chosen = words(&bench.run(&format!("ZRANDMEMBER z {count} WITHSCORES")));
                assert_eq!(chosen.len(), 2 * count.min(members), "{count} of {members}");
                let different: BTreeSet<_> = chosen.chunks(2).map(|pair| &pair[0]).collect();
                assert_eq!(different.len(), count.min(members), "{count} of {members}");
                for pair in chosen.chunks(2) {
                    assert_eq!(pair[0], format!("m{}", pair[1]));
                }
            }
            assert_eq!(words(&bench.run("ZRANDMEMBER z -50")).len(), 50);
        }
        let mut bench = Bench::new();
        bench.check(&[("ZRANDMEMBER none", "nil"), ("ZRANDMEMBER none -5", "[]")]);
    }

    #[test]
    fn each_member_is_as_likely_as_any_other() {
        const MEMBERS: usize = 40;
        let mut bench = set_of(MEMBERS);
        for count in [1, 20, -20i64] {
            let mut times = BTreeMap::new();
            for _ in 0..40_000 / count.unsigned_abs() {
                for name in words(&bench.run(&format!("ZRANDMEMBER z {count}"))) {
                    *times.entry(name).or_insert(0u32) += 1;
                }
            }
            let expected = 40_000.0 / MEMBERS as f64;
            let chi_square: f64 = times
                .values()
                .map(|&times| (f64::from(times) - expected).powi(2) / expected)
                .sum();
            // The numbers are the same in each run. Beyond 73 is one in a thousand, at 39 degrees of freedom.
            assert_eq!(times.len(), MEMBERS);
            assert!(chi_square < 73.0, "{count}: {chi_square}");
        }
    }

    #[test]
    fn pairs_are_flat_in_resp2_and_nested_in_resp3() {
        let mut bench = set_of(1);
        let command: [&[u8]; 4] = [b"ZRANDMEMBER", b"z", b"-2", b"WITHSCORES"];
        let flat = b"*4\r\n$2\r\nm0\r\n$1\r\n0\r\n$2\r\nm0\r\n$1\r\n0\r\n";
        assert_eq!(bench.run_words(&command), flat);
        bench.protocol = Protocol::Resp3;
        let pair = "*2\r\n$2\r\nm0\r\n,0\r\n";
        assert_eq!(
            bench.run_words(&command),
            format!("*2\r\n{pair}{pair}").as_bytes()
        );
    }

    #[test]
    fn counts_that_cannot_be_are_refused() {
        let mut bench = set_of(1);
        bench.check(&[
            (
                "ZRANDMEMBER z x",
                "ERR value is not an integer or out of range",
            ),
            (
                "ZRANDMEMBER z -9223372036854775808",
                "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
            ),
            (
                "ZRANDMEMBER z 9223372036854775807 WITHSCORES",
                "ERR value is out of range",
            ),
            ("ZRANDMEMBER z 1 WITHVALUES", "ERR syntax error"),
            (
                "ZRANDMEMBER z -9223372036854775807",
                "ERR the reply exceeds the maximum allowed size (1gb)",
            ),
        ]);
    }
}
