//! The rules of the order (decision 0017) in dispatch: what cores within a test do when mail, entries and parts reach them
//! one at a time.

#![cfg(test)]

use std::cell::RefCell;
use std::rc::Rc;

use crate::dispatch::limits::BATCH_HIGH_WATER_BYTES;
use crate::dispatch::tests::testing::{Client, Server, key_on};
use crate::dispatch::{Batch, Lines};
use crate::order::ring::SLOTS;
use crate::routing::CoreId;

/// Lines by which one batch more comes for each that is taken.
struct NeverEmpty {
    waiting: usize,
    taken: Rc<RefCell<usize>>,
}

impl Lines for NeverEmpty {
    fn receive(&mut self, _: CoreId) -> Option<Box<Batch>> {
        *self.taken.borrow_mut() += 1;
        assert!(*self.taken.borrow() < 1000, "a turn does not end");
        Some(Box::default())
    }

    fn arrived(&self, from: CoreId) -> usize {
        self.waiting * usize::from(from == CoreId(1))
    }

    fn has_room(&self, _: CoreId) -> bool {
        true
    }

    fn send(&mut self, _: CoreId, _: Box<Batch>) -> Result<(), Box<Batch>> {
        Ok(())
    }
}

#[test]
fn a_turn_takes_the_mail_there_is_when_it_begins_however_fast_more_comes() {
    let mut server = Server::new(2);
    let taken = Rc::default();
    let lines = NeverEmpty {
        waiting: 3,
        taken: Rc::clone(&taken),
    };
    server.cores[0].connect_lines(Box::new(lines));
    for turn in 1..4 {
        server.cores[0].take_mail();
        assert_eq!(*taken.borrow(), 3 * turn);
        assert!(
            !server.cores[0].fall_asleep(),
            "the next turn follows at once"
        );
    }
}

/// A server, a client of each core, and a key on each.
pub(super) struct World {
    pub(super) server: Server,
    pub(super) clients: Vec<Client>,
    pub(super) keys: Vec<String>,
}

impl World {
    pub(super) fn new(cores: u16) -> Self {
        Self::configured(cores, &[])
    }

    pub(super) fn configured(cores: u16, directives: &[(&str, &str)]) -> Self {
        let mut server = Server::configured(cores, directives);
        let clients = (0..cores.into()).map(|core| server.connect(core));
        let clients = clients.collect();
        let keys = (0..cores).map(|core| key_on(core, cores, "k")).collect();
        Self {
            server,
            clients,
            keys,
        }
    }

    /// The client of `core` sends `commands`, in which `K2` stands for the key on core 2; nothing else happens.
    pub(super) fn says(&mut self, core: usize, commands: &str) {
        self.client_says(self.clients[core], commands);
    }

    pub(super) fn client_says(&mut self, client: Client, commands: &str) {
        let mut commands = commands.to_owned() + "\r\n";
        for (core, key) in self.keys.iter().enumerate() {
            commands = commands.replace(&format!("K{core}"), key);
        }
        self.server.receive(client, commands.as_bytes());
    }

    /// What the client of `core` has been told by now.
    pub(super) fn hears(&mut self, core: usize) -> String {
        let heard = self.server.take_output(self.clients[core]);
        String::from_utf8(heard).unwrap()
    }

    /// A batch goes from one core to another, if there is anything for one.
    pub(super) fn pass_mail(&mut self, from: usize, to: usize) {
        self.server.ship_between(from, to);
        while self.server.deliver_one(from, to) {}
    }

    /// The transactions of `core` get their place, and `core` passes it.
    pub(super) fn give_place(&mut self, core: usize) {
        self.server.ship_from(core);
    }

    /// Everything comes to rest; what the client of `core` is told.
    pub(super) fn rests(&mut self, core: usize) -> String {
        self.server.send(self.clients[core], b"")
    }

    /// The same, turn after turn until no more comes.
    pub(super) fn reads_all(&mut self, core: usize) -> String {
        String::from_utf8(self.server.read_all(self.clients[core])).unwrap()
    }

    pub(super) fn end(mut self) {
        for client in std::mem::take(&mut self.clients) {
            self.server.disconnect(client);
        }
        self.server.assert_nothing_is_left();
    }

