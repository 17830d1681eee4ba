//! Which of many prefixes a key begins with: a radix tree (Morrison, "PATRICIA", JACM 1968).
//!
//! ```text
//!  "" ─┬─ "user:" ─┬─ "1" ● ── "0" ●        the prefixes user:1, user:10, user:2 and page; ● is one
//!      │           └─ "2" ●
//!      └─ "page" ●
//! ```
//! A node without a prefix of its own, but for the root, has two nodes below it or more: there are at most twice as many
//! nodes as prefixes. Looking up takes a step of at most eight comparisons for each node on the way of the key, and a
//! comparison of each of its bytes at most once, however many prefixes there are and however long they are. Nodes lie in
//! one slab, so that the depth of the tree is no depth of calls.

use slab::Slab;

/// The node of the empty prefix.
const ROOT: usize = 0;

/// Prefixes, each with a `T`.
#[derive(Debug)]
pub struct PrefixTree<T> {
    nodes: Slab<Node<T>>,
    len: usize,
}

#[derive(Debug)]
struct Node<T> {
    /// The bytes between the node above and this one.
    label: Box<[u8]>,
    value: Option<T>,
    /// The nodes below by the first byte of their labels, which differ, in order.
    below: Vec<(u8, usize)>,
}

impl<T> Node<T> {
    fn new(label: &[u8]) -> Self {
        Self {
            label: label.into(),
            value: None,
            below: Vec::new(),
        }
    }

    fn place(&self, first: u8) -> Result<usize, usize> {
        self.below.binary_search_by_key(&first, |(byte, _)| *byte)
    }

    /// The node below whose label begins with `first`.
    #[inline]
    fn below(&self, first: u8) -> Option<usize> {
        let place = self.place(first).ok()?;
        Some(self.below[place].1)
    }

    /// Puts a node below, in the place of the one whose label begins with the same byte.
    fn link(&mut self, first: u8, node: usize) {
        match self.place(first) {
            Ok(place) => self.below[place].1 = node,
            Err(place) => self.below.insert(place, (first, node)),
        }
    }

    fn unlink(&mut self, first: u8) {
        let place = self.place(first).expect("the node is below this one");
        self.below.remove(place);
    }
}

impl<T> Default for PrefixTree<T> {
    fn default() -> Self {
        let mut nodes = Slab::new();
        assert_eq!(nodes.insert(Node::new(b"")), ROOT, "a slab begins with 0");
        Self { nodes, len: 0 }
    }
}

impl<T> PrefixTree<T> {
    /// Number of prefixes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What the prefix has.
    pub fn get(&self, prefix: &[u8]) -> Option<&T> {
        self.nodes[self.find(prefix)?].value.as_ref()
    }

    /// What the prefix has, to change it.
    pub fn get_mut(&mut self, prefix: &[u8]) -> Option<&mut T> {
        let at = self.find(prefix)?;
        self.nodes[at].value.as_mut()
    }

    fn find(&self, prefix: &[u8]) -> Option<usize> {
        let (mut at, mut rest) = (ROOT, prefix);
        while let Some(&first) = rest.first() {
            at = self.nodes[at].below(first)?;
            rest = rest.strip_prefix(&*self.nodes[at].label)?;
        }
        Some(at)
    }

    /// Calls `each` with every prefix that `key` begins with, the shortest first, and what it has.
    #[inline]
    pub fn for_each_prefix_of(&mut self, key: &[u8], mut each: impl FnMut(&mut T)) {
        let (mut at, mut rest) = (ROOT, key);
        loop {
            let node = &mut self.nodes[at];
            if let Some(value) = &mut node.value {
                each(value);
            }
            let next = rest.first().and_then(|&first| node.below(first));
            let Some(next) = next else { return };
            let Some(behind) = rest.strip_prefix(&*self.nodes[next].label) else {
                return;
            };
            (at, rest) = (next, behind);
        }
    }

    /// Whether some key begins both with `prefix` and with one of those in the tree.
    pub fn overlaps(&self, prefix: &[u8]) -> bool {
        let (mut at, mut rest) = (ROOT, prefix);
        while let Some(&first) = rest.first() {
            let node = &self.nodes[at];
            if node.value.is_some() {
                return true;
            }
            let Some(next) = node.below(first) else {
                return false;
            };
            let label = &*self.nodes[next].label;
            let common = common_len(label, rest);
            if common < label.len() && common < rest.len() {
                return false;
            }
            (at, rest) = (next, &rest[common..]);
        }
        // Whatever there is from here on begins with it.
        !self.is_empty()
    }

    /// What the prefix has; what `new` makes, if it was not in.
    pub fn get_or_insert_with(&mut self, prefix: &[u8], new: impl FnOnce() -> T) -> &mut T {
        let (mut at, mut rest) = (ROOT, prefix);
        while let Some(&first) = rest.first() {
            at = match self.nodes[at].below(first) {
                Some(next) => {
                    let common = common_len(&self.nodes[next].label, rest);
                    rest = &rest[common..];
                    self.split(at, next, common)
                }
                None => {
                    let leaf = self.nodes.insert(Node::new(rest));
                    self.nodes[at].link(first, leaf);
                    rest = b"";
                    leaf
                }
            };
        }
        let value = &mut self.nodes[at].value;
        self.len += usize::from(value.is_none());
        value.get_or_insert_with(new)
    }

