//! Mail between cores: a queue of batches for each ordered pair, and what wakes a core ([`crate::order::Sleepers`] says who
//! sleeps).

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

use crossbeam::queue::SegQueue;
use crossbeam::utils::CachePadded;

use super::ring::os::{WhenEmpty, event_fd};
use super::ring::spsc::{self, Receiver, Sender};
use crate::dispatch::{Batch, Lines};
use crate::routing::CoreId;

/// Batches under way from one core to another; a batch holds a whole turn, so few are enough.
const BATCHES_UNDER_WAY: usize = 64;

/// A connection accepted by a core for another.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) socket: OwnedFd,
    /// The path of the unix socket it came by.
    pub(super) unix_path: Option<Arc<str>>,
}

/// Where a core can be reached.
#[derive(Debug)]
struct Contact {
    /// Wakes it whatever it does.
    bell: File,
    /// The descriptor of its ring, or -1.
    ring: AtomicI32,
    /// Connections accepted elsewhere.
    arrivals: SegQueue<Arrival>,
}

/// The contacts of all cores.
#[derive(Debug)]
pub(super) struct Mesh {
    contacts: Box<[CachePadded<Contact>]>,
    /// Cores that have closed their last connection while the server ends.
    drained: AtomicUsize,
}

impl Mesh {
    /// A mesh of `cores` cores, and each core's mail.
    ///
    /// # Errors
    /// Too few descriptors.
    pub(super) fn new(cores: u16) -> io::Result<(Arc<Self>, Vec<Mail>)> {
        let contacts = (0..cores)
            .map(|_| {
                Ok(CachePadded::new(Contact {
                    bell: event_fd(WhenEmpty::Fail)?,
                    ring: AtomicI32::new(-1),
                    arrivals: SegQueue::new(),
                }))
            })
            .collect::<io::Result<_>>()?;
        let mesh = Arc::new(Self {
            contacts,
            drained: AtomicUsize::new(0),
        });
        let unconnected = || SpscLines {
            inboxes: (0..cores).map(|_| None).collect(),
            outboxes: (0..cores).map(|_| None).collect(),
        };
        let mut lines: Vec<SpscLines> = (0..cores).map(|_| unconnected()).collect();
        for from in 0..usize::from(cores) {
            for to in (0..usize::from(cores)).filter(|&to| to != from) {
                let (sender, receiver) = spsc::queue(BATCHES_UNDER_WAY);
                lines[from].outboxes[to] = Some(sender);
                lines[to].inboxes[from] = Some(receiver);
            }
        }
        let mails = lines.into_iter().zip(0..cores).map(|(lines, id)| Mail {
            id: CoreId(id),
            mesh: Arc::clone(&mesh),
            lines: Some(lines),
        });
        let mails = mails.collect();
        Ok((mesh, mails))
    }

    /// Wakes core `core`, whatever it does.
    pub(super) fn ring_bell(&self, core: usize) {
        // Full means that it has been rung often enough.
        let _ = (&self.contacts[core].bell).write(&1u64.to_ne_bytes());
    }

    /// Silences the bell of core `core` until it is rung again.
    pub(super) fn silence_bell(&self, core: usize) {
        let mut count = [0; 8];
        // Empty means that it was silenced already.
        let _ = (&self.contacts[core].bell).read(&mut count);
    }

    /// Wakes all cores.
    pub(super) fn ring_all(&self) {
        (0..self.contacts.len()).for_each(|core| self.ring_bell(core));
    }

    /// The descriptor of the ring of core `core`, if it has one.
    pub(super) fn ring_of(&self, core: usize) -> Option<RawFd> {
        Some(self.contacts[core].ring.load(Ordering::Relaxed)).filter(|&ring| ring >= 0)
    }

    /// Number of cores.
    pub(super) fn len(&self) -> usize {
        self.contacts.len()
    }

    /// Hands a connection over to core `core`.
    pub(super) fn hand_over(&self, core: usize, arrival: Arrival) {
        self.contacts[core].arrivals.push(arrival);
        self.ring_bell(core);
    }

    /// Counts a core that has closed its last connection.
    pub(super) fn count_drained(&self) {
        self.drained.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether every core has closed its last connection.
    pub(super) fn all_drained(&self) -> bool {
        self.drained.load(Ordering::Acquire) >= self.contacts.len()
    }
}

/// One core's mail.
pub(super) struct Mail {
    id: CoreId,
    mesh: Arc<Mesh>,
    lines: Option<SpscLines>,
}

/// One core's ends of the queues.
struct SpscLines {
    inboxes: Box<[Option<Receiver<Batch>>]>,
    outboxes: Box<[Option<Sender<Batch>>]>,
}

impl Lines for SpscLines {
    #[inline]
    fn receive(&mut self, from: CoreId) -> Option<Box<Batch>> {
        self.inboxes[from.index()].as_mut()?.receive()
    }

    #[inline]
    fn arrived(&self, from: CoreId) -> usize {
        self.inboxes[from.index()]
            .as_ref()
            .map_or(0, Receiver::waiting)
    }

    fn has_room(&self, to: CoreId) -> bool {
        self.outboxes[to.index()]
            .as_ref()
            .is_some_and(Sender::has_room)
    }

    #[inline]
    fn send(&mut self, to: CoreId, batch: Box<Batch>) -> Result<(), Box<Batch>> {
        let outbox = self.outboxes[to.index()].as_mut();
        outbox.expect("a core sends itself nothing").send(batch)
    }
}

impl Mail {
    /// Whose mail it is.
    pub(super) fn id(&self) -> CoreId {
        self.id
    }

    /// All cores' contacts.
    pub(super) fn mesh(&self) -> &Arc<Mesh> {
        &self.mesh
    }

    /// Its ends of the queues, to be taken once.
    ///
    /// # Panics
    /// If they have been taken.
    pub(super) fn take_lines(&mut self) -> Box<dyn Lines> {
        Box::new(self.lines.take().expect("a core takes its lines once"))
    }

    /// The descriptor that becomes readable when the bell is rung.
    pub(super) fn bell(&self) -> BorrowedFd<'_> {
        self.mesh.contacts[self.id.index()].bell.as_fd()
    }

    /// Tells the others the ring to send wake-ups to.
    pub(super) fn publish_ring(&self, ring: RawFd) {
        self.mesh.contacts[self.id.index()]
            .ring
            .store(ring, Ordering::Release);
    }

    /// The connections accepted elsewhere for this core by now. The bell rings for those that come meanwhile.
    #[inline]
    pub(super) fn arrivals(&self) -> impl Iterator<Item = Arrival> {
        let arrivals = &self.mesh.contacts[self.id.index()].arrivals;
        (0..arrivals.len()).map_while(|_| arrivals.pop())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    /// More than there can be at the beginning.
    const TOO_MANY: usize = 10 * BATCHES_UNDER_WAY;

    #[test]
    fn a_turn_takes_the_connections_there_are_when_it_begins_however_fast_more_come() {
        let (mesh, mails) = Mesh::new(1).unwrap();
        let hand_over = || {
            let arrival = Arrival {
                socket: UnixStream::pair().unwrap().0.into(),
                unix_path: None,
            };
            mesh.hand_over(0, arrival);
        };
        hand_over();
        hand_over();
        for _ in 0..3 {
            let arrivals = mails[0].arrivals().take(TOO_MANY);
            assert_eq!(arrivals.inspect(|_| hand_over()).count(), 2);
        }
    }
}
