//! `LATENCY HISTOGRAM`: how the durations of commands are distributed.

use std::collections::{BTreeMap, BTreeSet};

use crate::command::{Args, Command, CommandTable, CoreCall};
use crate::observe::{Durations, PartReader, PartWriter};
use crate::resp::Reply;
use crate::resp::errors::CommandResult;

/// What a core knows: the numbers of the commands asked for, as every core finds them, then number and distribution of each of them
/// that ran.
pub(super) fn each(call: &mut CoreCall<'_>) {
    let table = call.core.commands;
    let wanted: Vec<&Command> = if call.args.len() == 2 {
        table.iter().flat_map(with_subcommands).collect()
    } else {
        let named = call.args.iter_from(2).filter_map(|name| named(table, name));
        named.flat_map(with_subcommands).collect()
    };
    let mut part = PartWriter(call.out);
    part.number(wanted.len() as u64);
    for command in &wanted {
        part.number(u64::from(command.id.0));
    }
    call.core.timing.count_so_far(&mut call.core.stats);
    // One that is asked for twice is told once.
    let numbers: BTreeSet<usize> = wanted.iter().map(|command| command.id.index()).collect();
    for number in numbers {
        let durations = &call.core.stats.durations[number];
        if !durations.is_empty() {
            part.number(number as u64);
            durations.write(&mut part);
        }
    }
}

pub(super) fn merge(_: &Args<'_>, parts: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let table = CommandTable::global();
    let mut merged = vec![Durations::default(); table.count()];
    let mut wanted = Vec::new();
    for part in parts {
        let mut part = PartReader::new(part);
        let count = part.number();
        wanted = (0..count).map(|_| part.number()).collect();
        while !part.is_at_end() {
            let number = usize::try_from(part.number()).expect("the number of a command");
            merged[number].merge(&mut part);
        }
    }
    let commands: BTreeMap<u64, &Command> = table
        .iter()
        .flat_map(with_subcommands)
        .map(|command| (u64::from(command.id.0), command))
        .collect();
    let wanted = wanted.iter().filter_map(|number| commands.get(number));
    let shown: Vec<_> = wanted
        .into_iter()
        .map(|command| (command.spec.name, &merged[command.id.index()]))
        .filter(|(_, durations)| !durations.is_empty())
        .collect();
    reply.map(shown.len());
    for (name, durations) in shown {
        reply.text(name);
        reply.map(2);
        reply.text("calls");
        reply.count(durations.calls());
        reply.text("histogram_usec");
        let steps = durations.cumulative_us();
        reply.map(steps.len());
        for (bound_us, calls) in steps {
            reply.count(bound_us);
            reply.count(calls);
        }
    }
    Ok(())
}

fn with_subcommands(command: &Command) -> impl Iterator<Item = &Command> {
    std::iter::once(command).chain(&command.subcommands)
}

fn named<'a>(table: &'a CommandTable, name: &[u8]) -> Option<&'a Command> {
    let mut words = name.splitn(2, |byte| *byte == b'|');
    let command = table.find(words.next()?)?;
    match words.next() {
        Some(subcommand) => command.subcommand(subcommand),
        None => Some(command),
    }
}
