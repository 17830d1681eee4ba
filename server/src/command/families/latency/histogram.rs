//! `LATENCY HISTOGRAM`: how the durations of commands are distributed.

use crate::command::{Args, Command, CommandTable, CoreCall};
use crate::observe::{Durations, PartReader, PartWriter};
use crate::resp::Reply;
use crate::resp::errors::CommandResult;

/// A core's distributions: number of the command and distribution of each that ran.
pub(super) fn each(call: &mut CoreCall<'_>) {
    let mut part = PartWriter(call.out);
    let ran = call
        .core
        .stats
        .durations
        .iter()
        .enumerate()
        .filter(|(_, durations)| durations.calls() > 0);
    for (number, durations) in ran {
        part.number(number as u64);
        durations.write(&mut part);
    }
}

pub(super) fn merge(args: &Args<'_>, parts: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let table = CommandTable::global();
    let mut merged = vec![Durations::default(); table.count()];
    for part in parts {
        let mut part = PartReader::new(part);
        while !part.is_at_end() {
            let number = usize::try_from(part.number()).expect("the number of a command");
            merged[number].merge(&mut part);
        }
    }
    let wanted: Vec<&Command> = if args.len() == 2 {
        table.iter().flat_map(with_subcommands).collect()
    } else {
        args.iter_from(2)
            .filter_map(|name| named(table, name))
            .flat_map(with_subcommands)
            .collect()
    };
    let shown: Vec<_> = wanted
        .into_iter()
        .map(|command| (command.spec.name, &merged[command.id.index()]))
        .filter(|(_, durations)| durations.calls() > 0)
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
