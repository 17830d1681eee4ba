//! The io_uring of a core behind an interface without unsafe, and the runtime's few other unsafe corners.
//!
//! - [`backend`]: the ring as a [`Backend`](super::backend::Backend)
//! - [`buffers`]: memory the kernel receives into
//! - [`files`]: operations on files
//! - [`park`]: waiting together with glommio
//! - [`spsc`]: queues between cores
//! - [`os`]: system calls without a safe wrapper
//!
//! The ring is set up with SINGLE_ISSUER | DEFER_TASKRUN | COOP_TASKRUN: only its thread submits, and completions are
//! posted when that thread enters the kernel to wait, never in between.

#![expect(
    unsafe_code,
    reason = "io_uring shares memory with the kernel; everything outside this module is safe"
)]

pub(super) mod backend;
mod buffers;
mod files;
pub(super) mod os;
mod park;
pub(super) mod spsc;

use std::io;
use std::os::fd::{AsRawFd, RawFd};

use io_uring::squeue::Entry;
use io_uring::types::{SubmitArgs, Timespec};
use io_uring::{EnterFlags, IoUring, Probe, cqueue, opcode};

pub(super) use buffers::BufferSizes;

use super::backend::Patience;

/// Entries of the submission queue; beyond it an extra system call submits.
const SUBMISSION_ENTRIES: u32 = 512;
/// Entries of the completion queue: a burst of every connection's receives fits; what does not waits in the kernel.
const COMPLETION_ENTRIES: u32 = 4096;

/// A raw ring.
struct Ring {
    uring: IoUring,
}

impl Ring {
    /// # Errors
    /// The kernel's refusal: io_uring forbidden (EPERM), missing (ENOSYS), or a kernel before 6.1 (EINVAL).
    fn new() -> io::Result<Self> {
        let uring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_coop_taskrun()
            .setup_submit_all()
            .setup_cqsize(COMPLETION_ENTRIES)
            .build(SUBMISSION_ENTRIES)?;
        Ok(Self { uring })
    }

    fn fd(&self) -> RawFd {
        self.uring.as_raw_fd()
    }

    /// Queues an entry; when the queue is full, what is in it is submitted.
    ///
    /// # Safety
    /// Memory that `entry` refers to stays valid and unchanged until the operation is over.
    ///
    /// # Panics
    /// When the kernel takes no submission.
    #[inline]
    unsafe fn push(&mut self, entry: &Entry) {
        // SAFETY: passed on to the caller.
        while unsafe { self.uring.submission().push(entry) }.is_err() {
            self.submit();
        }
    }

    /// Submits what is queued to make room.
    #[cold]
    fn submit(&mut self) {
        /// EAGAIN and EBUSY pass when the kernel finds memory or completions are taken; this many in a row do not.
        const ATTEMPTS_MAX: u32 = 10_000;
        for _ in 0..ATTEMPTS_MAX {
            match self.uring.submit() {
                Ok(_) => return,
                Err(error) => assert!(is_passing(&error), "the ring takes no entry: {error}"),
            }
            std::thread::yield_now();
        }
        panic!("the kernel has taken no entry of the ring for too long");
    }

    /// Submits what is queued and waits with `patience` for a completion; then takes all completions, telling `take` each.
    /// On return everything queued has been submitted and no completion is held back in the kernel.
    ///
    /// That comes to pass though completions keep coming: each takes something that is given back only later in the turn.
    /// A receive takes a buffer, an accepted connection a descriptor, and a wake-up the flag that says who sleeps.
    ///
    /// # Errors
    /// As io_uring_enter(2); an interrupted or timed-out wait only ends early.
    #[inline]
    fn enter(
        &mut self,
        patience: Patience,
        mut take: impl FnMut(&cqueue::Entry),
    ) -> io::Result<()> {
        let mut patience = patience;
        loop {
            if let Err(error) = self.enter_once(patience) {
                match error.raw_os_error() {
                    Some(libc::ETIME | libc::EINTR) => {}
                    _ if is_passing(&error) => std::thread::yield_now(),
                    _ => return Err(error),
                }
            }
            for completion in self.uring.completion() {
                take(&completion);
            }
            let submission = self.uring.submission();
            if submission.is_empty() && !submission.cq_overflow() {
                return Ok(());
            }
            patience = Patience::None;
        }
    }

    #[inline]
    fn enter_once(&mut self, patience: Patience) -> io::Result<usize> {
        let queued = self.uring.submission().len() as u32;
        let submitter = self.uring.submitter();
        let flags = EnterFlags::GETEVENTS.bits();
        let least = u32::from(patience != Patience::None);
        match patience {
            // SAFETY: no argument is passed.
            Patience::None | Patience::Endless => unsafe {
                submitter.enter::<libc::sigset_t>(queued, least, flags, None)
            },
            Patience::For(time) => {
                let time = Timespec::from(time);
                let args = SubmitArgs::new().timespec(&time);
                // SAFETY: with EXT_ARG the argument is an `io_uring_getevents_arg`, which `SubmitArgs` is.
                unsafe {
                    submitter.enter(
                        queued,
                        least,
                        flags | EnterFlags::EXT_ARG.bits(),
                        Some(&args),
                    )
                }
            }
        }
    }
}

/// Whether the kernel would take the call later.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EBUSY | libc::EAGAIN | libc::EINTR)
    )
}

/// Makes a ring with everything a core needs, and drops it.
///
/// # Errors
/// What is missing.
pub(super) fn probe() -> Result<(), Missing> {
    let ring = Ring::new().map_err(Missing::Ring)?;
    let mut probe = Probe::new();
    let submitter = ring.uring.submitter();
    submitter
        .register_probe(&mut probe)
        .map_err(Missing::Ring)?;
    let needed = [
        ("ACCEPT", opcode::AcceptMulti::CODE),
        ("RECV", opcode::RecvMulti::CODE),
        ("SEND", opcode::Send::CODE),
        ("POLL_ADD", opcode::PollAdd::CODE),
        ("ASYNC_CANCEL", opcode::AsyncCancel::CODE),
        ("MSG_RING", opcode::MsgRingData::CODE),
    ];
    if let Some((name, _)) = needed
        .iter()
        .find(|(_, opcode)| !probe.is_supported(*opcode))
    {
        return Err(Missing::Operation(name));
    }
    let sizes = BufferSizes {
        first: 1,
        most: 1,
        bytes: 4096,
    };
    let buffers = buffers::BufferRing::register(&submitter, 0, sizes).map_err(Missing::Buffers)?;
    drop(ring);
    drop(buffers);
    Ok(())
}

/// What the kernel does not offer.
#[derive(Debug)]
pub(super) enum Missing {
    /// A ring of the kind needed.
    Ring(io::Error),
    /// Rings of provided buffers.
    Buffers(io::Error),
    /// An operation.
    Operation(&'static str),
}
