//! A whole server of several cores in one thread: cores exchange batches by hand, clients are byte strings.

use std::sync::Arc;

use larder_engine::UnixMillis;

use super::{Core, Intent};
use crate::command::Clock;
use crate::config::Config;
use crate::routing::CoreId;
use crate::session::{Peer, SessionId};
use crate::shared::Shared;

/// Cores and the clock they share.
struct Server {
    cores: Vec<Core>,
    now_ms: u64,
}

impl Server {
    fn new(cores: u16) -> Self {
        let shared = Shared::new(Config::default(), cores, [1, 2, 3, 4], 0);
        let cores = (0..cores)
            .map(|id| Core::new(CoreId(id), Arc::clone(&shared)).unwrap())
            .collect();
        let mut server = Self {
            cores,
            now_ms: 1_700_000_000_000,
        };
        server.turns();
        server
    }

    fn connect(&mut self, core: usize) -> (usize, SessionId) {
        (core, self.cores[core].connect(Peer::default()).unwrap())
    }

    /// Sends `bytes`, lets the server come to rest, and returns all it replied.
    fn send(&mut self, client: (usize, SessionId), bytes: &[u8]) -> String {
        self.cores[client.0].receive(client.1, bytes);
        self.turns();
        self.take_output(client)
    }

    fn take_output(&mut self, (core, id): (usize, SessionId)) -> String {
        let out = self.cores[core].unsent(id).to_vec();
        self.cores[core].sent(id, out.len());
        String::from_utf8_lossy(&out).into_owned()
    }

    /// Turns of all cores until no batch is under way.
    fn turns(&mut self) {
        loop {
            let clock = Clock {
                unix: UnixMillis(self.now_ms as i64),
                monotonic_us: self.now_ms * 1000,
            };
            let mut shipped = false;
            for core in &mut self.cores {
                core.end_turn();
                core.begin_turn(clock);
            }
            for from in 0..self.cores.len() {
                for to in 0..self.cores.len() {
                    if let Some(batch) = self.cores[from].take_outbox(CoreId(to as u16)) {
                        self.cores[to].deliver(CoreId(from as u16), batch);
                        shipped = true;
                    }
                }
            }
            if !shipped {
                return;
            }
        }
    }
}

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
