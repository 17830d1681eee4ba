//! The model, and what it cannot say: how elements are drawn, bounds, what moves while all is freed.

use std::collections::HashMap;

use proptest::prelude::*;

use super::address::{Bucket, Position};
use super::model::play;
use super::run::Shape;
use super::{ElementRef, NodeSizes, Spiral, run_of};
use crate::nodes::{Heap, Long, NodeKind, Owner};
use crate::raw::Block;
use crate::{KeyHasher, UnixMillis};

fn cases(count: u32) -> ProptestConfig {
    let mut config = ProptestConfig::default();
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = if cfg!(miri) { 2 } else { count };
    }
    config
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn a_collection_does_what_the_model_does(steps in prop::collection::vec(any::<u8>(), 1..1200)) {
        play(&steps);
    }
}

fn hash_of() -> impl Fn(&[u8]) -> u64 {
    let hasher = KeyHasher::with_seeds([1, 2, 3, 4]);
    move |name| hasher.hash(name)
}

fn filled(count: usize, value: &[u8]) -> (Heap, Spiral) {
    filled_of(&NodeSizes::FIELDS, count, value)
}

fn filled_of(sizes: &'static NodeSizes, count: usize, value: &[u8]) -> (Heap, Spiral) {
    let mut heap = Heap::new(1 << 30).expect("address space");
    let mut spiral = Spiral::new(&mut heap, Owner(1), sizes).expect("memory");
    for number in 0..count {
        let element = ElementRef {
            name: &number.to_le_bytes(),
            value,
            deadline: None,
        };
        spiral.put(&mut heap, &hash_of(), element).expect("memory");
    }
    (heap, spiral)
}

#[test]
fn elements_are_drawn_about_equally_often() {
    let count = if cfg!(miri) { 20 } else { 1000 };
    let (heap, spiral) = filled(count, b"value");
    let mut drawn: HashMap<Vec<u8>, u32> = HashMap::new();
    for draw in 0..200 * count as u64 {
        let element = spiral.random(&heap, draw << 8);
        let name = element.expect("there are some").name.to_vec();
        *drawn.entry(name).or_default() += 1;
    }
    assert_eq!(drawn.len(), count);
    // 200 each; of a thousand, the furthest off are by four deviations of 14.
    assert!(
        drawn.values().all(|times| (130..=270).contains(times)),
        "{drawn:?}"
    );
}

#[test]
fn there_are_as_many_nodes_as_the_bytes_in_use_want_at_any_size() {
    let (mut heap, mut spiral) = filled(0, b"");
    let count: usize = if cfg!(miri) { 200 } else { 5000 };
    let mut nodes = Vec::new();
    for number in 0..2 * count {
        let name = (number % count).to_le_bytes();
        let before = spiral.table.len();
        if number < count {
            let element = ElementRef {
                name: &name,
                value: &[7; 50],
                deadline: None,
            };
            spiral.put(&mut heap, &hash_of(), element).expect("memory");
        } else {
            assert!(spiral.remove(&mut heap, &hash_of(), &name));
        }
        assert!(spiral.table.len().abs_diff(before) <= 1, "one at a time");
        assert!(spiral.used_bytes <= spiral.sizes.run_mean_bytes * u64::from(spiral.table.len()));
        nodes.push(spiral.table.len());
    }
    assert_eq!(nodes.last(), Some(&1));
    spiral.check(&heap, &hash_of());
}

