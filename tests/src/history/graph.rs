//! The dependencies between operations, and the search for a cycle of them.
//!
//! Real time orders every two operations that do not overlap, which were a number of edges quadratic in theirs. A chain
//! of nodes for the moments at which replies came says the same with two edges an operation:
//!
//! ```text
//!  operations   A ──┐     C ──┐     ┌──▶ D          A and C had their replies before D was sent
//!  moments      ────▶ m1 ─────▶ m2 ─┘ ────▶
//! ```
//! Cycles lie within strongly connected components (Tarjan, "Depth-First Search and Linear Graph Algorithms", 1972); of one,
//! the shortest is found by breadth-first search from each operation, where moments cost nothing. Kinds of edges are added
//! one by one, so that an anomaly is named by the weakest promise it breaks, as Elle does; but what is shown is the shortest cycle of all,
//! for people to read.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt::Write as _;

use super::versions::{Recovered, Version};
use super::{Action, Anomaly, Checked, Key, Operation, Violation, name};

/// From how many operations of a component the shortest cycle is sought.
const STARTS_MAX: usize = 1000;

/// Why one operation comes before another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    WriteWrite,
    WriteRead,
    ReadWrite,
    Program,
    RealTime,
}

#[derive(Debug, Clone, Copy)]
struct Edge {
    to: usize,
    kind: Kind,
    /// Where its key and version stand; nothing for real time.
    key: usize,
    version: usize,
}

/// Operations, then moments, each with the edges that leave it.
struct Graph {
    operations: usize,
    edges: Vec<Vec<Edge>>,
    dependencies: usize,
}

/// Looks for a cycle.
///
/// # Errors
/// There is one: named by the weakest promise that some cycle breaks, and shown by the shortest of all.
pub fn check(history: &[Operation], recovered: &Recovered) -> Result<Checked, Box<Violation>> {
    let graph = Graph::new(history, recovered);
    if graph.components(Kind::RealTime).is_empty() {
        return Ok(Checked {
            operations: recovered
                .happened
                .iter()
                .filter(|happened| **happened)
                .count(),
            versions: recovered.keys.iter().map(|key| key.versions.len()).sum(),
            dependencies: graph.dependencies,
        });
    }
    let kinds = [
        Kind::WriteWrite,
        Kind::WriteRead,
        Kind::ReadWrite,
        Kind::Program,
        Kind::RealTime,
    ];
    let weakest = kinds
        .into_iter()
        .find_map(|upto| graph.shortest_cycle(upto));
    let weakest = weakest.expect("a component with two operations has a cycle");
    let shortest = graph.shortest_cycle(Kind::RealTime);
    let shortest = shortest.filter(|cycle| cycle.len() < weakest.len());
    let shown = shortest.as_ref().unwrap_or(&weakest);
    Err(explain(history, recovered, anomaly_of(&weakest), shown))
}

impl Graph {
    fn new(history: &[Operation], recovered: &Recovered) -> Self {
        let mut graph = Self {
            operations: history.len(),
            edges: vec![Vec::new(); history.len()],
            dependencies: 0,
        };
        for (key, of_key) in recovered.keys.iter().enumerate() {
            for (version, this) in of_key.versions.iter().enumerate() {
                let next = of_key.versions.get(version + 1);
                let next = next.and_then(|next| next.writer);
                graph.add_dependencies(key, version, this, next);
            }
        }
        graph.dependencies = graph.edges.iter().map(Vec::len).sum();
        graph.add_program_order(history, recovered);
        graph.add_real_time(history, &recovered.happened);
        graph
    }

    fn add_dependencies(
        &mut self,
        key: usize,
        version: usize,
        this: &Version,
        next: Option<usize>,
    ) {
        let mut add = |from: Option<usize>, to: Option<usize>, kind: Kind| {
            if let (Some(from), Some(to)) = (from, to)
                && from != to
            {
                self.edges[from].push(Edge {
                    to,
                    kind,
                    key,
                    version,
                });
            }
        };
        add(this.writer, next, Kind::WriteWrite);
        for &reader in &this.readers {
            add(this.writer, Some(reader), Kind::WriteRead);
            add(Some(reader), next, Kind::ReadWrite);
        }
    }

