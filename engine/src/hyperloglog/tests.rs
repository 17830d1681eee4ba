//! HyperLogLog against registers in an array, and against values that redis-server has made.

use proptest::prelude::*;

use super::estimate::{Histogram, estimate};
use super::*;

fn of(elements: &[&str], sparse_max_bytes: u64) -> Vec<u8> {
    let mut value = empty();
    for element in elements {
        add(&mut value, Rank::of(element.as_bytes()), sparse_max_bytes).unwrap();
    }
    value
}

fn registers_of(value: &[u8]) -> Registers {
    let mut registers = Registers::default();
    registers.merge(value).unwrap();
    registers
}

/// A rank that elements may well have, or hardly ever.
fn rank() -> impl Strategy<Value = Rank> {
    let registers = prop_oneof![0u16..40, Just(REGISTERS as u16 - 1), 0..REGISTERS as u16];
    let ranks = prop_oneof![8 => 1u8..4, 2 => 4u8..33, 1 => 33..=RANK_MAX as u8];
    (registers, ranks).prop_map(|(register, rank)| Rank { register, rank })
}

/// An element as most are.
fn low_rank() -> impl Strategy<Value = Rank> {
    (0..REGISTERS as u16, 1u8..6).prop_map(|(register, rank)| Rank { register, rank })
}

/// A sparse value that elements have made, or one made of runs in any order, which may be joined or not, and not be all registers.
fn sparse_value() -> impl Strategy<Value = Vec<u8>> {
    let ranks = prop_oneof![
        prop::collection::vec(low_rank(), 0..300),
        prop::collection::vec(rank(), 0..60)
    ];
    let of_elements = ranks.prop_map(|ranks| {
        let mut value = empty();
        for rank in ranks.into_iter().filter(|rank| rank.rank <= 32) {
            add(&mut value, rank, 3000).unwrap();
        }
        value
    });
    let run = prop_oneof![
        2 => (0x80u8..0x88).prop_map(|values| vec![values]),
        1 => (0x80u8..).prop_map(|values| vec![values]),
        1 => (0u8..0x40).prop_map(|zeros| vec![zeros]),
        1 => (0x40u8..0x44, any::<u8>()).prop_map(|(zeros, more)| vec![zeros, more]),
    ];
    let runs = prop::collection::vec(run, 0..200);
    let of_runs = (runs, 0usize..20).prop_map(|(runs, lacks)| {
        let mut value = empty();
        value.truncate(HEADER_BYTES);
        value.extend(runs.concat());
        let mut registers = 0;
        // What is there of them is counted as far as it goes.
        let _ = sparse::for_each_run(&value, |run| registers += run.count);
        let lacking = REGISTERS.saturating_sub(registers);
        // One in twenty has a register too few.
        let zeros = lacking - usize::from(lacks == 0).min(lacking);
        if zeros > 0 {
            sparse::push_zeros(&mut value, zeros);
        }
        value
    });
    prop_oneof![of_elements, of_runs]
}

/// Registers with these values, in the order of a series of random numbers.
fn scattered(values: &[u8], seed: u64) -> Registers {
    let mut registers = Registers::default();
    let mut state = seed | 1;
    for register in registers.0.0.iter_mut() {
        state = state.wrapping_mul(0xD134_2543_DE82_EF95).wrapping_add(1);
        *register = values[(state >> 33) as usize % values.len()];
    }
    registers
}

