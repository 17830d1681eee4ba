//! A change of a stream: what its records say, what takes it back, and what a stream is sent as.
//!
//! Each says what is so from then on, not what is to be done, so that doing it twice is doing it once; of what is not there it
//! changes nothing. As bytes, each is its number and what it has, one behind the other.

use super::StreamId;
use super::varint;
use crate::UnixMillis;

/// A change, with bytes `B`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamChangeOf<B> {
    /// An entry is there; it counts as added, and is the last one if none is behind it.
    Added {
        /// The entry.
        id: StreamId,
        /// Its fields, as [`Fields`](super::Fields) lie by themselves.
        fields: B,
    },
    /// Entries are there, as [`Self::Added`] says of each: some have these names, and some have names of their own.
    Entries {
        /// Names, each with its length before it.
        names: B,
        /// As [`Together`](super::Together) writes them.
        entries: B,
    },
    /// An entry is gone, and counts as deleted.
    Removed {
        /// The entry.
        id: StreamId,
    },
    /// The entries from one on to another are gone.
    Trimmed {
        /// The first that may be there.
        first: StreamId,
        /// The last that may.
        last: StreamId,
    },
    /// What the stream says of itself is this.
    Marks(StreamMarks),
    /// A group is there, and has come so far.
    Group {
        /// The group.
        group: B,
        /// The last entry that it was given.
        last_id: StreamId,
        /// How many it has read; none: that is not known.
        entries_read: Option<u64>,
    },
    /// A group is gone, with its consumers and all that was pending.
    GroupGone {
        /// The group.
        group: B,
    },
    /// A consumer of a group is there.
    Consumer {
        /// The group.
        group: B,
        /// The consumer.
        consumer: B,
        /// When it was last heard of.
        seen_at: UnixMillis,
        /// When it was last given something.
        active_at: Option<UnixMillis>,
    },
    /// A consumer is gone, with what was pending with it.
    ConsumerGone {
        /// The group.
        group: B,
        /// The consumer.
        consumer: B,
    },
    /// An entry is pending with a consumer.
    Pending {
        /// The group.
        group: B,
        /// The consumer.
        consumer: B,
        /// The entry.
        id: StreamId,
        /// When it was last delivered.
        delivered_at: UnixMillis,
        /// How often.
        deliveries: u64,
    },
    /// A consumer was given entries at once: it is there, they are pending with it, and its group has come so far.
    Given {
        /// The group.
        group: B,
        /// The consumer.
        consumer: B,
        /// When it was heard of.
        seen_at: UnixMillis,
        /// Whether it was given something then.
        is_active: bool,
        /// When the entries were delivered.
        delivered_at: UnixMillis,
        /// The last entry that the group was given.
        last_id: StreamId,
        /// How many it has read; none: that is not known.
        entries_read: Option<u64>,
        /// As [`GivenEntries`](super::GivenEntries) writes them.
        entries: B,
    },
    /// An entry is pending no more.
    Acknowledged {
        /// The group.
        group: B,
        /// The entry.
        id: StreamId,
    },
    /// What a consumer has pending up to an entry is pending no more.
    Released {
        /// The group.
        group: B,
        /// The consumer.
        consumer: B,
        /// The last entry that may be.
        last: StreamId,
    },
    /// For how long, and how many, identifiers of messages are kept; none are, if it was anything else.
    Producers {
        /// Seconds.
        duration_secs: u64,
        /// How many of a producer.
        most: u64,
    },
    /// A producer's identifier has this entry.
    Produced {
        /// The producer.
        producer: B,
        /// The identifier.
        iid: B,
        /// The entry.
        id: StreamId,
        /// Whether it is older than the others.
        is_oldest: bool,
    },
    /// A producer's identifier is forgotten.
    Forgotten {
        /// The producer.
        producer: B,
        /// The identifier.
        iid: B,
    },
}

/// What a stream says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamMarks {
    /// The greatest id that an entry has had.
    pub last_id: StreamId,
    /// The greatest id of an entry that was deleted.
    pub max_deleted_id: StreamId,
    /// Entries that have been added.
    pub entries_added: u64,
    /// Identifiers of messages that have been noted.
    pub iids_added: u64,
    /// How often one came again.
    pub iids_duplicate: u64,
}

/// A change, with borrowed bytes.
pub type StreamChange<'a> = StreamChangeOf<&'a [u8]>;

