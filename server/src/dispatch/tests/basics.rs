//! Dispatch through the sans-I/O harness of `testing`.

use crate::config::Config;
use crate::dispatch::limits::SPARE_BATCHES;
use crate::dispatch::tests::testing::{Client, Random, Server, key_on};
use crate::dispatch::{Core, Intent};
use crate::routing::CoreId;
use crate::session::Peer;
use crate::shared::Shared;

#[test]
fn replies_of_a_pipeline_over_many_cores_come_in_order() {
    for cores in [1, 2, 4, 7] {
        let mut server = Server::new(cores);
        let client = server.connect(0);
        let mut request = String::new();
        let mut expected = String::new();
        for i in 0..500 {
            request += &format!("SET key:{i} value:{i}\r\nGET key:{i}\r\nPING {i}\r\n");
            let (value, ping) = (format!("value:{i}"), i.to_string());
            expected += &format!(
                "+OK\r\n${}\r\n{value}\r\n${}\r\n{ping}\r\n",
                value.len(),
                ping.len()
            );
        }
        assert_eq!(
            server.send(client, request.as_bytes()),
            expected,
            "{cores} cores"
        );
    }
}

#[test]
fn input_cut_anywhere_gives_the_same_replies() {
    let request = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$2\r\n\r\n\r\nGET a\r\n*1\r\n$4\r\nPING\r\nset b \"x y\"\r\n*2\r\n$3\r\nget\r\n$1\r\nb\r\n";
    let mut whole = Server::new(2);
    let client = whole.connect(0);
    let expected = whole.send(client, request);
    for cut in 1..request.len() {
        let mut server = Server::new(2);
        let client = server.connect(1);
        let first = server.send(client, &request[..cut]);
        let second = server.send(client, &request[cut..]);
        assert_eq!(first + &second, expected, "cut at {cut}");
    }
}

#[test]
fn a_value_set_on_one_core_is_read_on_every_other() {
    let mut server = Server::new(4);
    let clients: Vec<_> = (0..4).map(|core| server.connect(core)).collect();
    for (at, client) in clients.iter().enumerate() {
        assert_eq!(
            server.send(*client, format!("SET k{at} v{at}\r\n").as_bytes()),
            "+OK\r\n"
        );
    }
    for client in clients {
        for at in 0..4 {
            assert_eq!(
                server.send(client, format!("GET k{at}\r\n").as_bytes()),
                format!("$2\r\nv{at}\r\n")
            );
        }
    }
}

#[test]
fn what_is_no_command_gets_an_error_and_the_connection_ends() {
    let mut server = Server::new(1);
    let client = server.connect(0);
    assert_eq!(
        server.send(client, b"PING\r\n*1\r\nPING\r\n"),
        "+PONG\r\n-ERR Protocol error: expected '$', got 'P'\r\n"
    );
    assert_eq!(server.cores[0].intent(client.1), Intent::CloseAfterSend);
    assert_eq!(server.send(client, b"PING\r\n"), "");
}

#[test]
fn an_unknown_command_is_named_with_its_arguments() {
    let mut server = Server::new(1);
    let client = server.connect(0);
    let reply = server.send(client, b"*3\r\n$3\r\nfoo\r\n$3\r\nbar\r\n$2\r\n\r\n\r\n");
    assert_eq!(
        reply,
        "-ERR unknown command 'foo', with args beginning with: 'bar' '  ' \r\n"
    );
    assert_eq!(
        server.send(client, b"GET\r\n"),
        "-ERR wrong number of arguments for 'get' command\r\n"
    );
}

#[test]
fn a_client_that_is_gone_leaves_nothing_behind() {
    let mut server = Server::new(2);
    for _ in 0..100 {
        let client = server.connect(0);
        server.cores[0].receive(client.1, b"GET a\r\nGET b\r\nGET c\r\n");
        server.cores[0].disconnected(client.1);
        assert_eq!(server.cores[0].intent(client.1), Intent::CloseNow);
        server.cores[0].closed(client.1);
        server.turns();
    }
    assert!(server.cores[0].state().sessions.is_empty());
    assert_eq!(server.cores[0].state().shared.clients(), 0);
}

