//! The order, its parts one by one. What cores do with it at once is checked by models (`order_sim` and `order_loom` of
//! the tests).

use std::collections::VecDeque;
use std::sync::Arc;

use super::ring::{SET_BACK_MS, SLOTS};
use super::word::{GROUPS_MAX, Groups, Named, Word, lap_of};
use super::*;
use crate::routing::CoreId;

const ZERO: CoreId = CoreId(0);
const ONE: CoreId = CoreId(1);
const TWO: CoreId = CoreId(2);

fn named(ring: &Ring<4>, cores: &[CoreId]) -> Named {
    let naming = |named: Named, core: &CoreId| named.and(ring.groups().naming(*core));
    cores.iter().fold(Named::default(), naming)
}

/// Passes what is there, and publishes.
fn passed<const N: usize>(cursor: &mut Cursor<N>) -> Vec<Entry> {
    let mut entries = Vec::new();
    while let Some(entry) = cursor.peek() {
        assert!(cursor.is_behind());
        cursor.pass(entry);
        entries.push(entry);
    }
    assert!(!cursor.is_behind());
    cursor.publish();
    entries
}

#[test]
fn a_word_keeps_what_it_is_made_of() {
    let all = (0..GROUPS_MAX as u16).map(CoreId);
    let named = all.fold(Named::default(), |named, core| {
        named.and(Groups::of(48).naming(core))
    });
    for coordinator in [0, 1, 47, 1023].map(CoreId) {
        for lap in [0, 1, 31] {
            let entry = Entry::Transactions { coordinator, named };
            let word = Word::new(entry, lap);
            assert_eq!((word.entry(), word.lap()), (entry, lap));
        }
    }
    let tick = Entry::Tick(1_900_000_000_000);
    assert_eq!(Word::new(tick, 7).entry(), tick);
    assert_eq!(Word(0).lap(), 0, "a new ring's words are of lap 0");
}

#[test]
fn groups_are_single_cores_up_to_48_and_then_powers_of_two() {
    for (cores, width) in [
        (1, 1),
        (48, 1),
        (49, 2),
        (96, 2),
        (97, 4),
        (128, 4),
        (192, 4),
        (1024, 32),
    ] {
        let groups = Groups::of(cores);
        assert_eq!(groups.are_exact(), width == 1, "{cores} cores");
        for core in 0..cores {
            let members = (0..cores)
                .map(CoreId)
                .filter(|other| groups.naming(*other).has(groups.naming(CoreId(core))));
            let members: Vec<u16> = members.map(|core| core.0).collect();
            let first = core / width * width;
            let expected: Vec<u16> = (first..(first + width).min(cores)).collect();
            assert_eq!(members, expected, "core {core} of {cores}");
        }
    }
}

#[test]
fn all_cores_pass_the_same_entries_in_the_same_order_over_many_laps() {
    let ring = Ring::<4>::new(3, 0);
    let mut cursors = [ZERO, ONE, TWO].map(|core| Cursor::new(&ring, core));
    for round in 0..400u64 {
        let ours = (round % 3) as usize;
        let names = named(&ring, &[[ZERO, ONE, TWO][ours]]);
        let first = cursors[ours].append(names).unwrap();
        let second = cursors[(ours + 1) % 3].append(names).unwrap();
        assert_eq!(first, Position(4 + 2 * round));
        assert_eq!(second, Position(5 + 2 * round));
        let entries = cursors.each_mut().map(passed);
        assert_eq!(entries[0].len(), 2);
        assert!(entries.iter().all(|other| *other == entries[0]));
        let Entry::Transactions { coordinator, .. } = entries[0][0] else {
            panic!("no tick was appended");
        };
        assert_eq!(coordinator.index(), ours);
    }
    assert_eq!(lap_of(cursors[0].position().0, 4), (4 + 800) / 4 % 32);
}

#[test]
fn a_ring_is_full_until_the_last_core_has_come_by_and_says_who_holds_it_up() {
    let ring = Ring::<4>::new(2, 0);
    let mut writer = Cursor::new(&ring, ZERO);
    let mut reader = Cursor::new(&ring, ONE);
    let mut held_up = Vec::new();
    for _ in 0..4 {
        writer.append(Named::default()).unwrap();
        passed(&mut writer);
        held_up.push(writer.laggards().collect::<Vec<_>>());
    }
    // Half a ring behind, and at each quarter from there on.
    assert_eq!(held_up, [vec![], vec![ONE], vec![ONE], vec![ONE]]);
    assert_eq!(writer.append(Named::default()), Err(Full));
    assert_eq!(writer.laggards().collect::<Vec<_>>(), [ONE]);
    assert_eq!(writer.laggards().count(), 0, "told once");
    assert_eq!(passed(&mut reader).len(), 4);
    assert_eq!(writer.append(Named::default()), Ok(Position(8)));
}

