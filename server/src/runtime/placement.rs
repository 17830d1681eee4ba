//! Which CPU each core runs on.

use super::ring::os::allowed_cpus;
use crate::config::{CorePinning, Cores};

/// How many cores there are, and the CPU of each when they are pinned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CorePlan {
    /// Number of cores.
    pub(super) cores: u16,
    /// The CPU of each core; empty when they are not pinned.
    pub(super) cpus: Vec<u16>,
}

impl CorePlan {
    /// The plan for what `cores` and `core-pinning` ask for.
    ///
    /// # Errors
    /// One line: a CPU asked for is not there, or there are too few.
    pub(super) fn new(cores: &Cores, pinning: CorePinning) -> Result<Self, String> {
        let allowed = allowed_cpus().unwrap_or_default();
        Self::on(cores, pinning, &allowed)
    }

    fn on(cores: &Cores, pinning: CorePinning, allowed: &[u16]) -> Result<Self, String> {
        let (count, cpus) = match cores {
            Cores::Auto => (allowed.len().max(1) as u16, allowed.to_vec()),
            Cores::Count(count) => {
                let enough = usize::from(*count) <= allowed.len();
                let cpus = allowed.iter().copied().take(usize::from(*count));
                (*count, if enough { cpus.collect() } else { Vec::new() })
            }
            Cores::List(list) => {
                if let Some(cpu) = list.iter().find(|cpu| !allowed.contains(cpu)) {
                    return Err(format!(
                        "cores: CPU {cpu} is not available to this process, which may use {}",
                        cpu_text(allowed)
                    ));
                }
                (list.len() as u16, list.clone())
            }
        };
        match pinning {
            CorePinning::Yes if cpus.is_empty() => Err(format!(
                "core-pinning yes: {count} cores need as many CPUs, and this process may use {}",
                cpu_text(allowed)
            )),
            CorePinning::No => Ok(Self {
                cores: count,
                cpus: Vec::new(),
            }),
            _ => Ok(Self { cores: count, cpus }),
        }
    }

    /// The plan in words.
    pub(super) fn describe(&self) -> String {
        if self.cpus.is_empty() {
            format!("{}, not pinned", self.cores)
        } else {
            format!("{}, pinned to CPU {}", self.cores, cpu_text(&self.cpus))
        }
    }
}

/// CPUs as ranges: `0-3,6`.
fn cpu_text(cpus: &[u16]) -> String {
    let mut ranges: Vec<(u16, u16)> = Vec::new();
    for &cpu in cpus {
        match ranges.last_mut() {
            Some((_, last)) if cpu.checked_sub(1) == Some(*last) => *last = cpu,
            _ => ranges.push((cpu, cpu)),
        }
    }
    let texts: Vec<String> = ranges
        .iter()
        .map(|(first, last)| match first == last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        })
        .collect();
    texts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(cores: &Cores, pinning: CorePinning) -> Result<CorePlan, String> {
        CorePlan::on(cores, pinning, &[0, 1, 2, 5])
    }

    #[test]
    fn cores_are_pinned_when_there_are_cpus_enough() {
        let all = plan(&Cores::Auto, CorePinning::Auto).unwrap();
        assert_eq!(all.describe(), "4, pinned to CPU 0-2,5");
        let two = plan(&Cores::Count(2), CorePinning::Auto).unwrap();
        assert_eq!((two.cores, &*two.cpus), (2, &[0, 1][..]));
        let many = plan(&Cores::Count(9), CorePinning::Auto).unwrap();
        assert_eq!(many.describe(), "9, not pinned");
        let loose = plan(&Cores::Auto, CorePinning::No).unwrap();
        assert_eq!(loose.describe(), "4, not pinned");
    }

    #[test]
    fn a_cpu_that_is_not_there_is_named() {
        let error = plan(&Cores::List(vec![0, 3]), CorePinning::Auto).unwrap_err();
        assert!(
            error.contains("CPU 3") && error.contains("0-2,5"),
            "{error}"
        );
        let error = plan(&Cores::Count(9), CorePinning::Yes).unwrap_err();
        assert!(error.contains("9 cores"), "{error}");
    }
}
