//! Instruction counts: read from the counting program's output, kept in a readable file, compared with what was kept.
//!
//! The file has a line a bench, its name and its instructions an operation, below comments of which one names the tools
//! that counted. A bench may take [`ALLOWED_GROWTH_PERCENT`] more than recorded. One that takes as much less passes too,
//! but is pointed out: until its new count is recorded, it could grow back unnoticed.

use std::fmt::{self, Write as _};

use serde_json::Value;

/// What a bench may take above its recorded count.
pub(crate) const ALLOWED_GROWTH_PERCENT: u64 = 3;

/// Operations each bench does, as `larder_perf::work` has it.
const OPERATIONS: u64 = 8192;

/// The line of the file that names the tools begins so.
const TOOLS_MARK: &str = "# counted with: ";

/// Instructions an operation of one bench.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Count {
    /// The bench's function and case: `get_hit.pipeline_64`.
    pub(crate) name: String,
    /// Instructions an operation, in hundredths of an instruction, as the file keeps them.
    pub(crate) hundredths: u64,
}

/// The counts of all benches.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Counts {
    /// The compiler, valgrind and C library that the counts depend on.
    pub(crate) tools: String,
    /// In the order of the benches.
    pub(crate) benches: Vec<Count>,
}

impl Counts {
    /// Reads what [`Self::render`] wrote.
    ///
    /// # Errors
    /// A line that is neither a comment nor a name and a number.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut counts = Self::default();
        for (index, line) in text.lines().enumerate() {
            if let Some(tools) = line.strip_prefix(TOOLS_MARK) {
                tools.trim().clone_into(&mut counts.tools);
            }
            let code = line.split('#').next().unwrap_or_default().trim();
            if code.is_empty() {
                continue;
            }
            let count = parse_line(code)
                .ok_or_else(|| format!("line {}: not a name and a number: {line}", index + 1))?;
            counts.benches.push(count);
        }
        Ok(counts)
    }

    /// The text of the baseline file.
    pub(crate) fn render(&self) -> String {
        let mut out = String::from(
            "# Instructions an operation on the hot paths, counted under callgrind; see README.md.\n\
             # Written by: cargo run -p larder-perf --bin larder-instructions -- record\n",
        );
        let _ = writeln!(out, "{TOOLS_MARK}{}\n", self.tools);
        for count in &self.benches {
            let _ = writeln!(out, "{:<28} {:>9}", count.name, Decimal(count.hundredths));
        }
        out
    }

    /// Reads the summaries gungraun prints, one JSON object a line, each of a bench that did [`OPERATIONS`] operations.
    ///
    /// # Errors
    /// A line that is no such summary, or none at all.
    pub(crate) fn of_summaries(text: &str, tools: String) -> Result<Self, String> {
        let benches = text
            .lines()
            .filter(|line| !line.trim().is_empty())
            .map(|line| count_of(line).ok_or_else(|| format!("not a summary with a count: {line}")))
            .collect::<Result<Vec<_>, _>>()?;
        if benches.is_empty() {
            return Err("no bench was counted".to_owned());
        }
        Ok(Self { tools, benches })
    }

    fn find(&self, name: &str) -> Option<&Count> {
        self.benches.iter().find(|count| count.name == name)
    }
}

fn parse_line(code: &str) -> Option<Count> {
    let (name, number) = code.split_once(char::is_whitespace)?;
    let (whole, fraction) = number.trim().split_once('.')?;
    if fraction.len() != 2 {
        return None;
    }
    let (whole, fraction): (u64, u64) = (whole.parse().ok()?, fraction.parse().ok()?);
    Some(Count {
        name: name.to_owned(),
        hundredths: whole.checked_mul(100)?.checked_add(fraction)?,
    })
}

fn count_of(summary: &str) -> Option<Count> {
    let summary: Value = serde_json::from_str(summary).ok()?;
    let function = summary.get("function_name")?.as_str()?;
    let case = summary.get("id")?.as_str()?;
    let instructions = summary
        .pointer("/profiles/0/data/total/metrics/Ir/values/new")?
        .as_u64()?;
    Some(Count {
        name: format!("{function}.{case}"),
        hundredths: (instructions * 100 + OPERATIONS / 2) / OPERATIONS,
    })
}

/// Hundredths, written with two digits behind the point.
struct Decimal(u64);

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{:02}", self.0 / 100, self.0 % 100))
    }
}

/// What became of one bench.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// Within what is allowed of its recorded count.
    Steady,
    /// It takes as much less as would not be allowed if it were more.
    Better,
    /// It takes more than allowed.
    Worse,
    /// It has no recorded count.
    Unrecorded,
    /// It is recorded, but was not counted.
    Missing,
}

impl Verdict {
    /// Whether the comparison passes in spite of this bench.
    pub(crate) fn passes(self) -> bool {
        matches!(self, Self::Steady | Self::Better)
    }
}

/// One bench, recorded and counted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Compared {
    /// Its name.
    pub(crate) name: String,
    /// Its recorded count, in hundredths.
    pub(crate) recorded: Option<u64>,
    /// Its present count, in hundredths.
    pub(crate) counted: Option<u64>,
}

impl Compared {
    /// By how much the count grew, in percent of what is recorded.
    pub(crate) fn growth_percent(&self) -> Option<f64> {
        let (recorded, counted) = (self.recorded?, self.counted?);
        Some((counted as f64 / recorded.max(1) as f64 - 1.0) * 100.0)
    }

