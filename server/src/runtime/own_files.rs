//! Files that are there as long as the server is: its process id, its unix socket.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// All of the process, so that they can be removed by whoever ends it.
static FILES: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn files() -> MutexGuard<'static, Vec<PathBuf>> {
    FILES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A file of the server's own, removed when dropped.
#[derive(Debug)]
pub(super) struct OwnFile(PathBuf);

impl OwnFile {
    /// Makes `path` a file of ours; to be said before it is created.
    pub(super) fn at(path: &Path) -> Self {
        files().push(path.to_owned());
        Self(path.to_owned())
    }

    /// A file with the id of this process.
    ///
    /// # Errors
    /// One line: it cannot be written.
    pub(super) fn with_process_id(path: &Path) -> Result<Self, String> {
        let file = Self::at(path);
        match fs::write(path, format!("{}\n", std::process::id())) {
            Ok(()) => Ok(file),
            Err(error) => Err(format!(
                "pidfile {}: cannot be written: {error}",
                path.display()
            )),
        }
    }
}

impl Drop for OwnFile {
    fn drop(&mut self) {
        let mut files = files();
        if let Some(at) = files.iter().position(|path| *path == self.0) {
            files.swap_remove(at);
        }
        // Someone else may have removed it.
        let _ = fs::remove_file(&self.0);
    }
}

/// Removes them all. The process has to end now: nothing can be made a file of ours any more.
pub(super) fn remove_all() {
    let files = files();
    for path in files.iter() {
        let _ = fs::remove_file(path);
    }
    std::mem::forget(files);
}