    /// Fills the order: core 2 sleeps, and passes nothing.
    pub(super) fn fill_order(&mut self) {
        for _ in 0..SLOTS {
            self.server.now_ms += 1;
            let clock = self.server.clock();
            self.server.cores[0].begin_turn(clock);
        }
        self.server.cores[1].catch_up();
    }
}

pub(super) const NIL: &str = "$-1\r\n";

pub(super) fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

pub(super) fn array(texts: &[&str]) -> String {
    let bulks = texts.iter().map(|text| bulk(text));
    format!("*{}\r\n{}", texts.len(), bulks.collect::<String>())
}

// Rule 1.

#[test]
fn who_hears_of_a_transaction_finds_it_done_on_a_core_that_has_yet_to_look() {
    for by_mail in [false, true] {
        let mut world = World::new(3);
        let witness = world.server.connect(0);
        world.says(0, "MSET K0 new K1 new");
        world.give_place(0);
        world.client_says(witness, "GET K0");
        assert_eq!(world.server.take_output(witness), bulk("new").as_bytes());
        // Core 1 has done nothing since. Whoever asks now may have been told by the witness.
        let reader = if by_mail { 2 } else { 1 };
        world.says(reader, "GET K1");
        if by_mail {
            world.pass_mail(2, 1);
            world.pass_mail(1, 2);
        }
        assert_eq!(world.hears(reader), bulk("new"), "by mail: {by_mail}");
        world.server.disconnect(witness);
        world.end();
    }
}

// Rule 2.

#[test]
fn what_a_session_sent_before_its_transaction_runs_before_it() {
    for in_one_batch in [false, true] {
        let mut world = World::new(2);
        world.says(0, "SET K1 before");
        if !in_one_batch {
            world.server.ship_between(0, 1);
        }
        world.says(0, "MSET K0 own K1 own");
        world.give_place(0);
        world.says(1, "GET K1");
        assert_eq!(world.hears(1), bulk("own"));
        assert_eq!(world.rests(0), "+OK\r\n+OK\r\n");
        world.says(1, "GET K1");
        assert_eq!(world.hears(1), bulk("own"), "in one batch: {in_one_batch}");
        world.end();
    }
}

/// A value of which a session is owed no more than four, and one of which many fill a batch.
const LARGE: usize = 1 << 20;
const SMALL: usize = 12 * 1024;

#[test]
fn not_even_for_want_of_room_among_the_answers_is_it_overtaken() {
    for (value_bytes, reads) in [(LARGE, 6), (SMALL, 250)] {
        let mut world = World::new(2);
        let set = format!("SETRANGE K1 {} x\r\nSET {{K1}}n 0", value_bytes - 1);
        world.says(1, &set);
        world.rests(1);
        for _ in 0..10 {
            world.says(0, "MSET K0 - K1x -");
            world.rests(0);
        }
        // What follows a session's own large answers is set aside; behind others' answers, however small, it waits for room.
        let readers = match value_bytes {
            LARGE => vec![world.clients[0]],
            _ => (0..8).map(|_| world.server.connect(0)).collect(),
        };
        for reader in &readers {
            world.client_says(*reader, &vec!["GET K1"; reads].join("\r\n"));
        }
        world.says(0, "APPEND {K1}n a\r\nMSET K0 b {K1}n b\r\nAPPEND {K1}n c");
        world.give_place(0);
        world.pass_mail(0, 1);
        let has_backlog = world.server.cores[1].backlog_batches() > 0;
        assert_eq!(has_backlog, value_bytes == SMALL);
        world.says(1, "GET {K1}n");
        assert_eq!(world.hears(1), bulk("bc"));
        let replies = world.reads_all(0);
        assert!(
            replies.ends_with(":2\r\n+OK\r\n:2\r\n"),
            "{}",
            replies.len()
        );
        world.says(1, "GET {K1}n");
        assert_eq!(world.rests(1), bulk("bc"));
        for reader in readers {
            world.server.disconnect(reader);
        }
        world.end();
    }
}

#[test]
fn on_more_cores_than_an_entry_names_mail_from_behind_an_entry_runs_behind_it() {
    // Cores 0 and 1 are named together.
    let mut world = World::new(50);
    world.says(4, "MSET K0 x K4 x");
    world.give_place(4);
    world.says(6, "MSET K1 new K6 new");
    world.give_place(6);
    let witness = world.server.connect(6);
    world.client_says(witness, "GET K6");
    assert_eq!(world.server.take_output(witness), bulk("new").as_bytes());
    // Core 1 passes both entries when it has this in hand, which comes from behind the first.
    world.says(4, "GET K4\r\nGET K1");
    world.pass_mail(4, 1);
    world.pass_mail(1, 4);
    assert!(world.rests(4).ends_with(&bulk("new")));
}

