//! The one io_uring of the floor server, behind an interface without unsafe.
//!
//! Set up with SINGLE_ISSUER | DEFER_TASKRUN | COOP_TASKRUN. Connections arrive by one multishot ACCEPT, bytes by one
//! multishot RECV per connection into a [`BufferRing`]. A turn is [`Ring::enter`], one system call that submits
//! everything queued and waits for one completion, then [`Ring::drain`], which tells an [`Events`] what came.
//!
//! # Sends without a completion
//!
//! A SEND that posted a completion would end the very wait it was submitted with, and every turn would pay two system
//! calls. So [`Ring::send`] sets MSG_DONTWAIT, MSG_WAITALL and CQE_SKIP_SUCCESS: the kernel never parks such a send
//! (DONTWAIT), so it is over when `enter` returns; if all bytes went (WAITALL makes anything less a failure) nothing is
//! posted; otherwise a completion carries how many did. The rest then goes as an ordinary SEND
//! ([`Ring::send_rest`]), which the kernel parks until the peer reads.
//!
//! # Ownership
//!
//! A buffer being sent belongs to the ring, never to the caller: it comes back once the kernel is done with it. The
//! socket of a connection must stay open until [`Events::receiving_ended`] came and no rest is in flight; user data
//! names connections by file descriptor, and a descriptor closed earlier could be accepted again meanwhile.

#![expect(
    unsafe_code,
    reason = "io_uring shares memory with the kernel; everything outside this module is safe"
)]

mod buffers;
mod cpu;

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use io_uring::squeue::{Entry, Flags};
use io_uring::{IoUring, cqueue, opcode, types};

use buffers::BufferRing;
pub(crate) use cpu::pin_to_cpu;

/// Entries of the submission queue; beyond it an extra system call submits.
const SUBMISSION_ENTRIES: u32 = 1024;
/// Entries of the completion queue: a burst of every connection's receives fits.
const COMPLETION_ENTRIES: u32 = 8192;
/// The only buffer group.
const BUFFER_GROUP: u16 = 0;
/// Receive buffers, each of [`BUFFER_BYTES`]. All come back every turn, so few serve many connections, and few stay in
/// the processor's cache.
const BUFFERS: u16 = 128;
/// One buffer holds a pipeline of 64 SETs of 64 bytes twice over.
const BUFFER_BYTES: usize = 16 << 10;

/// What happened on the ring, told in the order of completion.
pub(crate) trait Events {
    /// A client connected.
    fn accepted(&mut self, socket: OwnedFd);
    /// `bytes` arrived on `socket`; they are gone after the call.
    fn received(&mut self, socket: RawFd, bytes: &[u8]);
    /// No accept is armed any more.
    fn accepting_ended(&mut self, why: io::Result<()>);
    /// No receive is armed on `socket` any more.
    fn receiving_ended(&mut self, socket: RawFd, why: Ended);
    /// All of `buffer` went out.
    fn sent(&mut self, buffer: Vec<u8>);
    /// As [`sent`](Self::sent), for what [`Ring::send_rest`] sent.
    fn rest_sent(&mut self, socket: RawFd, buffer: Vec<u8>);
    /// `sent` bytes of `buffer` went out and no more will by themselves; the socket was full, or is broken.
    fn sent_partly(&mut self, socket: RawFd, buffer: Vec<u8>, sent: io::Result<usize>);
}

/// Why a multishot receive ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Out of buffers, or by the kernel's choice: arm it again.
    Rearm,
    /// The peer is gone.
    Closed,
}

/// Whether the sends queued before the last [`Ring::enter`] are over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sends {
    /// All of them, each told to [`Events`].
    Over,
    /// Some may still be in the submission queue, or their failure unknown: no socket may be closed yet.
    Pending,
}

/// What a completion belongs to; the upper half of the user data, the lower being a descriptor or a send's index.
#[derive(Clone, Copy)]
enum Tag {
    Accept = 0,
    Receive = 1,
    Send = 2,
    SendRest = 3,
}

impl Tag {
    fn with(self, low: u32) -> u64 {
        (self as u64) << 32 | u64::from(low)
    }

