//! The journal by itself: who hears of what.

use std::cell::RefCell;
use std::rc::Rc;

use super::*;
use crate::stream::{StreamChange, StreamId};
use crate::watch::Presence;
use crate::{End, Kind, UnixMillis};

const DB: DbIndex = DbIndex(2);

fn remove(journal: &mut Journal, key: &[u8]) {
    journal.record(DB, key, &Effect::Remove(Removal::Deleted));
}

/// A subscriber that keeps what it sees as text.
fn listener() -> (Rc<RefCell<Vec<String>>>, Subscriber) {
    let seen: Rc<RefCell<Vec<String>>> = Rc::default();
    let sink = Rc::clone(&seen);
    let listen = move |record: &Record<'_>| sink.borrow_mut().push(format!("{record:?}"));
    (seen, Box::new(listen))
}

#[test]
fn what_counts_as_less_than_a_change_has_a_record_all_the_same() {
    let mut journal = Journal::default();
    journal.keep_notes(Kept {
        changes: true,
        events: false,
    });
    let range = [Element::Range {
        offset: 0,
        bytes: b"x",
    }];
    for (counts, changes, notes) in [
        (Counts::Nothing, 0, 0),
        (Counts::Part, 0, 1),
        (Counts::Change, 1, 2),
        (Counts::Nothing, 1, 2),
    ] {
        journal.record_as(counts, DB, b"k", &Effect::Elements(&range));
        assert_eq!((journal.changes(), journal.notes.len()), (changes, notes));
    }
    assert_eq!(journal.sequence(), 4);
}

#[test]
fn records_count_as_what_is_said_of_them_unless_they_are_taken_back() {
    let mut journal = Journal::default();
    remove(&mut journal, b"a");
    journal.count_as(1, 9);
    assert_eq!((journal.changes(), journal.sequence()), (9, 1));
    for is_kept in [false, true] {
        journal.hold();
        remove(&mut journal, b"b");
        remove(&mut journal, b"c");
        journal.count_as(2, 5);
        remove(&mut journal, b"d");
        journal.count_as(1, 0);
        assert_eq!(journal.changes(), 14);
        let aside = journal.lay_aside();
        assert_eq!(journal.changes(), 9);
        journal.take_up(aside);
        match is_kept {
            true => journal.release(),
            false => journal.drop_held(),
        }
    }
    assert_eq!((journal.changes(), journal.sequence()), (14, 4));
}

#[test]
fn a_touch_breaks_watches_and_is_noted_and_is_no_record() {
    let mut journal = Journal::default();
    let (seen, listen) = listener();
    journal.subscribe(listen);
    journal.keep_notes(Kept {
        changes: true,
        events: true,
    });
    for (watcher, key) in [(1, b"k"), (2, b"l")] {
        journal.watches.add(watcher, DB, key, Presence::Present);
    }
    journal.hold();
    journal.touch(DB, b"k");
    assert!(!journal.watches.is_broken(1), "it may be taken back");
    journal.release();
    assert!(journal.watches.is_broken(1) && !journal.watches.is_broken(2));
    assert_eq!(journal.take_notes().len(), 1);
    assert_eq!((seen.borrow().len(), journal.sequence()), (0, 0));
    // Neither does what no client could read.
    journal.record_as(Counts::Nothing, DB, b"l", &Effect::Elements(&[]));
    assert!(!journal.watches.is_broken(2));
}

#[test]
fn notes_are_kept_while_they_are_asked_for_and_taken_once() {
    let mut journal = Journal::default();
    remove(&mut journal, b"before");
    journal.tell(DB, b"before", Event::Del);
    journal.keep_notes(Kept {
        changes: true,
        events: true,
    });
    journal.record(DB, b"", &Effect::Remove(Removal::Expired));
    journal.tell(DB, b"", Event::Expired);
    journal.tell(DbIndex(0), b"absent", Event::Missed);
    remove(&mut journal, b"key");
    journal.tell_each(DB, b"key", || {
        [
            Some(Event::New),
            None,
            Some(Event::Silent),
            Some(Event::Set),
        ]
    });
    let notes = journal.take_notes();
    let told: Vec<_> = notes.iter().map(|note| (note.key, note.what)).collect();
    assert_eq!(
        told,
        [
            (&b""[..], Noted::Changed(Author::Shard)),
            (b"", Noted::Event(Event::Expired)),
            (b"absent", Noted::Event(Event::Missed)),
            (b"key", Noted::Changed(Author::Command)),
            (b"key", Noted::Event(Event::New)),
            (b"key", Noted::Event(Event::Set)),
        ]
    );
    assert!(!journal.has_notes());
    journal.return_notes(notes);
    assert!(!journal.has_notes());
    journal.keep_notes(Kept::default());
    remove(&mut journal, b"after");
    journal.tell(DB, b"after", Event::Del);
    assert!(!journal.has_notes());
    assert_eq!(journal.changes(), 4);
}

