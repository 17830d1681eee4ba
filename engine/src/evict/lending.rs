//! How shards lend one another memory: by miss pressure, so that keys which crowd one shard do not cost hits.
//!
//! Pressure is bytes missed since the last time for each byte of the budget, averaged with that of before. A shard a quarter off the mean
//! gets an eighth of the way to where its pressure, between half and twice the mean, would have it. All stay between an eighth of their
//! base and eight times as much, since keys of one hash tag crowd one shard, and together have what they had. Where all miss as many of their bytes as of
//! others', entries stay as long everywhere: as in one shard that has all the memory. To lend by the gain that a byte would bring, read off curves, wandered.

use crate::limits::LENDING_MIN_ENTRIES;

/// How many times its base a shard may have, and the part of it that it keeps.
const BORROWED_MAX: f64 = 8.0;

/// A shard, as lending sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Borrower {
    /// Its budget if nobody lends: its share of the whole.
    pub base_bytes: u64,
    /// Its budget now.
    pub budget_bytes: u64,
    /// Bytes of keys that it missed since the last time.
    pub missed_bytes: u64,
    /// Entries that it holds.
    pub entries: u64,
    /// Its pressure the last time, zero at first; the new one afterwards.
    pub pressure: f64,
}

/// Misses of a shard after which it is time to lend: a quarter of its entries.
pub fn misses_between(entries: u64) -> u64 {
    (entries / 4).max(LENDING_MIN_ENTRIES / 4)
}

/// Gives all shards their budgets anew; their sum stays as it is.
pub fn lend(shards: &mut [Borrower]) {
    let total: u64 = shards.iter().map(|shard| shard.budget_bytes).sum();
    for shard in &mut *shards {
        let pressure = shard.missed_bytes as f64 / shard.budget_bytes.max(1) as f64;
        shard.pressure = (shard.pressure + pressure) / 2.0;
    }
    let lends = |shard: &&Borrower| shard.entries >= LENDING_MIN_ENTRIES;
    let lenders = shards.iter().filter(lends).count();
    let sum: f64 = shards
        .iter()
        .filter(lends)
        .map(|shard| shard.pressure)
        .sum();
    let mean = sum / lenders.max(1) as f64;
    if lenders < 2 || mean <= 0.0 {
        return;
    }
    let mut wanted: Vec<f64> = shards.iter().map(|shard| wanted(shard, mean)).collect();
    renormalise(shards, &mut wanted, total as f64);
    let mut left = total;
    for (shard, wanted) in shards.iter_mut().zip(&wanted) {
        shard.budget_bytes = (*wanted as u64).min(left);
        left -= shard.budget_bytes;
    }
    // What rounding left over.
    if let Some(shard) = shards.first_mut() {
        shard.budget_bytes += left;
    }
}

fn bounds(shard: &Borrower) -> (f64, f64) {
    let base = shard.base_bytes as f64;
    (base / BORROWED_MAX, base * BORROWED_MAX)
}

fn wanted(shard: &Borrower, mean: f64) -> f64 {
    let budget = shard.budget_bytes as f64;
    let off = shard.pressure / mean;
    if shard.entries < LENDING_MIN_ENTRIES || (off - 1.0).abs() < 0.25 {
        return budget;
    }
    let (least, most) = bounds(shard);
    (budget * (1.0 + (off.clamp(0.5, 2.0) - 1.0) / 8.0)).clamp(least, most)
}

/// Scales what is wanted to what there is; who is at a bound stays there, and the others make up for it.
fn renormalise(shards: &[Borrower], wanted: &mut [f64], total: f64) {
    for _ in 0..shards.len() {
        let sum: f64 = wanted.iter().sum();
        let scale = total / sum.max(1.0);
        if (scale - 1.0).abs() < 1e-9 {
            return;
        }
        for (wanted, shard) in wanted.iter_mut().zip(shards) {
            let (least, most) = bounds(shard);
            // Bases changed since: what is out of bounds comes back to them, no further.
            *wanted = (*wanted * scale).clamp(least.min(*wanted), most.max(*wanted));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(missed_bytes: u64) -> Borrower {
        Borrower {
            base_bytes: 1 << 20,
            budget_bytes: 1 << 20,
            missed_bytes,
            entries: 10_000,
            pressure: 0.0,
        }
    }

    fn budgets(shards: &[Borrower]) -> Vec<u64> {
        shards.iter().map(|shard| shard.budget_bytes).collect()
    }

    #[test]
    fn shards_under_the_same_pressure_keep_their_budgets() {
        let mut shards = [shard(5000), shard(5500), shard(4500)];
        lend(&mut shards);
        assert_eq!(budgets(&shards), [1 << 20; 3]);
    }

    #[test]
    fn who_misses_most_borrows_what_others_do_not_keep_and_nothing_is_lost() {
        let mut shards = [shard(0), shard(0), shard(0), shard(0)];
        for _ in 0..200 {
            for (nth, shard) in shards.iter_mut().enumerate() {
                shard.missed_bytes = if nth == 2 { 900_000 } else { 1000 };
            }
            lend(&mut shards);
            assert_eq!(budgets(&shards).iter().sum::<u64>(), 4 << 20);
            for shard in &shards {
                let within = shard.base_bytes / 8 - 64..=shard.base_bytes * 8 + 64;
                assert!(within.contains(&shard.budget_bytes), "{shards:?}");
            }
        }
        let all_but_kept = (4 << 20) - 3 * (1 << 17);
        assert!(shards[2].budget_bytes > all_but_kept - 64, "{shards:?}");
    }

    #[test]
    fn what_was_borrowed_goes_back_when_the_pressure_does() {
        let mut shards = [shard(0), shard(0)];
        for round in 0..400 {
            // A shard misses less the more it has.
            let load = if round < 100 {
                [4e12, 1e12]
            } else {
                [2e12, 2e12]
            };
            for (shard, load) in shards.iter_mut().zip(load) {
                shard.missed_bytes = (load / shard.budget_bytes as f64) as u64;
            }
            lend(&mut shards);
            if round == 99 {
                assert!(shards[0].budget_bytes > 5 << 18, "{shards:?}");
            }
        }
        let apart = shards[0].budget_bytes.abs_diff(shards[1].budget_bytes);
        assert!(apart < 1 << 18, "{shards:?}");
    }

    #[test]
    fn who_has_few_entries_neither_lends_nor_borrows() {
        let mut shards = [shard(900_000), shard(0), shard(0)];
        shards[0].entries = LENDING_MIN_ENTRIES - 1;
        lend(&mut shards);
        assert_eq!(budgets(&shards), [1 << 20; 3]);
        lend(&mut []);
        let mut alone = [shard(1)];
        lend(&mut alone);
        assert_eq!(budgets(&alone), [1 << 20]);
    }
}
