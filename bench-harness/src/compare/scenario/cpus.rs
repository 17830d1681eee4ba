//! Lists of CPUs in the notation of `taskset`: `0`, `0-3`, `0,2,4-6`.

use std::collections::BTreeSet;
use std::fmt;

use rustix::thread::CpuSet;
use serde::{Deserialize, Serialize};

/// A set of CPUs by their numbers, never empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct CpuList(BTreeSet<usize>);

impl CpuList {
    /// The list that `text` denotes.
    ///
    /// # Errors
    /// A text that is no such list, a range that runs backwards, or a number past what the kernel's set holds.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("not a list of CPUs like 0, 0-3 or 0,2-3: {text:?}");
        let number = |text: &str| {
            let number = text.trim().parse::<usize>().ok();
            number
                .filter(|cpu| *cpu < CpuSet::MAX_CPU)
                .ok_or_else(wrong)
        };
        let mut cpus = BTreeSet::new();
        for part in text.split(',') {
            let (first, last) = match part.split_once('-') {
                Some((first, last)) => (number(first)?, number(last)?),
                None => (number(part)?, number(part)?),
            };
            if first > last {
                return Err(wrong());
            }
            cpus.extend(first..=last);
        }
        Ok(Self(cpus))
    }

    /// The list of `cpus`; `None` when there are none.
    pub(crate) fn of(cpus: impl IntoIterator<Item = usize>) -> Option<Self> {
        let cpus: BTreeSet<usize> = cpus.into_iter().collect();
        (!cpus.is_empty()).then_some(Self(cpus))
    }

    /// How many CPUs there are.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// The CPUs, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().copied()
    }

    /// Whether `cpu` is in the list.
    pub(crate) fn contains(&self, cpu: usize) -> bool {
        self.0.contains(&cpu)
    }

    /// Whether a CPU is in both lists.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        !self.0.is_disjoint(&other.0)
    }

    /// The kernel's form of it.
    pub(crate) fn to_set(&self) -> CpuSet {
        let mut set = CpuSet::new();
        for cpu in self.iter() {
            set.set(cpu);
        }
        set
    }
}

impl fmt::Display for CpuList {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ranges: Vec<(usize, usize)> = Vec::new();
        for cpu in self.iter() {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == cpu => *last = cpu,
                _ => ranges.push((cpu, cpu)),
            }
        }
        for (index, (first, last)) in ranges.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            if first == last {
                write!(out, "{comma}{first}")?;
            } else {
                write!(out, "{comma}{first}-{last}")?;
            }
        }
        Ok(())
    }
}

impl TryFrom<String> for CpuList {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl From<CpuList> for String {
    fn from(list: CpuList) -> Self {
        list.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_reads_as_it_is_written() {
        for (text, shown, count) in [("0", "0", 1), ("0-3", "0-3", 4), ("4,0-1, 2", "0-2,4", 4)] {
            let list = CpuList::parse(text).unwrap();
            assert_eq!((list.to_string().as_str(), list.count()), (shown, count));
            assert!((0..list.count()).all(|at| list.to_set().is_set(list.iter().nth(at).unwrap())));
        }
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for text in ["", "a", "1-", "-1", "3-1", "0,,1", "99999"] {
            assert!(CpuList::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn lists_that_share_a_cpu_overlap() {
        let list = |text| CpuList::parse(text).unwrap();
        assert!(list("0-1").overlaps(&list("1-2")));
        assert!(!list("0-1").overlaps(&list("2-3")));
        assert_eq!(CpuList::of([]), None);
    }
}
