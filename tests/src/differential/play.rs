//! Plays an episode on all targets side by side, step by step, and tells where their replies differ.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::compare::{self, Different};
use super::explained::Explanations;
use super::step::{Command, Promise, Sampled, Session, Step, words};
use super::target::Target;
use super::{audit, scans};
use crate::Outcome;
use crate::client::REPLY_TIMEOUT;
use crate::resp::Reply;

/// How many lines of a reply are shown.
const SHOWN_LINES: usize = 12;

/// A difference that nothing explains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Difference {
    /// The step, by its place; behind the last, where what is left at the end differs.
    pub step: usize,
    /// The command's name, by which differences of one kind are told.
    pub name: String,
    /// What differs, for a person.
    pub text: String,
}

/// What plays know of each other.
#[derive(Debug)]
pub(super) struct Ledger {
    /// The explained differences that may come from each subject, in their order.
    pub explained: Vec<Explanations>,
    /// How often each was met.
    pub met: BTreeMap<&'static str, u64>,
    /// Commands sent to each target.
    pub commands: u64,
    /// The longest step.
    pub longest: Duration,
    /// Whether field deadlines are known.
    pub has_field_deadlines: bool,
    /// Whether all that `XINFO` tells is the same.
    pub tells_of_streams: bool,
}

impl Ledger {
    /// How far apart two servers may have taken a command, for deadlines that are relative: one was set in one step
    /// and is read in another, and the servers' clocks stand still while they are at work.
    fn drift_ms(&self) -> i64 {
        self.longest.as_millis() as i64 * 2 + 25
    }
}

/// A play under way.
pub(super) struct Play<'a> {
    /// The reference first.
    pub targets: &'a mut [Target],
    /// What it adds to.
    pub ledger: &'a mut Ledger,
    step: usize,
    /// Whether something is sorted.
    sorts: bool,
}

/// Plays all steps on emptied targets, then compares what is left; gives the first difference.
///
/// # Errors
/// The reference fails.
pub(super) fn play(
    targets: &mut [Target],
    steps: &[Step],
    ledger: &mut Ledger,
) -> Outcome<Option<Difference>> {
    let mut play = Play {
        targets,
        ledger,
        step: 0,
        sorts: steps.iter().any(|step| step.has("SORT")),
    };
    let found = play.whole(steps);
    match found {
        Ok(None) => Ok(None),
        Ok(Some(difference)) => {
            // In the midst of a transaction, or with clients that wait.
            for target in &mut *play.targets {
                target.recover()?;
            }
            Ok(Some(difference))
        }
        Err(why) => {
            let step = play.step;
            let mut text = why;
            let mut became = Vec::new();
            for target in &mut *play.targets {
                became.push(target.recover()?);
            }
            if let Some(became) = &became[0] {
                let lines = steps[step.min(steps.len() - 1)].lines().join("\n");
                return Err(format!("{lines}\n{text}\n{became}"));
            }
            for (target, became) in play.targets.iter().zip(became) {
                if let Some(became) = became {
                    text = format!("{text}\n{}: {became}", target.label());
                }
            }
            let name = "no reply".into();
            Ok(Some(Difference { step, name, text }))
        }
    }
}

/// The replies of each target.
pub(super) type Answers = Vec<Vec<Reply>>;

