//! Commands that take many turns where they take much: whoever leaves leaves nothing of what they have gathered meanwhile.

#![cfg(test)]

use crate::dispatch::tests::testing::{Client, Server, key_on};

/// How the keys `$a` and `$b` are filled, and what is asked of them; `{d}` is where it is stored.
const COMMANDS: &[(&str, &str)] = &[
    ("SADD", "SUNION $a $b"),
    ("SADD", "SDIFF $a $b"),
    ("SADD", "SINTER $a $b"),
    ("SADD", "SUNIONSTORE {d} $a $b"),
    ("ZADD", "ZUNION 2 $a $b"),
    ("ZADD", "ZDIFF 2 $a $b"),
    ("ZADD", "ZINTER 2 $a $b"),
    ("ZADD", "ZUNIONSTORE {d} 2 $a $b"),
    ("ZADD", "ZRANGESTORE {d} $b 0 -1"),
    ("ZADD", "ZPOPMIN $a 4000"),
    (
        "GEOADD",
        "GEOSEARCH $a FROMLONLAT 15 37 BYRADIUS 200 km ASC",
    ),
    (
        "GEOADD",
        "GEOSEARCHSTORE {d} $b FROMLONLAT 15 37 BYRADIUS 200 km",
    ),
];

fn send(server: &mut Server, client: Client, command: &str) -> String {
    server.send(client, format!("{command}\r\n").as_bytes())
}

/// Gives a key these members, in the way of a command.
fn fill(
    server: &mut Server,
    client: Client,
    (add, key): (&str, &str),
    numbers: std::ops::Range<usize>,
) {
    let members: Vec<String> = numbers
        .map(|n| match add {
            "SADD" => format!("member:{n}"),
            "ZADD" => format!("{n} member:{n}"),
            _ => format!("15.{n:05} 37.{n:05} member:{n}"),
        })
        .collect();
    for some in members.chunks(500) {
        send(server, client, &format!("{add} {key} {}", some.join(" ")));
    }
}

fn leaves_nothing(cores: u16, (add, line): (&str, &str), turns: usize) {
    let mut server = Server::new(cores);
    let (client, other) = (server.connect(0), server.connect(0));
    let keys = [key_on(0, cores, "a"), key_on(cores - 1, cores, "b")];
    fill(&mut server, client, (add, &keys[0]), 0..6000);
    fill(&mut server, client, (add, &keys[1]), 1000..6000);
    let asked = line.replace("$a", &keys[0]).replace("$b", &keys[1]);
    server.receive(client, format!("{asked}\r\n").as_bytes());
    server.some_turns(turns);
    server.disconnect(client);
    server.some_turns(2000);
    assert_eq!(send(&mut server, other, "PING"), "+PONG\r\n");
    for key in ["{d}", &keys[0], &keys[1]] {
        send(&mut server, other, &format!("DEL {key}"));
    }
    server.some_turns(300);
    for core in &mut server.cores {
        let shard = &core.state().shard;
        shard.check();
        assert_eq!(shard.memory().entry_bytes, 0, "{line} {cores} {turns}");
    }
    server.disconnect(other);
    server.assert_nothing_is_left();
}

#[test]
fn what_is_quick_most_times_takes_many_turns_where_it_takes_much() {
    for (add, line) in [
        ("ZADD", "ZPOPMIN $a 4000"),
        ("ZADD", "ZPOPMAX $a 6000"),
        ("ZADD", "ZMPOP 1 $a MIN COUNT 4000"),
        ("SADD", "SPOP $a 4000"),
        (
            "GEOADD",
            "GEOSEARCH $a FROMLONLAT 15 37 BYRADIUS 200 km ASC",
        ),
    ] {
        for cores in [1, 2] {
            let mut server = Server::new(cores);
            let client = server.connect(usize::from(cores - 1));
            let key = key_on(0, cores, "a");
            fill(&mut server, client, (add, &key), 0..6000);
            let asked = line.replace("$a", &key);
            server.receive(client, format!("{asked}\r\n").as_bytes());
            let mut turns = 1;
            server.some_turns(1);
            while server.take_output(client).is_empty() {
                turns += 1;
                assert!(turns < 1000, "{line}: there is no answer");
                server.some_turns(1);
            }
            assert!(turns >= 5, "{line}: {turns}");
            server.disconnect(client);
            server.assert_nothing_is_left();
        }
    }
}

#[test]
fn a_client_that_leaves_takes_along_what_was_gathered_for_it() {
    for cores in [1, 2] {
        for &command in COMMANDS {
            for turns in [1, 3, 8, 20] {
                leaves_nothing(cores, command, turns);
            }
        }
    }
}
