//! The thread of a core, from its first instruction to its last: pin, make the backend, wait for the others, turn.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use glommio::{LocalExecutor, LocalExecutorBuilder, Placement};

use super::backend::Backend;
use super::drive::Driver;
use super::epoll::EpollBackend;
use super::listen::Listener;
use super::mail::Mail;
use super::probe::Taken;
use super::ring::backend::RingBackend;
use super::ring::os::pin_to_cpu;
use super::tuning::Tuning;
use crate::dispatch::Core;
use crate::persist::load::Loader;
use crate::shared::Shared;

/// Bytes glommio sets aside for direct I/O in each executor, the least it takes.
const GLOMMIO_IO_MEMORY_BYTES: usize = 1 << 16;
/// How long glommio lets a task queue run before it asks it to yield: never, for our purposes.
///
/// When that time is up before its executor has taken a task from its queues, as happens to a thread that lost its CPU
/// at the wrong moment, glommio 0.9 goes to sleep over tasks that are ready, and nothing wakes it
/// (github.com/glommio/glommio/pull/53, in no release yet): a core would not start. A busy core gives background tasks
/// their turn by its own clock (`ring::park`).
const PREEMPTION_PERIOD: Duration = Duration::from_secs(24 * 60 * 60);

/// What a core is made of.
pub(super) struct CoreTask {
    pub(super) mail: Mail,
    pub(super) listeners: Vec<Listener>,
    pub(super) shared: Arc<Shared>,
    pub(super) backend: Taken,
    /// The CPU to keep to.
    pub(super) cpu: Option<u16>,
    pub(super) tuning: Tuning,
    /// The beginning of the clocks of all cores.
    pub(super) epoch: Instant,
    /// What is to be loaded.
    pub(super) loader: Option<Loader>,
}

/// Runs a core until the server ends. Tells `ready` when it could serve, and serves once `gate` opens.
///
/// # Errors
/// One line: why the core failed.
pub(super) fn run_core(
    task: CoreTask,
    ready: &Sender<Result<(), String>>,
    gate: &Receiver<()>,
) -> Result<(), String> {
    let core = task.mail.id().0;
    task.tuning.apply_to_thread();
    let result = match task.backend {
        Taken::IoUring => run_in_glommio(task, ready, gate),
        Taken::Epoll => run_alone(task, ready, gate),
    };
    let result = result.map_err(|why| format!("core {core}: {why}"));
    if let Err(why) = &result {
        // Heard only by a server that is still starting.
        let _ = ready.send(Err(why.clone()));
    }
    result
}

fn run_in_glommio(
    task: CoreTask,
    ready: &Sender<Result<(), String>>,
    gate: &Receiver<()>,
) -> Result<(), String> {
    let placement = task
        .cpu
        .map_or(Placement::Unbound, |cpu| Placement::Fixed(usize::from(cpu)));
    let executor = executor(placement)?;
    executor.run(async {
        let backend = RingBackend::new(&task.mail, task.tuning)
            .map_err(|error| format!("cannot make its ring: {error}"))?;
        serve(backend, task, ready, gate).await
    })
}

/// An executor as every core has one.
///
/// # Errors
/// One line: the kernel does not offer what glommio needs.
pub(super) fn executor(placement: Placement) -> Result<LocalExecutor, String> {
    LocalExecutorBuilder::new(placement)
        .io_memory(GLOMMIO_IO_MEMORY_BYTES)
        .preempt_timer(PREEMPTION_PERIOD)
        .make()
        .map_err(|error| format!("glommio cannot start: {error}"))
}

fn run_alone(
    task: CoreTask,
    ready: &Sender<Result<(), String>>,
    gate: &Receiver<()>,
) -> Result<(), String> {
    if let Some(cpu) = task.cpu {
        pin_to_cpu(cpu).map_err(|error| format!("cannot be pinned to CPU {cpu}: {error}"))?;
    }
    let backend =
        EpollBackend::new(&task.mail).map_err(|error| format!("cannot make its epoll: {error}"))?;
    complete(serve(backend, task, ready, gate))
}

async fn serve(
    backend: impl Backend,
    task: CoreTask,
    ready: &Sender<Result<(), String>>,
    gate: &Receiver<()>,
) -> Result<(), String> {
    let mut core = Core::new(task.mail.id(), Arc::clone(&task.shared))
        .map_err(|error| format!("cannot make its shard: {error:?}"))?;
    if let Some(loader) = task.loader {
        core.load(loader);
    }
    let driver = Driver::new(
        backend,
        core,
        task.mail,
        task.listeners,
        task.shared,
        task.epoch,
    );
    // Nobody listens when the server gave up starting; then the gate does not open either.
    let _ = ready.send(Ok(()));
    if gate.recv().is_err() {
        return Ok(());
    }
    driver
        .run()
        .await
        .map_err(|error| format!("its backend failed: {error}"))
}

/// The outcome of a future that never waits for anything but the operating system.
fn complete<T>(future: impl Future<Output = T>) -> T {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => unreachable!("without an executor nothing is awaited"),
    }
}
