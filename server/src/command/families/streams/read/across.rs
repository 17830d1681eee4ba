//! Reading streams of several cores: one question to each core, about its streams.
//!
//! ```text
//!  show    to each core:  the command, with its own streams        ──▶ of each:  from where on, what was given, what is replied │ why not
//!  note    to each core:  the same, with what was given as the ids     of XREADGROUP alone
//!  reply                                                               or wait, with what `$` was
//! ```

use larder_engine::StreamId;

use super::given::Given;
use super::show::{self, Start};
use super::{Reading, begin_list};
use crate::command::families::streams::ids;
use crate::command::families::transfer::Answer;
use crate::command::{Args, CoreCall, CoreFn, CoreRequest, Resolved, Round, Rounds, Turn};
use crate::resp::{ErrorReply, Reply};
use crate::routing::{CoreId, SlotMap};

/// Begins it.
pub(super) fn begin(
    args: &Args<'_>,
    slots: &SlotMap,
    _: Turn,
) -> Result<Box<dyn Rounds>, ErrorReply> {
    let reading = Reading::parse(args)?;
    let mut parts: Vec<Part> = Vec::new();
    for number in 0..reading.streams {
        let core = slots.core_of(args.at(reading.key_at(number)));
        match parts.iter_mut().find(|part| part.core == core) {
            Some(part) => part.streams.push(number),
            None => parts.push(Part {
                core,
                streams: vec![number],
            }),
        }
    }
    Ok(Box::new(Across {
        args: args.iter_from(0).map(<[u8]>::to_vec).collect(),
        first_key: reading.first_key,
        streams: reading.streams,
        is_of_group: reading.group.is_some(),
        waits: reading.block.is_some(),
        parts,
        served: 0,
        shown: Vec::new(),
        again_in_ms: None,
        step: Step::Nothing,
    }))
}

/// The streams of a core, by their numbers.
#[derive(Debug)]
struct Part {
    core: CoreId,
    streams: Vec<usize>,
}

/// Streams of several cores.
#[derive(Debug)]
struct Across {
    args: Vec<Vec<u8>>,
    first_key: usize,
    streams: usize,
    is_of_group: bool,
    waits: bool,
    parts: Vec<Part>,
    /// How many streams have something, and what is replied of these.
    served: usize,
    shown: Vec<u8>,
    /// When something will be claimed, if nothing is read before.
    again_in_ms: Option<u64>,
    step: Step,
}

/// What the answers at hand are to.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Nothing,
    Show,
    Note,
}

impl Across {
    /// Asks each core about its streams, each with what `last` has for its number in the place of the id.
    fn ask(&self, run: CoreFn, last: impl Fn(usize) -> Vec<u8>) -> Round {
        let requests = self.parts.iter().map(|part| {
            let mut args = self.args[..self.first_key].to_vec();
            let keys = part.streams.iter();
            args.extend(keys.map(|number| self.args[self.first_key + number].clone()));
            args.extend(part.streams.iter().map(|&number| last(number)));
            let core = part.core;
            CoreRequest { core, run, args }
        });
        Round::Ask(requests.collect())
    }

    /// Puts what the cores have shown together, in the order of the streams.
    fn gather(&mut self, answers: &[&[u8]], reply: &Reply<'_>) -> Result<Vec<Vec<u8>>, ErrorReply> {
        let mut rests: Vec<&[u8]> = answers.to_vec();
        let mut of_stream = vec![0; self.streams];
        for (at, part) in self.parts.iter().enumerate() {
            part.streams
                .iter()
                .for_each(|&number| of_stream[number] = at);
        }
        let mut given = Vec::with_capacity(self.streams);
        let mut shown = Reply::new(&mut self.shown, reply.protocol());
        let begun = shown.mark();
        for (number, at) in of_stream.into_iter().enumerate() {
            let found = Found::read(&mut rests[at])?;
            if let Some(part) = found.shown {
                shown.raw(part);
                shown.check_len(begun)?;
                self.served += 1;
            }
            let id = &mut self.args[self.first_key + self.streams + number];
            if let (b"$", Start::Behind(last)) = (&id[..], found.from) {
                *id = ids::text(last);
            }
            let sooner = self.again_in_ms.into_iter().chain(found.again_in_ms);
            self.again_in_ms = sooner.min();
            given.push(found.given.to_vec());
        }
        Ok(given)
    }

