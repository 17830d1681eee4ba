//! The model, and what it cannot say: what a use is, events, what is told of a look-up, how close to uniform a draw is.

use proptest::prelude::*;

use super::model::play;
use crate::journal::Event;
use crate::shard::tests::{cases, shard};
use crate::shard::{Access, Shard};
use crate::{DbIndex, Kept, Kind, Noted, StringForm, TtlChange, WrongType};

const DB: DbIndex = DbIndex(0);

proptest! {
    #![proptest_config(cases(60, 2))]

    #[test]
    fn sets_do_what_the_model_does(steps in prop::collection::vec(any::<u8>(), 1..1500)) {
        play(&steps);
    }
}

fn add(shard: &mut Shard, key: &[u8], member: &[u8]) -> bool {
    let hasher = shard.hasher().clone();
    let opened = shard.set_mut(DB, hasher.key(key));
    let mut set = opened.expect("it is a set, or nothing");
    let added = set.add(member).expect("memory");
    match added {
        true => set.close(&[Event::SAdd]),
        false => set.close(&[]),
    }
    added
}

#[test]
fn a_key_comes_with_its_first_member_and_goes_with_its_last() {
    let mut shard = shard();
    shard.journal().keep_notes(Kept {
        changes: false,
        events: true,
    });
    let hasher = shard.hasher().clone();
    let key = hasher.key(b"key");
    assert_eq!(
        shard
            .set_at(DB, key, Access::Touch)
            .map(|set| set.is_some()),
        Ok(false)
    );
    assert!(add(&mut shard, b"key", b"member"));
    assert!(!add(&mut shard, b"key", b"member"));
    let mut set = shard.set_mut(DB, key).expect("a set");
    assert!(set.remove(b"member") && !set.remove(b"member"));
    set.close(&[Event::SRem]);
    assert!(shard.get(DB, key, Access::Peek).is_none());
    let notes = shard.journal().take_notes();
    let of_note = |what: Noted| match what {
        Noted::Event(event) => event,
        other => panic!("{other:?}"),
    };
    let events: Vec<Event> = notes.iter().map(|note| of_note(note.what)).collect();
    let expected = [
        Event::Missed,
        Event::New,
        Event::SAdd,
        Event::SRem,
        Event::Del,
    ];
    assert_eq!(events, expected);
}

#[test]
fn a_set_is_no_other_type_and_no_other_type_is_one() {
    let mut shard = shard();
    let hasher = shard.hasher().clone();
    let (set, string) = (hasher.key(b"set"), hasher.key(b"string"));
    add(&mut shard, b"set", b"1");
    let (form, ttl) = (StringForm::Detect, TtlChange::Clear);
    shard
        .set(DB, string, b"1", form, ttl, Event::Set)
        .expect("memory");
    assert!(shard.hash(DB, set, Access::Touch).is_err());
    assert!(shard.list(DB, set, Access::Touch).is_err());
    assert!(shard.set_at(DB, string, Access::Touch).is_err());
    assert!(shard.set_mut(DB, string).is_err());
    let entry = shard.get(DB, set, Access::Peek).expect("it is there");
    assert_eq!((entry.string(), entry.elements()), (None, 1));
    let mut seen = Vec::new();
    let keys = [set, hasher.key(b"none"), string, set];
    let wanted = (&[Kind::Set][..], Access::Touch);
    let sets = shard.members_at(DB, keys.into_iter(), wanted, |found| {
        seen.push(found);
        found.map(drop)
    });
    assert!(sets.is_err(), "it ends at what is none");
    assert_eq!(seen, [Ok(true), Ok(false), Err(WrongType)]);
}

/// Draws of sets in a run and in nodes: beyond this chi-square is one of a thousand, the numbers being always the same.
#[test]
fn each_member_is_drawn_about_as_often_as_any_other() {
    for (members, most) in [(64u32, 103.0), (3000, 3300.0)] {
        let mut shard = shard();
        for member in 0..members {
            add(&mut shard, b"key", format!("member:{member}").as_bytes());
        }
        let hasher = shard.hasher().clone();
        let set = shard.set_at(DB, hasher.key(b"key"), Access::Peek);
        let set = set.expect("a set").expect("it is there");
        let mut times = std::collections::BTreeMap::new();
        let each = 60;
        let mut random = 7u64;
        for _ in 0..members * each {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let mixed = random ^ random >> 29;
            *times
                .entry(set.random(mixed.rotate_left(23)))
                .or_insert(0u32) += 1;
        }
        assert_eq!(times.len() as u32, members);
        let square = |&times: &u32| (f64::from(times) - f64::from(each)).powi(2) / f64::from(each);
        let chi_square: f64 = times.values().map(square).sum();
        assert!(chi_square < most, "{members}: {chi_square}");
    }
}