// Rule 3.

#[test]
fn what_a_session_sends_behind_its_transaction_finds_it_done() {
    for core in 0..3 {
        let mut world = World::new(3);
        world.says(
            core,
            "MSET K0 1 K1 1\r\nGET K0\r\nGET K1\r\nMSET K0 2 K1 2\r\nINCR K0\r\nSCAN 0 COUNT 1000\r\nGET K0",
        );
        let heard = world.rests(core);
        let found = heard.split_once("*2\r\n$1\r\n0\r\n*2\r\n");
        let (first, rest) = found.unwrap_or_else(|| panic!("{heard}"));
        assert_eq!(first, "+OK\r\n$1\r\n1\r\n$1\r\n1\r\n+OK\r\n:3\r\n");
        assert!(rest.ends_with("$1\r\n3\r\n"), "{heard}");
        world.end();
    }
}

#[test]
fn what_has_no_place_waits_until_the_transaction_before_it_has_one() {
    for core in 0..3 {
        let mut world = World::new(3);
        world.says(
            core,
            "MSET K0 1 K1 1\r\nRANDOMKEY\r\nMSETNX K0 1 K2 1\r\nPING",
        );
        let heard = world.rests(core);
        let (_, rest) = heard.split_once("+OK\r\n$4\r\n{").expect(&heard);
        assert!(rest.ends_with("k\r\n:0\r\n+PONG\r\n"), "{heard}");
        world.end();
    }
}

// Rule 4.

#[test]
fn parts_are_shipped_to_all_cores_or_to_none_and_hold_up_no_answer() {
    let mut world = World::new(3);
    world.server.fill_line(0, 2);
    world.says(0, "MSET K1 new K2 new");
    world.give_place(0);
    assert_eq!(world.server.batches_under_way(0, 1), 0);
    world.says(1, "SET K0 x");
    world.pass_mail(1, 0);
    world.pass_mail(0, 1);
    assert_eq!(world.hears(1), "+OK\r\n", "an answer does not wait");
    world.says(1, "GET K1");
    assert_eq!(world.hears(1), NIL, "nothing has a place");
    // One more joins them: there is one batch of parts an entry and core.
    let other = world.server.connect(0);
    world.client_says(other, "MSET K1 newer K2 newer");
    world.server.clear_lines();
    world.give_place(0);
    assert_eq!(world.server.batches_under_way(0, 1), 1);
    world.says(1, "GET K1");
    assert_eq!(world.hears(1), bulk("newer"));
    assert_eq!(world.rests(0), "+OK\r\n");
    assert_eq!(world.server.send(other, b""), "+OK\r\n");
    world.server.disconnect(other);
    world.end();
}

#[test]
fn mail_runs_though_the_parts_before_it_have_no_place_yet() {
    let mut world = World::new(3);
    world.fill_order();
    world.says(0, "MSET K0 new K1 new");
    world.give_place(0);
    assert_eq!(world.server.batches_under_way(0, 1), 1, "shipped");
    let other = world.server.connect(0);
    world.client_says(other, "GET K1");
    world.pass_mail(0, 1);
    world.pass_mail(1, 0);
    assert_eq!(world.server.take_output(other), NIL.as_bytes());
    assert_eq!(world.hears(0), "", "it has no place");
    // Core 2 comes by.
    world.server.cores[2].catch_up();
    world.give_place(0);
    world.client_says(other, "GET K1");
    world.pass_mail(0, 1);
    world.pass_mail(1, 0);
    assert_eq!(world.hears(0), "+OK\r\n");
    assert_eq!(world.server.take_output(other), bulk("new").as_bytes());
    world.server.disconnect(other);
    world.end();
}

// Rule 5.

