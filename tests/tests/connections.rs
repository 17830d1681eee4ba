//! What connections do to a server as a whole: many of them, slow ones, idle ones, and the end of the process.
//!
//! `LARDER_TEST_CONNECTIONS` sets how many connections are opened and dropped (2,000 without it).
#![allow(clippy::unwrap_used)]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use larder_tests::Outcome;
use larder_tests::client::{Arrival, Client};
use larder_tests::resp::Reply;
use larder_tests::server::{IoBackend, Options, Server};

const MIB: u64 = 1 << 20;

/// What one client's unread replies may cost at a high water of 16 MiB: what comes from another core on top, and copies of both.
const UNREAD_REPLIES_MAX: u64 = 64 * MIB;

/// Runs `with` on a server of every shape, started by the options that `options` makes of the shape's.
fn on_every_shape(options: impl Fn(Options) -> Options, with: impl Fn(&mut Server)) {
    for backend in IoBackend::under_test() {
        for cores in [1, 2] {
            let mut server = Server::start(&options(Options::larder(cores, backend))).unwrap();
            with(&mut server);
        }
    }
}

fn eventually(what: &str, server: &Server, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(
            Instant::now() < deadline,
            "{what}, on {}\n{}",
            server.label(),
            server.log_tail()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A field of `INFO`, as a number.
fn info(client: &mut Client, field: &str) -> u64 {
    let text = client.run("INFO").unwrap().to_text();
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    value
        .and_then(|value| value.trim().parse().ok())
        .unwrap_or_else(|| panic!("INFO has no {field}:\n{text}"))
}

#[test]
fn connections_that_come_and_go_leave_no_memory_behind() {
    let count: usize =
        std::env::var("LARDER_TEST_CONNECTIONS").map_or(2000, |count| count.parse().unwrap());
    let at_once = 200;
    on_every_shape(
        |options| options,
        |server| {
            let churn = |connections: usize| {
                for _ in 0..connections.div_ceil(at_once) {
                    let mut batch: Vec<Client> =
                        (0..at_once).map(|_| server.connect().unwrap()).collect();
                    for (number, client) in batch.iter_mut().enumerate() {
                        // some leave in the middle of a command, some with replies unread
                        match number % 3 {
                            0 => assert_eq!(
                                client.run("PING").unwrap(),
                                Reply::Status(b"PONG".to_vec())
                            ),
                            1 => client
                                .send_raw(b"*2\r\n$4\r\nECHO\r\n$100\r\nhalf")
                                .unwrap(),
                            _ => client.send_raw(&b"PING\r\n".repeat(100)).unwrap(),
                        }
                    }
                }
                let mut client = server.connect().unwrap();
                eventually("connected_clients returns to 1", server, || {
                    info(&mut client, "connected_clients") == 1
                });
                server.resident_bytes().unwrap()
            };
            // What an allocator keeps for reuse is bounded; what a connection leaves behind is left by each.
            let mut before = churn(count);
            let added: Vec<u64> = (0..4)
                .map(|_| {
                    let after = churn(count);
                    let added = after.saturating_sub(before);
                    before = after;
                    added
                })
                .take_while(|&added| added > MIB / 2)
                .collect();
            assert!(
                added.len() < 4,
                "{}: {added:?} bytes more after each {count} connections",
                server.label()
            );
        },
    );
}

#[test]
fn a_reader_that_does_not_read_costs_bounded_memory() {
    on_every_shape(
        |options| options.directive("client-output-buffer-high-water", "16mb"),
        |server| {
            let mut other = server.connect().unwrap();
            let value = vec![b'x'; MIB as usize];
            assert_eq!(
                other.call(&[b"SET", &b"large"[..], &value]).unwrap(),
                Reply::Status(b"OK".to_vec())
            );
            let before = server.resident_bytes().unwrap();
            let mut slow = TcpStream::connect(server.address()).unwrap();
            slow.set_write_timeout(Some(Duration::from_millis(500)))
                .unwrap();
            let request = b"*2\r\n$3\r\nGET\r\n$5\r\nlarge\r\n";
            let mut sent = 0;
            while sent < 1000 && slow.write_all(request).is_ok() {
                sent += 1;
            }
            std::thread::sleep(Duration::from_millis(500));
            let grown = server.resident_bytes().unwrap().saturating_sub(before);
            assert!(
                grown < UNREAD_REPLIES_MAX,
                "{}: {} MiB for replies nobody reads",
                server.label(),
                grown / MIB
            );
            assert_eq!(
                other.run("PING").unwrap(),
                Reply::Status(b"PONG".to_vec()),
                "others are served"
            );
            // and when it reads at last, nothing is missing
            slow.set_read_timeout(Some(Duration::from_secs(10)))
                .unwrap();
            let reply_bytes = format!("${}\r\n", value.len()).len() + value.len() + 2;
            let mut wanted = sent * reply_bytes;
            let mut chunk = vec![0; 1 << 20];
            while wanted > 0 {
                let read = slow.read(&mut chunk).unwrap();
                assert!(
                    read > 0,
                    "{}: closed with {wanted} bytes of {sent} replies missing",
                    server.label()
                );
                wanted = wanted.saturating_sub(read);
            }
        },
    );
}

#[test]
fn a_client_past_its_output_limit_is_dropped() {
    on_every_shape(
        |options| options.directive("client-output-buffer-limit", "normal 4mb 0 0"),
        |server| {
            let mut other = server.connect().unwrap();
            let value = vec![b'x'; 8 * MIB as usize];
            other.call(&[b"SET", &b"large"[..], &value]).unwrap();
            let before = server.resident_bytes().unwrap();
            let mut greedy = server.connect().unwrap();
            greedy.run("CLIENT SETNAME greedy").unwrap();
            let mut whole_replies = 0;
            for _ in 0..20 {
                if greedy.send(&["GET", "large"]).is_err() {
                    break;
                }
            }
            std::thread::sleep(Duration::from_millis(300));
            let grown = server.resident_bytes().unwrap().saturating_sub(before);
            assert!(
                grown < UNREAD_REPLIES_MAX,
                "{}: {} MiB past a limit of 4",
                server.label(),
                grown / MIB
            );
            assert_eq!(
                other.run("PING").unwrap(),
                Reply::Status(b"PONG".to_vec()),
                "others are served"
            );
            while let Arrival::Reply(_) = greedy.arrival(Duration::from_secs(5)).unwrap() {
                whole_replies += 1;
            }
            assert!(
                greedy.is_closed() && whole_replies < 20,
                "{}: not dropped",
                server.label()
            );
            let log = server.log();
            let line = log
                .lines()
                .find(|line| line.contains("hard limit of client-output-buffer-limit"));
            let line = line.unwrap_or_else(|| panic!("the log names no client: {log}"));
            assert!(
                line.contains(" addr=127.0.0.1:") && line.contains(" name=greedy "),
                "{line}"
            );
        },
    );
}

#[test]
fn an_idle_server_uses_no_processor_time() {
    on_every_shape(
        |options| options,
        |server| {
            let clients: Vec<Client> = (0..300).map(|_| server.connect().unwrap()).collect();
            let ticks = |server: &Server| -> u64 {
                let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.pid())).unwrap();
                let fields: Vec<&str> = stat[stat.rfind(')').unwrap()..].split(' ').collect();
                fields[12].parse::<u64>().unwrap() + fields[13].parse::<u64>().unwrap()
            };
            std::thread::sleep(Duration::from_millis(300));
            let before = ticks(server);
            std::thread::sleep(Duration::from_secs(2));
            // a tick is 10 ms; keeping a clock and expiring by it may take a little
            let used = ticks(server) - before;
            assert!(
                used <= 4,
                "{}: {used} ticks of processor time in two idle seconds",
                server.label()
            );
            drop(clients);
        },
    );
}