    fn split(user_data: u64) -> (Self, u32) {
        let tag = match user_data >> 32 {
            0 => Self::Accept,
            1 => Self::Receive,
            2 => Self::Send,
            3 => Self::SendRest,
            other => panic!("user data with the unknown tag {other}"),
        };
        (tag, user_data as u32)
    }
}

/// A buffer the kernel may be reading, and where it goes.
struct InFlight {
    socket: RawFd,
    buffer: Vec<u8>,
}

/// The ring, its receive buffers and the buffers being sent.
pub(crate) struct Ring {
    // Declared, and so dropped, before everything the kernel may still read or write.
    uring: IoUring,
    buffers: BufferRing,
    /// Sends of this turn, over when the submission queue is empty after `enter`.
    sending: Vec<InFlight>,
    /// Parked sends with the bytes already gone, by descriptor.
    rests: Vec<(InFlight, usize)>,
}

impl Ring {
    /// # Errors
    ///
    /// The kernel's refusal: io_uring forbidden, or a kernel before 6.1.
    pub(crate) fn new() -> io::Result<Self> {
        let uring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_coop_taskrun()
            .setup_submit_all()
            .setup_cqsize(COMPLETION_ENTRIES)
            .build(SUBMISSION_ENTRIES)?;
        let buffers =
            BufferRing::register(&uring.submitter(), BUFFER_GROUP, BUFFERS, BUFFER_BYTES)?;
        Ok(Self {
            uring,
            buffers,
            sending: Vec::new(),
            rests: Vec::new(),
        })
    }

    /// Arms the multishot accept.
    pub(crate) fn accept(&mut self, listener: &TcpListener) {
        let entry = opcode::AcceptMulti::new(types::Fd(listener.as_raw_fd()))
            .flags(libc::SOCK_CLOEXEC)
            .build()
            .user_data(Tag::Accept.with(0));
        // SAFETY: the entry refers to no memory.
        unsafe { self.push(&entry) };
    }

    /// Arms the multishot receive of `socket`.
    pub(crate) fn receive(&mut self, socket: RawFd) {
        let entry = opcode::RecvMulti::new(types::Fd(socket), BUFFER_GROUP)
            .build()
            .user_data(Tag::Receive.with(socket as u32));
        // SAFETY: the kernel writes only to the registered buffers, which live as long as the ring.
        unsafe { self.push(&entry) };
    }

    /// Queues all of `buffer`, as far as the socket takes it at once.
    pub(crate) fn send(&mut self, socket: RawFd, buffer: Vec<u8>) {
        let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT | libc::MSG_WAITALL;
        let entry = opcode::Send::new(types::Fd(socket), buffer.as_ptr(), buffer.len() as u32)
            .flags(flags)
            .build()
            .flags(Flags::SKIP_SUCCESS)
            .user_data(Tag::Send.with(self.sending.len() as u32));
        self.sending.push(InFlight { socket, buffer });
        // SAFETY: `sending` keeps the heap block alive and untouched until the send is known to be over.
        unsafe { self.push(&entry) };
    }

    /// Queues what follows the first `sent` bytes of `buffer`, waiting in the kernel until the socket takes it.
    pub(crate) fn send_rest(&mut self, socket: RawFd, buffer: Vec<u8>, sent: usize) {
        let rest = &buffer[sent..];
        let entry = opcode::Send::new(types::Fd(socket), rest.as_ptr(), rest.len() as u32)
            .flags(libc::MSG_NOSIGNAL)
            .build()
            .user_data(Tag::SendRest.with(socket as u32));
        self.rests.push((InFlight { socket, buffer }, sent));
        // SAFETY: `rests` keeps the heap block alive and untouched until its completion.
        unsafe { self.push(&entry) };
    }

    /// Sends at once by send(2) what the socket takes.
    ///
    /// # Errors
    ///
    /// As send(2), but a full socket is `Ok(0)`.
    pub(crate) fn send_directly(socket: RawFd, bytes: &[u8]) -> io::Result<usize> {
        loop {
            // SAFETY: pointer and length are those of a live slice.
            let sent = unsafe {
                libc::send(
                    socket,
                    bytes.as_ptr().cast(),
                    bytes.len(),
                    libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT,
                )
            };
            if sent >= 0 {
                return Ok(sent as usize);
            }
            let error = io::Error::last_os_error();
            match error.kind() {
                io::ErrorKind::Interrupted => {}
                io::ErrorKind::WouldBlock => return Ok(0),
                _ => return Err(error),
            }
        }
    }

