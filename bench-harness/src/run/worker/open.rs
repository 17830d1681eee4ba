//! The open loop: commands go out when they are due, to clients in turn.
//!
//! A client may owe as many replies as the pipeline is deep. While all clients owe that many, what is due waits, and keeps its
//! due time: that wait is a part of its latency, as it would be for whoever asked.

use super::Worker;
use crate::run::error::RunError;
use crate::run::reply::Scanner;

impl<S: Scanner> Worker<S> {
    /// Lets a client wait for a command, when it may have another.
    pub(super) fn stand_in_line(&mut self, client: usize) {
        let waiting = &mut self.clients[client];
        if waiting.owed < self.pipeline && !waiting.in_line {
            waiting.in_line = true;
            self.line.push_back(client);
        }
    }

    /// Sends what is due; how long it is until the next one.
    pub(super) fn send_due(&mut self, now_ns: u64) -> Result<u64, RunError> {
        loop {
            let Some(schedule) = &self.schedule else {
                return Ok(u64::MAX);
            };
            let due_ns = schedule.due_ns();
            if self.left > 0 && now_ns < due_ns && due_ns < self.end_ns {
                self.flush()?;
                return Ok(due_ns - now_ns);
            }
            let next = if self.left > 0 && due_ns < self.end_ns {
                self.line.pop_front()
            } else {
                None
            };
            let Some(client) = next else {
                if now_ns >= self.end_ns && self.left > 0 {
                    // What was due and could not be sent by now stays unsent: it is counted, not made up for.
                    self.sums.unsent = schedule.clone().left_before(self.end_ns).min(self.left);
                    self.left = 0;
                }
                self.flush()?;
                return Ok(u64::MAX);
            };
            self.clients[client].in_line = false;
            self.send_next(client, due_ns)?;
            self.stand_in_line(client);
        }
    }

    fn send_next(&mut self, client: usize, due_ns: u64) -> Result<(), RunError> {
        let Some(group) = self.next_group(client) else {
            self.left = 0;
            return Ok(());
        };
        self.issue(group, client, due_ns)?;
        let operations = self.context.workload.groups[group].operations;
        if let Some(schedule) = &mut self.schedule {
            schedule.take(operations as u64);
        }
        Ok(())
    }
}
