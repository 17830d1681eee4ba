//! Verifying a collection: every element where it belongs, and every sum.

use super::address::{Bucket, Position};
use super::entries::place_of;
use super::run::Shape;
use super::{Place, Spiral, long, run_of, tag_of};
use crate::UnixMillis;
use crate::agenda::NEVER;
use crate::nodes::{Heap, Long, NODE_HEAD_BYTES, NODE_MAX_BYTES, NodeKind, ordinal_of, owner_of};
use crate::raw::Block;

impl Spiral {
    /// Takes as long as there are elements.
    ///
    /// # Panics
    /// An invariant is broken.
    pub(crate) fn check(&self, heap: &Heap, hash_of: &impl Fn(&[u8]) -> u64) {
        let payload = self.check_with(heap, hash_of, |_, _| {}, |deadline| deadline);
        assert_eq!(payload, self.payload_bytes);
    }

    /// As [`Self::check`], of entries; `wakes_at` tells when an item wakes, `look_at` when what has a deadline is looked at at the latest.
    ///
    /// # Panics
    /// An invariant is broken.
    pub(crate) fn check_entries(
        &self,
        heap: &Heap,
        hash_of: &impl Fn(&[u8]) -> u64,
        wakes_at: impl Fn(Block) -> Option<UnixMillis>,
        look_at: impl Fn(UnixMillis) -> UnixMillis,
    ) {
        let check_item = |item, deadline| assert_eq!(wakes_at(item).map(place_of), deadline);
        self.check_with(heap, hash_of, check_item, look_at);
    }

    /// Verifies all but the bytes of names and values, and answers these.
    fn check_with(
        &self,
        heap: &Heap,
        hash_of: &impl Fn(&[u8]) -> u64,
        check_item: impl Fn(Block, Option<UnixMillis>),
        look_at: impl Fn(UnixMillis) -> UnixMillis,
    ) -> u64 {
        let (mut len, mut volatile, mut used, mut payload, mut block_bytes) = (0, 0, 0, 0, 0);
        let mut overflow = 0;
        let owner = self.holdings.owner;
        for ordinal in 0..self.table.len() {
            for (nth, block) in self.blocks_of(heap, ordinal).enumerate() {
                let run = run_of(heap, block);
                let shape = Shape::read(run);
                let node = heap.arena.tail(block);
                assert_eq!(NodeKind::of(node[0]), Some(NodeKind::Elements));
                assert_eq!((owner_of(node), ordinal_of(node)), (owner, ordinal));
                let bytes = heap.arena.block_bytes(block);
                assert_eq!(NODE_HEAD_BYTES + shape.capacity, bytes);
                assert!(bytes <= NODE_MAX_BYTES && shape.front_end() <= shape.bodies().start);
                assert!(nth == 0 || shape.count > 0, "a further node has elements");
                overflow += usize::from(nth > 0);
                used += shape.used() as u64;
                block_bytes += bytes as u64;
                let mut has_references = false;
                let mut end = shape.bodies().end;
                for at in 0..shape.count {
                    let element = shape.element(run, at);
                    end -= element.body_bytes();
                    let view = Self::view(heap, &element);
                    assert_eq!(end + element.body_bytes(), shape.end_of(run, at));
                    let hash = hash_of(view.name);
                    assert_eq!(tag_of(hash), element.tag);
                    let position = Position::of(hash);
                    assert_eq!(Bucket::of(position, self.table.len()).ordinal(), ordinal);
                    let (place, _) = self.locate(heap, hash, view.name);
                    let Place::Taken(spot) = place else {
                        panic!("it is found");
                    };
                    assert_eq!((spot.block, spot.at), (block, at), "a name is there once");
                    len += 1;
                    volatile += u64::from(element.deadline.is_some());
                    let latest = element.deadline.map_or(NEVER, &look_at);
                    assert!(self.look_at(ordinal) <= latest && self.wakes_at() <= latest);
                    payload += (view.name.len() + view.value.len()) as u64;
                    if let Some(item) = element.name().item() {
                        has_references = true;
                        check_item(item, element.deadline);
                    }
                    let references = [element.name().reference(), element.value().reference()];
                    for long in references.into_iter().flatten() {
                        has_references = true;
                        block_bytes += long.used_bytes(heap);
                        if let Long::Block(block) = long {
                            let node = heap.arena.tail(block);
                            assert_eq!(NodeKind::of(node[0]), Some(NodeKind::Long));
                            assert_eq!(owner_of(node), owner);
                            assert_eq!(long::position(node), position);
                        }
                    }
                }
                assert_eq!(end, shape.bodies().start);
                assert!(shape.has_references() || !has_references);
            }
        }
        assert_eq!(self.agenda.is_some(), self.volatile > 0);
        self.table
            .check(&heap.arena, &self.holdings, &mut block_bytes);
        assert!(self.overflow.is_sorted_by_key(|&(ordinal, _)| ordinal));
        assert_eq!(overflow, self.overflow.len());
        assert_eq!(
            (len, volatile, used, block_bytes),
            (
                self.len,
                self.volatile,
                self.used_bytes,
                self.holdings.bytes
            )
        );
        payload
    }
}
