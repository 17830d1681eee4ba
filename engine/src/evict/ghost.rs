//! Ghosts: what a small queue let go of lately. An entry that comes back while its ghost is there was let go of too soon.
//!
//! ```text
//!  identity ─▶ two buckets of eight cells, one cache line of two;   cell, 4 bytes:  | fingerprint, 16 | stamp, 16 |
//! ```
//! The stamp says how many bytes had been let go of by then, in ticks of some 4096th of the window; a ghost is there as long as no more
//! than the window have gone since. So the oldest fade without being touched, and a cell that has faded is as good as free. A ghost that
//! is taken gives its bytes back to the others, which stay so much longer, as in a queue from which it is removed.
//!
//! Where both buckets are full the oldest of sixteen gives way; with 95% of the cells in use hardly one that has not nearly faded.
//! Of those who are no ghosts one of some 4000 is taken for one.
//!
//! The table is made for as many ghosts as the window has, by their mean size. When that has changed by much, another is begun, and the
//! one before is read until all in it have faded. Chunks are made when first written and freed one at a time: no step is long.

use super::Identity;
use super::rng::mix;
use crate::raw::prefetch_read;

const WAYS: usize = 8;

/// Eight cells, in half of a cache line.
#[derive(Clone, Copy)]
#[repr(align(32))]
struct Bucket([u32; WAYS]);

/// Buckets of a chunk: 64 KiB.
const CHUNK_BUCKETS: usize = 2 << 10;

/// Of the entry so far behind the tail of a small queue the place of its ghost is brought near.
pub(crate) const GHOSTS_AHEAD: usize = 8;

/// Taken ghosts are counted by shares of the window,
const SHARES_OF_WINDOW: u64 = 16;

/// and as far back as sixteen windows.
const SHARES: usize = 256;

struct Cells {
    chunks: Vec<Vec<Bucket>>,
    buckets: u32,
    held_bytes: u64,
    /// How many bytes a tick has, as a power of two.
    tick: u32,
}

impl Cells {
    fn new(ghosts: u64, window: u64) -> Self {
        // Below a hundred the two buckets are crowded by chance.
        let cells = ghosts + ghosts / 20 + 24;
        let buckets = (cells.div_ceil(WAYS as u64)).min(1 << 28) as u32;
        let chunks = (buckets as usize).div_ceil(CHUNK_BUCKETS);
        Self {
            chunks: vec![Vec::new(); chunks],
            buckets,
            held_bytes: 0,
            tick: tick_of(window),
        }
    }

    fn cells(&self) -> u64 {
        u64::from(self.buckets) * WAYS as u64
    }

    fn stamp(&self, clock: u64) -> u16 {
        (clock >> self.tick) as u16
    }

    /// Bytes that have gone since, as far as a stamp tells.
    fn age(&self, cell: u32, clock: u64) -> u64 {
        u64::from(self.stamp(clock).wrapping_sub(cell as u16)) << self.tick
    }

    /// Fingerprint and the two buckets.
    fn places(&self, identity: Identity) -> (u32, [usize; 2]) {
        let hash = mix(identity.0.into());
        let bucket = |bits: u64| ((bits * u64::from(self.buckets)) >> 24) as usize;
        let fingerprint = (hash as u32 & 0xFFFF).max(1) << 16;
        (
            fingerprint,
            [bucket(hash >> 40), bucket(hash >> 16 & 0xFF_FFFF)],
        )
    }

    /// The cells of a bucket; none if its chunk is yet to be made.
    fn bucket(&self, bucket: usize) -> Option<&[u32; WAYS]> {
        let chunk = &self.chunks[bucket / CHUNK_BUCKETS];
        Some(&chunk.get(bucket % CHUNK_BUCKETS)?.0)
    }

    fn bucket_mut(&mut self, bucket: usize) -> &mut [u32; WAYS] {
        let index = bucket / CHUNK_BUCKETS;
        let chunk = &mut self.chunks[index];
        if chunk.is_empty() {
            let buckets = (self.buckets as usize - index * CHUNK_BUCKETS).min(CHUNK_BUCKETS);
            *chunk = vec![Bucket([0; WAYS]); buckets];
            self.held_bytes += (buckets * size_of::<Bucket>()) as u64;
        }
        &mut chunk[bucket % CHUNK_BUCKETS].0
    }

