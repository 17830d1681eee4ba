//! `docs/COMMANDS.md`, made of the command table; a test holds the file to it.
//!
//! `LARDER_BLESS=1 cargo test -p larder-server commands_md` writes the file.

#![cfg(test)]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use super::{Command, CommandTable};

const HEAD: &str = "\
# Commands

The commands Larder runs, by group, as Redis groups them. This page is made of the command table
(`server/src/command/`): after a change, `LARDER_BLESS=1 cargo test -p larder-server commands_md` writes it anew. *Since*
is the version of Redis that introduced the command. Flags are those of `COMMAND INFO`.
";

/// The page for `table`.
fn page(table: &CommandTable) -> String {
    let mut groups: BTreeMap<&str, Vec<&Command>> = BTreeMap::new();
    // The commands of tests exist in tests only.
    let commands = table.iter();
    for command in commands.filter(|command| !command.spec.name.starts_with("test.")) {
        collect(command, &mut groups);
    }
    let mut page = HEAD.to_owned();
    for (group, mut commands) in groups {
        commands.sort_by_key(|command| command.spec.name);
        let _ = write!(
            page,
            "\n## {}{}\n\n| Command | Since | Complexity | Flags | Summary |\n|---|---|---|---|---|\n",
            group[..1].to_uppercase(),
            &group[1..]
        );
        for command in commands {
            page.push_str(&row(command));
        }
    }
    page
}

/// A container is no command by itself unless it runs.
fn collect<'a>(command: &'a Command, groups: &mut BTreeMap<&str, Vec<&'a Command>>) {
    if !matches!(command.spec.run, super::Run::Container) {
        groups
            .entry(command.spec.group.name())
            .or_default()
            .push(command);
    }
    for subcommand in &command.subcommands {
        collect(subcommand, groups);
    }
}

fn row(command: &Command) -> String {
    let spec = command.spec;
    let name = spec.name.replace('|', " ").to_uppercase();
    let call = if spec.syntax.is_empty() {
        name
    } else {
        format!("{name} {}", spec.syntax)
    };
    let flags: Vec<&str> = spec.told_flags().names().collect();
    let mut summary = cell(spec.summary);
    if let Some((since, instead)) = spec.deprecated {
        let _ = write!(
            summary,
            " Deprecated since {since}: use {}.",
            cell(instead.trim_end_matches('.'))
        );
    }
    format!(
        "| `{}` | {} | {} | {} | {summary} |\n",
        cell(&call),
        spec.since,
        cell(spec.complexity),
        flags.join(" "),
    )
}

/// Text in a table's cell, where a bar would end it.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

#[test]
fn the_page_of_commands_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/COMMANDS.md");
    let expected = page(CommandTable::global());
    if std::env::var_os("LARDER_BLESS").is_some() {
        std::fs::write(&path, expected).unwrap();
        return;
    }
    let present = std::fs::read_to_string(&path).unwrap_or_default();
    let differing = expected
        .lines()
        .zip(present.lines().chain(std::iter::repeat("nothing")))
        .find(|(expected, present)| expected != present);
    assert!(
        present == expected,
        "docs/COMMANDS.md is not current; write it with \
         LARDER_BLESS=1 cargo test -p larder-server commands_md\nexpected, found: {differing:#?}"
    );
}
