//! A stream as a row of changes, in parts: what it is sent as, and what records say of one that is put.

use std::ops::ControlFlow;

use super::inverse::pending;
use super::{Stream, StreamChange, StreamId};
use crate::Direction;
use crate::nodes::Heap;

/// Where a part begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PartPlace {
    /// Groups and consumers, then entries, then what is pending with the group of each number.
    pub(crate) stage: u64,
    pub(crate) id: StreamId,
}

const HEADS: u64 = 0;
const BODIES: u64 = 1;
const PENDING: u64 = 2;

impl Stream {
    /// Writes a part, of about so many bytes, that begins there; where the next does, if there is one. The last one ends with what
    /// the stream says of itself. An entry that is there all the while, and what is pending, are in one of them.
    pub(crate) fn write_part(
        &self,
        heap: &Heap,
        from: PartPlace,
        most_bytes: usize,
        out: &mut Vec<u8>,
    ) -> Option<PartPlace> {
        let mut place = from;
        loop {
            let stop = match place.stage {
                HEADS => {
                    self.write_heads(out);
                    None
                }
                BODIES => self.write_bodies(heap, place.id, most_bytes, out),
                stage => {
                    let Some(number) = self.groups.number_from(stage - PENDING) else {
                        StreamChange::Marks(self.marks).write(out);
                        return None;
                    };
                    let from = match PENDING + u64::from(number) == stage {
                        true => place.id,
                        false => StreamId::MIN,
                    };
                    place.stage = PENDING + u64::from(number);
                    self.write_pending_of(heap, number, (from, most_bytes), out)
                }
            };
            if let Some(id) = stop {
                return Some(PartPlace {
                    stage: place.stage,
                    id,
                });
            }
            place = PartPlace {
                stage: place.stage + 1,
                id: StreamId::MIN,
            };
        }
    }

    fn write_heads(&self, out: &mut Vec<u8>) {
        self.write_producers(out);
        for (_, group, of_group) in self.groups.iter() {
            StreamChange::Group {
                group,
                last_id: of_group.last_id,
                entries_read: of_group.entries_read,
            }
            .write(out);
            for (_, consumer, state) in of_group.consumers.iter() {
                StreamChange::Consumer {
                    group,
                    consumer,
                    seen_at: state.seen_at,
                    active_at: state.active_at,
                }
                .write(out);
            }
        }
    }

    fn write_bodies(
        &self,
        heap: &Heap,
        from: StreamId,
        most_bytes: usize,
        out: &mut Vec<u8>,
    ) -> Option<StreamId> {
        let most_bytes = most_bytes.saturating_sub(out.len());
        self.write_entries(heap, (from, StreamId::MAX), most_bytes, out)
    }

    fn write_pending_of(
        &self,
        heap: &Heap,
        number: u32,
        (from, most_bytes): (StreamId, usize),
        out: &mut Vec<u8>,
    ) -> Option<StreamId> {
        let (name, group) = (self.groups.name(number), self.groups.at(number));
        let mut stop = None;
        let show = &mut |record: super::forest::Record<'_>| {
            if !out.is_empty() && out.len() >= most_bytes {
                stop = Some(record.id);
                return ControlFlow::Break(());
            }
            pending(name, group, record.id, record.body).write(out);
            ControlFlow::Continue(())
        };
        self.forest
            .walk(heap, group.pending, from, Direction::Up, show);
        stop
    }
}
