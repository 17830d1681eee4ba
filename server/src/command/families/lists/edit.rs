//! Changes in the midst of a list: `LSET`, `LINSERT`, `LREM`, `LTRIM`.

use larder_engine::{End, Event};

use super::{place_of, range_of};
use crate::command::{
    Category, CommandSpec, Flags, Group, KeyFlags, KeySpec, Keys, Run, ShardCall,
};
use crate::resp::errors::{self, CommandResult};

/// The table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "lset",
        arity: 4,
        flags: Flags::WRITE.with(Flags::DENYOOM),
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::RW.update())]),
        syntax: "key index element",
        summary: "Sets an element of a list by its index.",
        complexity: "O(log(N)) where N is the number of elements of the list.",
        run: Run::OnShard(lset),
        ..EDIT
    },
    CommandSpec {
        name: "linsert",
        arity: 5,
        flags: Flags::WRITE.with(Flags::DENYOOM),
        keys: super::PUSH_KEY,
        since: "2.2.0",
        syntax: "key <BEFORE | AFTER> pivot element",
        summary: "Adds an element to a list before or behind another.",
        complexity: "O(N) where N is the number of elements up to the pivot.",
        run: Run::OnShard(linsert),
        ..EDIT
    },
    CommandSpec {
        name: "lrem",
        arity: 4,
        syntax: "key count element",
        summary: "Removes elements of a value from a list, which is deleted with its last element.",
        complexity: "O(N) where N is the number of elements of the list. In one step.",
        run: Run::OnShard(lrem),
        ..EDIT
    },
    CommandSpec {
        name: "ltrim",
        arity: 4,
        syntax: "key start stop",
        summary: "Removes what is outside a range from a list, which is deleted with its last element.",
        complexity: "O(N) where N is the number of elements removed.",
        run: Run::OnShard(ltrim),
        ..EDIT
    },
];

const EDIT: CommandSpec = CommandSpec {
    flags: Flags::WRITE,
    categories: &[Category::List],
    keys: Keys::of(&[KeySpec::at(1, KeyFlags::RW.delete())]),
    group: Group::List,
    ..CommandSpec::BASE
};

fn lset(call: &mut ShardCall<'_>) -> CommandResult {
    let key = call.key(1);
    let mut list = call.shard.list_mut(call.db, key)?;
    if !list.is_there() {
        list.close(&[]);
        return Err(errors::NO_SUCH_KEY);
    }
    let place = call.args.integer(2).and_then(|index| {
        let place = place_of(index, list.len());
        place.ok_or(errors::OUT_OF_RANGE)
    });
    let set = place.and_then(|at| Ok(list.replace(at, call.args.at(3))?));
    let events = [Event::LSet];
    list.close(if set.is_ok() { &events } else { &[] });
    set?;
    call.reply.ok();
    Ok(())
}

fn linsert(call: &mut ShardCall<'_>) -> CommandResult {
    let behind = match () {
        () if call.args.is(2, "before") => 0,
        () if call.args.is(2, "after") => 1,
        () => return Err(errors::SYNTAX),
    };
    let key = call.key(1);
    let mut list = call.shard.list_mut(call.db, key)?;
    if !list.is_there() {
        list.close(&[]);
        call.reply.integer(0);
        return Ok(());
    }
    let Some(pivot) = list.find(call.args.at(3), End::Head) else {
        list.close(&[]);
        call.reply.integer(-1);
        return Ok(());
    };
    let inserted = list.insert(pivot + behind, call.args.at(4));
    let (events, len) = ([Event::LInsert], list.len());
    list.close(if inserted.is_ok() { &events } else { &[] });
    inserted?;
    call.reply.integer(len.into());
    Ok(())
}

fn lrem(call: &mut ShardCall<'_>) -> CommandResult {
    let count = match call.args.integer(2)? {
        i64::MIN => return Err(errors::out_of_range(-i64::MAX, i64::MAX)),
        count => count,
    };
    let (from, most) = match count {
        0 => (End::Head, u32::MAX),
        1.. => (End::Head, u32::try_from(count).unwrap_or(u32::MAX)),
        _ => (
            End::Tail,
            u32::try_from(count.unsigned_abs()).unwrap_or(u32::MAX),
        ),
    };
    let key = call.key(1);
    let mut list = call.shard.list_mut(call.db, key)?;
    let removed = match list.is_there() {
        true => list.remove_equal(call.args.at(3), most, from),
        false => 0,
    };
    let events = [Event::LRem];
    list.close(if removed > 0 { &events } else { &[] });
    call.reply.integer(removed.into());
    Ok(())
}

fn ltrim(call: &mut ShardCall<'_>) -> CommandResult {
    let (start, stop) = (call.args.integer(2)?, call.args.integer(3)?);
    let key = call.key(1);
    let mut list = call.shard.list_mut(call.db, key)?;
    if !list.is_there() {
        list.close(&[]);
        call.reply.ok();
        return Ok(());
    }
    let len = list.len();
    let kept = range_of(start, stop, len);
    if kept == (0..len) {
        list.touch();
    } else if kept.is_empty() {
        list.remove(0..len);
    } else {
        list.remove(kept.end..len);
        list.remove(0..kept.start);
    }
    list.close(&[Event::LTrim]);
    call.reply.ok();
    Ok(())
}
