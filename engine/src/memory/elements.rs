//! Items whose value is a large collection, and their elements.

use std::ops::ControlFlow;

use super::collections::Structure;
use super::{Content, Memory};
use crate::item::{Form, Layout, Variant};
use crate::limits::SORTED_MAX_MEMBERS;
use crate::list::List;
use crate::nodes::{Heap, NodeKind, Owner};
use crate::raw::Block;
use crate::sorted::{self, SortedSet, SortedSetView};
use crate::spiral::packed::Packed;
use crate::spiral::{ElementRef, Spiral};
use crate::stream::{Stream, StreamRef};
use crate::{AccessClock, Kind, StoreError, UnixMillis, parse_canonical_i64};

/// Named elements, to read.
#[derive(Clone, Copy)]
pub(crate) enum Named<'a> {
    /// A run in an item.
    Packed(Packed<'a>),
    /// Nodes, and the memory they lie in.
    Large(&'a Spiral, &'a Heap),
}

impl<'a> Named<'a> {
    /// Number of elements.
    #[inline]
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Packed(packed) => packed.len() as u64,
            Self::Large(spiral, _) => spiral.len(),
        }
    }

    /// Bytes that all names and values have at most.
    pub(crate) fn payload_bytes(&self) -> u64 {
        match self {
            Self::Packed(packed) => packed.run_bytes() as u64,
            Self::Large(spiral, _) => spiral.payload_bytes(),
        }
    }

    /// The element of this name, whose hash is `hash`.
    #[inline(always)]
    pub(crate) fn get(&self, hash: u64, name: &[u8]) -> Option<ElementRef<'a>> {
        match self {
            Self::Packed(packed) => packed.find(hash, name).map(|(_, element)| element),
            Self::Large(spiral, heap) => spiral.get(heap, hash, name),
        }
    }

    /// Shows each element once.
    pub(crate) fn for_each(&self, show: impl FnMut(ElementRef<'a>)) {
        match self {
            Self::Packed(packed) => packed.for_each(show),
            Self::Large(spiral, heap) => spiral.for_each(heap, show),
        }
    }

    /// Shows elements from a place on, zero at first, until `show` breaks; the place to go on from as long as nothing changes, `None` at
    /// the end. Of a run all are shown.
    pub(crate) fn walk(
        &self,
        from: u64,
        mut show: impl FnMut(ElementRef<'a>) -> ControlFlow<()>,
    ) -> Option<u64> {
        match self {
            Self::Packed(packed) => packed.for_each(|element| {
                let _ = show(element);
            }),
            Self::Large(spiral, heap) => return spiral.walk(heap, from, show),
        }
        None
    }

    /// Shows each member of a set that says this of itself once: integers in their order, as Redis shows them, as long as they are few.
    pub(crate) fn each_member(&self, variant: Variant, mut show: impl FnMut(&'a [u8])) {
        if !variant.has_integers() || variant.is_outgrown() || self.len() > SORTED_MAX_MEMBERS {
            return self.for_each(|element| show(element.name));
        }
        let mut members = Vec::with_capacity(self.len() as usize);
        self.for_each(|element| {
            let number = parse_canonical_i64(element.name);
            members.push((number.expect("all members are integers"), element.name));
        });
        members.sort_unstable();
        members.into_iter().for_each(|(_, member)| show(member));
    }

    /// An element chosen by `random`, close to uniformly; `None` if there is none.
    pub(crate) fn random(&self, random: u64) -> Option<ElementRef<'a>> {
        match self {
            Self::Packed(packed) => {
                let count = packed.len() as u64;
                let choice = (u128::from(random) * u128::from(count)) >> 64;
                (count > 0).then(|| packed.element(choice as usize))
            }
            Self::Large(spiral, heap) => spiral.random(heap, random),
        }
    }

    /// A time before which no deadline of an element comes; `None` if none has one.
    pub(crate) fn soonest_deadline(&self) -> Option<UnixMillis> {
        match self {
            Self::Packed(packed) => packed.soonest_deadline(),
            Self::Large(spiral, _) => spiral.soonest_deadline(),
        }
    }
}

impl Memory {
    /// Writes a new item whose value is an empty collection.
    pub(crate) fn create_collection(
        &mut self,
        key: &[u8],
        (kind, variant): (Kind, Variant),
        access: AccessClock,
        deadline: Option<UnixMillis>,
    ) -> Result<Block, StoreError> {
        let collection = self.collections.create(&mut self.heap, kind, variant)?;
        let content = Content {
            form: Form::large(kind),
            access,
            deadline,
            value: &collection.0.to_le_bytes(),
        };
        self.create_around(collection, key, &content)
    }

    /// Writes one more item with a collection, which both have then.
    pub(super) fn share_collection(
        &mut self,
        collection: Owner,
        key: &[u8],
        content: &Content<'_>,
    ) -> Result<Block, StoreError> {
        self.collections.share(collection);
        let content = Content {
            value: &collection.0.to_le_bytes(),
            ..*content
        };
        self.create_around(collection, key, &content)
    }

    /// Whether more than one item has a collection.
    pub(crate) fn is_shared(&self, collection: Owner) -> bool {
        self.collections.is_shared(collection)
    }

    /// Writes an item of a collection, which is one of those that it counts, or counts no more.
    fn create_around(
        &mut self,
        collection: Owner,
        key: &[u8],
        content: &Content<'_>,
    ) -> Result<Block, StoreError> {
        let created = self.create(key, content);
        if created.is_err() {
            self.collections.bury(collection);
        }
        created
    }

    /// The collection that is the value of an item, if it is one.
    #[inline]
    pub(crate) fn collection_of(&self, item: Block) -> Option<Owner> {
        let bytes = self.heap.arena.tail(item);
        self.layout(item).collection(bytes)
    }

    /// Bytes of the root of an item's collection, if it has one.
    pub(crate) fn root_bytes(&self, item: Block) -> u64 {
        let collection = self.collection_of(item);
        collection.map_or(0, |collection| self.collections.root_bytes_of(collection))
    }

    /// A collection of named elements, to read, and the memory it lies in.
    #[inline]
    pub(crate) fn spiral(&self, number: Owner) -> (&Spiral, &Heap) {
        (self.collections.spiral(number), &self.heap)
    }

    /// The named elements that are the value of an item.
    ///
    /// # Panics
    /// The value is none.
    #[inline(always)]
    pub(crate) fn named(&self, item: Block) -> Named<'_> {
        self.named_of(item, &self.layout(item))
    }

    /// As [`Self::named`], of an item with this layout.
    #[inline(always)]
    pub(crate) fn named_of(&self, item: Block, layout: &Layout) -> Named<'_> {
        let bytes = self.heap.arena.tail(item);
        match layout.collection(bytes) {
            Some(owner) => Named::Large(self.collections.spiral(owner), &self.heap),
            None => Named::Packed(Packed::new(Self::run_of(bytes, layout))),
        }
    }

    /// Verifies an item's packed elements, if it has such; `hash_of` tells the hash of a name.
    pub(crate) fn check_packed(&self, item: Block, hash_of: &impl Fn(&[u8]) -> u64) {
        let form = self.layout(item).head.form();
        if form.is_packed()
            && form.is_named()
            && let Named::Packed(packed) = self.named(item)
        {
            packed.check(hash_of);
        }
        if form == Form::packed(Kind::SortedSet)
            && let SortedSetView::Packed(run) = self.sorted_view(self.sorted_at(item))
        {
            sorted::check_run(&run);
        }
    }

    /// A list, to read, and the memory it lies in.
    #[inline]
    pub(crate) fn list(&self, number: Owner) -> (&List, &Heap) {
        (self.collections.list(number), &self.heap)
    }

    /// Whether a large collection is a sorted set.
    pub(crate) fn is_sorted(&self, number: Owner) -> bool {
        matches!(
            self.collections.root(number).structure,
            Structure::Sorted(_)
        )
    }

    /// A sorted set, to read, and the memory it lies in.
    #[inline]
    pub(crate) fn sorted(&self, number: Owner) -> (&SortedSet, &Heap) {
        (self.collections.sorted(number), &self.heap)
    }

    /// A stream, to read.
    #[inline]
    pub(crate) fn stream(&self, number: Owner) -> StreamRef<'_> {
        self.collections.stream(number).view(&self.heap)
    }

    /// A stream, and the memory it lies in.
    #[inline]
    pub(crate) fn stream_in_heap(&self, number: Owner) -> (&Stream, &Heap) {
        (self.collections.stream(number), &self.heap)
    }

    /// Has `change` change a stream in its memory.
    #[inline]
    pub(crate) fn change_stream<T>(
        &mut self,
        number: Owner,
        change: impl FnOnce(&mut Stream, &mut Heap) -> T,
    ) -> T {
        let Self {
            collections, heap, ..
        } = self;
        collections.change(number, |structure| change(structure.stream_mut(), heap))
    }

    /// Has `change` change a collection of named elements in its memory.
    #[inline]
    pub(crate) fn change_spiral<T>(
        &mut self,
        number: Owner,
        change: impl FnOnce(&mut Spiral, &mut Heap) -> T,
    ) -> T {
        let Self {
            collections, heap, ..
        } = self;
        collections.change(number, |structure| change(structure.spiral_mut(), heap))
    }

    /// Has `change` change a list in its memory.
    #[inline]
    pub(crate) fn change_list<T>(
        &mut self,
        number: Owner,
        change: impl FnOnce(&mut List, &mut Heap) -> T,
    ) -> T {
        let Self {
            collections, heap, ..
        } = self;
        collections.change_list(number, |list| change(list, heap))
    }

    /// What a collection, large or packed, says of itself.
    pub(crate) fn variant(&self, item: Block) -> Variant {
        let bytes = self.heap.arena.tail(item);
        let layout = self.layout(item);
        match layout.collection(bytes) {
            Some(collection) => self.collections.root(collection).variant,
            None => Variant(self.value(item)[0]),
        }
    }

    /// What a large collection says of itself.
    #[inline]
    pub(crate) fn variant_of(&self, collection: Owner) -> Variant {
        self.collections.root(collection).variant
    }

    /// Bytes of names and values of a large collection.
    pub(crate) fn payload_of(&self, collection: Owner) -> u64 {
        self.collections.root(collection).structure.payload_bytes()
    }

    /// Bytes of blocks and extents of a large collection.
    pub(crate) fn block_bytes_of(&self, collection: Owner) -> u64 {
        self.collections.block_bytes_of(collection)
    }

    /// A large collection says something else of itself.
    pub(crate) fn set_variant(&mut self, collection: Owner, variant: Variant) {
        self.collections.root_mut(collection).variant = variant;
    }

    /// A collection, large or packed, says something else of itself.
    pub(crate) fn set_variant_of(&mut self, item: Block, variant: Variant) {
        match self.collection_of(item) {
            Some(collection) => self.set_variant(collection, variant),
            None => self.set_packed_variant(item, variant),
        }
    }

    /// Moves a node to another block of its class; whether there was memory for that.
    pub(crate) fn move_node(&mut self, node: Block, kind: NodeKind) -> bool {
        let Some(moved) = self.heap.arena.move_block(node) else {
            return false;
        };
        self.collections
            .block_moved(&mut self.heap, kind, node, moved);
        true
    }
}