#[test]
fn changes_and_events_are_noted_each_for_its_own_readers() {
    for (changes, events) in [(true, false), (false, true)] {
        let mut journal = Journal::default();
        journal.keep_notes(Kept { changes, events });
        remove(&mut journal, b"key");
        journal.tell(DB, b"key", Event::Del);
        let notes = journal.take_notes();
        let is_change = |note: Note<'_>| matches!(note.what, Noted::Changed(_));
        let told: Vec<bool> = notes.iter().map(is_change).collect();
        assert_eq!(told, [changes]);
    }
}

#[test]
fn each_subscriber_sees_all_records_from_its_coming_to_its_going() {
    let mut journal = Journal::default();
    let ((first, one), (second, two)) = (listener(), listener());
    remove(&mut journal, b"0");
    let one = journal.subscribe(one);
    remove(&mut journal, b"1");
    let two = journal.subscribe(two);
    remove(&mut journal, b"2");
    assert!(journal.unsubscribe(one) && !journal.unsubscribe(one));
    remove(&mut journal, b"3");
    assert!(journal.unsubscribe(two));
    remove(&mut journal, b"4");
    assert_eq!(first.borrow().len(), 2);
    assert_eq!(second.borrow().len(), 2);
    assert_eq!(first.borrow()[1], second.borrow()[0]);
    assert!(second.borrow()[1].contains("sequence: 4"));
}

#[test]
fn a_record_says_when_it_took_effect() {
    let mut journal = Journal::default();
    let seen: Rc<RefCell<Vec<Moment>>> = Rc::default();
    let sink = Rc::clone(&seen);
    journal.subscribe(Box::new(move |record| {
        sink.borrow_mut().push(record.moment);
    }));
    remove(&mut journal, b"alone");
    let moment = Moment {
        position: 7,
        cores: CoreSet(0b11),
    };
    assert_eq!(journal.set_moment(Some(moment)), None);
    journal.set_position(9);
    remove(&mut journal, b"together");
    assert_eq!(journal.set_moment(None), Some(moment));
    remove(&mut journal, b"alone");
    let alone = Moment::alone;
    assert_eq!(*seen.borrow(), [alone(0), moment, alone(9)]);
    assert!(alone(9).is_alone() && !moment.is_alone());
}

const HELD: Moment = Moment {
    position: 1,
    cores: CoreSet(1),
};

/// One of each.
const ELEMENTS: [Element<'static>; 14] = [
    Element::Range {
        offset: 3,
        bytes: b"bytes",
    },
    Element::Field {
        field: b"field",
        value: b"value",
        expires_at: Some(UnixMillis(9)),
    },
    Element::Push {
        end: End::Head,
        value: b"first",
    },
    Element::Push {
        end: End::Tail,
        value: b"last",
    },
    Element::Pop(End::Tail),
    Element::Insert {
        index: 7,
        value: b"between",
    },
    Element::Replace {
        index: 8,
        value: b"instead",
    },
    Element::Cut { index: 3, count: 2 },
    Element::Member(b"member"),
    Element::Score {
        member: b"member",
        score: -0.5,
    },
    Element::Stream(StreamChange::Added {
        id: StreamId::new(1_700_000_000_000, 1),
        fields: b"fields",
    }),
    Element::Stream(StreamChange::ConsumerGone {
        group: b"group",
        consumer: b"consumer",
    }),
    Element::Gone(b"field"),
    Element::Gone(b""),
];

