//! The deadlines of a table: told to its segments, which say when they should be looked at, and found when they have come.

use super::deadlines::Pace;
use super::{Items, Keyspace, Position};
use crate::UnixMillis;
use crate::limits::{GRACE_MAX_MS, GRACE_MIN_MS, LOOK_MAX_ENTRIES, SAMPLED_SEGMENTS};
use crate::memory::{Memory, Times};
use crate::raw::Block;

/// Segments that make a dead entry that waits for others wait a millisecond longer.
const SEGMENTS_PER_GRACE_MS: u32 = 16;

/// What a look at a segment cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    /// The segment.
    pub(crate) segment: u32,
    /// Entries read.
    pub(crate) examined: u32,
    /// Bytes that its table has grown by.
    pub(crate) ticks_bytes: u64,
    /// Whether nothing that is due is left in it, so that the next look is to be planned when what was found is removed.
    pub(crate) is_through: bool,
}

impl Keyspace {
    /// No segment wants to be looked at before this.
    #[inline]
    pub(crate) fn look_at(&self) -> UnixMillis {
        self.agenda.soonest()
    }

    /// The present, and how long a dead entry waits for others: the longer the more segments there are, so that however many
    /// those are, some thousand looks a second are made for single entries.
    #[inline]
    fn pace(&self, now: UnixMillis) -> Pace {
        let segments = (self.chunks.len() * super::CHUNK_SEGMENTS) as u32;
        let grace_ms =
            GRACE_MIN_MS + (segments - super::CHUNK_SEGMENTS as u32) / SEGMENTS_PER_GRACE_MS;
        Pace {
            now,
            grace_ms: grace_ms.min(GRACE_MAX_MS),
        }
    }

    /// One more entry has these times.
    #[inline(always)]
    pub(super) fn count_times(&mut self, times: &Times) {
        self.volatile_fields += u64::from(times.fields_end);
        if let Some(at) = times.ends_at {
            self.volatile += 1;
            self.deadline_sum += i128::from(at.0);
        }
    }

    /// An entry fewer does.
    #[inline(always)]
    pub(super) fn uncount_times(&mut self, times: &Times) {
        self.volatile_fields -= u64::from(times.fields_end);
        if let Some(at) = times.ends_at {
            self.volatile -= 1;
            self.deadline_sum -= i128::from(at.0);
        }
    }

    /// The item in `bucket` of the segment of `hash`, which did not wake, does at this time.
    pub(super) fn wake_at(&mut self, hash: u64, bucket: usize, at: UnixMillis, now: UnixMillis) {
        let pace = self.pace(now);
        let id = self.segment_id(Position::of(hash));
        let segment = self.segment_mut(id);
        let (bytes, look_at) = (segment.deadlines().bytes(), segment.deadlines().look_at());
        segment.wake_at(bucket, at, pace);
        let (is_bytes, is_look_at) = (segment.deadlines().bytes(), segment.deadlines().look_at());
        self.segment_bytes += is_bytes - bytes;
        if is_look_at != look_at {
            self.enter(id, is_look_at);
        }
    }

    /// The times of `item`, which `hash` finds, have changed.
    ///
    /// # Panics
    /// The item is not there.
    pub(crate) fn times_changed(
        &mut self,
        hash: u64,
        item: Block,
        (was, is): (&Option<Times>, &Option<Times>),
        now: UnixMillis,
    ) {
        if let Some(was) = was {
            self.uncount_times(was);
        }
        if let Some(is) = is {
            self.count_times(is);
        }
        let wakes_at = |times: &Option<Times>| times.as_ref().map(|times| times.wakes_at);
        if wakes_at(was) == wakes_at(is) {
            return;
        }
        let bucket = self.of_hash(hash).bucket_of(hash, item);
        let bucket = bucket.expect("the item was found by this hash");
        if was.is_some() {
            self.of_hash_mut(hash).wake_no_more(bucket);
        }
        if let Some(is) = is {
            self.wake_at(hash, bucket, is.wakes_at, now);
        }
    }

    /// Looks at the next segment that wants it at `now`, and adds items that are due, or have fields that may be, to
    /// `due`. They, or those fields, must be removed, and then the next look planned. Adds to `pages_read` the pages of the agenda read.
    pub(crate) fn look(
        &mut self,
        items: Items<'_>,
        due: &mut Vec<Block>,
        pages_read: &mut u32,
    ) -> Option<Look> {
        let id = self.agenda.next_due(items.now, pages_read)?;
        let segment = self.segment_mut(id);
        let bytes = segment.deadlines().bytes();
        let (examined, is_through) = segment.look(items.memory, items.now, LOOK_MAX_ENTRIES, due);
        let added = segment.deadlines().bytes() - bytes;
        self.segment_bytes += added;
        Some(Look {
            segment: id,
            examined,
            ticks_bytes: added as u64,
            is_through,
        })
    }

    /// Plans the next look at a segment, where no entry due now is left or all ticks have just been reckoned.
    pub(crate) fn plan(&mut self, id: u32, now: UnixMillis) {
        // Removing the last entry of a table leaves another in its place.
        if id as usize / super::CHUNK_SEGMENTS >= self.chunks.len()
            || id as usize % super::CHUNK_SEGMENTS
                >= self.chunks[id as usize / super::CHUNK_SEGMENTS].len()
        {
            return;
        }
        let pace = self.pace(now);
        let segment = self.segment_mut(id);
        let bytes = segment.deadlines().bytes();
        segment.plan(pace);
        let freed = bytes - segment.deadlines().bytes();
        let look_at = segment.deadlines().look_at();
        self.segment_bytes -= freed;
        self.enter(id, look_at);
    }

    /// As [`Self::plan`], where some that are due have to stay: they are looked at again after a dead entry's grace.
    pub(crate) fn put_off(&mut self, id: u32, memory: &Memory, now: UnixMillis) {
        self.plan(id, now);
        if self.agenda.time(id) > now {
            return;
        }
        let pace = self.pace(now);
        let segment = self.segment_mut(id);
        let bytes = segment.deadlines().bytes();
        segment.put_off(memory, pace);
        let added = segment.deadlines().bytes() - bytes;
        let look_at = segment.deadlines().look_at();
        self.segment_bytes += added;
        self.enter(id, look_at);
    }

    fn enter(&mut self, id: u32, look_at: UnixMillis) {
        let was = self.agenda.bytes();
        self.agenda.set(id, look_at);
        self.list_bytes += self.agenda.bytes() - was;
    }

    /// Sum of the milliseconds that the entries with a deadline have left at `now`; those that are due count negatively.
    pub(crate) fn ttl_sum_ms(&self, now: UnixMillis) -> i128 {
        self.deadline_sum - i128::from(now.0) * i128::from(self.volatile)
    }

    /// About how many entries are due at `now` and not yet removed: exact but for the width of ticks in a table of up to
    /// [`SAMPLED_SEGMENTS`] segments, beyond that reckoned from as many.
    pub(crate) fn due_about(&self, memory: &Memory, now: UnixMillis) -> u64 {
        let segments: usize = self.chunks.iter().map(Vec::len).sum();
        let sampled = segments.min(SAMPLED_SEGMENTS);
        let (mut due, mut volatile) = (0u64, 0u64);
        for nth in 0..sampled {
            let segment = self.segment((nth * segments / sampled) as u32);
            due += u64::from(segment.due_about(memory, now));
            volatile += u64::from(segment.deadlines().volatile());
        }
        match volatile {
            0 => 0,
            _ => (u128::from(self.volatile) * u128::from(due) / u128::from(volatile)) as u64,
        }
    }
}
