//! The results as text: a block per case, a line per server, columns aligned.

use super::facets::Facets;
use super::format;
use super::results::{CaseReport, HitRatioRound, MemoryRound, Results, Round};
use super::scenario::{Case, HitRatioCase, MemoryCase};
use super::summary::{HitRatioSummary, MemorySummary, Spread, Summary};

/// The whole text, with a line end after every line.
pub(crate) fn render(results: &Results) -> String {
    let mut out = String::from("\n");
    heading(results, &mut out);
    let cases: Vec<&Case> = results.cases.iter().map(|report| &report.case).collect();
    if !cases.is_empty() {
        let facets = Facets::of(&cases);
        if !facets.common.is_empty() {
            out.push_str(&format!("all cases: {}\n\n", facets.common));
        }
        for (facet, case) in facets.cases() {
            let title = facet.title_of(&facets, cases[case]);
            throughput(results, &results.cases[case], &title, &mut out);
        }
    }
    for case in &results.memory {
        memory(results, case, &mut out);
    }
    for case in &results.hit_ratio {
        hit_ratio(results, case, &mut out);
    }
    for line in results.absences() {
        out.push_str(&format!("note: {line}\n"));
    }
    for line in &results.warnings {
        out.push_str(&format!("warning: {line}\n"));
    }
    out
}

fn heading(results: &Results, out: &mut String) {
    let (settings, machine, setting) = (&results.settings, &results.machine, &results.setting);
    out.push_str(&format!("{}\n", settings.title));
    let memory = format::size(machine.memory_bytes as f64);
    let guest = if setting.is_virtual {
        ", virtual machine"
    } else {
        ""
    };
    out.push_str(&format!(
        "{}, {} CPUs, {memory}, {}{guest}\n",
        machine.cpu, machine.cpus, machine.kernel
    ));
    out.push_str(&format!(
        "servers on CPU {}, load on CPU {}\n",
        setting.server_cpus, setting.load_cpus
    ));
    if !results.cases.is_empty() {
        out.push_str(&format!(
            "{} rounds of {} s after {} s of warm-up; median (lowest to highest)\n",
            settings.rounds, settings.seconds, settings.warmup_seconds
        ));
    }
    for server in results.measured() {
        let version = server.version.as_deref().unwrap_or("version unknown");
        out.push_str(&format!("{}: {version}\n", server.label));
    }
    out.push('\n');
}

fn throughput(
    results: &Results,
    case: &CaseReport<Case, Round, Summary>,
    title: &str,
    out: &mut String,
) {
    let against = format!("×{}", results.label(&results.settings.baseline));
    let head = [
        "",
        "op/s",
        &against,
        "CPU µs/op",
        "range",
        &against,
        "p50",
        "p99",
        "p99.9",
        "busy",
        "resident",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for result in &case.results {
        let summary = &result.summary;
        rows.push(vec![
            results.label(&result.server).to_owned(),
            format::rate(summary.ops_per_second.median),
            multiple(summary.throughput_ratio.as_ref()),
            format::significant(summary.cpu_us_per_op.median),
            range(&summary.cpu_us_per_op, format::significant),
            multiple(summary.cpu_ratio.as_ref()),
            format::micros(summary.latency_us.p50),
            format::micros(summary.latency_us.p99),
            format::micros(summary.latency_us.p99_9),
            format!("{:.0}%", summary.server_cores.median * 100.0),
            format::size(summary.resident_bytes.median),
        ]);
    }
    block(title, &rows, out);
}

fn memory(
    results: &Results,
    case: &CaseReport<MemoryCase, MemoryRound, MemorySummary>,
    out: &mut String,
) {
    let head = [
        "",
        "B/key over payload",
        "range",
        "B/key in all",
        "resident",
        "empty",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for result in &case.results {
        let summary = &result.summary;
        rows.push(vec![
            results.label(&result.server).to_owned(),
            format!("{:.1}", summary.overhead_per_key.median),
            range(&summary.overhead_per_key, |bytes| format!("{bytes:.1}")),
            format!("{:.1}", summary.bytes_per_key.median),
            format::size(summary.full_bytes.median),
            format::size(summary.empty_bytes.median),
        ]);
    }
    block(&format!("Memory: {}", case.case.title()), &rows, out);
}

fn hit_ratio(
    results: &Results,
    case: &CaseReport<HitRatioCase, HitRatioRound, HitRatioSummary>,
    out: &mut String,
) {
    let head = ["", "hit ratio", "range", "resident", "keys held"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for result in &case.results {
        let summary = &result.summary;
        rows.push(vec![
            results.label(&result.server).to_owned(),
            format::percent(summary.hit_ratio.median),
            range(&summary.hit_ratio, format::percent),
            format::size(summary.resident_bytes.median),
            format::count(summary.keys.median as u64),
        ]);
    }
    block(&format!("Hit ratio: {}", case.case.title()), &rows, out);
}

fn multiple(ratio: Option<&Spread>) -> String {
    ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{:.2}", ratio.median))
}

/// The range of a spread; nothing where there is but one value.
fn range(spread: &Spread, text: fn(f64) -> String) -> String {
    if spread.low == spread.high {
        String::new()
    } else {
        format!("{}–{}", text(spread.low), text(spread.high))
    }
}

/// A heading and rows beneath it; the first column leans left, the others right.
fn block(title: &str, rows: &[Vec<String>], out: &mut String) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    out.push_str(title);
    out.push('\n');
    for row in rows {
        let mut line = String::from(" ");
        for (column, cell) in row.iter().enumerate() {
            let width = widths[column];
            if column == 0 {
                line.push_str(&format!(" {cell:<width$}"));
            } else if width > 0 {
                line.push_str(&format!("  {cell:>width$}"));
            }
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::testing::results;

    #[test]
    fn every_figure_stands_under_its_heading() {
        let text = render(&results());
        let block: Vec<&str> = text
            .lines()
            .skip_while(|line| !line.starts_with("GET · pipeline 1"))
            .take(4)
            .collect();
        let end = |line: &str, part: &str| {
            let at = line
                .find(part)
                .unwrap_or_else(|| panic!("{part} in {line}"));
            line[..at + part.len()].chars().count()
        };
        assert_eq!(end(block[1], "CPU µs/op"), end(block[2], "0.500"), "{text}");
        assert_eq!(end(block[1], "op/s"), end(block[3], "125 k"), "{text}");
        assert!(block[3].contains("2.00"), "{text}");
    }

    #[test]
    fn what_was_skipped_and_what_is_doubtful_is_said() {
        let text = render(&results());
        assert!(
            text.contains("note: Gone was skipped: its program gone-server was not found"),
            "{text}"
        );
        assert!(text.contains("warning: The machine was busy."), "{text}");
        assert!(text.contains("Memory: 1,000 keys · 16 B + 64 B"), "{text}");
        assert!(text.contains("Hit ratio: zipf"), "{text}");
    }

    #[test]
    fn one_value_has_no_range() {
        let spread = |low, high| Spread {
            median: low,
            low,
            high,
        };
        assert_eq!(range(&spread(1.0, 1.0), format::significant), "");
        assert_eq!(range(&spread(1.0, 2.0), format::significant), "1.00–2.00");
    }
}
