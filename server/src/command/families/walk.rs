//! Walking the elements of a collection, some at a time: `HSCAN`, `SSCAN`, `ZSCAN`.
//!
//! The cursor is the engine's. As in Redis it is read first, then the key is looked up, and only for a collection that is there
//! are the options read. One that clients are told is small is shown whole, whatever `COUNT` says: some rely on it.

use larder_engine::parse_canonical_i64;

use super::scan::{DEFAULT_COUNT, matches};
use crate::command::Args;
use crate::resp::errors::{self, CommandResult};
use crate::resp::{ErrorReply, Reply};

/// What is to be shown.
pub(super) struct Options<'a> {
    /// Elements to visit.
    count: usize,
    pattern: &'a [u8],
}

impl<'a> Options<'a> {
    /// Reads the arguments from 3 on; `own` takes words that stand by themselves, of this command alone.
    pub(super) fn parse(
        args: &Args<'a>,
        mut own: impl FnMut(&[u8]) -> bool,
    ) -> Result<Self, ErrorReply> {
        let mut options = Self {
            count: DEFAULT_COUNT as usize,
            pattern: b"*",
        };
        let mut words = args.iter_from(3);
        while let Some(word) = words.next() {
            if own(word) {
                continue;
            }
            let value = words.next().ok_or(errors::SYNTAX)?;
            if word.eq_ignore_ascii_case(b"count") {
                let count = parse_canonical_i64(value).ok_or(errors::NOT_AN_INTEGER)?;
                options.count = usize::try_from(count)
                    .ok()
                    .filter(|&count| count > 0)
                    .ok_or(errors::SYNTAX)?;
            } else if word.eq_ignore_ascii_case(b"match") {
                options.pattern = value;
            } else {
                return Err(errors::SYNTAX);
            }
        }
        Ok(options)
    }

    /// How many elements are to be visited of a collection that clients are told is small, or is not.
    pub(super) fn to_visit(&self, is_small: bool) -> usize {
        if is_small { usize::MAX } else { self.count }
    }

    /// Replies with where to go on, and the elements that `walk` shows and whose names match; `write` writes one, which is so many
    /// replies.
    ///
    /// # Errors
    /// They are more than a reply holds.
    pub(super) fn reply<E>(
        &self,
        reply: &mut Reply<'_>,
        walk: impl FnOnce(&mut dyn FnMut(E)) -> Option<u64>,
        name: impl Fn(&E) -> &[u8],
        (replies_each, write): (usize, impl Fn(&mut Reply<'_>, &E)),
    ) -> CommandResult {
        // The elements come first: where to go on is known behind them.
        let mut found = Vec::new();
        let mut shown = 0;
        let mut fits = Ok(());
        let mut items = Reply::new(&mut found, reply.protocol());
        let began = items.mark();
        let next = walk(&mut |element| {
            if fits.is_ok() && matches(self.pattern, name(&element)) {
                write(&mut items, &element);
                shown += 1;
                fits = items.check_len(began);
            }
        });
        fits?;
        reply.array(2);
        reply.text(&next.unwrap_or(0).to_string());
        reply.array(replies_each * shown);
        reply.raw(&found);
        Ok(())
    }
}

/// Replies with the end of a walk over nothing.
pub(super) fn reply_nothing(reply: &mut Reply<'_>) {
    reply.array(2);
    reply.text("0");
    reply.array(0);
}
