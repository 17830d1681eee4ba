//! Looking into HyperLogLogs: `PFDEBUG`, `PFSELFTEST`.

use larder_engine::hyperloglog::{self, Rank, Registers, Representation};
use larder_engine::{Encoding, Event, Key};

use super::{make_raw, value_of, write_over};
use crate::command::{
    Category, CommandSpec, Flags, Group, KeyFlags, KeySpec, Keys, Run, ShardCall,
};
use crate::resp::ErrorReply;
use crate::resp::errors::{self, CommandResult};

/// The table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "pfdebug",
        arity: 3,
        flags: Flags::WRITE
            .with(Flags::DENYOOM)
            .with(Flags::ADMIN)
            .with(Flags::GROWS),
        categories: &[Category::HyperLogLog],
        keys: Keys::of(&[KeySpec::at(2, KeyFlags::RW.access())]),
        group: Group::HyperLogLog,
        since: "2.8.9",
        syntax: "subcommand key",
        summary: "Shows how the registers of a HyperLogLog are written, or makes them dense.",
        complexity: "N/A",
        run: Run::OnShard(pfdebug),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "pfselftest",
        arity: 1,
        flags: Flags::ADMIN,
        categories: &[Category::HyperLogLog],
        group: Group::HyperLogLog,
        since: "2.8.9",
        summary: "Tests the registers of HyperLogLogs and the estimates made of them.",
        complexity: "N/A",
        run: Run::OnShard(pfselftest),
        ..CommandSpec::BASE
    },
];

fn pfdebug(call: &mut ShardCall<'_>) -> CommandResult {
    let args = call.args;
    if args.is(1, "SIMD") {
        let is_on = args.is(2, "ON");
        if !is_on && !args.is(2, "OFF") {
            return Err(errors::NOT_ON_OR_OFF);
        }
        let is_used = hyperloglog::allow_vectors(is_on);
        call.reply.status(match is_used {
            true => "enabled",
            false => "disabled",
        });
        return Ok(());
    }
    let key = call.key(2);
    let entry = call.shard.get(call.db, key, call.access);
    let entry = entry.ok_or(errors::NO_HYPERLOGLOG)?;
    let (value, representation) = value_of(&entry)?;
    if args.is(1, "GETREG") {
        let mut registers = Registers::default();
        registers.merge(value)?;
        make_dense(call, key)?;
        call.reply.array(registers.bytes().len());
        for &register in registers.bytes() {
            call.reply.integer(register.into());
        }
        return Ok(());
    }
    if args.is(1, "TODENSE") {
        let is_made = make_dense(call, key)?;
        call.reply.integer(is_made.into());
        return Ok(());
    }
    if args.is(1, "DECODE") {
        if representation != Representation::Sparse {
            return Err(errors::HYPERLOGLOG_NOT_SPARSE);
        }
        /// Two for each register: a longer value is corrupt, and would be told at length.
        const DECODED_MAX_BYTES: usize = hyperloglog::HEADER_BYTES + 2 * hyperloglog::REGISTERS;
        if value.len() > DECODED_MAX_BYTES {
            return Err(errors::CORRUPT_HYPERLOGLOG);
        }
        call.reply.text(&hyperloglog::decode(value));
    } else if args.is(1, "ENCODING") {
        call.reply.status(match representation {
            Representation::Dense => "dense",
            Representation::Sparse => "sparse",
        });
    } else {
        return Err(errors::unknown_pfdebug(args.at(1)));
    }
    if entry.encoding() != Encoding::Raw {
        make_raw(call.shard, call.db, key)?;
    }
    Ok(())
}

/// Has the registers of a value that is one be dense; whether they were not.
fn make_dense(call: &mut ShardCall<'_>, key: Key<'_>) -> Result<bool, ErrorReply> {
    let entry = call.shard.get(call.db, key, larder_engine::Access::Peek);
    let entry = entry.ok_or(errors::NO_HYPERLOGLOG)?;
    let (value, representation) = value_of(&entry)?;
    if representation == Representation::Dense {
        return Ok(false);
    }
    let (was_bytes, dense) = (value.len(), hyperloglog::to_dense(value)?);
    // To those who watch the key it is the same.
    write_over(
        call.shard,
        call.db,
        key,
        (was_bytes, 0),
        &dense,
        Event::Silent,
    )?;
    if was_bytes <= dense.len() {
        call.shard.journal().count_as(0, 1);
    }
    Ok(true)
}

