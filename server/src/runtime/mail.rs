//! Mail between cores: a queue of batches for each ordered pair, and a flag that says who sleeps.
//!
//! A core about to sleep sets its flag, then looks at its inbox once more; a sender fills the inbox, then looks at the
//! flag. With a full fence between the two steps on both sides, one of them sees the other: no mail waits for a sleeper.
//! Waking costs a system call, so only a core that sleeps is woken, and the first who sees the flag takes it down.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering, fence};

use crossbeam::queue::SegQueue;
use crossbeam::utils::CachePadded;

use super::backend::Backend;
use super::ring::os::{WhenEmpty, event_fd};
use super::ring::spsc::{self, Receiver, Sender};
use crate::dispatch::{Batch, Core};
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
struct Place {
    /// Whether it sleeps, so that it must be woken.
    asleep: AtomicBool,
    /// Wakes it whatever it does.
    bell: File,
    /// The descriptor of its ring, or -1.
    ring: AtomicI32,
    /// Connections accepted elsewhere.
    arrivals: SegQueue<Arrival>,
}

/// The places of all cores.
#[derive(Debug)]
pub(super) struct Mesh {
    places: Box<[CachePadded<Place>]>,
    /// Cores that have closed their last connection while the server ends.
    drained: AtomicUsize,
}

impl Mesh {
    /// A mesh of `cores` cores, and each core's mail.
    ///
    /// # Errors
    /// Too few descriptors.
    pub(super) fn new(cores: u16) -> io::Result<(Arc<Self>, Vec<Mail>)> {
        let places = (0..cores)
            .map(|_| {
                Ok(CachePadded::new(Place {
                    asleep: AtomicBool::new(false),
                    bell: event_fd(WhenEmpty::Fail)?,
                    ring: AtomicI32::new(-1),
                    arrivals: SegQueue::new(),
                }))
            })
            .collect::<io::Result<_>>()?;
        let mesh = Arc::new(Self {
            places,
            drained: AtomicUsize::new(0),
        });
        let mut mails: Vec<Mail> = (0..cores)
            .map(|id| Mail {
                id: CoreId(id),
                mesh: Arc::clone(&mesh),
                inboxes: Vec::new(),
                outboxes: Vec::new(),
                shipped: Vec::new(),
            })
            .collect();
        for from in 0..cores {
            for to in (0..cores).filter(|&to| to != from) {
                let (sender, receiver) = spsc::queue(BATCHES_UNDER_WAY);
                mails[usize::from(from)].outboxes.push((CoreId(to), sender));
                mails[usize::from(to)]
                    .inboxes
                    .push((CoreId(from), receiver));
            }
        }
        Ok((mesh, mails))
    }

    /// Wakes core `place`, whatever it does.
    pub(super) fn ring_bell(&self, place: usize) {
        // Full means that it has been rung often enough.
        let _ = (&self.places[place].bell).write(&1u64.to_ne_bytes());
    }

    /// Silences the bell of core `place` until it is rung again.
    pub(super) fn silence_bell(&self, place: usize) {
        let mut count = [0; 8];
        // Empty means that it was silenced already.
        let _ = (&self.places[place].bell).read(&mut count);
    }

    /// Wakes all cores.
    pub(super) fn ring_all(&self) {
        (0..self.places.len()).for_each(|place| self.ring_bell(place));
    }

    /// The descriptor of the ring of core `place`, if it has one.
    pub(super) fn ring_of(&self, place: usize) -> Option<RawFd> {
        Some(self.places[place].ring.load(Ordering::Relaxed)).filter(|&ring| ring >= 0)
    }

    /// Number of cores.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Hands a connection over to core `place`.
    pub(super) fn hand_over(&self, place: usize, arrival: Arrival) {
        self.places[place].arrivals.push(arrival);
        self.ring_bell(place);
    }

    /// Counts a core that has closed its last connection.
    pub(super) fn count_drained(&self) {
        self.drained.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether every core has closed its last connection.
    pub(super) fn all_drained(&self) -> bool {
        self.drained.load(Ordering::Acquire) >= self.places.len()
    }
}

/// Whether everything could be shipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shipped {
    /// Yes.
    All,
    /// A queue is full; ship again soon.
    Some,
}

/// One core's mail.
pub(super) struct Mail {
    id: CoreId,
    mesh: Arc<Mesh>,
    inboxes: Vec<(CoreId, Receiver<Batch>)>,
    outboxes: Vec<(CoreId, Sender<Batch>)>,
    /// Receivers of this turn.
    shipped: Vec<usize>,
}

