//! The floor server over real sockets: right answers, whatever the cut of the input and however slow the reader.

#![allow(
    clippy::unwrap_used,
    reason = "a failing step of a test is the test's failure"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{iter, thread};

/// A floor server on a port of its own, killed at the end.
struct Floor {
    process: Child,
    address: String,
}

impl Floor {
    fn start(send: &str) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_larder-floor"))
            .args(["--port", "0", "--send", send])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let address = line.trim().rsplit(' ').next().unwrap().to_owned();
        Self { process, address }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        stream
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn command(words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

fn bulk(value: &[u8]) -> Vec<u8> {
    let mut bytes = format!("${}\r\n", value.len()).into_bytes();
    bytes.extend_from_slice(value);
    bytes.extend_from_slice(b"\r\n");
    bytes
}

#[track_caller]
fn expect(stream: &mut TcpStream, wanted: &[u8]) {
    let mut got = vec![0; wanted.len()];
    stream.read_exact(&mut got).unwrap();
    assert!(got == wanted, "{}", String::from_utf8_lossy(&got));
}

const SENDS: [&str; 2] = ["ring", "direct"];

#[test]
fn a_pipeline_is_answered_in_order() {
    for send in SENDS {
        let floor = Floor::start(send);
        let mut stream = floor.connect();
        let input = [
            command(&[b"SET", b"k", b"v"]),
            command(&[b"get", b"k"]),
            command(&[b"GET", b"nothing"]),
            b"PING\r\n".to_vec(),
            command(&[b"DBSIZE"]),
        ];
        stream.write_all(&input.concat()).unwrap();
        expect(&mut stream, b"+OK\r\n$1\r\nv\r\n$-1\r\n+PONG\r\n:1\r\n");
    }
}

#[test]
fn a_command_may_arrive_byte_by_byte() {
    let floor = Floor::start("ring");
    let mut stream = floor.connect();
    stream.set_nodelay(true).unwrap();
    for byte in [command(&[b"SET", b"k", b"value"]), command(&[b"GET", b"k"])].concat() {
        stream.write_all(&[byte]).unwrap();
        thread::sleep(Duration::from_micros(200));
    }
    expect(&mut stream, b"+OK\r\n$5\r\nvalue\r\n");
}

#[test]
fn a_client_that_reads_late_gets_every_byte() {
    for send in SENDS {
        let floor = Floor::start(send);
        let mut slow = floor.connect();
        let value: Vec<u8> = (0..3_000_000_u32).map(|at| (at % 251) as u8).collect();
        slow.write_all(&command(&[b"SET", b"big", &value])).unwrap();
        expect(&mut slow, b"+OK\r\n");
        for _ in 0..5 {
            slow.write_all(&command(&[b"GET", b"big"])).unwrap();
            slow.write_all(b"PING\r\n").unwrap();
            thread::sleep(Duration::from_millis(20));
        }
        // Others are served meanwhile.
        let mut other = floor.connect();
        other.write_all(b"PING\r\n").unwrap();
        expect(&mut other, b"+PONG\r\n");
        let wanted = [bulk(&value), b"+PONG\r\n".to_vec()].concat();
        for _ in 0..5 {
            expect(&mut slow, &wanted);
        }
    }
}

#[test]
fn more_input_than_receive_buffers_is_survived() {
    let floor = Floor::start("ring");
    // Each connection sends a megabyte at once; all receive buffers together hold two.
    let value = vec![b'x'; 1_000_000];
    let input: Vec<u8> = iter::repeat_n(command(&[b"SET", b"k", &value]), 4)
        .flatten()
        .collect();
    thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                let mut stream = floor.connect();
                stream.write_all(&input).unwrap();
                expect(&mut stream, &b"+OK\r\n".repeat(4));
            });
        }
    });
}

#[test]
fn replies_still_come_after_the_client_has_said_its_last() {
    for send in SENDS {
        let floor = Floor::start(send);
        for _ in 0..200 {
            let mut stream = floor.connect();
            stream.write_all(b"PING\r\nPING\r\n").unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            expect(&mut stream, b"+PONG\r\n+PONG\r\n");
        }
    }
}

#[test]
fn what_is_not_resp_closes_only_its_own_connection() {
    let floor = Floor::start("ring");
    let mut bad = floor.connect();
    bad.write_all(b"*1\r\n:5\r\n").unwrap();
    assert_eq!(bad.read(&mut [0; 8]).unwrap_or(0), 0);
    let mut good = floor.connect();
    good.write_all(b"PING\r\n").unwrap();
    expect(&mut good, b"+PONG\r\n");
}
