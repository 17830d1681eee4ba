//! `LOLWUT`: shelves of a larder, drawn anew each time, and the version.

use larder_engine::parse_canonical_i64;

use crate::command::{CommandSpec, CoreState, Flags, Group, Run, SessionCall};
use crate::config::REDIS_VERSION;
use crate::resp::errors::{self, CommandResult};

/// The family's table.
pub(crate) static COMMANDS: &[CommandSpec] = &[CommandSpec {
    name: "lolwut",
    arity: -1,
    flags: Flags::READONLY.with(Flags::FAST),
    group: Group::Server,
    since: "5.0.0",
    syntax: "[VERSION version]",
    summary: "Draws something, and names the version.",
    run: Run::OnSession(lolwut),
    ..CommandSpec::BASE
}];

const SHELVES: usize = 4;
const JARS: usize = 9;

/// What may stand on a shelf: three lines of five characters each.
const THINGS: &[[&str; 3]] = &[
    [" ___ ", "|   |", "|___|"],
    [" .-. ", " | | ", " |_| "],
    ["  _  ", " / \\ ", " \\_/ "],
    ["     ", " ___ ", "(___)"],
    [" [ ] ", "/   \\", "\\___/"],
    ["     ", "     ", "  o  "],
    ["     ", "     ", "     "],
];

fn lolwut(call: &mut SessionCall<'_>) -> CommandResult {
    if call.args.is(1, "version")
        && let Some(version) = call.args.get(2)
    {
        parse_canonical_i64(version).ok_or(errors::NOT_AN_INTEGER)?;
    }
    let picture = draw(call.core);
    call.reply(|reply| reply.verbatim("txt", picture.as_bytes()));
    Ok(())
}

fn draw(core: &mut CoreState) -> String {
    let mut picture = String::new();
    for _ in 0..SHELVES {
        let row: [&[&str; 3]; JARS] =
            std::array::from_fn(|_| &THINGS[(core.random.draw() % THINGS.len() as u64) as usize]);
        for line in 0..3 {
            let line: Vec<&str> = row.iter().map(|thing| thing[line]).collect();
            picture.push_str(line.join(" ").trim_end());
            picture.push('\n');
        }
        picture.push_str(&"=".repeat(JARS * 6 - 1));
        picture.push('\n');
    }
    let version = env!("CARGO_PKG_VERSION");
    picture + &format!("\nLarder ver. {version}, speaking Redis ver. {REDIS_VERSION}\n")
}
