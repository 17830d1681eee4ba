//! The course of a run: connect, preload, warm up, measure; the same threads and connections throughout.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

use super::distribution::Share;
use super::error::RunError;
use super::progress::Progress;
use super::record::{CommandCount, Second};
use super::reply::{MemcachedScanner, RespScanner, Scanner};
use super::rng::mix;
use super::schedule::Schedule;
use super::settings::Settings;
use super::setup::{self, Introduction, SlotMap};
use super::worker::{Clock, Context, Deliveries, News, Outcome, Phase, Worker};
use super::workload::{Source, Workload};

/// Keys are stored with at least this pipeline depth.
const PRELOAD_PIPELINE: usize = 32;

/// The longest wait for a connection and for an answer while connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Threads that are this busy may be what is measured.
const BUSY: f64 = 0.9;

/// A run that came to its end.
#[derive(Debug)]
pub(super) struct Conducted {
    pub(super) context: Arc<Context>,
    /// The server as it names itself.
    pub(super) server: Option<String>,
    pub(super) started_unix_ms: u64,
    pub(super) seconds: f64,
    pub(super) warmup_seconds: f64,
    pub(super) client_cpu_seconds: f64,
    /// By label, of all threads.
    pub(super) counts: Vec<CommandCount>,
    /// By second, of all threads.
    pub(super) intervals: BTreeMap<u64, Second>,
    pub(super) sent_bytes: u64,
    pub(super) received_bytes: u64,
    pub(super) wrong_values: u64,
    first_wrong: Option<String>,
    pub(super) first_error: Option<String>,
    pub(super) redirects: u64,
    pub(super) unsent: u64,
    pub(super) undelivered: u64,
}

impl Conducted {
    /// What a reader of the figures should know besides.
    pub(super) fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if let Some(error) = &self.first_error {
            remarks.push(format!("the first error was: {error}"));
        }
        if self.redirects > 0 {
            remarks.push(format!("{} commands were redirected", self.redirects));
        }
        if self.unsent > 0 {
            remarks.push(format!(
                "the target fell behind: {} commands that were due were not sent by the end",
                self.unsent
            ));
        }
        let busy = self.client_cpu_seconds / self.seconds / self.context.settings.threads as f64;
        if busy > BUSY {
            remarks.push(format!(
                "the load's threads were busy {:.0}% of the time: they may be the limit, not the server (--threads)",
                busy * 100.0
            ));
        }
        remarks
    }

    /// Whether the run was good.
    pub(super) fn verdict(&self) -> Result<(), RunError> {
        if self.wrong_values > 0 {
            return Err(RunError::Verification {
                failures: self.wrong_values,
                key: self.first_wrong.clone().unwrap_or_default(),
            });
        }
        let operations: u64 = self.counts.iter().map(|count| count.operations).sum();
        let errors: u64 = self.counts.iter().map(|count| count.errors).sum();
        if let (Some(answer), true) = (&self.first_error, errors == operations) {
            return Err(RunError::OnlyErrors {
                answer: answer.clone(),
            });
        }
        if self.undelivered > 0 {
            return Err(RunError::Undelivered {
                messages: self.undelivered,
            });
        }
        Ok(())
    }
}

/// Runs everything.
///
/// # Errors
/// When the run cannot begin or cannot go on.
pub(super) fn conduct(settings: Settings, quiet: bool) -> Result<Conducted, RunError> {
    let workload = Workload::new(&settings).map_err(RunError::Usage)?;
    raise_file_limit();
    let introduction = Introduction {
        protocol: settings.protocol,
        user: settings.user.clone(),
        password: settings.password.clone(),
        db: settings.db,
        timeout: CONNECT_TIMEOUT,
    };
    let stream = setup::connect(&settings.target, &introduction)?;
    let server = setup::identify(&stream, settings.protocol);
    let map = if settings.cluster {
        SlotMap::ask(&stream, &settings.target)?
    } else {
        SlotMap::single(settings.target.clone())
    };
    drop(stream);
    let is_resp = settings.protocol.is_resp();
    let context = Arc::new(Context {
        settings,
        workload,
        clock: Clock::start(),
        introduction,
        map,
    });
    if is_resp {
        phases::<RespScanner>(&context, server, quiet)
    } else {
        phases::<MemcachedScanner>(&context, server, quiet)
    }
}

/// Every connection is a file; the soft limit is often 1024.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // Where it is refused, connecting will say what is missing.
    let _ = setrlimit(Resource::Nofile, raised);
}

