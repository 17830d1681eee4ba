//! Publish/subscribe on servers of one and of several cores.

#![cfg(test)]

use crate::dispatch::Intent;
use crate::dispatch::tests::testing::{Client, Random, Server, key_on};
use crate::routing::CoreId;

const CORES: [u16; 3] = [1, 2, 3];

/// What comes of a message in RESP2.
fn message(words: &[&str]) -> String {
    let words: String = words
        .iter()
        .map(|word| format!("${}\r\n{word}\r\n", word.len()))
        .collect();
    format!("*{}\r\n{words}", words.matches('$').count())
}

fn told(word: &str, name: &str, count: usize) -> String {
    let (len, bytes) = (word.len(), name.len());
    format!("*3\r\n${len}\r\n{word}\r\n${bytes}\r\n{name}\r\n:{count}\r\n")
}

/// One client on every core.
fn clients(server: &mut Server, cores: u16) -> Vec<Client> {
    (0..cores.into()).map(|core| server.connect(core)).collect()
}

#[test]
fn messages_reach_subscribers_on_every_core_in_the_order_of_their_publisher() {
    for cores in CORES {
        let mut server = Server::new(cores);
        let subscribers = clients(&mut server, cores);
        for subscriber in &subscribers {
            assert_eq!(
                server.send(*subscriber, b"SUBSCRIBE a b\r\n"),
                told("subscribe", "a", 1) + &told("subscribe", "b", 2)
            );
        }
        let publisher = server.connect(0);
        let mut published = String::new();
        let mut expected = String::new();
        for number in 0..100 {
            let channel = ["a", "b", "c"][number % 3];
            published += &format!("PUBLISH {channel} {number}\r\n");
            if channel != "c" {
                expected += &message(&["message", channel, &number.to_string()]);
            }
        }
        let heard = format!(":{cores}\r\n");
        let answers: String = (0..100)
            .map(|number| if number % 3 == 2 { ":0\r\n" } else { &heard })
            .collect();
        assert_eq!(server.send(publisher, published.as_bytes()), answers);
        for subscriber in subscribers {
            assert_eq!(server.send(subscriber, b""), expected, "{cores} cores");
            server.disconnect(subscriber);
        }
        server.disconnect(publisher);
        server.assert_nothing_is_left();
    }
}

#[test]
fn channels_patterns_and_shard_channels_are_apart() {
    for cores in CORES {
        let mut server = Server::new(cores);
        let listener = server.connect(0);
        let publisher = server.connect(usize::from(cores) - 1);
        server.send(
            listener,
            b"SUBSCRIBE news\r\nPSUBSCRIBE n* ne?s x*\r\nSSUBSCRIBE news\r\n",
        );
        assert_eq!(server.send(publisher, b"PUBLISH news 1\r\n"), ":3\r\n");
        assert_eq!(
            server.send(listener, b""),
            message(&["message", "news", "1"])
                + &message(&["pmessage", "n*", "news", "1"])
                + &message(&["pmessage", "ne?s", "news", "1"])
        );
        assert_eq!(server.send(publisher, b"SPUBLISH news 2\r\n"), ":1\r\n");
        assert_eq!(
            server.send(listener, b""),
            message(&["smessage", "news", "2"])
        );
        server.send(listener, b"UNSUBSCRIBE\r\nPUNSUBSCRIBE\r\n");
        assert_eq!(
            server.send(publisher, b"PUBLISH news 3\r\nSPUBLISH news 4\r\n"),
            ":0\r\n:1\r\n"
        );
        assert_eq!(
            server.send(listener, b""),
            message(&["smessage", "news", "4"])
        );
    }
}

