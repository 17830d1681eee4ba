//! Keyspace notifications on servers of one and of several cores.

#![cfg(test)]

use crate::dispatch::tests::testing::{Client, Server, key_on, replies};

const CORES: [u16; 3] = [1, 2, 3];
const NOTIFY: &str = "notify-keyspace-events";

/// The channels and messages a client has heard since it was last asked.
fn heard(server: &mut Server, client: Client) -> Vec<String> {
    let bytes = server.send(client, b"");
    let words = |message: Vec<u8>| {
        let text = String::from_utf8(message).unwrap();
        let words: Vec<&str> = text.split("\r\n").collect();
        format!("{} {}", words[words.len() - 4], words[words.len() - 2])
    };
    replies(bytes.as_bytes()).into_iter().map(words).collect()
}

#[test]
fn what_happens_to_a_key_is_published_by_whichever_core_owns_it() {
    for cores in CORES {
        let mut server = Server::configured(cores, &[(NOTIFY, "KEA")]);
        let listener = server.connect(usize::from(cores) - 1);
        server.send(listener, b"PSUBSCRIBE __key*\r\n");
        let writer = server.connect(0);
        for core in 0..cores {
            let key = key_on(core, cores, "key");
            server.send(
                writer,
                format!("SET {key} v EX 10\r\nDEL {key}\r\n").as_bytes(),
            );
            let expected: Vec<String> = ["set", "expire", "del"]
                .iter()
                .flat_map(|event| {
                    [
                        format!("__keyspace@0__:{key} {event}"),
                        format!("__keyevent@0__:{event} {key}"),
                    ]
                })
                .collect();
            assert_eq!(
                heard(&mut server, listener),
                expected,
                "core {core} of {cores}"
            );
        }
        for client in [listener, writer] {
            server.disconnect(client);
        }
        server.assert_nothing_is_left();
    }
}

#[test]
fn only_the_classes_asked_for_are_published() {
    for cores in CORES {
        let mut server = Server::configured(cores, &[(NOTIFY, "Eg")]);
        let listener = server.connect(0);
        server.send(listener, b"PSUBSCRIBE *\r\n");
        let writer = server.connect(usize::from(cores) - 1);
        server.send(writer, b"SET k v\r\nGET missing\r\nDEL k\r\n");
        assert_eq!(heard(&mut server, listener), ["__keyevent@0__:del k"]);
        // In force from the next command on, of the same pipeline too, and for every core.
        server.send(
            writer,
            b"CONFIG SET notify-keyspace-events Km\r\nSELECT 2\r\nSET k v\r\nGET missing\r\nDEL k\r\n",
        );
        assert_eq!(
            heard(&mut server, listener),
            ["__keyspace@2__:missing keymiss"]
        );
        server.send(
            writer,
            b"CONFIG SET notify-keyspace-events K$\r\nSET k v\r\n",
        );
        assert_eq!(heard(&mut server, listener), ["__keyspace@2__:k set"]);
        server.send(
            writer,
            b"CONFIG SET notify-keyspace-events \"\"\r\nSET k v\r\n",
        );
        assert_eq!(heard(&mut server, listener), [""; 0]);
        assert!(!server.cores[0].state().shard.journal().has_notes());
    }
}

#[test]
fn a_configuration_a_client_was_told_of_holds_for_what_it_asks_of_other_cores() {
    let mut server = Server::new(2);
    let key = key_on(1, 2, "key");
    let listener = server.connect(1);
    server.send(listener, b"SUBSCRIBE __keyevent@0__:set\r\n");
    let client = server.connect(0);
    server.receive(client, b"CONFIG SET notify-keyspace-events KEA\r\n");
    // The other core is in the midst of its turn.
    let mut reply = Vec::new();
    while reply.is_empty() {
        for (from, to) in [(0, 1), (1, 0)] {
            server.ship_from(from);
            while server.deliver_one(from, to) {}
        }
        reply = server.take_output(client);
    }
    assert_eq!(reply, b"+OK\r\n");
    server.receive(client, format!("SET {key} v\r\n").as_bytes());
    server.ship_between(0, 1);
    server.deliver_one(0, 1);
    server.turn();
    assert_eq!(
        heard(&mut server, listener),
        [format!("__keyevent@0__:set {key}")]
    );
}

