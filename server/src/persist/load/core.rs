//! What a core does with the batches that are dealt to it.

use std::ops::Range;
use std::sync::mpsc::{Receiver, TryRecvError};

use larder_engine::{AccessClock, DbIndex, Shard, UnixMillis};

use super::{Batch, Item, Loading};
use crate::persist::values::{Budget, Gathered, Gathering, Ungathered};
use crate::rdb::file::History;
use crate::rdb::{Fault, Input};

/// Items of a step.
const ITEMS: usize = 512;

/// Whether there is more to load.
#[derive(Debug)]
pub enum Loaded {
    /// In the next turn.
    More,
    /// When more has come.
    Awaits,
    /// A library of functions comes next, which the caller is to load.
    Library(Vec<u8>),
    /// That was all.
    All,
}

/// A core's part of loading.
#[derive(Debug)]
pub struct Loader {
    queue: Receiver<Batch>,
    batch: Batch,
    /// The next item of it.
    next: usize,
    /// The value that comes in pieces.
    large: Option<Large>,
}

/// An entry, but for its value.
#[derive(Debug)]
struct Attributes {
    db: u64,
    deadline_ms: Option<i64>,
    history: Option<History>,
}

#[derive(Debug)]
struct Large {
    key: Vec<u8>,
    attributes: Attributes,
    gathering: Gathering,
    /// Bytes that were not read yet.
    window: Vec<u8>,
    /// Nothing can be read before more of it has come.
    awaits: bool,
    /// No more will come.
    is_whole: bool,
    /// Where in the file what is there begins, about.
    at: u64,
}

/// How the uses of an entry are kept.
pub(super) type AccessOf<'a> = &'a dyn Fn(History) -> Option<AccessClock>;

impl Loader {
    /// A core's part, of the batches that come in `queue`.
    #[must_use]
    pub fn new(queue: Receiver<Batch>) -> Self {
        Self {
            queue,
            batch: Batch::default(),
            next: 0,
            large: None,
        }
    }

    /// Loads some more.
    ///
    /// # Errors
    /// What is wrong with the file, or that there is no memory.
    pub fn go_on(
        &mut self,
        shard: &mut Shard,
        loading: &Loading,
        access_of: AccessOf<'_>,
    ) -> Result<Loaded, String> {
        let mut keys = 0;
        let loaded = self.load_some(shard, &mut keys, access_of);
        loading.note_keys(keys);
        loaded
    }

    fn load_some(
        &mut self,
        shard: &mut Shard,
        keys: &mut u64,
        access_of: AccessOf<'_>,
    ) -> Result<Loaded, String> {
        for _ in 0..ITEMS {
            if self.large.as_ref().is_some_and(|large| !large.awaits) {
                *keys += self.go_on_with_large(shard, access_of)?;
                return Ok(Loaded::More);
            }
            let Some(item) = self.batch.items.get(self.next).cloned() else {
                self.next = 0;
                match self.queue.try_recv() {
                    Ok(batch) => self.batch = batch,
                    Err(TryRecvError::Empty) => {
                        self.batch = Batch::default();
                        return Ok(Loaded::Awaits);
                    }
                    Err(TryRecvError::Disconnected) => return Ok(Loaded::All),
                }
                continue;
            };
            self.next += 1;
            match item {
                Item::Library(code) => {
                    return Ok(Loaded::Library(self.batch.bytes[code].to_vec()));
                }
                Item::Entry {
                    db,
                    key,
                    kind,
                    version,
                    deadline_ms,
                    history,
                    value,
                    at,
                    is_last,
                } => {
                    let attributes = Attributes {
                        db,
                        deadline_ms,
                        history,
                    };
                    let gathering = Gathering::new(kind, version);
                    *keys += match is_last {
                        true => {
                            self.put((key, value), (attributes, gathering, at), shard, access_of)?
                        }
                        false => {
                            self.begin_large((key, value), (attributes, gathering, at));
                            0
                        }
                    };
                }
                Item::More { value, at, is_last } => self.add_to_large(value, at, is_last),
            }
        }
        Ok(Loaded::More)
    }

