//! Growing and shrinking: the elements of a bucket are laid out anew in two, or those of two in one.
//!
//! *Where no bucket has further nodes*, and none will, elements go from block to block: those of the bucket to be divided are told apart by
//! position, then each half is written; the lists and elements of two nodes are put one behind the other in one.
//!
//! *Else* what was there is copied out first; then each element is given a home, by its position, in plans of nodes; then the blocks
//! are taken, each of the size of its plan; and only when all are there, the elements are written and the old blocks freed. Without memory
//! nothing changes: the collection has a node too few, or one too many, until the next time.

use super::address::{Bucket, Position};
use super::run::{self, DEADLINE_BYTES, Filler, Shape};
use super::{MERGE_SHIFT, RUN_MAX_BYTES, Spiral, long, run_mut_of, run_of, runs_of_pair};
use crate::StoreError;
use crate::nodes::Heap;
use crate::raw::Block;

/// More elements than a node can have: one may have no byte, 256 have one, and the others at least two, and each a tag.
const NODE_ELEMENTS_MAX: usize = 2048;

/// A node to be made.
struct Plan {
    ordinal: u32,
    shape: Shape,
}

/// Nodes to be made, and for each element of the old ones in which it will be.
struct Layout {
    /// First the first node of each bucket, then further ones.
    plans: Vec<Plan>,
    buckets: usize,
    homes: Vec<u16>,
}

impl Layout {
    /// Lays the elements of `images` out in buckets of these ordinals; `choose` tells which, by the name.
    fn plan(heap: &Heap, images: &[u8], ordinals: &[u32], choose: impl Fn(&[u8]) -> usize) -> Self {
        let empty = |&ordinal: &u32| Plan {
            ordinal,
            shape: Shape::empty(0),
        };
        let mut plans: Vec<Plan> = ordinals.iter().map(empty).collect();
        let mut open: Vec<usize> = (0..ordinals.len()).collect();
        let mut homes = Vec::with_capacity(images.len() / 16);
        let count: usize = runs_of(images).map(|(shape, _)| shape.count).sum();
        // Codes that were alike may have to be written out, and all have places for a deadline where few had.
        let fits_any = images.len() + (2 + DEADLINE_BYTES) * count <= RUN_MAX_BYTES;
        for (shape, run) in runs_of(images) {
            shape.for_each(run, |element| {
                let bucket = choose(long::bytes(heap, element.name()));
                let codes = (element.name_code, element.value_code);
                let plan = plans[open[bucket]].shape;
                let mut with = plan.with(codes.0, codes.1, element.deadline);
                if !fits_any && with.needed() > RUN_MAX_BYTES {
                    open[bucket] = plans.len();
                    plans.push(empty(&ordinals[bucket]));
                    with = Shape::empty(0).with(codes.0, codes.1, element.deadline);
                }
                plans[open[bucket]].shape = with;
                homes.push(open[bucket] as u16);
            });
        }
        Self {
            plans,
            buckets: ordinals.len(),
            homes,
        }
    }
}

/// The runs that lie one behind the other, and their shapes.
fn runs_of(mut images: &[u8]) -> impl Iterator<Item = (Shape, &[u8])> {
    std::iter::from_fn(move || {
        let shape = (!images.is_empty()).then(|| Shape::read(images))?;
        let (run, rest) = images.split_at(shape.capacity);
        images = rest;
        Some((shape, run))
    })
}

impl Spiral {
    /// Makes one node more, or less, if the bytes in use want that.
    #[inline]
    pub(crate) fn balance(&mut self, heap: &mut Heap, hash_of: &impl Fn(&[u8]) -> u64) {
        let mean = self.sizes.run_mean_bytes;
        let most = mean * u64::from(self.table.len());
        if self.used_bytes > most {
            self.divide(heap, hash_of);
        } else if self.used_bytes + (most >> MERGE_SHIFT) + mean < most {
            self.merge(heap);
        }
    }