#[test]
fn an_exec_whose_client_leaves_while_it_runs_is_done_to_its_end_or_not_at_all() {
    let keys: Vec<String> = (0..4)
        .map(|at| key_on(at % 2, 2, &format!("k{at}")))
        .collect();
    let [first, from, into, last] = &keys[..] else {
        unreachable!("there are four")
    };
    let mut ends = [0, 0];
    for seed in 0..200 {
        let mut random = Random(seed);
        let mut server = Server::new(2);
        let client = server.connect(0);
        server.send(client, format!("SET {from} v\r\n").as_bytes());
        let exec = format!(
            "MULTI\r\nSET {first} v\r\nCOPY {from} {into}\r\nRENAME {from} {into}2\r\nSET {last} v\r\nEXEC\r\n"
        );
        server.receive(client, exec.as_bytes());
        for _ in 0..random.below(40) {
            match random.below(3) {
                0 => drop(server.turn()),
                1 => server.ship(),
                _ => drop(server.deliver_one(random.below(2), random.below(2))),
            }
        }
        server.disconnect(client);
        server.turns();
        let other = server.connect(1);
        let there = server.send(
            other,
            format!("EXISTS {first} {into} {into}2 {last}\r\nEXISTS {from}\r\n").as_bytes(),
        );
        match &there[..] {
            ":4\r\n:0\r\n" => ends[1] += 1,
            ":0\r\n:1\r\n" => ends[0] += 1,
            _ => panic!("seed {seed}: a half of the transaction is done: {there}"),
        }
        server.disconnect(other);
        server.assert_nothing_is_left();
    }
    assert!(ends[0] > 0 && ends[1] > 0, "both happen: {ends:?}");
}

#[test]
fn an_exec_whose_client_does_not_read_gives_its_locks_back() {
    let (near, far) = (key_on(0, 2, "near"), key_on(1, 2, "far"));
    let mut server = Server::new(2);
    let client = server.connect(0);
    let value = "v".repeat(9 << 20);
    let set = format!(
        "*3\r\n$3\r\nSET\r\n${}\r\n{near}\r\n${}\r\n{value}\r\n",
        near.len(),
        value.len()
    );
    assert_eq!(server.send(client, set.as_bytes()), "+OK\r\n");
    let exec = format!(
        "MULTI\r\nGET {near}\r\nGET {near}\r\nCOPY {near} {far}\r\nSET {near} w\r\nEXEC\r\n"
    );
    server.receive(client, exec.as_bytes());
    server.turns();
    let other = server.connect(1);
    let reply = server.send(other, format!("GET {near}\r\n").as_bytes());
    assert_eq!(reply, "$1\r\nw\r\n");
}

#[test]
fn answers_too_large_for_one_batch_come_in_several_and_in_order() {
    const VALUE_BYTES: usize = 3 << 20;
    let mut server = Server::new(2);
    let client = server.connect(0);
    let value = "v".repeat(VALUE_BYTES);
    let keys: Vec<String> = (0..12).map(|i| format!("big:{i}")).collect();
    let mut request = String::new();
    let mut expected = String::new();
    for key in &keys {
        request += &format!(
            "*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n${VALUE_BYTES}\r\n{value}\r\n",
            key.len()
        );
        expected += "+OK\r\n";
    }
    for key in &keys {
        request += &format!("GET {key}\r\n");
        expected += &format!("${VALUE_BYTES}\r\n{value}\r\n");
    }
    assert!(server.send(client, request.as_bytes()) == expected);
}

#[test]
fn a_browser_made_to_post_commands_is_cut_off_before_the_first() {
    for request in [
        "POST / HTTP/1.1\r\nSET a b\r\n",
        "GET /\r\nHost: larder\r\nSET a b\r\n",
    ] {
        let mut server = Server::new(1);
        let client = server.connect(0);
        server.send(client, request.as_bytes());
        assert_eq!(server.cores[0].intent(client.1), Intent::CloseNow);
        let other = server.connect(0);
        assert_eq!(server.send(other, b"GET a\r\n"), "$-1\r\n");
    }
}

