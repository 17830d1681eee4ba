//! The differences that are explained, one by one: where Larder answers as Redis 8.6 does and an older one did not.

use super::compare::Different;
use crate::resp::Reply;

/// A Redis's version: major, minor.
pub type Version = (u32, u32);

/// One difference that may be.
#[derive(Debug)]
pub struct Explained {
    /// By which it is counted.
    pub name: &'static str,
    /// References older than this answer otherwise.
    pub before: Version,
    /// Why it is right.
    pub why: &'static str,
    /// Whether a difference is this one.
    pub is: fn(&Different<'_>) -> bool,
}

/// All of them.
pub const EXPLAINED: &[Explained] = &[Explained {
    name: "small lists are listpacks",
    before: (7, 2),
    why: "OBJECT ENCODING of a list that fits one node answers listpack since 7.2, quicklist before",
    is: |it| {
        is_encoding(it)
            && it.reference.bytes() == Some(b"quicklist")
            && it.subject.bytes() == Some(b"listpack")
    },
}];

fn is_encoding(it: &Different<'_>) -> bool {
    it.command.name() == "OBJECT"
}

/// Those that may come with a reference of this version.
#[must_use]
pub fn those_before(reference: Version) -> Vec<&'static Explained> {
    EXPLAINED
        .iter()
        .filter(|one| reference < one.before)
        .collect()
}

/// What explains a difference, by name.
pub(super) fn explanation(
    explained: &[&'static Explained],
    different: &Different<'_>,
) -> Option<&'static str> {
    explained
        .iter()
        .find(|one| (one.is)(different))
        .map(|one| one.name)
}

/// The text of an error.
fn error(reply: &Reply) -> Option<&[u8]> {
    match reply {
        Reply::Error(text) => Some(text),
        _ => None,
    }
}