#[test]
fn what_is_subscribed_to_is_counted_once_however_many_cores_have_subscribers() {
    for cores in CORES {
        let mut server = Server::new(cores);
        for client in clients(&mut server, cores) {
            server.send(
                client,
                b"SUBSCRIBE a b\r\nPSUBSCRIBE p*\r\nSSUBSCRIBE s\r\n",
            );
        }
        let other = server.connect(0);
        server.send(other, b"HELLO 3\r\nSUBSCRIBE a c\r\n");
        assert_eq!(
            server.send(
                other,
                b"PUBSUB CHANNELS\r\nPUBSUB CHANNELS [ab]\r\nPUBSUB SHARDCHANNELS\r\n"
            ),
            "*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n*1\r\n$1\r\ns\r\n"
        );
        assert_eq!(
            server.send(
                other,
                b"PUBSUB NUMSUB a b x\r\nPUBSUB SHARDNUMSUB s\r\nPUBSUB NUMPAT\r\n"
            ),
            format!(
                "*6\r\n$1\r\na\r\n:{}\r\n$1\r\nb\r\n:{cores}\r\n$1\r\nx\r\n:0\r\n*2\r\n$1\r\ns\r\n:{cores}\r\n:1\r\n",
                cores + 1
            )
        );
        let info = server.send(other, b"INFO clients stats\r\n");
        for line in [
            format!("pubsub_clients:{}", cores + 1),
            "pubsub_channels:3".to_owned(),
            "pubsub_patterns:1".to_owned(),
            "pubsubshard_channels:1".to_owned(),
        ] {
            assert!(info.contains(&format!("{line}\r\n")), "{line} in {info}");
        }
    }
}

#[test]
fn what_a_client_publishes_to_itself_comes_behind_the_reply() {
    for cores in CORES {
        let mut server = Server::new(cores);
        let others = clients(&mut server, cores);
        let client = server.connect(0);
        server.send(client, b"HELLO 3\r\nSUBSCRIBE me\r\n");
        let own = ">3\r\n$7\r\nmessage\r\n$2\r\nme\r\n$1\r\n1\r\n";
        assert_eq!(
            server.send(client, b"PUBLISH me 1\r\nPING\r\n"),
            format!(":1\r\n{own}+PONG\r\n")
        );
        for other in &others {
            server.send(*other, b"SUBSCRIBE me\r\n");
        }
        assert_eq!(
            server.send(client, b"PUBLISH me 1\r\nPING\r\n"),
            format!(":{}\r\n{own}+PONG\r\n", 1 + others.len())
        );
    }
}

#[test]
fn a_message_does_not_overtake_what_its_publisher_wrote_before_it() {
    let mut server = Server::new(3);
    let key = key_on(1, 3, "key");
    let publisher = server.connect(0);
    let reader = server.connect(2);
    server.send(reader, b"HELLO 3\r\nSUBSCRIBE news\r\n");
    for (commands, replies) in [
        (
            format!("SET {key} v\r\nPUBLISH news 1\r\n"),
            "+OK\r\n:1\r\n",
        ),
        (
            format!("MSET {key} w other x\r\nPUBLISH news 1\r\n"),
            "+OK\r\n:1\r\n",
        ),
    ] {
        server.receive(publisher, commands.as_bytes());
        // The batch for the writes is slow; everything else is not.
        for _ in 0..5 {
            server.turn();
            server.ship_from(2);
            server.ship_between(0, 2);
            server.deliver_one(0, 2);
            server.deliver_one(2, 0);
        }
        assert_eq!(server.take_output(reader), b"");
        assert_eq!(server.send(publisher, b""), replies);
        let got = server.send(reader, format!("GET {key}\r\n").as_bytes());
        assert!(got.starts_with(">3\r\n$7\r\nmessage\r\n"), "{got}");
    }
    // Reads and other messages hold nothing back.
    server.receive(
        publisher,
        format!("GET {key}\r\nPUBLISH news 2\r\n").as_bytes(),
    );
    server.turn();
    server.ship_between(0, 2);
    server.deliver_one(0, 2);
    assert!(server.take_output(reader).ends_with(b"$1\r\n2\r\n"));
}

