//! A large list by itself: its ends, its middle, ranges, and elements that come among others.

use larder_engine::End;
use larder_engine::bench::BareList;

use crate::data::{ELEMENT, MEMORY_CEILING_BYTES, scattered};

/// Elements of the lists that are read and changed in the middle.
pub const ELEMENTS: usize = 100_000;
/// Elements of a range.
pub const RANGE: u32 = 100;

/// A list without elements.
pub fn empty() -> BareList {
    BareList::new(MEMORY_CEILING_BYTES).expect("address space is to be had")
}

/// A list of so many elements of 16 bytes.
pub fn filled(elements: usize) -> BareList {
    let mut list = empty();
    push(&mut list, End::Tail, elements);
    list
}

/// Adds `count` elements at an end.
pub fn push(list: &mut BareList, end: End, count: usize) {
    for _ in 0..count {
        list.push(end, &ELEMENT).expect("memory is to be had");
    }
}

/// Takes `count` elements at an end out; their bytes.
pub fn pop(list: &mut BareList, end: End, count: usize) -> usize {
    (0..count).filter_map(|_| list.pop(end)).sum()
}

/// Indexes all over a list, as many as asked for.
fn indexes(list: &BareList, count: usize) -> impl Iterator<Item = u32> + use<> {
    let stride = list.len() / count as u32;
    scattered(count, count).map(move |number| number as u32 * stride)
}

/// Reads `count` elements all over the list; their bytes.
pub fn index(list: &BareList, count: usize) -> usize {
    let elements = indexes(list, count).filter_map(|index| list.get(index));
    elements.map(<[u8]>::len).sum()
}

/// Reads [`RANGE`] elements at `count` places all over the list; the sum of their first bytes.
pub fn range(list: &BareList, count: usize) -> usize {
    let mut sum = 0;
    for index in indexes(list, count) {
        let start = index.min(list.len() - RANGE);
        list.range(start..start + RANGE, |element| {
            sum += usize::from(element[0])
        });
    }
    sum
}

/// Adds `count` elements among the others, all over the list.
pub fn insert(list: &mut BareList, count: usize) {
    for index in indexes(list, count) {
        list.insert(index, &ELEMENT).expect("memory is to be had");
    }
}

/// Takes `count` elements all over the list out, one by one.
pub fn remove(list: &mut BareList, count: usize) {
    for index in indexes(list, count) {
        let index = index.min(list.len() - 1);
        list.remove(index..index + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_come_and_go() {
        let mut list = filled(ELEMENTS);
        assert_eq!(index(&list, 1000), 16_000);
        assert_eq!(range(&list, 10), 1000 * usize::from(b'e'));
        insert(&mut list, 1000);
        remove(&mut list, 2000);
        push(&mut list, End::Head, 500);
        assert_eq!(list.len() as usize, ELEMENTS - 500);
        assert_eq!(pop(&mut list, End::Tail, ELEMENTS), 16 * (ELEMENTS - 500));
    }
}