    fn end(&mut self, reply: &mut Reply<'_>) -> Round {
        if self.served == 0 && self.waits {
            return Round::Wait(Resolved {
                args: Some(std::mem::take(&mut self.args)),
                again_in_ms: self.again_in_ms,
            });
        }
        if self.served == 0 {
            reply.null_array();
            return Round::Done;
        }
        let list = begin_list(reply, self.served);
        reply.raw(&self.shown);
        reply.end(list, self.served);
        Round::Done
    }
}

impl Rounds for Across {
    fn next(&mut self, answers: &[&[u8]], reply: &mut Reply<'_>) -> Result<Round, ErrorReply> {
        match self.step {
            Step::Nothing => {
                self.step = Step::Show;
                let first_id = self.first_key + self.streams;
                Ok(self.ask(show_part, |number| self.args[first_id + number].clone()))
            }
            Step::Show => {
                let given = self.gather(answers, reply)?;
                if !self.is_of_group {
                    return Ok(self.end(reply));
                }
                self.step = Step::Note;
                Ok(self.ask(note_part, |number| given[number].clone()))
            }
            Step::Note => {
                for answer in answers {
                    Answer::of(answer)?;
                }
                Ok(self.end(reply))
            }
        }
    }
}

/// What a core has found of a stream.
///
/// ```text
///  | length (4) | 1 | from where on: 0, or 1 | id (16) | in how many milliseconds to look again (8), or 0
///                   | length (4) | what was given | 1, and what is replied │ 0 |
///               | 2 | error text |
/// ```
#[derive(Debug, PartialEq, Eq)]
struct Found<'a> {
    from: Start,
    again_in_ms: Option<u64>,
    given: &'a [u8],
    shown: Option<&'a [u8]>,
}

impl<'a> Found<'a> {
    fn write(&self, out: &mut Vec<u8>) {
        let id = match self.from {
            Start::New => StreamId::MIN,
            Start::Behind(id) => id,
        };
        out.push(u8::from(self.from != Start::New));
        out.extend_from_slice(&id.ms.to_le_bytes());
        out.extend_from_slice(&id.seq.to_le_bytes());
        out.extend_from_slice(&self.again_in_ms.unwrap_or(0).to_le_bytes());
        out.extend_from_slice(&(self.given.len() as u32).to_le_bytes());
        out.extend_from_slice(self.given);
        out.push(u8::from(self.shown.is_some()));
        out.extend_from_slice(self.shown.unwrap_or_default());
    }

