//! A live entry as a reader sees it: slices borrowed from the shard's memory, nothing copied.

use std::ops::ControlFlow;

use crate::item::Head;
use crate::limits::{ITEM_SHARE_BYTES, NEW_ENTRY_BYTES, SHORT_DEADLINE_BYTES};
use crate::memory::Memory;
use crate::raw::Block;
use crate::sorted::SortedSetView;
use crate::spiral::entries::{Short, short_bytes};
use crate::stream::StreamRef;
use crate::{
    AccessClock, Bound, Direction, Encoding, End, Field, Kind, Member, UnixMillis, ValueBytes,
    ValueImage,
};

/// Where an entry lies.
#[derive(Clone, Copy)]
enum Place {
    /// In a block of its own.
    Item(Block),
    /// In this node, a short string.
    Node(Block),
}

/// A live entry, borrowed from the shard.
#[derive(Clone, Copy)]
pub struct EntryRef<'a> {
    memory: &'a Memory,
    place: Place,
    head: Head,
    deadline: Option<UnixMillis>,
    key: &'a [u8],
    value: &'a [u8],
}

impl<'a> EntryRef<'a> {
    #[inline(always)]
    pub(crate) fn new(
        memory: &'a Memory,
        item: Block,
        head: Head,
        deadline: Option<UnixMillis>,
        key: &'a [u8],
        value: &'a [u8],
    ) -> Self {
        Self {
            memory,
            place: Place::Item(item),
            head,
            deadline,
            key,
            value,
        }
    }

    /// A short string.
    #[inline(always)]
    pub(crate) fn of_short(
        memory: &'a Memory,
        head: Head,
        short: &Short,
        key: &'a [u8],
        value: &'a [u8],
    ) -> Self {
        Self {
            memory,
            place: Place::Node(short.node()),
            head,
            deadline: short.deadline(),
            key,
            value,
        }
    }

    /// The item, unless it is a short string.
    #[inline(always)]
    fn item(&self) -> Option<Block> {
        match self.place {
            Place::Item(item) => Some(item),
            Place::Node(_) => None,
        }
    }

    /// The item of a collection.
    #[inline(always)]
    fn collection_item(&self) -> Block {
        self.item().expect("a collection is never a short string")
    }

    /// The same entry with the access history it had before the lookup that found it.
    #[inline(always)]
    pub(crate) fn with_access(mut self, access: AccessClock) -> Self {
        self.head = self.head.with_access(access);
        self
    }

