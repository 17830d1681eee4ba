//! From bytes on a socket to replies counted.

use std::io::{self, Read};
use std::sync::atomic::Ordering;

use super::connection::{ASKING, Connection, Owed, Role};
use super::{Deliveries, Worker};
use crate::run::error::RunError;
use crate::run::reply::{Malformed, Reply, Scanner, Shape};
use crate::run::setup::{Redirect, parse_redirect};
use crate::run::template::{Reads, STAMP_DIGITS};
use crate::run::workload::REPLAY_GET;

/// A command that is sent around more often than this will not arrive.
const MAX_REDIRECTS: u32 = 16;

/// The elements of a message: its kind, the channel, the payload.
const PAYLOAD_ELEMENT: usize = 2;

/// A command that the cluster sends elsewhere.
struct Redirected {
    redirect: Redirect,
    owed: Owed,
    more_keys: Vec<u64>,
}

impl<S: Scanner> Worker<S> {
    /// Reads what a connection has, and lets its client carry on.
    pub(super) fn receive(
        &mut self,
        index: usize,
        closing: bool,
        deliveries: &Deliveries,
    ) -> Result<(), RunError> {
        loop {
            let connection = &mut self.connections[index];
            let carried = connection.carry.len();
            let read = match (&connection.stream).read(&mut self.buffer[carried..]) {
                Ok(0) => return Err(self.lost(index, None)),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.lost(index, Some(error))),
            };
            let now_ns = self.context.clock.now_ns();
            self.sums.received_bytes += read as u64;
            connection.heard_ns = now_ns;
            self.buffer[..carried].copy_from_slice(&connection.carry);
            connection.carry.clear();
            let role = connection.role;
            let full = carried + read == self.buffer.len();
            let buffer = std::mem::take(&mut self.buffer);
            let input = &buffer[..carried + read];
            let digested = match role {
                Role::Load { client } => self.digest(index, client, input, now_ns),
                Role::Subscriber => self.digest_messages(index, input, now_ns, deliveries),
            };
            self.buffer = buffer;
            digested?;
            if let Role::Load { client } = role {
                self.carry_on(client, now_ns)?;
                self.flush()?;
            }
            // A read that leaves room has emptied the socket; what comes later rings again. A socket that closes does not.
            if !full && !closing {
                return Ok(());
            }
        }
    }

    fn digest(
        &mut self,
        index: usize,
        client: usize,
        mut input: &[u8],
        now_ns: u64,
    ) -> Result<(), RunError> {
        let mut redirected = Vec::new();
        while !input.is_empty() {
            let Some(&owed) = self.connections[index].owed.front() else {
                self.skip_push(index, &mut input)?;
                continue;
            };
            let reply = match self.next_reply(index, &owed, &mut input) {
                Ok(Some(reply)) => reply,
                Ok(None) => break,
                Err(malformed) => return Err(self.malformed(index, &owed, malformed)),
            };
            if reply.shape == Shape::Push {
                continue;
            }
            self.connections[index].owed.pop_front();
            if owed.program == ASKING {
                continue;
            }
            if reply.shape == Shape::Error
                && let Some(redirect) = self.take_error(index, &owed)
            {
                let more_keys = self.take_more_keys(index, &owed).collect();
                redirected.push(Redirected {
                    redirect,
                    owed,
                    more_keys,
                });
                continue;
            }
            self.count(index, client, &owed, reply, now_ns);
        }
        self.recorder.flush(now_ns);
        self.connections[index].carry.extend_from_slice(input);
        for Redirected {
            redirect,
            owed,
            more_keys,
        } in redirected
        {
            self.follow(&redirect, owed, &more_keys, client)?;
        }
        Ok(())
    }

    /// The next reply on a connection, its values checked where that is asked for.
    #[inline]
    fn next_reply(
        &mut self,
        index: usize,
        owed: &Owed,
        input: &mut &[u8],
    ) -> Result<Option<Reply>, Malformed> {
        let Connection {
            scanner,
            more_keys,
            value_is_wrong,
            ..
        } = &mut self.connections[index];
        if !self.context.settings.verify || owed.program == ASKING {
            return scanner.next(input, |_| ());
        }
        let program = &self.context.workload.programs[owed.program as usize];
        if program.reads != Reads::Values || program.first_key().is_none() {
            return scanner.next(input, |_| ());
        }
        let sources = &self.context.workload.sources;
        scanner.next(input, |part| {
            let key = match program.more_keys.len() {
                0 if program.is_run() => owed.key + part.element as u64,
                0 => owed.key,
                _ => more_keys.get(part.element).copied().unwrap_or(owed.key),
            };
            let hash = sources.keys.hash(key);
            *value_is_wrong |= !sources.values.check(hash, part.offset, part.bytes);
        })
    }

    /// Counts a reply to a command of a client.
    #[inline]
    fn count(&mut self, index: usize, client: usize, owed: &Owed, reply: Reply, now_ns: u64) {
        let workload = &self.context.workload;
        let program = owed.program as usize;
        let label = workload.label_of[program];
        if reply.shape == Shape::Error {
            self.recorder.error(label);
        } else {
            match workload.programs[program].reads {
                Reads::Nothing => {}
                Reads::Values => {
                    self.recorder.read(label, reply.values, reply.nils);
                    let is_get = workload.groups[REPLAY_GET].programs.contains(&program);
                    if reply.values == 0 && is_get && self.source.fills_misses() {
                        self.clients[client].misses.push(owed.key);
                    }
                }
                Reads::Aggregate => {
                    let missed = u32::from(reply.shape == Shape::Empty);
                    self.recorder.read(label, 1 - missed, missed);
                }
            }
            if workload.message.is_some() {
                self.sums.promised += reply.integer.max(0) as u64;
            }
        }
        let ends_operation = workload.programs[program].ends_operation;
        if ends_operation {
            self.recorder.answered(label, owed.due_ns, now_ns);
        }
        if self.connections[index].value_is_wrong {
            self.count_wrong_value(index, owed);
        }
        if !self.context.workload.programs[program].more_keys.is_empty() {
            drop(self.take_more_keys(index, owed));
        }
        if ends_operation {
            self.clients[client].owed -= 1;
            self.owed -= 1;
        }
    }

    #[cold]
    fn count_wrong_value(&mut self, index: usize, owed: &Owed) {
        self.connections[index].value_is_wrong = false;
        self.sums.wrong_values += 1;
        let mut name = Vec::new();
        self.context
            .workload
            .sources
            .keys
            .write(owed.key, &mut name);
        let name = String::from_utf8_lossy(&name).into_owned();
        self.sums.first_wrong.get_or_insert(name);
    }

    /// Takes note of an error, or finds that it is a direction.
    #[cold]
    fn take_error(&mut self, index: usize, owed: &Owed) -> Option<Redirect> {
        let connection = &self.connections[index];
        let error = connection.scanner.error();
        if self.context.settings.cluster && owed.redirects < MAX_REDIRECTS {
            let from = &self.map.nodes()[connection.node];
            if let Some(redirect) = parse_redirect(error, from) {
                return Some(redirect);
            }
        }
        if self.sums.first_error.is_none() {
            let mut text = String::from_utf8_lossy(error).into_owned();
            if text.starts_with("MOVED ") && !self.context.settings.cluster {
                text.push_str(" (a cluster needs --cluster)");
            }
            self.sums.first_error = Some(text);
        }
        None
    }

    /// The keys that were kept for a command with several.
    fn take_more_keys(&mut self, index: usize, owed: &Owed) -> impl Iterator<Item = u64> + '_ {
        let count = self.context.workload.programs[owed.program as usize]
            .more_keys
            .len();
        let kept = &mut self.connections[index].more_keys;
        let count = count.min(kept.len());
        kept.drain(..count)
    }

    /// Nothing is owed: only a message between replies may come, or the beginning of one.
    #[cold]
    fn skip_push(&mut self, index: usize, input: &mut &[u8]) -> Result<(), RunError> {
        let address = || self.map.nodes()[self.connections[index].node].to_string();
        let unasked = RunError::Unasked { address: address() };
        let connection = &mut self.connections[index];
        match connection.scanner.next(input, |_| ()) {
            Ok(Some(Reply {
                shape: Shape::Push, ..
            })) => Ok(()),
            Ok(None) if input.first().is_none_or(|&kind| kind == b'>') => {
                connection.carry.extend_from_slice(input);
                *input = &[];
                Ok(())
            }
            _ => Err(unasked),
        }
    }

    fn malformed(&self, index: usize, owed: &Owed, malformed: Malformed) -> RunError {
        let workload = &self.context.workload;
        let label = workload.label_of.get(owed.program as usize);
        RunError::Malformed {
            address: self.map.nodes()[self.connections[index].node].to_string(),
            command: label
                .map_or("ASKING", |&label| &workload.labels[label])
                .to_owned(),
            excerpt: malformed.excerpt,
        }
    }

    /// Records the deliveries to a subscriber, from the stamp at the front of each payload.
    fn digest_messages(
        &mut self,
        index: usize,
        mut input: &[u8],
        now_ns: u64,
        deliveries: &Deliveries,
    ) -> Result<(), RunError> {
        let mut delivered = 0;
        while !input.is_empty() {
            let connection = &mut self.connections[index];
            let stamp = &mut connection.stamp;
            let next = connection.scanner.next(&mut input, |part| {
                let room = STAMP_DIGITS
                    .saturating_sub(stamp.len())
                    .min(part.bytes.len());
                if part.element == PAYLOAD_ELEMENT {
                    stamp.extend_from_slice(&part.bytes[..room]);
                }
            });
            match next {
                Ok(None) => break,
                Ok(Some(_)) => {}
                Err(malformed) => {
                    return Err(RunError::Malformed {
                        address: self.map.nodes()[self.connections[index].node].to_string(),
                        command: "SUBSCRIBE".to_owned(),
                        excerpt: malformed.excerpt,
                    });
                }
            }
            let digits = std::str::from_utf8(stamp).ok();
            let published_ns = digits.and_then(|digits| digits.parse().ok());
            stamp.clear();
            if let (Some(published_ns), Some(label)) = (published_ns, self.context.workload.message)
            {
                self.recorder.answered(label, published_ns, now_ns);
                delivered += 1;
            }
        }
        self.recorder.flush(now_ns);
        self.connections[index].carry.extend_from_slice(input);
        deliveries.delivered.fetch_add(delivered, Ordering::AcqRel);
        Ok(())
    }
}
