//! One standstill, in rounds of questions to the cores:
//!
//! ```text
//!  stand still                    no session begins a command that concerns keys; what is under way comes to its end
//!  marks                          each core tells each other, behind all that it has sent by the old table
//!  quiet                          all marks have come: nothing by the old table is left
//!  give, take, give, take …       copies of the entries
//!  the table changes              all at once: nobody looks at it
//!  settle                         the giver drops its copies; all go on
//! ```
//! Nothing is locked for it: when all marks have come, no transaction is under way, and no lock is held.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use crate::command::ahead;
use crate::command::moving::{self, Quiet};
use crate::command::{CoreFn, CoreRequest, Handed, Round, Rounds};
use crate::resp::{ErrorReply, Reply};
use crate::routing::{CoreId, Slot};
use crate::shared::Shared;

/// What became of slots that were to move.
#[derive(Debug)]
pub(in crate::dispatch) enum Outcome {
    /// They have moved, with so many entries.
    Moved(u64),
    /// They have not: a client has to read first.
    HeldUp,
    /// They cannot.
    Failed(ErrorReply),
}

/// A few slots that move, while all cores stand still.
pub(in crate::dispatch) struct MoveRounds {
    shared: Arc<Shared>,
    slots: Vec<Slot>,
    giver: CoreId,
    taker: CoreId,
    step: Step,
    /// What the giver has handed over and the taker has yet to take.
    given: Vec<Handed>,
    entries: u64,
    outcome: Rc<RefCell<Option<Outcome>>>,
}

enum Step {
    Begun,
    StoodStill,
    AskedWhetherQuiet,
    Gave,
    Took { more: bool },
    Settled,
    WentBack(Option<Outcome>),
}

impl MoveRounds {
    /// The slots go from `giver` to `taker`; what becomes of them is in `outcome` then.
    pub(in crate::dispatch) fn new(
        shared: Arc<Shared>,
        slots: Vec<Slot>,
        (giver, taker): (CoreId, CoreId),
        outcome: Rc<RefCell<Option<Outcome>>>,
    ) -> Self {
        Self {
            shared,
            slots,
            giver,
            taker,
            step: Step::Begun,
            given: Vec::new(),
            entries: 0,
            outcome,
        }
    }

    fn ask_all(&self, run: CoreFn, argument: &[u8]) -> Round {
        let cores = (0..self.shared.cores()).map(CoreId);
        Round::Ask(cores.map(|core| ask(core, run, argument)).collect())
    }

    fn give(&mut self) -> Round {
        self.step = Step::Gave;
        Round::Ask(vec![ask(self.giver, moving::give, &[])])
    }

    fn go_back(&mut self, outcome: Outcome) -> Round {
        self.step = Step::WentBack(Some(outcome));
        self.ask_all(moving::go_back, &[])
    }

    /// Every entry has its copy with the taker.
    fn change_table(&mut self) -> Round {
        self.shared.slots.assign(&self.slots, self.taker);
        self.step = Step::Settled;
        self.ask_all(moving::settle, &[])
    }

    fn finish(&self, outcome: Outcome) -> Round {
        *self.outcome.borrow_mut() = Some(outcome);
        Round::Done
    }
}

fn ask(core: CoreId, run: CoreFn, argument: &[u8]) -> CoreRequest {
    CoreRequest {
        core,
        run,
        args: vec![argument.to_vec()],
    }
}