#[test]
fn a_subscriber_with_resp2_may_do_little_else() {
    for cores in CORES {
        let mut server = Server::new(cores);
        let client = server.connect(0);
        server.send(client, b"SUBSCRIBE a\r\n");
        for (command, name) in [
            ("GET k", "get"),
            ("CLIENT ID", "client|id"),
            ("HELLO 3", "hello"),
        ] {
            assert_eq!(
                server.send(client, format!("{command}\r\n").as_bytes()),
                format!(
                    "-ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context\r\n"
                )
            );
        }
        assert_eq!(
            server.send(client, b"PING\r\nPING x\r\nPING x y\r\n"),
            "*2\r\n$4\r\npong\r\n$0\r\n\r\n*2\r\n$4\r\npong\r\n$1\r\nx\r\n\
             -ERR wrong number of arguments for 'ping' command\r\n"
        );
        server.send(client, b"UNSUBSCRIBE\r\n");
        assert_eq!(
            server.send(client, b"PING\r\nGET k\r\n"),
            "+PONG\r\n$-1\r\n"
        );
        // With RESP3 there is no such rule, until the client goes back to RESP2.
        server.send(client, b"HELLO 3\r\nSSUBSCRIBE a\r\n");
        assert_eq!(server.send(client, b"GET k\r\nPING\r\n"), "_\r\n+PONG\r\n");
        server.send(client, b"HELLO 2\r\n");
        assert!(server.send(client, b"GET k\r\n").starts_with("-ERR Can't"));
        assert_eq!(
            server.send(client, b"RESET\r\nGET k\r\n"),
            "+RESET\r\n$-1\r\n"
        );
        server.disconnect(client);
        server.assert_nothing_is_left();
    }
}

#[test]
fn subscriptions_and_messages_are_heard_by_a_client_that_wants_no_replies() {
    for cores in CORES {
        let mut server = Server::new(cores);
        let client = server.connect(0);
        let publisher = server.connect(usize::from(cores) - 1);
        assert_eq!(
            server.send(client, b"CLIENT REPLY OFF\r\nPING\r\nSUBSCRIBE a\r\n"),
            told("subscribe", "a", 1)
        );
        server.send(publisher, b"PUBLISH a 1\r\n");
        assert_eq!(
            server.send(client, b"PING\r\nUNSUBSCRIBE a\r\nPUBLISH a 1\r\n"),
            message(&["message", "a", "1"]) + &told("unsubscribe", "a", 0)
        );
    }
}

#[test]
fn a_subscriber_that_does_not_read_is_closed_and_holds_nobody_back() {
    for cores in CORES {
        let limits = [("client-output-buffer-limit", "pubsub 1mb 100kb 2")];
        let mut server = Server::configured(cores, &limits);
        let slow = server.connect(0);
        let quick = server.connect(0);
        let publisher = server.connect(usize::from(cores) - 1);
        server.send(slow, b"SUBSCRIBE a\r\n");
        server.send(quick, b"SUBSCRIBE a\r\n");
        let publish = format!("PUBLISH a {}\r\n", "x".repeat(50_000));
        for _ in 0..19 {
            assert_eq!(server.send(publisher, publish.as_bytes()), ":2\r\n");
            assert!(server.take_output(quick).len() > 50_000);
        }
        assert_eq!(server.intent(slow), Intent::Read);
        server.send(publisher, publish.repeat(3).as_bytes());
        assert_eq!(server.intent(slow), Intent::CloseNow);
        server.disconnect(slow);
        assert_eq!(server.send(publisher, publish.as_bytes()), ":1\r\n");
        // The soft limit: too much for too long, though nothing else happens.
        server.take_output(quick);
        server.send(publisher, publish.repeat(3).as_bytes());
        server.advance(1900);
        server.turns();
        assert_eq!(server.intent(quick), Intent::Read);
        assert!(server.cores[0].next_wake_ms().is_some());
        server.advance(200);
        server.turns();
        assert_eq!(server.intent(quick), Intent::CloseNow);
        server.disconnect(quick);
        server.turns();
        server.advance(200);
        server.turns();
        assert_eq!(
            server.cores[0].next_wake_ms(),
            None,
            "nothing is left to watch"
        );
    }
}