    /// Puts an entry whose value is all there. How many keys that makes.
    fn put(
        &mut self,
        (key, value): (Range<usize>, Range<usize>),
        (attributes, mut gathering, at): (Attributes, Gathering, u64),
        shard: &mut Shard,
        access_of: AccessOf<'_>,
    ) -> Result<u64, String> {
        let bytes = &self.batch.bytes;
        let body = Input::new(&bytes[value]);
        match gathering.go_on(shard, body, Budget::ALL) {
            Ok(gathered) => {
                let gathered = gathered.expect("there was no bound");
                put(shard, &bytes[key], attributes, gathered, access_of)?;
                Ok(1)
            }
            Err(why) => {
                gathering.discard(shard);
                pass_if_empty(why, at)
            }
        }
    }

    fn begin_large(
        &mut self,
        (key, value): (Range<usize>, Range<usize>),
        (attributes, gathering, at): (Attributes, Gathering, u64),
    ) {
        self.large = Some(Large {
            key: self.batch.bytes[key].to_vec(),
            attributes,
            gathering,
            window: self.batch.bytes[value].to_vec(),
            awaits: false,
            is_whole: false,
            at,
        });
    }

    fn add_to_large(&mut self, value: Range<usize>, at: u64, is_last: bool) {
        // Nobody gathers the rest of what was passed over.
        if let Some(large) = &mut self.large {
            if large.window.is_empty() {
                large.at = at;
            }
            large.window.extend_from_slice(&self.batch.bytes[value]);
            large.is_whole = is_last;
            large.awaits = false;
        }
    }

    /// Gathers some elements of the value that comes in pieces. How many keys that makes.
    fn go_on_with_large(
        &mut self,
        shard: &mut Shard,
        access_of: AccessOf<'_>,
    ) -> Result<u64, String> {
        let mut large = self.large.take().expect("there is one");
        let body = Input::new(&large.window);
        match large.gathering.go_on(shard, body, Budget::GATHER) {
            Ok(Some(gathered)) => {
                put(shard, &large.key, large.attributes, gathered, access_of)?;
                return Ok(1);
            }
            Ok(None) => {}
            Err(Ungathered::Fault(Fault::Truncated)) if !large.is_whole => large.awaits = true,
            Err(why) => {
                large.gathering.discard(shard);
                return pass_if_empty(why, large.at);
            }
        }
        let forgotten = large.gathering.forget();
        large.window.drain(..forgotten);
        self.large = Some(large);
        Ok(0)
    }
}

/// A collection without elements is passed over, as Redis does.
fn pass_if_empty(why: Ungathered, at: u64) -> Result<u64, String> {
    match why {
        Ungathered::Fault(Fault::Empty) => Ok(0),
        Ungathered::Fault(fault) => Err(format!("the value at byte {at} is damaged: {fault}")),
        Ungathered::Store(error) => Err(format!("the value at byte {at} finds no place: {error}")),
    }
}

/// Puts a value at its key.
fn put(
    shard: &mut Shard,
    key: &[u8],
    attributes: Attributes,
    value: Gathered<'_>,
    access_of: AccessOf<'_>,
) -> Result<(), String> {
    let databases = shard.databases();
    let db = u16::try_from(attributes.db)
        .ok()
        .filter(|db| *db < databases);
    let Some(db) = db.map(DbIndex) else {
        value.discard(shard);
        return Err(format!(
            "it has a database {}, and there are {databases}: raise `databases`",
            attributes.db
        ));
    };
    let hasher = shard.hasher().clone();
    let key = hasher.key(key);
    let deadline = attributes.deadline_ms.map(UnixMillis);
    let access = attributes.history.and_then(access_of);
    value
        .put(shard, db, key, (deadline, access))
        .map_err(|error| format!("there is no memory for it: {error}"))
}
