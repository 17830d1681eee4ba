//! SIGTERM and SIGINT end the server, at any moment of its life.
//!
//! While it starts, whatever it waits for (a name to be resolved, a port, standard input), the process ends at once, and its
//! files with it; there are no clients yet. Once it serves, its cores are asked to end, and send what they owe first.

use std::sync::{Arc, Mutex, PoisonError};

use super::own_files;
use super::ring::os::Signals;
use super::server::{ServerError, Stopper};
use crate::log;

/// What ends the server when a signal comes.
#[derive(Clone)]
pub struct EndSignals {
    phase: Arc<Mutex<Phase>>,
}

enum Phase {
    Starting,
    Serving(Stopper),
}

impl EndSignals {
    /// Has SIGTERM and SIGINT end the process from now on; to be called before any thread is started.
    ///
    /// # Errors
    /// One line: the system refuses.
    pub fn heed() -> Result<Self, ServerError> {
        let signals = Signals::block()
            .map_err(|error| ServerError::from(format!("cannot wait for signals: {error}")))?;
        let phase = Arc::new(Mutex::new(Phase::Starting));
        let ending = Arc::clone(&phase);
        std::thread::Builder::new()
            .name("larder-signals".to_owned())
            .spawn(move || end(&signals, &ending))
            .map_err(|error| ServerError::from(format!("cannot start a thread: {error}")))?;
        Ok(Self { phase })
    }

    /// The server takes connections.
    pub(super) fn serving(&self, stopper: Stopper) {
        // Does not return once a signal is ending the process.
        let mut phase = self.phase.lock().unwrap_or_else(PoisonError::into_inner);
        *phase = Phase::Serving(stopper);
    }
}

fn end(signals: &Signals, phase: &Mutex<Phase>) {
    let signal = signals.wait();
    let phase = phase.lock().unwrap_or_else(PoisonError::into_inner);
    // A log that cannot be written keeps no server from ending.
    let _ = log::say(&[format!("{signal}: ending")]);
    match &*phase {
        Phase::Starting => {
            own_files::remove_all();
            std::process::exit(0);
        }
        Phase::Serving(stopper) => stopper.end(),
    }
    signals.wait();
    std::process::exit(1);
}