impl Play<'_> {
    fn whole(&mut self, steps: &[Step]) -> Outcome<Option<Difference>> {
        for target in &mut *self.targets {
            target.empty()?;
        }
        for (number, step) in steps.iter().enumerate() {
            self.step = number;
            let begin = Instant::now();
            let found = self.one(step)?;
            self.ledger.longest = self.ledger.longest.max(begin.elapsed());
            self.ledger.commands += step.commands() as u64;
            if found.is_some() {
                return Ok(found);
            }
        }
        self.step = steps.len();
        audit::keyspace(self)
    }

    fn one(&mut self, step: &Step) -> Outcome<Option<Difference>> {
        match step {
            Step::Pipeline { session, commands } => self.pipeline(*session, commands),
            Step::Passing {
                session,
                command,
                key,
                within_ms,
            } => {
                let commands = std::slice::from_ref(command);
                if let Some(found) = self.pipeline(*session, commands)? {
                    return Ok(Some(found));
                }
                std::thread::sleep(Duration::from_millis(within_ms + 2));
                for target in &mut *self.targets {
                    wait_until_gone(target, key)?;
                }
                Ok(None)
            }
            Step::Sample {
                session,
                all,
                command,
                count,
            } => self.sample(*session, all, command, *count),
            Step::Scan {
                session,
                before,
                after,
                has_pairs,
            } => scans::at_rest(self, *session, (before, after), *has_pairs),
            Step::ScanAmid {
                session,
                before,
                after,
                all,
                between,
            } => scans::amid(self, *session, (before, after), all, between),
            Step::Payload {
                session,
                from,
                restore,
                options,
                damage,
            } => self.payload(*session, from, (restore, options), *damage),
            Step::Waiting {
                waiters,
                session,
                wakers,
                with_error,
            } => self.waiting(waiters, *session, wakers, *with_error),
        }
    }

    /// Sends the same to all targets, then reads all replies.
    pub(super) fn exchange(
        &mut self,
        session: Session,
        commands: &[Vec<Vec<u8>>],
    ) -> Outcome<Answers> {
        for target in &mut *self.targets {
            target
                .send(session, commands)
                .map_err(|why| format!("{}: {why}", target.label()))?;
        }
        let mut answers = Vec::new();
        for target in &mut *self.targets {
            let mut replies = Vec::with_capacity(commands.len());
            for words in commands {
                let reply = target.read(session).map_err(|why| {
                    let line = super::step::line_of(words);
                    format!("{}: {line}: {why}", target.label())
                })?;
                replies.push(reply);
            }
            answers.push(replies);
        }
        Ok(answers)
    }

    pub(super) fn pipeline(
        &mut self,
        session: Session,
        commands: &[Command],
    ) -> Outcome<Option<Difference>> {
        let sent: Vec<_> = commands
            .iter()
            .map(|command| command.words.clone())
            .collect();
        let answers = self.exchange(session, &sent)?;
        Ok(self.compare(commands, &answers))
    }

    /// The first difference between the reference's answers and another's.
    pub(super) fn compare(
        &mut self,
        commands: &[Command],
        answers: &[Vec<Reply>],
    ) -> Option<Difference> {
        let (reference, others) = answers.split_first()?;
        for (number, replies) in others.iter().enumerate() {
            for (command, (ours, theirs)) in commands.iter().zip(reference.iter().zip(replies)) {
                let mut found = Vec::new();
                let drift_ms = self.ledger.drift_ms();
                compare::differences(command, ours, theirs, drift_ms, &mut found);
                for different in found {
                    if let Some(difference) = self.judge(command, &different, number + 1) {
                        return Some(difference);
                    }
                }
            }
        }
        None
    }

    fn judge(
        &mut self,
        whole: &Command,
        different: &Different<'_>,
        target: usize,
    ) -> Option<Difference> {
        if let Some(name) = self.ledger.explained[target - 1].of(different, self.sorts) {
            *self.ledger.met.entry(name).or_default() += 1;
            return None;
        }
        let mut text = whole.line();
        if whole.words != different.command.words {
            text = format!("{}\n  within {text}", different.command.line());
        }
        let replies = [different.reference, different.subject].map(Reply::lines);
        let alike = replies[0].iter().zip(&replies[1]);
        let alike = alike.take_while(|(ours, theirs)| ours == theirs).count();
        let labels = [0, target].map(|target| self.targets[target].label());
        for (label, lines) in labels.into_iter().zip(replies) {
            let lines = shown_lines(lines, alike);
            text.push_str(&format!("\n  {label} answers\n    {lines}"));
        }
        Some(Difference {
            step: self.step,
            name: different.command.name(),
            text,
        })
    }

    /// A difference found by other means than comparing.
    pub(super) fn fault(&self, target: usize, name: &str, what: &str) -> Option<Difference> {
        Some(Difference {
            step: self.step,
            name: name.into(),
            text: format!("{}: {what}", self.targets[target].label()),
        })
    }

    fn sample(
        &mut self,
        session: Session,
        all: &Command,
        command: &Command,
        count: Sampled,
    ) -> Outcome<Option<Difference>> {
        let answers = self.exchange(session, &[all.words.clone(), command.words.clone()])?;
        let shapes: Vec<Vec<Reply>> = answers
            .iter()
            .map(|replies| vec![shape_of(&replies[1])])
            .collect();
        if let Some(found) = self.compare(std::slice::from_ref(command), &shapes) {
            return Ok(Some(found));
        }
        for (target, replies) in answers.iter().enumerate() {
            if let Err(why) = is_sample(&all.name(), &replies[0], &replies[1], count) {
                let what = format!("{}: {why}\n    {}", command.line(), shown(&replies[1]));
                return Ok(self.fault(target, &command.name(), &what));
            }
        }
        Ok(None)
    }

    fn payload(
        &mut self,
        session: Session,
        from: &[u8],
        (restore, options): (&[Vec<u8>], &[Vec<u8>]),
        damage: Option<usize>,
    ) -> Outcome<Option<Difference>> {
        let dump = Command::of(&[b"DUMP", from]).promise(Promise::Kind);
        let payloads = self.exchange(session, std::slice::from_ref(&dump.words))?;
        if let Some(found) = self.compare(&[dump], &payloads) {
            return Ok(Some(found));
        }
        let mut answers = Vec::new();
        let mut sent = None;
        for (target, payload) in self.targets.iter_mut().zip(&payloads) {
            let Some(payload) = payload[0].bytes() else {
                return Ok(None);
            };
            let mut payload = payload.to_vec();
            if let Some(place) = damage {
                let end = payload.len();
                payload[end - 1 - place % end] ^= 0xff;
            }
            let words = [restore, &[payload], options].concat();
            target.send(session, std::slice::from_ref(&words))?;
            sent.get_or_insert(Command::of(&words));
            answers.push(vec![target.read(session)?]);
        }
        Ok(sent.and_then(|command| self.compare(&[command], &answers)))
    }

    /// Reads the replies of the waiters that the reference has answered. Another server may do so a moment later, while it
    /// answers others already; whether it does at all is what matters.
    fn read_whom_it_served(&mut self, served: &mut [Vec<Option<Reply>>]) -> Outcome<()> {
        for waiter in 0..served[0].len() {
            if served[0][waiter].is_some() {
                continue;
            }
            served[0][waiter] = self.targets[0].settle(waiter)?;
            if served[0][waiter].is_none() {
                continue;
            }
            for (target, served) in self.targets.iter_mut().zip(&mut *served).skip(1) {
                if served[waiter].is_none() {
                    let reply = target.read(super::step::SESSIONS + waiter);
                    served[waiter] = Some(reply.map_err(|why| {
                        format!(
                            "{}: waiter {waiter}, whom the reference has served: {why}",
                            target.label()
                        )
                    })?);
                }
            }
        }
        Ok(())
    }

    fn waiting(
        &mut self,
        waiters: &[Command],
        session: Session,
        wakers: &[Command],
        with_error: bool,
    ) -> Outcome<Option<Difference>> {
        use super::step::SESSIONS;
        // Of each target, what each waiter was answered so far.
        let mut served: Vec<Vec<Option<Reply>>> = vec![Vec::new(); self.targets.len()];
        for (waiter, command) in waiters.iter().enumerate() {
            for (target, served) in self.targets.iter_mut().zip(&mut served) {
                target.send(SESSIONS + waiter, std::slice::from_ref(&command.words))?;
                served.push(target.settle(waiter)?);
            }
            // One that found something at once may have served those before it.
            self.read_whom_it_served(&mut served)?;
        }
        for command in wakers {
            if let Some(found) = self.pipeline(session, std::slice::from_ref(command))? {
                return Ok(Some(found));
            }
            self.read_whom_it_served(&mut served)?;
        }
        let how = if with_error { "ERROR" } else { "TIMEOUT" };
        for (waiter, command) in waiters.iter().enumerate() {
            let mut ends = Vec::new();
            for (target, served) in self.targets.iter_mut().zip(&mut served) {
                let id = target.waiter_id(waiter).to_string();
                let was_blocked = target.ask(&["CLIENT", "UNBLOCK", &id, how])?;
                let reply = match served[waiter].take() {
                    Some(reply) => reply,
                    None => target
                        .read(SESSIONS + waiter)
                        .map_err(|why| format!("{}: {}: {why}", target.label(), command.line()))?,
                };
                ends.push(vec![reply, was_blocked]);
            }
            let unblock = Command::of(&["CLIENT", "UNBLOCK", &format!("<waiter {waiter}>"), how]);
            if let Some(found) = self.compare(&[command.clone(), unblock], &ends) {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

/// A reply as a person reads it.
pub(super) fn shown(reply: &Reply) -> String {
    shown_lines(reply.lines(), 0)
}

/// Some lines of a reply, from a few above the one at `at`, where it is of interest.
fn shown_lines(mut lines: Vec<String>, at: usize) -> String {
    let first = at.saturating_sub(SHOWN_LINES / 2);
    if lines.len() > SHOWN_LINES && first > 0 {
        lines.splice(..first, [format!("{first} lines, then")]);
    }
    if lines.len() > SHOWN_LINES {
        let more = lines.len() - SHOWN_LINES;
        lines.truncate(SHOWN_LINES);
        lines.push(format!("… and {more} lines"));
    }
    lines.join("\n    ")
}

/// A sample with its members left out: what of it is the same on every server.
fn shape_of(reply: &Reply) -> Reply {
    match reply {
        Reply::Array(items) => Reply::Array(items.iter().map(shape_of).collect()),
        Reply::Set(items) => Reply::Set(items.iter().map(shape_of).collect()),
        Reply::Map(pairs) => Reply::Map(
            pairs
                .iter()
                .map(|(name, value)| (shape_of(name), shape_of(value)))
                .collect(),
        ),
        Reply::Bulk(_) => Reply::Bulk(Vec::new()),
        other => other.clone(),
    }
}

/// Whether a sample is one of these members, or pairs, as this command has told them.
fn is_sample(teller: &str, all: &Reply, sample: &Reply, count: Sampled) -> Outcome<()> {
    if matches!(sample, Reply::Error(_)) {
        return Ok(());
    }
    let members: BTreeMap<Vec<String>, Option<Vec<String>>> = match all {
        Reply::Array(names) | Reply::Set(names) if teller != "HGETALL" => {
            names.iter().map(|name| (name.lines(), None)).collect()
        }
        _ => compare::pairs_of(all)
            .ok_or("what is there is not told as pairs")?
            .into_iter()
            .map(|(name, value)| (name.lines(), Some(value.lines())))
            .collect(),
    };
    let has = |name: &Reply| members.contains_key(&name.lines());
    let (most, are_different) = match count {
        Sampled::Key | Sampled::Field => {
            let is_right = match sample {
                Reply::NullBulk | Reply::Null => members.is_empty(),
                one => has(one),
            };
            return if is_right {
                Ok(())
            } else {
                Err("it is none of what is there".into())
            };
        }
        Sampled::Different(count) => (count.min(members.len()), true),
        Sampled::Any(_) if members.is_empty() => (0, false),
        Sampled::Any(count) => (count, false),
    };
    let Reply::Array(items) = sample else {
        return Err("it is no array".into());
    };
    let with_values = match items.first() {
        Some(Reply::Array(_)) => true,
        _ => items.len() == 2 * most && most > 0,
    };
    let names: Vec<Vec<String>> = if with_values {
        let pairs = match items.first() {
            Some(Reply::Array(_)) => compare::pairs_of(sample),
            _ => Some(
                items
                    .chunks_exact(2)
                    .map(|two| (two[0].clone(), two[1].clone()))
                    .collect(),
            ),
        };
        let pairs = pairs.ok_or("its pairs are none")?;
        for (name, value) in &pairs {
            if members.get(&name.lines()) != Some(&Some(value.lines())) {
                return Err("a field has not this value".into());
            }
        }
        pairs.iter().map(|(name, _)| name.lines()).collect()
    } else {
        items.iter().map(Reply::lines).collect()
    };
    if names.iter().any(|name| !members.contains_key(name)) {
        return Err("a member is none of what is there".into());
    }
    if names.len() != most {
        return Err(format!("{most} are due"));
    }
    let different: BTreeSet<_> = names.iter().collect();
    if are_different && different.len() != names.len() {
        return Err("one comes twice".into());
    }
    Ok(())
}

/// Waits until what was due is gone, not only unseen: a server may count it until it comes by.
fn wait_until_gone(target: &mut Target, key: &[u8]) -> Outcome<()> {
    let deadline = Instant::now() + REPLY_TIMEOUT;
    loop {
        for database in ["0", "1", "2"] {
            target.ask(&["SELECT", database])?;
            target.ask(&[&b"EXISTS"[..], key])?;
        }
        target.ask(&["SELECT", "0"])?;
        let mut is_clean = true;
        for database in ["0", "1", "2"] {
            target.ask(&["SELECT", database])?;
            let kind = target.ask(&words(&[b"TYPE", key]))?;
            if kind.bytes() == Some(b"hash") {
                let counted = target.ask(&words(&[b"HLEN", key]))?.integer();
                let seen = match target.ask(&words(&[b"HKEYS", key]))? {
                    Reply::Array(names) => Some(names.len() as i64),
                    _ => None,
                };
                is_clean &= counted == seen;
            }
        }
        target.ask(&["SELECT", "0"])?;
        if is_clean {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!(
                "{}: fields whose deadline has passed are counted for {REPLY_TIMEOUT:?}",
                target.label()
            ));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
