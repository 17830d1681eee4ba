//! `LPUSH`, `RPUSH`, `LPUSHX`, `RPUSHX`.

use larder_engine::{End, ListMut, StoreError};

use super::{PUSH_KEY, pushed};
use crate::command::{Category, CommandSpec, Flags, Group, Run, ShardCall};
use crate::resp::errors::CommandResult;

/// The table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "lpush",
        summary: "Adds elements at the head of a list, which it creates if there is none.",
        run: Run::OnShard(lpush),
        ..PUSH
    },
    CommandSpec {
        name: "rpush",
        summary: "Adds elements at the tail of a list, which it creates if there is none.",
        run: Run::OnShard(rpush),
        ..PUSH
    },
    CommandSpec {
        name: "lpushx",
        since: "2.2.0",
        summary: "Adds elements at the head of a list that exists.",
        run: Run::OnShard(lpushx),
        ..PUSH
    },
    CommandSpec {
        name: "rpushx",
        since: "2.2.0",
        summary: "Adds elements at the tail of a list that exists.",
        run: Run::OnShard(rpushx),
        ..PUSH
    },
];

const PUSH: CommandSpec = CommandSpec {
    arity: -3,
    flags: Flags::WRITE.with(Flags::DENYOOM).with(Flags::FAST),
    categories: &[Category::List],
    keys: PUSH_KEY,
    group: Group::List,
    syntax: "key element [element ...]",
    complexity: "O(1) for each element added.",
    ..CommandSpec::BASE
};

fn lpush(call: &mut ShardCall<'_>) -> CommandResult {
    push(call, End::Head, Missing::IsMade)
}

fn rpush(call: &mut ShardCall<'_>) -> CommandResult {
    push(call, End::Tail, Missing::IsMade)
}

fn lpushx(call: &mut ShardCall<'_>) -> CommandResult {
    push(call, End::Head, Missing::StaysSo)
}

fn rpushx(call: &mut ShardCall<'_>) -> CommandResult {
    push(call, End::Tail, Missing::StaysSo)
}

/// What becomes of a list that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Missing {
    IsMade,
    StaysSo,
}

#[inline]
fn push(call: &mut ShardCall<'_>, end: End, missing: Missing) -> CommandResult {
    let key = call.key(1);
    let mut list = call.shard.list_mut(call.db, key)?;
    if missing == Missing::StaysSo && !list.is_there() {
        list.close(&[]);
        call.reply.integer(0);
        return Ok(());
    }
    let elements = call.args.iter_from(2);
    if let Err(error) = push_all(&mut list, end, elements) {
        list.close(&[]);
        return Err(error.into());
    }
    call.reply.integer(list.len().into());
    list.close(&[pushed(end)]);
    Ok(())
}

/// Pushes elements one after another.
///
/// # Errors
/// Memory is out; then the list is as it was.
fn push_all<'e>(
    list: &mut ListMut<'_>,
    end: End,
    elements: impl Iterator<Item = &'e [u8]>,
) -> Result<(), StoreError> {
    for (at, element) in elements.enumerate() {
        if let Err(error) = list.push(end, element) {
            take_back(list, end, at);
            return Err(error);
        }
    }
    Ok(())
}

#[cold]
fn take_back(list: &mut ListMut<'_>, end: End, count: usize) {
    for _ in 0..count {
        let _: Option<()> = list.pop(end, |_| ());
    }
}

#[cfg(test)]
mod tests {
    use larder_engine::limits::MAX_VALUE_BYTES;
    use larder_engine::{Access, Event};

    use super::*;
    use crate::command::families::testing::Bench;

    #[test]
    fn elements_before_one_that_cannot_be_pushed_are_taken_back() {
        let mut bench = Bench::new();
        let key = bench.shard.hasher().key(b"k");
        // Its pages are never touched.
        let large = vec![0; MAX_VALUE_BYTES + 1];
        for end in [End::Head, End::Tail] {
            for len in [0, 3] {
                bench.shard.remove(bench.db, key, Event::Del);
                let mut list = bench.shard.list_mut(bench.db, key).unwrap();
                push_all(&mut list, end, std::iter::repeat_n(&b"a"[..], len)).unwrap();
                list.close(&[pushed(end)]);
                let mut list = bench.shard.list_mut(bench.db, key).unwrap();
                let elements = [b"b", b"c", &large[..], b"d"];
                let all = push_all(&mut list, end, elements.into_iter());
                assert_eq!(all, Err(StoreError::TooLarge));
                list.close(&[]);
                let list = bench.shard.list(bench.db, key, Access::Peek).unwrap();
                assert_eq!(list.map_or(0, |list| list.len()), len as u32);
                if let Some(list) = list {
                    list.range(0..3, |element| assert_eq!(element, b"a"));
                }
            }
        }
    }

    #[test]
    fn a_list_that_was_made_in_vain_is_gone() {
        let mut bench = Bench::new();
        bench.check(&[
            ("LPUSHX k a", "0"),
            ("EXISTS k", "0"),
            ("RPUSHX k a b", "0"),
        ]);
        assert_eq!(bench.changes(), 0);
        bench.check(&[("RPUSH k a b", "2"), ("LPUSHX k c d", "4")]);
        assert_eq!(bench.events(), ["rpush k", "lpush k"]);
        assert_eq!(bench.changes(), 4);
    }
}