#[test]
fn a_reply_that_completes_late_does_not_let_commands_past_one_of_several_rounds() {
    let mut server = Server::new(4);
    for core in 0..4 {
        let client = server.connect(core);
        for i in 0..64 {
            let request = format!(
                "FLUSHALL\r\nSET from:{i} v\r\nTOUCH a b c d e f\r\nRENAME from:{i} to:{i}\r\nSWAPDB 0 1\r\n\
                 SELECT 1\r\nDBSIZE\r\nSELECT 0\r\n"
            );
            let replies = server.send(client, request.as_bytes());
            assert_eq!(
                replies, "+OK\r\n+OK\r\n:0\r\n+OK\r\n+OK\r\n+OK\r\n:1\r\n+OK\r\n",
                "core {core}, {i}"
            );
        }
    }
}

#[test]
fn a_quoted_inline_command_held_back_behind_kept_input_is_not_lost() {
    let mut server = Server::new(1);
    let (pausing, paused) = (server.connect(0), server.connect(0));
    server.send(pausing, b"CLIENT PAUSE 1000 WRITE\r\n");
    server.receive(paused, b"se");
    server.receive(paused, b"t a \"b c\"\r\nget a\r\n");
    server.turns();
    assert_eq!(server.take_output(paused), b"");
    server.advance(2000);
    server.turns();
    assert_eq!(server.take_output(paused), b"+OK\r\n$3\r\nb c\r\n");
}

#[test]
fn a_wait_that_ends_tells_nothing_to_a_client_that_wants_no_replies() {
    let mut server = Server::new(1);
    let client = server.connect(0);
    server.send(
        client,
        b"CLIENT REPLY OFF\r\nWAIT 1 10\r\nCLIENT REPLY ON\r\nECHO a\r\n",
    );
    server.advance(20);
    server.turns();
    assert_eq!(server.take_output(client), b"+OK\r\n$1\r\na\r\n");
    assert_eq!(
        server.send(client, b"CLIENT REPLY SKIP\r\nWAIT 1 10\r\nECHO b\r\n"),
        ""
    );
    server.advance(20);
    server.turns();
    assert_eq!(server.take_output(client), b"$1\r\nb\r\n");
}

#[test]
fn batches_of_monitor_lines_leave_no_memory_behind() {
    let mut server = Server::new(2);
    let (monitor, client) = (server.connect(1), server.connect(0));
    server.send(monitor, b"MONITOR\r\n");
    for _ in 0..100 {
        server.send(client, b"PING\r\n");
        server.take_output(monitor);
    }
    assert!(server.cores[1].spare_batches() <= SPARE_BATCHES * 2);
}

#[test]
fn a_monitor_that_does_not_read_is_closed() {
    let mut server = Server::configured(2, &[("client-output-buffer-high-water", "1mb")]);
    let (monitor, client) = (server.connect(1), server.connect(0));
    server.send(monitor, b"MONITOR\r\n");
    let request = format!("ECHO {}\r\n", "x".repeat(60_000));
    for _ in 0..(1 << 20) / 60_000 + 10 {
        server.send(client, request.as_bytes());
    }
    assert_eq!(server.intent(monitor), Intent::CloseNow);
}

#[test]
fn replies_from_other_cores_count_towards_the_limit_of_output() {
    let mut server = Server::configured(2, &[("client-output-buffer-limit", "normal 100000 0 0")]);
    let client = server.connect(0);
    let far = key_on(1, 2, "far");
    server.send(client, format!("SETRANGE {far} 200000 x\r\n").as_bytes());
    server.receive(client, format!("GET {far}\r\n").as_bytes());
    server.turns();
    assert_eq!(server.intent(client), Intent::CloseNow);
}

#[test]
fn timers_of_waits_that_ended_early_do_not_pile_up() {
    let mut server = Server::new(1);
    let client = server.connect(0);
    for _ in 0..1000 {
        let waiting = server.connect(0);
        server.send(waiting, b"WAIT 1 100000000\r\n");
        server.disconnect(waiting);
        server.send(client, b"PING\r\n");
    }
    assert!(server.cores[0].state().timers.len() < 200);
}

