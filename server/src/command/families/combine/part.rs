//! Parts of sets: members of one, from a place on, that others have or have not.

use larder_engine::limits::NEAR_AT_ONCE;
use larder_engine::{Access, DbIndex, Key, PartFrom, SetRef, Shard, members_of_part, write_member};

use super::Keep;

/// Members that stand together, and where the next do.
pub(super) struct Part {
    /// As [`write_member`] writes them.
    pub(super) members: Vec<u8>,
    pub(super) next: Option<u64>,
}

/// Where in a set a part begins, and how many bytes it has, about.
pub(super) type Place = (u64, usize);

/// A part of the set at `base`, those members that are kept for what the sets at `others` have. None, if one of the keys is not there
/// any more.
pub(super) fn kept<'k>(
    shard: &mut Shard,
    db: DbIndex,
    (base, others): (Key<'_>, impl Iterator<Item = Key<'k>>),
    keep: Keep,
    place: Place,
) -> Option<Part> {
    let (from, most_bytes) = place;
    let (image, next) = shard.part(db, base, (PartFrom::number(from), most_bytes))?;
    let next = next.map(|next| next.number);
    let mut members = image.bytes.to_vec();
    let others = sets(shard, db, others)?;
    if !others.is_empty() {
        let kept = which(&others, keep, &members);
        members = chosen(&members, &kept);
    }
    Some(Part { members, next })
}

/// The sets at these keys, which have been looked up before. None, if one is not there any more.
fn sets<'s, 'k>(
    shard: &'s mut Shard,
    db: DbIndex,
    keys: impl Iterator<Item = Key<'k>>,
) -> Option<Vec<SetRef<'s>>> {
    let seen = |found: Result<bool, _>| match found {
        Ok(true) => Ok(()),
        _ => Err(()),
    };
    let sets = shard.sets_at(db, keys, Access::Peek, seen).ok()?;
    Some(sets.into_iter().flatten().collect())
}

/// Which of these members are kept for what the sets at some keys have, as bits. None, if one of the keys is not there any more.
pub(super) fn kept_for<'k>(
    shard: &mut Shard,
    db: DbIndex,
    others: impl Iterator<Item = Key<'k>>,
    keep: Keep,
    members: &[u8],
) -> Option<Bits> {
    let others = sets(shard, db, others)?;
    Some(which(&others, keep, members))
}

/// Which of some members, a bit each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Bits(Vec<u32>);

impl Bits {
    /// Those that both have.
    pub(super) fn and(&mut self, other: &Self) {
        assert_eq!(self.0.len(), other.0.len(), "they are of the same members");
        for (bits, other) in self.0.iter_mut().zip(&other.0) {
            *bits &= other;
        }
    }

    /// Writes them for another core.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.0.iter().flat_map(|bits| bits.to_le_bytes()));
    }

    /// Those that another core has written.
    pub(super) fn read(written: &[u8]) -> Self {
        let (bits, rest) = written.as_chunks::<4>();
        assert!(rest.is_empty(), "words are whole");
        Self(bits.iter().map(|bits| u32::from_le_bytes(*bits)).collect())
    }
}

/// Which of `members` each of the others has, or none.
fn which(others: &[SetRef<'_>], keep: Keep, members: &[u8]) -> Bits {
    let mut kept = Vec::new();
    let mut members = members_of_part(members);
    loop {
        let together: Vec<&[u8]> = members.by_ref().take(NEAR_AT_ONCE).collect();
        if together.is_empty() {
            return Bits(kept);
        }
        kept.push(keep_of(others.iter(), keep, &together));
    }
}

/// Which of at most [`NEAR_AT_ONCE`] members are kept, a bit each.
#[inline]
pub(super) fn keep_of<'o>(
    others: impl Iterator<Item = &'o SetRef<'o>>,
    keep: Keep,
    members: &[&[u8]],
) -> u32 {
    let mut left = match members.len() {
        NEAR_AT_ONCE => u32::MAX,
        count => (1 << count) - 1,
    };
    for other in others {
        let found = other.which(members);
        left &= match keep {
            Keep::IfAllHave => found,
            Keep::IfNoneHas => !found,
        };
        if left == 0 {
            break;
        }
    }
    left
}

/// Those of `members` that are chosen.
pub(super) fn chosen(members: &[u8], Bits(bits): &Bits) -> Vec<u8> {
    let mut chosen = Vec::new();
    for (at, member) in members_of_part(members).enumerate() {
        if bits[at / NEAR_AT_ONCE] >> (at % NEAR_AT_ONCE) & 1 != 0 {
            write_member(member, &mut chosen);
        }
    }
    chosen
}

const _: () = assert!(NEAR_AT_ONCE == u32::BITS as usize, "a bit each");
