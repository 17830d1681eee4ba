//! Expiry: the hand over entries that are due, the hand over entries that are not, and a lookup that finds an entry due.

use larder_engine::{Shard, TtlChange, UnixMillis};
use larder_server::dispatch::limits::EXPIRE_BUDGET_ENTRIES;

use crate::data::NOW;
use crate::shard::{filled, soon};

/// Steps of the hand until nothing is due any more. Returns the number of entries removed.
pub fn hand_until_done(shard: &mut Shard) -> usize {
    let mut expired = 0;
    loop {
        let step = shard.expire_cycle(EXPIRE_BUDGET_ENTRIES);
        expired += step.expired as usize;
        if !step.is_cut_short {
            return expired;
        }
    }
}

/// Steps of the hand over entries none of which is due. Returns the number of entries it had to look at.
pub fn hand_steps(shard: &mut Shard, steps: usize) -> usize {
    (0..steps)
        .map(|_| shard.expire_cycle(EXPIRE_BUDGET_ENTRIES).examined as usize)
        .sum()
}

/// A shard of `keys` keys, all past their deadline and none removed yet.
pub fn all_due(keys: usize) -> Shard {
    let mut shard = filled(keys, soon());
    shard.set_now(UnixMillis(NOW.0 + 1000));
    shard
}

/// A shard of `keys` keys, all with a deadline far away.
pub fn none_due(keys: usize) -> Shard {
    filled(keys, TtlChange::At(UnixMillis(NOW.0 + 1_000_000)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::DB;
    use crate::work::lookup::{each, present};

    #[test]
    fn what_is_due_goes_and_what_is_not_stays() {
        let mut due = all_due(5000);
        assert_eq!(hand_until_done(&mut due), 5000);
        assert!(due.is_empty(DB));

        let mut due = all_due(64);
        assert_eq!(each(&mut due, &present(64, 64)), 0);
        assert!(due.is_empty(DB));

        let mut kept = none_due(5000);
        hand_steps(&mut kept, 10);
        assert_eq!(kept.len(DB), 5000);
    }
}
