//! What bounds the answers that are under way to a session of another core, or have come and found its replies to be too
//! many: credit-based flow control (Kung, Blackwell, Chapman, "Credit-based flow control for ATM networks", SIGCOMM 1994),
//! for large answers only.
//!
//! ```text
//!  asking core                                  answering core
//!   GET big ─────────────────────────────────▶  runs, answers; the session owes the answer's bytes
//!   GET big ─────────────────────────────────▶  the session owes too much: the request is set aside
//!   the reply stands among those that are
//!   ready, and these are not too many ─ credit ▶ owes less: what was set aside runs, in its order
//! ```
//! Nothing waits for ever: what a session owes a core came before what that core has set aside, so it becomes ready without
//! that, and where too much is ready, the client can take it. (A command that waited for locks may have been overtaken by
//! others, and is never set aside: `Core::run_alone`.) A small answer costs nothing here; a large one a look-up in a table
//! of the sessions that owe.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::batch::{Batch, Request};
use crate::command::Command;
use crate::routing::CoreId;
use crate::session::{LARGE_ANSWER_BYTES, LARGE_ANSWERS_MAX_BYTES, SessionId};

/// What sessions of other cores owe this one.
#[derive(Debug, Default)]
pub(super) struct Debts {
    of: HashMap<(CoreId, SessionId), Debt>,
}

#[derive(Debug, Default)]
struct Debt {
    bytes: u64,
    /// Requests set aside until the session owes less.
    set_aside: Option<Box<Batch>>,
}

impl Debts {
    /// Whether no session owes anything.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    /// An answer of `bytes` goes to a session of core `to`.
    #[inline]
    pub(super) fn owe(&mut self, to: CoreId, session: SessionId, bytes: usize) {
        if bytes >= LARGE_ANSWER_BYTES {
            self.of.entry((to, session)).or_default().bytes += bytes as u64;
        }
    }

    /// Sets a request aside if its session owes too much, or has others set aside already. The bytes it takes, if it did.
    pub(super) fn set_aside(
        &mut self,
        from: CoreId,
        batch: &Batch,
        request: &Request,
    ) -> Option<usize> {
        let owing = (from, request.head.ticket.session());
        let debt = self.of.get_mut(&owing)?;
        if debt.bytes < LARGE_ANSWERS_MAX_BYTES && debt.set_aside.is_none() {
            return None;
        }
        let aside = debt.set_aside.get_or_insert_default();
        let before = aside.memory_bytes();
        aside.ask_as(batch, request);
        let bytes = aside.memory_bytes() - before;
        aside.weight.set(aside.weight.get() + bytes);
        Some(bytes)
    }

    /// Takes what is set aside of a session, which runs though it owes too much.
    pub(super) fn take_aside(&mut self, from: CoreId, session: SessionId) -> Option<Box<Batch>> {
        let debt = self.of.get_mut(&(from, session));
        debt.and_then(|debt| debt.set_aside.take())
    }

    /// Takes all that is set aside of those sessions of which a command that is such is.
    pub(super) fn take_all_aside(
        &mut self,
        is_such: impl Fn(&Command) -> bool,
    ) -> Vec<(CoreId, Box<Batch>)> {
        let mut taken = Vec::new();
        for ((from, _), debt) in &mut self.of {
            let holds_such = |batch: &mut Box<Batch>| {
                let commands = batch
                    .requests
                    .iter()
                    .flat_map(|request| batch.commands(request));
                commands.into_iter().any(&is_such)
            };
            taken.extend(
                debt.set_aside
                    .take_if(holds_such)
                    .map(|aside| (*from, aside)),
            );
        }
        taken
    }

    /// Whether any request set aside is such.
    pub(super) fn any_aside(&self, is_such: impl Fn(&Batch, &Request) -> bool) -> bool {
        let aside = self.of.values().filter_map(|debt| debt.set_aside.as_ref());
        let mut requests =
            aside.flat_map(|batch| batch.requests.iter().map(move |request| (batch, request)));
        requests.any(|(batch, request)| is_such(batch, request))
    }

    /// So many bytes of a session's large answers stand where they belong. What was set aside, if it may run now: before all else
    /// that has come from that core since.
    pub(super) fn credit(
        &mut self,
        from: CoreId,
        session: SessionId,
        bytes: u64,
    ) -> Option<Box<Batch>> {
        let Entry::Occupied(mut entry) = self.of.entry((from, session)) else {
            unreachable!("a session gives credit for what it was given")
        };
        let debt = entry.get_mut();
        debt.bytes -= bytes;
        if debt.bytes >= LARGE_ANSWERS_MAX_BYTES {
            return None;
        }
        let aside = debt.set_aside.take();
        if debt.bytes == 0 {
            entry.remove();
        }
        aside
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Client, Server, key_on};
    use super::*;
    use crate::session::LargeAnswer;

    const VALUE_BYTES: usize = 1 << 20;

