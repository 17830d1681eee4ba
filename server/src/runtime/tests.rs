//! Whole servers in this process, on both backends, spoken to over real sockets.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::{SendBy, Server, Tuning, WakeBy};
use crate::config::Config;

const BACKENDS: [&str; 2] = ["io_uring", "epoll"];

fn start_with(backend: &str, cores: u16, tuning: Tuning, directives: &[&str]) -> Server {
    let cores = cores.to_string();
    let mut words = vec!["--cores", &cores, "--io-backend", backend];
    words.extend(["--bind", "127.0.0.1", "--core-pinning", "no"]);
    words.extend(directives);
    let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
    let config = Config::load(None, &words).unwrap();
    Server::start_with(config, tuning.on_free_port()).unwrap()
}

fn start(backend: &str, cores: u16) -> Server {
    start_with(backend, cores, Tuning::default(), &[])
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    stream
}

/// Sends `request` and reads as many bytes as `expected` has.
fn expect(stream: &mut (impl Read + Write), request: &[u8], expected: &[u8]) {
    stream.write_all(request).unwrap();
    let mut got = vec![0; expected.len()];
    stream.read_exact(&mut got).unwrap();
    assert_eq!(
        String::from_utf8_lossy(&got),
        String::from_utf8_lossy(expected)
    );
}

/// Commands that set and get `keys` keys, and their replies.
fn dialogue(keys: usize, value_bytes: usize) -> (Vec<u8>, Vec<u8>) {
    let value = "v".repeat(value_bytes);
    let (mut request, mut reply) = (Vec::new(), Vec::new());
    for key in 0..keys {
        write!(request, "SET key:{key} {value}\r\nGET key:{key}\r\n").unwrap();
        write!(reply, "+OK\r\n${value_bytes}\r\n{value}\r\n").unwrap();
    }
    (request, reply)
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn pipelines_are_answered_in_order_on_any_number_of_cores() {
    let (request, reply) = dialogue(500, 30);
    for backend in BACKENDS {
        for cores in [1, 2, 4] {
            let server = start(backend, cores);
            let mut clients: Vec<TcpStream> = (0..8).map(|_| connect(&server)).collect();
            for client in &mut clients {
                expect(client, &request, &reply);
                expect(client, b"PING\r\n", b"+PONG\r\n");
            }
            drop(clients);
            server.stop().unwrap();
        }
    }
}

#[test]
fn every_way_to_send_and_to_wake_gives_the_same_replies() {
    let (request, reply) = dialogue(200, 100);
    for send_by in [SendBy::Ring, SendBy::Direct] {
        for wake_by in [WakeBy::MsgRing, WakeBy::EventFd] {
            let tuning = Tuning::default()
                .with_send_by(send_by)
                .with_wake_by(wake_by);
            let server = start_with("io_uring", 2, tuning, &[]);
            let mut client = connect(&server);
            expect(&mut client, &request, &reply);
            // One at a time: the other core sleeps in between.
            for _ in 0..50 {
                expect(
                    &mut client,
                    b"GET key:1\r\nGET key:2\r\n",
                    &[
                        format!("$100\r\n{}\r\n", "v".repeat(100)),
                        format!("$100\r\n{}\r\n", "v".repeat(100)),
                    ]
                    .concat()
                    .into_bytes(),
                );
            }
        }
    }
}

#[test]
fn running_out_of_receive_buffers_loses_nothing() {
    let (request, reply) = dialogue(300, 40);
    for cores in [1, 2] {
        let server = start_with(
            "io_uring",
            cores,
            Tuning::default().with_tiny_buffers(),
            &[],
        );
        let mut clients: Vec<TcpStream> = (0..10).map(|_| connect(&server)).collect();
        for client in &mut clients {
            client.write_all(&request).unwrap();
        }
        for client in &mut clients {
            expect(client, b"", &reply);
        }
    }
}

#[test]
fn a_large_pipeline_flows_while_its_replies_are_read() {
    let (request, reply) = dialogue(20_000, 200);
    for backend in BACKENDS {
        let server = start(backend, 2);
        let mut client = connect(&server);
        let mut writer = client.try_clone().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| writer.write_all(&request).unwrap());
            let mut got = vec![0; reply.len()];
            client.read_exact(&mut got).unwrap();
            assert!(got == reply, "{backend}: replies differ");
        });
    }
}

