//! `DEBUG RELOAD`: every entry goes through the form that `DUMP` answers and snapshots hold, and comes back.
//!
//! It shows that nothing of a dataset is lost on that way. The whole keyspace is locked meanwhile, as Redis stands still; cores go over
//! their shards at the same time, some entries a round, so that others are heard in between. One large value is one step; on a server
//! of one core the whole is one. Nothing has changed for anybody: no event, no record, no watch that breaks.

use larder_engine::{Access, DbIndex, ScanCursor, Shard};

use crate::command::families::dump::{payload_of, value_of};
use crate::command::families::transfer::Answer;
use crate::command::{Args, CoreCall, CoreRequest};
use crate::observe::{PartReader, PartWriter};
use crate::persist::values::Gathered;
use crate::rdb::Checksum;
use crate::resp::{ErrorReply, errors};
use crate::routing::CoreId;

/// Entries that a core makes anew in one round, about.
const ROUND_ENTRIES: usize = 16;

/// Where a core is in its shard.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct At {
    db: u16,
    cursor: u64,
}

impl At {
    /// As an argument, or in an answer.
    fn bytes(self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write(&mut bytes);
        bytes
    }

    fn write(self, out: &mut Vec<u8>) {
        let mut part = PartWriter(out);
        part.number(self.db.into());
        part.number(self.cursor);
    }

    fn read(bytes: &[u8]) -> Self {
        let mut part = PartReader::new(bytes);
        Self {
            db: part.number() as u16,
            cursor: part.number(),
        }
    }
}

/// What is wrong with the arguments, if anything is: there is no file of another time to load, nor can keys come twice.
pub(super) fn check(args: &Args<'_>) -> Result<(), ErrorReply> {
    let (mut merges, mut keeps) = (false, false);
    for at in 2..args.len() {
        match () {
            () if args.is(at, "merge") => merges = true,
            () if args.is(at, "noflush") => keeps = true,
            () if args.is(at, "nosave") => return Err(errors::NO_RELOAD),
            () => return Err(errors::BAD_RELOAD_OPTION),
        }
    }
    // All that is loaded is there already.
    match keeps && !merges {
        true => Err(errors::CANNOT_RELOAD),
        false => Ok(()),
    }
}

/// Asks a core to go on from there.
pub(super) fn request(core: CoreId, at: At) -> CoreRequest {
    CoreRequest {
        core,
        run: reload_some,
        args: vec![at.bytes()],
    }
}

/// Where to go on, as the core answered; none: it is at the end.
///
/// # Errors
/// What it wrote it cannot read, or memory is out.
pub(super) fn next_of(answer: &[u8]) -> Result<Option<At>, ErrorReply> {
    Ok(match Answer::of(answer)? {
        Answer::Yes(at) => Some(At::read(at)),
        Answer::No => None,
    })
}

/// Makes some entries of a core anew, from where argument 0 says on. Answers where to go on, or no at the end.
fn reload_some(call: &mut CoreCall<'_>) {
    let shard = &mut call.core.shard;
    let at = At::read(call.args.at(0));
    let db = DbIndex(at.db);
    let mut keys: Vec<Box<[u8]>> = Vec::new();
    let next = shard.scan(db, ScanCursor(at.cursor), ROUND_ENTRIES, &mut |entry| {
        keys.push(entry.key().into());
    });
    for key in keys {
        if let Err(error) = reload(shard, db, &key) {
            return Answer::failed(call.out, &error);
        }
    }
    let next = match next.0 {
        0 => At {
            db: at.db + 1,
            cursor: 0,
        },
        cursor => At { cursor, ..at },
    };
    match next.db < shard.databases() {
        true => Answer::yes(call.out, |out| next.write(out)),
        false => Answer::no(call.out),
    }
}

fn reload(shard: &mut Shard, db: DbIndex, key: &[u8]) -> Result<(), ErrorReply> {
    let key = shard.hasher().key(key);
    let entry = shard.get(db, key, Access::Peek);
    let entry = entry.expect("it was seen in this turn");
    let payload = payload_of(&entry);
    let attributes = (entry.expires_at(), entry.access());
    match value_of(shard, &payload, Checksum::Checked).map_err(|_| errors::CANNOT_RELOAD)? {
        Gathered::String(value) => shard.rebuild_string(db, key, &value, attributes)?,
        Gathered::Collection(id) => shard.rebuild_collection(db, key, id, attributes)?,
    }
    Ok(())
}
