//! Bringing members near that a run of commands on any sorted sets is about to read or change.
//!
//! Only those of large ones, whose keys have been brought near before: a packed one lies in its item.

use crate::DbIndex;
use crate::item::Form;
use crate::limits::NEAR_AT_ONCE;
use crate::nodes::Owner;
use crate::shard::Shard;

/// A member that a command is about to read or change.
#[derive(Clone, Copy, Debug)]
pub struct MemberAhead<'a> {
    /// The hash of its key.
    pub key_hash: u64,
    /// Its name.
    pub name: &'a [u8],
}

impl Shard {
    /// Brings members of large sorted sets of `db` near, at most [`NEAR_AT_ONCE`]. A hint: no effect but speed.
    pub fn prefetch_members<'a>(
        &self,
        db: DbIndex,
        members: impl Iterator<Item = MemberAhead<'a>>,
    ) {
        let mut ahead = [(Owner(0), 0); NEAR_AT_ONCE];
        // Many commands of a run name the same key.
        let mut last: Option<(u64, Option<Owner>)> = None;
        let (mut from, mut count) = (0, 0);
        for member in members.take(NEAR_AT_ONCE) {
            let owner = match last {
                Some((key_hash, owner)) if key_hash == member.key_hash => owner,
                _ => self.large_of(db, member.key_hash, Form::is_sorted_set, &mut from),
            };
            last = Some((member.key_hash, owner));
            if let Some(owner) = owner {
                ahead[count] = (owner, self.hasher.hash(member.name));
                count += 1;
            }
        }
        if count > 1 {
            self.memory.prefetch_members(&ahead[..count]);
        }
    }
}
