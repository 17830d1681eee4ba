//! Ctrl-C and termination: a flag that the measuring loops look at, so that servers are stopped and directories removed
//! on the way out as on any other failure.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::failure::Failure;

/// How often a waiting loop looks at what it waits for. Coarse, so that looking takes no CPU from what is measured.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Whether the user asked to stop.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Takes the signals SIGINT, SIGTERM and SIGHUP.
    ///
    /// # Errors
    /// The system refuses a handler.
    pub(crate) fn on_signals() -> Result<Self, Failure> {
        let interrupt = Self::default();
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&interrupt.0)).map_err(|error| {
                Failure::Failed(format!("cannot take signal {signal}: {error}"))
            })?;
        }
        Ok(interrupt)
    }

    /// # Errors
    /// [`Failure::Interrupted`] once the user has asked to stop.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        if self.0.load(Ordering::Relaxed) {
            Err(Failure::Interrupted)
        } else {
            Ok(())
        }
    }

    /// Sleeps, in steps, so that a signal ends it.
    ///
    /// # Errors
    /// [`Failure::Interrupted`] once the user has asked to stop.
    pub(crate) fn sleep(&self, span: Duration) -> Result<(), Failure> {
        let end = Instant::now() + span;
        loop {
            self.check()?;
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(LOOK_EVERY));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleep_ends_when_the_user_asks_to_stop() {
        let interrupt = Interrupt::default();
        assert_eq!(interrupt.sleep(Duration::from_millis(1)), Ok(()));
        interrupt.0.store(true, Ordering::Relaxed);
        assert_eq!(
            interrupt.sleep(Duration::from_secs(3600)),
            Err(Failure::Interrupted)
        );
    }
}