#[test]
fn the_first_to_see_a_new_time_appends_it_for_all() {
    let ring = Ring::<64>::new(2, 1000);
    let mut one = Cursor::new(&ring, ZERO);
    let mut other = Cursor::new(&ring, ONE);
    one.tick(1000);
    assert!(!one.is_behind(), "it is 1000 already");
    one.tick(1001);
    // It has not passed the tick, and needs none of its own.
    other.tick(1001);
    other.tick(1000);
    assert_eq!(passed(&mut one), [Entry::Tick(1001)]);
    assert_eq!(passed(&mut other), [Entry::Tick(1001)]);
    assert_eq!((one.time_ms(), other.time_ms()), (1001, 1001));
}

#[test]
fn a_clock_that_was_set_back_sets_the_order_back_and_one_a_little_behind_does_not() {
    let ring = Ring::<64>::new(1, 100_000);
    let mut cursor = Cursor::new(&ring, ZERO);
    cursor.tick(100_000 - SET_BACK_MS);
    assert!(!cursor.is_behind());
    cursor.tick(100_000 - SET_BACK_MS - 1);
    passed(&mut cursor);
    assert_eq!(cursor.time_ms(), 98_999);
}

#[test]
fn in_a_full_ring_time_stands_still() {
    let ring = Ring::<4>::new(2, 0);
    let mut cursor = Cursor::new(&ring, ZERO);
    for ms in 1..10 {
        cursor.tick(ms);
        passed(&mut cursor);
    }
    assert_eq!(cursor.time_ms(), 4);
    passed(&mut Cursor::new(&ring, ONE));
    cursor.tick(10);
    passed(&mut cursor);
    assert_eq!(cursor.time_ms(), 10);
}

#[test]
fn a_servers_ring_goes_round_too() {
    let ring = Ring::<SLOTS>::new(1, 0);
    let mut cursor = Cursor::new(&ring, ZERO);
    for _ in 0..2 * SLOTS + 10 {
        cursor.append(Named::default()).unwrap();
        assert_eq!(passed(&mut cursor).len(), 1);
    }
}

/// The core that the tests look at, its inboxes from two others, and what it has done.
#[derive(Default)]
struct Desk {
    inboxes: [VecDeque<Parcel<&'static str, Vec<&'static str>>>; 3],
    full: Vec<CoreId>,
    shipped: Vec<(CoreId, Position, Vec<&'static str>)>,
    roused: Vec<CoreId>,
    did: Vec<String>,
}

impl Station<&'static str, Vec<&'static str>> for Desk {
    fn receive(&mut self, from: CoreId) -> Option<Parcel<&'static str, Vec<&'static str>>> {
        self.inboxes[from.index()].pop_front()
    }

    fn run_mail(&mut self, from: CoreId, mail: &'static str) {
        self.did.push(format!("{mail} of {}", from.0));
    }

    fn run_parts(&mut self, at: EntryAt, parts: Vec<&'static str>) {
        let parts = parts.join(" ");
        self.did.push(format!(
            "{parts} of {} at {}",
            at.coordinator.0, at.position.0
        ));
    }

    fn time_is(&mut self, ms: u64) {
        self.did.push(format!("{ms} ms"));
    }
}

impl Post<Vec<&'static str>> for Desk {
    fn has_room(&self, to: CoreId) -> bool {
        !self.full.contains(&to)
    }

    fn ship(&mut self, to: CoreId, stamp: Position, parts: Vec<&'static str>) {
        self.shipped.push((to, stamp, parts));
    }

    fn rouse(&mut self, core: CoreId) {
        self.roused.push(core);
    }
}

fn parcel(
    stamp: u64,
    mail: &'static str,
    parts: Option<&'static str>,
) -> Parcel<&'static str, Vec<&'static str>> {
    Parcel {
        stamp: Position(stamp),
        mail,
        parts: parts.map(|parts| vec![parts]),
    }
}

type TestFollower = Follower<&'static str, Vec<&'static str>, 4>;

/// A follower on core 0 of three, and a cursor of core 1 to append with.
fn pair(width: u32) -> (TestFollower, Cursor<4>, Arc<Ring<4>>) {
    let ring = Ring::<4>::with_groups(3, Groups::of_width(width), 0);
    let follower = Follower::new(Cursor::new(&ring, ZERO));
    (follower, Cursor::new(&ring, ONE), ring)
}