    /// Of each connection's operations on a key, each comes behind the one before.
    fn add_program_order(&mut self, history: &[Operation], recovered: &Recovered) {
        let keys = recovered.keys.iter().enumerate();
        let index_of: HashMap<Key, usize> =
            keys.map(|(index, of_key)| (of_key.key, index)).collect();
        let mut last_of = HashMap::new();
        for (at, operation) in history.iter().enumerate() {
            let (Some(connection), true) = (operation.connection, recovered.happened[at]) else {
                continue;
            };
            let keys: HashSet<Key> = operation.actions.iter().map(Action::key).collect();
            for key in keys {
                if let Some(before) = last_of.insert((connection, key), at) {
                    self.edges[before].push(Edge {
                        to: at,
                        kind: Kind::Program,
                        key: index_of[&key],
                        version: 0,
                    });
                }
            }
        }
    }

    fn add_real_time(&mut self, history: &[Operation], happened: &[bool]) {
        // At equal times a sending comes first: the two may have overlapped.
        let mut moments = Vec::new();
        for (at, operation) in history.iter().enumerate() {
            if happened[at] {
                moments.push((operation.invoked_ns, false, at));
                if operation.completed_ns < u64::MAX {
                    moments.push((operation.completed_ns, true, at));
                }
            }
        }
        moments.sort_unstable();
        let edge = |to| Edge {
            to,
            kind: Kind::RealTime,
            key: 0,
            version: 0,
        };
        for (_, is_reply, at) in moments {
            let last = self.edges.len();
            let has_any = last > self.operations;
            if !is_reply {
                if has_any {
                    self.edges[last - 1].push(edge(at));
                }
                continue;
            }
            if has_any {
                self.edges[last - 1].push(edge(last));
            }
            self.edges[at].push(edge(last));
            self.edges.push(Vec::new());
        }
    }

    fn leaving(&self, node: usize, upto: Kind) -> impl Iterator<Item = &Edge> {
        self.edges[node]
            .iter()
            .filter(move |edge| edge.kind <= upto)
    }

    /// The strongly connected components of more than one node, by edges of kinds up to `upto`.
    fn components(&self, upto: Kind) -> Vec<Vec<usize>> {
        const UNSEEN: usize = usize::MAX;
        let count = self.edges.len();
        let (mut order, mut low) = (vec![UNSEEN; count], vec![UNSEEN; count]);
        let mut on_stack = vec![false; count];
        let (mut stack, mut found, mut seen) = (Vec::new(), Vec::new(), 0);
        // Nodes on the way down, each with the number of its edges already followed.
        let mut path: Vec<(usize, usize)> = Vec::new();
        for root in 0..count {
            if order[root] != UNSEEN {
                continue;
            }
            path.push((root, 0));
            while let Some(&mut (node, ref mut followed)) = path.last_mut() {
                if *followed == 0 && order[node] == UNSEEN {
                    (order[node], low[node]) = (seen, seen);
                    seen += 1;
                    stack.push(node);
                    on_stack[node] = true;
                }
                let edge = self.edges[node].get(*followed);
                *followed += 1;
                if let Some(edge) = edge {
                    if edge.kind > upto {
                        continue;
                    }
                    if order[edge.to] == UNSEEN {
                        path.push((edge.to, 0));
                    } else if on_stack[edge.to] {
                        low[node] = low[node].min(order[edge.to]);
                    }
                    continue;
                }
                path.pop();
                if let Some(&(parent, _)) = path.last() {
                    low[parent] = low[parent].min(low[node]);
                }
                if low[node] == order[node] {
                    let start = stack.iter().rposition(|&other| other == node);
                    let component = stack.split_off(start.expect("a node stays until here"));
                    component
                        .iter()
                        .for_each(|&member| on_stack[member] = false);
                    if component.len() > 1 {
                        found.push(component);
                    }
                }
            }
        }
        found
    }

    /// The cycle with the fewest operations, as its operations and the edges that leave them.
    fn shortest_cycle(&self, upto: Kind) -> Option<Vec<(usize, Edge)>> {
        let mut best: Option<Vec<(usize, Edge)>> = None;
        let mut inside = vec![false; self.edges.len()];
        for component in self.components(upto) {
            component.iter().for_each(|&node| inside[node] = true);
            let operations = component.iter().filter(|node| **node < self.operations);
            for &start in operations.take(STARTS_MAX) {
                let bound = best.as_ref().map_or(usize::MAX, Vec::len);
                // There is none of one operation.
                if bound == 2 {
                    return best;
                }
                if let Some(shorter) = self.cycle_through(start, upto, &inside, bound) {
                    best = Some(shorter);
                }
            }
            component.iter().for_each(|&node| inside[node] = false);
        }
        best
    }

