//! Loads this core's part of a file ([`crate::persist::load`]), a part of it in each turn.

use std::sync::Arc;

use super::Core;
use crate::command::{kept_history, load_library};
use crate::log;
use crate::persist::load::{Loaded, Loader};

/// Bytes that a step may come to hold.
const STEP_BYTES: usize = 1 << 20;

impl Core {
    /// Has the core load what `loader` is dealt.
    pub fn load(&mut self, loader: Loader) {
        self.loader = Some(loader);
    }

    /// Loads some more. Whether there is more to do at once.
    #[inline]
    pub(super) fn continue_loading(&mut self) -> bool {
        self.loader.is_some() && self.load_more()
    }

    #[cold]
    fn load_more(&mut self) -> bool {
        let Some(mut loader) = self.loader.take() else {
            return false;
        };
        if self.state.shared.loading.failure().is_some() {
            return self.fail_loading();
        }
        self.lease_for_run(STEP_BYTES);
        let config = Arc::clone(&self.state.config);
        let state = &mut self.state;
        let now = state.shard.now();
        let access_of = |history| kept_history(history, now, &config);
        let loading = &state.shared.loading;
        let loaded = match loader.go_on(&mut state.shard, loading, &access_of) {
            Ok(Loaded::Library(code)) => load_library(state, &code, false)
                .map(|_| Loaded::More)
                .map_err(|error| String::from_utf8_lossy(error.text()).into_owned()),
            loaded => loaded,
        };
        match loaded {
            Ok(Loaded::All) => {
                self.end_loading();
                false
            }
            Ok(Loaded::Awaits) => {
                self.loader = Some(loader);
                false
            }
            Ok(_) => {
                self.loader = Some(loader);
                true
            }
            Err(why) => {
                self.state.shared.loading.fail(why);
                self.fail_loading()
            }
        }
    }

    /// All is loaded of what is this core's.
    fn end_loading(&mut self) {
        let shared = &self.state.shared;
        shared.snapshots.note_loaded(self.state.shard.changes());
        if shared.loading.failure().is_some() {
            self.fail_loading();
        } else if shared.loading.end_core() {
            let figures = shared.loading.figures();
            let took_ms = u64::try_from(self.state.clock.unix.0).unwrap_or(0) - figures.began_ms;
            let (keys, expired) = (figures.keys, figures.expired);
            // As everywhere, a log that cannot be written stops nothing.
            let _ = log::say(&[format!(
                "loaded {keys} keys in {took_ms} ms; {expired} had expired"
            )]);
        }
    }

    /// The server ends: what could be loaded is not all there was.
    fn fail_loading(&mut self) -> bool {
        self.loader = None;
        self.state.shared.stop();
        false
    }
}