    /// Submits everything queued and waits for at least one completion.
    ///
    /// # Errors
    ///
    /// As io_uring_enter(2), but interruption and a full completion queue only return early.
    pub(crate) fn enter(&mut self) -> io::Result<()> {
        match self.uring.submit_and_wait(1) {
            Ok(_) => Ok(()),
            Err(error) => match error.raw_os_error() {
                Some(libc::EINTR | libc::EBUSY | libc::EAGAIN) => Ok(()),
                _ => Err(error),
            },
        }
    }

    /// Hands every completion and every finished send to `events` and gives the receive buffers back to the kernel.
    pub(crate) fn drain(&mut self, events: &mut impl Events) -> Sends {
        let (_, submission, completion) = self.uring.split();
        // A send is over once it was submitted, and its failure known once no completion waits in the kernel.
        let sends = if submission.is_empty() && !submission.cq_overflow() {
            Sends::Over
        } else {
            Sends::Pending
        };
        for done in completion {
            let (result, flags) = (done.result(), done.flags());
            match Tag::split(done.user_data()) {
                (Tag::Receive, socket) => {
                    let socket = socket as RawFd;
                    if let Some(buffer) = cqueue::buffer_select(flags) {
                        let len = usize::try_from(result).unwrap_or(0);
                        if len > 0 {
                            // SAFETY: this completion hands `buffer` over; it is given back below, after its last use.
                            events.received(socket, unsafe { self.buffers.received(buffer, len) });
                        }
                        self.buffers.give_back(buffer);
                    }
                    if !cqueue::more(flags) {
                        events.receiving_ended(socket, why_ended(result));
                    }
                }
                (Tag::Send, index) => {
                    let send = &mut self.sending[index as usize];
                    let buffer = std::mem::take(&mut send.buffer);
                    let sent = match result_of(result) {
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
                        sent => sent,
                    };
                    events.sent_partly(send.socket, buffer, sent);
                }
                (Tag::SendRest, socket) => {
                    let socket = socket as RawFd;
                    let at = self
                        .rests
                        .iter()
                        .position(|(rest, _)| rest.socket == socket)
                        .expect("a rest stays listed until its completion");
                    let (rest, before) = self.rests.swap_remove(at);
                    match result_of(result).map(|sent| before + sent) {
                        Ok(sent) if sent == rest.buffer.len() => {
                            events.rest_sent(socket, rest.buffer)
                        }
                        sent => events.sent_partly(socket, rest.buffer, sent),
                    }
                }
                (Tag::Accept, _) => {
                    if result >= 0 {
                        // SAFETY: the kernel has just opened this descriptor for us and nothing else owns it.
                        events.accepted(unsafe { OwnedFd::from_raw_fd(result) });
                    }
                    if !cqueue::more(flags) {
                        events.accepting_ended(result_of(result).map(drop));
                    }
                }
            }
        }
        self.buffers.publish();
        if sends == Sends::Over {
            for send in self.sending.drain(..) {
                // Empty when `sent_partly` has taken it.
                if !send.buffer.is_empty() {
                    events.sent(send.buffer);
                }
            }
        }
        sends
    }

    /// # Safety
    ///
    /// Memory that `entry` refers to stays valid, and untouched by us, until the operation is over.
    unsafe fn push(&mut self, entry: &Entry) {
        loop {
            // SAFETY: passed on to the caller.
            if unsafe { self.uring.submission().push(entry) }.is_ok() {
                return;
            }
            // Full: submitting makes room.
            if let Err(error) = self.uring.submit() {
                assert!(
                    error.kind() == io::ErrorKind::Interrupted,
                    "io_uring takes no submission: {error}"
                );
            }
        }
    }
}

fn result_of(result: i32) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result))
}

/// A receive that moved bytes, ran out of buffers or was interrupted goes on; end of file and errors end it.
fn why_ended(result: i32) -> Ended {
    match result {
        1.. => Ended::Rearm,
        0 => Ended::Closed,
        error if matches!(-error, libc::ENOBUFS | libc::EINTR | libc::EAGAIN) => Ended::Rearm,
        _ => Ended::Closed,
    }
}
