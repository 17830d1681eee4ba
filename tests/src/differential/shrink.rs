//! Makes a failing episode short: steps are left out as long as a difference remains (delta debugging: Zeller and
//! Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002), then commands within steps.

use super::play::{Difference, Ledger, play};
use super::step::Step;
use super::target::Target;
use crate::Outcome;

/// An episode is played at most so often to make it shorter.
const MAX_PLAYS: usize = 600;

struct Shrinking<'a> {
    targets: &'a mut [Target],
    ledger: &'a mut Ledger,
    plays: usize,
    steps: Vec<Step>,
    difference: Difference,
}

/// A shorter episode that still fails, and how. The same one, where it does not fail again.
///
/// # Errors
/// The reference fails.
pub(super) fn shrink(
    targets: &mut [Target],
    ledger: &mut Ledger,
    steps: &[Step],
    difference: Difference,
) -> Outcome<(Vec<Step>, Difference)> {
    let end = (difference.step + 1).min(steps.len());
    let mut it = Shrinking {
        targets,
        ledger,
        plays: 0,
        steps: steps[..end].to_vec(),
        difference,
    };
    let same = it.steps.clone();
    if !it.still_fails(same)? {
        it.difference
            .text
            .push_str("\n  (it did not come again when the same was played once more)");
        return Ok((it.steps, it.difference));
    }
    it.leave_out_steps()?;
    it.take_apart()?;
    it.leave_out_steps()?;
    it.leave_out_commands()?;
    it.leave_out_steps()?;
    Ok((it.steps, it.difference))
}

impl Shrinking<'_> {
    /// Plays these; where they fail too, they are what is shrunk from now on.
    fn still_fails(&mut self, steps: Vec<Step>) -> Outcome<bool> {
        if self.plays == MAX_PLAYS {
            return Ok(false);
        }
        self.plays += 1;
        // Where the reference itself ends, nothing is shown.
        let Ok(Some(difference)) = play(self.targets, &steps, self.ledger) else {
            return Ok(false);
        };
        self.steps = steps;
        let end = (difference.step + 1).min(self.steps.len());
        self.steps.truncate(end);
        self.difference = difference;
        Ok(true)
    }

    fn leave_out_steps(&mut self) -> Outcome<()> {
        let mut chunk = self.steps.len().div_ceil(2).max(1);
        loop {
            let mut any = false;
            let mut at = self.steps.len();
            while at > 0 {
                let from = at.saturating_sub(chunk);
                let to = at.min(self.steps.len());
                at = from;
                if from >= to {
                    continue;
                }
                let mut rest = self.steps[..from].to_vec();
                rest.extend_from_slice(&self.steps[to..]);
                any |= self.still_fails(rest)?;
            }
            if chunk == 1 && !any {
                return Ok(());
            }
            if self.plays == MAX_PLAYS {
                return Ok(());
            }
            chunk = (chunk / 2).max(1);
        }
    }

    /// Each step by itself, the last first.
    fn take_apart(&mut self) -> Outcome<()> {
        let mut at = self.steps.len();
        while at > 0 {
            at -= 1;
            let Some(parts) = self.steps.get(at).and_then(Step::apart) else {
                continue;
            };
            let mut steps = self.steps.clone();
            steps.splice(at..=at, parts);
            // A script may have been within a transaction.
            if self.still_fails(steps)? {
                at = (at + 1).min(self.steps.len());
            }
        }
        Ok(())
    }

    fn leave_out_commands(&mut self) -> Outcome<()> {
        let mut at = self.steps.len();
        while at > 0 {
            at -= 1;
            while self.leave_out_one(at)? {}
        }
        Ok(())
    }

    /// One command of a step.
    fn leave_out_one(&mut self, at: usize) -> Outcome<bool> {
        let smaller = self.steps.get(at).map(Step::smaller).unwrap_or_default();
        for step in smaller {
            let mut steps = self.steps.clone();
            steps[at] = step;
            if self.still_fails(steps)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
