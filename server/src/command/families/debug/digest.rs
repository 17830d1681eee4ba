//! `DEBUG DIGEST` and `DEBUG DIGEST-VALUE`: 20 bytes that are the same for the same values, in any order and encoding, on any server.
//!
//! They are those of Redis 7, so that what two servers hold can be compared. `add` is a sum over things in no order, `chain` one over
//! things in order:
//!
//! ```text
//! add(digest, bytes)    digest ^ SHA1(bytes)
//! chain(digest, bytes)  SHA1(add(digest, bytes))
//!
//! value     chain the type's number; then   a string: chain it   a list: chain each element
//!           a stream: chain, of each entry, "ms.seq" and its names and values
//!           a set: add each member
//!           a hash: add, of each field, 0 chained with its name and with its value; a sorted set: likewise, of each member and its score
//!           with a deadline: add "!!expire!!"
//! dataset   for each database that is not empty: chain its number, then add, of each key, 0 chained with its name and its value
//! ```

use std::ops::ControlFlow;

use larder_engine::{
    Access, DbIndex, Direction, DoubleText, EntryRef, Kind, StreamId, StreamRef, UnixMillis,
};
use sha1::{Digest as _, Sha1};

use crate::command::{CoreCall, CoreRequest};
use crate::observe::{PartReader, PartWriter};
use crate::routing::CoreId;

/// A digest, and how things come into it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Digest([u8; Digest::BYTES]);

impl Digest {
    const BYTES: usize = 20;

    /// What a part of an answer holds.
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self(bytes.try_into().expect("a digest of twenty bytes"))
    }

    fn add(&mut self, bytes: &[u8]) {
        self.merge(&Self(Sha1::digest(bytes).into()));
    }

    fn chain(&mut self, bytes: &[u8]) {
        self.add(bytes);
        self.0 = Sha1::digest(self.0).into();
    }

    /// Adds what another core has added.
    fn merge(&mut self, other: &Self) {
        for (byte, other) in self.0.iter_mut().zip(other.0) {
            *byte ^= other;
        }
    }

    /// Continues with a value, but for fields that have ended.
    fn continue_with(&mut self, entry: &EntryRef<'_>, now: UnixMillis) {
        // As Redis numbers them.
        let kind: u32 = match entry.kind() {
            Kind::String => 0,
            Kind::List => 1,
            Kind::Set => 2,
            Kind::SortedSet => 3,
            Kind::Hash => 4,
            Kind::Stream => 6,
        };
        self.chain(&kind.to_be_bytes());
        if let Some(string) = entry.string() {
            self.chain(string);
        }
        entry.each_element(&mut |element| self.chain(element));
        entry.each_member(&mut |member| self.add(member));
        entry.each_field(&mut |field| {
            if field.expires_at.is_some_and(|at| at <= now) {
                return;
            }
            let mut of_field = Self::default();
            of_field.chain(field.name);
            of_field.chain(field.value);
            self.add(&of_field.0);
        });
        entry.each_scored(&mut |member| {
            let mut of_member = Self::default();
            of_member.chain(member.name);
            of_member.chain(DoubleText::of(member.score).as_bytes());
            self.add(&of_member.0);
        });
        if let Some(stream) = entry.stream() {
            self.continue_with_entries(&stream);
        }
        if entry.expires_at().is_some() {
            self.add(b"!!expire!!");
        }
    }

    /// Continues with the entries of a stream.
    fn continue_with_entries(&mut self, stream: &StreamRef<'_>) {
        stream.walk(StreamId::MIN, Direction::Up, &mut |entry| {
            let id = format!("{}.{}", entry.id.ms, entry.id.seq);
            self.chain(id.as_bytes());
            for (name, value) in entry.fields.iter() {
                self.chain(name);
                self.chain(value);
            }
            ControlFlow::Continue(())
        });
    }

    /// As clients see it: 40 hex digits.
    pub(super) fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Asks the core that owns a key for the digest of its value.
pub(super) fn request_of_value(core: CoreId, key: &[u8]) -> CoreRequest {
    CoreRequest {
        core,
        run: digest_of_value,
        args: vec![key.to_vec()],
    }
}

/// Answers the digest of the value at the key at argument 0, zeros if there is none.
fn digest_of_value(call: &mut CoreCall<'_>) {
    let shard = &mut call.core.shard;
    let key = shard.hasher().key(call.args.at(0));
    let now = shard.now();
    let mut digest = Digest::default();
    if let Some(entry) = shard.get(call.db, key, Access::Peek) {
        digest.continue_with(&entry, now);
    }
    call.out.extend_from_slice(&digest.0);
}

/// Answers, of each database that is not empty here, its number and the sum of its keys: in one step, as in Redis.
pub(super) fn digest_of_core(call: &mut CoreCall<'_>) {
    let shard = &call.core.shard;
    let now = shard.now();
    for db in (0..shard.databases()).map(DbIndex) {
        if shard.is_empty(db) {
            continue;
        }
        let mut sum = Digest::default();
        shard.for_each(db, &mut |entry| {
            let mut digest = Digest::default();
            digest.chain(entry.key());
            digest.continue_with(&entry, now);
            sum.add(&digest.0);
        });
        let mut part = PartWriter(call.out);
        part.number(db.0.into());
        part.bytes(&sum.0);
    }
}

/// The digest of the dataset, of what the cores answered.
pub(super) fn digest_of_all(answers: &[&[u8]]) -> Digest {
    let mut of_databases = std::collections::BTreeMap::<u64, Digest>::new();
    for answer in answers {
        let mut part = PartReader::new(answer);
        while !part.is_at_end() {
            let db = part.number();
            let sum = Digest::of(part.bytes());
            of_databases.entry(db).or_default().merge(&sum);
        }
    }
    let mut digest = Digest::default();
    for (db, sum) in of_databases {
        digest.chain(&(db as u32).to_be_bytes());
        digest.merge(&sum);
    }
    digest
}
