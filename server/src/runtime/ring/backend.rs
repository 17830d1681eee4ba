//! The backend on io_uring: multishot accept and receive, sends that are over when the turn's one system call returns.
//!
//! # Sends without a completion
//!
//! A SEND that posted a completion would end the very wait it was submitted with, and every turn would pay two system
//! calls. So replies are sent with MSG_DONTWAIT, MSG_WAITALL and CQE_SKIP_SUCCESS: the kernel never parks such a send
//! (DONTWAIT), so it is over when `enter` returns; if all bytes went (WAITALL makes anything less a failure) nothing is
//! posted; otherwise a completion carries how many did, and the connection is polled until it takes more. The bytes are
//! those in the sessions' own buffers: `enter` holds the core borrowed until no send is under way.
//!
//! # Ownership
//!
//! User data names connections by token. A token is free again only after the ends of the receive and of the poll were
//! told, so no completion can be mistaken for one of a later connection.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use io_uring::squeue::Flags;
use io_uring::{cqueue, opcode, types};

use super::Ring;
use super::buffers::BufferRing;
use super::files::{Files, Next};
use super::park::Park;
use crate::dispatch::Core;
use crate::persist::files::Asked;
use crate::runtime::backend::{
    Backend, Ended, Events, Patience, Release, Sending, Token, send_directly,
};
use crate::runtime::mail::{Mail, Mesh};
use crate::runtime::tuning::{SendBy, Tuning, WakeBy};
use crate::runtime::work::GlommioWork;

/// The only buffer group.
const BUFFER_GROUP: u16 = 0;
/// Bytes one SEND entry carries at most.
const SEND_BYTES_MAX: usize = 1 << 30;

/// A turn that received so many bytes has enough to do: more buffers are lent for the sake of many connections only.
const TURN_BYTES_ENOUGH: usize = 512 << 10;
/// So many connections that found no buffer are few.
const STARVED_FEW: u32 = 4;

/// What a completion belongs to; the upper half of the user data, the lower being a token or an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tag {
    Accept = 0,
    Receive = 1,
    Send = 2,
    Writable = 3,
    Cancel = 4,
    /// Another core's MSG_RING.
    Wake = 5,
    Bell = 6,
    /// An operation on files.
    File = 7,
}

impl Tag {
    fn with(self, low: u32) -> u64 {
        (self as u64) << 32 | u64::from(low)
    }

    #[inline]
    fn split(user_data: u64) -> (Self, u32) {
        let tag = match user_data >> 32 {
            0 => Self::Accept,
            1 => Self::Receive,
            2 => Self::Send,
            3 => Self::Writable,
            4 => Self::Cancel,
            5 => Self::Wake,
            6 => Self::Bell,
            7 => Self::File,
            other => panic!("user data with the unknown tag {other}"),
        };
        (tag, user_data as u32)
    }
}

/// A core's ring.
pub(in crate::runtime) struct RingBackend {
    // Declared, and so dropped, before the memory the kernel may still write to.
    ring: Ring,
    buffers: BufferRing,
    files: Files,
    /// Completions of this turn, those of sends excepted.
    come: Vec<cqueue::Entry>,
    mesh: Arc<Mesh>,
    /// This core's place in the mesh.
    place: usize,
    /// The core's bell, which the mesh keeps open.
    bell: types::Fd,
    park: Park,
    tuning: Tuning,
}

impl RingBackend {
    /// A ring for the core whose mail this is.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub(in crate::runtime) fn new(mail: &Mail, tuning: Tuning) -> io::Result<Self> {
        let ring = Ring::new()?;
        let buffers = BufferRing::register(&ring.uring.submitter(), BUFFER_GROUP, tuning.buffers)?;
        mail.publish_ring(ring.fd());
        let mut backend = Self {
            ring,
            buffers,
            files: Files::default(),
            come: Vec::new(),
            mesh: Arc::clone(mail.mesh()),
            place: mail.id().index(),
            bell: types::Fd(mail.bell().as_raw_fd()),
            park: Park::new(),
            tuning,
        };
        backend.listen_to_bell();
        Ok(backend)
    }

    fn listen_to_bell(&mut self) {
        let entry = opcode::PollAdd::new(self.bell, libc::POLLIN as u32)
            .multi(true)
            .build()
            .user_data(Tag::Bell.with(0));
        // SAFETY: the entry refers to no memory.
        unsafe { self.ring.push(&entry) };
    }

    /// Queues a SEND entry for each of `sends`.
    ///
    /// # Safety
    /// `core` is not changed until the sends are over, which they are once everything queued has been submitted.
    #[inline]
    unsafe fn push_sends(&mut self, core: &Core, sends: &mut [Sending]) {
        for (index, sending) in sends.iter_mut().enumerate() {
            let bytes = core.unsent(sending.id);
            let len = bytes.len().min(SEND_BYTES_MAX);
            sending.asked = len;
            sending.sent = Ok(len);
            if len == 0 {
                continue;
            }
            let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT | libc::MSG_WAITALL;
            let entry = opcode::Send::new(types::Fd(sending.socket), bytes.as_ptr(), len as u32)
                .flags(flags)
                .build()
                .flags(Flags::SKIP_SUCCESS)
                .user_data(Tag::Send.with(index as u32));
            // SAFETY: the bytes live in a session of `core`, unchanged until the send is over by the caller's promise.
            unsafe { self.ring.push(&entry) };
        }
    }
}