proptest! {
    #[test]
    fn registers_keep_the_highest_rank_however_they_are_written(
        ranks in prop::collection::vec(rank(), 0..300),
        sparse_max_bytes in prop_oneof![Just(0u64), 20u64..400, Just(3000)],
    ) {
        let mut model = [0u8; REGISTERS];
        let (mut value, mut dense) = (empty(), to_dense(&empty()).unwrap());
        for rank in ranks {
            let register = &mut model[usize::from(rank.register)];
            let raises = *register < rank.rank;
            *register = rank.rank.max(*register);
            prop_assert_eq!(super::raises(&dense, rank), raises);
            prop_assert_eq!(add(&mut value, rank, sparse_max_bytes), Ok(raises));
            prop_assert_eq!(add(&mut dense, rank, 0), Ok(raises));
            if representation(&value) == Some(Representation::Sparse) {
                prop_assert!(value.len() as u64 <= sparse_max_bytes.max(18));
            }
        }
        prop_assert_eq!(*registers_of(&value).bytes(), model);
        prop_assert_eq!(*registers_of(&dense).bytes(), model);
        prop_assert_eq!(count(&value), count(&dense));
        prop_assert_eq!(count(&value), Ok(registers_of(&dense).count()));
        prop_assert_eq!(to_dense(&value).unwrap(), dense);
    }

    #[test]
    fn registers_merged_with_others_are_those_of_all_values(
        left in prop::collection::vec(rank(), 0..100),
        right in prop::collection::vec(rank(), 0..100),
    ) {
        let value_of = |ranks: &[Rank]| {
            let mut value = empty();
            ranks.iter().for_each(|rank| { add(&mut value, *rank, 3000).unwrap(); });
            value
        };
        let (left, right) = (value_of(&left), value_of(&right));
        let mut expected = registers_of(&left);
        expected.merge(&right).unwrap();
        let mut merged = registers_of(&left);
        merged.merge_with(&registers_of(&right));
        prop_assert_eq!(merged, expected);
    }

    #[test]
    fn changes_of_a_dense_value_are_those_of_its_elements_one_by_one(
        before in prop::collection::vec(rank(), 0..50),
        mut ranks in prop::collection::vec(rank(), 0..50),
    ) {
        let mut value = to_dense(&empty()).unwrap();
        for rank in before {
            add(&mut value, rank, 0).unwrap();
        }
        let mut expected = value.clone();
        let raised = ranks.iter().filter(|rank| add(&mut expected, **rank, 0).unwrap()).count();
        let (changes, changed) = dense_changes(&value, &mut ranks);
        for (at, bytes) in changes {
            value[at..at + bytes.len()].copy_from_slice(&bytes);
        }
        prop_assert_eq!(value, expected);
        prop_assert_eq!(changed, raised as u64);
    }

    #[test]
    fn registers_are_counted_as_one_by_one(
        values in prop::collection::vec(0u8..64, 1..200),
        seed in any::<u64>(),
    ) {
        let registers = scattered(&values, seed);
        let mut expected = [0u32; REGISTER_VALUES];
        for register in registers.bytes() {
            expected[usize::from(*register)] += 1;
        }
        let mut histogram = Histogram::default();
        histogram.add_bytes(registers.bytes());
        prop_assert_eq!(histogram.counts(), expected);
        let dense = registers.as_dense(&empty());
        prop_assert_eq!(registers_of(&dense), registers);
    }

    #[test]
    fn registers_are_estimated_alike_weighed_and_counted(
        values in prop_oneof![
            prop::collection::vec(0u8..24, 1..200),
            prop::collection::vec(0u8..44, 1..200),
            prop::collection::vec(0u8..64, 1..20),
        ],
        seed in any::<u64>(),
    ) {
        let registers = scattered(&values, seed);
        let mut histogram = Histogram::default();
        histogram.add_bytes(registers.bytes());
        prop_assert_eq!(estimate(registers.bytes()), histogram.estimate());
        prop_assert_eq!(count(&registers.as_dense(&empty())), Ok(histogram.estimate()));
    }

    #[test]
    fn elements_added_together_leave_the_bytes_that_they_leave_one_by_one(
        value in sparse_value(),
        ranks in prop_oneof![
            prop::collection::vec(rank(), 0..40),
            prop::collection::vec(low_rank(), 0..40),
            prop::collection::vec(low_rank(), 0..600),
        ],
        sparse_max_bytes in prop_oneof![Just(3000u64), 0u64..1500],
    ) {
        let (mut expected, mut raised, mut is_corrupt) = (value.clone(), 0, false);
        for rank in &ranks {
            match add(&mut expected, *rank, sparse_max_bytes) {
                Ok(is_raised) => raised += u64::from(is_raised),
                Err(Corrupt) => {
                    is_corrupt = true;
                    break;
                }
            }
        }
        forget_count(&mut expected);
        let added = add_to_sparse(&value, ranks.iter().copied(), sparse_max_bytes);
        prop_assert_eq!(added.is_corrupt, is_corrupt);
        prop_assert_eq!(added.raised, raised);
        prop_assert_eq!(added.value, (raised > 0).then_some(expected));
    }

    #[test]
    fn merging_gives_the_registers_of_all_elements_together(
        ours in prop::collection::vec(rank(), 0..100),
        theirs in prop::collection::vec(rank(), 0..100),
        is_dense in any::<bool>(),
    ) {
        let made = |ranks: &[Rank]| {
            let mut value = empty();
            ranks.iter().for_each(|rank| { add(&mut value, *rank, 3000).unwrap(); });
            value
        };
        let (ours, theirs, both) = (made(&ours), made(&theirs), made(&[ours.clone(), theirs.clone()].concat()));
        let mut registers = registers_of(&ours);
        registers.merge(&theirs).unwrap();
        let merged = registers.merged_into(&ours, is_dense, 3000).unwrap();
        prop_assert_eq!(registers_of(&merged), registers_of(&both));
        prop_assert_eq!(kept_count(&merged), None);
        let is_long = [&ours, &theirs].iter().any(|value| value.len() == DENSE_BYTES);
        if is_dense || is_long {
            prop_assert_eq!(representation(&merged), Some(Representation::Dense));
        }
    }

    #[test]
    fn whatever_a_client_has_written_is_counted_or_refused(
        runs in prop::collection::vec(any::<u8>(), 0..200),
        rest in prop::collection::vec(0u8..0x80, 0..2),
        ranks in prop::collection::vec(rank(), 0..20),
    ) {
        let mut value = empty();
        value.truncate(HEADER_BYTES);
        value.extend(runs);
        value.extend(rest);
        let counted = count(&value);
        prop_assert_eq!(counted.is_ok(), to_dense(&value).is_ok());
        prop_assert_eq!(counted.is_ok(), Registers::default().merge(&value).is_ok());
        decode(&value);
        add_to_sparse(&value, ranks.iter().copied(), 100);
        for rank in ranks {
            let before = value.clone();
            if add(&mut value, rank, 100).is_err() {
                prop_assert_eq!(&value, &before);
            }
        }
    }
}

