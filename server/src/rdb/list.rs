//! Lists.
//!
//! ```text
//!  1  elements (length) | string ...                                          Redis before 3.2, from a linked list
//! 10  string: a ziplist                                                       before 3.2, from a small list
//! 14  nodes (length) | string: a ziplist ...                                  up to 6.2
//! 18  nodes (length) | [ 1 (length) | string: the only element ]              from 7.0 on; this one is written
//!                      [ 2 (length) | string: a listpack ] ...
//! ```
//! Nodes without elements are passed over.

use super::fault::Fault;
use super::input::Input;
use super::item::Item;
use super::kind;
use super::limits::NODE_MAX_BYTES;
use super::listpack::{self, ENTRY_OVERHEAD_MAX};
use super::output::{CountPlace, Output};
use super::packed::{Held, Layout, Packed, forget};

/// What a node of type 18 is.
const PLAIN: u64 = 1;
const PACKED: u64 = 2;

/// The elements of a list, from its head to its tail.
#[derive(Debug)]
pub struct List {
    /// Bytes that were read.
    read: usize,
    parts: Parts,
    /// Parts that are still to be read.
    left: u64,
    node: Node,
    scratch: Vec<u8>,
    is_empty: bool,
}

/// What a list is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Parts {
    Elements,
    Ziplists,
    Nodes,
}

/// The node that is being read.
#[derive(Debug)]
enum Node {
    None,
    Plain(Held),
    Packed(Packed),
}

impl List {
    /// Begins to read a list of this type from `body`; `None` if lists have no such type.
    pub(super) fn open(kind: u8, body: Input<'_>) -> Result<Option<Self>, Fault> {
        let mut input = body;
        let (parts, left) = match kind {
            kind::LIST => (Parts::Elements, input.length()?),
            kind::LIST_ZIPLIST => (Parts::Ziplists, 1),
            kind::LIST_QUICKLIST => (Parts::Ziplists, input.length()?),
            kind::LIST_QUICKLIST_2 => (Parts::Nodes, input.length()?),
            _ => return Ok(None),
        };
        Ok(Some(Self {
            read: body.len() - input.len(),
            parts,
            left,
            node: Node::None,
            scratch: Vec::new(),
            is_empty: true,
        }))
    }

    /// The next element, `None` behind the last. `body` is what it was opened on.
    ///
    /// # Errors
    /// The list is damaged there, or has no elements at all.
    pub fn next_element<'s>(&'s mut self, body: Input<'s>) -> Result<Option<Item<'s>>, Fault> {
        if self.parts != Parts::Elements {
            return self.next_of_nodes(body);
        }
        if self.left == 0 {
            return self.end();
        }
        let scratch = &mut self.scratch;
        let element = body.read_on(&mut self.read, |input| input.item(scratch))?;
        self.left -= 1;
        self.is_empty = false;
        Ok(Some(element))
    }

    fn next_of_nodes<'s>(&'s mut self, body: Input<'s>) -> Result<Option<Item<'s>>, Fault> {
        loop {
            match &self.node {
                Node::Packed(packed) if !packed.is_done(body)? => break,
                _ if self.left == 0 => return self.end(),
                _ => {}
            }
            let parts = self.parts;
            self.node = body.read_on(&mut self.read, |input| read_node(parts, body, input))?;
            self.left -= 1;
            if matches!(self.node, Node::Plain(_)) {
                break;
            }
        }
        self.is_empty = false;
        match &mut self.node {
            Node::None => Ok(None),
            Node::Plain(element) => Ok(Some(Item::Bytes(element.bytes(body)))),
            Node::Packed(packed) => Ok(packed.next(body)?.map(|[item]| item)),
        }
    }

    fn end(&self) -> Result<Option<Item<'_>>, Fault> {
        if self.is_empty {
            Err(Fault::Empty)
        } else {
            Ok(None)
        }
    }

    /// What of `body` stands behind the list, once it was read to its end.
    #[must_use]
    pub fn rest<'b>(&self, body: Input<'b>) -> Input<'b> {
        body.behind(self.read)
    }

    /// Has it forget the first bytes of what it was opened on that it needs no longer, and gives how many: it is given the rest from now on.
    pub fn forget(&mut self) -> usize {
        let held = match &mut self.node {
            Node::None => None,
            Node::Plain(element) => Some(element),
            Node::Packed(packed) => Some(packed.held()),
        };
        forget(&mut self.read, held)
    }

    /// The memory that reading it takes.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        let node = match &self.node {
            Node::None => 0,
            Node::Plain(element) => element.held_bytes(),
            Node::Packed(packed) => packed.held_bytes(),
        };
        node + self.scratch.capacity()
    }
}

