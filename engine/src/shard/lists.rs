//! Lists to read: what commands see of one, whichever form it has. What changes them is in `lists/change.rs`.

mod change;
#[cfg(any(test, feature = "model"))]
pub(crate) mod model;
#[cfg(test)]
mod tests;

use std::ops::{ControlFlow, Range};

pub use change::ListMut;

use super::{Access, Shard};
use crate::list::{End, ListView};
use crate::{DbIndex, Key, Kind, WrongType};

/// A list to read.
#[derive(Clone, Copy)]
pub struct ListRef<'a> {
    view: ListView<'a>,
}

impl Shard {
    /// The list at a key, for a command that reads, whose finding nothing is worth a note (`keymiss`).
    ///
    /// # Errors
    /// What is there is of another type.
    #[inline]
    pub fn list(
        &mut self,
        db: DbIndex,
        key: Key<'_>,
        access: Access,
    ) -> Result<Option<ListRef<'_>>, WrongType> {
        let Some(item) = self.collection_to_read(db, key, Kind::List, access)? else {
            return Ok(None);
        };
        let view = self.memory.list_view(&self.memory.list_at(item));
        Ok(Some(ListRef { view }))
    }
}

#[expect(
    clippy::len_without_is_empty,
    reason = "a list that is there has elements"
)]
impl<'a> ListRef<'a> {
    /// Number of elements, at least one.
    #[inline]
    pub fn len(&self) -> u32 {
        self.view.len()
    }

    /// Element `index`.
    #[inline]
    pub fn get(&self, index: u32) -> Option<&'a [u8]> {
        self.view.get(index)
    }

    /// Shows the elements `range`, which there are, in order.
    #[inline]
    pub fn range(&self, range: Range<u32>, show: impl FnMut(&'a [u8])) {
        self.view.range(range, show);
    }

    /// Shows elements with their indexes, from `index` on away from `from`, until `show` answers false.
    #[inline]
    pub fn walk(&self, index: u32, from: End, mut show: impl FnMut(u32, &'a [u8]) -> bool) {
        let len = self.len();
        let range = match from {
            End::Head => index.min(len)..len,
            End::Tail => 0..index.saturating_add(1).min(len),
        };
        self.view
            .walk(range, from, |index, element| match show(index, element) {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            });
    }

    /// The index of the first element that is `element` in `range`, which there is, as seen from this end.
    #[inline]
    pub fn find(&self, range: Range<u32>, from: End, element: &[u8]) -> Option<u32> {
        self.view.find(range, from, element)
    }
}
