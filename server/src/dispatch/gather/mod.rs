//! Replies made of parts that several cores answer, and commands in rounds: the parts are kept until the last has come.

mod parts;

use slab::Slab;

use self::parts::{first_element, integer_reply, line_bytes};
use super::blocking::blocked::Attempt;
use super::limits::{
    GATHER_PART_KEPT_BYTES, GATHER_PARTS_KEPT, GATHER_PLACES_KEPT, GATHER_REPLY_KEPT_BYTES,
    GATHERS_KEPT,
};
use super::mail::requests::{LocksHeld, Then};
use super::notify::telling::EventsOfCommand;
use super::run::kept_args::{KeptArgs, keep_args};
use super::run::recipient::Recipient;
use crate::command::{Args, CommandId, Handed, Merge, Rounds};
use crate::resp::{ErrorReply, Protocol, REPLY_MAX_BYTES, Reply, errors};

/// What makes the reply of the parts.
pub(in crate::dispatch) enum Finish {
    /// The command's own function.
    Merge(Merge),
    /// Integer replies are added.
    Sum,
    /// The first error, else the first reply.
    All,
    /// Array replies; element `i` is the next one of part `.0[i]`.
    Gather(Vec<usize>),
    /// The replies of an `EXEC`'s commands, each a part.
    Exec,
    /// The parts are a round's answers.
    Rounds(Box<dyn Rounds>),
}

/// Replies being gathered on a core.
#[derive(Default)]
pub(in crate::dispatch) struct Gathers {
    pending: Slab<Gather>,
    /// Memory of parts of former replies, for later ones.
    spare: Vec<Vec<Vec<u8>>>,
    /// Memory of the lists that say which part holds each element.
    spare_places: Vec<Vec<usize>>,
    /// Memory of the reply that is made.
    reply: Vec<u8>,
    /// How far each of its parts has been read.
    read: Vec<usize>,
}

impl Gathers {
    /// Begins a reply. Its number.
    pub(in crate::dispatch) fn insert(&mut self, gather: Gather) -> usize {
        self.pending.insert(gather)
    }

    /// The reply of this number.
    ///
    /// # Panics
    /// If there is none.
    pub(in crate::dispatch) fn get(&mut self, number: usize) -> &mut Gather {
        &mut self.pending[number]
    }

    /// The reply of this number, which is complete.
    pub(in crate::dispatch) fn remove(&mut self, number: usize) -> Gather {
        self.pending.remove(number)
    }

    /// Emptied memory for a reply, for [`Self::keep_reply`].
    pub(in crate::dispatch) fn take_reply(&mut self) -> Vec<u8> {
        let mut reply = std::mem::take(&mut self.reply);
        reply.clear();
        reply
    }

    /// Keeps a reply's memory for the next one, unless it is much.
    pub(in crate::dispatch) fn keep_reply(&mut self, reply: Vec<u8>) {
        if reply.capacity() <= GATHER_REPLY_KEPT_BYTES {
            self.reply = reply;
        }
    }

    /// Room for `count` parts.
    pub(in crate::dispatch) fn room(&mut self, count: usize) -> Vec<Vec<u8>> {
        let mut parts = self.spare.pop().unwrap_or_default();
        parts.resize_with(count, Vec::new);
        parts
    }

    /// Memory for which part holds each element of a reply.
    pub(in crate::dispatch) fn places(&mut self) -> Vec<usize> {
        self.spare_places.pop().unwrap_or_default()
    }

    /// Keeps the memory of parts that were small.
    pub(in crate::dispatch) fn recycle(&mut self, mut parts: Vec<Vec<u8>>, finish: Finish) {
        if let Finish::Gather(mut places) = finish
            && self.spare_places.len() < GATHERS_KEPT
            && places.capacity() <= GATHER_PLACES_KEPT
        {
            places.clear();
            self.spare_places.push(places);
        }
        if self.spare.len() < GATHERS_KEPT && parts.len() <= GATHER_PARTS_KEPT {
            for part in &mut parts {
                match part.capacity() > GATHER_PART_KEPT_BYTES {
                    true => *part = Vec::new(),
                    false => part.clear(),
                }
            }
            self.spare.push(parts);
        }
    }
}

