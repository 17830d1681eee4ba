//! `INFO`: the server in figures, of all cores together.
//!
//! Each core writes its part ([`report`]), what of it grows with the commands used only where a section shows it; the core that was
//! asked adds the parts and words the sections ([`sections`]).

mod files;
mod hits;
mod machine;
mod report;
mod sections;

use crate::command::{Args, Category, CommandSpec, CoreCall, Flags, Group, Run};
use crate::resp::Reply;
use crate::resp::errors::CommandResult;

use report::{Details, Report};
use sections::Section;

pub(super) use machine::{cpu_time_ms, resident_bytes};

/// The family's table.
pub(crate) static COMMANDS: &[CommandSpec] = &[CommandSpec {
    name: "info",
    arity: -1,
    flags: Flags::ANYTIME,
    categories: &[Category::Dangerous],
    tips: &[
        "nondeterministic_output",
        "request_policy:all_shards",
        "response_policy:special",
    ],
    group: Group::Server,
    syntax: "[section [section ...]]",
    summary: "Reports on the server.",
    run: Run::EveryCore { each, merge },
    ..CommandSpec::BASE
}];

/// Which sections are asked for.
fn wanted(args: &Args<'_>) -> Vec<Section> {
    let named = |word: &str| {
        args.iter_from(1)
            .any(|arg| arg.eq_ignore_ascii_case(word.as_bytes()))
    };
    let default = args.len() == 1 || named("default");
    let everything = named("everything");
    let all = everything || named("all");
    Section::ALL
        .iter()
        .copied()
        .filter(|section| {
            named(section.name())
                || default && section.is_default()
                || all && (everything || *section != Section::Modules)
        })
        .collect()
}

fn each(call: &mut CoreCall<'_>) {
    let details = Details::of(&wanted(&call.args));
    report::write(call, details);
}

fn merge(args: &Args<'_>, parts: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let sections = wanted(args);
    let report = Report::of(parts, Details::of(&sections));
    let mut text = String::new();
    for section in sections {
        let mut shown = String::new();
        section.write(&report, &mut shown);
        if !text.is_empty() && !shown.is_empty() {
            text.push_str("\r\n");
        }
        text.push_str(&shown);
    }
    reply.verbatim("txt", text.as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::families::wire::words;

    fn names(command: &[&str]) -> Vec<&'static str> {
        let (bytes, ranges) = words(command);
        wanted(&Args::new(&bytes, &ranges))
            .into_iter()
            .map(Section::name)
            .collect()
    }

    #[test]
    fn sections_come_in_one_order_however_they_are_asked_for() {
        assert_eq!(
            names(&["info", "keyspace", "SERVER", "cpu", "nosuch"]),
            ["server", "cpu", "keyspace"]
        );
        assert_eq!(names(&["info", "nosuch"]), [""; 0]);
        assert_eq!(names(&["info"]), names(&["info", "default"]));
        assert!(!names(&["info"]).contains(&"commandstats"));
        assert!(names(&["info"]).contains(&"modules"));
        assert!(names(&["info", "all"]).contains(&"latencystats"));
        assert!(!names(&["info", "all"]).contains(&"modules"));
        assert_eq!(names(&["info", "everything"]).len(), Section::ALL.len());
        assert!(names(&["info", "default", "commandstats"]).contains(&"commandstats"));
    }
}