    /// Asks for the buckets of an identity. A hint.
    fn prefetch(&self, identity: Identity) {
        for bucket in self.places(identity).1 {
            if let Some(cells) = self.bucket(bucket) {
                prefetch_read(cells);
            }
        }
    }

    fn find(&self, identity: Identity) -> Option<(usize, usize)> {
        let (fingerprint, buckets) = self.places(identity);
        for bucket in buckets {
            let is_it = |&cell: &u32| cell & 0xFFFF_0000 == fingerprint;
            let way = self
                .bucket(bucket)
                .and_then(|cells| cells.iter().position(is_it));
            if let Some(way) = way {
                return Some((bucket, way));
            }
        }
        None
    }

    /// Takes a ghost out; how many bytes have gone since it came.
    fn take(&mut self, identity: Identity, clock: u64) -> Option<u64> {
        let (bucket, way) = self.find(identity)?;
        let cell = std::mem::take(&mut self.bucket_mut(bucket)[way]);
        Some(self.age(cell, clock))
    }

    fn add(&mut self, identity: Identity, clock: u64) {
        let (fingerprint, buckets) = self.places(identity);
        let stamp = self.stamp(clock);
        let [one, other] = buckets.map(|bucket| oldest(self.bucket_mut(bucket), stamp));
        let (bucket, way) = match one.0 >= other.0 {
            true => (buckets[0], one.1),
            false => (buckets[1], other.1),
        };
        self.bucket_mut(bucket)[way] = fingerprint | u32::from(stamp);
    }

    /// Frees one chunk; whether there is another.
    fn fade(&mut self) -> bool {
        if let Some(chunk) = self.chunks.pop() {
            self.held_bytes -= (chunk.len() * size_of::<Bucket>()) as u64;
        }
        !self.chunks.is_empty()
    }
}

/// How many bytes a tick has for a window of so many, as a power of two.
fn tick_of(window: u64) -> u32 {
    (window >> 12).checked_ilog2().unwrap_or(0)
}

/// The cell of a bucket that came first, or is free, by the stamp of now: its age in ticks, and which it is.
fn oldest(cells: &[u32; WAYS], stamp: u16) -> (u32, usize) {
    const FREE: u32 = 1 << 16;
    // All of them at once, without a branch: of the highest age, of these the first.
    let ranks: [u32; WAYS] = std::array::from_fn(|way| {
        let age = match cells[way] {
            0 => FREE,
            cell => stamp.wrapping_sub(cell as u16).into(),
        };
        age << 3 | (WAYS - 1 - way) as u32
    });
    let highest = ranks.into_iter().fold(0, u32::max);
    (highest >> 3, WAYS - 1 - (highest as usize & (WAYS - 1)))
}

/// What a small queue let go of lately.
pub(crate) struct Ghost {
    /// Bytes of all ghosts.
    window: u64,
    /// Bytes let go of so far.
    clock: u64,
    /// The time from which on ghosts are there: the window's bytes before now, and those of ghosts taken since.
    tail: u64,
    /// Bytes of ghosts that were taken, by the time when they came.
    taken: [u64; SHARES],
    taken_bytes: u64,
    cells: Option<Cells>,
    /// The table of before, and the time of the last that came there.
    before: Option<(Cells, u64)>,
    faded: Vec<Cells>,
    mean_bytes: f64,
}

impl Ghost {
    pub(crate) fn new() -> Self {
        Self {
            window: 0,
            clock: 0,
            tail: 0,
            taken: [0; SHARES],
            taken_bytes: 0,
            cells: None,
            before: None,
            faded: Vec::new(),
            mean_bytes: 0.0,
        }
    }

    /// Ghosts have so many bytes together from now on.
    pub(crate) fn set_window(&mut self, bytes: u64) {
        if self.window != bytes {
            self.window = bytes;
            self.taken = [0; SHARES];
            self.taken_bytes = 0;
            self.advance();
        }
    }