/// Elements that [`pfselftest`] adds: it takes some tens of milliseconds.
const TESTED_ELEMENTS: u64 = 1_000_000;
/// Up to so many of them a value is to be sparse.
const SPARSE_ELEMENTS: u64 = 1000;

/// As in Redis, of a tenth of the elements: it has the core to itself meanwhile.
fn pfselftest(call: &mut ShardCall<'_>) -> CommandResult {
    let mut sparse = hyperloglog::empty();
    let mut dense = hyperloglog::to_dense(&sparse)?;
    let mut ranks = vec![0; hyperloglog::REGISTERS];
    let seed = call.random.draw();
    let mut checkpoint = 1;
    for number in 1..=TESTED_ELEMENTS {
        let rank = Rank::of(&(number ^ seed).to_le_bytes());
        let raises = ranks[rank.register()] < rank.rank();
        ranks[rank.register()] = rank.rank().max(ranks[rank.register()]);
        let raised = [&mut sparse, &mut dense].map(|value| hyperloglog::add(value, rank, 3000));
        if raised != [Ok(raises); 2] {
            return Err(errors::test_failed("an element is not where it belongs"));
        }
        if number == checkpoint {
            check(&sparse, &dense, &ranks, number)?;
            checkpoint *= 10;
        }
    }
    call.reply.ok();
    Ok(())
}

/// Looks at the values to which so many elements were added.
fn check(sparse: &[u8], dense: &[u8], ranks: &[u8], elements: u64) -> CommandResult {
    /// The standard error of an estimate.
    const STANDARD_ERROR: f64 = 1.04 / 128.0;
    let is_sparse = hyperloglog::representation(sparse) == Some(Representation::Sparse);
    if elements <= SPARSE_ELEMENTS && !is_sparse {
        return Err(errors::test_failed("sparse encoding not used"));
    }
    for value in [sparse, dense] {
        let mut registers = Registers::default();
        registers.merge(value)?;
        if registers.bytes() != ranks {
            return Err(errors::test_failed("registers differ"));
        }
    }
    let count = hyperloglog::count(dense)?;
    if hyperloglog::count(sparse)? != count {
        return Err(errors::test_failed("dense/sparse disagree"));
    }
    let allowed = match elements {
        10 => 1.0,
        _ => (STANDARD_ERROR * 6.0 * elements as f64).ceil(),
    };
    let error = count.abs_diff(elements);
    if error as f64 > allowed {
        let text = format!("Too big error. card:{elements} abserr:{error}");
        return Err(errors::test_failed(&text));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::families::testing::{Bench, check};

    #[test]
    fn the_registers_of_a_value_are_shown_and_made_dense() {
        let mut bench = Bench::new();
        bench.check(&[
            ("PFADD h a b c d e", "1"),
            (
                "PFDEBUG DECODE h",
                r#""Z:7292 v:1,1 Z:1143 v:1,1 Z:4274 v:2,1 Z:2445 v:1,1 Z:622 v:1,1 Z:603""#,
            ),
            ("PFDEBUG encoding h", "sparse"),
            ("PFDEBUG TODENSE h", "1"),
            ("PFDEBUG todense h", "0"),
            ("PFDEBUG ENCODING h", "dense"),
            ("PFDEBUG DECODE h", "ERR HLL encoding is not sparse"),
            ("PFCOUNT h", "5"),
            ("PFDEBUG FOO h", "ERR Unknown PFDEBUG subcommand 'FOO'"),
            (
                "PFDEBUG GETREG none",
                "ERR The specified key does not exist",
            ),
        ]);
        assert_eq!(bench.events(), ["pfadd h"]);
    }

    #[test]
    fn the_test_of_itself_passes() {
        check(&[("PFSELFTEST", "OK")]);
    }
}
