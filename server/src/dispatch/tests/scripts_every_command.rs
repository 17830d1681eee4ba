//! Every command of the table, subcommands too, from a script and inside `MULTI`, in both protocols, with no, few and odd
//! arguments: each is answered, and nothing panics.

#![cfg(test)]

use std::cell::Cell;
use std::panic;
use std::sync::Once;

use crate::command::CommandTable;
use crate::dispatch::tests::testing::{Client, Server};
use crate::resp::encode_command;

thread_local! {
    /// Panics of this thread so far. One inside a script's callback is caught by Lua's error handling, and would be seen by
    /// nobody.
    static PANICS: Cell<usize> = const { Cell::new(0) };
}

fn count_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            PANICS.with(|panics| panics.set(panics.get() + 1));
            before(info);
        }));
    });
}

/// What fills the places of arguments.
const FILLINGS: &[&[&str]] = &[
    &["k"],
    &["1", "0"],
    &["0", "1", "0"],
    &["-1", ""],
    &["*", "9223372036854775807", "x"],
    &["k", "1", "k", "count", "-9223372036854775808"],
];

/// Names of a command, and how many arguments it takes at least.
fn commands() -> Vec<(Vec<&'static str>, usize)> {
    let table = CommandTable::global();
    let all = table
        .iter()
        .flat_map(|command| std::iter::once(command).chain(command.subcommands.iter()));
    all.map(|command| {
        let names: Vec<&str> = command.spec.name.split('|').collect();
        let least = usize::from(command.spec.arity.unsigned_abs());
        let more = least.saturating_sub(names.len());
        (names, more)
    })
    .collect()
}

/// The argument lists to try: none, as few as can be, and some more.
fn argument_lists(least: usize) -> Vec<Vec<&'static str>> {
    let mut lists = vec![Vec::new()];
    for filling in FILLINGS {
        for count in [least, least + 1, least + 3] {
            lists.push(filling.iter().copied().cycle().take(count).collect());
        }
    }
    lists.dedup();
    lists
}

fn send(server: &mut Server, client: Client, words: &[&str]) -> String {
    server.send(
        client,
        &encode_command(words.iter().map(|word| word.as_bytes())),
    )
}

/// A server with a key of every type.
fn furnished(cores: u16) -> Server {
    let mut server = Server::new(cores);
    let client = server.connect(0);
    for words in [
        &["SET", "1", "text"][..],
        &["RPUSH", "k", "1", "2"],
        &["HSET", "x", "field", "1"],
        &["ZADD", "0", "1", "member"],
        &["SADD", "-1", "member"],
        &["XADD", "*", "1-1", "field", "value"],
    ] {
        send(&mut server, client, words);
    }
    server.disconnect(client);
    server
}

/// Sends one command in every way there is; says how it went wrong.
fn try_all_ways(server: &mut Server, command: &[&str], protocol: &str) -> Result<(), String> {
    let before = PANICS.with(Cell::get);
    // A pause that the last one made is over.
    server.advance(1_000);
    let client = server.connect(0);
    send(server, client, &["HELLO", protocol]);
    for script in [
        "return redis.pcall(unpack(ARGV))",
        "redis.setresp(3) local reply = redis.pcall(unpack(ARGV)) return reply",
    ] {
        let words = [&["EVAL", script, "0"], command].concat();
        if send(server, client, &words).is_empty() {
            return Err(format!("no answer to {words:?}"));
        }
    }
    server.disconnect(client);
    let client = server.connect(0);
    send(server, client, &["HELLO", protocol]);
    for words in [&["MULTI"][..], command, &["EXEC"]] {
        send(server, client, words);
    }
    server.disconnect(client);
    if PANICS.with(Cell::get) != before {
        return Err("a panic".to_owned());
    }
    Ok(())
}

#[test]
fn every_command_is_answered_from_a_script_and_inside_multi() {
    count_panics();
    let mut wrong = Vec::new();
    for (names, least) in commands() {
        for cores in [1, 2] {
            let mut server = furnished(cores);
            for arguments in argument_lists(least) {
                let command = [&names[..], &arguments].concat();
                for protocol in ["2", "3"] {
                    let mut attempt = || try_all_ways(&mut server, &command, protocol);
                    match panic::catch_unwind(panic::AssertUnwindSafe(&mut attempt)) {
                        Ok(Ok(())) => {}
                        Ok(Err(why)) => {
                            wrong.push(format!("{command:?} on {cores}, RESP{protocol}: {why}"));
                            server = furnished(cores);
                        }
                        Err(_) => {
                            wrong.push(format!(
                                "{command:?} on {cores}, RESP{protocol}: a panic that ends the core"
                            ));
                            server = furnished(cores);
                        }
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
