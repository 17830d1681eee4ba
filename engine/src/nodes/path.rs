//! The way from the root of a tree of nodes to one of its leaves.

/// Most inner nodes above a leaf: with four children each, more leaves than there are ordinals.
const HEIGHT_MAX: usize = 12;

/// An inner node on the way, and which of its children is next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) ordinal: u32,
    slot: u32,
}

impl Step {
    pub(crate) fn slot(self) -> usize {
        self.slot as usize
    }
}

/// The inner nodes above a leaf, the root first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Path {
    steps: [Step; HEIGHT_MAX],
    len: usize,
}

impl Path {
    pub(crate) const EMPTY: Self = Self {
        steps: [Step {
            ordinal: u32::MAX,
            slot: 0,
        }; HEIGHT_MAX],
        len: 0,
    };

    pub(crate) fn push(&mut self, ordinal: u32, slot: usize) {
        self.steps[self.len] = Step {
            ordinal,
            slot: slot as u32,
        };
        self.len += 1;
    }

    pub(crate) fn pop(&mut self) -> Option<Step> {
        self.len = self.len.checked_sub(1)?;
        Some(self.steps[self.len])
    }

    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps[..self.len]
    }

    /// The inner node right above the leaf.
    pub(crate) fn bottom(&self) -> Option<Step> {
        self.steps().last().copied()
    }
}