impl<B> StreamChangeOf<B> {
    /// The same change with other bytes.
    pub fn map<C>(self, mut bytes_of: impl FnMut(B) -> C) -> StreamChangeOf<C> {
        use StreamChangeOf as To;
        match self {
            Self::Added { id, fields } => To::Added {
                id,
                fields: bytes_of(fields),
            },
            Self::Entries { names, entries } => To::Entries {
                names: bytes_of(names),
                entries: bytes_of(entries),
            },
            Self::Removed { id } => To::Removed { id },
            Self::Trimmed { first, last } => To::Trimmed { first, last },
            Self::Marks(marks) => To::Marks(marks),
            Self::Group {
                group,
                last_id,
                entries_read,
            } => To::Group {
                group: bytes_of(group),
                last_id,
                entries_read,
            },
            Self::GroupGone { group } => To::GroupGone {
                group: bytes_of(group),
            },
            Self::Consumer {
                group,
                consumer,
                seen_at,
                active_at,
            } => To::Consumer {
                group: bytes_of(group),
                consumer: bytes_of(consumer),
                seen_at,
                active_at,
            },
            Self::ConsumerGone { group, consumer } => To::ConsumerGone {
                group: bytes_of(group),
                consumer: bytes_of(consumer),
            },
            Self::Pending {
                group,
                consumer,
                id,
                delivered_at,
                deliveries,
            } => To::Pending {
                group: bytes_of(group),
                consumer: bytes_of(consumer),
                id,
                delivered_at,
                deliveries,
            },
            Self::Given {
                group,
                consumer,
                seen_at,
                is_active,
                delivered_at,
                last_id,
                entries_read,
                entries,
            } => To::Given {
                group: bytes_of(group),
                consumer: bytes_of(consumer),
                seen_at,
                is_active,
                delivered_at,
                last_id,
                entries_read,
                entries: bytes_of(entries),
            },
            Self::Acknowledged { group, id } => To::Acknowledged {
                group: bytes_of(group),
                id,
            },
            Self::Released {
                group,
                consumer,
                last,
            } => To::Released {
                group: bytes_of(group),
                consumer: bytes_of(consumer),
                last,
            },
            Self::Producers {
                duration_secs,
                most,
            } => To::Producers {
                duration_secs,
                most,
            },
            Self::Produced {
                producer,
                iid,
                id,
                is_oldest,
            } => To::Produced {
                producer: bytes_of(producer),
                iid: bytes_of(iid),
                id,
                is_oldest,
            },
            Self::Forgotten { producer, iid } => To::Forgotten {
                producer: bytes_of(producer),
                iid: bytes_of(iid),
            },
        }
    }

    /// Whether it is of entries: what groups and producers do is nothing that watchers of a key hear of, as in Redis.
    pub fn is_of_entries(&self) -> bool {
        matches!(
            self,
            Self::Added { .. } | Self::Entries { .. } | Self::Removed { .. } | Self::Trimmed { .. }
        )
    }
}

fn write_id(id: StreamId, out: &mut Vec<u8>) {
    varint::write(id.ms, out);
    varint::write(id.seq, out);
}

fn read_id(bytes: &[u8], at: &mut usize) -> StreamId {
    let ms = varint::read(bytes, at);
    StreamId::new(ms, varint::read(bytes, at))
}

fn write_time(time: UnixMillis, out: &mut Vec<u8>) {
    varint::write(varint::zigzag(time.0), out);
}

fn read_time(bytes: &[u8], at: &mut usize) -> UnixMillis {
    UnixMillis(varint::unzigzag(varint::read(bytes, at)))
}

/// A number that may not be there, as one more than it is.
fn write_option(value: Option<u64>, out: &mut Vec<u8>) {
    out.push(u8::from(value.is_some()));
    varint::write(value.unwrap_or(0), out);
}

fn read_option(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let is_there = bytes[*at] != 0;
    *at += 1;
    let value = varint::read(bytes, at);
    is_there.then_some(value)
}

