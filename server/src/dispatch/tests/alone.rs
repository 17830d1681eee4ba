//! Tests of what all cores share and change at one moment: libraries of functions, and the configuration.

#![cfg(test)]

use crate::dispatch::tests::testing::{Random, Server, key_on, seeds};

fn words(words: &[&str]) -> String {
    let bulk = |word: &&str| format!("${}\r\n{word}\r\n", word.len());
    format!("*{}\r\n", words.len()) + &words.iter().map(bulk).collect::<String>()
}

/// Asks within one `EXEC` twice, a command of several rounds between, while another client changes it; each `EXEC` must see
/// one state.
fn one_exec_sees_one(begin: &[&str], ask: &[&str], changes: &[Vec<&str>]) {
    for seed in 0..seeds(100) {
        let mut random = Random(seed);
        let mut server = Server::new(2);
        let (reader, changer) = (server.connect(0), server.connect(1));
        let keys = [0, 1].map(|core| key_on(core, 2, "k"));
        server.send(changer, words(begin).as_bytes());
        server.send(reader, words(&["SET", &keys[0], "v"]).as_bytes());
        let copy = words(&["COPY", &keys[0], &keys[1], "REPLACE"]);
        let exec = [
            words(&["MULTI"]),
            words(ask),
            copy.clone(),
            copy,
            words(ask),
            words(&["EXEC"]),
        ]
        .concat();
        server.send(reader, b"ECHO x\r\n");
        server.receive(reader, exec.as_bytes());
        for change in changes.iter().cycle().take(random.below(6)) {
            for _ in 0..random.below(12) {
                server.stir(&mut random);
            }
            server.receive(changer, words(change).as_bytes());
        }
        server.turns();
        let replies = String::from_utf8_lossy(&server.read_all(reader)).into_owned();
        let (_, replies) = replies.split_once("*4\r\n").expect(&replies);
        let (first, second) = replies
            .split_once(":1\r\n:1\r\n")
            .unwrap_or_else(|| panic!("seed {seed}: {replies}"));
        assert_eq!(first, second, "seed {seed}");
        server.disconnect(reader);
        server.disconnect(changer);
        server.assert_nothing_is_left();
    }
}

#[test]
fn an_exec_sees_one_state_of_the_libraries() {
    let lib = |result: &str| {
        format!("#!lua name=lib\nredis.register_function('f', function() return {result} end)")
    };
    let [one, two] = ["'one'", "'two'"].map(lib);
    let changes = [
        vec!["FUNCTION", "LOAD", "REPLACE", &two],
        vec!["FUNCTION", "DELETE", "lib"],
        vec!["FUNCTION", "LOAD", "REPLACE", &one],
        vec!["FUNCTION", "FLUSH"],
    ];
    let begin = ["FUNCTION", "LOAD", &one];
    one_exec_sees_one(&begin, &["FCALL", "f", "0"], &changes);
}

#[test]
fn an_exec_sees_one_configuration() {
    let changes = ["1", "2", "3"].map(|value| vec!["CONFIG", "SET", "slowlog-max-len", value]);
    let begin = ["CONFIG", "SET", "slowlog-max-len", "9"];
    let ask = ["CONFIG", "GET", "slowlog-max-len"];
    one_exec_sees_one(&begin, &ask, &changes);
}

#[test]
fn what_was_changed_is_so_on_every_core_when_the_client_has_its_reply() {
    let mut server = Server::new(3);
    let clients = [0, 1, 2].map(|core| server.connect(core));
    for turn in 0..9 {
        let code =
            format!("#!lua name=lib\nredis.register_function('f', function() return {turn} end)");
        let changes = [
            words(&["FUNCTION", "LOAD", "REPLACE", &code]),
            words(&["CONFIG", "SET", "slowlog-max-len", &turn.to_string()]),
            words(&["FCALL", "f", "0"]),
        ];
        let replies = server.send(clients[turn % 3], changes.concat().as_bytes());
        assert_eq!(replies, format!("$3\r\nlib\r\n+OK\r\n:{turn}\r\n"));
        for client in clients {
            let asks = words(&["FCALL", "f", "0"]) + &words(&["CONFIG", "GET", "slowlog-max-len"]);
            let replies = server.send(client, asks.as_bytes());
            let expected = format!(":{turn}\r\n*2\r\n$15\r\nslowlog-max-len\r\n$1\r\n{turn}\r\n");
            assert_eq!(replies, expected);
        }
    }
}