impl Mail {
    /// Whose mail it is.
    pub(super) fn id(&self) -> CoreId {
        self.id
    }

    /// All cores' places.
    pub(super) fn mesh(&self) -> &Arc<Mesh> {
        &self.mesh
    }

    /// The descriptor that becomes readable when the bell is rung.
    pub(super) fn bell(&self) -> BorrowedFd<'_> {
        self.mesh.places[self.id.index()].bell.as_fd()
    }

    /// Tells the others the ring to send wake-ups to.
    pub(super) fn publish_ring(&self, ring: RawFd) {
        self.mesh.places[self.id.index()]
            .ring
            .store(ring, Ordering::Release);
    }

    /// Gives `core` what the others have sent by now. What they send meanwhile is for the next turn, which follows at
    /// once ([`Self::fall_asleep`]): a core that is sent mail faster than it reads has its clients to serve all the same.
    #[inline]
    pub(super) fn deliver(&mut self, core: &mut Core) {
        self.deliver_to(|from, batch| core.deliver(from, batch));
    }

    #[inline]
    fn deliver_to(&mut self, mut take: impl FnMut(CoreId, Box<Batch>)) {
        for (from, inbox) in &mut self.inboxes {
            for batch in inbox.receive_waiting() {
                take(*from, batch);
            }
        }
    }

    /// Sends what `core` has for the others and wakes those who sleep.
    #[inline]
    pub(super) fn ship(&mut self, core: &mut Core, backend: &mut impl Backend) -> Shipped {
        let mut all = Shipped::All;
        for (to, outbox) in &mut self.outboxes {
            let Some(batch) = core.take_outbox(*to) else {
                continue;
            };
            if let Err(batch) = outbox.send(batch) {
                core.return_outbox(*to, batch);
                all = Shipped::Some;
            }
            self.shipped.push(to.index());
        }
        if !self.shipped.is_empty() {
            fence(Ordering::SeqCst);
            for place in self.shipped.drain(..) {
                let asleep = &self.mesh.places[place].asleep;
                if asleep.load(Ordering::Relaxed) && asleep.swap(false, Ordering::Relaxed) {
                    backend.wake(place);
                }
            }
        }
        all
    }

    /// Announces that the core sleeps. `false`: there is mail, it must not.
    #[inline]
    pub(super) fn fall_asleep(&self) -> bool {
        if self.inboxes.is_empty() {
            return true;
        }
        let asleep = &self.mesh.places[self.id.index()].asleep;
        asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let has_mail = self.inboxes.iter().any(|(_, inbox)| !inbox.is_empty());
        if has_mail {
            asleep.store(false, Ordering::Relaxed);
        }
        !has_mail
    }

    /// Announces that the core is awake.
    #[inline]
    pub(super) fn wake_up(&self) {
        if !self.inboxes.is_empty() {
            self.mesh.places[self.id.index()]
                .asleep
                .store(false, Ordering::Relaxed);
        }
    }

    /// The connections accepted elsewhere for this core by now. The bell rings for those that come meanwhile.
    #[inline]
    pub(super) fn arrivals(&self) -> impl Iterator<Item = Arrival> {
        let arrivals = &self.mesh.places[self.id.index()].arrivals;
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
    fn a_turn_takes_the_mail_there_is_when_it_begins_however_fast_more_comes() {
        let (_, mut mails) = Mesh::new(3).unwrap();
        let mut reader = mails.pop().unwrap();
        let send = |mails: &mut [Mail], from: CoreId| {
            let (to, outbox) = mails[from.index()].outboxes.last_mut().unwrap();
            assert_eq!(*to, CoreId(2));
            outbox.send(Box::default()).is_ok()
        };
        for _ in 0..3 {
            send(&mut mails, CoreId(0));
        }
        while send(&mut mails, CoreId(1)) {}
        for turn in 0..5 {
            let mut taken = [0; 2];
            reader.deliver_to(|from, _| {
                taken[from.index()] += 1;
                assert!(taken[from.index()] < TOO_MANY, "the turn does not end");
                assert!(send(&mut mails, from), "its place is free");
            });
            assert_eq!(taken, [3, BATCHES_UNDER_WAY], "turn {turn}");
            assert!(!reader.fall_asleep(), "the next turn follows at once");
        }
    }

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
