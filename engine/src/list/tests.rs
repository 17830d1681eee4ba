//! What the models cannot say by themselves: bounds, memory given back, that nothing moves at the ends.

use std::sync::Arc;

use proptest::prelude::*;

use super::field::Field;
use super::model::{SMALL, play};
use super::packed::{End, Packed, PackedMut};
use super::packed_model::play_packed;
use super::{BOUNDS, Bounds, List};
use crate::limits::SPAN_MAX_BYTES;
use crate::nodes::{Heap, Owner};
use crate::raw::Buffer;

fn cases(count: u32) -> ProptestConfig {
    let mut config = ProptestConfig::default();
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = if cfg!(miri) { 2 } else { count };
    }
    config
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn a_run_does_what_the_model_does(steps in prop::collection::vec(any::<u8>(), 1..1200)) {
        play_packed(&steps);
    }

    #[test]
    fn a_list_does_what_the_model_does(steps in prop::collection::vec(any::<u8>(), 1..1200)) {
        play(&steps);
    }
}

fn heap() -> Heap {
    Heap::new(1 << 30).expect("address space")
}

/// A list of elements whose lengths are taken from `lens` in turn.
fn filled(heap: &mut Heap, bounds: &'static Bounds, count: u32, lens: &[usize]) -> List {
    let mut list = List::with_bounds(Owner(1), bounds);
    for number in 0..count {
        let len = lens[number as usize % lens.len()];
        let element = vec![number as u8; len];
        list.push(heap, End::Tail, &element).expect("memory");
    }
    list
}

/// Bytes of a list made of the elements of another.
fn fresh_bytes(of: &List, heap: &Heap) -> u64 {
    let (mut own, mut list) = (self::heap(), List::with_bounds(Owner(2), of.bounds));
    of.range(heap, 0..of.len(), |element| {
        list.push(&mut own, End::Tail, element).expect("memory");
    });
    list.block_bytes()
}

#[test]
fn elements_of_one_length_cost_a_fifth_of_a_byte_and_others_little_more_than_one() {
    let count = if cfg!(miri) { 5_000 } else { 100_000 };
    let varying: Vec<usize> = (0..17).map(|nth| 8 + nth * 5 % 17).collect();
    for (lens, most) in [(&[16][..], 0.25), (&varying, 1.4), (&[600], 40.0)] {
        for end in [End::Head, End::Tail] {
            let (mut heap, mut list) = (heap(), List::new(Owner(1)));
            for number in 0..count {
                let element = vec![number as u8; lens[number % lens.len()]];
                list.push(&mut heap, end, &element).expect("memory");
            }
            let over = list.block_bytes() + list.list_bytes() - list.payload_bytes();
            let each = over as f64 / count as f64;
            assert!(
                each < most,
                "{each} for lengths such as {}, {end:?}",
                lens[0]
            );
        }
    }
}

#[test]
fn memory_comes_back_as_elements_go_one_by_one() {
    let count = if cfg!(miri) { 500 } else { 20_000 };
    // Small leaves are mostly header, and may be three eighths full.
    for (bounds, tenths) in [(&BOUNDS, 13), (&SMALL, 22)] {
        for kept in [2, 10, 100] {
            let mut heap = heap();
            let mut list = filled(&mut heap, bounds, count, &[6, 9, 12, 40]);
            for at in (0..count).rev().filter(|at| at % kept != 0) {
                list.remove(&mut heap, at..at + 1);
            }
            list.check(&heap);
            assert_eq!(list.len(), count.div_ceil(kept));
            let (now, fresh) = (list.block_bytes(), fresh_bytes(&list, &heap));
            assert!(
                now < fresh * tenths / 10 + 10_000,
                "{now} bytes for {fresh}, one of {kept}"
            );
        }
    }
}

#[test]
fn a_thinned_tree_is_as_low_as_a_fresh_one() {
    static WIDE: Bounds = Bounds {
        leaf_bytes: 192,
        leaf_elements: 10,
        children: 16,
        inline_bytes: 32,
    };
    let mut heap = heap();
    let count = if cfg!(miri) { 2_700 } else { 20_000 };
    let mut list = filled(&mut heap, &WIDE, count, &[6]);
    let height = list.height;
    for at in (0..count).rev().filter(|at| at % 100 != 0) {
        list.remove(&mut heap, at..at + 1);
    }
    list.check(&heap);
    let fresh = filled(&mut self::heap(), &WIDE, list.len(), &[6]);
    assert_eq!((height, list.height), (3, fresh.height));
}