    /// The bytes of the value, whatever its type.
    pub(crate) fn value(&self) -> &'a [u8] {
        self.value
    }

    /// The key.
    #[inline]
    pub fn key(&self) -> &'a [u8] {
        self.key
    }

    /// The data type.
    #[inline]
    pub fn kind(&self) -> Kind {
        self.head.form().kind()
    }

    /// The encoding.
    #[inline]
    pub fn encoding(&self) -> Encoding {
        let form = self.head.form();
        match form.kind() {
            Kind::String => form.string_encoding(),
            kind => self.memory.variant(self.collection_item()).encoding(kind),
        }
    }

    /// The deadline.
    #[inline]
    pub fn expires_at(&self) -> Option<UnixMillis> {
        self.deadline
    }

    /// The access history, as of before this lookup.
    #[inline]
    pub fn access(&self) -> AccessClock {
        self.head.access()
    }

    /// The string's bytes; `None` if the entry is of another type.
    #[inline]
    pub fn string(&self) -> Option<&'a [u8]> {
        match self.kind() {
            Kind::String => Some(self.value),
            _ => None,
        }
    }

    /// The stream; `None` if the entry is of another type.
    pub fn stream(&self) -> Option<StreamRef<'a>> {
        if self.kind() != Kind::Stream {
            return None;
        }
        let owner = self.memory.collection_of(self.collection_item());
        Some(self.memory.stream(owner.expect("a stream is never packed")))
    }

    /// Shows each field of a hash, those past their deadline included; of another value nothing.
    pub fn each_field(&self, show: &mut dyn FnMut(Field<'a>)) {
        if self.kind() == Kind::Hash {
            let fields = self.memory.named(self.collection_item());
            fields.for_each(|field| show(field.into()));
        }
    }

    /// Shows each member of a set, few integers in their order; of another value nothing.
    pub fn each_member(&self, show: &mut dyn FnMut(&'a [u8])) {
        if self.kind() == Kind::Set {
            let item = self.collection_item();
            let members = self.memory.named(item);
            members.each_member(self.memory.variant(item), show);
        }
    }

    /// Shows each element of a list, in order; of another value nothing.
    pub fn each_element(&self, show: &mut dyn FnMut(&'a [u8])) {
        if self.kind() == Kind::List {
            let at = self.memory.list_at(self.collection_item());
            let list = self.memory.list_view(&at);
            list.range(0..list.len(), show);
        }
    }

    /// Shows each member of a sorted set, from the lowest on; of another value nothing.
    pub fn each_scored(&self, show: &mut dyn FnMut(Member<'a>)) {
        if self.kind() == Kind::SortedSet {
            self.sorted()
                .for_each(|name, score| show(Member { name, score }));
        }
    }

    /// Shows members of a sorted set from this rank on until `show` breaks: the rank to go on from, `None` behind the last; of another
    /// value nothing.
    pub fn scored_from(
        &self,
        from: u64,
        show: &mut dyn FnMut(Member<'a>) -> ControlFlow<()>,
    ) -> Option<u64> {
        if self.kind() != Kind::SortedSet {
            return None;
        }
        let (mut rank, mut next) = (from, None);
        self.sorted()
            .walk(&Bound::Rank(from), Direction::Up, &mut |name, score| {
                let shown = show(Member { name, score });
                rank += 1;
                next = shown.is_break().then_some(rank);
                shown
            });
        next
    }

    fn sorted(&self) -> SortedSetView<'a> {
        let at = self.memory.sorted_at(self.collection_item());
        self.memory.sorted_view(at)
    }

    /// Shows fields of a hash from a place on, zero at first, until `show` breaks: the place to go on from, `None` behind the last. A
    /// place is good as long as the hash stays as it is. Of a small one all are shown; of another value nothing.
    pub fn fields_from(
        &self,
        from: u64,
        show: &mut dyn FnMut(Field<'a>) -> ControlFlow<()>,
    ) -> Option<u64> {
        if self.kind() != Kind::Hash {
            return None;
        }
        let fields = self.memory.named(self.collection_item());
        fields.walk(from, |field| show(field.into()))
    }

    /// Shows members of a set from a place on, as [`Self::fields_from`] does fields; of another value nothing.
    pub fn members_from(
        &self,
        from: u64,
        show: &mut dyn FnMut(&'a [u8]) -> ControlFlow<()>,
    ) -> Option<u64> {
        if self.kind() != Kind::Set {
            return None;
        }
        let members = self.memory.named(self.collection_item());
        members.walk(from, |member| show(member.name))
    }

    /// Shows elements of a list from this index on until `show` breaks: the index to go on from, `None` behind the last; of another
    /// value nothing.
    pub fn elements_from(
        &self,
        from: u64,
        show: &mut dyn FnMut(&'a [u8]) -> ControlFlow<()>,
    ) -> Option<u64> {
        if self.kind() != Kind::List {
            return None;
        }
        let at = self.memory.list_at(self.collection_item());
        let list = self.memory.list_view(&at);
        let len = list.len();
        let from = u32::try_from(from).map_or(len, |from| from.min(len));
        let mut next = None;
        list.walk(from..len, End::Head, |index, element| {
            let shown = show(element);
            next = shown.is_break().then_some(u64::from(index) + 1);
            shown
        });
        next
    }

    /// Bytes the entry takes, its share of its node included (`MEMORY USAGE`).
    pub fn memory_bytes(&self) -> u64 {
        match self.place {
            Place::Item(item) => {
                self.memory.item_bytes(item) + self.memory.root_bytes(item) + ITEM_SHARE_BYTES
            }
            Place::Node(node) => {
                short_bytes(self.memory.heap(), node, (self.key.len(), self.value.len()))
            }
        }
    }

    /// Bytes that depend on nothing but the entry: as [`Self::memory_bytes`], but of a short string with what one takes on average beyond
    /// key, string and deadline.
    pub fn own_bytes(&self) -> u64 {
        match self.place {
            Place::Item(_) => self.memory_bytes(),
            Place::Node(_) => {
                let deadline = self.expires_at().map_or(0, |_| SHORT_DEADLINE_BYTES);
                (self.key.len() + self.value.len() + NEW_ENTRY_BYTES + deadline) as u64
            }
        }
    }

    /// Number of elements, those past their deadline included; of a string one.
    pub fn elements(&self) -> u64 {
        match self.kind() {
            Kind::String => 1,
            Kind::List => {
                let at = self.memory.list_at(self.collection_item());
                self.memory.list_view(&at).len().into()
            }
            Kind::Set | Kind::Hash => self.memory.named(self.collection_item()).len(),
            Kind::SortedSet => self.sorted().len(),
            Kind::Stream => self.stream().map_or(0, |stream| stream.len()),
        }
    }

    /// A time before which no deadline of a field comes; `None` if none has one.
    pub fn soonest_field_deadline(&self) -> Option<UnixMillis> {
        match self.kind() {
            Kind::Hash => self.memory.named(self.collection_item()).soonest_deadline(),
            _ => None,
        }
    }

    /// Bytes of the elements of a large collection; of another value those of the value.
    pub fn value_bytes(&self) -> u64 {
        let collection = self.item().and_then(|item| self.memory.collection_of(item));
        match collection {
            Some(collection) => self.memory.payload_of(collection),
            None => self.value.len() as u64,
        }
    }

    /// Whether the value is a string, or a collection that lies in its item: what there is an image of.
    #[inline]
    pub fn is_whole(&self) -> bool {
        !self.head.is_collection()
    }

    fn assert_is_whole(&self) {
        assert!(
            self.is_whole(),
            "the elements of a collection are not in its item"
        );
    }

    /// An owned copy of the value.
    ///
    /// # Panics
    /// It is a large collection: a copy of its number would be a second owner.
    pub fn image(&self) -> ValueImage {
        self.assert_is_whole();
        ValueImage {
            kind: self.kind(),
            encoding: self.encoding(),
            bytes: self.value.to_vec().into(),
            expires_at: self.deadline,
            access: self.access(),
        }
    }

    /// As [`Self::image`], but a value that lies in a buffer is not copied: the image shares it.
    ///
    /// # Panics
    /// As [`Self::image`].
    pub fn shared_image(&self) -> ValueImage {
        self.assert_is_whole();
        let shared = self.item().and_then(|item| self.memory.shared_value(item));
        let bytes = match shared {
            Some((buffer, range)) => ValueBytes::Shared(buffer, range),
            None => self.value.to_vec().into(),
        };
        ValueImage {
            kind: self.kind(),
            encoding: self.encoding(),
            bytes,
            expires_at: self.deadline,
            access: self.access(),
        }
    }
}

impl std::fmt::Debug for EntryRef<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EntryRef")
            .field("key", &self.key.escape_ascii().to_string())
            .field("value", &self.value.escape_ascii().to_string())
            .field("encoding", &self.encoding())
            .field("expires_at", &self.deadline)
            .finish()
    }
}