#[test]
fn too_many_connections_are_told_so() {
    on_every_shape(
        |options| options.directive("maxclients", "5"),
        |server| {
            let mut first = server.connect().unwrap();
            eventually("the first connection counts alone", server, || {
                info(&mut first, "connected_clients") == 1
            });
            let mut others: Vec<Client> = (0..4).map(|_| server.connect().unwrap()).collect();
            for client in &mut others {
                assert_eq!(client.run("PING").unwrap(), Reply::Status(b"PONG".to_vec()));
            }
            let mut refused = server.connect().unwrap();
            let told = refused.arrival(Duration::from_secs(5)).unwrap();
            assert_eq!(
                told,
                Arrival::Reply(Reply::Error(b"ERR max number of clients reached".to_vec()))
            );
            assert_eq!(
                refused.arrival(Duration::from_secs(5)).unwrap(),
                Arrival::Closed
            );
            others.pop();
            eventually("a place that falls free is given out", server, || {
                server
                    .connect()
                    .unwrap()
                    .run("PING")
                    .is_ok_and(|reply| reply == Reply::Status(b"PONG".to_vec()))
            });
        },
    );
}

#[test]
fn an_idle_connection_is_closed_after_its_timeout() {
    on_every_shape(
        |options| options.directive("timeout", "1"),
        |server| {
            let mut client = server.connect().unwrap();
            assert_eq!(client.run("PING").unwrap(), Reply::Status(b"PONG".to_vec()));
            assert_eq!(
                client.arrival(Duration::from_secs(6)).unwrap(),
                Arrival::Closed,
                "{}",
                server.label()
            );
        },
    );
}

