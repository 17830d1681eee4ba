//! From the next group of a workload to bytes on a socket, with and without a cluster.

use std::sync::Arc;

use super::Worker;
use super::connection::{ASKING, Owed, Sending};
use crate::run::error::RunError;
use crate::run::reply::Scanner;
use crate::run::setup::{Redirect, key_slot};
use crate::run::workload::REPLAY_SET;

/// `ASKING` on the wire.
const ASKING_COMMAND: &[u8] = b"*1\r\n$6\r\nASKING\r\n";

impl<S: Scanner> Worker<S> {
    /// A client has nothing owed, or in the open loop less than it may: gives it what is next.
    #[inline]
    pub(super) fn carry_on(&mut self, client: usize, now_ns: u64) -> Result<(), RunError> {
        if self.schedule.is_none() {
            if self.clients[client].owed == 0 {
                return self.refill(client, now_ns);
            }
            return Ok(());
        }
        while let Some(missed) = self.clients[client].misses.pop() {
            self.keys.clear();
            self.keys.push(missed);
            self.issue(REPLAY_SET, client, now_ns)?;
        }
        self.stand_in_line(client);
        Ok(())
    }

    /// Sends a client's next batch (closed loop).
    fn refill(&mut self, client: usize, now_ns: u64) -> Result<(), RunError> {
        if now_ns >= self.end_ns {
            return Ok(());
        }
        while self.clients[client].owed < self.pipeline && self.left > 0 {
            match self.next_group(client) {
                Some(group) => self.issue(group, client, now_ns)?,
                None => {
                    if self.clients[client].owed == 0 {
                        self.source_is_empty();
                    }
                    break;
                }
            }
        }
        Ok(())
    }

    /// Nothing more comes of the source; what others still have to do they do.
    fn source_is_empty(&mut self) {
        // A miss of another client may still have to be filled, by that client when its replies are in.
        let filling = self
            .clients
            .iter()
            .any(|client| client.owed > 0 || !client.misses.is_empty());
        if !filling {
            self.left = 0;
        }
    }

    pub(super) fn next_group(&mut self, client: usize) -> Option<usize> {
        let misses = &mut self.clients[client].misses;
        self.source
            .next(&self.context.workload, misses, &mut self.keys)
    }

    /// Renders a group, whose keys are in `self.keys`, for a client.
    #[inline]
    pub(super) fn issue(
        &mut self,
        group: usize,
        client: usize,
        due_ns: u64,
    ) -> Result<(), RunError> {
        let programs = self.context.workload.groups[group].programs.clone();
        let operations = self.context.workload.groups[group].operations;
        for program in programs {
            let node = if self.map.nodes().len() == 1 {
                0
            } else {
                self.route(program)
            };
            let owed = Owed {
                due_ns,
                key: self.first_key(program),
                program: program as u32,
                redirects: 0,
            };
            self.put(owed, client, node, due_ns)?;
        }
        self.clients[client].owed += operations;
        self.owed += operations;
        self.left = self.left.saturating_sub(operations as u64);
        Ok(())
    }

    /// Renders a command into the buffer of a client's connection to a node.
    #[inline]
    fn put(&mut self, owed: Owed, client: usize, node: usize, now_ns: u64) -> Result<(), RunError> {
        let index = match self.clients[client].connections.get(node) {
            Some(Some(index)) => *index,
            _ => self.connection_to(client, node)?,
        };
        let keeps_keys = self.keeps_keys();
        let connection = &mut self.connections[index];
        let program = &self.context.workload.programs[owed.program as usize];
        self.renderer
            .render(program, &self.keys, owed.due_ns, &mut connection.output);
        if connection.owed.is_empty() {
            connection.heard_ns = now_ns;
        }
        connection.owed.push_back(owed);
        if !program.more_keys.is_empty() && keeps_keys {
            let keys = program.more_keys.iter().map(|&key| self.keys[key]);
            connection.more_keys.extend(keys);
        }
        if connection.sending == Sending::Nothing {
            connection.sending = Sending::Waiting;
            self.dirty.push(index);
        }
        Ok(())
    }

    /// Whether all the keys of a command are needed when its reply comes.
    pub(super) fn keeps_keys(&self) -> bool {
        self.context.settings.verify || self.context.settings.cluster
    }

    fn first_key(&self, program: usize) -> u64 {
        let first = self.context.workload.programs[program].first_key();
        first.map_or(0, |key| self.keys[key])
    }

    /// The node that owns the first key of a command; any in turn when it has none.
    fn route(&mut self, program: usize) -> usize {
        let Some(key) = self.context.workload.programs[program].first_key() else {
            self.turn = (self.turn + 1) % self.map.nodes().len();
            return self.turn;
        };
        self.name.clear();
        let keys = &self.renderer.sources().keys;
        keys.write(self.keys[key], &mut self.name);
        self.map.owner(key_slot(&self.name))
    }

    /// Sends a command again where the cluster says.
    pub(super) fn follow(
        &mut self,
        redirect: &Redirect,
        mut owed: Owed,
        more_keys: &[u64],
        client: usize,
    ) -> Result<(), RunError> {
        owed.redirects += 1;
        self.sums.redirects += 1;
        let node = if redirect.once {
            self.map.node(&redirect.address)
        } else {
            self.map.moved(redirect.slot, &redirect.address)
        };
        let now_ns = self.context.clock.now_ns();
        let index = self.connection_to(client, node)?;
        if redirect.once {
            let connection = &mut self.connections[index];
            connection.output.extend_from_slice(ASKING_COMMAND);
            connection.owed.push_back(Owed {
                program: ASKING,
                ..owed
            });
        }
        let context = Arc::clone(&self.context);
        let program = &context.workload.programs[owed.program as usize];
        let draws = context
            .workload
            .groups
            .iter()
            .map(|group| group.draws.len())
            .max();
        self.keys.clear();
        self.keys.resize(draws.unwrap_or(0), owed.key);
        for (&index, &key) in program.more_keys.iter().zip(more_keys) {
            self.keys[index] = key;
        }
        self.put(owed, client, node, now_ns)
    }

    /// Writes the output of this turn.
    pub(super) fn flush(&mut self) -> Result<(), RunError> {
        while let Some(index) = self.dirty.pop() {
            self.write(index)?;
        }
        Ok(())
    }

    /// Writes what a connection has; the rest goes when the socket takes more.
    #[inline]
    pub(super) fn write(&mut self, index: usize) -> Result<(), RunError> {
        match self.connections[index].write() {
            Ok(bytes) => {
                self.sums.sent_bytes += bytes as u64;
                Ok(())
            }
            Err(error) => Err(self.lost(index, Some(error))),
        }
    }

    pub(super) fn lost(&self, index: usize, error: Option<std::io::Error>) -> RunError {
        let connection = &self.connections[index];
        RunError::Lost {
            address: self.map.nodes()[connection.node].to_string(),
            owed: connection.owed.len(),
            error,
        }
    }
}