#[test]
fn expired_keys_are_told_of_when_they_are_read_and_when_nobody_reads_them() {
    for cores in CORES {
        let mut server = Server::configured(cores, &[(NOTIFY, "Exm")]);
        let listener = server.connect(0);
        server.send(listener, b"PSUBSCRIBE *\r\n");
        let writer = server.connect(0);
        let key = key_on(cores - 1, cores, "key");
        server.send(writer, format!("SET {key} v PX 10\r\n").as_bytes());
        server.advance(20);
        server.send(writer, format!("GET {key}\r\n").as_bytes());
        let expired = format!("__keyevent@0__:expired {key}");
        assert_eq!(
            heard(&mut server, listener),
            [expired.clone(), format!("__keyevent@0__:keymiss {key}")]
        );
        server.send(writer, format!("SET {key} v PX 10\r\n").as_bytes());
        server.advance(200);
        server.turns();
        assert_eq!(heard(&mut server, listener), [expired]);
    }
}

#[test]
fn a_client_hears_of_what_it_did_itself_behind_the_reply() {
    for cores in CORES {
        let mut server = Server::configured(cores, &[(NOTIFY, "KA")]);
        let client = server.connect(0);
        server.send(client, b"HELLO 3\r\nSUBSCRIBE __keyspace@0__:k\r\n");
        // Of what was before the subscription it does not.
        assert_eq!(
            server
                .send(
                    client,
                    b"UNSUBSCRIBE\r\nSET k v\r\nSUBSCRIBE __keyspace@0__:k\r\nSET k w\r\n"
                )
                .matches("\r\nset\r\n")
                .count(),
            1
        );
        let reply = server.send(client, b"SET k v\r\n");
        assert!(
            reply.starts_with("+OK\r\n>3\r\n$7\r\nmessage\r\n"),
            "{reply}"
        );
    }
}

#[test]
fn what_a_transaction_does_is_published_in_its_order_behind_its_own_reply() {
    for cores in CORES {
        let mut server = Server::configured(cores, &[(NOTIFY, "E$gx")]);
        let listener = server.connect(usize::from(cores) - 1);
        server.send(listener, b"PSUBSCRIBE *\r\n");
        let client = server.connect(0);
        server.send(client, b"HELLO 3\r\nPSUBSCRIBE *\r\n");
        let keys: Vec<String> = (0..cores).map(|core| key_on(core, cores, "k")).collect();
        let key = &keys[usize::from(cores) - 1];
        let mut command = format!("MULTI\r\nSET {key} 1\r\nMSET");
        for key in &keys {
            command += &format!(" {key} v");
        }
        command += &format!("\r\nRENAME {key} {key}new\r\nFLUSHALL\r\nEXEC\r\n");
        let replies = server.send(client, command.as_bytes());
        let (_, exec) = replies.split_once("*4\r\n").unwrap();
        assert!(
            exec.starts_with("+OK\r\n+OK\r\n+OK\r\n+OK\r\n>4\r\n"),
            "{exec}"
        );
        let told = heard(&mut server, listener);
        let of_key: Vec<&str> = told
            .iter()
            .filter(|word| word.ends_with(&format!(" {key}")) || word.ends_with("new"))
            .map(String::as_str)
            .collect();
        let expected = [
            format!("__keyevent@0__:set {key}"),
            format!("__keyevent@0__:set {key}"),
            format!("__keyevent@0__:rename_from {key}"),
            format!("__keyevent@0__:rename_to {key}new"),
        ];
        assert_eq!(of_key, expected, "{cores} cores");
        assert_eq!(told.len(), 4 + usize::from(cores) - 1, "{cores} cores");
    }
}