impl<'a> StreamChange<'a> {
    fn number(&self) -> u8 {
        match self {
            Self::Added { .. } => 0,
            Self::Removed { .. } => 1,
            Self::Trimmed { .. } => 2,
            Self::Marks(_) => 3,
            Self::Group { .. } => 4,
            Self::GroupGone { .. } => 5,
            Self::Consumer { .. } => 6,
            Self::ConsumerGone { .. } => 7,
            Self::Pending { .. } => 8,
            Self::Acknowledged { .. } => 9,
            Self::Producers { .. } => 10,
            Self::Produced { .. } => 11,
            Self::Forgotten { .. } => 12,
            Self::Entries { .. } => 13,
            Self::Released { .. } => 14,
            Self::Given { .. } => 15,
        }
    }

    /// Writes the change.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.push(self.number());
        match *self {
            Self::Added { id, fields } => {
                write_id(id, out);
                varint::write_text(fields, out);
            }
            Self::Entries { names, entries } => {
                varint::write_text(names, out);
                varint::write_text(entries, out);
            }
            Self::Removed { id } => write_id(id, out),
            Self::Trimmed { first, last } => {
                write_id(first, out);
                write_id(last, out);
            }
            Self::Marks(marks) => {
                write_id(marks.last_id, out);
                write_id(marks.max_deleted_id, out);
                varint::write(marks.entries_added, out);
                varint::write(marks.iids_added, out);
                varint::write(marks.iids_duplicate, out);
            }
            Self::Group {
                group,
                last_id,
                entries_read,
            } => {
                varint::write_text(group, out);
                write_id(last_id, out);
                write_option(entries_read, out);
            }
            Self::GroupGone { group } => varint::write_text(group, out),
            Self::Consumer {
                group,
                consumer,
                seen_at,
                active_at,
            } => {
                varint::write_text(group, out);
                varint::write_text(consumer, out);
                write_time(seen_at, out);
                write_option(active_at.map(|at| varint::zigzag(at.0)), out);
            }
            Self::ConsumerGone { group, consumer } => {
                varint::write_text(group, out);
                varint::write_text(consumer, out);
            }
            Self::Pending {
                group,
                consumer,
                id,
                delivered_at,
                deliveries,
            } => {
                varint::write_text(group, out);
                varint::write_text(consumer, out);
                write_id(id, out);
                write_time(delivered_at, out);
                varint::write(deliveries, out);
            }
            Self::Given {
                group,
                consumer,
                seen_at,
                is_active,
                delivered_at,
                last_id,
                entries_read,
                entries,
            } => {
                varint::write_text(group, out);
                varint::write_text(consumer, out);
                write_time(seen_at, out);
                out.push(is_active.into());
                write_time(delivered_at, out);
                write_id(last_id, out);
                write_option(entries_read, out);
                varint::write_text(entries, out);
            }
            Self::Acknowledged { group, id } => {
                varint::write_text(group, out);
                write_id(id, out);
            }
            Self::Released {
                group,
                consumer,
                last,
            } => {
                varint::write_text(group, out);
                varint::write_text(consumer, out);
                write_id(last, out);
            }
            Self::Producers {
                duration_secs,
                most,
            } => {
                varint::write(duration_secs, out);
                varint::write(most, out);
            }
            Self::Produced {
                producer,
                iid,
                id,
                is_oldest,
            } => {
                varint::write_text(producer, out);
                varint::write_text(iid, out);
                write_id(id, out);
                out.push(is_oldest.into());
            }
            Self::Forgotten { producer, iid } => {
                varint::write_text(producer, out);
                varint::write_text(iid, out);
            }
        }
    }

    /// Reads a change off the beginning of `bytes`.
    ///
    /// # Panics
    /// None was written there.
    pub fn read(bytes: &mut &'a [u8]) -> Self {
        let whole = *bytes;
        let mut place = 1;
        let at = &mut place;
        let change = match whole[0] {
            0 => Self::Added {
                id: read_id(whole, at),
                fields: varint::read_text(whole, at),
            },
            1 => Self::Removed {
                id: read_id(whole, at),
            },
            2 => Self::Trimmed {
                first: read_id(whole, at),
                last: read_id(whole, at),
            },
            3 => Self::Marks(StreamMarks {
                last_id: read_id(whole, at),
                max_deleted_id: read_id(whole, at),
                entries_added: varint::read(whole, at),
                iids_added: varint::read(whole, at),
                iids_duplicate: varint::read(whole, at),
            }),
            4 => Self::Group {
                group: varint::read_text(whole, at),
                last_id: read_id(whole, at),
                entries_read: read_option(whole, at),
            },
            5 => Self::GroupGone {
                group: varint::read_text(whole, at),
            },
            6 => Self::Consumer {
                group: varint::read_text(whole, at),
                consumer: varint::read_text(whole, at),
                seen_at: read_time(whole, at),
                active_at: read_option(whole, at).map(|at| UnixMillis(varint::unzigzag(at))),
            },
            7 => Self::ConsumerGone {
                group: varint::read_text(whole, at),
                consumer: varint::read_text(whole, at),
            },
            8 => Self::Pending {
                group: varint::read_text(whole, at),
                consumer: varint::read_text(whole, at),
                id: read_id(whole, at),
                delivered_at: read_time(whole, at),
                deliveries: varint::read(whole, at),
            },
            9 => Self::Acknowledged {
                group: varint::read_text(whole, at),
                id: read_id(whole, at),
            },
            10 => Self::Producers {
                duration_secs: varint::read(whole, at),
                most: varint::read(whole, at),
            },
            11 => {
                let (producer, iid) = (varint::read_text(whole, at), varint::read_text(whole, at));
                let id = read_id(whole, at);
                *at += 1;
                Self::Produced {
                    producer,
                    iid,
                    id,
                    is_oldest: whole[*at - 1] != 0,
                }
            }
            12 => Self::Forgotten {
                producer: varint::read_text(whole, at),
                iid: varint::read_text(whole, at),
            },
            13 => Self::Entries {
                names: varint::read_text(whole, at),
                entries: varint::read_text(whole, at),
            },
            14 => Self::Released {
                group: varint::read_text(whole, at),
                consumer: varint::read_text(whole, at),
                last: read_id(whole, at),
            },
            15 => {
                let (group, consumer) =
                    (varint::read_text(whole, at), varint::read_text(whole, at));
                let seen_at = read_time(whole, at);
                *at += 1;
                Self::Given {
                    group,
                    consumer,
                    seen_at,
                    is_active: whole[*at - 1] != 0,
                    delivered_at: read_time(whole, at),
                    last_id: read_id(whole, at),
                    entries_read: read_option(whole, at),
                    entries: varint::read_text(whole, at),
                }
            }
            number => unreachable!("no change has the number {number}"),
        };
        *bytes = &whole[place..];
        change
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_read_as_it_was_written() {
        let (id, group, consumer) = (StreamId::new(5, u64::MAX), &b"group"[..], &b"me"[..]);
        let changes = [
            StreamChange::Added { id, fields: b"abc" },
            StreamChange::Entries {
                names: b"\x01a",
                entries: b"xyz",
            },
            StreamChange::Removed { id },
            StreamChange::Trimmed {
                first: StreamId::MIN,
                last: id,
            },
            StreamChange::Marks(StreamMarks {
                last_id: id,
                entries_added: 9,
                ..StreamMarks::default()
            }),
            StreamChange::Group {
                group,
                last_id: id,
                entries_read: None,
            },
            StreamChange::Group {
                group,
                last_id: id,
                entries_read: Some(0),
            },
            StreamChange::GroupGone { group },
            StreamChange::Consumer {
                group,
                consumer,
                seen_at: UnixMillis(-4),
                active_at: Some(UnixMillis(i64::MAX)),
            },
            StreamChange::ConsumerGone { group, consumer },
            StreamChange::Pending {
                group,
                consumer,
                id,
                delivered_at: UnixMillis(7),
                deliveries: 3,
            },
            StreamChange::Acknowledged { group, id },
            StreamChange::Given {
                group,
                consumer,
                seen_at: UnixMillis(i64::MAX),
                is_active: true,
                delivered_at: UnixMillis(-1),
                last_id: id,
                entries_read: Some(u64::MAX),
                entries: b"entries",
            },
            StreamChange::Released {
                group,
                consumer,
                last: id,
            },
            StreamChange::Producers {
                duration_secs: 1,
                most: 2,
            },
            StreamChange::Produced {
                producer: group,
                iid: consumer,
                id,
                is_oldest: true,
            },
            StreamChange::Forgotten {
                producer: group,
                iid: consumer,
            },
        ];
        let mut bytes = Vec::new();
        changes.iter().for_each(|change| change.write(&mut bytes));
        let mut rest = &bytes[..];
        for change in changes {
            assert_eq!(StreamChange::read(&mut rest), change);
            assert_eq!(change.map(|bytes| bytes), change);
        }
        assert!(rest.is_empty());
    }
}