    #[cold]
    #[inline(never)]
    fn divide(&mut self, heap: &mut Heap, hash_of: &impl Fn(&[u8]) -> u64) {
        let nodes = self.table.len();
        let [low, high] = Bucket::to_divide(nodes).halves();
        let first = self.table.get(&heap.arena, low.ordinal());
        if !Shape::read(run_of(heap, first)).overflows() {
            // Without memory there is a node too few until the next time.
            let _ = self.divide_node(heap, hash_of, [low, high]);
            return;
        }
        let images = self.images(heap, &[low.ordinal()]);
        let ordinals = [low.ordinal(), nodes];
        let layout = Layout::plan(heap, &images, &ordinals, |name| {
            usize::from(Position::of(hash_of(name)) >= high.start())
        });
        let Some(blocks) = self.take_blocks(heap, &layout) else {
            return;
        };
        let pushed = self
            .table
            .push(&mut heap.arena, &mut self.holdings, blocks[1]);
        if pushed.is_err() {
            self.give_blocks_back(heap, blocks);
            return;
        }
        self.lay_out(heap, &images, &layout, &blocks, &[low.ordinal()]);
        self.deadlines_divided(low.ordinal(), nodes);
    }

    /// Divides a bucket of one node.
    fn divide_node(
        &mut self,
        heap: &mut Heap,
        hash_of: &impl Fn(&[u8]) -> u64,
        [low, high]: [Bucket; 2],
    ) -> Result<(), StoreError> {
        let ordinals = [low.ordinal(), high.ordinal()];
        let block = self.table.get(&heap.arena, ordinals[0]);
        let run = run_of(heap, block);
        let shape = Shape::read(run);
        let mut is_high = [0u64; NODE_ELEMENTS_MAX.div_ceil(64)];
        let mut plans = [Shape::empty(0); 2];
        let mut at = 0;
        shape.for_each(run, |element| {
            let name = long::bytes(heap, element.name());
            let half = usize::from(Position::of(hash_of(name)) >= high.start());
            is_high[at / 64] |= (half as u64) << (at % 64);
            let (codes, deadline) = ((element.name_code, element.value_code), element.deadline);
            plans[half] = plans[half].with(codes.0, codes.1, deadline);
            at += 1;
        });
        let lower = self.new_node(heap, ordinals[0], &plans[0])?;
        let pushed = self
            .new_node(heap, ordinals[1], &plans[1])
            .and_then(|upper| {
                let (table, holdings) = (&mut self.table, &mut self.holdings);
                let pushed = table.push(&mut heap.arena, holdings, upper);
                pushed
                    .map(|_| upper)
                    .inspect_err(|_| holdings.free(&mut heap.arena, upper))
            });
        let upper = match pushed {
            Ok(upper) => upper,
            Err(error) => {
                self.holdings.free(&mut heap.arena, lower);
                return Err(error);
            }
        };
        self.used_bytes -= shape.used() as u64;
        for (half, block_of_half) in [lower, upper].into_iter().enumerate() {
            let (from, to) = runs_of_pair(heap, block, block_of_half);
            let plan = plans[half].moved_to(to.len());
            self.used_bytes += plan.used() as u64;
            let (mut filler, mut at) = (Filler::new(to, plan), 0);
            shape.for_each(from, |element| {
                if (is_high[at / 64] >> (at % 64)) as usize & 1 == half {
                    filler.add(to, &element);
                }
                at += 1;
            });
        }
        self.put_in_place(heap, ordinals[0], block, lower);
        self.deadlines_divided(ordinals[0], ordinals[1]);
        Ok(())
    }

    /// Makes one node of two, the only ones of their buckets, if one is enough; whether it is. Without memory there is a node too many
    /// until the next time.
    fn merge_nodes(&mut self, heap: &mut Heap, ordinals: [u32; 2]) -> bool {
        let blocks = ordinals.map(|ordinal| self.table.get(&heap.arena, ordinal));
        let [low, high] = blocks.map(|block| Shape::read(run_of(heap, block)));
        let narrow = |shape: &Shape, block| shape.narrowed(run_of(heap, block));
        let plan = narrow(&low, blocks[0]).joined(&narrow(&high, blocks[1]));
        if low.overflows() || high.overflows() || plan.needed() > RUN_MAX_BYTES {
            return false;
        }
        let bytes = plan.needed() + self.sizes.room_bytes;
        let Ok(merged) = self.block_for(heap, ordinals[0], bytes) else {
            return true;
        };
        let (from, to) = runs_of_pair(heap, blocks[0], merged);
        let plan = plan.moved_to(to.len());
        plan.write(to);
        let end = run::copy_among(from, &low, to, &plan, (0, plan.capacity));
        let (from, to) = runs_of_pair(heap, blocks[1], merged);
        run::copy_among(from, &high, to, &plan, (low.count, end));
        self.used_bytes = self.used_bytes - (low.used() + high.used()) as u64 + plan.used() as u64;
        self.put_in_place(heap, ordinals[0], blocks[0], merged);
        self.table.pop(&mut heap.arena, &mut self.holdings);
        self.holdings.free(&mut heap.arena, blocks[1]);
        self.deadlines_merged(ordinals[1], ordinals[0]);
        true
    }