fn phases<S: Scanner + 'static>(
    context: &Arc<Context>,
    server: Option<String>,
    quiet: bool,
) -> Result<Conducted, RunError> {
    let settings = &context.settings;
    let mut crew = Crew::<S>::hire(context, quiet)?;
    if let Some(group) = context.workload.preload {
        let stored = crew.run(&Plan::preload(settings, group))?;
        if let Some(answer) = stored
            .outcomes
            .iter()
            .find_map(|outcome| outcome.first_error.clone())
        {
            return Err(RunError::Rejected {
                address: settings.target.to_string(),
                asked: "to store a key beforehand".to_owned(),
                answer,
            });
        }
    }
    let mut warmup_seconds = 0.0;
    if settings.warmup_seconds > 0.0 {
        warmup_seconds = crew.run(&Plan::warm_up(settings))?.seconds;
    }
    let started = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let measured = crew.run(&Plan::measure(settings))?;
    let mut conducted = Conducted {
        server,
        started_unix_ms: started.as_millis() as u64,
        seconds: measured.seconds,
        warmup_seconds,
        client_cpu_seconds: measured.client_cpu_seconds,
        counts: vec![CommandCount::new(); context.workload.labels.len()],
        intervals: measured.intervals,
        sent_bytes: 0,
        received_bytes: 0,
        wrong_values: 0,
        first_wrong: None,
        first_error: None,
        redirects: 0,
        unsent: 0,
        undelivered: measured.undelivered,
        context: Arc::clone(context),
    };
    for outcome in measured.outcomes {
        conducted.add(outcome);
    }
    Ok(conducted)
}

impl Conducted {
    fn add(&mut self, outcome: Outcome) {
        for (sum, count) in self.counts.iter_mut().zip(&outcome.counts) {
            sum.add(count);
        }
        self.sent_bytes += outcome.sent_bytes;
        self.received_bytes += outcome.received_bytes;
        self.wrong_values += outcome.wrong_values;
        self.first_wrong = self.first_wrong.take().or(outcome.first_wrong);
        self.first_error = self.first_error.take().or(outcome.first_error);
        self.redirects += outcome.redirects;
        self.unsent += outcome.unsent;
    }
}

/// What a phase is to do, for all threads.
struct Plan {
    name: &'static str,
    /// A preloading group, or the mix.
    preload: Option<usize>,
    seconds: Option<f64>,
    operations: Option<u64>,
    pipeline: usize,
    open: bool,
    /// So that phases draw different keys.
    salt: u64,
}

impl Plan {
    fn preload(settings: &Settings, group: usize) -> Self {
        Self {
            name: "preload",
            preload: Some(group),
            seconds: None,
            operations: Some(settings.keys),
            pipeline: settings.pipeline.max(PRELOAD_PIPELINE),
            open: false,
            salt: 1,
        }
    }

    fn warm_up(settings: &Settings) -> Self {
        Self {
            name: "warm-up",
            preload: None,
            seconds: Some(settings.warmup_seconds),
            operations: None,
            pipeline: settings.pipeline,
            open: settings.rate.is_some(),
            salt: 2,
        }
    }

    fn measure(settings: &Settings) -> Self {
        Self {
            name: "measure",
            preload: None,
            seconds: settings.duration_seconds,
            operations: settings.operations,
            pipeline: settings.pipeline,
            open: settings.rate.is_some(),
            salt: 3,
        }
    }
}

/// What came out of a phase.
struct Phased {
    outcomes: Vec<Outcome>,
    intervals: BTreeMap<u64, Second>,
    seconds: f64,
    client_cpu_seconds: f64,
    undelivered: u64,
}

/// The threads.
struct Crew<S> {
    context: Arc<Context>,
    orders: Vec<mpsc::Sender<Phase>>,
    news: mpsc::Receiver<News>,
    progress: Progress,
    scanner: std::marker::PhantomData<S>,
}

