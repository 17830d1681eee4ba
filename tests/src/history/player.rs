//! One client of a workload: what it sends, while how much is in flight, and the record of it.
//!
//! ```text
//!  sent       GET  APPEND  MULTI…EXEC  EVAL │ WATCH  MGET  MULTI…EXEC      a pipeline is one write
//!  answered   ────────────▶                 │                              read until few enough are in flight
//! ```
//! An operation lasts from the write that had it until its reply is read, so what is in flight together overlaps: what the server
//! owes such operations beyond each one's moment is the order of the connection, key by key ([`super::graph`]).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, Ordering};

use super::calls::{Appends, Call, End, Script, Step, reading, replacing};
use super::forms::{Form, Forms};
use super::keys::Chore;
use super::workload::{Cuts, Kind, Stage};
use super::{Action, Copied, Fate, Feeder, GROUPS, Key, Operation, Token, Value};
use crate::Outcome;
use crate::random::Random;
use crate::resp::Reply;

/// Operations in one write, at most.
const PIPELINE_MAX: usize = 6;

/// What was sent and has no reply yet.
struct Sent {
    call: Call,
    invoked_ns: u64,
    /// Whose new values it writes.
    chore: Option<Chore>,
}

/// What was watched, as the replies read so far have it.
#[derive(Default)]
struct Watch {
    keys: Vec<Key>,
    /// What was read of them since.
    seen: Vec<(Key, Value)>,
}

impl Watch {
    fn note(&mut self, call: &Call, actions: &[Action]) {
        match call {
            Call::Plain(Step::Watch(keys)) => self.keys.extend(keys),
            Call::Plain(Step::Unwatch) | Call::Multi { .. } => *self = Self::default(),
            Call::Plain(_) => {
                for action in actions {
                    if let Action::Read { key, value } = action
                        && self.keys.contains(key)
                    {
                        self.seen.push((*key, value.clone()));
                    }
                }
            }
        }
    }
}

/// A call to be sent, and the chore it does.
pub(super) type Planned = (Call, Option<Chore>);

/// What a client does next. How bytes travel is another's to know.
pub(super) enum Move {
    /// Sends these calls in one write.
    Send(Vec<Planned>),
    /// Reads replies until so many calls are in flight.
    Await(usize),
    /// Sends some bytes of these calls and hangs up.
    HangUp(Vec<Planned>),
}

/// A client at work.
pub(super) struct Player<'a> {
    stage: &'a Stage,
    number: usize,
    random: Random,
    connection_number: usize,
    in_flight: VecDeque<Sent>,
    watch: Watch,
    /// The only keys that are used now; all are, if there are none.
    realm: Vec<Key>,
    /// The keys picked last for what goes out in the same write: what is sent next is often on one of them, and the chain goes on
    /// from there.
    last: Vec<Key>,
    /// To be sent next: the ends of keys that others have replaced.
    next: Vec<Planned>,
    history: Vec<Operation>,
}

impl<'a> Player<'a> {
    pub(super) fn new(stage: &'a Stage, number: usize) -> Self {
        Self {
            stage,
            number,
            random: Random::new(stage.plan.seed ^ ((number as u64) << 32)),
            connection_number: stage.number() as usize,
            in_flight: VecDeque::new(),
            watch: Watch::default(),
            realm: Vec::new(),
            last: Vec::new(),
            next: Vec::new(),
            history: Vec::new(),
        }
    }

    pub(super) fn into_history(self) -> Vec<Operation> {
        self.history
    }

