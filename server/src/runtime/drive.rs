//! A core's turn, whatever the backend:
//!
//! ```text
//!  enter: send, submit, wait ─▶ what was sent ─▶ begin ─▶ what came ─▶ mail in ─▶ end ─▶ mail out ─▶ attend
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
use super::mail::Mail;
use super::ring::os;
use crate::command::Clock;
use crate::dispatch::{Core, Shipped};
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
        desk.core.wake_up();
        // Before anything else runs: a session that is to be closed lets go of what it was sent from.
        desk.settle_sends(backend);
        let clock = clock(self.epoch);
        self.now = clock.read_at;
        desk.core.begin_turn(clock);
        backend.drain(desk);
        desk.take_arrivals();
        let core = &mut desk.core;
        core.take_mail();
        self.busy = core.end_turn();
        self.shipped = core.ship();
        for place in core.take_wakes() {
            backend.wake(place);
        }
        desk.attend(backend);
        if desk.core.measures_resident() {
            desk.core.note_resident(os::resident_bytes());
        }
        if desk.core.gives_memory_back() {
            os::give_memory_back();
        }
        if self.ending != Ending::No || self.shared.is_stopping() {
            self.end();
        }
    }

    /// How long the core may wait for something to come. Unless it may not, the others know that it sleeps.
    #[inline]
    fn patience(&mut self) -> Patience {
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
        if self.desk.core.fall_asleep() {
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

/// Both clocks now.
#[inline]
fn clock(epoch: Instant) -> Clock {
    let unix = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let now = Instant::now();
    Clock {
        unix: UnixMillis(unix.as_millis() as i64),
        monotonic_us: now.duration_since(epoch).as_micros() as u64,
        read_at: now,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::os::fd::{BorrowedFd, OwnedFd};
    use std::os::unix::net::UnixStream;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use glommio::timer::Timer;
    use glommio::{LocalExecutorBuilder, Placement};

    use super::super::backend::{Ended, Events, Release, Sending, Token};
    use super::super::mail::Mesh;
    use super::super::ring::backend::RingBackend;
    use super::super::tuning::Tuning;
    use super::super::work::GlommioWork;
    use super::*;
    use crate::config::Config;
    use crate::dispatch::testing::key_on;
    use crate::persist::files::Asked;
    use crate::routing::CoreId;
    use crate::session::{Endpoint, Peer};

    /// What comes in one turn of a [`Script`].
    enum Comes {
        Connection(OwnedFd),
        Bytes(&'static [u8]),
        Ended(Ended),
        Writable,
        /// Nothing comes by itself; the server is asked to end.
        Stop,
    }

    /// A backend that plays a script for one connection, and writes down what it is asked to do.
    struct Script {
        turns: VecDeque<Comes>,
        /// How many bytes the socket takes of each send, by turns.
        takes: VecDeque<usize>,
        shared: Arc<Shared>,
        log: Arc<std::sync::Mutex<Vec<String>>>,
        /// What the other cores do in a turn, once this one has sent, and how long it is ready to wait for them.
        others: Box<dyn FnMut(usize, Patience)>,
        turn: usize,
    }

    impl Script {
        fn note(&self, text: impl Into<String>) {
            self.log.lock().unwrap().push(text.into());
        }
    }

    const TOKEN: Token = Token(0);

    impl Backend for Script {
        fn enter(
            &mut self,
            core: &Core,
            sends: &mut [Sending],
            patience: Patience,
        ) -> io::Result<()> {
            for sending in sends {
                let bytes = core.unsent(sending.id);
                sending.asked = bytes.len();
                let takes = self.takes.pop_front().unwrap_or(usize::MAX);
                let sent = bytes.len().min(takes);
                self.note(format!("send {}", String::from_utf8_lossy(&bytes[..sent])));
                sending.sent = Ok(sent);
            }
            (self.others)(self.turn, patience);
            self.turn += 1;
            Ok(())
        }

        fn drain(&mut self, events: &mut impl Events) {
            match self.turns.pop_front() {
                Some(Comes::Connection(socket)) => events.accepted(0, socket),
                Some(Comes::Bytes(bytes)) => events.received(TOKEN, bytes),
                Some(Comes::Ended(why)) => events.receiving_ended(TOKEN, why),
                Some(Comes::Writable) => events.writable(TOKEN),
                Some(Comes::Stop) => self.shared.stop(),
                None => {}
            }
        }

        fn has_come(&self) -> bool {
            false
        }

        fn shares_thread(&mut self) -> bool {
            false
        }

        async fn yield_thread(&mut self, _at_most: Option<Duration>) {}

        fn accept(&mut self, _listener: usize, _socket: BorrowedFd<'_>) -> io::Result<()> {
            Ok(())
        }

        fn stop_accepting(&mut self, _listener: usize, _socket: BorrowedFd<'_>) {}

        fn watch(&mut self, _token: Token, _socket: BorrowedFd<'_>) -> io::Result<()> {
            Ok(())
        }

        fn receive(&mut self, _token: Token, _socket: BorrowedFd<'_>) {
            self.note("receive");
        }

        fn stop_receiving(&mut self, _token: Token) -> Release {
            self.note("stop receiving");
            Release::Pending
        }

        fn await_writable(&mut self, _token: Token, _socket: BorrowedFd<'_>) {
            self.note("await writable");
        }

        fn release(&mut self, _token: Token, _socket: BorrowedFd<'_>) -> Release {
            self.note("release");
            Release::Pending
        }

        fn ask_file(&mut self, _asked: Asked) {}

        fn wake(&mut self, _place: usize) {}
    }

    fn shared(cores: u16) -> Arc<Shared> {
        Shared::new(Config::default(), cores, [1, 2, 3, 4], 0)
    }

    /// Plays `turns` after a client connected, and returns what the backend was asked to do.
    fn play(turns: Vec<Comes>, takes: Vec<usize>) -> Vec<String> {
        let (_, mut mails) = Mesh::new(1).unwrap();
        play_beside(|_, _| {}, &shared(1), mails.remove(0), turns, takes)
    }

    /// As [`play`], on the core whose mail this is. `others` is told the turn when the core has sent, and its patience.
    fn play_beside(
        others: impl FnMut(usize, Patience) + 'static,
        shared: &Arc<Shared>,
        mail: Mail,
        turns: Vec<Comes>,
        takes: Vec<usize>,
    ) -> Vec<String> {
        let shared = Arc::clone(shared);
        let core = Core::new(mail.id(), Arc::clone(&shared)).unwrap();
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let listener = Listener {
            socket: UnixStream::pair().unwrap().0.into(),
            unix_path: Some("socket".into()),
            endpoint: Endpoint::Server,
        };
        let log = Arc::default();
        let mut script = VecDeque::from(turns);
        // The first turn arms the listener.
        script.push_front(Comes::Connection(ours.into()));
        script.push_front(Comes::Writable);
        script.push_back(Comes::Stop);
        let backend = Script {
            turns: script,
            takes: takes.into(),
            shared: Arc::clone(&shared),
            log: Arc::clone(&log),
            others: Box::new(others),
            turn: 0,
        };
        let driver = Driver::new(backend, core, mail, vec![listener], shared, Instant::now());
        let mut context = Context::from_waker(Waker::noop());
        let Poll::Ready(ended) = pin!(driver.run()).poll(&mut context) else {
            panic!("a scripted backend never waits");
        };
        ended.unwrap();
        let log = log.lock().unwrap();
        log.clone()
    }

    #[test]
    fn replies_of_a_turn_leave_together_and_the_rest_when_the_socket_takes_more() {
        let log = play(
            vec![
                Comes::Bytes(b"PING\r\nECHO abc\r\n"),
                Comes::Bytes(b"PING\r\n"),
                Comes::Writable,
                Comes::Ended(Ended::Broken),
            ],
            vec![4],
        );
        let expected = [
            "receive",
            "send +PON",
            "await writable",
            // The reply that came meanwhile goes with the rest.
            "send G\r\n$3\r\nabc\r\n+PONG\r\n",
            "release",
        ];
        assert_eq!(log, expected);
    }

    #[test]
    fn a_receive_that_lapsed_is_asked_for_again() {
        let log = play(
            vec![Comes::Ended(Ended::Lapsed), Comes::Ended(Ended::Broken)],
            vec![],
        );
        assert_eq!(log, ["receive", "receive", "release"]);
    }

    #[test]
    fn a_connection_closes_after_its_last_reply_without_anything_else_coming() {
        let log = play(
            vec![Comes::Bytes(b"QUIT\r\n"), Comes::Ended(Ended::Stopped)],
            vec![],
        );
        assert_eq!(
            log,
            ["receive", "stop receiving", "send +OK\r\n", "release"]
        );
    }

    #[test]
    fn the_end_of_input_closes_once_everything_is_answered() {
        let log = play(
            vec![Comes::Bytes(b"PING\r\n"), Comes::Ended(Ended::EndOfInput)],
            vec![],
        );
        assert_eq!(log, ["receive", "send +PONG\r\n", "release"]);
    }

    /// The end of a client and, behind it, what lets its `EXEC` go on come with an entry of another core, as the bytes just
    /// sent are yet to be accounted for.
    #[test]
    fn a_session_that_is_closed_by_what_the_order_brings_has_had_its_sends_accounted_for() {
        let shared = shared(2);
        let (mesh, mut mails) = Mesh::new(2).unwrap();
        let mut other = Core::new(CoreId(1), Arc::clone(&shared)).unwrap();
        other.connect_lines(mails.remove(1).take_lines());
        let killer = other.connect(Peer::default()).unwrap();
        let (here, there) = (key_on(0, 2, "a"), key_on(1, 2, "b"));
        let mset = format!("MSET {here} 1 {there} 1\r\n");
        let epoch = Instant::now();
        let others = move |turn, _| match turn {
            2 => other.receive(killer, b"CLIENT KILL TYPE normal\r\n"),
            3 => {
                other.ship();
                // Locks are granted to the `EXEC` here.
                other.begin_turn(clock(epoch));
                other.ship();
                let writer = other.connect(Peer::default()).unwrap();
                other.receive(writer, mset.as_bytes());
                other.end_turn();
                mesh.count_drained();
            }
            _ => {}
        };
        let exec = format!(
            "MULTI\r\nRENAME {} {}\r\nEXEC\r\n",
            key_on(0, 2, "c"),
            key_on(1, 2, "d")
        );
        let turns = vec![
            Comes::Bytes(exec.leak().as_bytes()),
            Comes::Writable,
            Comes::Ended(Ended::Stopped),
        ];
        let log = play_beside(others, &shared, mails.remove(0), turns, vec![]);
        assert_eq!(log, ["receive", "send +OK\r\n+QUEUED\r\n", "release"]);
    }

    /// Another core, which sleeps or not, would serve who has gone.
    #[test]
    fn a_core_does_not_sleep_before_the_others_have_heard_of_a_session_that_ended() {
        let shared = shared(2);
        let (mesh, mut mails) = Mesh::new(2).unwrap();
        let mut other = Core::new(CoreId(1), Arc::clone(&shared)).unwrap();
        other.connect_lines(mails.remove(1).take_lines());
        let writer = other.connect(Peer::default()).unwrap();
        let there = key_on(1, 2, "b");
        let push = format!("RPUSH {there} 1\r\n");
        let epoch = Instant::now();
        let log: Arc<std::sync::Mutex<Vec<String>>> = Arc::default();
        let answers = Arc::clone(&log);
        let mut is_asleep = false;
        let others = move |turn, patience| {
            other.begin_turn(clock(epoch));
            // The client waits since turn 2, and its end came in turn 4. A core that sleeps ships nothing.
            if turn > 4 && !is_asleep {
                other.take_mail();
                is_asleep = patience != Patience::None;
                if is_asleep {
                    other.receive(writer, push.as_bytes());
                    other.receive(writer, format!("LLEN {there}\r\n").as_bytes());
                    let answer = String::from_utf8_lossy(other.unsent(writer)).into_owned();
                    answers.lock().unwrap().push(answer);
                    mesh.count_drained();
                }
            } else if !is_asleep {
                other.take_mail();
            }
            other.end_turn();
            other.ship();
        };
        let blpop = format!("BLPOP {} 0\r\n", key_on(1, 2, "b"));
        let turns = vec![
            Comes::Bytes(blpop.leak().as_bytes()),
            Comes::Writable,
            Comes::Ended(Ended::EndOfInput),
            Comes::Writable,
            Comes::Writable,
            Comes::Writable,
        ];
        let log_here = play_beside(others, &shared, mails.remove(0), turns, vec![]);
        assert_eq!(log_here, ["receive", "release"]);
        assert_eq!(log.lock().unwrap().clone(), [":1\r\n:1\r\n"]);
    }

    #[test]
    fn tasks_of_glommio_go_on_while_the_core_is_idle() {
        let executor = LocalExecutorBuilder::new(Placement::Unbound)
            .io_memory(1 << 16)
            .make()
            .unwrap();
        let began = Instant::now();
        executor.run(async {
            let shared = shared(1);
            let (_, mut mails) = Mesh::new(1).unwrap();
            let mail = mails.pop().unwrap();
            let core = Core::new(mail.id(), Arc::clone(&shared)).unwrap();
            let backend = RingBackend::new(&mail, Tuning::default()).unwrap();
            let work = GlommioWork::new();
            let task = glommio::spawn_local({
                let shared = Arc::clone(&shared);
                async move {
                    for _ in 0..10 {
                        Timer::new(Duration::from_millis(10)).await;
                    }
                    shared.stop();
                    drop(work);
                }
            });
            let driver = Driver::new(backend, core, mail, Vec::new(), shared, began);
            driver.run().await.unwrap();
            task.await;
        });
        // Were the timers to fire at the limit of each wait only, they would take ten seconds.
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}
