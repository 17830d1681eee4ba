//! Drives snapshots ([`crate::dispatch::saving`]): begins those that are asked for or due, cuts, does this core's part, and completes the
//! file of one that it has begun.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Core;
use crate::command::persistence::{SaveAsked, claim_of, look_each};
use crate::command::{CommandSpec, Flags};
use crate::dispatch::locks::Kind;
use crate::dispatch::mail::requests::{RequestHead, Ticket, Work};
use crate::dispatch::saving::{Begun, Stage, Waiter};
use crate::log;
use crate::persist::files::{Asked, Asker, FileDone, FileOp};
use crate::persist::snapshot::{Part, Progress, Purpose};
use crate::resp::{ErrorReply, Protocol, Reply, errors};
use crate::routing::CoreId;
use crate::session::{SessionId, gate};

impl Core {
    /// Operations on files that are to be done.
    #[inline]
    pub fn has_file_ops(&self) -> bool {
        !self.state.files.is_empty()
    }

    /// Takes them. The core is told of each by [`Self::file_done`].
    pub fn take_file_ops(&mut self) -> std::vec::Drain<'_, Asked> {
        self.state.files.take()
    }

    /// Has `work` do those that there are, for whoever drives the core without a runtime. Whether there were any.
    pub fn do_file_ops(&mut self, mut work: impl FnMut(&FileOp) -> io::Result<FileDone>) -> bool {
        let asked: Vec<Asked> = self.take_file_ops().collect();
        for Asked { by, op } in &asked {
            self.file_done(*by, work(op));
        }
        !asked.is_empty()
    }

    /// What came of an operation.
    pub fn file_done(&mut self, by: Asker, outcome: io::Result<FileDone>) {
        match by {
            Asker::SnapshotPart => {
                let part = self.saving.part.as_mut();
                let part = part.expect("a part is not over while it writes");
                part.note_written(outcome.map(|_| ()));
                self.saving.is_busy = true;
            }
            Asker::Snapshot => self.go_on_with_snapshot(outcome),
        }
    }

    /// Whether a snapshot has to be attended to in this turn.
    #[inline]
    pub(super) fn has_saving(&self) -> bool {
        !self.saving.is_idle()
            || !self.state.saves_asked.is_empty()
            || self.state.id == CoreId(0) && self.state.shared.is_to_end_behind_snapshot()
    }

    /// Goes on with snapshots. Whether there is more to do at once.
    #[inline]
    pub(super) fn continue_saving(&mut self) -> bool {
        self.has_saving() && self.attend_to_saving()
    }

    #[cold]
    fn attend_to_saving(&mut self) -> bool {
        if self.state.id == CoreId(0) && self.state.shared.take_end_behind_snapshot() {
            let claim = claim_of(&self.state, Purpose::End);
            let waiter = None;
            self.state.saves_asked.push(SaveAsked { claim, waiter });
        }
        self.begin_asked();
        self.go_on_with_part();
        if let Some(begun) = &self.saving.begun
            && begun.stage == Stage::Parts
            && begun.job.are_parts_over()
        {
            self.complete_snapshot();
        }
        if let Some(last) = &self.saving.last
            && last.has_failed()
        {
            self.saving.last = None;
            self.state.pausing.all_until_ms = 0;
        }
        self.has_saving_to_do()
    }

    /// Begins the snapshots that are asked for, if none is under way. One behind which the server ends comes before those in the background.
    fn begin_asked(&mut self) {
        for asked in std::mem::take(&mut self.state.saves_asked) {
            let SaveAsked { claim, waiter } = asked;
            let (purpose, shared) = (claim.purpose, Arc::clone(&self.state.shared));
            match shared.snapshots.claim(claim.clone(), shared.cores()) {
                Some(job) => {
                    self.state.files.ask(Asker::Snapshot, job.create());
                    let stage = Stage::Creating;
                    self.saving.begun = Some(Begun { job, stage, waiter });
                }
                None if purpose == Purpose::End => {
                    if let Some(other) = shared.snapshots.current() {
                        other.give_up("the server is to end");
                    }
                    self.state.saves_asked.push(SaveAsked { claim, waiter });
                }
                None => self.answer_save(waiter, Err(errors::SAVE_UNDER_WAY)),
            }
        }
    }

    /// Takes the place of the cut in the order of all cores.
    fn begin_cut(&mut self) {
        let session = SessionId::default();
        let head = RequestHead::of(Ticket::Discard { session }, Work::Cut);
        let cores = self.state.shared.cores();
        if cores > 1 {
            for core in 0..cores {
                self.add_part(CoreId(core), head, std::iter::empty());
            }
            return;
        }
        let (own, mut batch) = (self.state.id, self.outboxes.empty());
        batch.ask(head, std::iter::empty());
        let request = &batch.requests()[0];
        if self.locks.is_empty() || !self.is_put_behind_locks(Kind::InOrder, own, &batch, request) {
            self.run_request(own, &batch, request);
        }
        self.keep_spare(batch);
    }

    /// The cut: what the shard holds now is what will be written.
    #[cold]
    pub(super) fn cut(&mut self) {
        let job = self.state.shared.snapshots.current();
        let job = job.expect("a snapshot is not over before its cut");
        if job.claim.purpose == Purpose::End {
            self.state.pausing.all_until_ms = u64::MAX;
            self.saving.last = Some(Arc::clone(&job));
        }
        // All cores know the same libraries; who has begun the snapshot writes them.
        let libraries = match &self.saving.begun {
            Some(_) => self
                .state
                .shared
                .libraries
                .current()
                .iter()
                .map(|library| Arc::clone(&library.code))
                .collect(),
            None => Vec::new(),
        };
        self.saving.part = Some(Part::begin(job, &mut self.state.shard, &libraries));
        self.saving.is_busy = true;
    }

    fn go_on_with_part(&mut self) {
        let Some(mut part) = self.saving.part.take() else {
            return;
        };
        self.budget
            .let_go(std::mem::take(&mut self.saving.held_bytes));
        let progress = part.go_on(&mut self.state.shard, &mut self.state.files);
        self.saving.is_busy = progress == Progress::Busy;
        if progress == Progress::Over {
            // Whoever has begun it looks whether all are done.
            self.state.tell_others(look_each, &[]);
        } else {
            self.saving.held_bytes = part.held_bytes();
            self.budget.keep(self.saving.held_bytes);
            self.saving.part = Some(part);
        }
    }

    /// All cores are done with their parts.
    fn complete_snapshot(&mut self) {
        let begun = self.saving.begun.as_mut();
        let begun = begun.expect("a snapshot that this core has begun");
        if begun.job.has_failed() {
            begun.stage = Stage::Removing;
            self.state.files.ask(Asker::Snapshot, begun.job.remove());
            return;
        }
        let writes = begun.job.last_writes();
        begun.stage = Stage::Completing(writes.len() as u8);
        for write in writes {
            self.state.files.ask(Asker::Snapshot, write);
        }
    }

    fn go_on_with_snapshot(&mut self, outcome: io::Result<FileDone>) {
        let begun = self.saving.begun.as_mut();
        let begun = begun.expect("a snapshot is not over while its file is worked on");
        let job = Arc::clone(&begun.job);
        let doing = match begun.stage {
            Stage::Creating => "make its file",
            Stage::Completing(_) => "write",
            Stage::Syncing => "sync its file",
            Stage::Renaming => "give its file the name",
            Stage::SyncingDir => "sync its directory",
            // That nothing is left of it is not needed.
            Stage::Removing | Stage::Parts => return self.end_snapshot(),
        };
        let done = outcome.map_err(|error| job.fail(format!("cannot {doing}: {error}")));
        let (next, op): (Stage, FileOp) = match (begun.stage, done) {
            (Stage::Creating, Ok(FileDone::Created(file))) => {
                job.set_file(file);
                begun.stage = Stage::Parts;
                return self.begin_cut();
            }
            (Stage::Creating, _) => return self.end_snapshot(),
            (Stage::Completing(left), _) if left > 1 => {
                begun.stage = Stage::Completing(left - 1);
                return;
            }
            _ if job.has_failed() => (Stage::Removing, job.remove()),
            (Stage::Completing(_), _) => (Stage::Syncing, job.sync()),
            (Stage::Syncing, _) => (Stage::Renaming, job.rename()),
            (Stage::Renaming, _) => (Stage::SyncingDir, job.sync_dir()),
            _ => return self.end_snapshot(),
        };
        begun.stage = next;
        self.state.files.ask(Asker::Snapshot, op);
    }

    /// The snapshot is over that this core has begun.
    fn end_snapshot(&mut self) {
        let begun = self.saving.begun.take();
        let Begun { job, waiter, .. } = begun.expect("it was there");
        let now_ms = self.state.clock.unix.0;
        let failure = self.state.shared.snapshots.end(&job, now_ms);
        match &failure {
            None => {
                let (keys, path) = (job.keys(), job.claim.path.display());
                // As everywhere, a log that cannot be written stops nothing.
                let _ = log::say(&[format!("snapshot of {keys} keys saved in {path}")]);
            }
            Some(failure) => log::warn(format_args!("no snapshot: {}", failure.why)),
        }
        match (job.claim.purpose, failure) {
            (Purpose::End, None) => {
                self.fill(waiter, |_| ());
                self.state.shared.stop();
            }
            (Purpose::End, Some(_)) => self.answer_save(waiter, Err(errors::CANNOT_END)),
            (_, None) => self.answer_save(waiter, Ok(())),
            (_, Some(failure)) => {
                let error = format!("ERR no snapshot was saved: {}", failure.why);
                let error = ErrorReply::new(error);
                self.answer_save(waiter, Err(error));
            }
        }
    }

    fn answer_save(&mut self, waiter: Option<Waiter>, answer: Result<(), ErrorReply>) {
        self.fill(waiter, |out| {
            let mut reply = Reply::new(out, Protocol::Resp2);
            match answer {
                Ok(()) => reply.ok(),
                Err(error) => reply.error(&error),
            }
        });
    }

    /// Fills the place of a reply.
    fn fill(&mut self, waiter: Option<Waiter>, write: impl FnOnce(&mut Vec<u8>)) {
        if let Some((session, seq)) = waiter {
            self.answer(self.state.id, Ticket::Reply { session, seq }, write);
        }
    }

    /// Begins a snapshot if one is due, ten times a second while there are changes that none has.
    pub(super) fn look_at_save_points(&mut self) {
        if self.state.config.save.is_empty() || self.state.shared.loading.is_on() {
            self.saving.has_unsaved = false;
            return;
        }
        let shared = &self.state.shared;
        let own = &shared.gauges(self.state.id).changes;
        own.store(self.state.shard.changes(), Ordering::Relaxed);
        let changes = |core| shared.gauges(CoreId(core)).changes.load(Ordering::Relaxed);
        let changes: u64 = (0..shared.cores()).map(changes).sum();
        let last = shared.snapshots.last();
        let unsaved = changes.saturating_sub(last.changes);
        self.saving.has_unsaved = unsaved > 0;
        /// How long one that has failed is not tried again, in milliseconds.
        const RETRY_MS: i64 = 5000;
        let now_ms = self.state.clock.unix.0;
        let may_try = last.is_ok || now_ms - last.tried_ms > RETRY_MS;
        let age_secs = now_ms / 1000 - last.saved_secs;
        let mut points = self.state.config.save.iter();
        let is_due = points.any(|point| {
            unsaved >= point.changes.into()
                && age_secs > i64::try_from(point.seconds).unwrap_or(i64::MAX)
        });
        if may_try && is_due && shared.snapshots.current().is_none() {
            let claim = claim_of(&self.state, Purpose::Background);
            self.state.saves_asked.push(SaveAsked {
                claim,
                waiter: None,
            });
        }
    }

    /// Whether commands are refused for what files there are.
    #[inline]
    pub(super) fn follow_files(&mut self) {
        let shared = &self.state.shared;
        let refuses = shared.loading.is_on() || shared.snapshots.has_failed();
        self.set_gate(gate::FILES, refuses);
    }

    /// Why a command is refused while a file is being loaded, or the last snapshot has failed.
    #[cold]
    pub(super) fn refusal_for_files(&self, spec: &CommandSpec, flags: Flags) -> Option<ErrorReply> {
        let (shared, config) = (&self.state.shared, &self.state.config);
        if shared.loading.is_on() && !spec.flags.has(Flags::LOADING) {
            return Some(errors::LOADING);
        }
        let is_stopped = shared.snapshots.has_failed()
            && config.stop_writes_on_bgsave_error
            && !config.save.is_empty();
        (is_stopped && flags.has(Flags::WRITE)).then_some(errors::MISCONF)
    }

    /// Whether a snapshot has to be attended to at once.
    pub(super) fn has_saving_to_do(&self) -> bool {
        self.saving.is_busy || !self.state.saves_asked.is_empty()
    }

    /// Whether changes have come that save points are to be told of.
    pub(super) fn has_changes_to_tell(&self) -> bool {
        let told = &self.state.shared.gauges(self.state.id).changes;
        !self.state.config.save.is_empty()
            && (self.saving.has_unsaved
                || self.state.shard.changes() != told.load(Ordering::Relaxed))
    }
}
