//! Hot keys on a whole server: they are found and told of, and read from copies that are never stale.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use larder_tests::client::Client;
use larder_tests::resp::Reply;
use larder_tests::server::{IoBackend, Options, Server};

/// Keys, of which either core owns some.
const KEYS: usize = 8;

/// A field of `INFO stats`, as a number.
fn info(client: &mut Client, field: &str) -> u64 {
    let text = client.run("INFO stats").unwrap().to_text();
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    value.unwrap().trim().parse().unwrap()
}

/// Reads each key many times, in one pipeline.
fn read_much(client: &mut Client) {
    const TIMES: usize = 8;
    let gets = (0..KEYS).map(|key| format!("GET hot:{key}\r\n"));
    let gets = gets.collect::<String>().repeat(TIMES);
    client.send_raw(gets.as_bytes()).unwrap();
    for _ in 0..TIMES * KEYS {
        client.read().unwrap();
    }
}

/// Reads until more is read from copies than `before`.
fn read_until_copies_answer(server: &Server, clients: &mut [Client], before: u64) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while info(&mut clients[0], "larder_copy_reads") <= before {
        assert!(Instant::now() < deadline, "{}", server.log_tail());
        clients.iter_mut().for_each(read_much);
    }
}

#[test]
fn the_hottest_keys_are_read_from_copies_that_are_never_stale() {
    for backend in IoBackend::under_test() {
        let options = Options::larder(2, backend).directive("hot-key-copies", "yes");
        let server = Server::start(&options).unwrap();
        let mut clients: Vec<Client> = (0..6).map(|_| server.connect().unwrap()).collect();
        for key in 0..KEYS {
            clients[0].run(&format!("SET hot:{key} 0")).unwrap();
        }
        read_until_copies_answer(&server, &mut clients, 0);
        assert!(info(&mut clients[0], "larder_copied_keys") > 0);
        let told = clients[1].run("LARDER HOTKEYS COUNT 3").unwrap();
        let told = told.lines().join(" ");
        assert!(
            told.contains("hot:") && told.contains("reads-per-sec"),
            "{told}"
        );
        let before = info(&mut clients[0], "larder_copy_reads");
        for number in 1..100_u64 {
            let key = format!("hot:{}", number as usize % KEYS);
            let (writer, other) = (number as usize % 6, (number as usize + 1) % 6);
            let written = match number % 3 {
                0 => clients[writer].run(&format!("MSET {key} {number} cold:{number} 1")),
                _ => clients[writer].run(&format!("SET {key} {number}")),
            };
            assert_eq!(written.unwrap(), Reply::Status(b"OK".to_vec()));
            for client in [writer, other] {
                for _ in 0..2 {
                    let read = clients[client].run(&format!("GET {key}")).unwrap();
                    assert_eq!(read.to_text(), number.to_string(), "{}", server.label());
                }
            }
            if number % 8 == 0 {
                clients.iter_mut().for_each(read_much);
            }
        }
        read_until_copies_answer(&server, &mut clients, before);
    }
}
