//! Operations on files where there is no io_uring: a thread of the core does one after the other, and rings the core's bell.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{Builder, JoinHandle};

use super::mail::Mesh;
use crate::persist::files::{Asked, Asker, FileDone};

/// What came of an operation.
type Done = (Asker, io::Result<FileDone>);

/// The thread of a core.
pub(super) struct FileThread {
    asked: Option<Sender<Asked>>,
    done: Receiver<Done>,
    thread: Option<JoinHandle<()>>,
}

impl FileThread {
    /// Starts the thread of the core at `place` of the mesh.
    ///
    /// # Errors
    /// The system has no thread left.
    pub(super) fn start(mesh: Arc<Mesh>, place: usize) -> io::Result<Self> {
        let (asked_sender, asked) = mpsc::channel::<Asked>();
        let (done_sender, done) = mpsc::channel();
        let work = move || {
            for Asked { by, op } in asked {
                if done_sender.send((by, op.perform())).is_err() {
                    return;
                }
                mesh.ring_bell(place);
            }
        };
        let thread = Builder::new()
            .name(format!("larder-files-{place}"))
            .spawn(work)?;
        Ok(Self {
            asked: Some(asked_sender),
            done,
            thread: Some(thread),
        })
    }

    /// Has an operation done.
    pub(super) fn ask(&mut self, asked: Asked) {
        let sender = self.asked.as_ref().expect("it is there until the end");
        sender.send(asked).expect("the thread ends when this does");
    }

    /// Takes what has come of operations.
    pub(super) fn take_done(&mut self) -> Vec<Done> {
        self.done.try_iter().collect()
    }
}

impl Drop for FileThread {
    fn drop(&mut self) {
        self.asked = None;
        if let Some(thread) = self.thread.take() {
            // A panic of it was told when the core asked for more.
            let _ = thread.join();
        }
    }
}