    const HIGH_WATER_BYTES: usize = 2 << 20;

    /// A server of three cores that keeps few replies, a client of the first, and a key of each other core, with a large
    /// value.
    fn with_large_values() -> (Server, Client, [String; 2]) {
        let mut server = Server::configured(3, &[("client-output-buffer-high-water", "2mb")]);
        let client = server.connect(0);
        let keys = [1, 2].map(|core| key_on(core, 3, "large"));
        for key in &keys {
            let set = format!("SETRANGE {key} {} x\r\n", VALUE_BYTES - 1);
            assert_eq!(server.send(client, set.as_bytes()), ":1048576\r\n");
        }
        (server, client, keys)
    }

    fn held_bytes(server: &mut Server, (core, id): Client) -> usize {
        let session = server.cores[core].state().sessions.get(id).unwrap();
        session.output.pending_bytes()
    }

    /// Takes replies until no more come. Bytes taken, and the most that were held at a time.
    fn take_all(server: &mut Server, client: Client) -> (Vec<u8>, usize) {
        let (mut taken, mut most) = (Vec::new(), 0);
        loop {
            server.turns();
            most = most.max(held_bytes(server, client));
            let more = server.take_output(client);
            if more.is_empty() {
                return (taken, most);
            }
            taken.extend(more);
        }
    }

    #[test]
    fn what_other_cores_answer_a_client_that_does_not_read_is_bounded_and_comes_when_it_reads() {
        let (mut server, client, keys) = with_large_values();
        let commands: String = (0..400)
            .map(|turn| format!("GET {}\r\nPING\r\n", keys[turn % 2]))
            .collect();
        server.receive(client, commands.as_bytes());
        let (taken, most) = take_all(&mut server, client);
        let one = VALUE_BYTES + "$1048576\r\n\r\n".len();
        assert_eq!(taken.len(), 400 * (one + "+PONG\r\n".len()));
        let bound = 2 * (LARGE_ANSWERS_MAX_BYTES as usize + one) + HIGH_WATER_BYTES + one;
        assert!(most <= bound, "{most} bytes held, {bound} allowed");
        server.disconnect(client);
        server.assert_nothing_is_left();
    }

    #[test]
    fn gathered_replies_are_bounded_too() {
        let (mut server, client, keys) = with_large_values();
        let command = format!("MGET {} {}\r\n", keys[0], keys[1]);
        server.receive(client, command.repeat(100).as_bytes());
        let (taken, most) = take_all(&mut server, client);
        assert!(taken.len() > 200 * VALUE_BYTES);
        assert!(most < 16 * VALUE_BYTES, "{most} bytes held");
        server.disconnect(client);
        server.assert_nothing_is_left();
    }

    #[test]
    fn credit_comes_back_for_large_answers_that_made_a_small_reply() {
        let mut server = Server::new(2);
        let (core, id) = server.connect(0);
        let bytes = 2 * LARGE_ANSWERS_MAX_BYTES;
        // As after many `INFO`s: each core's part is long, and the reply made of them short.
        let session = server.cores[core].state().sessions.get_mut(id).unwrap();
        let seq = session.output.expect();
        session
            .output
            .fill(seq, |out| out.extend_from_slice(b"+OK\r\n"));
        let from = CoreId(1);
        session.large_answers.push(LargeAnswer { from, seq, bytes });
        server.cores[1].debts.owe(CoreId(0), id, bytes as usize);
        let get = format!("GET {}\r\n", key_on(1, 2, "k"));
        assert!(server.send((core, id), get.as_bytes()).ends_with("$-1\r\n"));
        server.disconnect((core, id));
        server.assert_nothing_is_left();
    }

    #[test]
    fn commands_set_aside_keep_their_order_those_without_a_reply_too() {
        let (mut server, client, keys) = with_large_values();
        let key = &keys[0];
        let mut commands = format!("GET {key}\r\n").repeat(10);
        commands += &format!("SET {key} a\r\nAPPEND {key} b\r\nCLIENT REPLY SKIP\r\n");
        commands += &format!("APPEND {key} c\r\nAPPEND {key} d\r\nGET {key}\r\n");
        server.receive(client, commands.as_bytes());
        let (taken, _) = take_all(&mut server, client);
        assert!(taken.ends_with(b"\r\n+OK\r\n:2\r\n:4\r\n$4\r\nabcd\r\n"));
    }

    #[test]
    fn a_client_that_goes_without_reading_leaves_nothing_behind() {
        for reads in [0, 1, 3] {
            let (mut server, client, keys) = with_large_values();
            let commands = format!("GET {}\r\nMGET {} {}\r\n", keys[0], keys[1], keys[0]);
            server.receive(client, commands.repeat(50).as_bytes());
            for _ in 0..reads {
                server.turns();
                server.take_output(client);
            }
            server.disconnect(client);
            server.assert_nothing_is_left();
        }
    }
}
