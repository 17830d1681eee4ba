//! Every command of the table with arguments no client should send: none panics, and each is answered with one reply.
//!
//! Arguments are numbers at the ends of their ranges, keys, and the words of the command's own syntax, so that commands to
//! come are tried without a line here.

#![cfg(test)]

use crate::command::{Command, CommandTable, Flags};
use crate::dispatch::Intent;
use crate::dispatch::tests::testing::{Random, Server, replies, seeds};

/// Numbers and near-numbers. None is a size that would be taken and reserved.
const NUMBERS: &[&str] = &[
    "0",
    "-0",
    "1",
    "-1",
    "2",
    "7",
    "64",
    "1000",
    "-1000",
    "65535",
    "65536",
    "1000000",
    "-2147483649",
    "2147483647",
    "2147483648",
    "4294967296",
    "-4294967297",
    "281474976710656",
    "281479271677953",
    "-9223372036854775808",
    "9223372036854775807",
    "9223372036854775",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "99999999999999999999999999",
    "1.5",
    "-1e308",
    "1e4000",
    "nan",
    "-inf",
    "0x10",
    "+1",
    " 1",
    "007",
    "#0",
    "#9223372036854775807",
    "#-1",
    "u8",
    "i64",
    "u63",
    "u64",
    "i65",
    "u0",
];

/// Texts.
const TEXTS: &[&str] = &[
    "",
    "*",
    "?",
    "[",
    "[a-",
    "\\",
    "***************************b",
    "\0",
    "\r\n",
    "default",
    "normal",
    "yes",
    "no",
    "on",
    "off",
    "all",
    "everything",
    "127.0.0.1:1",
    "maxmemory",
    "\u{e9}",
    "get",
    "mset",
    "eval",
    "config",
    "string",
];

const KEYS: &[&str] = &["a", "b", "c", "{a}b", "number", "long", "{", "}{"];

/// Commands that are answered otherwise than at once with one reply, or change what others are told.
const SPECIAL: &[&str] = &[
    "client|kill",
    "client|pause",
    "client|reply",
    "config|set",
    "monitor",
    "multi",
    "psubscribe",
    "punsubscribe",
    "quit",
    "shutdown",
    "ssubscribe",
    "subscribe",
    "sunsubscribe",
    "unsubscribe",
    "wait",
    "waitaof",
];

/// The words of a command's syntax that stand for themselves.
fn syntax_words(command: &Command) -> Vec<&'static str> {
    command
        .spec
        .syntax
        .split(|letter: char| !letter.is_ascii_alphanumeric())
        .filter(|word| word.len() > 1 && !word.contains(|letter: char| letter.is_ascii_lowercase()))
        .collect()
}

fn arguments(random: &mut Random, command: &Command) -> Vec<String> {
    let words = syntax_words(command);
    let mut args: Vec<String> = command.spec.name.split('|').map(str::to_owned).collect();
    let least = usize::from(command.spec.arity.unsigned_abs());
    let exact = command.spec.arity > 0 && !random.one_in(20);
    let more = if exact { 0 } else { random.below(6) };
    let count = if random.one_in(20) {
        random.below(12)
    } else {
        least + more
    };
    while args.len() < count {
        let arg = match random.below(10) {
            0..3 if !words.is_empty() => random.of(&words),
            0..5 => random.of(NUMBERS),
            5..9 => random.of(KEYS),
            _ => random.of(TEXTS),
        };
        args.push(arg.to_owned());
    }
    args
}

fn encode(args: &[String]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", args.len());
    for arg in args {
        out += &format!("${}\r\n{arg}\r\n", arg.len());
    }
    out.into_bytes()
}

#[test]
fn every_command_with_whatever_arguments_is_answered_with_one_reply() {
    const COMMANDS_A_SERVER: usize = 400;
    let mut commands: Vec<&'static Command> = Vec::new();
    for command in CommandTable::global().iter() {
        commands.push(command);
        commands.extend(command.subcommands.iter());
    }
    for seed in 0..seeds(6) {
        let random = &mut Random(seed ^ 0xDEAD_BEEF);
        for cores in [1, 3] {
            let mut server = Server::new(cores);
            let filler = server.connect(0);
            let long = "0123456789".repeat(1000);
            let filling = format!(
                "SET a text\r\nSET {{a}}b 12\r\nSET number 9223372036854775807\r\nSET long {long}\r\n"
            );
            server.send(filler, filling.as_bytes());
            server.disconnect(filler);
            for at in 0..COMMANDS_A_SERVER {
                let command = random.of(&commands);
                let args = arguments(random, command);
                // Once the server is told to pause, to close clients or to want a password, not every command is answered.
                let strict = at < COMMANDS_A_SERVER * 3 / 4;
                let blocks = command.spec.flags.has(Flags::BLOCKING);
                if strict && (blocks || SPECIAL.contains(&command.spec.name)) {
                    continue;
                }
                let client = server.connect(random.below(cores.into()));
                let mut request = Vec::new();
                if random.one_in(3) {
                    request.extend_from_slice(b"HELLO 3\r\n");
                }
                let before = usize::from(!request.is_empty());
                request.extend_from_slice(&encode(&args));
                request.extend_from_slice(b"ECHO marker\r\n");
                server.receive(client, &request);
                server.turns();
                if server.intent(client) != Intent::CloseNow {
                    let heard = replies(&server.take_output(client));
                    if strict {
                        assert_eq!(heard.len(), before + 2, "seed {seed}: {args:?} {heard:?}");
                        assert_eq!(
                            heard[before + 1],
                            b"$6\r\nmarker\r\n",
                            "seed {seed}: {args:?}"
                        );
                    }
                }
                server.disconnect(client);
            }
            server.assert_nothing_is_left();
        }
    }
}