#[test]
fn a_slow_reader_gets_everything_and_holds_nobody_up() {
    const VALUE_BYTES: usize = 1 << 20;
    const GETS: usize = 100;
    let value = vec![b'x'; VALUE_BYTES];
    for backend in BACKENDS {
        let server = start(backend, 2);
        let mut slow = connect(&server);
        let mut set = format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${VALUE_BYTES}\r\n").into_bytes();
        set.extend_from_slice(&value);
        set.extend_from_slice(b"\r\n");
        expect(&mut slow, &set, b"+OK\r\n");
        slow.write_all(&b"GET k\r\n".repeat(GETS)).unwrap();
        let mut other = connect(&server);
        expect(&mut other, b"PING\r\n", b"+PONG\r\n");
        std::thread::sleep(Duration::from_millis(50));
        for _ in 0..GETS {
            let head = format!("${VALUE_BYTES}\r\n");
            expect(&mut slow, b"", head.as_bytes());
            let mut got = vec![0; VALUE_BYTES + 2];
            slow.read_exact(&mut got).unwrap();
            assert!(got[..VALUE_BYTES] == value, "{backend}: a value differs");
        }
    }
}

#[test]
fn what_was_sent_before_the_end_of_input_is_answered_before_the_connection_closes() {
    let (request, reply) = dialogue(100, 50);
    for backend in BACKENDS {
        for cores in [1, 4] {
            let server = start(backend, cores);
            let mut client = connect(&server);
            client.write_all(&request).unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            let mut got = Vec::new();
            client.read_to_end(&mut got).unwrap();
            assert!(
                got == reply,
                "{backend}, {cores} cores: {} bytes",
                got.len()
            );
        }
    }
}

#[test]
fn connections_broken_off_leave_nothing_behind() {
    for backend in BACKENDS {
        let server = start(backend, 2);
        for round in 0..300 {
            let mut client = connect(&server);
            if round % 3 > 0 {
                client.write_all(&b"PING\r\n".repeat(round)).unwrap();
            }
            if round % 2 == 0 {
                // Closing sends a reset.
                let linger = Some(Duration::ZERO);
                SockRef::from(&client).set_linger(linger).unwrap();
            }
        }
        eventually(backend, || server.shared().clients() == 0);
        expect(&mut connect(&server), b"PING\r\n", b"+PONG\r\n");
    }
}

#[test]
fn a_client_beyond_maxclients_is_told_and_closed() {
    for backend in BACKENDS {
        let server = start_with(backend, 2, Tuning::default(), &["--maxclients", "2"]);
        let mut held = [connect(&server), connect(&server)];
        for client in &mut held {
            expect(client, b"PING\r\n", b"+PONG\r\n");
        }
        let mut refused = String::new();
        connect(&server).read_to_string(&mut refused).unwrap();
        assert_eq!(refused, "-ERR max number of clients reached\r\n");
        drop(held);
        eventually("both are gone", || server.shared().clients() == 0);
        expect(&mut connect(&server), b"PING\r\n", b"+PONG\r\n");
    }
}

#[test]
fn a_unix_socket_serves_on_all_cores_and_is_removed_at_the_end() {
    for backend in BACKENDS {
        let path = std::env::temp_dir().join(format!("larder-{}-{backend}", std::process::id()));
        let text = path.to_str().unwrap();
        let directives = ["--unixsocket", text, "--unixsocketperm", "700"];
        let server = start_with(backend, 2, Tuning::default(), &directives);
        let mut clients: Vec<UnixStream> = (0..4)
            .map(|_| UnixStream::connect(&path).unwrap())
            .collect();
        let (request, reply) = dialogue(50, 20);
        for client in &mut clients {
            expect(client, &request, &reply);
        }
        drop(clients);
        server.stop().unwrap();
        assert!(!path.exists());
    }
}

#[test]
fn a_server_ends_soon_though_a_client_never_reads() {
    for backend in BACKENDS {
        let server = start(backend, 2);
        let mut client = connect(&server);
        let value = "v".repeat(1 << 20);
        let set = format!(
            "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${}\r\n{value}\r\n",
            value.len()
        );
        expect(&mut client, set.as_bytes(), b"+OK\r\n");
        client.write_all(&b"GET k\r\n".repeat(40)).unwrap();
        let mut idle = connect(&server);
        expect(&mut idle, b"PING\r\n", b"+PONG\r\n");
        let began = Instant::now();
        server.stop().unwrap();
        assert!(began.elapsed() < Duration::from_secs(8), "{backend}");
        assert_eq!(idle.read(&mut [0; 16]).unwrap(), 0);
    }
}

#[test]
fn what_is_owed_is_sent_before_the_end() {
    for backend in BACKENDS {
        let server = start(backend, 2);
        let mut client = connect(&server);
        expect(&mut client, b"PING\r\n", b"+PONG\r\n");
        let (request, reply) = dialogue(200, 50);
        client.write_all(&request).unwrap();
        expect(&mut client, b"", &reply[..1]);
        server.stop().unwrap();
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).unwrap();
        assert!(rest == reply[1..], "{backend}: {} bytes", rest.len());
    }
}