#[test]
fn elements_reach_subscribers_whole_at_once_or_held_back() {
    let mut journal = Journal::default();
    let (seen, listen) = listener();
    journal.subscribe(listen);
    for is_held in [false, true] {
        if is_held {
            journal.hold();
        }
        journal.set_moment(is_held.then_some(HELD));
        for count in 0..=ELEMENTS.len() {
            let changed = &ELEMENTS[ELEMENTS.len() - count..];
            journal.record(DB, b"value", &Effect::Elements(changed));
            remove(&mut journal, b"value");
        }
        if is_held {
            journal.set_moment(None);
            assert_eq!(seen.borrow().len(), 2 * (ELEMENTS.len() + 1));
            journal.release();
        }
    }
    let seen = seen.borrow();
    let (at_once, held) = seen.split_at(2 * (ELEMENTS.len() + 1));
    for (at, (once, held)) in at_once.iter().zip(held).enumerate() {
        let number = |text: &str, sequence: usize| {
            let effect = text.split_once("moment").expect("a record has one").1;
            assert!(text.contains(&format!("sequence: {sequence},")), "{text}");
            effect.to_owned()
        };
        let (once, held) = (number(once, at + 1), number(held, at_once.len() + at + 1));
        let (before, after) = (Moment::alone(0), HELD);
        let (before, after) = (format!("{before:?}"), format!("{after:?}"));
        assert_eq!(once.replacen(&before, &after, 1), held);
    }
    let all = format!("{ELEMENTS:?}");
    assert!(at_once[2 * ELEMENTS.len()].contains(&all), "{all}");
}

#[test]
fn what_is_taken_away_brings_nothing_and_what_comes_is_of_a_type() {
    let brings: Vec<Option<Kind>> = ELEMENTS
        .iter()
        .map(|element| Effect::Elements(std::slice::from_ref(element)).brings())
        .collect();
    assert_eq!(
        brings,
        [
            Some(Kind::String),
            Some(Kind::Hash),
            Some(Kind::List),
            Some(Kind::List),
            None,
            Some(Kind::List),
            Some(Kind::List),
            None,
            Some(Kind::Set),
            Some(Kind::SortedSet),
            Some(Kind::Stream),
            None,
            None,
            None,
        ]
    );
    assert_eq!(Effect::Elements(&[]).brings(), None);
}

#[test]
fn records_that_are_taken_back_leave_no_gap_in_the_numbers() {
    let mut journal = Journal::default();
    let (seen, listen) = listener();
    journal.subscribe(listen);
    remove(&mut journal, b"1");
    for is_kept in [false, true] {
        journal.hold();
        remove(&mut journal, b"2");
        remove(&mut journal, b"3");
        match is_kept {
            true => journal.release(),
            false => journal.drop_held(),
        }
    }
    remove(&mut journal, b"4");
    let seen = seen.borrow();
    assert_eq!(seen.len(), 4);
    for (at, record) in seen.iter().enumerate() {
        assert!(
            record.contains(&format!("sequence: {},", at + 1)),
            "{record}"
        );
    }
}

#[test]
fn events_held_back_can_be_taken_alone() {
    let mut journal = Journal::default();
    journal.keep_notes(Kept {
        changes: true,
        events: true,
    });
    let change = |journal: &mut Journal, key: &[u8]| {
        remove(journal, key);
        journal.tell(DB, key, Event::Del);
    };
    change(&mut journal, b"before");
    assert!(journal.take_held_events().iter().next().is_none());
    journal.hold();
    change(&mut journal, b"held");
    change(&mut journal, b"too");
    let events = journal.take_held_events();
    let keys: Vec<_> = events.iter().map(|note| (note.key, note.what)).collect();
    let del = Noted::Event(Event::Del);
    assert_eq!(keys, [(&b"held"[..], del), (b"too", del)]);
    assert!(journal.take_held_events().iter().next().is_none());
    change(&mut journal, b"last");
    journal.release();
    let notes = journal.take_notes();
    let left: Vec<_> = notes.iter().map(|note| (note.key, note.what)).collect();
    let changed = Noted::Changed(Author::Command);
    assert_eq!(
        left,
        [
            (&b"before"[..], changed),
            (b"before", del),
            (b"held", changed),
            (b"too", changed),
            (b"last", changed),
            (b"last", del),
        ]
    );
}

#[test]
fn records_laid_aside_get_their_numbers_when_they_are_told() {
    let mut journal = Journal::default();
    let seen: Rc<RefCell<Vec<String>>> = Rc::default();
    let sink = Rc::clone(&seen);
    journal.subscribe(Box::new(move |record| {
        let key = record.key.escape_ascii();
        sink.borrow_mut().push(format!("{} {key}", record.sequence));
    }));
    journal.hold();
    remove(&mut journal, b"held");
    let aside = journal.lay_aside();
    remove(&mut journal, b"meanwhile");
    journal.take_up(aside);
    remove(&mut journal, b"later");
    journal.release();
    remove(&mut journal, b"last");
    assert_eq!(
        *seen.borrow(),
        ["1 meanwhile", "2 held", "3 later", "4 last"]
    );
    assert_eq!((journal.sequence(), journal.changes()), (4, 4));
}