    /// The node that ends behind the first `len` bytes of the label of `node`, which is below `above`.
    fn split(&mut self, above: usize, node: usize, len: usize) -> usize {
        let label = &self.nodes[node].label;
        if len == label.len() {
            return node;
        }
        let (first, second) = (label[0], label[len]);
        let mut middle = Node::new(&label[..len]);
        middle.link(second, node);
        self.nodes[node].label = label[len..].into();
        let middle = self.nodes.insert(middle);
        self.nodes[above].link(first, middle);
        middle
    }

    /// Takes the prefix out; what it had.
    pub fn remove(&mut self, prefix: &[u8]) -> Option<T> {
        let (mut way, mut at, mut rest) = (Vec::new(), ROOT, prefix);
        while let Some(&first) = rest.first() {
            way.push(at);
            at = self.nodes[at].below(first)?;
            rest = rest.strip_prefix(&*self.nodes[at].label)?;
        }
        let value = self.nodes[at].value.take()?;
        self.len -= 1;
        let Some(above) = way.pop() else {
            return Some(value);
        };
        if self.nodes[at].below.is_empty() {
            let leaf = self.nodes.remove(at);
            self.nodes[above].unlink(leaf.label[0]);
            if let Some(above_that) = way.pop() {
                self.join(above_that, above);
            }
        } else {
            self.join(above, at);
        }
        Some(value)
    }

    /// Makes one of `node`, which is below `above`, and the node below it, if it has no prefix and there is only one.
    fn join(&mut self, above: usize, node: usize) {
        if let Node {
            value: None, below, ..
        } = &self.nodes[node]
            && let &[(_, only)] = &below[..]
        {
            let gone = self.nodes.remove(node);
            self.nodes[above].link(gone.label[0], only);
            let label = &mut self.nodes[only].label;
            *label = [&*gone.label, label].concat().into();
        }
    }
}

/// How many bytes both begin with.
fn common_len(one: &[u8], other: &[u8]) -> usize {
    let both = one.iter().zip(other);
    both.take_while(|(one, other)| one == other).count()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use proptest::prelude::*;

    impl<T> PrefixTree<T> {
        /// Panics unless every node has its reason to be.
        fn check(&self) {
            for (at, node) in &self.nodes {
                let branches = node.below.len() >= 2;
                assert!(at == ROOT || node.value.is_some() || branches);
                assert!(at == ROOT || !node.label.is_empty());
                assert!(node.below.is_sorted());
                for (first, below) in &node.below {
                    assert_eq!(self.nodes[*below].label[0], *first);
                }
            }
            let values = self.nodes.iter().filter(|(_, node)| node.value.is_some());
            assert_eq!(values.count(), self.len);
            assert!(self.nodes.len() <= 2 * self.len + 1);
        }
    }

    /// Words of two letters, many of which begin with others.
    fn word() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop::sample::select(b"ab".to_vec()), 0..8)
    }

    proptest! {
        #[test]
        fn the_tree_knows_what_comparing_with_every_prefix_tells(
            steps in prop::collection::vec((0..5u8, word()), 0..200),
        ) {
            let mut tree = PrefixTree::default();
            let mut model: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
            for (number, (what, word)) in steps.into_iter().enumerate() {
                match what {
                    0 | 1 => {
                        let value = *tree.get_or_insert_with(&word, || number);
                        prop_assert_eq!(value, *model.entry(word).or_insert(number));
                    }
                    2 => prop_assert_eq!(tree.remove(&word), model.remove(&word)),
                    3 => {
                        let mut found = Vec::new();
                        tree.for_each_prefix_of(&word, |value| found.push(*value));
                        let known = model.iter().filter(|(prefix, _)| word.starts_with(prefix));
                        let known: Vec<usize> = known.map(|(_, value)| *value).collect();
                        prop_assert_eq!(found, known);
                    }
                    _ => {
                        prop_assert_eq!(tree.get(&word), model.get(&word));
                        let overlaps = |prefix: &Vec<u8>| prefix.starts_with(&word) || word.starts_with(prefix);
                        prop_assert_eq!(tree.overlaps(&word), model.keys().any(overlaps));
                    }
                }
                prop_assert_eq!(tree.len(), model.len());
                tree.check();
            }
        }
    }

    #[test]
    fn ten_thousand_prefixes_each_within_the_next_are_no_depth_of_calls() {
        const LONGEST: usize = 10_000;
        let key = vec![b'a'; LONGEST];
        let mut tree = PrefixTree::default();
        for len in (0..=LONGEST).rev() {
            tree.get_or_insert_with(&key[..len], || len);
        }
        tree.check();
        let (mut found, mut other) = (0, 0);
        tree.for_each_prefix_of(&key, |_| found += 1);
        tree.for_each_prefix_of(b"ab", |_| other += 1);
        assert_eq!((found, other), (LONGEST + 1, 2));
        for len in (1..=LONGEST).step_by(2) {
            assert_eq!(tree.remove(&key[..len]), Some(len));
        }
        tree.check();
        drop(tree);
    }
}