impl Backend for RingBackend {
    #[inline]
    fn enter(&mut self, core: &Core, sends: &mut [Sending], patience: Patience) -> io::Result<()> {
        match self.tuning.send_by {
            // SAFETY: `core` is borrowed until this function returns, and `Ring::enter` below returns only after
            // everything queued was submitted; an error leaves the ring unused until it is dropped.
            SendBy::Ring => unsafe { self.push_sends(core, sends) },
            SendBy::Direct => send_directly(core, sends),
        }
        let come = &mut self.come;
        self.ring.enter(patience, |completion| {
            let (tag, low) = Tag::split(completion.user_data());
            if tag == Tag::Send {
                sends[low as usize].sent = sent_by(completion.result());
            } else {
                come.push(completion.clone());
            }
        })
    }

    fn drain(&mut self, events: &mut impl Events) {
        let mut come = std::mem::take(&mut self.come);
        let (mut starved, mut bytes) = (0, 0);
        for completion in come.drain(..) {
            let (result, flags) = (completion.result(), completion.flags());
            let (tag, low) = Tag::split(completion.user_data());
            match tag {
                Tag::Receive => {
                    let token = Token(low);
                    if let Some(buffer) = cqueue::buffer_select(flags) {
                        let len = usize::try_from(result).unwrap_or(0);
                        bytes += len;
                        if len > 0 {
                            // SAFETY: this completion hands `buffer` over; it is given back below, after its last use.
                            events.received(token, unsafe { self.buffers.received(buffer, len) });
                        }
                        self.buffers.give_back(buffer);
                    }
                    if !cqueue::more(flags) {
                        starved += u32::from(result == -libc::ENOBUFS);
                        events.receiving_ended(token, why_ended(result));
                    }
                }
                Tag::Accept => {
                    if result >= 0 {
                        // SAFETY: the kernel has just opened this descriptor for us and nothing else owns it.
                        events.accepted(low as usize, unsafe { OwnedFd::from_raw_fd(result) });
                    }
                    if !cqueue::more(flags) {
                        let error = (result < 0).then(|| io::Error::from_raw_os_error(-result));
                        events.accepting_ended(low as usize, error);
                    }
                }
                Tag::Writable => events.writable(Token(low)),
                // A cancellation that found nothing: what it meant has ended by itself, or will on the next attempt.
                Tag::Cancel => events.receiving_ended(Token(low), Ended::NotStopped),
                Tag::Bell => {
                    self.mesh.silence_bell(self.place);
                    if !cqueue::more(flags) {
                        self.listen_to_bell();
                    }
                }
                Tag::File => match self.files.complete(low, result) {
                    Next::Done(by, outcome) => events.file_done(by, outcome),
                    // SAFETY: what the entry refers to stays with `files` until the operation is over.
                    Next::Again(entry) => unsafe {
                        self.ring.push(&entry.user_data(Tag::File.with(low)));
                    },
                },
                Tag::Wake => {}
                Tag::Send => unreachable!("sends are taken out when completions are taken"),
            }
        }
        // A few that send much would take as many buffers as there are, and all others wait until the turn has worked on them.
        if starved > 0 && (starved > STARVED_FEW || bytes < TURN_BYTES_ENOUGH) {
            self.buffers.grow();
        }
        for (by, error) in self.files.take_failed() {
            events.file_done(by, Err(error));
        }
        self.buffers.publish();
        self.come = come;
    }

    fn has_come(&self) -> bool {
        !self.come.is_empty() || self.files.has_failed()
    }

