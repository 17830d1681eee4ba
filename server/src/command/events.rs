//! Events of keys on their way to subscribers, and their order.
//!
//! ```text
//!  core 0   SET a    ── 17 ──▶┐
//!  core 1   MSET b c ── 18 ──▶├─ a core with subscribers: 17, 18, 19, however they come
//!  core 2   DEL d    ── 19 ──▶┘
//! ```
//! What a command, an `EXEC` or a script does is told as one *unit*. For each core with subscribers a unit gets the next number of that
//! core, in the step in which what it did can first be seen: so units are numbered in an order in which they could have
//! run one after the other. The subscribers' core tells them in the order of their numbers, and keeps those that come
//! early. Whoever takes a number has put the unit into its outbox, so that none is waited for in vain.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::atomic::Ordering;

use larder_engine::{DbIndex, Event};

use super::invalidate::fixed;
use super::{CoreCall, CoreState};
use crate::config::KeyspaceEvents;
use crate::session::Session;
use crate::shared::CoreGauges;
use crate::topics::Topic;

/// Bytes of units that a core keeps because earlier ones have yet to come. Beyond, those that are there are told without waiting.
pub const EARLY_MAX_BYTES: usize = 4 << 20;

/// Room for news that is kept for the next ones.
const NEWS_KEPT_BYTES: usize = 64 * 1024;

/// Room for the name of a channel that is kept from one event to the next.
const CHANNEL_KEPT_BYTES: usize = 4 * 1024;

/// Events of keys in their order, and messages that were published among them.
///
/// ```text
///  database | code of the event | length of the key | key | database | …
///  2 bytes    1                   4, little-endian
///  0        | 255               | of the channel    | channel | length of the message, 4 bytes | message | …
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct News(Vec<u8>);

/// The code of a message, which is that of no event.
const MESSAGE: u8 = u8::MAX;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// Something happened to a key.
    Event {
        /// The database.
        db: DbIndex,
        /// What happened.
        event: Event,
        /// To which key.
        key: &'a [u8],
    },
    /// A message was published.
    Message {
        /// Its channel.
        channel: &'a [u8],
        /// What it says.
        message: &'a [u8],
    },
}

impl News {
    /// Those that a core has written as [`Self::bytes`].
    pub fn of(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    /// They as bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds one.
    ///
    /// # Panics
    /// A key, a channel or a message is longer than an argument can be.
    pub fn push(&mut self, item: Item<'_>) {
        match item {
            Item::Event { db, event, key } => {
                self.0.extend_from_slice(&db.0.to_le_bytes());
                self.0.push(event.code());
                self.push_bytes(key);
            }
            Item::Message { channel, message } => {
                self.0.extend_from_slice(&[0, 0, MESSAGE]);
                self.push_bytes(channel);
                self.push_bytes(message);
            }
        }
    }

    fn push_bytes(&mut self, bytes: &[u8]) {
        let len = u32::try_from(bytes.len()).expect("an argument is shorter than 4 GiB");
        self.0.extend_from_slice(&len.to_le_bytes());
        self.0.extend_from_slice(bytes);
    }

    /// Adds others behind.
    pub fn append(&mut self, more: &Self) {
        self.0.extend_from_slice(&more.0);
    }

    /// Forgets them, and keeps the memory, unless it is much.
    pub fn clear(&mut self) {
        match self.0.capacity() > NEWS_KEPT_BYTES {
            true => self.0 = Vec::new(),
            false => self.0.clear(),
        }
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = Item<'_>> {
        items(&self.0)
    }

    /// The messages.
    pub fn messages(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.iter().filter_map(|item| match item {
            Item::Message { channel, message } => Some((channel, message)),
            Item::Event { .. } => None,
        })
    }
}

/// Each of the news that stand in `rest`.
fn items(mut rest: &[u8]) -> impl Iterator<Item = Item<'_>> {
    std::iter::from_fn(move || {
        let (&[low, high, code], behind) = rest.split_first_chunk()?;
        rest = behind;
        let first = take_bytes(&mut rest);
        Some(match code {
            MESSAGE => Item::Message {
                channel: first,
                message: take_bytes(&mut rest),
            },
            code => Item::Event {
                db: DbIndex(u16::from_le_bytes([low, high])),
                event: Event::of_code(code),
                key: first,
            },
        })
    })
}