impl<S: Scanner + 'static> Crew<S> {
    /// Connects all clients, then starts the threads.
    fn hire(context: &Arc<Context>, quiet: bool) -> Result<Self, RunError> {
        let threads = context.settings.threads;
        let (tell, news) = mpsc::channel();
        let mut orders = Vec::new();
        for index in 0..threads {
            let share = Share {
                index: index as u64,
                count: threads as u64,
            };
            let worker = Worker::<S>::new(context, share)?;
            let (order, ordered) = mpsc::channel();
            orders.push(order);
            let tell = tell.clone();
            let cpu = context
                .settings
                .cpus
                .as_ref()
                .map(|cpus| cpus[index % cpus.len()]);
            thread::Builder::new()
                .name(format!("load-{index}"))
                .spawn(move || work(worker, cpu, &ordered, &tell))
                .map_err(|error| RunError::System {
                    action: "cannot start a thread".to_owned(),
                    error,
                })?;
        }
        Ok(Self {
            context: Arc::clone(context),
            orders,
            news,
            progress: Progress::new(quiet),
            scanner: std::marker::PhantomData,
        })
    }

    /// Has all threads run a phase, and waits for its end.
    fn run(&mut self, plan: &Plan) -> Result<Phased, RunError> {
        let threads = self.orders.len();
        let deliveries = Arc::new(Deliveries {
            publishing: AtomicUsize::new(threads),
            ..Deliveries::default()
        });
        let trace_position = Arc::default();
        let cpu_before = cpu_time();
        let started = Instant::now();
        let start_ns = self.context.clock.now_ns();
        for (index, order) in self.orders.iter().enumerate() {
            let share = Share {
                index: index as u64,
                count: threads as u64,
            };
            let phase = self.phase(plan, share, start_ns, &deliveries, &trace_position);
            // A thread that has ended has said why; that is read below.
            let _ = order.send(phase);
        }
        self.progress.begin(plan.name, plan.seconds);
        let mut phased = Phased {
            outcomes: Vec::new(),
            intervals: BTreeMap::new(),
            seconds: 0.0,
            client_cpu_seconds: 0.0,
            undelivered: 0,
        };
        while phased.outcomes.len() < threads {
            match self
                .news
                .recv()
                .expect("threads live as long as their orders")
            {
                News::Second(second) => {
                    let sum = merge(&mut phased.intervals, *second);
                    self.progress.show(sum, threads, started.elapsed());
                }
                News::Done(outcome) => phased
                    .outcomes
                    .push((*outcome).inspect_err(|_| self.progress.end())?),
            }
        }
        self.progress.end();
        let finished_ns = phased
            .outcomes
            .iter()
            .map(|outcome| outcome.finished_ns)
            .max();
        phased.seconds = finished_ns.map_or(0.0, |end| end.saturating_sub(start_ns) as f64 / 1e9);
        phased.client_cpu_seconds = cpu_time().saturating_sub(cpu_before).as_secs_f64();
        phased.undelivered = deliveries.missing();
        Ok(phased)
    }

    fn phase(
        &self,
        plan: &Plan,
        share: Share,
        start_ns: u64,
        deliveries: &Arc<Deliveries>,
        trace_position: &Arc<std::sync::atomic::AtomicU64>,
    ) -> Phase {
        let settings = &self.context.settings;
        let workload = &self.context.workload;
        let seed = mix(settings.seed ^ mix(share.index ^ (plan.salt << 32)));
        let source = match (plan.preload, workload.trace_len()) {
            (Some(group), _) => Source::Preload {
                group,
                left: share.range(settings.keys),
            },
            (None, Some(end)) => Source::Replay {
                next: Arc::clone(trace_position),
                end,
            },
            (None, None) => Source::mix(workload, settings, share, seed),
        };
        let part = |total| {
            let range = share.range(total);
            range.end - range.start
        };
        let seconds = plan.seconds.map(|seconds| (seconds * 1e9) as u64);
        let rate = settings.rate.filter(|_| plan.open);
        Phase {
            start_ns,
            end_ns: seconds.map(|length_ns| start_ns + length_ns),
            quota: match plan.preload {
                // Every key is stored, by however many commands each.
                Some(_) => None,
                None => plan.operations.map(part),
            },
            source,
            pipeline: plan.pipeline,
            schedule: rate
                .map(|rate| Schedule::new(settings.arrivals, rate, share, start_ns, mix(seed))),
            deliveries: Arc::clone(deliveries),
        }
    }
}

/// A thread's life: pinned if told, then phase after phase.
fn work<S: Scanner>(
    mut worker: Worker<S>,
    cpu: Option<usize>,
    orders: &mpsc::Receiver<Phase>,
    news: &mpsc::Sender<News>,
) {
    // Sleeps end on time, not 50 µs late as is the default; where that is refused they end a little late.
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
    if let Some(cpu) = cpu {
        let mut set = rustix::thread::CpuSet::new();
        set.set(cpu);
        if let Err(errno) = rustix::thread::sched_setaffinity(None, &set) {
            let error = RunError::System {
                action: format!("cannot run on processor {cpu}"),
                error: errno.into(),
            };
            let _ = news.send(News::Done(Box::new(Err(error))));
            return;
        }
    }
    for phase in orders {
        let outcome = worker.run(phase, news);
        let failed = outcome.is_err();
        // Nobody listens any more when another thread has failed.
        if news.send(News::Done(Box::new(outcome))).is_err() || failed {
            return;
        }
    }
}

/// Adds what one thread saw in a second to what the others saw; the sum so far.
fn merge(intervals: &mut BTreeMap<u64, Second>, second: Second) -> &Second {
    use std::collections::btree_map::Entry;
    match intervals.entry(second.index) {
        Entry::Vacant(entry) => entry.insert(second),
        Entry::Occupied(entry) => {
            let sum = entry.into_mut();
            sum.errors += second.errors;
            sum.hits += second.hits;
            sum.misses += second.misses;
            super::record::add(&mut sum.latency_ns, &second.latency_ns);
            sum
        }
    }
}

/// User and system time of all threads.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.max(0) as u64, time.tv_nsec as u32)
}
