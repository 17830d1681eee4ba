//! Clients that write a whole pipeline before they read the first reply, as most libraries do, and clients that never read.
//!
//! They come by a unix socket, which holds little itself: what is written, the server has read.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use larder_tests::client::Client;
use larder_tests::resp::Reply;
use larder_tests::server::{IoBackend, Options, Server};

const SOCKET: &str = "larder.sock";
const MIB: u64 = 1 << 20;

/// How long the server may take nothing, or give nothing, before it is said to be stuck.
const STUCK: Duration = Duration::from_secs(60);

fn on_every_shape(options: impl Fn(Options) -> Options, with: impl Fn(&mut Server)) {
    for backend in IoBackend::under_test() {
        for cores in [1, 2] {
            let shape = Options::larder(cores, backend).directive("unixsocket", SOCKET);
            let mut server = Server::start(&options(shape)).unwrap();
            with(&mut server);
        }
    }
}

fn connect(server: &Server) -> UnixStream {
    let stream = UnixStream::connect(server.directory().join(SOCKET)).unwrap();
    stream.set_write_timeout(Some(STUCK)).unwrap();
    stream.set_read_timeout(Some(STUCK)).unwrap();
    stream
}

fn encode(words: &[&[u8]]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        out.extend(format!("${}\r\n", word.len()).bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// Keys on every core.
fn keys() -> impl Iterator<Item = Vec<u8>> + Clone {
    (0..100).map(|number| format!("key:{number}").into_bytes())
}

/// Writes `piece` so many times, then reads as many times `reply`.
fn write_whole_then_read(server: &Server, piece: &[u8], reply: &[u8], times: usize) {
    let mut stream = connect(server);
    for written in 0..times {
        if let Err(why) = stream.write_all(piece) {
            panic!(
                "{}: blocked with {written} of {times} pieces written: {why}\n{}",
                server.label(),
                server.log_tail()
            );
        }
    }
    let mut read = vec![0; reply.len()];
    for number in 0..times {
        stream.read_exact(&mut read).unwrap();
        assert!(read == reply, "{}: replies {number} differ", server.label());
    }
}

/// GETs of so many bytes by the hundred, so many hundred.
fn gets(value_bytes: usize, hundreds: usize) {
    on_every_shape(
        |options| options,
        |server| {
            let value = vec![b'v'; value_bytes];
            let mut client = server.connect().unwrap();
            for key in keys() {
                client.call(&[b"SET", &key[..], &value]).unwrap();
            }
            let piece: Vec<u8> = keys().flat_map(|key| encode(&[b"GET", &key])).collect();
            let one = [format!("${value_bytes}\r\n").as_bytes(), &value, b"\r\n"].concat();
            write_whole_then_read(server, &piece, &one.repeat(100), hundreds);
        },
    );
}

#[test]
fn many_gets_of_100_bytes_written_whole_are_answered() {
    gets(100, 3000);
}

#[test]
fn many_gets_of_500_bytes_written_whole_are_answered() {
    gets(500, 1200);
}

#[test]
fn many_sets_written_whole_are_answered() {
    for backend in IoBackend::under_test() {
        let shape = Options::larder(2, backend).directive("unixsocket", SOCKET);
        let server = Server::start(&shape).unwrap();
        let piece: Vec<u8> = keys()
            .flat_map(|key| encode(&[b"SET", &key, b"v"]))
            .collect();
        // 17.5 MB of `+OK`: more than was once kept.
        write_whole_then_read(&server, &piece, &b"+OK\r\n".repeat(100), 35_000);
    }
}

/// A field of `INFO`, as a number.
fn info(client: &mut Client, field: &str) -> u64 {
    let text = client.run("INFO").unwrap().to_text();
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    value.unwrap().trim().parse().unwrap()
}

#[test]
fn clients_that_never_read_hold_no_more_than_all_may_and_are_closed_by_name() {
    on_every_shape(
        |options| options.directive("maxmemory-clients", "64mb"),
        |server| {
            let mut other = server.connect().unwrap();
            let value = vec![b'v'; 100_000];
            other.call(&[b"SET", &b"large"[..], &value]).unwrap();
            let before = server.resident_bytes().unwrap();
            let mut most = 0;
            let mut silent = Vec::new();
            for number in 0..20 {
                let mut stream = connect(server);
                let name = format!("CLIENT SETNAME silent-{number}\r\n");
                stream.write_all(name.as_bytes()).unwrap();
                // 15 MB of replies each; it may be closed in the midst of it.
                let _ = stream.write_all(&encode(&[b"GET", b"large"]).repeat(150));
                silent.push(stream);
                // Behind its commands.
                while info(&mut other, "evicted_clients") == 0 && number > 6 {
                    std::thread::sleep(Duration::from_millis(10));
                }
                most = most.max(server.resident_bytes().unwrap());
                assert!(info(&mut other, "mem_clients_normal") <= 96 * MIB);
            }
            let grown = most.saturating_sub(before);
            assert!(grown < 160 * MIB, "{}: {} MiB", server.label(), grown / MIB);
            assert_eq!(other.run("PING").unwrap(), Reply::Status(b"PONG".to_vec()));
            let log = server.log();
            let line = log.lines().find(|line| line.contains("maxmemory-clients"));
            let line = line.unwrap_or_else(|| panic!("the log names no client: {log}"));
            // Of those that hold about as much the oldest goes first, of one core or of the other.
            let is_old =
                ["silent-0", "silent-1"].map(|name| line.contains(&format!(" name={name} ")));
            assert!(is_old.contains(&true), "{line}");
        },
    );
}

#[test]
fn a_client_held_back_is_named_and_goes_on_when_it_reads() {
    on_every_shape(
        |options| options.directive("client-output-buffer-high-water", "1mb"),
        |server| {
            let mut other = server.connect().unwrap();
            let value = vec![b'v'; 100_000];
            other.call(&[b"SET", &b"large"[..], &value]).unwrap();
            let mut stream = connect(server);
            stream.write_all(b"CLIENT SETNAME slow\r\n").unwrap();
            stream
                .write_all(&encode(&[b"GET", b"large"]).repeat(200))
                .unwrap();
            while info(&mut other, "larder_clients_held_back") == 0 {
                std::thread::sleep(Duration::from_millis(10));
            }
            let log = server.log();
            let line = log
                .lines()
                .find(|line| line.contains("holding a client back"));
            let line = line.unwrap_or_else(|| panic!("the log names no client: {log}"));
            assert!(line.contains(" name=slow "), "{line}");
            let one = [b"$100000\r\n", &value[..], b"\r\n"].concat();
            let mut read = vec![0; "+OK\r\n".len() + 200 * one.len()];
            stream.read_exact(&mut read).unwrap();
            assert!(read == [b"+OK\r\n", &one.repeat(200)[..]].concat());
        },
    );
}

#[test]
fn a_client_above_its_soft_limit_for_too_long_is_closed_by_name() {
    for backend in IoBackend::under_test() {
        let shape = Options::larder(2, backend)
            .directive("unixsocket", SOCKET)
            .directive("client-output-buffer-limit", "normal 0 1mb 1");
        let server = Server::start(&shape).unwrap();
        let mut other = server.connect().unwrap();
        let value = vec![b'v'; 100_000];
        other.call(&[b"SET", &b"large"[..], &value]).unwrap();
        let mut stream = connect(&server);
        stream.write_all(b"CLIENT SETNAME slow\r\n").unwrap();
        stream
            .write_all(&encode(&[b"GET", b"large"]).repeat(100))
            .unwrap();
        while info(&mut other, "client_output_buffer_limit_disconnections") == 0 {
            std::thread::sleep(Duration::from_millis(20));
        }
        let log = server.log();
        let line = log.lines().find(|line| line.contains("soft limit"));
        let line = line.unwrap_or_else(|| panic!("the log names no client: {log}"));
        assert!(line.contains(" name=slow "), "{line}");
    }
}
