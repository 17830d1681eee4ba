//! Lists as queues, under many clients at once: producers push elements of their own, consumers pop them in every way there is, some
//! waiting, elements are carried on, and connections are cut. No element is lost, none is popped twice, and queues keep their order.
//!
//! Order: what was pushed to one end of a queue before something else was sent, and is popped at the other, is popped first. (That
//! holds for queues of which nothing is carried and which are pushed to at one end.)
#![allow(clippy::unwrap_used)]

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use larder_tests::client::Client;
use larder_tests::random::Random;
use larder_tests::resp::Reply;
use larder_tests::server::{IoBackend, Options, Server};
use larder_tests::tools;

/// Queues whose order is looked at: pushed at the tail, popped at the head.
const ORDERED: [&str; 2] = ["ordered:{0}", "ordered:{5}"];
/// Queues of which elements are carried on.
const MIXED: [&str; 3] = ["mixed:{1}", "mixed:{2}", "mixed:{8}"];
const PRODUCERS: usize = 4;
const CONSUMERS: usize = 6;
/// Elements that each producer pushes.
const PRODUCED: usize = 400;

/// An element that was pushed.
struct Pushed {
    element: String,
    queue: &'static str,
    sent: Instant,
    /// When the reply came; the connection was cut before, if none did.
    replied: Option<Instant>,
}

/// An element that was popped.
struct Popped {
    element: String,
    queue: String,
    /// Its place among those of the same reply.
    place: usize,
    sent: Instant,
    replied: Instant,
}

fn produce(address: SocketAddr, number: usize, seed: u64) -> Vec<Pushed> {
    let mut random = Random::new(seed);
    let mut client = Client::connect(address).unwrap();
    let mut all = Vec::new();
    for at in 0..PRODUCED {
        let element = format!("{number}-{at}");
        let (command, queue) = match random.below(3) {
            0 => ("RPUSH", ORDERED[random.below(2)]),
            1 => ("RPUSH", MIXED[random.below(3)]),
            _ => ("LPUSH", MIXED[random.below(3)]),
        };
        let sent = Instant::now();
        client.send(&[command, queue, &element]).unwrap();
        let mut replied = None;
        if random.one_in(20) {
            client = Client::connect(address).unwrap();
        } else {
            let reply = client.read().unwrap();
            assert!(reply.integer().is_some(), "{command}: {reply:?}");
            replied = Some(Instant::now());
        }
        all.push(Pushed {
            element,
            queue,
            sent,
            replied,
        });
    }
    all
}

/// Pops until there is nothing more once `is_over`.
fn consume(address: SocketAddr, is_over: &AtomicBool, seed: u64) -> Vec<Popped> {
    let mut random = Random::new(seed);
    let mut client = Client::connect(address).unwrap();
    let mut all = Vec::new();
    loop {
        let ends = is_over.load(Ordering::SeqCst);
        let (one, other) = (ORDERED[random.below(2)], MIXED[random.below(3)]);
        let [a, b, c] = MIXED;
        let line = match random.below(if ends { 2 } else { 9 }) {
            0 => format!("LMPOP 5 {} {a} {b} {c} LEFT COUNT 3", ORDERED.join(" ")),
            1 => format!("BLPOP {a} {b} {c} {} 0.02", ORDERED.join(" ")),
            2 => format!("BRPOP {a} {c} 0.02"),
            3 => format!("BLMPOP 0.02 3 {c} {b} {a} RIGHT COUNT 2"),
            4 => format!("LPOP {one}"),
            5 => format!("BLPOP {one} 0.02"),
            6 => format!("RPOPLPUSH {other} {b}"),
            7 => format!("BLMOVE {other} {c} LEFT RIGHT 0.02"),
            _ => format!("LMOVE {other} {a} RIGHT LEFT"),
        };
        let words: Vec<&str> = line.split(' ').collect();
        let sent = Instant::now();
        client.send(&words).unwrap();
        let carries = ["RPOPLPUSH", "BLMOVE", "LMOVE"].contains(&words[0]);
        if carries && random.one_in(10) {
            // What was carried is in one of the queues.
            client = Client::connect(address).unwrap();
            continue;
        }
        let reply = client.read().unwrap();
        let replied = Instant::now();
        let mut add = |queue: &str, place, element: &Reply| {
            all.push(Popped {
                element: element.to_text(),
                queue: queue.to_owned(),
                place,
                sent,
                replied,
            });
        };
        match &reply {
            Reply::Array(items) => match &items[1] {
                Reply::Array(elements) => {
                    for (place, element) in elements.iter().enumerate() {
                        add(&items[0].to_text(), place, element);
                    }
                }
                element => add(&items[0].to_text(), 0, element),
            },
            Reply::Bulk(_) if words[0] == "LPOP" => add(one, 0, &reply),
            Reply::Bulk(_) => {}
            Reply::Error(_) => panic!("{line}: {reply:?}"),
            _ if ends && words[0] == "BLPOP" => return all,
            _ => {}
        }
    }
}