#[test]
fn an_entry_waits_for_the_mail_before_its_parts_and_leaves_what_is_behind() {
    let (mut follower, mut other, ring) = pair(1);
    let mut desk = Desk::default();
    let inbox = &mut desk.inboxes[1];
    inbox.extend([
        parcel(0, "a", None),
        parcel(0, "b", Some("x")),
        parcel(5, "c", None),
    ]);
    other.append(named(&ring, &[ZERO])).unwrap();
    follower.catch_up(&mut desk);
    assert_eq!(desk.did, ["a of 1", "b of 1", "x of 1 at 4"]);
    assert_eq!(desk.inboxes[1].len(), 1);
}

#[test]
fn mail_runs_though_the_parts_before_it_are_not_published() {
    let (mut follower, mut other, ring) = pair(1);
    let mut desk = Desk::default();
    follower.deliver(ONE, parcel(0, "a", Some("x")), &mut desk);
    follower.deliver(ONE, parcel(0, "answer", None), &mut desk);
    assert_eq!(desk.did, ["a of 1", "answer of 1"]);
    assert!(follower.may_sleep(), "the entry is not there");
    other.append(named(&ring, &[ZERO])).unwrap();
    assert!(
        !follower.may_sleep(),
        "it has parts in hand, and their entry is there"
    );
    follower.catch_up(&mut desk);
    assert_eq!(desk.did.last().unwrap(), "x of 1 at 4");
    assert!(follower.may_sleep());
}

#[test]
fn who_is_named_for_its_group_alone_runs_mail_from_behind_the_entry_behind_it() {
    let (mut follower, mut other, ring) = pair(2);
    let mut desk = Desk::default();
    // An entry of core 1 for itself, the other of the group of core 0; then one that concerns core 0 too.
    other.append(named(&ring, &[ONE])).unwrap();
    desk.inboxes[1].extend([
        parcel(0, "a", None),
        parcel(5, "b", Some("x")),
        parcel(6, "c", None),
    ]);
    other.append(named(&ring, &[ZERO])).unwrap();
    follower.catch_up(&mut desk);
    assert_eq!(desk.did, ["a of 1", "b of 1", "x of 1 at 5"]);
    desk.did.clear();
    // Taken at an entry it did not concern, mail is not forgotten.
    other.append(named(&ring, &[ONE])).unwrap();
    desk.inboxes[1].push_back(parcel(7, "d", None));
    follower.catch_up(&mut desk);
    assert_eq!(desk.did, ["c of 1", "d of 1"]);
}

#[test]
#[should_panic(expected = "parts are shipped before their entry")]
fn an_entry_without_the_parts_it_promises_is_a_fault() {
    let (mut follower, mut other, ring) = pair(1);
    other.append(named(&ring, &[ZERO])).unwrap();
    follower.catch_up(&mut Desk::default());
}

#[test]
fn time_advances_with_the_turn_and_before_what_it_brings() {
    let (mut follower, mut other, ring) = pair(1);
    let mut desk = Desk::default();
    other.append(named(&ring, &[ZERO])).unwrap();
    desk.inboxes[1].push_back(parcel(0, "a", Some("x")));
    follower.begin_turn(3, &mut desk);
    // The transaction was first, and has the time of before.
    assert_eq!(desk.did, ["a of 1", "x of 1 at 4", "3 ms"]);
    follower.begin_turn(3, &mut desk);
    assert_eq!(desk.did.len(), 3);
}

#[test]
fn a_turns_transactions_share_an_entry_and_wake_only_whom_they_concern() {
    let (mut follower, _, _) = pair(1);
    let mut desk = Desk::default();
    let mut coordinator = Coordinator::<Vec<&str>>::new(3);
    assert_eq!(
        coordinator.publish(&mut follower, &mut desk),
        Publication::Nothing
    );
    let ticket = coordinator.ticket();
    coordinator.parts_for(ZERO).push("x");
    coordinator.parts_for(TWO).push("x");
    coordinator.parts_for(TWO).push("y");
    assert_eq!(coordinator.ticket(), ticket, "one more joins the entry");
    let publication = coordinator.publish(&mut follower, &mut desk);
    assert_eq!(publication, Publication::At(Position(4)));
    assert_eq!(desk.shipped, [(TWO, Position(0), vec!["x", "y"])]);
    assert!(desk.roused.starts_with(&[TWO]));
    assert_eq!(coordinator.stamp(), Position(5));
    assert!(!coordinator.has_passed(ticket, &follower));
    assert!(coordinator.ticket() > ticket);
    follower.catch_up(&mut desk);
    assert_eq!(desk.did, ["x of 0 at 4"]);
    assert!(coordinator.has_passed(ticket, &follower));
}

