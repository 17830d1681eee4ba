//! Entries as memory knows them: items, and short strings, whose bytes lie in the nodes of their keyspace.

use super::{Content, Memory, Times};
use crate::AccessClock;
use crate::UnixMillis;
use crate::entry::EntryRef;
use crate::item::{Form, HEAD_BYTES, Head, Layout};
use crate::nodes::Heap;
use crate::raw::Block;
use crate::spiral::entries::{
    Entry, NewShort, SHORT_KEY_MAX_BYTES, SHORT_MAX_BYTES, Short, ShortRef, is_exact,
};

impl Content<'_> {
    /// What is written of it to a node, under a key of so many bytes, if it can lie there.
    #[inline(always)]
    pub(crate) fn short(&self, key_len: usize) -> Option<NewShort<'_>> {
        let fits = self.value.len() <= SHORT_MAX_BYTES
            && key_len <= SHORT_KEY_MAX_BYTES
            && self.form.is_string()
            && self.deadline.is_none_or(is_exact);
        fits.then(|| {
            let mut head = [0; HEAD_BYTES];
            Head::new(self.form, self.access).write(&mut head);
            NewShort {
                head,
                string: self.value,
                deadline: self.deadline,
            }
        })
    }
}

impl Short {
    /// What it is, as content of an item.
    #[inline]
    pub(crate) fn content<'a>(&self, heap: &'a Heap) -> (&'a [u8], Content<'a>) {
        let ShortRef { head, key, string } = self.read(heap);
        let head = Head::of_bytes(head);
        let content = Content {
            form: head.form(),
            access: head.access(),
            deadline: self.deadline(),
            value: string,
        };
        (key, content)
    }
}

impl Memory {
    /// The blocks and extents that all lies in.
    #[inline(always)]
    pub(crate) fn heap(&self) -> &Heap {
        &self.heap
    }

    /// The same, to change.
    #[inline(always)]
    pub(crate) fn heap_mut(&mut self) -> &mut Heap {
        &mut self.heap
    }

    /// A short string of so many bytes, key and string, has come.
    #[inline(always)]
    pub(crate) fn short_added(&mut self, bytes: usize) {
        self.payload_bytes += bytes as u64;
    }

    /// Such a one has gone.
    #[inline(always)]
    pub(crate) fn short_removed(&mut self, bytes: usize) {
        self.payload_bytes -= bytes as u64;
    }

    /// A view of an entry.
    #[inline(always)]
    pub(crate) fn view(&self, entry: Entry) -> EntryRef<'_> {
        match entry {
            Entry::Item(item) => self.entry(item),
            Entry::Short(short) => {
                let ShortRef { head, key, string } = short.read(&self.heap);
                EntryRef::of_short(self, Head::of_bytes(head), &short, key, string)
            }
        }
    }

    /// The head of an entry; that of a short string says nothing of its deadline.
    #[inline(always)]
    pub(crate) fn head_of(&self, entry: Entry) -> Head {
        match entry {
            Entry::Item(item) => self.head(item),
            Entry::Short(short) => Head::of_bytes(short.read(&self.heap).head),
        }
    }

    /// The key of an entry.
    pub(crate) fn key_of(&self, entry: Entry) -> &[u8] {
        match entry {
            Entry::Item(item) => self.key(item),
            Entry::Short(short) => short.key(&self.heap),
        }
    }

    /// The deadline of an entry.
    #[inline(always)]
    pub(crate) fn deadline_of(&self, entry: Entry) -> Option<UnixMillis> {
        match entry {
            Entry::Item(item) => self.deadline(item),
            Entry::Short(short) => short.deadline(),
        }
    }

    /// Whether the deadline of an entry has come.
    #[inline(always)]
    pub(crate) fn has_ended(&self, entry: Entry, now: UnixMillis) -> bool {
        match entry {
            Entry::Item(item) => self.is_due(item, now),
            Entry::Short(short) => short.has_ended(now),
        }
    }

    /// When an entry ends and wakes; `None` if it does neither.
    #[inline(always)]
    pub(crate) fn times_of(&self, entry: Entry) -> Option<Times> {
        match entry {
            Entry::Item(item) => self.times(item),
            Entry::Short(short) => Times::ending(short.deadline()),
        }
    }

    /// Sets the access clock of an entry; writes only where it differs.
    #[inline(always)]
    pub(crate) fn set_access_of(&mut self, entry: Entry, access: AccessClock) {
        match entry {
            Entry::Item(item) => self.set_access(item, access),
            Entry::Short(short) => {
                let bytes = short.head_mut(&mut self.heap);
                let head = Head::of_bytes(*bytes);
                let touched = head.with_access(access);
                if touched != head {
                    touched.write(bytes);
                }
            }
        }
    }

    /// The head of an entry, to be written over with another history.
    #[inline(always)]
    pub(crate) fn head_mut_of(&mut self, entry: Entry) -> &mut [u8; HEAD_BYTES] {
        match entry {
            Entry::Item(item) => {
                let head = self.heap.arena.tail_mut(item).first_chunk_mut();
                head.expect("an item begins with its head")
            }
            Entry::Short(short) => short.head_mut(&mut self.heap),
        }
    }

    /// A short string as the item that it might be: the bytes of that, and where among them its key begins.
    pub(crate) fn image_of_short(&self, short: &Short) -> (Vec<u8>, usize) {
        let (key, content) = short.content(&self.heap);
        let (form, deadline) = (content.form, content.deadline);
        let value = content.value;
        let layout = Layout::plan(form, content.access, key.len(), value.len(), deadline);
        let mut image = vec![0; layout.total];
        layout.write_prefix(&mut image, deadline);
        image[layout.key_at..layout.value_at].copy_from_slice(key);
        image[layout.value_at..].copy_from_slice(value);
        (image, layout.key_at)
    }

    /// The key and the content of an item of which this is an image, if it can lie in a node.
    pub(crate) fn short_in_image(image: &[u8]) -> Option<(&[u8], Content<'_>)> {
        let layout = Layout::read(image);
        let is_whole = !layout.head.key_in_extent() && layout.head.value_is_inline();
        let content = Content {
            form: layout.head.form(),
            access: layout.head.access(),
            deadline: layout.deadline(image),
            value: if is_whole {
                layout.inline_value(image)
            } else {
                b""
            },
        };
        let is_short = is_whole && content.short(layout.key_len).is_some();
        is_short.then(|| (layout.inline_key(image), content))
    }

    /// Whether the entry is a collection of which something that was cut off has yet to be freed.
    pub(crate) fn has_some_to_reclaim(&self, entry: Entry) -> bool {
        let collection = item_of(entry).and_then(|item| self.collection_of(item));
        collection.is_some_and(|collection| self.collections.has_some_to_reclaim(collection))
    }

    /// Has what follows succeed with the memory set aside for what must not fail, or does so no more; whether it was so before, and is to
    /// be again afterwards.
    pub(crate) fn insist(&mut self, insists: bool) -> bool {
        self.heap.arena.insist(insists)
    }
}

impl Form {
    /// Whether it is that of a string.
    #[inline(always)]
    pub(crate) fn is_string(self) -> bool {
        !self.is_packed() && !self.is_large()
    }
}

/// An item, if the entry is one.
#[inline(always)]
pub(crate) fn item_of(entry: Entry) -> Option<Block> {
    match entry {
        Entry::Item(item) => Some(item),
        Entry::Short(_) => None,
    }
}