/// The next node of `input`, the rest of `body`.
fn read_node(parts: Parts, body: Input<'_>, input: &mut Input<'_>) -> Result<Node, Fault> {
    let container = match parts {
        Parts::Nodes => Some(input.length()?),
        _ => None,
    };
    match container {
        None => Packed::open(Layout::Ziplist, body, input).map(Node::Packed),
        Some(PACKED) => Packed::open(Layout::Listpack, body, input).map(Node::Packed),
        Some(container) => {
            let element = Held::read(body, input)?;
            match container {
                PLAIN if element.bytes(body).is_empty() => {
                    Err(Fault::Damaged("a node of a list is empty"))
                }
                PLAIN => Ok(Node::Plain(element)),
                _ => Err(Fault::Damaged("a node of a list is of an unknown form")),
            }
        }
    }
}

/// Writes a list as type 18.
#[derive(Debug)]
pub struct ListWriter {
    count: CountPlace,
    nodes: u64,
    node: listpack::Writer,
}

impl ListWriter {
    /// The type of what it writes.
    pub const KIND: u8 = kind::LIST_QUICKLIST_2;

    /// Begins a list of so many elements.
    #[must_use]
    pub fn begin(elements: u64, out: &mut Output) -> Self {
        Self {
            count: CountPlace::begin(elements, out),
            nodes: 0,
            node: listpack::Writer::default(),
        }
    }

    /// The next element.
    pub fn push(&mut self, element: &[u8], out: &mut Output) {
        let is_large = element.len() > NODE_MAX_BYTES;
        if self.node.len() + element.len() + ENTRY_OVERHEAD_MAX > NODE_MAX_BYTES {
            self.end_node(out);
        }
        if is_large {
            out.length(PLAIN);
            out.blob(element);
            self.nodes += 1;
        } else {
            self.node.push(element);
        }
    }

    fn end_node(&mut self, out: &mut Output) {
        if self.node.is_empty() {
            return;
        }
        out.length(PACKED);
        self.node.finish(|bytes| out.blob(bytes));
        self.nodes += 1;
    }

