//! Choices of the runtime that were measured and decided (docs/decisions), kept as switches so that the measurement can
//! be repeated and tests can reach the rare paths.

use super::listen::TcpPort;
use super::ring::BufferSizes;

/// How replies leave on the io_uring backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendBy {
    /// A SEND entry per connection, submitted with the turn's wait.
    Ring,
    /// A send(2) per connection, before the wait.
    Direct,
}

/// How a sleeping core is woken on the io_uring backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WakeBy {
    /// A MSG_RING entry, submitted with the turn's wait.
    MsgRing,
    /// A write to its eventfd, at once.
    EventFd,
}

/// The choices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    pub(super) send_by: SendBy,
    pub(super) wake_by: WakeBy,
    pub(super) buffers: BufferSizes,
    pub(super) tcp_port: TcpPort,
    #[cfg(debug_assertions)]
    pub(super) locks: Locks,
}

/// Whether transactions lock keys. A release build has no choice.
#[cfg(debug_assertions)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Locks {
    On,
    /// A planted bug, which tests must find.
    Off,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            send_by: SendBy::Ring,
            wake_by: WakeBy::MsgRing,
            buffers: BufferSizes {
                first: 32,
                most: 1024,
                bytes: 16 << 10,
            },
            tcp_port: TcpPort::Configured,
            #[cfg(debug_assertions)]
            locks: Locks::On,
        }
    }
}

impl Tuning {
    /// The defaults, except where `LARDER_SEND_BY` (`ring`, `direct`) and `LARDER_WAKE_BY` (`msg_ring`, `eventfd`) say
    /// otherwise.
    pub fn from_env() -> Self {
        let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|set| set == value);
        let mut tuning = Self::default();
        if is("LARDER_SEND_BY", "direct") {
            tuning.send_by = SendBy::Direct;
        }
        if is("LARDER_SEND_BY", "ring") {
            tuning.send_by = SendBy::Ring;
        }
        if is("LARDER_WAKE_BY", "eventfd") {
            tuning.wake_by = WakeBy::EventFd;
        }
        tuning
    }

    /// With so few and so small receive buffers that load runs out of them.
    #[must_use]
    pub fn with_tiny_buffers(mut self) -> Self {
        self.buffers = BufferSizes {
            first: 1,
            most: 2,
            bytes: 64,
        };
        self
    }

    /// On a free TCP port instead of the configured one.
    #[must_use]
    pub fn on_free_port(mut self) -> Self {
        self.tcp_port = TcpPort::AnyFree;
        self
    }

    /// Sends replies by `send_by`.
    #[must_use]
    pub fn with_send_by(mut self, send_by: SendBy) -> Self {
        self.send_by = send_by;
        self
    }

    /// Wakes cores by `wake_by`.
    #[must_use]
    pub fn with_wake_by(mut self, wake_by: WakeBy) -> Self {
        self.wake_by = wake_by;
        self
    }

    /// With a planted bug: transactions lock nothing, and are not atomic. Tests of atomicity must notice.
    #[cfg(debug_assertions)]
    #[doc(hidden)]
    #[must_use]
    pub fn without_locks(mut self) -> Self {
        self.locks = Locks::Off;
        self
    }

    /// Makes on a core's own thread the choices that go with the thread.
    pub(super) fn apply_to_thread(self) {
        #[cfg(debug_assertions)]
        if self.locks == Locks::Off {
            crate::dispatch::plant_no_locks();
        }
    }
}