    /// Reads what was found of the next stream of an answer.
    ///
    /// # Errors
    /// The stream cannot be read.
    fn read(answer: &mut &'a [u8]) -> Result<Self, ErrorReply> {
        let len = u32::from_le_bytes(take(answer)) as usize;
        let found = answer.split_off(..len).expect("so much was written");
        let Answer::Yes(mut found) = Answer::of(found)? else {
            unreachable!("something is found of every stream, or it fails")
        };
        let [is_behind] = take(&mut found);
        let [ms, seq, again_in_ms] = [0; 3].map(|_| u64::from_le_bytes(take(&mut found)));
        let len = u32::from_le_bytes(take(&mut found)) as usize;
        let given = found.split_off(..len).expect("so much was written");
        let [is_shown] = take(&mut found);
        Ok(Self {
            from: match is_behind {
                0 => Start::New,
                _ => Start::Behind(StreamId::new(ms, seq)),
            },
            again_in_ms: (again_in_ms != 0).then_some(again_in_ms),
            given,
            shown: (is_shown != 0).then_some(found),
        })
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> [u8; N] {
    let (first, rest) = bytes.split_first_chunk().expect("so much was written");
    *bytes = rest;
    *first
}

/// Writes what is found of a stream, with its length before it.
fn answer(out: &mut Vec<u8>, found: Result<&Found<'_>, &ErrorReply>) {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    match found {
        Ok(found) => Answer::yes(out, |out| found.write(out)),
        Err(error) => Answer::failed(out, error),
    }
    let len = (out.len() - at - 4) as u32;
    out[at..at + 4].copy_from_slice(&len.to_le_bytes());
}

/// Answers what is to be replied of this core's streams: of each up to the first that cannot be read.
fn show_part(call: &mut CoreCall<'_>) {
    if let Err(error) = show_streams(call) {
        answer(call.out, Err(&error));
    }
}

fn show_streams(call: &mut CoreCall<'_>) -> Result<(), ErrorReply> {
    let reading = Reading::parse(&call.args)?;
    let notes_at_once = reading.names_again(&call.args);
    let core = &mut *call.core;
    let (mut shown, mut given) = (Vec::new(), Vec::new());
    let mut bytes = 0;
    for number in 0..reading.streams {
        let name = call.args.at(reading.key_at(number));
        if let Some(reader) = call.reader {
            core.remember_key(name, reader);
        }
        let key = core.shard.hasher().key(name);
        let id = call.args.at(reading.id_at(number));
        let place = (&mut core.shard, call.db, key);
        let from = show::look(place, &mut core.stats, (&reading, id))?;
        shown.clear();
        let mut reply = Reply::new(&mut shown, call.protocol);
        let place = (&mut core.shard, call.db, key);
        let found = show::show(place, &mut core.stats, (&reading, from), &mut reply)?;
        bytes += shown.len();
        Reply::check_bytes(bytes)?;
        given.clear();
        match (&found, reading.group) {
            (Some(found), Some(group)) if notes_at_once => {
                found.note((&mut core.shard, call.db, key), (&reading, group))?;
            }
            (Some(found), Some(_)) => found.write(&mut given),
            _ => {}
        }
        let place = (&mut core.shard, call.db, key);
        let waits = found.is_none() && reading.block.is_some();
        let found = Found {
            from,
            again_in_ms: waits
                .then(|| show::claimable_in_ms(place, &reading))
                .flatten(),
            given: &given,
            shown: found.is_some().then_some(&shown[..]),
        };
        answer(call.out, Ok(&found));
    }
    Ok(())
}

/// Notes what the consumer was given of this core's streams, which stands in the places of the ids.
fn note_part(call: &mut CoreCall<'_>) {
    let noted = Reading::parse(&call.args).and_then(|reading| {
        let group = reading.group.expect("it is of a group");
        for number in 0..reading.streams {
            let key = call.args.at(reading.key_at(number));
            let key = call.core.shard.hasher().key(key);
            let given = Given::read(call.args.at(reading.id_at(number)));
            given.note((&mut call.core.shard, call.db, key), (&reading, group))?;
        }
        Ok(())
    });
    match noted {
        Ok(()) => Answer::yes(call.out, |_| ()),
        Err(error) => Answer::failed(call.out, &error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_is_read_as_it_was_written() {
        let founds = [
            Found {
                from: Start::New,
                again_in_ms: Some(7),
                given: b"given",
                shown: Some(b"shown"),
            },
            Found {
                from: Start::Behind(StreamId::new(3, u64::MAX)),
                again_in_ms: None,
                given: b"",
                shown: None,
            },
        ];
        let mut out = Vec::new();
        founds.iter().for_each(|found| answer(&mut out, Ok(found)));
        let error = ErrorReply::fixed("ERR no");
        answer(&mut out, Err(&error));
        let mut rest = &out[..];
        for found in founds {
            assert_eq!(Found::read(&mut rest), Ok(found));
        }
        assert_eq!(Found::read(&mut rest), Err(error));
        assert!(rest.is_empty());
    }
}