    #[cold]
    #[inline(never)]
    fn merge(&mut self, heap: &mut Heap) {
        let nodes = self.table.len() - 1;
        let [low, high] = Bucket::to_divide(nodes).halves();
        let ordinals = [low.ordinal(), high.ordinal()];
        if self.merge_nodes(heap, ordinals) {
            return;
        }
        let images = self.images(heap, &ordinals);
        let layout = Layout::plan(heap, &images, &[low.ordinal()], |_| 0);
        let Some(blocks) = self.take_blocks(heap, &layout) else {
            return;
        };
        self.lay_out(heap, &images, &layout, &blocks, &ordinals);
        self.table.pop(&mut heap.arena, &mut self.holdings);
        self.deadlines_merged(high.ordinal(), low.ordinal());
    }

    /// Copies of the runs of these buckets, one behind the other.
    fn images(&self, heap: &Heap, ordinals: &[u32]) -> Vec<u8> {
        let mut images = Vec::with_capacity(ordinals.len() * RUN_MAX_BYTES);
        for &ordinal in ordinals {
            for block in self.blocks_of(heap, ordinal) {
                let run = run_of(heap, block);
                images.extend_from_slice(&run[..Shape::read(run).capacity]);
            }
        }
        images
    }

    /// A block for each plan; `None` if memory is out.
    fn take_blocks(&mut self, heap: &mut Heap, layout: &Layout) -> Option<Vec<Block>> {
        let mut blocks = Vec::with_capacity(layout.plans.len());
        for plan in &layout.plans {
            match self.new_node(heap, plan.ordinal, &plan.shape) {
                Ok(block) => blocks.push(block),
                Err(_) => {
                    self.give_blocks_back(heap, blocks);
                    return None;
                }
            }
        }
        Some(blocks)
    }

    fn give_blocks_back(&mut self, heap: &mut Heap, blocks: Vec<Block>) {
        for block in blocks {
            self.holdings.free(&mut heap.arena, block);
        }
    }

    /// Writes the elements of `images` into `blocks`, which take the place of the nodes of the buckets `old`.
    fn lay_out(
        &mut self,
        heap: &mut Heap,
        images: &[u8],
        layout: &Layout,
        blocks: &[Block],
        old: &[u32],
    ) {
        for &ordinal in old {
            let blocks: Vec<Block> = self.blocks_of(heap, ordinal).collect();
            for block in blocks {
                self.used_bytes -= Shape::read(run_of(heap, block)).used() as u64;
                self.holdings.free(&mut heap.arena, block);
            }
            self.overflow.retain(|&(of, _)| of != ordinal);
        }
        let mut fillers: Vec<Filler> = Vec::with_capacity(blocks.len());
        for (plan, &block) in layout.plans.iter().zip(blocks) {
            let run = run_mut_of(heap, block);
            let shape = plan.shape.moved_to(Shape::read(run).capacity);
            fillers.push(Filler::new(run, shape));
            self.used_bytes += shape.used() as u64;
        }
        let mut homes = layout.homes.iter();
        for (shape, run) in runs_of(images) {
            shape.for_each(run, |element| {
                let home = homes.next().expect("each element has a home");
                let home = usize::from(*home);
                fillers[home].add(run_mut_of(heap, blocks[home]), &element);
            });
        }
        for (number, (plan, &block)) in layout.plans.iter().zip(blocks).enumerate() {
            match number < layout.buckets {
                true => self.table.set(&mut heap.arena, plan.ordinal, block),
                false => self.list_overflow(heap, plan.ordinal, block),
            }
        }
    }
}