    /// Where others find the number of this client's connection.
    pub(super) fn id(&self) -> &'a AtomicI64 {
        &self.stage.ids[self.number]
    }

    /// The next moves; none when all is played and answered.
    pub(super) fn moves(&mut self) -> Vec<Move> {
        let mut calls = std::mem::take(&mut self.next);
        while let Some(feeder) = self.stage.wanted() {
            calls.push((Call::Plain(Step::Feed(feeder)), None));
        }
        if self.stage.is_over() {
            if calls.is_empty() && self.in_flight.is_empty() {
                return Vec::new();
            }
            return vec![Move::Send(calls), Move::Await(0)];
        }
        let plan = &self.stage.plan;
        let cuts = plan.cuts == Cuts::Some;
        if cuts && self.random.one_in(80) {
            let victim = self.random.below(plan.clients);
            let id = self.stage.ids[victim].load(Ordering::Relaxed);
            if victim != self.number && id != 0 {
                calls.push((Call::Plain(Step::Kill(id)), None));
            }
        }
        let mut moves = Vec::new();
        let chore = self.stage.keys().chore();
        if let Some(chore) = chore {
            calls.push(self.do_chore(chore));
        } else {
            let count = self.random.between(1, PIPELINE_MAX);
            self.last.clear();
            for _ in 0..count {
                let (look, then) = self.any_calls();
                let looks = !look.is_empty();
                calls.extend(look.into_iter().map(|call| (call, None)));
                // Half of them see what they watch before they go on.
                if looks && self.random.one_in(2) {
                    moves.push(Move::Send(std::mem::take(&mut calls)));
                    moves.push(Move::Await(0));
                }
                calls.extend(then.into_iter().map(|call| (call, None)));
            }
            if cuts && self.random.one_in(80) {
                moves.push(Move::HangUp(calls));
                return moves;
            }
        }
        moves.push(Move::Send(calls));
        let left = if self.random.one_in(3) {
            0
        } else {
            self.random.below(plan.in_flight + 1)
        };
        moves.push(Move::Await(left));
        moves
    }

    /// The bytes of these calls, which are in flight from now on.
    pub(super) fn send(&mut self, calls: Vec<Planned>) -> Vec<u8> {
        let bytes = calls.iter().flat_map(|(call, _)| call.encode()).collect();
        let invoked_ns = self.stage.now_ns();
        self.in_flight
            .extend(calls.into_iter().map(|(call, chore)| Sent {
                call,
                invoked_ns,
                chore,
            }));
        bytes
    }

    /// As [`Self::send`], but only some of the bytes are.
    pub(super) fn send_part(&mut self, calls: Vec<Planned>) -> Vec<u8> {
        let mut bytes = self.send(calls);
        bytes.truncate(self.random.between(1, bytes.len()));
        bytes
    }

    /// How many calls are in flight.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// How many replies complete the oldest call in flight.
    pub(super) fn awaited(&self) -> Option<usize> {
        self.in_flight.front().map(|sent| sent.call.replies())
    }

    /// The oldest call in flight has these replies.
    ///
    /// # Errors
    /// Replies that such a call never has.
    pub(super) fn answered(&mut self, replies: &[Reply]) -> Outcome<()> {
        let sent = self.in_flight.pop_front().expect("some are in flight");
        let completed_ns = self.stage.now_ns();
        let (fate, actions) = sent.call.decode(replies, &self.watch.seen)?;
        self.watch.note(&sent.call, &actions);
        self.settle(&sent, completed_ns, fate, actions);
        Ok(())
    }

    /// The connection is gone, and another is there: nothing more will be known of what is in flight.
    ///
    /// # Errors
    /// When connections are not to be cut.
    pub(super) fn cut(&mut self) -> Outcome<()> {
        if self.stage.plan.cuts == Cuts::None {
            let oldest = self.in_flight.front().map(|sent| &sent.call);
            return Err(format!("{oldest:?}: the server closed the connection"));
        }
        for sent in std::mem::take(&mut self.in_flight) {
            let effects = sent.call.effects();
            self.settle(&sent, u64::MAX, Fate::Unknown, effects);
        }
        self.connection_number = self.stage.number() as usize;
        self.watch = Watch::default();
        Ok(())
    }

    fn settle(&mut self, sent: &Sent, completed_ns: u64, fate: Fate, actions: Vec<Action>) {
        if let Some(chore) = &sent.chore {
            let unused = self.stage.keys().done(chore, fate);
            let ends = self.ends_of(unused).into_iter();
            self.next.extend(ends.map(|call| (call, None)));
        }
        if actions.is_empty() {
            return;
        }
        self.stage.count_one();
        self.history.push(Operation {
            client: self.number,
            connection: Some(self.connection_number),
            form: sent.call.form(),
            invoked_ns: sent.invoked_ns,
            completed_ns,
            fate,
            actions,
        });
    }

    /// Calls of some kind: one, or a look at watched keys and then what goes on from there.
    fn any_calls(&mut self) -> (Vec<Call>, Vec<Call>) {
        let kinds = &self.stage.kinds;
        let step = match kinds[self.random.below(kinds.len())] {
            Kind::Get => self.get(),
            Kind::Append => self.append(),
            Kind::Mget => {
                let steps = self.mget();
                return (Vec::new(), vec![Call::of(steps)]);
            }
            Kind::Move => return (Vec::new(), self.moved()),
            Kind::Copy => self.copy(),
            kind @ (Kind::Script | Kind::ScriptOfAny | Kind::ScriptNear | Kind::ScriptFar) => {
                self.script(kind)
            }
            Kind::Echo => Step::Echo(self.stage.number()),
            Kind::Exists => {
                let count = self.random.between(1, 4);
                Step::Exists(self.keys(count))
            }
            Kind::Watch => return self.watch_and_exec(),
            Kind::Chain => return (Vec::new(), self.chain()),
            Kind::Behind => return self.behind(),
            Kind::Multi => {
                let call = Call::Multi {
                    watched: Vec::new(),
                    steps: self.steps(),
                    end: self.end(),
                };
                return (Vec::new(), vec![call]);
            }
        };
        (Vec::new(), vec![Call::Plain(step)])
    }

    /// A key and two of others: one of its group, if there is one, and one of another group, if there is one.
    fn key_and_others(&mut self) -> [Key; 3] {
        let keys = self.stage.keys();
        let all = keys.pick(&mut self.random, usize::MAX);
        let key = all[0];
        let near = all.iter().rev().find(|other| other.group() == key.group());
        let far = keys.far(key, &mut self.random);
        [key, *near.unwrap_or(&key), far.unwrap_or(key)]
    }

    fn chain(&mut self) -> Vec<Call> {
        let [from, to, over] = self.key_and_others();
        let links = [[from, over], [over, to]];
        let calls = links.map(|link| Call::Multi {
            watched: Vec::new(),
            steps: link.map(|key| self.append_to(key)).to_vec(),
            end: End::Exec,
        });
        calls.to_vec()
    }

    fn behind(&mut self) -> (Vec<Call>, Vec<Call>) {
        let [key, near, far] = self.key_and_others();
        let write = Call::Plain(self.append_to(key));
        if self.stage.kinds.contains(&Kind::ScriptFar) && self.random.one_in(2) {
            let script = self.script_on(Kind::ScriptNear, &[far, key], 1);
            return (Vec::new(), vec![write, Call::Plain(script)]);
        }
        let mut look = vec![Step::Watch(vec![key])];
        look.extend(reading(vec![key, near]));
        let commit = Call::Multi {
            watched: vec![key],
            steps: vec![self.append_to(near)],
            end: End::Exec,
        };
        let look = look.into_iter().map(Call::Plain).collect();
        (look, vec![write, commit])
    }

    fn end(&mut self) -> End {
        if self.random.one_in(10) {
            End::Discard
        } else {
            End::Exec
        }
    }

    fn keys(&mut self, count: usize) -> Vec<Key> {
        let mut keys = match self.realm.is_empty() {
            true => self.stage.keys().pick(&mut self.random, count),
            false => self.random.choose(&self.realm, count),
        };
        if !self.last.is_empty() && self.random.one_in(2) {
            let last = self.last[self.random.below(self.last.len())];
            if !keys.contains(&last) {
                let at = self.random.below(keys.len());
                keys[at] = last;
            }
        }
        self.last.clone_from(&keys);
        keys
    }

    fn get(&mut self) -> Step {
        Step::Get(self.keys(1)[0])
    }

    fn append(&mut self) -> Step {
        let key = self.keys(1)[0];
        self.append_to(key)
    }

    fn append_to(&mut self, key: Key) -> Step {
        self.stage.keys().note_append(key);
        Step::Append(key, self.stage.token())
    }

    fn copy(&mut self) -> Step {
        let key = self.keys(1)[0];
        Step::Copy(key, self.copied(key))
    }

    /// What a key is copied to: more often than not on another core.
    fn copied(&mut self, key: Key) -> Copied {
        let away = [0, 1, 2, 2][self.random.below(4)];
        self.stage.copy(key.group() + away, Form::of(key))
    }

    fn mget(&mut self) -> Vec<Step> {
        let count = self.random.between(2, 4);
        reading(self.keys(count))
    }

    /// A token that comes to a list from another: it is there before, or comes by another client.
    fn moved(&mut self) -> Vec<Call> {
        let stage = self.stage;
        let Some(to) = stage.keys().any_list(&mut self.random) else {
            return vec![Call::Plain(self.append())];
        };
        stage.keys().note_append(to);
        let away = [0, 1, 2, 2][self.random.below(4)];
        let from = Feeder {
            group: (to.group() + away) % GROUPS,
            token: stage.token(),
        };
        let move_it = match self.random.one_in(2) {
            true => Step::Move(from, to),
            false => Step::Await(from, to),
        };
        match self.random.below(4) {
            0 => vec![Call::of(vec![Step::Feed(from), move_it])],
            1 => [Step::Feed(from), move_it].map(Call::Plain).to_vec(),
            _ => {
                stage.want(from);
                vec![Call::Plain(Step::Await(from, to))]
            }
        }
    }

    /// Of a transaction: on any keys, or all on one.
    fn steps(&mut self) -> Vec<Step> {
        let count = self.random.between(1, 5);
        if self.random.one_in(4) {
            let key = self.keys(1)[0];
            return (0..count)
                .map(|_| match self.random.below(3) {
                    0 => Step::Get(key),
                    1 => Step::Copy(key, self.copied(key)),
                    _ => self.append_to(key),
                })
                .collect();
        }
        let few = match self.random.one_in(4) {
            true => Vec::new(),
            false => self.keys(2),
        };
        let many = std::mem::replace(&mut self.realm, few);
        let mut steps = Vec::new();
        for _ in 0..count {
            steps.push(match self.random.below(16) {
                0..=3 => self.get(),
                4 | 5 => {
                    steps.extend(self.mget());
                    continue;
                }
                6 if self.stage.kinds.contains(&Kind::Copy) => self.copy(),
                7 if self.stage.kinds.contains(&Kind::Script) => self.script(Kind::Script),
                8 if self.stage.kinds.contains(&Kind::ScriptFar) => self.script(Kind::ScriptFar),
                9 if self.stage.kinds.contains(&Kind::ScriptOfAny) => {
                    self.script(Kind::ScriptOfAny)
                }
                _ => self.append(),
            });
        }
        self.realm = many;
        steps
    }

    fn script(&mut self, kind: Kind) -> Step {
        let count = self.random.between(1, 4);
        let mut picked = self.keys(count);
        if kind == Kind::ScriptNear {
            picked = self.stage.keys().near(picked[0]);
        }
        let declared = match kind {
            Kind::ScriptOfAny => 0,
            Kind::ScriptNear => 1,
            kind if kind.reaches_further() => self.random.between(1, picked.len()),
            _ => picked.len(),
        };
        self.script_on(kind, &picked, declared)
    }

    fn script_on(&mut self, kind: Kind, picked: &[Key], declared: usize) -> Step {
        let mut keys = Vec::new();
        for &key in picked {
            let appends = self.random.one_in(2);
            if appends {
                self.stage.keys().note_append(key);
            }
            keys.push((key, appends.then(|| self.stage.token())));
        }
        Step::Script(Script {
            keys,
            declared,
            appends: if self.random.one_in(2) {
                Appends::AtTheEnd
            } else {
                Appends::AsItGoes
            },
            fresh: (kind == Kind::ScriptNear || !self.random.one_in(3))
                .then(|| self.stage.number()),
        })
    }

    /// A look at watched keys and a transaction on them; sometimes with other commands in between, and sometimes the watch is
    /// given up.
    fn watch_and_exec(&mut self) -> (Vec<Call>, Vec<Call>) {
        let count = self.random.between(1, 3);
        let keys = self.keys(count);
        let count = keys.len();
        let mut look = vec![Step::Watch(keys.clone())];
        look.extend(reading(keys.clone()));
        let mut watched = keys.clone();
        let between = match self.random.below(8) {
            0 => {
                watched.clear();
                Some(Step::Unwatch)
            }
            1 => Some(self.get()),
            2 => Some(self.append()),
            // A change of its own makes the transaction fail; mostly of a key that this does not use.
            3..=5 => Some(self.append_to(keys[count - 1])),
            _ => None,
        };
        let changes_last = matches!(between, Some(Step::Append(..)));
        let mut steps: Vec<Step> = keys.iter().map(|key| self.append_to(*key)).collect();
        if changes_last || self.random.one_in(3) {
            steps.truncate(1);
        }
        if self.random.one_in(3) {
            steps.extend(self.steps());
        }
        let end = self.end();
        let commit = Call::Multi {
            watched,
            steps,
            end,
        };
        let commit = between.map(Call::Plain).into_iter().chain([commit]);
        let look = look.into_iter().map(Call::Plain);
        (look.collect(), commit.collect())
    }

    /// New values for worn keys.
    fn do_chore(&mut self, chore: Chore) -> Planned {
        let written: Vec<(Key, Token)> = match &chore {
            Chore::Replace(keys) | Chore::Renew { fresh: keys, .. } => {
                keys.iter().map(|key| (*key, self.stage.token())).collect()
            }
        };
        let call = match &chore {
            Chore::Renew { .. } if self.stage.plan.forms == Forms::All => {
                Call::of(replacing(written))
            }
            Chore::Replace(keys) if self.stage.plan.forms == Forms::All => {
                let mut steps = match self.random.one_in(2) {
                    true => reading(keys.clone()),
                    false => Vec::new(),
                };
                steps.extend(replacing(written));
                Call::of(steps)
            }
            Chore::Renew { .. } => Call::Plain(Step::Msetnx(written)),
            Chore::Replace(keys) => match self.random.below(3) {
                0 => Call::Plain(Step::Mset(written)),
                1 => {
                    let sets = written
                        .into_iter()
                        .map(|(key, token)| Step::Set(key, token));
                    Call::of(sets.collect())
                }
                _ => Call::of(vec![Step::Mget(keys.clone()), Step::Mset(written)]),
            },
        };
        (call, Some(chore))
    }

    /// What is done to keys that are in use no longer.
    fn ends_of(&mut self, unused: Vec<Key>) -> Vec<Call> {
        if unused.is_empty() {
            return Vec::new();
        }
        let way = self.random.below(3);
        if way == 0 {
            return vec![Call::Plain(Step::Del(unused))];
        }
        let mut renamed = Vec::new();
        for key in unused {
            renamed.push(Step::Rename(key, self.copied(key)));
        }
        if way == 1 {
            return renamed.into_iter().map(Call::Plain).collect();
        }
        vec![Call::Multi {
            watched: Vec::new(),
            steps: renamed,
            end: End::Exec,
        }]
    }
}