#[test]
fn a_session_that_waits_for_room_in_a_batch_is_not_read_from_for_ever() {
    let mut server = Server::new(2);
    let client = server.connect(0);
    let far = key_on(1, 2, "far");
    let value = "v".repeat(1 << 20);
    let set = format!(
        "*3\r\n$3\r\nSET\r\n${}\r\n{far}\r\n${}\r\n{value}\r\n",
        far.len(),
        value.len()
    );
    let mut sent = 0;
    while server.intent(client) == Intent::Read {
        server.receive(client, set.as_bytes());
        // The other core takes no batch for now.
        server.cores[0].end_turn();
        sent += 1;
        assert!(
            sent < 100,
            "it is read from though its commands have no way to go"
        );
    }
    server.turns();
    assert_eq!(
        server.take_output(client),
        "+OK\r\n".repeat(sent).as_bytes()
    );
    assert_eq!(server.intent(client), Intent::Read);
}

#[test]
fn requests_of_a_core_whose_answers_are_stuck_hold_up_no_other_core() {
    let mut server = Server::new(3);
    let stuck: Vec<Client> = (0..4).map(|_| server.connect(0)).collect();
    let other = server.connect(2);
    let far = key_on(1, 3, "far");
    server.send(other, format!("SETRANGE {far} 9000000 x\r\n").as_bytes());
    for &client in &stuck {
        server.receive(client, format!("GET {far}\r\n").as_bytes());
    }
    server.ship();
    server.deliver_one(0, 1);
    assert_eq!(server.cores[1].backlog_batches(), 1);
    server.receive(other, format!("STRLEN {far}\r\n").as_bytes());
    server.ship_from(2);
    server.deliver_one(2, 1);
    server.ship_between(1, 2);
    server.deliver_one(1, 2);
    assert_eq!(server.take_output(other), b":9000001\r\n");
    server.turns();
    for client in stuck {
        assert_eq!(
            server.take_output(client).len(),
            9_000_001 + "$9000001\r\n\r\n".len()
        );
    }
}

#[test]
fn sessions_that_wait_for_room_take_turns() {
    let mut server = Server::new(2);
    let far = key_on(1, 2, "far");
    let value = "v".repeat(17 << 20);
    let set = format!(
        "*3\r\n$3\r\nSET\r\n${}\r\n{far}\r\n${}\r\n{value}\r\n",
        far.len(),
        value.len()
    );
    let greedy = server.connect(0);
    let modest = server.connect(0);
    server.receive(greedy, set.as_bytes());
    server.receive(modest, format!("STRLEN {far}\r\n").as_bytes());
    for _ in 0..4 {
        server.receive(greedy, set.as_bytes());
    }
    for _ in 0..3 {
        server.turn();
        server.ship();
        while server.deliver_one(0, 1) {}
        server.ship();
        while server.deliver_one(1, 0) {}
    }
    assert_eq!(
        server.take_output(modest),
        format!(":{}\r\n", value.len()).as_bytes()
    );
}

#[test]
fn a_pause_begins_with_the_next_command() {
    let mut server = Server::new(1);
    let client = server.connect(0);
    assert_eq!(
        server.send(
            client,
            b"CLIENT PAUSE 100 WRITE\r\nGET a\r\nSET a b\r\nGET a\r\n"
        ),
        "+OK\r\n$-1\r\n"
    );
    server.advance(200);
    server.turns();
    assert_eq!(server.take_output(client), b"+OK\r\n$1\r\nb\r\n");
}

#[test]
fn a_client_that_always_leaves_something_unread_does_not_make_its_buffer_grow() {
    let mut server = Server::new(1);
    let client = server.connect(0);
    let request = format!("ECHO {}\r\n", "x".repeat(10_000));
    for _ in 0..1000 {
        server.receive(client, request.as_bytes());
        let unsent = server.cores[0].unsent(client.1).len();
        server.cores[0].sent(client.1, unsent - 1);
    }
    let session = server.cores[0].state().sessions.get(client.1).unwrap();
    assert!(
        session.memory_bytes() < 500_000,
        "{}",
        session.memory_bytes()
    );
}

