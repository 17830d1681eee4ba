//! Which part of `maxmemory` each core is to keep to once all want more: its *budget*, lent by miss pressure.
//!
//! ```text
//!  each core, now and then ── what came, entries, lease ──▶ gauges ──▶ whoever finds that enough came: Lending ──▶ budgets, as gauges
//!  the end of a turn ── beyond the budget, and little is free? ── yes ──▶ some entries go: others find room
//! ```
//! A budget refuses nothing and holds up nobody: memory is leased from the pool as before. It says who evicts first where little is
//! free, so that a core that misses more than others comes to hold more. Budgets begin as what each core has leased when memory is short
//! for the first time.

use std::sync::Mutex;

use larder_engine::evict::lending::{Borrower, lend, misses_between};

/// All of `maxmemory`: budgets are parts of it.
pub const WHOLE: u64 = 1 << 32;

/// What a core tells of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Entries that have come since it began.
    pub came: u64,
    /// Their bytes.
    pub came_bytes: u64,
    /// Entries that it holds.
    pub entries: u64,
    /// Bytes that it has leased.
    pub leased_bytes: u64,
}

/// Who has lent what to whom.
#[derive(Debug, Default)]
pub struct Lending(Mutex<Ledger>);

impl Lending {
    /// The budgets of all cores anew, as parts of [`WHOLE`], from what they tell, if enough has come since the last time. Where another
    /// core is at it, this one leaves it to that.
    pub fn settle(&self, told: &[Told], maxmemory_bytes: u64) -> Option<Vec<u64>> {
        let mut ledger = self.0.try_lock().ok()?;
        ledger.settle(told, maxmemory_bytes)
    }
}

#[derive(Debug, Default)]
struct Ledger {
    /// Their budgets and misses are parts of [`WHOLE`].
    borrowers: Vec<Borrower>,
    /// What they had told by the last time.
    before: Vec<Told>,
}

impl Ledger {
    fn settle(&mut self, told: &[Told], maxmemory_bytes: u64) -> Option<Vec<u64>> {
        if self.borrowers.len() != told.len() {
            self.begin(told);
        } else if self.is_due(told) {
            self.note_misses(told, maxmemory_bytes);
            lend(&mut self.borrowers);
        } else {
            return None;
        }
        self.before = told.to_vec();
        let budgets = self.borrowers.iter();
        Some(budgets.map(|borrower| borrower.budget_bytes).collect())
    }

    /// Budgets begin as leases are, but for a part of what an equal share would be that each has in any case: who has nothing yet
    /// comes to show how much it misses.
    fn begin(&mut self, told: &[Told]) {
        let leased: u64 = told.iter().map(|told| told.leased_bytes).sum();
        let base_bytes = WHOLE / (told.len() as u64).max(1);
        let borrower = |told: &Told| Borrower {
            base_bytes,
            budget_bytes: (base_bytes + 7 * part(told.leased_bytes, leased)) / 8,
            missed_bytes: 0,
            entries: told.entries,
            pressure: 0.0,
        };
        self.borrowers = told.iter().map(borrower).collect();
    }

    fn is_due(&self, told: &[Told]) -> bool {
        let entries = told.iter().map(|told| told.entries).sum();
        let came = |(told, before): (&Told, &Told)| told.came.saturating_sub(before.came);
        let came: u64 = told.iter().zip(&self.before).map(came).sum();
        came >= misses_between(entries)
    }

    fn note_misses(&mut self, told: &[Told], maxmemory_bytes: u64) {
        let told = told.iter().zip(&self.before);
        for (borrower, (told, before)) in self.borrowers.iter_mut().zip(told) {
            let missed_bytes = told.came_bytes.saturating_sub(before.came_bytes);
            borrower.missed_bytes = part(missed_bytes, maxmemory_bytes);
            borrower.entries = told.entries;
        }
    }
}

/// As a part of [`WHOLE`], what so many bytes are of others.
fn part(bytes: u64, of_bytes: u64) -> u64 {
    let part = u128::from(bytes) * u128::from(WHOLE) / u128::from(of_bytes.max(1));
    u64::try_from(part).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u64 = 1 << 24;

    fn told(came: u64, leased_bytes: u64) -> Told {
        Told {
            came,
            came_bytes: 100 * came,
            entries: leased_bytes / 100,
            leased_bytes,
        }
    }

    #[test]
    fn budgets_begin_about_as_leases_are_and_go_to_who_misses_most() {
        let lending = Lending::default();
        let mut told = [told(0, LIMIT / 4), told(0, LIMIT / 4 * 3)];
        let first = lending.settle(&told, LIMIT).expect("budgets begin");
        assert_eq!(first, [WHOLE / 32 * 9, WHOLE / 32 * 23]);
        // Too little has come to tell anything.
        told[0].came = 5;
        assert_eq!(lending.settle(&told, LIMIT), None);
        for _ in 0..8 {
            told[0].came += 60_000;
            told[0].came_bytes += 6_000_000;
            let budgets = lending.settle(&told, LIMIT).expect("much has come");
            assert!(
                budgets.iter().sum::<u64>().abs_diff(WHOLE) < 16,
                "{budgets:?}"
            );
        }
        told[0].came += 60_000;
        let last = lending.settle(&told, LIMIT).expect("much has come");
        assert!(last[0] > WHOLE / 2, "{last:?}");
    }
}