    /// What became of it.
    pub(crate) fn verdict(&self) -> Verdict {
        let (recorded, counted) = match (self.recorded, self.counted) {
            (Some(recorded), Some(counted)) => (recorded, counted),
            (None, _) => return Verdict::Unrecorded,
            (_, None) => return Verdict::Missing,
        };
        if counted * 100 > recorded * (100 + ALLOWED_GROWTH_PERCENT) {
            Verdict::Worse
        } else if counted * 100 < recorded * (100 - ALLOWED_GROWTH_PERCENT) {
            Verdict::Better
        } else {
            Verdict::Steady
        }
    }
}

impl fmt::Display for Compared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |count: Option<u64>| {
            count.map_or_else(|| "-".to_owned(), |count| Decimal(count).to_string())
        };
        let growth = self
            .growth_percent()
            .map_or_else(|| "-".to_owned(), |growth| format!("{growth:+.2}%"));
        let (name, recorded, counted) = (&self.name, number(self.recorded), number(self.counted));
        write!(f, "{name:<28} {recorded:>9} {counted:>9} {growth:>9}")?;
        f.write_str(match self.verdict() {
            Verdict::Steady => "",
            Verdict::Better => "  better: worth recording",
            Verdict::Worse => "  REGRESSION",
            Verdict::Unrecorded => "  NOT RECORDED",
            Verdict::Missing => "  NOT COUNTED",
        })
    }
}

/// All benches of both, in the order counted, those only recorded last.
pub(crate) fn compare(recorded: &Counts, counted: &Counts) -> Vec<Compared> {
    let now = counted.benches.iter().map(|count| Compared {
        name: count.name.clone(),
        recorded: recorded.find(&count.name).map(|count| count.hundredths),
        counted: Some(count.hundredths),
    });
    let missing = recorded
        .benches
        .iter()
        .filter(|count| counted.find(&count.name).is_none())
        .map(|count| Compared {
            name: count.name.clone(),
            recorded: Some(count.hundredths),
            counted: None,
        });
    now.chain(missing).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(benches: &[(&str, u64)]) -> Counts {
        let count = |&(name, hundredths): &(&str, u64)| Count {
            name: name.to_owned(),
            hundredths,
        };
        Counts {
            tools: "rustc 1, valgrind 2".to_owned(),
            benches: benches.iter().map(count).collect(),
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let counts = counts(&[("get_hit.pipeline_1", 261_807), ("parse.get", 5)]);
        let text = counts.render();
        assert!(
            text.contains("get_hit.pipeline_1             2618.07\n"),
            "{text}"
        );
        assert_eq!(Counts::parse(&text), Ok(counts));
    }

    #[test]
    fn a_line_that_is_no_count_is_named() {
        for line in [
            "get_hit",
            "get_hit x",
            "get_hit 12",
            "get_hit 12.5",
            "get_hit 1.00 2",
        ] {
            let error = Counts::parse(&format!("# fine\n{line}\n")).unwrap_err();
            assert!(error.starts_with("line 2: "), "{error}");
        }
    }

    #[test]
    fn a_growth_of_three_per_cent_passes_and_one_above_fails() {
        let recorded = counts(&[
            ("a.x", 10_000),
            ("b.x", 10_000),
            ("c.x", 10_000),
            ("d.x", 1),
        ]);
        let counted = counts(&[("a.x", 10_300), ("b.x", 10_301), ("c.x", 9_000), ("e.x", 1)]);
        let compared = compare(&recorded, &counted);
        let verdicts: Vec<_> = compared.iter().map(Compared::verdict).collect();
        assert_eq!(
            verdicts,
            [
                Verdict::Steady,
                Verdict::Worse,
                Verdict::Better,
                Verdict::Unrecorded,
                Verdict::Missing
            ]
        );
        let passes: Vec<_> = verdicts.iter().map(|verdict| verdict.passes()).collect();
        assert_eq!(passes, [true, false, true, false, false]);
    }

    #[test]
    fn a_regression_says_which_bench_and_by_how_much() {
        let compared = compare(&counts(&[("get.x", 20_000)]), &counts(&[("get.x", 21_000)]));
        let line = compared[0].to_string();
        for part in ["get.x", "200.00", "210.00", "+5.00%", "REGRESSION"] {
            assert!(line.contains(part), "{line}");
        }
    }

    #[test]
    fn the_operations_are_those_of_the_benches() {
        assert_eq!(OPERATIONS, larder_perf::work::OPERATIONS as u64);
    }

    #[test]
    fn a_summary_is_divided_by_its_operations() {
        let summary = |instructions: u64| {
            format!(
                r#"{{"function_name":"get_hit","id":"pipeline_1","profiles":[{{"data":{{"total":{{"metrics":{{"Ir":{{"values":{{"new":{instructions},"old":7}}}}}}}}}}}}]}}"#
            )
        };
        let text = summary(OPERATIONS * 12 + OPERATIONS / 2);
        let counts = Counts::of_summaries(&text, String::new()).unwrap();
        assert_eq!(counts.benches[0].name, "get_hit.pipeline_1");
        assert_eq!(counts.benches[0].hundredths, 1250);
        assert!(Counts::of_summaries("{}", String::new()).is_err());
        assert!(Counts::of_summaries("\n", String::new()).is_err());
    }

    #[test]
    fn the_recorded_baseline_can_be_read_and_names_its_tools() {
        let recorded = Counts::parse(include_str!("../../baseline.txt")).unwrap();
        assert!(recorded.tools.contains("valgrind"), "{}", recorded.tools);
        assert!(recorded.find("get_hit.pipeline_64").is_some());
    }
}
