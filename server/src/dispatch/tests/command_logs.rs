//! What is logged of large commands and of large replies, whichever way the commands go.

#![cfg(test)]

use crate::dispatch::tests::testing::{Client, Server, key_on};

const CORES: u16 = 3;

fn send(server: &mut Server, client: Client, words: &[&str]) -> String {
    let words = words
        .iter()
        .map(|word| format!("${}\r\n{word}\r\n", word.len()));
    let words: Vec<String> = words.collect();
    let command = format!("*{}\r\n{}", words.len(), words.concat());
    server.send(client, command.as_bytes())
}

/// The values and the commands of a log, newest first; of commands their first words.
fn logged(server: &mut Server, client: Client, kind: &str) -> Vec<(u64, String)> {
    let reply = send(server, client, &["COMMANDLOG", "GET", "-1", kind]);
    let lines: Vec<&str> = reply.split("\r\n").collect();
    let entries = (0..lines.len()).filter(|&at| lines[at] == "*6");
    let entry = |at: usize| {
        let value = lines[at + 3][1..].parse().unwrap();
        let words: usize = lines[at + 4][1..].parse().unwrap();
        let words = (0..words.min(3)).map(|word| lines[at + 6 + 2 * word]);
        (value, words.collect::<Vec<_>>().join(" "))
    };
    entries.map(entry).collect()
}

#[test]
fn a_large_reply_is_logged_whole_wherever_it_is_made() {
    let directives = [("commandlog-reply-larger-than", "100")];
    let mut server = Server::configured(CORES, &directives);
    let client = server.connect(0);
    let keys = [0, 1, 2].map(|core| key_on(core, CORES, "key"));
    let sets = [0, 1].map(|core| key_on(core, CORES, "set"));
    let value = "x".repeat(60);
    for key in &keys {
        send(&mut server, client, &["SET", key, &value]);
    }
    for set in &sets {
        let other = format!("{value}{set}");
        send(&mut server, client, &["SADD", set, &value, &other]);
    }
    let list = key_on(1, CORES, "list");
    send(&mut server, client, &["RPUSH", &list, &value, &value]);
    assert_eq!(logged(&mut server, client, "large-reply"), []);
    let get = "return redis.call('LRANGE', KEYS[1], 0, -1)";
    let asked: &[&[&str]] = &[
        &["GETRANGE", &keys[0], "0", "9"],
        &["MGET", &keys[0], &keys[0]],
        &["LRANGE", &list, "0", "-1"],
        &["MGET", &keys[0], &keys[1]],
        &["SUNION", &sets[0], &sets[1]],
        &["EVAL", get, "1", &list],
        &["SMEMBERS", &sets[1]],
        &["KEYS", "*"],
        &["SORT", &list, "ALPHA"],
        &["CLIENT", "LIST"],
    ];
    for command in asked {
        let reply = send(&mut server, client, command);
        let is_large = reply.len() >= 100;
        let log = logged(&mut server, client, "large-reply");
        let words = command[..command.len().min(3)].join(" ");
        let newest = log.first();
        assert_eq!(
            newest == Some(&(reply.len() as u64, words)),
            is_large,
            "{command:?} {} {log:?}",
            reply.len()
        );
        // What a script calls is logged by itself, as in Valkey.
        let most = 1 + usize::from(command[0] == "EVAL");
        assert!(log.len() <= most, "it is logged once: {log:?}");
        send(&mut server, client, &["COMMANDLOG", "RESET", "large-reply"]);
    }
    server.disconnect(client);
    server.assert_nothing_is_left();
}

#[test]
fn a_large_command_is_logged_where_its_client_is_served() {
    let directives = [("commandlog-request-larger-than", "130")];
    let mut server = Server::configured(CORES, &directives);
    let client = server.connect(1);
    let value = "x".repeat(100);
    for core in 0..CORES {
        let key = key_on(core, CORES, "key");
        send(&mut server, client, &["SET", &key, &value]);
        send(&mut server, client, &["GET", &key]);
        let bytes = "*3\r\n$3\r\nSET\r\n$?\r\n\r\n$100\r\n\r\n".len() + key.len() + 100;
        let expected = (bytes as u64, format!("SET {key} {value}"));
        let log = logged(&mut server, client, "large-request");
        assert_eq!(log.first() == Some(&expected), bytes >= 130, "{log:?}");
    }
    assert_eq!(logged(&mut server, client, "large-reply"), []);
}