#[test]
fn many_elements_take_one_pass_over_the_runs() {
    let ranks = |from: u32| -> Vec<Rank> {
        let numbers = from..from + 300;
        numbers
            .map(|number| Rank::of(&number.to_le_bytes()))
            .collect()
    };
    let (value, raised) = many::raise_all(&empty(), &ranks(0)).unwrap();
    let (value, mut one_by_one) = (value.unwrap(), empty());
    let each = ranks(0)
        .into_iter()
        .map(|rank| add(&mut one_by_one, rank, 3000));
    assert_eq!(
        raised,
        each.filter(|raised| *raised == Ok(true)).count() as u64
    );
    assert_eq!(value, one_by_one);
    // What changes nothing copies nothing.
    assert_eq!(many::raise_all(&value, &ranks(0)), Some((None, 0)));
    let (more, _) = many::raise_all(&value, &ranks(300)).unwrap();
    assert_eq!(registers_of(&more.unwrap()), {
        let mut registers = registers_of(&value);
        registers
            .merge(&many::raise_all(&empty(), &ranks(300)).unwrap().0.unwrap())
            .unwrap();
        registers
    });
}

#[test]
fn a_run_that_a_client_has_written_longer_than_it_need_be_becomes_shorter() {
    // One register that is zero, in two bytes, and all others.
    let value = [&empty()[..HEADER_BYTES], &[0x40, 0, 0x7F, 0xFE]].concat();
    let rank = Rank {
        register: 0,
        rank: 1,
    };
    let mut raised = value.clone();
    assert_eq!(add(&mut raised, rank, 3000), Ok(true));
    assert_eq!(raised[HEADER_BYTES..], [0x80, 0x7F, 0xFE]);
    let together = many::raise_all(&value, &[rank]);
    assert_eq!(together, Some((Some(raised), 1)));
}

#[test]
fn values_are_written_as_redis_writes_them() {
    let value = of(&["a", "b", "c", "d", "e"], 3000);
    assert_eq!(
        decode(&value),
        "Z:7292 v:1,1 Z:1143 v:1,1 Z:4274 v:2,1 Z:2445 v:1,1 Z:622 v:1,1 Z:603"
    );
}

#[test]
fn only_a_header_that_redis_knows_is_one() {
    let value = empty();
    assert_eq!(representation(&value), Some(Representation::Sparse));
    assert_eq!(representation(&value[..15]), None);
    assert_eq!(representation(b"HYLX\x01\0\0\0\0\0\0\0\0\0\0\0"), None);
    assert_eq!(representation(b"HYLL\x02\0\0\0\0\0\0\0\0\0\0\0"), None);
    let dense = to_dense(&value).unwrap();
    assert_eq!(representation(&dense), Some(Representation::Dense));
    assert_eq!(representation(&dense[1..]), None);
    assert_eq!(representation(&dense[..DENSE_BYTES - 1]), None);
    assert_eq!(count(&dense), Ok(0));
}

#[test]
fn no_elements_give_registers_beyond_what_an_estimate_can_be() {
    let mut registers = Registers::default();
    registers.0.0.fill(63);
    assert_eq!(registers.count(), 1 << 63);
    registers.0.0.fill(50);
    assert_eq!(registers.count(), 1 << 63);
}

#[test]
fn estimates_are_near_the_number_of_elements() {
    let mut value = empty();
    let mut checkpoint = 1u32;
    for number in 1..=1_000_000u32 {
        let rank = Rank::of(&number.to_le_bytes());
        add(&mut value, rank, 3000).unwrap();
        if number == checkpoint {
            let error = count(&value).unwrap().abs_diff(number.into());
            assert!(
                error as f64 <= (f64::from(number) * 0.03).max(1.0),
                "{number}: {error}"
            );
            checkpoint *= 10;
        }
    }
    assert_eq!(representation(&value), Some(Representation::Dense));
}

#[test]
fn registers_are_taken_alike_with_the_instructions_of_the_machine_and_without() {
    let mut registers = [Registers::default(), Registers::default()];
    let mut state = 1u64;
    for registers in &mut registers {
        for register in registers.0.0.iter_mut() {
            state = state.wrapping_mul(0xD134_2543_DE82_EF95).wrapping_add(1);
            *register = (state >> 58) as u8;
        }
    }
    let [ours, theirs] = registers;
    let both = [true, false].map(|allowed| {
        allow_vectors(allowed);
        let dense = theirs.as_dense(&empty());
        let mut merged = ours.clone();
        merged.merge(&dense).unwrap();
        (dense, merged)
    });
    allow_vectors(true);
    assert_eq!(both[0], both[1]);
    let highest = ours
        .bytes()
        .iter()
        .zip(theirs.bytes())
        .map(|(a, b)| *a.max(b));
    assert!(highest.eq(both[0].1.bytes().iter().copied()));
}
