//! What a client sends behind a script comes behind it, whatever the script reached when it ran before; and behind one whose
//! text shows that it keeps to its keys, it does not wait.

#![cfg(test)]

use crate::dispatch::tests::testing::{Client, Server, key_on};
use crate::session::gate;

const CORES: u16 = 2;

fn encode(words: &[&str]) -> Vec<u8> {
    crate::resp::encode_command(words.iter().map(|word| word.as_bytes()))
}

/// Sends these commands at once, and says what they are answered.
fn pipeline(server: &mut Server, client: Client, commands: &[&[&str]]) -> String {
    let bytes: Vec<u8> = commands.iter().flat_map(|words| encode(words)).collect();
    server.send(client, &bytes)
}

/// The same script by each way to call one: its text, its SHA-1, a function. `body` has its keys in `KEYS`.
fn ways(server: &mut Server, client: Client, body: &str) -> Vec<[String; 2]> {
    let load = encode(&["SCRIPT", "LOAD", body]);
    let sha = server.send(client, &load);
    let sha = sha.lines().nth(1).expect("a script has a SHA-1").to_owned();
    let library =
        format!("#!lua name=lib\nredis.register_function('f', function(KEYS, ARGV) {body} end)");
    let load = encode(&["FUNCTION", "LOAD", "REPLACE", &library]);
    assert_eq!(server.send(client, &load), "$3\r\nlib\r\n");
    vec![
        ["EVAL".into(), body.into()],
        ["EVALSHA".into(), sha],
        ["FCALL".into(), "f".into()],
    ]
}

#[test]
fn a_script_that_kept_to_its_keys_before_is_not_overtaken_when_it_reaches_further() {
    let (here, there) = (key_on(0, CORES, "a"), key_on(1, CORES, "b"));
    let body = "return redis.call('APPEND', ARGV[1], 'x')";
    for way in 0..3 {
        let mut server = Server::new(CORES);
        let client = server.connect(0);
        let [name, which] = &ways(&mut server, client, body)[way];
        // Its key is on the other core. The first time it reaches no other, the second time one of this core.
        for (reached, appended) in [(&there, "$1\r\nx\r\n"), (&here, "$1\r\nx\r\n")] {
            let script: &[&str] = &[name, which, "1", &there, reached];
            let answer = pipeline(&mut server, client, &[script, &["GET", reached]]);
            assert_eq!(answer, format!(":1\r\n{appended}"), "{name}, {reached}");
        }
    }
}

#[test]
fn nor_is_one_whose_reply_its_client_does_not_want() {
    let (here, there) = (key_on(0, CORES, "a"), key_on(1, CORES, "b"));
    let append = "return redis.call('APPEND', ARGV[1], 'x')";
    let both = "redis.call('SET', KEYS[1], 'x') redis.call('APPEND', ARGV[1], 'x')";
    let third = key_on(0, CORES, "c");
    let calls: [(&[&str], &str); 2] = [
        (&["EVAL", append, "1", &there, &here], &here),
        (&["EVAL", both, "2", &here, &there, &third], &third),
    ];
    for (script, reached) in calls {
        let mut server = Server::new(CORES);
        let client = server.connect(0);
        let skip: &[&str] = &["CLIENT", "REPLY", "SKIP"];
        let answer = pipeline(
            &mut server,
            client,
            &[skip, script, &["GET", reached], &["PING"]],
        );
        assert_eq!(answer, "$1\r\nx\r\n+PONG\r\n");
        let off: &[&str] = &["CLIENT", "REPLY", "OFF"];
        let on: &[&str] = &["CLIENT", "REPLY", "ON"];
        let commands = [
            off,
            script,
            &["APPEND", reached, "y"],
            script,
            on,
            &["GET", reached],
        ];
        let answer = pipeline(&mut server, client, &commands);
        assert_eq!(answer, "+OK\r\n$4\r\nxxyx\r\n");
    }
}

#[test]
fn nor_is_one_on_several_cores() {
    let (here, there) = (key_on(0, CORES, "a"), key_on(1, CORES, "b"));
    let third = key_on(0, CORES, "c");
    let body = "redis.call('SET', KEYS[1], 'x') return redis.call('APPEND', ARGV[1], 'x')";
    let mut server = Server::new(CORES);
    let client = server.connect(0);
    for (reached, length) in [(&there, 1), (&third, 1)] {
        let script: &[&str] = &["EVAL", body, "2", &here, &there, reached];
        let answer = pipeline(&mut server, client, &[script, &["GET", reached]]);
        assert_eq!(answer, format!(":{length}\r\n$1\r\nx\r\n"), "{reached}");
    }
}

#[test]
fn behind_a_script_whose_text_shows_its_keys_nothing_waits() {
    let (here, there) = (key_on(0, CORES, "a"), key_on(1, CORES, "b"));
    let body = "local key = KEYS[1] return redis.call('SET', key, ARGV[1])";
    for way in 0..3 {
        let mut server = Server::new(CORES);
        let client = server.connect(0);
        let other = server.connect(0);
        let [name, which] = &ways(&mut server, client, body)[way];
        // Its first run: what comes behind it here has run before the other core has so much as heard of it.
        let script = encode(&[name, which, "1", &there, "v"]);
        let bytes = [script, encode(&["SET", &here, "1"])].concat();
        server.receive(client, &bytes);
        server.receive(other, &encode(&["GET", &here]));
        assert_eq!(server.take_output(other), b"$1\r\n1\r\n", "{name}");
        server.turns();
        assert_eq!(server.take_output(client), b"+OK\r\n+OK\r\n", "{name}");
    }
}

#[test]
fn nor_behind_one_on_several_cores() {
    let (here, there) = (key_on(0, CORES, "a"), key_on(1, CORES, "b"));
    for (key, waits) in [("KEYS[2]", false), ("ARGV[1]", true)] {
        let body = format!("redis.call('SET', KEYS[1], 'x') return redis.call('SET', {key}, 'x')");
        let mut server = Server::new(CORES);
        let client = server.connect(0);
        let script = encode(&["EVAL", &body, "2", &here, &there, &there]);
        server.receive(client, &script);
        let session = server.cores[0].state().sessions.get_mut(client.1);
        let gates = session.expect("the client is there").gates;
        assert_eq!(gates & gate::BEHIND_LAST != 0, waits, "{key}");
        server.turns();
        assert_eq!(server.take_output(client), b"+OK\r\n", "{key}");
    }
}
