//! A core's turn, whatever the backend:
//!
//! ```text
//!  enter: send, submit, wait ─▶ begin ─▶ what was sent ─▶ what came ─▶ mail in ─▶ end ─▶ mail out ─▶ attend
//!    ▲                                                                                                 │
//!    └──────────────────────── how long may the core wait? ◀───────────────────────────────────────────┘
//! ```

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use larder_engine::UnixMillis;

use super::backend::{Backend, Patience};
use super::desk::Desk;
use super::listen::Listener;
use super::mail::{Mail, Shipped};
use crate::command::Clock;
use crate::dispatch::Core;
use crate::shared::Shared;

/// How long a core that ends goes on sending what it owes.
const DRAIN_MAX: Duration = Duration::from_secs(1);
/// How often a core that ends looks whether the others have ended.
const DRAIN_PERIOD: Duration = Duration::from_millis(5);
/// When mail that found a full queue is sent again.
const SHIP_AGAIN: Duration = Duration::from_millis(1);

/// How far the end of a core has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// It serves.
    No,
    /// It sends what it owes, until then at most.
    Draining(Instant),
    /// It has no connection left, and answers the other cores until they have none, until then at most.
    Drained(Instant),
    /// It has ended.
    Over,
}

/// A core with its backend.
pub(super) struct Driver<B> {
    backend: B,
    desk: Desk,
    shared: Arc<Shared>,
    /// The beginning of the clocks of all cores.
    epoch: Instant,
    now: Instant,
    /// The core has background work to do.
    busy: bool,
    shipped: Shipped,
    ending: Ending,
}

impl<B: Backend> Driver<B> {
    pub(super) fn new(
        backend: B,
        core: Core,
        mail: Mail,
        listeners: Vec<Listener>,
        shared: Arc<Shared>,
        epoch: Instant,
    ) -> Self {
        Self {
            backend,
            desk: Desk::new(core, mail, listeners),
            shared,
            epoch,
            now: Instant::now(),
            busy: true,
            shipped: Shipped::All,
            ending: Ending::No,
        }
    }

    /// Turns until the server ends.
    ///
    /// # Errors
    /// The backend broke.
    pub(super) async fn run(mut self) -> io::Result<()> {
        while self.ending != Ending::Over {
            let patience = self.patience();
            if self.backend.shares_thread() {
                self.turn(Patience::None, Some(patience)).await?;
            } else {
                self.turn(patience, None).await?;
            }
        }
        Ok(())
    }

    /// One turn. With `yields`, the wait is the thread's other tasks' time; they get some even when there is none.
    #[inline]
    async fn turn(&mut self, patience: Patience, yields: Option<Patience>) -> io::Result<()> {
        let Self { backend, desk, .. } = self;
        backend.enter(&desk.core, &mut desk.sends, patience)?;
        if let Some(patience) = yields {
            let at_most = match patience {
                _ if backend.has_come() => Some(Duration::ZERO),
                Patience::None => Some(Duration::ZERO),
                Patience::For(time) => Some(time),
                Patience::Endless => None,
            };
            backend.yield_thread(at_most).await;
        }
        self.work();
        Ok(())
    }

    /// What a turn does once something has come.
    #[inline]
    fn work(&mut self) {
        let Self { backend, desk, .. } = self;
        desk.mail.wake_up();
        self.now = Instant::now();
        desk.core.begin_turn(clock(self.now, self.epoch));
        desk.settle_sends(backend);
        backend.drain(desk);
        desk.take_arrivals();
        let Desk { mail, core, .. } = desk;
        mail.deliver(core);
        self.busy = core.end_turn();
        self.shipped = mail.ship(core, backend);
        desk.attend(backend);
        if self.ending != Ending::No || self.shared.is_stopping() {
            self.end();
        }
    }

    /// How long the core may wait for something to come. Unless it may not, the others know that it sleeps.
    #[inline]
    fn patience(&self) -> Patience {
        if self.busy || self.backend.has_come() || self.desk.has_follow_up() {
            return Patience::None;
        }
        let mut patience = Patience::Endless;
        let wakes_ms = [self.desk.core.next_wake_ms(), self.desk.accept_again_ms()];
        if let Some(wake_ms) = wakes_ms.into_iter().flatten().min() {
            let now = self.now.duration_since(self.epoch);
            let wait = Duration::from_millis(wake_ms).saturating_sub(now);
            if wait.is_zero() {
                return Patience::None;
            }
            patience = Patience::For(wait);
        }
        if self.shipped == Shipped::Some {
            patience = no_longer_than(patience, SHIP_AGAIN);
        }
        if self.ending != Ending::No {
            patience = no_longer_than(patience, DRAIN_PERIOD);
        }
        if self.desk.mail.fall_asleep() {
            patience
        } else {
            Patience::None
        }
    }

    /// The server ends: a step towards the end of this core.
    #[cold]
    fn end(&mut self) {
        let Self { backend, desk, .. } = self;
        self.ending = match self.ending {
            Ending::No => {
                // Whoever learns of the end first tells the others, which may sleep.
                desk.mail.mesh().ring_all();
                desk.begin_drain(backend);
                desk.attend(backend);
                Ending::Draining(self.now + DRAIN_MAX)
            }
            Ending::Draining(until) => {
                desk.close_settled(backend);
                if desk.is_empty() || self.now >= until {
                    desk.mail.mesh().count_drained();
                    Ending::Drained(until)
                } else {
                    self.ending
                }
            }
            Ending::Drained(until) if !desk.mail.mesh().all_drained() && self.now < until => {
                self.ending
            }
            Ending::Drained(_) | Ending::Over => Ending::Over,
        };
    }
}

fn no_longer_than(patience: Patience, most: Duration) -> Patience {
    match patience {
        Patience::None => Patience::None,
        Patience::For(time) => Patience::For(time.min(most)),
        Patience::Endless => Patience::For(most),
    }
}

/// Both clocks at `now`.
#[inline]
fn clock(now: Instant, epoch: Instant) -> Clock {
    let unix = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Clock {
        unix: UnixMillis(unix.as_millis() as i64),
        monotonic_us: now.duration_since(epoch).as_micros() as u64,
    }
}