/// A reply of which some parts are there.
pub(in crate::dispatch) struct Gather {
    pub(in crate::dispatch) recipient: Recipient,
    pub(in crate::dispatch) finish: Finish,
    /// A copy of the command's arguments, for [`Finish::Merge`] and for the order of events.
    pub(in crate::dispatch) args: KeptArgs,
    /// The events of its parts, if this core tells of them.
    pub(in crate::dispatch) told: Option<Box<EventsOfCommand>>,
    pub(in crate::dispatch) parts: Vec<Vec<u8>>,
    pub(in crate::dispatch) missing: usize,
    /// Bytes of the parts.
    pub(in crate::dispatch) part_bytes: usize,
    /// The locks its parts run under.
    pub(in crate::dispatch) locks: LocksHeld,
    /// Whether they are given back behind it.
    pub(in crate::dispatch) then: Then,
    /// Set if its rounds are an attempt at a command that may block.
    pub(in crate::dispatch) attempt: Option<Box<Attempt>>,
}

impl Gather {
    /// Has its events told of by this core, if there is to be something `told`.
    pub(in crate::dispatch) fn tell(&mut self, told: Option<Box<EventsOfCommand>>, args: Args<'_>) {
        if told.is_some() {
            self.args = keep_args(args);
        }
        self.told = told;
    }
}

impl Gathers {
    /// Entries have come for a command in rounds, ahead of the answer that they belong to.
    pub(in crate::dispatch) fn hand(&mut self, gather: u32, entries: Vec<Handed>) {
        match &mut self.pending[gather as usize].finish {
            Finish::Rounds(rounds) => rounds.hand(entries),
            _ => unreachable!("entries are handed to commands in rounds"),
        }
    }

    /// The events of a reply's parts, if this core tells of them.
    pub(in crate::dispatch) fn told_of(&mut self, gather: usize) -> Option<&mut EventsOfCommand> {
        self.pending.get_mut(gather)?.told.as_deref_mut()
    }

    /// Whether a command of several rounds is under way, `except` this one.
    pub(in crate::dispatch) fn has_rounds(&self, except: CommandId) -> bool {
        let mut gathers = self.pending.iter();
        gathers.any(|(_, gather)| {
            matches!(gather.finish, Finish::Rounds(_)) && gather.recipient.command.id != except
        })
    }

    /// Makes the reply of its parts.
    ///
    /// # Errors
    /// There is none that fits. What is in `out` by then is to be taken back.
    pub(in crate::dispatch) fn write_reply(
        &mut self,
        finish: &Finish,
        args: Args<'_>,
        parts: &[Vec<u8>],
        out: &mut Vec<u8>,
        protocol: Protocol,
    ) -> Result<(), ErrorReply> {
        if let Some(error) = parts.iter().find(|part| part.first() == Some(&b'-'))
            && !matches!(finish, Finish::Merge(_) | Finish::Exec)
        {
            out.extend_from_slice(error);
            return Ok(());
        }
        match finish {
            Finish::Merge(merge) => {
                let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
                merge(&args, &parts, &mut Reply::new(out, protocol))?;
            }
            Finish::Sum => {
                let sum = parts.iter().map(|part| integer_reply(part)).sum();
                Reply::new(out, protocol).integer(sum);
            }
            Finish::All => {
                let first = parts.first().map(Vec::as_slice);
                out.extend_from_slice(first.unwrap_or(b"+OK\r\n"));
            }
            Finish::Gather(_) if parts.iter().map(Vec::len).sum::<usize>() > REPLY_MAX_BYTES => {
                return Err(errors::REPLY_TOO_LARGE);
            }
            Finish::Gather(places) => {
                let read = &mut self.read;
                read.clear();
                // Behind the header of the array.
                read.extend(parts.iter().map(|part| line_bytes(part)));
                Reply::new(out, protocol).array(places.len());
                for &part in places {
                    let element = first_element(&parts[part][read[part]..]);
                    read[part] += element.len();
                    out.extend_from_slice(element);
                }
            }
            Finish::Exec => {
                Reply::new(out, protocol).array(parts.len());
                parts.iter().for_each(|part| out.extend_from_slice(part));
            }
            Finish::Rounds(_) => unreachable!("rounds write their own reply"),
        }
        Ok(())
    }
}

#[cfg(test)]
impl Gathers {
    /// Whether every question has its answers.
    pub(in crate::dispatch) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }
}
