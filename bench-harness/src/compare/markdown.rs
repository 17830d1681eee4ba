//! Hit ratios as Markdown: a row for each case, a column for each server, to be pasted into a document.

use super::format;
use super::results::Results;
use super::summary::HitRatioSummary;

/// Two tables: hits in a hundred requests, the most of a row in bold; and what was resident afterwards, for who overruns its bound buys
/// hits with memory.
pub(crate) fn hit_ratios(results: &Results) -> String {
    let mut out = String::from("Hits in a hundred requests:\n\n");
    table(results, &mut out, |summaries| {
        let most = summaries.iter().flatten().map(|it| it.hit_ratio.median);
        let most = most.fold(f64::NEG_INFINITY, f64::max);
        let cell = |summary: &HitRatioSummary| {
            let ratio = summary.hit_ratio.median;
            match ratio < most {
                true => format!("{:.2}", 100.0 * ratio),
                false => format!("**{:.2}**", 100.0 * ratio),
            }
        };
        summaries.iter().map(|it| it.map(cell)).collect()
    });
    out.push_str("\nResident afterwards:\n\n");
    table(results, &mut out, |summaries| {
        let cell = |summary: &HitRatioSummary| format::size(summary.resident_bytes.median);
        summaries.iter().map(|it| it.map(cell)).collect()
    });
    out
}

/// One table; `cells` makes a row of what servers were found to do, those that took no part left out.
fn table(
    results: &Results,
    out: &mut String,
    cells: impl Fn(&[Option<&HitRatioSummary>]) -> Vec<Option<String>>,
) {
    let servers: Vec<_> = results.measured().collect();
    let labels: Vec<&str> = servers.iter().map(|server| server.label.as_str()).collect();
    out.push_str(&format!("| | {} |\n", labels.join(" | ")));
    out.push_str(&format!("|---|{}\n", "---|".repeat(labels.len())));
    for report in &results.hit_ratio {
        let of_server = |name: &str| {
            let result = report.results.iter().find(|result| result.server == name);
            result.map(|result| &result.summary)
        };
        let summaries: Vec<_> = servers
            .iter()
            .map(|server| of_server(&server.name))
            .collect();
        let row = cells(&summaries).into_iter();
        let row: Vec<String> = row
            .map(|cell| cell.unwrap_or_else(|| "–".to_owned()))
            .collect();
        out.push_str(&format!(
            "| {} | {} |\n",
            report.case.title(),
            row.join(" | ")
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::testing::results;

    #[test]
    fn a_row_has_a_cell_for_each_server_that_was_measured_and_the_best_is_bold() {
        let results = results();
        let text = hit_ratios(&results);
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| ")).collect();
        assert_eq!(rows.len(), 2 * (1 + results.hit_ratio.len()), "{text}");
        let bars = 2 + results.measured().count();
        for row in &rows {
            assert_eq!(row.matches('|').count(), bars, "{text}");
        }
        assert_eq!(
            text.matches("**").count(),
            2 * results.hit_ratio.len(),
            "{text}"
        );
        assert!(rows[1].starts_with("| zipf"), "{text}");
    }
}
