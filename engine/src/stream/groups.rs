//! Consumer groups: how far they have come, what is pending, and with whom.
//!
//! ```text
//!  group:  last id, entries read │ consumers by name and number │ pending: a tree     id ─▶ | consumer | delivered after | deliveries |
//!  consumer:  seen, active       │                              │ own: a tree         id
//! ```
//! An entry that is pending is in two trees: in the group's with all that is known of it, and in that of the consumer who has it
//! by its id alone, a byte or two. So both are ranges of ids for whoever asks for one, at any number of them. A body is three
//! numbers, mostly of five bytes together: which consumer, how long after the id's own time it was delivered, and how often, unless
//! that is once.

use super::StreamId;
use super::forest::TreeId;
use super::names::Names;
use super::varint;
use crate::UnixMillis;

/// A group.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) last_id: StreamId,
    /// How many entries it has read; none: that is not known.
    pub(super) entries_read: Option<u64>,
    pub(super) pending: TreeId,
    pub(super) consumers: Names<Consumer>,
}

/// A consumer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Consumer {
    pub(super) seen_at: UnixMillis,
    pub(super) active_at: Option<UnixMillis>,
    pub(super) own: TreeId,
}

/// What is known of an entry that is pending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Delivery {
    /// The consumer's number.
    pub(super) consumer: u32,
    pub(super) delivered_at: UnixMillis,
    pub(super) deliveries: u64,
}

impl Delivery {
    /// The body of the record of an entry.
    pub(super) fn write(&self, id: StreamId, out: &mut Vec<u8>) {
        varint::write(self.consumer.into(), out);
        let after = self.delivered_at.0.wrapping_sub(id.ms as i64);
        varint::write(varint::zigzag(after), out);
        if self.deliveries != 1 {
            varint::write(self.deliveries, out);
        }
    }

    /// What the body of the record of an entry says.
    #[inline]
    pub(super) fn read(id: StreamId, body: &[u8]) -> Self {
        let mut at = 0;
        let consumer = varint::read(body, &mut at) as u32;
        let after = varint::unzigzag(varint::read(body, &mut at));
        let deliveries = match at < body.len() {
            true => varint::read(body, &mut at),
            false => 1,
        };
        Self {
            consumer,
            delivered_at: UnixMillis(after.wrapping_add(id.ms as i64)),
            deliveries,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_is_read_as_it_was_written_and_short() {
        let id = StreamId::new(1_700_000_000_000, 3);
        for (delivered_at, deliveries) in [
            (id.ms as i64 + 900, 1),
            (0, 0),
            (i64::MIN, u64::MAX),
            (i64::MAX, 2),
        ] {
            let delivery = Delivery {
                consumer: 5,
                delivered_at: UnixMillis(delivered_at),
                deliveries,
            };
            for id in [id, StreamId::MIN, StreamId::MAX] {
                let mut body = Vec::new();
                delivery.write(id, &mut body);
                assert_eq!(Delivery::read(id, &body), delivery);
            }
        }
        let mut body = Vec::new();
        let delivery = Delivery {
            consumer: 5,
            delivered_at: UnixMillis(id.ms as i64 + 900),
            deliveries: 1,
        };
        delivery.write(id, &mut body);
        assert_eq!(body.len(), 3);
    }
}