#[test]
fn nodes_are_merged_into_two_where_places_for_deadlines_make_them_too_long_for_one() {
    let (mut heap, mut spiral) = filled(0, b"");
    let put = |spiral: &mut Spiral, heap: &mut Heap, number: u32, len, deadline| {
        let element = ElementRef {
            name: &number.to_le_bytes(),
            value: &[7; 128][..len],
            deadline,
        };
        spiral.put(heap, &hash_of(), element).expect("memory");
    };
    let position = |number: &u32| Position::of(hash_of()(&number.to_le_bytes()));
    // Of four nodes the two that would be merged: one of many small elements, one of few long ones that end.
    let [low, high] = Bucket::to_divide(3).halves();
    let is_low = |number: &u32| (low.start()..high.start()).contains(&position(number));
    let is_high = |number: &u32| (high.start()..high.end()).contains(&position(number));
    let is_other = |number: &u32| !is_low(number) && !is_high(number);
    let mut filler: Vec<u32> = (0..).filter(is_other).take(900).collect();
    for &number in &filler {
        put(&mut spiral, &mut heap, number, 0, None);
    }
    for number in (0..).filter(is_low).take(280) {
        put(&mut spiral, &mut heap, number, 0, None);
    }
    for number in (0..).filter(is_high).take(13) {
        put(&mut spiral, &mut heap, number, 128, Some(UnixMillis(1)));
    }
    while spiral.table.len() > 3 {
        let number = filler.pop().expect("the rest fits three");
        assert!(spiral.remove(&mut heap, &hash_of(), &number.to_le_bytes()));
    }
    assert_eq!(spiral.overflow.len(), 1);
    spiral.check(&heap, &hash_of());
}

#[test]
fn an_element_that_comes_and_goes_copies_and_divides_no_node() {
    let (mut heap, mut spiral) = filled_of(&NodeSizes::ENTRIES, 500, &[7; 64]);
    // Up to where a node is divided.
    let nodes = spiral.table.len();
    let mut number = 500usize;
    let put = |heap: &mut Heap, spiral: &mut Spiral, number: usize| {
        let element = ElementRef {
            name: &number.to_le_bytes(),
            value: &[7; 64],
            deadline: None,
        };
        spiral.put(heap, &hash_of(), element).expect("memory");
        let (_, block) = spiral.first_block(heap, hash_of()(element.name));
        block
    };
    while spiral.table.len() == nodes {
        number += 1;
        put(&mut heap, &mut spiral, number);
    }
    let block = put(&mut heap, &mut spiral, number);
    for _ in 0..20 {
        assert!(spiral.remove(&mut heap, &hash_of(), &number.to_le_bytes()));
        assert_eq!(put(&mut heap, &mut spiral, number), block);
        assert_eq!(spiral.table.len(), nodes + 1);
    }
}

#[test]
fn what_has_come_to_be_alike_is_found_when_nodes_are_merged() {
    let count = if cfg!(miri) { 100 } else { 1000 };
    let (mut heap, mut spiral) = filled(count, &[7; 60]);
    let mut put = |value: &[u8], deadline| {
        for number in 0..count {
            let element = ElementRef {
                name: &number.to_le_bytes(),
                value,
                deadline,
            };
            spiral.put(&mut heap, &hash_of(), element).expect("memory");
        }
    };
    put(&[7; 61], Some(UnixMillis(1)));
    put(&[7; 60], None);
    while spiral.table.len() > 1 {
        let name = spiral
            .random(&heap, 1)
            .expect("there are some")
            .name
            .to_vec();
        assert!(spiral.remove(&mut heap, &hash_of(), &name));
    }
    spiral.check(&heap, &hash_of());
    let shape = Shape::read(run_of(&heap, spiral.table.get(&heap.arena, 0)));
    let plain = Shape::empty(0).with(8, 60, None);
    assert_eq!(shape.used(), 9 + shape.count * (plain.needed() - 9));
}

fn long_blocks(heap: &Heap, node: Block) -> Vec<Block> {
    let (run, mut blocks) = (run_of(heap, node), Vec::new());
    Shape::read(run).for_each(run, |element| match element.value().reference() {
        Some(Long::Block(block)) => blocks.push(block),
        _ => unreachable!("all values are long"),
    });
    blocks
}

#[test]
fn long_values_move_while_their_collection_is_being_freed() {
    let (mut heap, mut spiral) = filled(if cfg!(miri) { 300 } else { 2000 }, &[7; 200]);
    assert!(spiral.table.len() > 2);
    while spiral.dismantle(&mut heap, 1).is_some() {
        for ordinal in 0..spiral.table.len() {
            let node = spiral.table.get(&heap.arena, ordinal);
            for block in long_blocks(&heap, node) {
                let moved = heap.arena.move_block(block).expect("memory");
                spiral.block_moved(&mut heap, NodeKind::Long, block, moved);
            }
        }
    }
    assert_eq!((heap.arena.live_bytes(), spiral.block_bytes()), (0, 0));
}