    pub(crate) fn held_bytes(&self) -> u64 {
        let faded = self.faded.iter();
        let of = |cells: &Cells| {
            cells.held_bytes + (cells.chunks.capacity() * size_of::<Vec<Bucket>>()) as u64
        };
        self.cells.as_ref().map_or(0, of)
            + self.before.as_ref().map_or(0, |(cells, _)| of(cells))
            + faded.map(of).sum::<u64>()
    }

    fn share_bytes(&self) -> u64 {
        (self.window / SHARES_OF_WINDOW).max(1)
    }

    fn share(&self, time: u64) -> usize {
        (time / self.share_bytes()) as usize % SHARES
    }

    /// Brings near what [`Self::take`] and [`Self::add`] read of an identity. A hint.
    #[inline]
    pub(crate) fn prefetch(&self, identity: Identity) {
        if let Some(cells) = &self.cells {
            cells.prefetch(identity);
        }
    }

    /// Whether an entry of so many bytes was let go of lately; its ghost goes.
    pub(crate) fn take(&mut self, identity: Identity, bytes: u64) -> bool {
        let clock = self.clock;
        let cells = self.cells.as_mut();
        let mut age = cells.and_then(|cells| cells.take(identity, clock));
        if age.is_none()
            && let Some((before, _)) = &mut self.before
        {
            age = before.take(identity, clock);
        }
        let Some(came) = age.map(|age| clock.saturating_sub(age)) else {
            return false;
        };
        // A stamp tells the tick, the tail may lie within it.
        if came + self.tick_bytes() <= self.tail {
            return false;
        }
        if came + self.reach_max() > clock {
            let share = self.share(came.saturating_sub(1));
            self.taken[share] += bytes;
            self.taken_bytes += bytes;
        }
        true
    }

    /// What may have gone since the oldest came, however many were taken: as far as is counted, and stamps tell.
    fn reach_max(&self) -> u64 {
        let counted = self.share_bytes() * (SHARES as u64 - 2);
        counted.min(self.tick_bytes() * u64::from(u16::MAX - 2))
    }

    fn tick_bytes(&self) -> u64 {
        self.cells.as_ref().map_or(1, |cells| 1 << cells.tick)
    }

    /// Has the oldest fade that exceed the window.
    fn advance(&mut self) {
        let share_bytes = self.share_bytes();
        let oldest = self.clock.saturating_sub(self.reach_max());
        self.tail = self.tail.max(oldest);
        for _ in 0..SHARES {
            let taken = self.taken_bytes.min(self.clock - self.tail);
            let excess = (self.clock - self.tail - taken).saturating_sub(self.window);
            let next_share = (self.tail / share_bytes + 1) * share_bytes;
            if excess < next_share - self.tail {
                self.tail += excess;
                return;
            }
            let share = self.share(self.tail);
            self.taken_bytes -= std::mem::take(&mut self.taken[share]);
            self.tail = next_share;
        }
    }

    /// An entry is let go of; entries have `mean_bytes` just now.
    pub(crate) fn add(&mut self, identity: Identity, bytes: u64, mean_bytes: u64) {
        if self.mean_bytes == 0.0 {
            self.mean_bytes = mean_bytes as f64;
        }
        self.mean_bytes += (bytes as f64 - self.mean_bytes) / 1024.0;
        let ghosts = (self.window as f64 / self.mean_bytes.max(1.0)) as u64;
        let fits = self.cells.as_ref().is_some_and(|cells| {
            let tick = tick_of(self.window);
            ghosts <= cells.cells() + cells.cells() / 8
                && cells.cells() <= 2 * ghosts + 64
                && tick.abs_diff(cells.tick) <= 1
        });
        if !fits {
            self.begin(ghosts);
        }
        self.fade();
        self.clock += bytes;
        self.advance();
        let clock = self.clock;
        if let Some(cells) = &mut self.cells {
            cells.add(identity, clock);
        }
    }

    fn begin(&mut self, ghosts: u64) {
        let cells = self.cells.replace(Cells::new(ghosts, self.window));
        let before = cells.map(|cells| (cells, self.clock));
        let faded = std::mem::replace(&mut self.before, before);
        self.faded.extend(faded.map(|(cells, _)| cells));
    }