#[test]
fn a_signal_to_end_drains_and_exits_cleanly() {
    for signal in ["TERM", "INT"] {
        on_every_shape(
            |options| options.directive("unixsocket", "larder.sock"),
            |server| {
                let mut idle = server.connect().unwrap();
                assert_eq!(idle.run("SET k v").unwrap(), Reply::Status(b"OK".to_vec()));
                let mut busy = server.connect().unwrap();
                busy.send_raw(&b"INCR n\r\n".repeat(1000)).unwrap();
                assert_eq!(busy.read().unwrap(), Reply::Integer(1));
                server.signal(signal).unwrap();
                let status = server.wait_for_exit(Duration::from_secs(10)).unwrap();
                assert!(
                    status.success(),
                    "{signal}: {} ended with {status}\n{}",
                    server.label(),
                    server.log_tail()
                );
                // whatever was answered was answered whole and in order
                let mut next = 2;
                while let Arrival::Reply(reply) = busy.arrival(Duration::from_secs(1)).unwrap() {
                    assert_eq!(reply, Reply::Integer(next));
                    next += 1;
                }
                assert_eq!(
                    busy.unread(),
                    b"",
                    "{signal}: half a reply, on {}",
                    server.label()
                );
                assert_eq!(
                    idle.arrival(Duration::from_secs(1)).unwrap(),
                    Arrival::Closed
                );
                assert!(
                    !server.directory().join("larder.sock").exists(),
                    "the unix socket is removed"
                );
            },
        );
    }
}

#[test]
fn shutdown_ends_the_server() {
    for command in ["SHUTDOWN", "SHUTDOWN NOSAVE", "shutdown nosave now force"] {
        on_every_shape(
            |options| options,
            |server| {
                let mut client = server.connect().unwrap();
                client
                    .send_raw(format!("{command}\r\n").as_bytes())
                    .unwrap();
                let status = server.wait_for_exit(Duration::from_secs(10)).unwrap();
                assert!(
                    status.success(),
                    "{command}: {} ended with {status}",
                    server.label()
                );
                assert_eq!(
                    client.arrival(Duration::from_secs(1)).unwrap(),
                    Arrival::Closed
                );
            },
        );
    }
}

#[test]
fn clients_are_served_whatever_storm_of_notifications_their_core_is_told_of() {
    for backend in IoBackend::under_test() {
        let options = Options::larder(2, backend)
            .with_core_endpoints()
            .directive("notify-keyspace-events", "KEA");
        let server = Server::start(&options).unwrap();
        let of_cores = [1, 2].map(|behind| {
            let mut address = server.address();
            address.set_port(address.port() + behind);
            address
        });
        let is_over = &AtomicBool::new(false);
        std::thread::scope(|scope| {
            for address in of_cores {
                scope.spawn(move || hear_everything(address, is_over));
                scope.spawn(move || write_on_and_on(address, is_over));
            }
            let pings = of_cores.map(|address| scope.spawn(move || answered_pings(address)));
            let pings = pings.map(|pings| pings.join().unwrap());
            is_over.store(true, Ordering::Relaxed);
            pings.into_iter().for_each(Outcome::unwrap);
        });
    }
}

/// Hears every message until it `is_over`. Who falls behind is closed by the server, and comes back.
fn hear_everything(address: SocketAddr, is_over: &AtomicBool) {
    let mut chunk = vec![0; 1 << 16];
    while !is_over.load(Ordering::Relaxed) {
        let mut socket = TcpStream::connect(address).unwrap();
        let patience = Some(Duration::from_millis(100));
        socket.set_read_timeout(patience).unwrap();
        socket.write_all(b"PSUBSCRIBE *\r\n").unwrap();
        while !is_over.load(Ordering::Relaxed) {
            match socket.read(&mut chunk) {
                Ok(1..) => {}
                Err(why) if why.kind() == ErrorKind::WouldBlock => {}
                Ok(0) | Err(_) => break,
            }
        }
    }
}

/// Writes keys of all cores until it `is_over`.
fn write_on_and_on(address: SocketAddr, is_over: &AtomicBool) {
    const SETS: usize = 200;
    let mut client = Client::connect(address).unwrap();
    let sets: String = (0..SETS)
        .map(|key| format!("SET key:{key} x\r\n"))
        .collect();
    while !is_over.load(Ordering::Relaxed) {
        client.send_raw(sets.as_bytes()).unwrap();
        for _ in 0..SETS {
            client.read().unwrap();
        }
    }
}

/// Has some hundred PINGs answered, one after the other.
fn answered_pings(address: SocketAddr) -> Outcome<()> {
    let mut client = Client::connect(address)?;
    for _ in 0..300 {
        let reply = client.run("PING")?;
        assert_eq!(reply, Reply::Status(b"PONG".to_vec()));
    }
    Ok(())
}