#[test]
fn memory_comes_back_when_the_middle_is_cut_out_and_reclaimed() {
    let count = if cfg!(miri) { 500 } else { 20_000 };
    for bounds in [&BOUNDS, &SMALL] {
        let mut heap = heap();
        let mut list = filled(&mut heap, bounds, count, &[6, 9, 12, 40, 5000]);
        let before = list.block_bytes();
        list.remove(&mut heap, count / 4..count * 3 / 4);
        assert!(list.block_bytes() > before * 3 / 4, "most is freed later");
        let mut slices = 0;
        while let Some(freed) = list.reclaim(&mut heap, 10) {
            assert!(freed <= 11);
            slices += 1;
        }
        list.check(&heap);
        let (now, fresh) = (list.block_bytes(), fresh_bytes(&list, &heap));
        assert!(now < fresh * 11 / 10 + 10_000, "{now} bytes for {fresh}");
        assert!(slices > count / 200, "{slices} slices");
    }
}

#[test]
fn a_queue_takes_no_more_memory_the_longer_it_is_used() {
    let (mut heap, mut list) = (heap(), List::with_bounds(Owner(1), &SMALL));
    let mut most = 0;
    for number in 0..if cfg!(miri) { 2_000 } else { 50_000u32 } {
        list.push(&mut heap, End::Head, &number.to_le_bytes())
            .expect("memory");
        if number >= 500 {
            let popped = list.pop(&mut heap, End::Tail, |element| {
                element == (number - 500).to_le_bytes()
            });
            assert_eq!(popped, Some(true));
        }
        if number == 1_000 {
            most = list.block_bytes() + 1_000;
        }
        assert!(number < 1_000 || list.block_bytes() < most);
    }
    list.check(&heap);
}

#[test]
fn pushing_and_popping_by_turns_takes_no_block_where_a_leaf_is_full() {
    let mut heap = heap();
    let mut list = filled(&mut heap, &BOUNDS, 10_000, &[16]);
    while list.pop(&mut heap, End::Tail, |_| ()).is_some() && list.elements_at(End::Tail) > 0 {}
    list.push(&mut heap, End::Tail, &[1; 16]).expect("memory");
    let leaf = |list: &List| list.ends[End::Tail as usize].expect("a leaf").block;
    let block = leaf(&list);
    for _ in 0..100 {
        list.pop(&mut heap, End::Tail, |_| ()).expect("an element");
        assert_eq!((list.elements_at(End::Tail), leaf(&list)), (0, block));
        list.push(&mut heap, End::Tail, &[1; 16]).expect("memory");
        assert_eq!((list.elements_at(End::Tail), leaf(&list)), (1, block));
    }
}

#[test]
fn a_huge_element_in_a_lent_buffer_is_not_copied_and_counts_once_for_each_list() {
    const LONG: usize = SPAN_MAX_BYTES + 5000;
    let (mut heap, mut list) = (heap(), List::new(Owner(1)));
    let mut buffer = Buffer::with_capacity(LONG).expect("memory");
    assert!(buffer.append(&vec![7; LONG]));
    let buffer = Arc::new(buffer);
    let mut other = List::new(Owner(2));
    heap.extents.lend(Arc::clone(&buffer));
    for list in [&mut list, &mut other] {
        let pushed = list.push(&mut heap, End::Head, buffer.bytes());
        assert_eq!(pushed, Ok(()));
    }
    heap.extents.end_lending();
    for list in [&mut list, &mut other] {
        list.push(&mut heap, End::Tail, b"short").expect("memory");
    }
    let element = |list: &List, heap: &Heap| list.get(heap, 0).map(<[u8]>::as_ptr);
    assert_eq!(element(&list, &heap), Some(buffer.bytes().as_ptr()));
    assert_eq!(list.payload_bytes(), LONG as u64 + 5);
    list.check(&heap);

    assert_eq!(element(&other, &heap), element(&list, &heap));
    other.check(&heap);
    let popped = other.pop(&mut heap, End::Head, <[u8]>::len);
    assert_eq!((popped, other.payload_bytes()), (Some(LONG), 5));
    other.check(&heap);
    assert_eq!(element(&list, &heap), Some(buffer.bytes().as_ptr()));
    for list in [&mut list, &mut other] {
        while list.dismantle(&mut heap, 1).is_some() {}
        assert_eq!(list.block_bytes(), 0);
    }
}

#[test]
fn a_run_of_any_length_becomes_a_tree_however_few_its_elements_are() {
    for lens in [
        &[][..],
        &[5000],
        &[40_000],
        &[5000, 0],
        &[0, 5000],
        &[3000, 3000, 10],
    ] {
        let mut bytes = vec![0; 64_000];
        let mut run = PackedMut::empty(&mut bytes);
        let elements: Vec<Vec<u8>> = lens.iter().map(|&len| vec![7; len]).collect();
        for element in &elements {
            assert!(run.push(End::Tail, Field::inline(element)));
        }
        let (mut heap, mut list) = (heap(), List::new(Owner(3)));
        let unpacked = list.unpack(&mut heap, Packed::new(&bytes));
        assert_eq!(unpacked, Ok(()));
        list.check(&heap);
        let mut shown = Vec::new();
        list.range(&heap, 0..list.len(), |element| shown.push(element.to_vec()));
        assert_eq!(shown, elements);
    }
}
