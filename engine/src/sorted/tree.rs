//! The tree: descending, and nodes that come and go.
//!
//! What a change needs is taken before it is made ([`SortedSet::reserve`]). An inner node that is full divides; where the new child is at
//! its very end, the new node gets that child alone, so that members which come in order make full nodes.

use super::inner::{self, Child, Inner};
use super::order::{self, Bound, Side, Target};
use super::{NONE, SortedSet, Spot, VACANT, leaf, long};
use crate::nodes::{Heap, NodeKind, Path, Step};
use crate::raw::Block;
use crate::{Direction, StoreError};

/// Children for which the first inner node has room, and by which one grows besides a quarter.
const ROOM_CHILDREN: usize = 4;

/// Inner nodes without children, for what is to be linked.
pub(super) struct Spares(Vec<u32>);

impl SortedSet {
    #[inline(always)]
    pub(super) fn inner<'a>(&self, heap: &'a Heap, ordinal: u32) -> Inner<'a> {
        let block = self.table.get(&heap.arena, ordinal);
        Inner(&heap.arena.tail(block)[..heap.arena.block_bytes(block)])
    }

    #[inline(always)]
    pub(super) fn inner_mut<'a>(&self, heap: &'a mut Heap, ordinal: u32) -> &'a mut [u8] {
        let block = self.table.get(&heap.arena, ordinal);
        let bytes = heap.arena.block_bytes(block);
        &mut heap.arena.tail_mut(block)[..bytes]
    }

    /// The name of the first member below a node that has so many inner nodes above its leaves, itself included.
    fn first_name<'a>(&self, heap: &'a Heap, mut ordinal: u32, height: usize) -> &'a [u8] {
        for _ in 0..height {
            ordinal = self.inner(heap, ordinal).ordinal(0);
        }
        let run = leaf::run(heap, self.table.get(&heap.arena, ordinal));
        long::name(heap, run.body(0))
    }

    /// The child where a target is, or would be: the last whose first member is not behind it, or the first.
    #[inline]
    fn child_of(&self, heap: &Heap, node: Inner<'_>, height: usize, target: &Target<'_>) -> usize {
        // Where the scores do not decide, prefixes and names are looked at.
        let (mut start, mut end) = match *target {
            Target::Member(score, _) => {
                let equal = node.of_score(score);
                (equal.start, equal.end)
            }
            Target::Score(score, Side::Before) => {
                let start = node.of_score(score).start;
                (start, start)
            }
            Target::Score(score, Side::After) => {
                let end = node.of_score(score).end;
                (end, end)
            }
            _ => (1, node.len()),
        };
        while start < end {
            let slot = start.midpoint(end);
            let bottom = inner::Bottom {
                score: node.score(slot),
                prefix: node.prefix(slot),
            };
            let order = target.by_bottom(&bottom);
            let order = match order {
                std::cmp::Ordering::Equal => {
                    target.by_name(self.first_name(heap, node.ordinal(slot), height - 1))
                }
                _ => order,
            };
            match order.is_le() {
                true => start = slot + 1,
                false => end = slot,
            }
        }
        start - 1
    }

    /// Where a target is, or would be, in a tree that has members.
    #[inline]
    pub(super) fn descend(&self, heap: &Heap, target: &Target<'_>) -> Spot {
        let mut path = Path::EMPTY;
        let mut ordinal = self.root;
        for level in 0..self.height {
            let node = self.inner(heap, ordinal);
            let slot = self.child_of(heap, node, self.height - level, target);
            path.push(ordinal, slot);
            ordinal = node.ordinal(slot);
        }
        let block = self.table.get(&heap.arena, ordinal);
        let run = leaf::run(heap, block);
        let at = order::less(&run, target, |body| long::name(heap, body));
        Spot {
            path,
            ordinal,
            block,
            at,
        }
    }

    /// Where the member of a rank is, or, for a rank behind all, the end.
    pub(super) fn descend_to_rank(&self, heap: &Heap, rank: u64) -> Spot {
        let mut path = Path::EMPTY;
        let (mut ordinal, mut rank) = (self.root, rank);
        for _ in 0..self.height {
            let node = self.inner(heap, ordinal);
            let (slot, rest) = node.find_rank(rank);
            path.push(ordinal, slot);
            (ordinal, rank) = (node.ordinal(slot), rest);
        }
        let block = self.table.get(&heap.arena, ordinal);
        let at = rank.min(leaf::run(heap, block).len() as u64) as usize;
        Spot {
            path,
            ordinal,
            block,
            at,
        }
    }

    /// Where a walk of all members in this direction begins, in a tree that has some.
    pub(super) fn descend_to_end(&self, heap: &Heap, direction: Direction) -> Spot {
        let mut path = Path::EMPTY;
        let mut ordinal = self.root;
        for _ in 0..self.height {
            let node = self.inner(heap, ordinal);
            let slot = match direction {
                Direction::Up => 0,
                Direction::Down => node.len() - 1,
            };
            path.push(ordinal, slot);
            ordinal = node.ordinal(slot);
        }
        let block = self.table.get(&heap.arena, ordinal);
        let at = match direction {
            Direction::Up => 0,
            Direction::Down => leaf::run(heap, block).len(),
        };
        Spot {
            path,
            ordinal,
            block,
            at,
        }
    }

    /// Where a bound is, in a tree that has members.
    pub(super) fn spot_of(&self, heap: &Heap, bound: &Bound<'_>) -> Spot {
        match *bound {
            Bound::Rank(rank) => self.descend_to_rank(heap, rank.min(self.len)),
            Bound::Score { score, side } => self.descend(heap, &Target::Score(score, side)),
            Bound::Name { name, side } => self.descend(heap, &Target::Name(name, side)),
            Bound::Start => self.descend_to_end(heap, Direction::Up),
            Bound::End => self.descend_to_end(heap, Direction::Down),
        }
    }

    /// Members before a spot.
    #[inline]
    pub(super) fn rank_of(&self, heap: &Heap, spot: &Spot) -> u64 {
        let steps = spot.path.steps().iter();
        let before = steps.map(|step| self.inner(heap, step.ordinal).members_before(step.slot()));
        before.sum::<u64>() + spot.at as u64
    }

    /// Whether a path leads to the first leaf.
    #[inline]
    pub(super) fn is_first(path: &Path) -> bool {
        path.steps().iter().all(|step| step.slot() == 0)
    }

    /// So many members more, or fewer, are in the leaf below a path.
    pub(super) fn count(&mut self, heap: &mut Heap, path: &Path, change: i64) {
        for step in path.steps() {
            inner::count(self.inner_mut(heap, step.ordinal), step.slot(), change);
        }
        self.len = self.len.wrapping_add_signed(change);
    }

    /// The first member of the leaf below a path is another one: the nodes above are to say so, but for those that have the very first
    /// leaf first, where nobody looks.
    pub(super) fn note_first(&self, heap: &mut Heap, path: &Path, ordinal: u32) {
        if Self::is_first(path) {
            return;
        }
        let bottom = self.leaf_child(heap, ordinal).bottom;
        for step in path.steps().iter().rev() {
            let node = self.inner_mut(heap, step.ordinal);
            inner::set_bottom(node, step.slot(), &bottom);
            if step.slot() > 0 {
                break;
            }
        }
    }

    /// The entry of an inner node that has children.
    fn inner_child(&self, heap: &Heap, ordinal: u32) -> Child {
        let node = self.inner(heap, ordinal);
        Child {
            ordinal,
            members: node.all_members() as u32,
            bottom: node.child(0).bottom,
        }
    }

    /// An ordinal for a node in `block`.
    pub(super) fn occupy(&mut self, heap: &mut Heap, block: Block) -> Result<u32, StoreError> {
        while self.holes > 0
            && let Some(ordinal) = self.vacant.pop()
        {
            let is_hole =
                ordinal < self.table.len() && self.table.get(&heap.arena, ordinal) == VACANT;
            if is_hole {
                self.holes -= 1;
                self.table.set(&mut heap.arena, ordinal, block);
                return Ok(ordinal);
            }
        }
        self.table.push(&mut heap.arena, &mut self.holdings, block)
    }

    /// Gives an ordinal up, whose node is freed.
    pub(super) fn vacate(&mut self, heap: &mut Heap, ordinal: u32) {
        self.table.set(&mut heap.arena, ordinal, VACANT);
        self.holes += 1;
        self.vacant.push(ordinal);
        while let Some(last) = self.table.len().checked_sub(1)
            && self.table.get(&heap.arena, last) == VACANT
        {
            self.table.pop(&mut heap.arena, &mut self.holdings);
            self.holes -= 1;
        }
        if self.holes == 0 {
            self.vacant = Vec::new();
        }
    }

    fn free_node(&mut self, heap: &mut Heap, ordinal: u32) {
        let block = self.table.get(&heap.arena, ordinal);
        self.holdings.free(&mut heap.arena, block);
        self.vacate(heap, ordinal);
    }

    /// Makes sure that a child can be linked at the end of a path.
    pub(super) fn reserve(&mut self, heap: &mut Heap, path: &Path) -> Result<Spares, StoreError> {
        let mut divided = 0;
        let mut is_root_divided = true;
        for step in path.steps().iter().rev() {
            let node = self.inner(heap, step.ordinal);
            let (count, room) = (node.len(), inner::room_of(node.0.len()));
            if count < self.bounds.children {
                if room == count {
                    self.resize_inner(heap, step.ordinal, count + count / 4 + ROOM_CHILDREN)?;
                }
                is_root_divided = false;
                break;
            }
            divided += 1;
        }
        let half = self.bounds.children.div_ceil(2) + 1;
        let halves = std::iter::repeat_n(half, divided);
        let root = is_root_divided.then_some(ROOM_CHILDREN);
        let mut spares = Spares(Vec::new());
        for room in halves.chain(root) {
            match self.new_inner(heap, room) {
                Ok(ordinal) => spares.0.push(ordinal),
                Err(error) => {
                    self.give_back(heap, spares);
                    return Err(error);
                }
            }
        }
        Ok(spares)
    }

    fn give_back(&mut self, heap: &mut Heap, spares: Spares) {
        for ordinal in spares.0 {
            self.free_node(heap, ordinal);
        }
    }

    fn inner_block(
        &mut self,
        heap: &mut Heap,
        ordinal: u32,
        room: usize,
    ) -> Result<Block, StoreError> {
        let bytes = inner::bytes_of(room.min(self.bounds.children));
        self.holdings
            .alloc(&mut heap.arena, bytes, NodeKind::Branches, ordinal)
    }

    fn new_inner(&mut self, heap: &mut Heap, room: usize) -> Result<u32, StoreError> {
        let block = self.inner_block(heap, NONE, room)?;
        inner::set_len(heap.arena.tail_mut(block), 0);
        self.occupy_or_free(heap, block)
    }

    /// An ordinal for the node in `block`, which is told it; without memory the block is freed.
    pub(super) fn occupy_or_free(
        &mut self,
        heap: &mut Heap,
        block: Block,
    ) -> Result<u32, StoreError> {
        let occupied = self.occupy(heap, block);
        match occupied {
            Ok(ordinal) => self.name(heap, block, ordinal),
            Err(_) => self.holdings.free(&mut heap.arena, block),
        }
        occupied
    }

    /// The node in a block has this ordinal now.
    pub(super) fn name(&self, heap: &mut Heap, block: Block, ordinal: u32) {
        let node = heap.arena.tail_mut(block);
        let kind = NodeKind::of(node[0]).expect("a node has a kind");
        crate::nodes::write_head(node, kind, self.holdings.owner, ordinal);
    }

    /// Gives an inner node a block for so many children.
    fn resize_inner(
        &mut self,
        heap: &mut Heap,
        ordinal: u32,
        room: usize,
    ) -> Result<(), StoreError> {
        let old = self.table.get(&heap.arena, ordinal);
        let new = self.inner_block(heap, ordinal, room)?;
        let children: Vec<Child> = self.inner(heap, ordinal).children().collect();
        self.put_in(heap, ordinal, old, new);
        let node = self.inner_mut(heap, ordinal);
        inner::set_len(node, 0);
        inner::append(node, &children);
        Ok(())
    }

    /// The child at the end of a path is `child` now, and `behind` comes behind it.
    pub(super) fn link(
        &mut self,
        heap: &mut Heap,
        path: &Path,
        child: Child,
        behind: Child,
        spares: Spares,
    ) {
        let mut spares = spares.0.into_iter();
        let mut spare = || spares.next().expect("as many as needed were reserved");
        let (mut below, mut carried) = (child, Some(behind));
        for step in path.steps().iter().rev() {
            inner::set_child(self.inner_mut(heap, step.ordinal), step.slot(), &below);
            if let Some(child) = carried.take() {
                carried = self.add_child(heap, step.ordinal, step.slot() + 1, &child, &mut spare);
            }
            below = self.inner_child(heap, step.ordinal);
        }
        if let Some(child) = carried {
            let root = spare();
            inner::append(self.inner_mut(heap, root), &[below, child]);
            self.root = root;
            self.height += 1;
        }
    }

    /// Adds a child to an inner node; what has divided from it is to be linked behind it.
    fn add_child(
        &mut self,
        heap: &mut Heap,
        ordinal: u32,
        slot: usize,
        child: &Child,
        spare: &mut impl FnMut() -> u32,
    ) -> Option<Child> {
        let count = self.inner(heap, ordinal).len();
        if count < self.bounds.children {
            inner::insert(self.inner_mut(heap, ordinal), slot, child);
            return None;
        }
        let new = spare();
        if slot == count {
            inner::insert(self.inner_mut(heap, new), 0, child);
        } else {
            let half = count / 2;
            let node = self.inner(heap, ordinal);
            let moved: Vec<Child> = node.children().skip(half).collect();
            inner::remove(self.inner_mut(heap, ordinal), half..count);
            inner::append(self.inner_mut(heap, new), &moved);
            let (home, slot) = match slot <= half {
                true => (ordinal, slot),
                false => (new, slot - half),
            };
            inner::insert(self.inner_mut(heap, home), slot, child);
        }
        Some(self.inner_child(heap, new))
    }

    /// The leaf at the end of a path has lost its last member.
    pub(super) fn unlink_leaf(&mut self, heap: &mut Heap, path: &Path, ordinal: u32) {
        self.free_node(heap, ordinal);
        self.leaves -= 1;
        match path.bottom() {
            None => self.root = NONE,
            Some(step) => {
                let slot = step.slot();
                inner::remove(self.inner_mut(heap, step.ordinal), slot..slot + 1);
                self.settle(heap, path);
            }
        }
    }

    /// Children of the inner node at the end of a path have gone or become others: has the nodes above say so, frees those without
    /// children, joins those with few, and makes the tree as low as it can be.
    pub(super) fn settle(&mut self, heap: &mut Heap, path: &Path) {
        for (level, step) in path.steps().iter().enumerate().skip(1).rev() {
            let above = path.steps()[level - 1];
            let count = self.inner(heap, step.ordinal).len();
            if count == 0 {
                let slot = above.slot();
                inner::remove(self.inner_mut(heap, above.ordinal), slot..slot + 1);
                self.free_node(heap, step.ordinal);
                continue;
            }
            let child = self.inner_child(heap, step.ordinal);
            inner::set_child(self.inner_mut(heap, above.ordinal), above.slot(), &child);
            if count <= self.bounds.children / 4 {
                self.join_inner(heap, above);
            }
        }
        while self.height > 0 {
            let root = self.root;
            let node = self.inner(heap, root);
            match node.len() {
                0 => (self.root, self.height) = (NONE, 0),
                1 => {
                    self.root = node.ordinal(0);
                    self.height -= 1;
                }
                _ => break,
            }
            self.free_node(heap, root);
        }
    }

    /// The slots of a child and a neighbour that together have at most `most` of what `amount` tells, the left one first.
    pub(super) fn neighbours(
        &self,
        heap: &Heap,
        at: Step,
        most: usize,
        amount: impl Fn(&Heap, u32) -> usize,
    ) -> Option<[usize; 2]> {
        let node = self.inner(heap, at.ordinal);
        let amount_of = |slot: usize| amount(heap, node.ordinal(slot));
        let own = amount_of(at.slot());
        let right = at.slot() + 1;
        if right < node.len() && own + amount_of(right) <= most {
            return Some([at.slot(), right]);
        }
        let left = at.slot().checked_sub(1)?;
        (own + amount_of(left) <= most).then_some([left, at.slot()])
    }

    /// Joins an inner node and a neighbour below the same one, if both fit one with room to spare.
    fn join_inner(&mut self, heap: &mut Heap, at: Step) {
        let most = self.bounds.children * 3 / 4;
        let amount = |heap: &Heap, ordinal| self.inner(heap, ordinal).len();
        let Some(slots) = self.neighbours(heap, at, most, amount) else {
            return;
        };
        let [left, right] = slots.map(|slot| self.inner(heap, at.ordinal).ordinal(slot));
        let moved: Vec<Child> = self.inner(heap, right).children().collect();
        let node = self.inner(heap, left);
        let count = node.len() + moved.len();
        if inner::room_of(node.0.len()) < count
            && self
                .resize_inner(heap, left, count + ROOM_CHILDREN)
                .is_err()
        {
            return;
        }
        inner::append(self.inner_mut(heap, left), &moved);
        self.free_node(heap, right);
        let joined = self.inner_child(heap, left);
        let node = self.inner_mut(heap, at.ordinal);
        inner::set_child(node, slots[0], &joined);
        inner::remove(node, slots[1]..slots[1] + 1);
    }
}
