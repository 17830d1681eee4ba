//! Keys as clients were told before there were key specifications: the first, the last and the distance between them.

use super::{BeginSearch, FindKeys, KeyFlags, KeySpec, Keys};

/// A range of keys, in the form of `COMMAND INFO`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlainRange {
    /// The first key; zero: there is no range.
    pub first: i64,
    /// The last key; if negative, counted from the end of the arguments.
    pub last: i64,
    /// The distance between keys.
    pub step: i64,
}

impl Keys {
    /// The keys that one range tells, of consecutive specifications if there are several, and whether there are others
    /// (`movablekeys`).
    pub fn plain_range(self) -> (PlainRange, bool) {
        if let [only] = self.specs() {
            let range = plain(only);
            let is_incomplete = only.flags().has(KeyFlags::INCOMPLETE);
            return (range.unwrap_or_default(), range.is_none() || is_incomplete);
        }
        let mut all: Option<PlainRange> = None;
        let mut are_others = false;
        for spec in self.specs() {
            are_others |= spec.flags().has(KeyFlags::INCOMPLETE);
            let range = plain(spec).filter(|range| range.step == 1);
            match (range, all) {
                (Some(range), None) => all = Some(range),
                (Some(range), Some(before)) if before.last == range.first - 1 => {
                    let first = before.first;
                    all = Some(PlainRange { first, ..range });
                }
                _ => are_others = true,
            }
        }
        (all.unwrap_or_default(), are_others)
    }
}

fn plain(spec: &KeySpec) -> Option<PlainRange> {
    match (spec.begin_search(), spec.find_keys()) {
        (BeginSearch::Index(first), FindKeys::Range { last, step, .. }) => {
            let first = i64::from(first);
            let last = i64::from(last);
            Some(PlainRange {
                first,
                last: if last < 0 { last } else { first + last },
                step: step.into(),
            })
        }
        _ => None,
    }
}