#[test]
fn parts_are_shipped_to_all_or_to_none() {
    let (mut follower, _, _) = pair(1);
    let mut desk = Desk {
        full: vec![TWO],
        ..Desk::default()
    };
    let mut coordinator = Coordinator::<Vec<&str>>::new(3);
    coordinator.parts_for(ONE).push("x");
    coordinator.parts_for(TWO).push("x");
    let publication = coordinator.publish(&mut follower, &mut desk);
    assert_eq!(publication, Publication::AwaitsRoom);
    assert!(desk.shipped.is_empty() && coordinator.is_waiting());
    assert!(!follower.cursor().is_behind(), "nothing was appended");
    desk.full.clear();
    coordinator.parts_for(ONE).push("y");
    coordinator.publish(&mut follower, &mut desk);
    assert_eq!(desk.shipped[0].2, ["x", "y"], "one batch an entry and core");
    assert_eq!(desk.shipped[1].2, ["x"]);
}

#[test]
fn what_gathers_while_an_entry_awaits_its_slot_is_in_the_next() {
    let (mut follower, mut other, ring) = pair(1);
    let mut third = Cursor::new(&ring, TWO);
    for _ in 0..4 {
        other.append(Named::default()).unwrap();
        passed(&mut other);
    }
    let mut desk = Desk::default();
    follower.catch_up(&mut desk);
    let mut coordinator = Coordinator::<Vec<&str>>::new(3);
    let first = coordinator.ticket();
    coordinator.parts_for(ZERO).push("x");
    let publication = coordinator.publish(&mut follower, &mut desk);
    assert_eq!(publication, Publication::AwaitsSlot);
    assert_eq!(desk.roused, [TWO], "it holds up the ring");
    let second = coordinator.ticket();
    assert!(second > first);
    coordinator.parts_for(ZERO).push("y");
    assert_eq!(
        coordinator.publish(&mut follower, &mut desk),
        Publication::AwaitsSlot
    );
    passed(&mut third);
    for (position, ticket, did) in [(8, first, "x of 0 at 8"), (9, second, "y of 0 at 9")] {
        let publication = coordinator.publish(&mut follower, &mut desk);
        assert_eq!(publication, Publication::At(Position(position)));
        follower.catch_up(&mut desk);
        passed(&mut third);
        assert_eq!(desk.did.last().unwrap(), did);
        assert!(coordinator.has_passed(ticket, &follower));
    }
    assert!(!coordinator.is_waiting());
}

#[test]
fn mail_that_came_with_parts_wakes_its_receiver_before_they_have_their_slot() {
    let (mut follower, mut other, _) = pair(1);
    for _ in 0..4 {
        other.append(Named::default()).unwrap();
        passed(&mut other);
    }
    let mut desk = Desk::default();
    follower.catch_up(&mut desk);
    let mut coordinator = Coordinator::<Vec<&str>>::new(3);
    coordinator.parts_for(ONE).push("x");
    let publication = coordinator.publish(&mut follower, &mut desk);
    assert_eq!(publication, Publication::AwaitsSlot);
    assert_eq!(desk.roused, [ONE, TWO]);
    desk.roused.clear();
    coordinator.publish(&mut follower, &mut desk);
    assert_eq!(desk.roused, [TWO], "once for the mail");
}

#[test]
fn who_holds_up_ticks_is_woken_though_there_are_no_transactions() {
    let (mut follower, mut other, _) = pair(1);
    let mut desk = Desk::default();
    let mut coordinator = Coordinator::<Vec<&'static str>>::new(3);
    for ms in 1..5 {
        follower.begin_turn(ms, &mut desk);
        let publication = coordinator.publish(&mut follower, &mut desk);
        assert_eq!(publication, Publication::Nothing);
        passed(&mut other);
    }
    // Core 2 sleeps: told of at each quarter from half a ring on.
    assert_eq!(desk.roused, [TWO, TWO, TWO]);
}

#[test]
fn a_sleeper_is_roused_once() {
    let sleepers = Sleepers::new(2);
    assert!(!sleepers.rouse(ONE));
    sleepers.announce(ONE);
    assert!(!sleepers.rouse(ZERO) && sleepers.rouse(ONE) && !sleepers.rouse(ONE));
    sleepers.announce(ONE);
    sleepers.withdraw(ONE);
    assert!(!sleepers.rouse(ONE));
}