fn take_bytes<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let (len, behind) = rest.split_first_chunk().expect("written with its length");
    let (bytes, behind) = behind.split_at(u32::from_le_bytes(*len) as usize);
    *rest = behind;
    bytes
}

/// To which channels an event is published, as a byte: those of keys, those of events.
const SPACES: [(u8, char); 2] = [(1, 'K'), (2, 'E')];

/// The channels that a configuration asks for.
pub fn spaces(classes: KeyspaceEvents) -> u8 {
    let asked = SPACES.iter().filter(|(_, letter)| classes.has(*letter));
    asked.map(|(bit, _)| bit).sum()
}

/// A unit, as its publisher has made it.
#[derive(Debug, PartialEq, Eq)]
struct Unit {
    spaces: u8,
    news: News,
}

/// The units that a core tells its subscribers.
#[derive(Debug, Default)]
pub struct Hearing {
    /// The number of the next.
    next: u64,
    /// Those that have come early, by number, and their bytes.
    early: BTreeMap<u64, Unit>,
    early_bytes: usize,
    /// Room for a channel's name.
    channel: Vec<u8>,
}

impl Hearing {
    /// Whether units are there that have yet to be told.
    pub fn has_early(&self) -> bool {
        !self.early.is_empty()
    }

    /// The number behind all that have come.
    pub fn end(&self) -> u64 {
        let last = self.early.last_key_value();
        last.map_or(self.next, |(number, _)| self.next.max(number + 1))
    }

    /// Whether all below a number that can be told have been.
    pub fn has_told(&self, end: u64) -> bool {
        self.next >= end
    }

    /// Takes in the unit of a number. What can be told now comes from [`Self::take_next`].
    fn take_in(&mut self, number: u64, unit: Unit) {
        self.early_bytes += unit.news.bytes().len();
        self.early.insert(number, unit);
    }

    /// The next unit to be told, if it is there.
    fn take_next(&mut self) -> Option<Unit> {
        let first = self.early.first_entry()?;
        // An earlier number is one that was not waited for.
        if *first.key() > self.next && self.early_bytes <= EARLY_MAX_BYTES {
            return None;
        }
        self.next = self.next.max(first.key() + 1);
        let unit = first.remove();
        self.early_bytes -= unit.news.bytes().len();
        Some(unit)
    }
}

/// Whether a core has sessions that events of keys may concern.
pub fn has_subscribers(gauges: &CoreGauges) -> bool {
    gauges.event_topics.load(Ordering::Acquire) > 0
}

/// Takes the number of a unit for the subscribers of a core.
pub fn take_number(gauges: &CoreGauges) -> u64 {
    gauges.units_of_events.fetch_add(1, Ordering::AcqRel)
}

impl CoreState {
    /// Tells this core's subscribers of a unit, when its turn has come. `news` are [`News::bytes`]; `asking` is the session at
    /// work.
    pub fn hear(&mut self, number: u64, spaces: u8, news: &[u8], mut asking: Option<&mut Session>) {
        if number == self.hearing.next && self.hearing.early.is_empty() {
            self.hearing.next += 1;
            return self.publish_unit(spaces, news, asking);
        }
        let news = News::of(news);
        self.hearing.take_in(number, Unit { spaces, news });
        while let Some(unit) = self.hearing.take_next() {
            self.publish_unit(unit.spaces, unit.news.bytes(), asking.as_deref_mut());
        }
    }

