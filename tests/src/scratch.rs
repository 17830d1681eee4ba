//! Directories for a server's files and logs, gone when the test is over.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::Outcome;

/// A directory of its own under the system's temporary directory, removed on drop unless the test is failing.
#[derive(Debug)]
pub struct ScratchDir {
    path: PathBuf,
}

impl ScratchDir {
    /// Makes an empty directory.
    ///
    /// # Errors
    /// When the temporary directory cannot be written.
    pub fn new(label: &str) -> Outcome<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!(
            "larder-tests-{}-{number}-{label}",
            std::process::id()
        ));
        std::fs::create_dir_all(&path)
            .map_err(|why| format!("making {}: {why}", path.display()))?;
        Ok(Self { path })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for ScratchDir {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // A directory that cannot be removed is no reason to fail a test that passed.
            drop(std::fs::remove_dir_all(&self.path));
        }
    }
}