#[test]
fn a_silent_client_is_closed_after_the_timeout() {
    for backend in BACKENDS {
        let server = start_with(backend, 1, Tuning::default(), &["--timeout", "1"]);
        let mut client = connect(&server);
        expect(&mut client, b"PING\r\n", b"+PONG\r\n");
        let began = Instant::now();
        assert_eq!(client.read(&mut [0; 16]).unwrap(), 0);
        assert!(began.elapsed() > Duration::from_millis(800), "{backend}");
    }
}

#[test]
fn a_port_in_use_is_said_in_one_line() {
    let server = start("epoll", 1);
    let port = server.port().to_string();
    let words = ["--port", &port, "--bind", "127.0.0.1", "--cores", "2"].map(str::to_owned);
    let config = Config::load(None, &words).unwrap();
    let Err(error) = Server::start(config) else {
        panic!("two servers on one port");
    };
    let error = error.to_string();
    assert!(
        error.starts_with(&format!("Failed listening on port {port}")) && !error.contains('\n'),
        "{error}"
    );
}

/// Asks and takes whatever comes until it ends with `end`.
fn ask_until(stream: &mut TcpStream, request: &[u8], end: &str) -> String {
    stream.write_all(request).unwrap();
    let mut got = Vec::new();
    while !got.ends_with(end.as_bytes()) {
        let mut bytes = [0; 4096];
        let len = stream.read(&mut bytes).unwrap();
        assert!(len > 0, "the connection ended");
        got.extend_from_slice(&bytes[..len]);
    }
    String::from_utf8(got).unwrap()
}

#[test]
fn a_connection_to_a_core_s_own_port_is_served_by_that_core_and_the_report_names_the_ports() {
    const CORES: u16 = 3;
    for backend in BACKENDS {
        let directives = ["--core-endpoints", "yes"];
        let server = start_with(backend, CORES, Tuning::default(), &directives);
        let ports = server.shared().core_ports().unwrap().to_vec();
        let line = format!(
            "core endpoints: core 0 on port {}, core 1 on port {}, core 2 on port {}",
            ports[0], ports[1], ports[2]
        );
        assert!(server.report().contains(&line), "{:?}", server.report());
        for (core, port) in (0..CORES).zip(&ports) {
            let id = server.shared().node_id(crate::routing::CoreId(core));
            // Whichever connection it is.
            for _ in 0..4 {
                let mut client = TcpStream::connect(("127.0.0.1", *port)).unwrap();
                let expected = format!("$40\r\n{id}\r\n");
                expect(&mut client, b"CLUSTER MYID\r\n", expected.as_bytes());
                let (request, reply) = dialogue(50, 20);
                expect(&mut client, &request, &reply);
            }
        }
        let mut client = connect(&server);
        let slots = ask_until(&mut client, b"CLUSTER SLOTS\r\nPING\r\n", "+PONG\r\n");
        for port in ports {
            assert!(
                slots.contains(&format!("$9\r\n127.0.0.1\r\n:{port}\r\n")),
                "{slots}"
            );
        }
        server.stop().unwrap();
    }
}

#[test]
fn a_core_s_port_in_use_is_said_in_one_line() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let shared = (port - 2).to_string();
    let words = [
        "--port",
        &shared,
        "--bind",
        "127.0.0.1",
        "--cores",
        "2",
        "--core-endpoints",
        "yes",
        "--io-backend",
        "epoll",
    ];
    let config = Config::load(None, &words.map(str::to_owned)).unwrap();
    let Err(error) = Server::start(config) else {
        panic!("a server on a port that is taken");
    };
    let error = error.to_string();
    // The shared port, or the first core's, may be taken too.
    assert!(
        error.starts_with("Failed listening on port ") && !error.contains('\n'),
        "{error}"
    );
    for (port, expected) in [
        (
            "0",
            "core-endpoints yes needs a TCP port to count from, and port is 0",
        ),
        (
            "65534",
            "core-endpoints yes needs the 2 ports behind port 65534, and there are not so many",
        ),
    ] {
        let words = [
            "--port",
            port,
            "--cores",
            "2",
            "--core-endpoints",
            "yes",
            "--io-backend",
            "epoll",
        ];
        let config = Config::load(None, &words.map(str::to_owned)).unwrap();
        let error = Server::start(config).err().map(|error| error.to_string());
        assert_eq!(error.as_deref(), Some(expected));
    }
}