#[test]
fn late_replies_taken_over_are_forgotten_though_others_are_awaited() {
    let mut server = Server::new(2);
    let client = server.connect(0);
    let far = key_on(1, 2, "far");
    let request = format!("GET {far}\r\nECHO {}\r\n", "x".repeat(10_000));
    server.receive(client, request.as_bytes());
    for _ in 0..1000 {
        server.ship();
        server.receive(client, request.as_bytes());
        while server.deliver_one(0, 1) {}
        server.cores[1].end_turn();
        server.ship_from(1);
        while server.deliver_one(1, 0) {}
        server.take_output(client);
    }
    let session = server.cores[0].state().sessions.get(client.1).unwrap();
    assert!(session.output.pending_bytes() < 50_000);
    assert!(
        session.memory_bytes() < 500_000,
        "{}",
        session.memory_bytes()
    );
}

#[test]
fn a_client_from_elsewhere_is_let_in_only_where_something_protects_the_server() {
    let peer = |addr: &str| Peer {
        addr: addr.into(),
        ..Peer::default()
    };
    let open = Config::default();
    let with_password = open.with(&[(b"requirepass", b"secret")]).unwrap();
    let unprotected = open.with(&[(b"protected-mode", b"no")]).unwrap();
    for (config, is_let_in) in [(open, false), (with_password, true), (unprotected, true)] {
        let shared = Shared::new(config, 1, [1, 2, 3, 4], 0);
        let mut core = Core::new(CoreId(0), shared).unwrap();
        assert!(core.connect(peer("127.0.0.1:5")).is_ok());
        assert!(core.connect(peer("[::1]:5")).is_ok());
        let refused = core.connect(peer("192.0.2.7:5")).err();
        assert_eq!(refused.is_none(), is_let_in);
        assert!(
            refused.is_none_or(|text| text.starts_with(b"-DENIED ") && text.ends_with(b"\r\n"))
        );
    }
}

#[test]
fn what_came_before_in_a_pipeline_is_in_the_statistics() {
    for cores in [1, 3] {
        let mut server = Server::new(cores);
        let keys = [0, cores - 1].map(|core| key_on(core, cores, "k"));
        let client = server.connect(0);
        let mut pipeline = String::new();
        for key in &keys {
            pipeline += &format!("SET {key} v\r\nGET {key}\r\n");
        }
        let script = "for i = 1, 20 do redis.call('GET', KEYS[1]) end";
        let mut pipeline = pipeline.into_bytes();
        for words in [
            vec!["EVAL", script, "1", &keys[1]],
            vec!["INFO", "commandstats"],
            vec!["CONFIG", "RESETSTAT"],
            vec!["GET", &keys[0]],
            vec!["INFO", "commandstats"],
            vec!["INFO", "commandstats"],
        ] {
            pipeline.extend(crate::resp::encode_command(
                words.iter().map(|word| word.as_bytes()),
            ));
        }
        let said = server.send(client, &pipeline);
        let calls = |name: &str| -> Vec<&str> {
            let lines = said.lines().filter_map(|line| line.strip_prefix(name));
            lines.filter_map(|line| line.split(',').next()).collect()
        };
        assert_eq!(calls("cmdstat_set:"), ["calls=2"], "{cores} cores: {said}");
        assert_eq!(calls("cmdstat_eval:"), ["calls=1"], "{cores} cores: {said}");
        assert_eq!(
            calls("cmdstat_get:"),
            ["calls=22", "calls=1", "calls=1"],
            "{cores} cores: {said}"
        );
        // What tells does not tell of itself.
        assert_eq!(calls("cmdstat_info:"), ["calls=1"], "{cores} cores: {said}");
        let reset = calls("cmdstat_config|resetstat:");
        assert_eq!(reset, ["calls=1"; 2], "{cores} cores: {said}");
    }
}