#[test]
fn who_sleeps_half_the_order_behind_is_woken_though_nothing_concerns_it() {
    let mut world = World::new(2);
    assert!(world.server.cores[1].fall_asleep());
    let mut woken_at = None;
    for tick in 0..SLOTS {
        world.server.now_ms += 1;
        let clock = world.server.clock();
        let core = &mut world.server.cores[0];
        core.begin_turn(clock);
        core.publish_entry();
        if core.take_wakes().any(|woken| woken == 1) {
            woken_at = Some(tick);
            break;
        }
    }
    let woken_at = woken_at.expect("it is woken before the order is full");
    assert!(woken_at >= SLOTS / 4, "{woken_at}");
    world.server.cores[1].wake_up();
    world.end();
}

#[test]
fn a_full_order_waits_for_the_last_core_and_loses_nothing() {
    let mut world = World::new(3);
    world.fill_order();
    world.says(0, "MSET K0 new K1 new");
    for _ in 0..3 {
        world.give_place(0);
        world.server.cores[1].catch_up();
    }
    world.says(1, "GET K1");
    assert_eq!(world.hears(1), NIL);
    let core = &world.server.cores[0];
    assert!(core.next_wake_ms().is_some(), "it asks again before long");
    // Core 2 passes it all, and reads every entry there was.
    world.server.cores[2].catch_up();
    let time = world.server.cores[0].state().shard.now();
    assert_eq!(world.server.cores[2].state().shard.now(), time);
    assert_eq!(world.rests(0), "+OK\r\n");
    world.says(1, "GET K1");
    assert_eq!(world.hears(1), bulk("new"));
    world.end();
}

// Rule 6.

#[test]
fn nobody_sleeps_with_parts_in_hand_whose_entry_is_there() {
    let mut world = World::new(3);
    world.fill_order();
    world.says(0, "MSET K0 new K1 new");
    world.give_place(0);
    world.pass_mail(0, 1);
    assert!(
        world.server.cores[1].fall_asleep(),
        "the entry is not there"
    );
    world.server.cores[0].take_wakes().count();
    // Whom it concerns is woken when it is there: by whoever appends it, or by itself, that looks once more.
    world.server.cores[2].catch_up();
    world.server.cores[0].publish_entry();
    let wakes: Vec<usize> = world.server.cores[0].take_wakes().collect();
    assert!(wakes.contains(&1), "{wakes:?}");
    world.server.cores[1].wake_up();
    assert!(!world.server.cores[1].fall_asleep());
    world.server.cores[1].catch_up();
    assert!(world.server.cores[1].fall_asleep());
    world.server.cores[1].wake_up();
    world.end();
}

// Rule 7.

#[test]
fn a_session_has_a_bounded_number_of_transactions_under_way() {
    let mut world = World::new(2);
    let (core, id) = world.clients[0];
    let mset = "MSET K0 v K1 v";
    world.says(0, &vec![mset; 1000].join("\r\n"));
    for _ in 0..20 {
        world.server.turn();
        world.server.ship_from(0);
    }
    let session = world.server.cores[core].state().sessions.get(id).unwrap();
    let (awaited, window) = (session.output.outstanding(), session.window);
    assert!(awaited <= window + 1, "{awaited} with a window of {window}");
    assert_eq!(world.rests(0), "+OK\r\n".repeat(1000));
    // Nor are there too many bytes of those whose replies nobody awaits.
    world.says(0, "CLIENT REPLY OFF");
    let value = "v".repeat(SMALL);
    for _ in 0..3 * BATCH_HIGH_WATER_BYTES / SMALL {
        world.says(0, &format!("MSET K0 v K1 {value}"));
    }
    let gathered = world.server.cores[0].gathered_bytes();
    assert!(gathered <= BATCH_HIGH_WATER_BYTES + 2 * SMALL, "{gathered}");
    world.rests(0);
    world.end();
}

#[test]
fn a_part_runs_at_its_place_however_much_its_session_is_owed() {
    let mut world = World::new(2);
    world.says(
        1,
        &format!("SETRANGE K1 {} x\r\nMSET K0 old {{K1}}n old", LARGE - 1),
    );
    world.rests(1);
    world.says(0, &("GET K1\r\n".repeat(4) + "MGET K0 {K1}n"));
    world.give_place(0);
    world.pass_mail(0, 1);
    world.give_place(1);
    world.says(1, "MSET K0 new {K1}n new");
    world.give_place(1);
    world.pass_mail(1, 0);
    assert_eq!(world.rests(1), "+OK\r\n");
    let replies = world.reads_all(0);
    assert!(
        replies.ends_with(&array(&["old", "old"])),
        "{}",
        replies.len()
    );
    world.end();
}