    /// Lets go of a table in which all have faded, a chunk at a time.
    fn fade(&mut self) {
        let tail = self.tail;
        if let Some((cells, _)) = self.before.take_if(|(_, last)| *last < tail) {
            self.faded.push(cells);
        }
        if self.faded.last_mut().is_some_and(|cells| !cells.fade()) {
            self.faded.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, VecDeque};

    use super::super::rng::Rng;
    use super::*;

    /// A queue from which what is taken is removed.
    #[derive(Default)]
    struct Model {
        order: VecDeque<(u32, u64)>,
        known: HashMap<u32, u64>,
        bytes: u64,
        serial: u64,
    }

    impl Model {
        fn take(&mut self, identity: Identity, bytes: u64) -> bool {
            let known = self.known.remove(&identity.0).is_some();
            self.bytes -= if known { bytes } else { 0 };
            known
        }

        fn add(&mut self, identity: Identity, bytes: u64, window: u64) {
            self.serial += 1;
            self.known.insert(identity.0, self.serial);
            self.order.push_back((identity.0, self.serial));
            self.bytes += bytes;
            while self.bytes > window {
                let Some((oldest, serial)) = self.order.pop_front() else {
                    break;
                };
                if self.known.get(&oldest) == Some(&serial) {
                    self.known.remove(&oldest);
                    self.bytes -= size_of_key(oldest);
                }
            }
        }
    }

    fn size_of_key(key: u32) -> u64 {
        100 + u64::from(key % 7) * 30
    }

    /// How often ghosts and a queue differ, of all questions; and what the ghosts take.
    fn compare(window: u64, keys: u64, seed: u64) -> (f64, u64) {
        let (mut ghost, mut model, mut rng) = (Ghost::new(), Model::default(), Rng::new(seed));
        ghost.set_window(window);
        let (mut asked, mut differ) = (0.0, 0.0);
        for _ in 0..60_000 {
            let random = rng.next();
            // Some come back sooner than others.
            let key = ((random >> 32) % keys) >> (random % 5);
            let identity = Identity(mix(key) as u32);
            let bytes = size_of_key(identity.0);
            let known = ghost.take(identity, bytes);
            asked += 1.0;
            differ += f64::from(known != model.take(identity, bytes));
            ghost.add(identity, bytes, 190);
            model.add(identity, bytes, window);
        }
        (differ / asked, ghost.held_bytes())
    }

    #[test]
    fn ghosts_are_there_as_long_as_in_a_queue() {
        for (window, keys) in [(20_000, 500), (400_000, 9000), (3_000_000, 30_000)] {
            let (differ, _) = compare(window, keys, window);
            assert!(differ < 0.02, "{window} {keys}: {differ}");
        }
    }

    #[test]
    fn a_ghost_takes_some_five_bytes() {
        let (_, bytes) = compare(2_000_000, 1_000_000, 1);
        let ghosts = 2_000_000 / 190;
        assert!(bytes < 11 * ghosts / 2 + 1000, "{bytes}");
    }

    #[test]
    fn a_window_that_changes_keeps_what_is_within_it() {
        let mut ghost = Ghost::new();
        ghost.set_window(10_000);
        let identity = |key: u32| Identity(mix(key.into()) as u32);
        for key in 0..100 {
            ghost.add(identity(key), 100, 100);
        }
        ghost.set_window(400_000);
        for key in 100..1000 {
            ghost.add(identity(key), 100, 100);
        }
        let kept = (500..1000)
            .filter(|&key| ghost.take(identity(key), 100))
            .count();
        assert!(kept > 490, "{kept}");
        ghost.set_window(100);
        for key in 1000..2000 {
            ghost.add(identity(key), 100, 100);
        }
        let kept = (1000..2000)
            .filter(|&key| ghost.take(identity(key), 100))
            .count();
        assert!(kept <= 3, "{kept}");
        assert!(ghost.held_bytes() < 4000, "{}", ghost.held_bytes());
    }
}
