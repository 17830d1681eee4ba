//! Waiting together with glommio: while background tasks have work outstanding, an idle core must not block in its own
//! ring, or glommio's reactor would not run. The ring then signals an eventfd whenever something completes, and the core
//! awaits that eventfd through glommio's public interface.

use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use glommio::io::BufferedFile;
use glommio::timer::Timer;

use super::Ring;
use super::os::{WhenEmpty, event_fd};

/// The longest wait, should a signal of the ring ever be lost.
const WAIT_MAX: Duration = Duration::from_secs(1);
/// How often background tasks get their turn on a busy core.
const BACKGROUND_PERIOD: Duration = Duration::from_millis(2);
/// The least that such a turn takes: a timer that has run out when it is first looked at gives no turn.
const BACKGROUND_TURN_MIN: Duration = Duration::from_micros(10);

/// The eventfd and the read of it that is under way.
pub(super) struct Park {
    /// Made when first needed.
    signal: Option<Rc<BufferedFile>>,
    /// Kept from wait to wait: a read that was given up could swallow the signal meant for the next.
    reading: Option<Pin<Box<dyn Future<Output = ()>>>>,
    registered: bool,
    /// When background tasks had their last turn on a busy core.
    last_turn: Option<Instant>,
}

impl Park {
    pub(super) fn new() -> Self {
        Self {
            signal: None,
            reading: None,
            registered: false,
            last_turn: None,
        }
    }

    /// Lets glommio run until the ring has something, at most as long as `at_most`; with zero, if its tasks' turn has come.
    ///
    /// The first call only registers the eventfd and may yield once: what completed before is not signalled, so the caller
    /// looks at its ring again before it waits.
    pub(super) async fn wait(&mut self, ring: &mut Ring, at_most: Option<Duration>) {
        if at_most == Some(Duration::ZERO) {
            return self.give_turn_if_due().await;
        }
        if !self.registered {
            self.registered = self.register(ring).is_ok();
            return self.give_turn_if_due().await;
        }
        let Some(signal) = &self.signal else { return };
        let reading = self.reading.get_or_insert_with(|| {
            let signal = Rc::clone(signal);
            Box::pin(async move {
                // Whatever comes of the read, the ring is looked at next.
                let _ = signal.read_at(0, size_of::<u64>()).await;
            })
        });
        let mut timer = Timer::new(at_most.unwrap_or(WAIT_MAX).min(WAIT_MAX));
        let signalled = poll_fn(|context| {
            if reading.as_mut().poll(context).is_ready() {
                return Poll::Ready(true);
            }
            Pin::new(&mut timer).poll(context).map(|_| false)
        })
        .await;
        if signalled {
            self.reading = None;
        }
    }

    async fn give_turn_if_due(&mut self) {
        let is_due = |last: Instant| last.elapsed() >= BACKGROUND_PERIOD;
        if self.last_turn.is_none_or(is_due) {
            // Behind a timer, glommio runs what is ready and looks at its rings; behind a mere yield it may do neither.
            Timer::new(BACKGROUND_TURN_MIN).await;
            self.last_turn = Some(Instant::now());
        }
    }

    /// No longer asks the ring for signals, which cost a little for each completion.
    pub(super) fn leave(&mut self, ring: &mut Ring) {
        if self.registered {
            self.registered = ring.uring.submitter().unregister_eventfd().is_err();
        }
    }

    fn register(&mut self, ring: &mut Ring) -> io::Result<()> {
        let signal = match &self.signal {
            Some(signal) => signal,
            None => {
                let file = event_fd(WhenEmpty::Wait)?;
                // SAFETY: the descriptor was just made and is owned by nothing else.
                let file = unsafe { BufferedFile::from_raw_fd(file.into_raw_fd()) };
                self.signal.insert(Rc::new(file))
            }
        };
        ring.uring.submitter().register_eventfd(signal.as_raw_fd())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use glommio::Placement;
    use io_uring::opcode;

    use super::*;
    use crate::runtime::backend::Patience;
    use crate::runtime::core_thread::executor;

    fn on_an_executor<T>(test: impl Future<Output = T>) -> T {
        executor(Placement::Unbound).unwrap().run(test)
    }

    #[test]
    fn a_timer_of_glommio_fires_while_the_core_waits() {
        on_an_executor(async {
            let mut ring = Ring::new().unwrap();
            let mut park = Park::new();
            let fired = Rc::new(Cell::new(false));
            let began = Instant::now();
            let timer = glommio::spawn_local({
                let fired = Rc::clone(&fired);
                async move {
                    Timer::new(Duration::from_millis(20)).await;
                    fired.set(true);
                }
            });
            while !fired.get() {
                ring.enter(Patience::None, |_| {}).unwrap();
                park.wait(&mut ring, Some(Duration::from_millis(5))).await;
                assert!(began.elapsed() < Duration::from_secs(5));
            }
            timer.await;
            park.leave(&mut ring);
        });
    }

    #[test]
    fn a_completion_of_the_ring_ends_the_wait() {
        on_an_executor(async {
            let mut ring = Ring::new().unwrap();
            let mut park = Park::new();
            ring.enter(Patience::None, |_| {}).unwrap();
            park.wait(&mut ring, None).await;
            for _ in 0..3 {
                let delay = io_uring::types::Timespec::new().nsec(20_000_000);
                let entry = opcode::Timeout::new(&delay).build();
                // SAFETY: the timespec is read when the entry is submitted, in `enter` below.
                unsafe { ring.push(&entry) };
                let mut completions = 0;
                let began = Instant::now();
                while completions == 0 {
                    ring.enter(Patience::None, |_| completions += 1).unwrap();
                    if completions == 0 {
                        park.wait(&mut ring, None).await;
                    }
                }
                assert!(
                    began.elapsed() < WAIT_MAX,
                    "the wait ended by its time limit"
                );
            }
        });
    }

    #[test]
    fn a_busy_core_lets_the_tasks_of_glommio_have_their_turn() {
        on_an_executor(async {
            let mut ring = Ring::new().unwrap();
            let mut park = Park::new();
            let fired = Rc::new(Cell::new(false));
            let timer = glommio::spawn_local({
                let fired = Rc::clone(&fired);
                async move {
                    Timer::new(Duration::from_millis(5)).await;
                    fired.set(true);
                }
            });
            let began = Instant::now();
            while !fired.get() {
                ring.enter(Patience::None, |_| {}).unwrap();
                park.wait(&mut ring, Some(Duration::ZERO)).await;
                assert!(began.elapsed() < Duration::from_secs(5));
            }
            timer.await;
        });
    }
}