    #[inline]
    fn shares_thread(&mut self) -> bool {
        let shares = GlommioWork::is_outstanding();
        if !shares {
            self.park.leave(&mut self.ring);
        }
        shares
    }

    async fn yield_thread(&mut self, at_most: Option<Duration>) {
        self.park.wait(&mut self.ring, at_most).await;
    }

    fn accept(&mut self, listener: usize, socket: BorrowedFd<'_>) -> io::Result<()> {
        let entry = opcode::AcceptMulti::new(types::Fd(socket.as_raw_fd()))
            .flags(libc::SOCK_CLOEXEC)
            .build()
            .user_data(Tag::Accept.with(listener as u32));
        // SAFETY: the entry refers to no memory.
        unsafe { self.ring.push(&entry) };
        Ok(())
    }

    fn stop_accepting(&mut self, listener: usize, _socket: BorrowedFd<'_>) {
        let entry = opcode::AsyncCancel::new(Tag::Accept.with(listener as u32))
            .build()
            .flags(Flags::SKIP_SUCCESS)
            .user_data(Tag::Wake.with(0));
        // SAFETY: the entry refers to no memory.
        unsafe { self.ring.push(&entry) };
    }

    fn watch(&mut self, _token: Token, _socket: BorrowedFd<'_>) -> io::Result<()> {
        Ok(())
    }

    fn receive(&mut self, token: Token, socket: BorrowedFd<'_>) {
        let entry = opcode::RecvMulti::new(types::Fd(socket.as_raw_fd()), BUFFER_GROUP)
            .build()
            .user_data(Tag::Receive.with(token.0));
        // SAFETY: the kernel writes only to the registered buffers, which are dropped after the ring.
        unsafe { self.ring.push(&entry) };
    }

    fn stop_receiving(&mut self, token: Token) -> Release {
        let entry = opcode::AsyncCancel::new(Tag::Receive.with(token.0))
            .build()
            .flags(Flags::SKIP_SUCCESS)
            .user_data(Tag::Cancel.with(token.0));
        // SAFETY: the entry refers to no memory.
        unsafe { self.ring.push(&entry) };
        Release::Pending
    }

    fn await_writable(&mut self, token: Token, socket: BorrowedFd<'_>) {
        let entry = opcode::PollAdd::new(types::Fd(socket.as_raw_fd()), libc::POLLOUT as u32)
            .build()
            .user_data(Tag::Writable.with(token.0));
        // SAFETY: the entry refers to no memory.
        unsafe { self.ring.push(&entry) };
    }

    fn release(&mut self, _token: Token, socket: BorrowedFd<'_>) -> Release {
        // Ends the receive and the poll. Refused only when the connection is broken, which ends them too.
        let _ = socket2::SockRef::from(&socket).shutdown(std::net::Shutdown::Both);
        Release::Pending
    }

    fn ask_file(&mut self, asked: Asked) {
        if let Some((number, entry)) = self.files.begin(asked) {
            // SAFETY: what the entry refers to stays with `files` until the operation is over.
            unsafe { self.ring.push(&entry.user_data(Tag::File.with(number))) };
        }
    }

    fn wake(&mut self, place: usize) {
        match (self.tuning.wake_by, self.mesh.ring_of(place)) {
            (WakeBy::MsgRing, Some(ring)) => {
                let entry = opcode::MsgRingData::new(types::Fd(ring), 0, Tag::Wake.with(0), None)
                    .build()
                    .flags(Flags::SKIP_SUCCESS)
                    .user_data(Tag::Wake.with(0));
                // SAFETY: the entry refers to no memory.
                unsafe { self.ring.push(&entry) };
            }
            _ => self.mesh.ring_bell(place),
        }
    }
}

/// What a failed or partial send came to; a full socket took nothing.
fn sent_by(result: i32) -> io::Result<usize> {
    usize::try_from(result).or_else(|_| {
        let error = io::Error::from_raw_os_error(-result);
        match error.raw_os_error() {
            Some(libc::EAGAIN | libc::EINTR) => Ok(0),
            _ => Err(error),
        }
    })
}

/// A receive that moved bytes, ran out of buffers or was interrupted goes on; end of input and errors end it.
fn why_ended(result: i32) -> Ended {
    match result {
        1.. => Ended::Lapsed,
        0 => Ended::EndOfInput,
        error if matches!(-error, libc::ENOBUFS | libc::EINTR | libc::EAGAIN) => Ended::Lapsed,
        error if -error == libc::ECANCELED => Ended::Stopped,
        _ => Ended::Broken,
    }
}
