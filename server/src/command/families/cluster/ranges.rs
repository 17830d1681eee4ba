//! Ranges of slots among arguments: pairs of the first slot and the last.

use larder_engine::parse_canonical_i64;

use crate::command::Args;
use crate::resp::ErrorReply;
use crate::resp::errors;
use crate::routing::{SLOTS, Slot};

/// The slot that an argument names.
pub(super) fn parse_slot(text: &[u8]) -> Result<Slot, ErrorReply> {
    let number = parse_canonical_i64(text);
    number.and_then(Slot::new).ok_or(errors::BAD_SLOT)
}

/// For each slot whether it is in one of the ranges that arguments `from..end` are.
pub(super) fn parse_ranges(
    args: &Args<'_>,
    (from, end): (usize, usize),
    command: &str,
) -> Result<Vec<bool>, ErrorReply> {
    if end < from + 2 || !(end - from).is_multiple_of(2) {
        return Err(errors::wrong_arity(command));
    }
    let mut ranges = Vec::new();
    for at in (from..end).step_by(2) {
        let (first, last) = (parse_slot(args.at(at))?, parse_slot(args.at(at + 1))?);
        ranges.push((first.number(), last.number()));
    }
    if ranges.len() >= usize::from(SLOTS) {
        return Err(errors::bad_number_of_ranges(ranges.len()));
    }
    ranges.sort_by_key(|(first, _)| *first);
    let mut named = vec![false; usize::from(SLOTS)];
    for (first, last) in ranges {
        if first > last {
            return Err(errors::slots_backwards(first, last));
        }
        for slot in first..=last {
            if std::mem::replace(&mut named[usize::from(slot)], true) {
                return Err(errors::slot_twice(slot));
            }
        }
    }
    Ok(named)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::families::wire::words;

    #[test]
    fn ranges_are_pairs_of_slots_that_come_once() {
        let named = |command: &[&str]| {
            let (bytes, ranges) = words(command);
            let args = Args::new(&bytes, &ranges);
            let named = parse_ranges(&args, (1, args.len()), "trimslots")?;
            let slots = (0..SLOTS).filter(|&slot| named[usize::from(slot)]);
            Ok::<_, ErrorReply>(slots.collect::<Vec<u16>>())
        };
        assert_eq!(
            named(&["trimslots", "7", "8", "3", "4"]),
            Ok(vec![3, 4, 7, 8])
        );
        assert_eq!(
            named(&["trimslots", "7", "8", "3"]),
            Err(errors::wrong_arity("trimslots"))
        );
        assert_eq!(named(&["trimslots"]), Err(errors::wrong_arity("trimslots")));
        assert_eq!(
            named(&["trimslots", "7", "6"]),
            Err(errors::slots_backwards(7, 6))
        );
        assert_eq!(
            named(&["trimslots", "5", "7", "7", "9"]),
            Err(errors::slot_twice(7))
        );
        assert_eq!(named(&["trimslots", "5", "16384"]), Err(errors::BAD_SLOT));
        assert_eq!(named(&["trimslots", "-1", "5"]), Err(errors::BAD_SLOT));
    }
}