    /// Publishes each event to the channel of the key and to that of the event, and each message to its own.
    fn publish_unit(&mut self, spaces: u8, news: &[u8], mut asking: Option<&mut Session>) {
        let mut name = std::mem::take(&mut self.hearing.channel);
        for item in items(news) {
            let (db, event, key) = match item {
                Item::Event { db, event, key } => (db, event.name().as_bytes(), key),
                Item::Message { channel, message } => {
                    self.publish_here(Topic::Channel, channel, message, asking.as_deref_mut());
                    continue;
                }
            };
            for (bit, _) in SPACES.iter().filter(|(bit, _)| spaces & bit != 0) {
                let (word, subject, message) = match bit {
                    1 => ("keyspace", key, event),
                    _ => ("keyevent", event, key),
                };
                name.clear();
                write!(name, "__{word}@{}__:", db.0).expect("writing to memory");
                name.extend_from_slice(subject);
                self.publish_here(Topic::Channel, &name, message, asking.as_deref_mut());
            }
        }
        if name.capacity() <= CHANNEL_KEPT_BYTES {
            self.hearing.channel = name;
        }
    }
}

/// Arguments: the number of a unit; the channels of its events; what it tells.
pub fn hear_each(call: &mut CoreCall<'_>) {
    let number = u64::from_le_bytes(fixed(call.args.at(0)));
    let [spaces] = fixed(call.args.at(1));
    let news = call.args.at(2);
    call.core
        .hear(number, spaces, news, call.asking.as_deref_mut());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(key: &[u8]) -> Unit {
        let mut news = News::default();
        let (db, event) = (DbIndex(0), Event::Set);
        news.push(Item::Event { db, event, key });
        Unit { spaces: 3, news }
    }

    /// The first bytes of the keys of what can be told.
    fn told(hearing: &mut Hearing) -> Vec<u8> {
        let mut told = Vec::new();
        while let Some(unit) = hearing.take_next() {
            told.extend(unit.news.iter().map(|item| match item {
                Item::Event { key, .. } => key[0],
                Item::Message { .. } => panic!("nobody publishes"),
            }));
        }
        told
    }

    #[test]
    fn news_are_what_was_pushed() {
        let event = |db, event, key| Item::Event {
            db: DbIndex(db),
            event,
            key,
        };
        let message = |channel, message| Item::Message { channel, message };
        let all = [
            event(0, Event::RenameFrom, b"a"),
            message(b"channel", b""),
            event(15, Event::Missed, b""),
            message(b"", &[9; 70_000]),
            event(0x102, Event::Set, &[7; 300]),
        ];
        let mut news = News::default();
        all.into_iter().for_each(|item| news.push(item));
        let other = News::of(news.bytes());
        assert_eq!(other.iter().collect::<Vec<_>>(), all);
        assert_eq!(other.messages().count(), 2);
    }

    #[test]
    fn units_are_told_in_the_order_of_their_numbers() {
        let mut hearing = Hearing::default();
        hearing.take_in(1, unit(b"b"));
        hearing.take_in(3, unit(b"d"));
        assert_eq!(told(&mut hearing), b"");
        assert!(hearing.has_early());
        hearing.take_in(0, unit(b"a"));
        assert_eq!(told(&mut hearing), b"ab");
        hearing.take_in(2, unit(b"c"));
        assert_eq!(told(&mut hearing), b"cd");
        assert!(!hearing.has_early());
        assert_eq!(hearing.early_bytes, 0);
    }

    #[test]
    fn units_beyond_the_bound_are_told_without_those_before_and_none_is_lost() {
        let mut hearing = Hearing::default();
        let large = vec![b'x'; EARLY_MAX_BYTES / 2];
        hearing.take_in(1, unit(&large));
        assert_eq!(told(&mut hearing), b"");
        // As many are told as it takes to be within the bound.
        hearing.take_in(2, unit(b"b"));
        hearing.take_in(4, unit(&large));
        assert_eq!(told(&mut hearing), b"xb");
        assert!(hearing.has_early());
        // Those that come late are told at once.
        hearing.take_in(0, unit(b"a"));
        assert_eq!(told(&mut hearing), b"a");
        hearing.take_in(3, unit(b"c"));
        assert_eq!(told(&mut hearing), b"cx");
        assert!(!hearing.has_early());
    }
}