    /// Ends the list.
    pub fn finish(mut self, out: &mut Output) {
        self.end_node(out);
        self.count.finish(self.nodes, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rdb::output::Packing;
    use crate::rdb::ziplist;

    /// All elements of a list, which is followed by `!`.
    fn elements(kind: u8, bytes: &[u8]) -> Result<Vec<Vec<u8>>, Fault> {
        let bytes = [bytes, b"!"].concat();
        let body = Input::new(&bytes);
        let mut list = List::open(kind, body)?.unwrap();
        let mut found = Vec::new();
        while let Some(element) = list.next_element(body)? {
            found.push(element.text().to_vec());
        }
        assert_eq!(list.rest(body).rest(), b"!");
        Ok(found)
    }

    fn string(bytes: &[u8]) -> Vec<u8> {
        let mut out = Output::new(Packing::Lzf);
        out.blob(bytes);
        out.into_bytes()
    }

    fn node(container: u8, bytes: &[u8]) -> Vec<u8> {
        [&[container][..], &string(bytes)].concat()
    }

    const A_AND_5: &[u8] = b"\x0c\0\0\0\x02\0\x81a\x02\x05\x01\xff";
    const NONE: &[u8] = b"\x07\0\0\0\0\0\xff";

    #[test]
    fn lists_of_every_type_are_read() {
        let strings = b"\x04\x01a\xc0\x05\x00\xc3\t\x1e\x01aa\xe0\x11\x00\x01aa";
        let expected = [&b"a"[..], b"5", b"", &[b'a'; 30]];
        assert_eq!(elements(1, strings).unwrap(), expected);

        let ziplist = ziplist::of(&[b"a", b"5"]);
        assert_eq!(elements(10, &string(&ziplist)).unwrap(), [b"a", b"5"]);

        let ziplists = [&ziplist[..], &ziplist::of(&[]), &ziplist::of(&[b"b"])];
        let nodes = [vec![3], ziplists.map(string).concat()].concat();
        assert_eq!(elements(14, &nodes).unwrap(), [b"a", b"5", b"b"]);

        let nodes = [node(1, b"plain"), node(2, NONE), node(2, A_AND_5)];
        let nodes = [vec![3], nodes.concat()].concat();
        let expected = [&b"plain"[..], b"a", b"5"];
        assert_eq!(elements(18, &nodes).unwrap(), expected);
        // A number may stand for a plain node.
        let expected = [&b"-3"[..], b"x"];
        assert_eq!(
            elements(18, b"\x02\x01\xc0\xfd\x01\x01x").unwrap(),
            expected
        );
    }

    #[test]
    fn a_list_without_elements_is_none() {
        let empty = string(&ziplist::of(&[]));
        let nodes = [&[2], &*node(2, NONE), &*node(2, NONE)].concat();
        for (kind, bytes) in [
            (1, b"\x00".to_vec()),
            (10, empty.clone()),
            (14, b"\x00".to_vec()),
            (14, [&[1], &*empty].concat()),
            (18, b"\x00".to_vec()),
            (18, nodes),
        ] {
            assert_eq!(elements(kind, &bytes), Err(Fault::Empty), "{kind}");
        }
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let unknown = "a node of a list is of an unknown form";
        for (kind, bytes, fault) in [
            (
                1,
                b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\x01a".to_vec(),
                Fault::Truncated,
            ),
            (10, b"\x00".to_vec(), Fault::Truncated.inside()),
            (14, b"\x02\x00".to_vec(), Fault::Truncated.inside()),
            (18, node(3, b"plain"), Fault::Truncated),
            (
                18,
                [vec![1], node(3, b"plain")].concat(),
                Fault::Damaged(unknown),
            ),
            (
                18,
                [vec![1], node(0, A_AND_5)].concat(),
                Fault::Damaged(unknown),
            ),
            (
                18,
                [vec![1], node(1, b"")].concat(),
                Fault::Damaged("a node of a list is empty"),
            ),
            (
                18,
                [vec![2], node(2, A_AND_5), node(2, b"no listpack")].concat(),
                Fault::Damaged("a listpack has not the length it says"),
            ),
        ] {
            assert_eq!(elements(kind, &bytes), Err(fault), "{kind}: {bytes:x?}");
        }
    }

    fn written(elements: &[Vec<u8>], packing: Packing) -> Vec<u8> {
        let mut out = Output::new(packing);
        let mut writer = ListWriter::begin(elements.len() as u64, &mut out);
        for element in elements {
            writer.push(element, &mut out);
        }
        writer.finish(&mut out);
        out.into_bytes()
    }

    #[test]
    fn what_is_written_is_read_whatever_the_sizes() {
        let sizes = [0, 1, 100, 4000, 8190, 8191, 8192, 8193, 20_000];
        for packing in [Packing::None, Packing::Lzf] {
            for count in [1, 2, 63, 64, 65, 2000] {
                let element = |at: usize| match at % 3 {
                    0 => at.to_string().into_bytes(),
                    _ => vec![b'x'; sizes[at % sizes.len()]],
                };
                let list: Vec<_> = (0..count).map(element).collect();
                assert_eq!(elements(18, &written(&list, packing)).unwrap(), list);
            }
        }
    }

    #[test]
    fn the_number_of_nodes_is_right_whatever_it_is() {
        for count in [1, 63, 64, 65, 300] {
            let list = vec![vec![b'x'; NODE_MAX_BYTES + 1]; count];
            let bytes = written(&list, Packing::Lzf);
            assert_eq!(Input::new(&bytes).length(), Ok(count as u64));
            assert_eq!(elements(18, &bytes).unwrap(), list);
        }
    }

    #[test]
    fn large_elements_are_nodes_of_their_own_and_small_ones_fill_listpacks() {
        let list = [
            vec![b'x'; 8192],
            vec![b'x'; 8193],
            b"1".to_vec(),
            b"2".to_vec(),
        ];
        let bytes = written(&list, Packing::None);
        let mut input = Input::new(&bytes);
        assert_eq!(input.length(), Ok(3));
        let mut nodes = Vec::new();
        while !input.is_empty() {
            let container = input.length().unwrap();
            nodes.push((container, input.string().unwrap().len()));
        }
        assert_eq!(
            nodes,
            [(2, 6 + 5 + 8192 + 2 + 1), (1, 8193), (2, 6 + 4 + 1)]
        );
        let bytes = written(&vec![b"1234567".to_vec(); 10_000], Packing::None);
        // Six bytes each, and little besides.
        assert!(bytes.len() < 61_000, "{}", bytes.len());
    }
}
