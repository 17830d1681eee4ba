//! What happened in a simulation, and whether it was as if commands had run one after another.
//!
//! Every key's owner writes down who touched it in which order. So the graph of who must come before whom is known, not
//! guessed from values: an access before the next that conflicts with it, a command that was answered before another
//! was sent (real time), a session's transaction before whatever it sends behind it, and two commands of a session on one key. A cycle is
//! a broken promise. Time must not run backwards along any path either, and be one for all keys of a command.

use std::collections::VecDeque;

/// A command of a client.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) session: usize,
    /// Keys, and whether each is written.
    pub(crate) keys: Vec<(usize, bool)>,
    pub(crate) is_transaction: bool,
    /// Parts without an answer.
    pub(crate) unanswered: usize,
    /// When it was sent and answered, in the simulation's own count of events.
    pub(crate) sent: u64,
    pub(crate) answered: Option<u64>,
    /// The times by which its keys were judged.
    pub(crate) times: Vec<u64>,
}

/// All commands, and what touched each key, in order.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) commands: Vec<Command>,
    pub(crate) keys: Vec<Vec<(usize, bool)>>,
    events: u64,
}

impl History {
    pub(crate) fn of_keys(keys: usize) -> Self {
        Self {
            keys: vec![Vec::new(); keys],
            ..Self::default()
        }
    }

    /// The number of the next event.
    pub(crate) fn next_event(&mut self) -> u64 {
        self.events += 1;
        self.events
    }

    /// `command` touches `key`, judged by `time_ms`.
    pub(crate) fn touch(&mut self, command: usize, key: usize, writes: bool, time_ms: u64) {
        self.keys[key].push((command, writes));
        self.commands[command].times.push(time_ms);
    }

    /// # Panics
    /// If the history is not strictly serializable, a command has not run whole, or time ran backwards.
    pub(crate) fn check(&self) {
        for (number, command) in self.commands.iter().enumerate() {
            assert!(command.answered.is_some(), "#{number} has no answer");
            assert_eq!(
                command.times.len(),
                command.keys.len(),
                "#{number} has not run whole"
            );
            let one_time = command.times.windows(2).all(|pair| pair[0] == pair[1]);
            assert!(one_time, "#{number} has two times: {command:?}");
        }
        self.check_order(&self.edges());
    }

    /// By node, those that come behind it. Nodes are commands, then one for each answer: who was sent behind an answer comes
    /// behind its node, and so behind all answered before.
    fn edges(&self) -> Vec<Vec<usize>> {
        let count = self.commands.len();
        let mut edges = vec![Vec::new(); 2 * count];
        for touches in &self.keys {
            let mut last_write: Option<usize> = None;
            let mut reads: Vec<usize> = Vec::new();
            for &(command, writes) in touches {
                if let Some(last) = last_write {
                    edges[last].push(command);
                }
                if writes {
                    reads.drain(..).for_each(|read| edges[read].push(command));
                    last_write = Some(command);
                } else {
                    reads.push(command);
                }
            }
        }
        let mut answers: Vec<(u64, usize)> = (0..count)
            .filter_map(|command| Some((self.commands[command].answered?, command)))
            .collect();
        answers.sort_unstable();
        for (rank, &(_, command)) in answers.iter().enumerate() {
            edges[command].push(count + rank);
            if rank > 0 {
                edges[count + rank - 1].push(count + rank);
            }
        }
        for (number, command) in self.commands.iter().enumerate() {
            let behind = answers.partition_point(|&(answered, _)| answered < command.sent);
            if behind > 0 {
                edges[count + behind - 1].push(number);
            }
            for (later, other) in self.commands.iter().enumerate().skip(number + 1) {
                let is_session = other.session == command.session;
                if is_session && (command.is_transaction || shares_key(command, other)) {
                    edges[number].push(later);
                }
            }
        }
        for (from, edges) in edges.iter_mut().enumerate() {
            edges.retain(|&to| to != from);
        }
        edges
    }

    fn check_order(&self, edges: &[Vec<usize>]) {
        let mut before = vec![0usize; edges.len()];
        edges.iter().flatten().for_each(|&to| before[to] += 1);
        let free = |count: &(usize, &usize)| *count.1 == 0;
        let mut ready: VecDeque<usize> = before
            .iter()
            .enumerate()
            .filter(free)
            .map(|(n, _)| n)
            .collect();
        let mut not_before = vec![0u64; edges.len()];
        let mut placed = 0;
        while let Some(node) = ready.pop_front() {
            placed += 1;
            if let Some(time) = self.commands.get(node).and_then(|c| c.times.first()) {
                assert!(
                    *time >= not_before[node],
                    "time ran backwards for #{node}: {time} behind {}",
                    not_before[node]
                );
                not_before[node] = *time;
            }
            for &to in &edges[node] {
                not_before[to] = not_before[to].max(not_before[node]);
                before[to] -= 1;
                if before[to] == 0 {
                    ready.push_back(to);
                }
            }
        }
        assert_eq!(placed, edges.len(), "a cycle: not serializable");
    }
}

fn shares_key(one: &Command, other: &Command) -> bool {
    let keys = |key: &(usize, bool)| key.0;
    one.keys
        .iter()
        .map(keys)
        .any(|key| other.keys.iter().any(|k| k.0 == key))
}