impl Rounds for MoveRounds {
    fn next(&mut self, answers: &[&[u8]], _: &mut Reply<'_>) -> Result<Round, ErrorReply> {
        Ok(match &mut self.step {
            Step::Begun => {
                self.step = Step::StoodStill;
                self.ask_all(moving::stand_still, &moving::slots_argument(&self.slots))
            }
            Step::StoodStill => {
                self.step = Step::AskedWhetherQuiet;
                self.ask_all(moving::is_quiet, &[])
            }
            Step::AskedWhetherQuiet => {
                let quiet: Vec<Quiet> = answers.iter().map(|answer| Quiet::read(answer)).collect();
                // All marks are to have come before anybody goes on: none may be taken for one of the next standstill.
                if quiet.contains(&Quiet::Soon) {
                    self.ask_all(moving::is_quiet, &[])
                } else if quiet.contains(&Quiet::HeldUp) {
                    self.go_back(Outcome::HeldUp)
                } else {
                    self.give()
                }
            }
            Step::Gave => match answers[0] {
                [0] => self.change_table(),
                [more, keys @ ..] => {
                    self.step = Step::Took { more: *more != 0 };
                    let entries = std::mem::take(&mut self.given);
                    Round::Hand(ask(self.taker, moving::take, keys), entries)
                }
                [] => unreachable!("the giver says whether there are more"),
            },
            Step::Took { more } => {
                let more = *more;
                match moving::taken(answers[0]) {
                    Ok(count) => self.entries += count,
                    Err(error) => return Ok(self.go_back(Outcome::Failed(error))),
                }
                if more {
                    self.give()
                } else {
                    self.change_table()
                }
            }
            Step::Settled => self.finish(Outcome::Moved(self.entries)),
            Step::WentBack(outcome) => {
                let outcome = outcome.take().expect("set when it went back");
                self.finish(outcome)
            }
        })
    }

    fn hand(&mut self, entries: Vec<Handed>) {
        self.given = entries;
    }
}

/// Large collections of a few slots that go ahead, beside the work of all cores ([`crate::command::ahead`]).
pub(in crate::dispatch) struct AheadRounds {
    slots: Vec<Slot>,
    giver: CoreId,
    taker: CoreId,
    step: AheadStep,
    is_over: Rc<Cell<bool>>,
}

enum AheadStep {
    Begun,
    Gave,
    Took { more: bool },
    Ended,
}

impl AheadRounds {
    /// Those of the slots go from `giver` to `taker`; when they have gone, or will not, `is_over` says so.
    pub(in crate::dispatch) fn new(
        slots: Vec<Slot>,
        (giver, taker): (CoreId, CoreId),
        is_over: Rc<Cell<bool>>,
    ) -> Self {
        Self {
            slots,
            giver,
            taker,
            step: AheadStep::Begun,
            is_over,
        }
    }

    fn give(&mut self, argument: &[u8]) -> Round {
        self.step = AheadStep::Gave;
        Round::Ask(vec![ask(self.giver, ahead::give_ahead, argument)])
    }

    fn finish(&self) -> Round {
        self.is_over.set(true);
        Round::Done
    }
}

impl Rounds for AheadRounds {
    fn next(&mut self, answers: &[&[u8]], _: &mut Reply<'_>) -> Result<Round, ErrorReply> {
        Ok(match self.step {
            AheadStep::Begun => {
                let slots = moving::slots_argument(&self.slots);
                self.give(&slots)
            }
            AheadStep::Gave => match answers[0] {
                [0] => self.finish(),
                [more, messages @ ..] => {
                    self.step = AheadStep::Took { more: *more != 0 };
                    Round::Ask(vec![ask(self.taker, ahead::take_ahead, messages)])
                }
                [] => unreachable!("the giver says whether there are more"),
            },
            AheadStep::Took { more } => match ahead::are_taken(answers[0]) {
                true if more => self.give(&[]),
                true => self.finish(),
                // It has no memory for them. What that means is seen when they move.
                false => {
                    self.step = AheadStep::Ended;
                    let both = [self.giver, self.taker];
                    let asks = both.map(|core| ask(core, ahead::end_ahead, &[]));
                    Round::Ask(asks.into())
                }
            },
            AheadStep::Ended => self.finish(),
        })
    }

    fn hand(&mut self, _: Vec<Handed>) {
        unreachable!("nothing is handed ahead");
    }
}
