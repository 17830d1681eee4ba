//! Walking over the elements of a collection: `HSCAN`, `SSCAN` and `ZSCAN`.
//!
//! A cursor is the engine's position in the collection, so that an element that is there all the while is shown, however the collection
//! grows or shrinks. A collection that is shown as a small one is shown at once, whatever `COUNT` says: some rely on it.

use larder_engine::{Encoding, parse_canonical_i64};

use super::scan::{DEFAULT_COUNT, matches};
use crate::command::Args;
use crate::resp::errors::{self, CommandResult};
use crate::resp::{ErrorReply, Mark, Reply};

/// What is to be shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walk<'a> {
    /// Elements to visit.
    count: usize,
    pattern: &'a [u8],
    /// Names alone, without what belongs to them.
    pub(super) names_only: bool,
}

impl<'a> Walk<'a> {
    /// Reads the arguments from 3 on; `names_only` is the word for that, if there is one.
    pub(super) fn parse(args: &Args<'a>, names_only: Option<&str>) -> Result<Self, ErrorReply> {
        let mut walk = Self {
            count: DEFAULT_COUNT as usize,
            pattern: b"*",
            names_only: false,
        };
        let mut words = args.iter_from(3);
        while let Some(word) = words.next() {
            if names_only.is_some_and(|name| word.eq_ignore_ascii_case(name.as_bytes())) {
                walk.names_only = true;
                continue;
            }
            let value = words.next().ok_or(errors::SYNTAX)?;
            if word.eq_ignore_ascii_case(b"count") {
                let count = parse_canonical_i64(value).ok_or(errors::NOT_AN_INTEGER)?;
                walk.count = usize::try_from(count)
                    .ok()
                    .filter(|&count| count > 0)
                    .ok_or(errors::SYNTAX)?;
            } else if word.eq_ignore_ascii_case(b"match") {
                walk.pattern = value;
            } else {
                return Err(errors::SYNTAX);
            }
        }
        Ok(walk)
    }

    /// How many elements are visited of a collection that answers this encoding.
    pub(super) fn to_visit(&self, encoding: Encoding) -> usize {
        match encoding {
            Encoding::HashTable | Encoding::SkipList => self.count,
            _ => usize::MAX,
        }
    }

    /// Replies with what `scan` adds, and the cursor that it answers.
    pub(super) fn reply(
        &self,
        reply: &mut Reply<'_>,
        scan: impl FnOnce(&mut Shown<'_>) -> Option<u64>,
    ) -> CommandResult {
        // The elements come first: where to go on is known behind them.
        let mut bytes = Vec::new();
        let items = Reply::new(&mut bytes, reply.protocol());
        let mut shown = Shown {
            pattern: self.pattern,
            began: items.mark(),
            items,
            replies: 0,
            fits: Ok(()),
        };
        let next = scan(&mut shown);
        let Shown { replies, fits, .. } = shown;
        fits?;
        reply.array(2);
        reply.text(&next.unwrap_or(0).to_string());
        reply.array(replies);
        reply.raw(&bytes);
        Ok(())
    }
}

/// Elements that are shown.
pub(super) struct Shown<'a> {
    pattern: &'a [u8],
    items: Reply<'a>,
    began: Mark,
    replies: usize,
    fits: CommandResult,
}

impl Shown<'_> {
    /// Adds an element of this name, if that matches: `write` writes so many replies.
    pub(super) fn add(&mut self, name: &[u8], replies: usize, write: impl FnOnce(&mut Reply<'_>)) {
        if self.fits.is_ok() && matches(self.pattern, name) {
            write(&mut self.items);
            self.replies += replies;
            self.fits = self.items.check_len(self.began);
        }
    }
}

/// The reply of a walk over nothing.
pub(super) fn reply_empty(reply: &mut Reply<'_>) {
    reply.array(2);
    reply.text("0");
    reply.array(0);
}