/// Waits until nobody is connected any more, and takes what is left.
fn drain(address: SocketAddr) -> Vec<Popped> {
    let mut client = Client::connect(address).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while client.run("CLIENT LIST").unwrap().to_text().lines().count() > 1 {
        assert!(Instant::now() < deadline, "connections do not end");
        thread::sleep(Duration::from_millis(10));
    }
    let mut all = Vec::new();
    for queue in ORDERED.into_iter().chain(MIXED) {
        let sent = Instant::now();
        let Reply::Array(elements) = client.call(&["LRANGE", queue, "0", "-1"]).unwrap() else {
            panic!("no array")
        };
        let replied = Instant::now();
        all.extend(elements.iter().enumerate().map(|(place, element)| Popped {
            element: element.to_text(),
            queue: queue.to_owned(),
            place,
            sent,
            replied,
        }));
    }
    all
}

fn check(pushed: &[Pushed], popped: &[Popped]) {
    let mut by_element: HashMap<&str, &Popped> = HashMap::new();
    for pop in popped {
        let before = by_element.insert(&pop.element, pop);
        assert!(before.is_none(), "{} was popped twice", pop.element);
    }
    let known: HashSet<&str> = pushed.iter().map(|push| &push.element[..]).collect();
    for push in pushed.iter().filter(|push| push.replied.is_some()) {
        assert!(
            by_element.contains_key(&push.element[..]),
            "{} is lost",
            push.element
        );
    }
    for pop in popped {
        assert!(
            known.contains(&pop.element[..]),
            "{} was never pushed",
            pop.element
        );
    }
    for queue in ORDERED {
        let of_queue: Vec<(&Pushed, &Popped)> = pushed
            .iter()
            .filter(|push| push.queue == queue)
            .filter_map(|push| Some((push, *by_element.get(&push.element[..])?)))
            .collect();
        for (first, first_pop) in &of_queue {
            assert_eq!(first_pop.queue, queue);
            for (second, second_pop) in &of_queue {
                let is_before = first.replied.is_some_and(|replied| replied < second.sent);
                let is_same = first_pop.sent == second_pop.sent;
                let is_overtaken = match is_same {
                    true => second_pop.place < first_pop.place,
                    false => second_pop.replied < first_pop.sent,
                };
                assert!(
                    !(is_before && is_overtaken),
                    "{} was pushed before {} and popped behind it",
                    first.element,
                    second.element
                );
            }
        }
    }
}

fn keeps_its_elements(options: &Options) {
    let mut server = Server::start(options).unwrap();
    let address = server.address();
    let is_over = AtomicBool::new(false);
    let seed = u64::from(std::process::id());
    let (pushed, mut popped) = thread::scope(|scope| {
        let producers: Vec<_> = (0..PRODUCERS)
            .map(|at| scope.spawn(move || produce(address, at, seed + at as u64)))
            .collect();
        let is_over = &is_over;
        let consumers: Vec<_> = (0..CONSUMERS)
            .map(|at| scope.spawn(move || consume(address, is_over, seed + 100 + at as u64)))
            .collect();
        let pushed = producers.into_iter().flat_map(|it| it.join().unwrap());
        let pushed: Vec<Pushed> = pushed.collect();
        is_over.store(true, Ordering::SeqCst);
        let popped = consumers.into_iter().flat_map(|it| it.join().unwrap());
        (pushed, popped.collect::<Vec<Popped>>())
    });
    assert!(server.is_running(), "{}", server.log_tail());
    popped.extend(drain(address));
    println!("{}, seed {seed}: {} popped", server.label(), popped.len());
    check(&pushed, &popped);
}

#[test]
fn queues_keep_their_elements_and_their_order_on_one_core() {
    for backend in IoBackend::under_test() {
        keeps_its_elements(&Options::larder(1, backend));
    }
}

#[test]
fn queues_keep_their_elements_and_their_order_on_two_cores() {
    for backend in IoBackend::under_test() {
        keeps_its_elements(&Options::larder(2, backend));
    }
}

#[test]
fn queues_keep_their_elements_and_their_order_on_four_cores() {
    for backend in IoBackend::under_test() {
        keeps_its_elements(&Options::larder(4, backend));
    }
}

/// A failure here is the test's own.
#[test]
fn queues_keep_their_elements_and_their_order_in_redis_server() {
    if let Some(redis) = tools::find_or_skip("redis-server") {
        keeps_its_elements(&Options::redis(redis));
    }
}
