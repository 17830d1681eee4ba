//! Victims by drawing: some entries are drawn, and the one of least worth goes (Redis's approximation of LRU, and of others).

use super::rng::Rng;
use super::shortlist::{Shortlist, Worth};
use super::{Candidate, Choice, Coming, Entries, Scope};
use crate::AccessClock;

/// Redis's default of `maxmemory-samples`.
pub(crate) const SAMPLES: usize = 5;

/// Candidates of a shortlist that are looked at again for one victim.
const RELOOKS_MAX: u32 = 16;

/// Any entry that may go.
pub(crate) fn any(entries: &impl Entries, scope: Scope, rng: &mut Rng) -> Choice {
    let mut drawn = None;
    entries.sample(1, scope, rng.next(), |entry| {
        if scope.allows(entry) {
            drawn.get_or_insert(entry.identity);
        }
    });
    drawn.map_or(Choice::Nothing, Choice::Victim)
}

/// One victim in so many looks for strays,
const STRAYS_EVERY: u64 = 16;

/// among so many that are drawn.
const STRAYS_DRAWN: usize = 8;

/// Entries that stand in no queue, since they had another policy's history or were given one, as far as they are drawn now and
/// their history shows it. A queue that takes them in has all entries after a while, whoever had them before.
pub(crate) fn strays(
    entries: &impl Entries,
    rng: &mut Rng,
    may_stand: impl Fn(AccessClock) -> bool,
) -> Vec<Candidate> {
    let mut strays = Vec::new();
    let random = rng.next();
    if random.is_multiple_of(STRAYS_EVERY) {
        entries.sample(STRAYS_DRAWN, Scope::AllKeys, random, |entry| {
            let is_drawn = |other: &Candidate| other.identity == entry.identity;
            if !may_stand(entry.history) && !strays.iter().any(is_drawn) {
                strays.push(*entry);
            }
        });
    }
    strays
}

/// The entry of least worth among those drawn now and the best of earlier draws.
pub(crate) struct Draw {
    shortlist: Shortlist,
    rng: Rng,
    samples: usize,
}

impl Draw {
    pub(crate) fn new(samples: usize, seed: u64) -> Self {
        Self {
            shortlist: Shortlist::default(),
            rng: Rng::new(seed),
            samples,
        }
    }

    pub(crate) fn set_samples(&mut self, samples: usize) {
        self.samples = samples;
    }

    /// Forgets earlier draws: worth has another meaning from now on.
    pub(crate) fn forget(&mut self) {
        self.shortlist.clear();
    }

    /// The entry that goes, and its worth; `worth` is `None` for what may not go.
    pub(crate) fn lowest(
        &mut self,
        entries: &impl Entries,
        scope: Scope,
        worth: impl Fn(&Candidate) -> Option<Worth>,
    ) -> Option<(Worth, Candidate)> {
        let worth = |entry: &Candidate| scope.allows(entry).then(|| worth(entry)).flatten();
        let shortlist = &mut self.shortlist;
        entries.sample(self.samples, scope, self.rng.next(), |entry| {
            if let Some(worth) = worth(entry) {
                shortlist.offer(worth, entry.identity);
            }
        });
        for _ in 0..RELOOKS_MAX {
            let (_, identity) = shortlist.take()?;
            let Some(entry) = entries.find(identity) else {
                continue;
            };
            let Some(now) = worth(&entry) else {
                continue;
            };
            if shortlist.lowest().is_none_or(|next| now <= next) {
                return Some((now, entry));
            }
            shortlist.offer(now, identity);
        }
        None
    }

    /// As a choice: one that is found no victim in draws another time, as long as there are entries to draw.
    pub(crate) fn choose(
        &mut self,
        entries: &impl Entries,
        scope: Scope,
        worth: impl Fn(&Candidate) -> Option<Worth>,
    ) -> Choice {
        match self.lowest(entries, scope, worth) {
            Some((_, entry)) => Choice::Victim(entry.identity),
            None => self.any(entries, scope),
        }
    }

    /// Any entry that may go.
    pub(crate) fn any(&mut self, entries: &impl Entries, scope: Scope) -> Choice {
        any(entries, scope, &mut self.rng)
    }

    /// Shows what is drawn for a victim behind others, and which candidate of now is probably looked at again for it.
    #[inline]
    pub(crate) fn looks_ahead(&self, victims: usize, mut show: impl FnMut(Coming)) {
        show(Coming::Drawn(self.rng.ahead(victims)));
        if let Some(identity) = self.shortlist.behind(victims) {
            show(Coming::Entry(identity));
        }
    }

    pub(crate) fn held_bytes(&self) -> u64 {
        self.shortlist.held_bytes()
    }
}