    /// The shortest cycle through an operation, if it has fewer operations than `bound`.
    fn cycle_through(
        &self,
        start: usize,
        upto: Kind,
        inside: &[bool],
        bound: usize,
    ) -> Option<Vec<(usize, Edge)>> {
        let mut from = HashMap::new();
        let mut queue = VecDeque::from([(start, 0)]);
        let mut settled = HashSet::new();
        while let Some((node, distance)) = queue.pop_front() {
            if !settled.insert(node) && node != start {
                continue;
            }
            for edge in self.leaving(node, upto).filter(|edge| inside[edge.to]) {
                let is_moment = edge.to >= self.operations;
                let length = distance + usize::from(!is_moment);
                if length >= bound || settled.contains(&edge.to) && edge.to != start {
                    continue;
                }
                if edge.to == start {
                    return Some(self.way_back(start, node, *edge, &from));
                }
                from.entry(edge.to).or_insert((node, *edge));
                if is_moment {
                    queue.push_front((edge.to, length));
                } else {
                    queue.push_back((edge.to, length));
                }
            }
        }
        None
    }

    fn way_back(
        &self,
        start: usize,
        last: usize,
        closing: Edge,
        from: &HashMap<usize, (usize, Edge)>,
    ) -> Vec<(usize, Edge)> {
        let mut steps = vec![(last, closing)];
        let mut node = last;
        while node != start {
            let (before, edge) = from[&node];
            steps.push((before, edge));
            node = before;
        }
        steps.reverse();
        // Of a way over moments only the operation it left is shown.
        steps.retain(|(node, _)| *node < self.operations);
        steps
    }
}

fn anomaly_of(cycle: &[(usize, Edge)]) -> Anomaly {
    let kinds = || cycle.iter().map(|(_, edge)| edge.kind);
    if kinds().any(|kind| kind == Kind::RealTime) {
        return Anomaly::AgainstRealTime;
    }
    if kinds().any(|kind| kind == Kind::Program) {
        return Anomaly::AgainstProgramOrder;
    }
    let unseen = kinds().filter(|kind| *kind == Kind::ReadWrite).count();
    let one_key = cycle.iter().all(|(_, edge)| edge.key == cycle[0].1.key);
    let ends_in_write = kinds().any(|kind| kind == Kind::WriteWrite);
    match unseen {
        0 if kinds().all(|kind| kind == Kind::WriteWrite) => Anomaly::WriteCycle,
        0 => Anomaly::CircularFlow,
        1 if one_key && ends_in_write => Anomaly::LostUpdate,
        1 => Anomaly::ReadSkew,
        _ => Anomaly::WriteSkew,
    }
}

/// The cycle in words.
fn explain(
    history: &[Operation],
    recovered: &Recovered,
    anomaly: Anomaly,
    cycle: &[(usize, Edge)],
) -> Box<Violation> {
    let mut text = format!("a cycle of {} operations:", cycle.len());
    for (at, (_, edge)) in cycle.iter().enumerate() {
        let (this, next) = (name(at), name((at + 1) % cycle.len()));
        let because = because(recovered, edge);
        let because = because.replace('<', &this).replace('>', &next);
        write!(text, "\n    {this} is before {next}: {because}").expect("a string takes all");
    }
    let operations: Vec<usize> = cycle.iter().map(|(node, _)| *node).collect();
    Violation::new(anomaly, history, &operations, &text)
}

/// Why an edge is there; `<` stands for the one it leaves, `>` for the other.
fn because(recovered: &Recovered, edge: &Edge) -> String {
    if edge.kind == Kind::RealTime {
        return "< had its reply before > was sent".into();
    }
    let of_key = &recovered.keys[edge.key];
    let key: Key = of_key.key;
    if edge.kind == Kind::Program {
        return format!("both on {key}, < was sent before > on the same connection");
    }
    let shown = |version: usize| match of_key.versions.get(version) {
        Some(&Version {
            token: Some(token), ..
        }) => token.to_string(),
        Some(Version {
            writer: Some(_), ..
        }) => "deletion".into(),
        _ => "nothing".into(),
    };
    let (this, next) = (shown(edge.version), shown(edge.version + 1));
    match edge.kind {
        Kind::WriteWrite => format!("in {key}, <'s {this} is followed by >'s {next}"),
        Kind::WriteRead => format!("of {key}, > read <'s {this}"),
        _ => format!("of {key}, < read {this}, which >'s {next} follows"),
    }
}