#[test]
fn a_killed_subscriber_gets_nothing_more() {
    for cores in CORES {
        let mut server = Server::new(cores);
        let victim = server.connect(usize::from(cores) - 1);
        let killer = server.connect(0);
        server.send(victim, b"SUBSCRIBE a\r\nPSUBSCRIBE b*\r\nSSUBSCRIBE c\r\n");
        let list = server.send(killer, b"CLIENT LIST TYPE pubsub\r\n");
        assert!(
            list.contains(" flags=P db=0 sub=1 psub=1 ssub=1 "),
            "{list}"
        );
        assert_eq!(list.matches("id=").count(), 1);
        assert!(
            !server
                .send(killer, b"CLIENT LIST TYPE normal\r\n")
                .contains("flags=P")
        );
        assert_eq!(
            server.send(killer, b"CLIENT KILL TYPE pubsub\r\n"),
            ":1\r\n"
        );
        assert_eq!(
            server.send(killer, b"PUBLISH a 1\r\nSPUBLISH c 1\r\nPUBSUB NUMPAT\r\n"),
            ":0\r\n:0\r\n:0\r\n"
        );
        assert_eq!(server.intent(victim), Intent::CloseNow);
        server.disconnect(victim);
        server.disconnect(killer);
        server.assert_nothing_is_left();
    }
}

#[test]
fn who_has_the_reply_to_a_subscription_misses_nothing_published_after_it() {
    let mut server = Server::new(2);
    let subscriber = server.connect(1);
    let publisher = server.connect(0);
    server.receive(subscriber, b"SUBSCRIBE a\r\n");
    assert!(!server.take_output(subscriber).is_empty());
    // No turn and no batch between the two.
    server.receive(publisher, b"PUBLISH a 1\r\n");
    assert_eq!(server.send(publisher, b""), ":1\r\n");
    assert_eq!(
        server.send(subscriber, b""),
        message(&["message", "a", "1"])
    );
    // Nobody else is asked.
    server.send(subscriber, b"UNSUBSCRIBE a\r\n");
    server.receive(publisher, b"PUBLISH a 2\r\n");
    assert!(server.cores[0].take_outbox(CoreId(1)).is_none());
}

#[test]
fn a_push_between_a_command_for_another_core_and_one_that_blocks_takes_nobody_s_place() {
    for blocks in ["BLPOP none 0", "BLPOP NONE none 0", "WAIT 1 0"] {
        for seed in 0..50 {
            let mut random = Random(seed);
            let mut server = Server::new(2);
            let (subscriber, publisher) = (server.connect(0), server.connect(0));
            let (key, none) = (key_on(1, 2, "key"), key_on(1, 2, "none"));
            server.send(publisher, format!("SET {key} v\r\n").as_bytes());
            server.send(subscriber, b"HELLO 3\r\nSUBSCRIBE channel\r\n");
            let blocks = blocks.replace("NONE", &none);
            let commands = format!("GET {key}\r\n{blocks}\r\nGET {key}\r\n");
            server.receive(subscriber, commands.as_bytes());
            for _ in 0..random.below(8) {
                server.stir(&mut random);
            }
            server.receive(publisher, b"PUBLISH channel message\r\n");
            let id = server.cores[0]
                .state()
                .sessions
                .get(subscriber.1)
                .unwrap()
                .client_id;
            let heard = server.send(subscriber, b"");
            let push = ">3\r\n$7\r\nmessage\r\n$7\r\nchannel\r\n$7\r\nmessage\r\n";
            assert!(heard.contains(push), "seed {seed}: {heard}");
            assert_eq!(heard.replace(push, ""), "$1\r\nv\r\n", "seed {seed}");
            // It ends one way or the other.
            let ends = match blocks.split(' ').nth(1) {
                Some(taken) if seed % 2 == 0 && blocks.starts_with("BLPOP") => {
                    format!("RPUSH {taken} x\r\n")
                }
                _ => format!("CLIENT UNBLOCK {id}\r\n"),
            };
            server.send(publisher, ends.as_bytes());
            let rest = server.send(subscriber, b"");
            assert!(rest.ends_with("$1\r\nv\r\n"), "seed {seed}: {rest}");
            server.disconnect(subscriber);
            server.disconnect(publisher);
            server.assert_nothing_is_left();
        }
    }
}
