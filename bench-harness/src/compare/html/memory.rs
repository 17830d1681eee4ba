//! The sections on memory and on hit ratios.

use super::bars::{self, Bar};
use super::cases::{Better, by_server, figure};
use super::tables::{self, Cell, Row};
use super::{class, columns};
use crate::compare::format;
use crate::compare::results::{CaseResult, MemoryRound, Results, Round};
use crate::compare::scenario::case::Axis;
use crate::compare::summary::{MemorySummary, Spread, Summary};

/// Bytes per key of the memory cases; `None` when there are none.
pub(super) fn per_key_section(results: &Results) -> Option<String> {
    if results.memory.is_empty() {
        return None;
    }
    let mut out = String::from("<div class=\"panels\">\n");
    let mut rows = Vec::new();
    // On one scale where the payload is the same: panels may then be compared.
    for report in &results.memory {
        let best = Better::Lower.best(
            report
                .results
                .iter()
                .map(|result| result.summary.overhead_per_key.median),
        );
        let payload = (report.case.key_bytes + report.case.value_bytes) as f64;
        let alike = results
            .memory
            .iter()
            .filter(|other| (other.case.key_bytes + other.case.value_bytes) as f64 == payload);
        let top = alike
            .flat_map(|other| {
                other
                    .results
                    .iter()
                    .map(|result| result.summary.bytes_per_key.high)
            })
            .fold(0.0, f64::max);
        let bar = |result: &CaseResult<MemoryRound, MemorySummary>| {
            let (all, overhead) = (
                result.summary.bytes_per_key,
                result.summary.overhead_per_key,
            );
            Bar {
                class: class(results, &result.server),
                label: results.label(&result.server).to_owned(),
                value: all.median,
                base: payload.min(all.median),
                range: (all.low, all.high),
                figure: signed_bytes(overhead.median),
                note: format!("{:.0} in all", all.median),
                is_best: overhead.median == best,
            }
        };
        let group = bars::Group {
            title: String::new(),
            bars: report.results.iter().map(bar).collect(),
        };
        let title = report.case.title();
        out.push_str(&figure(
            &title,
            &bars::draw(&[group], Some(top), &format!("Bytes per key: {title}")),
        ));
        let cells = report
            .results
            .iter()
            .map(|result| memory_cell(result, best))
            .collect();
        rows.push(Row {
            title,
            cells: by_server(results, cells),
        });
    }
    let group = tables::Group {
        title: String::new(),
        rows,
    };
    out.push_str("</div>\n");
    Some(
        out + &tables::matrix(
            "Bytes per key above key and value",
            &columns(results),
            &[group],
        ),
    )
}

/// Bytes with their sign, in as many digits as the end of a bar has room for.
fn signed_bytes(bytes: f64) -> String {
    if bytes.abs() < 99.95 {
        format!("{bytes:+.1} B")
    } else {
        format!("{bytes:+.0} B")
    }
}

fn memory_cell(result: &CaseResult<MemoryRound, MemorySummary>, best: f64) -> (String, Cell) {
    let summary = &result.summary;
    let cell = Cell {
        main: format!("{:.1} B", summary.overhead_per_key.median),
        sub: format!(
            "{} resident · {} empty",
            format::size(summary.full_bytes.median),
            format::size(summary.empty_bytes.median)
        ),
        is_best: summary.overhead_per_key.median == best,
    };
    (result.server.clone(), cell)
}

/// Resident memory while serving: one panel per data set, as it was in the last case on it; `None` without cases.
pub(super) fn resident_section(results: &Results) -> Option<String> {
    let mut sets: Vec<(String, usize)> = Vec::new();
    for (index, report) in results.cases.iter().enumerate() {
        let set = report.case.data_set();
        match sets.iter_mut().find(|(known, _)| *known == set) {
            Some((_, last)) => *last = index,
            None => sets.push((set, index)),
        }
    }
    if sets.is_empty() {
        return None;
    }
    let mut out = String::from("<div class=\"panels\">\n");
    for (_, index) in sets {
        let report = &results.cases[index];
        let best = Better::Lower.best(
            report
                .results
                .iter()
                .map(|result| result.summary.resident_bytes.median),
        );
        let bar = |result: &CaseResult<Round, Summary>| {
            let resident = result.summary.resident_bytes;
            Bar {
                class: class(results, &result.server),
                label: results.label(&result.server).to_owned(),
                value: resident.median,
                base: 0.0,
                range: (resident.low, resident.high),
                figure: format::size(resident.median),
                note: String::new(),
                is_best: resident.median == best,
            }
        };
        let group = bars::Group {
            title: String::new(),
            bars: report.results.iter().map(bar).collect(),
        };
        let title = report
            .case
            .title(&[Axis::Keys, Axis::Value, Axis::Connections]);
        out.push_str(&figure(
            &title,
            &bars::draw(&[group], None, &format!("Resident memory: {title}")),
        ));
    }
    Some(out + "</div>\n")
}

/// Hit ratios; `None` without such cases.
pub(super) fn hit_ratio_section(results: &Results) -> Option<String> {
    if results.hit_ratio.is_empty() {
        return None;
    }
    let mut out = String::from("<div class=\"panels\">\n");
    let mut rows = Vec::new();
    for report in &results.hit_ratio {
        let median = |ratio: &Spread| ratio.median;
        let best = Better::Higher.best(
            report
                .results
                .iter()
                .map(|result| median(&result.summary.hit_ratio)),
        );
        let (mut bars, mut cells) = (Vec::new(), Vec::new());
        for result in &report.results {
            let (ratio, resident) = (
                result.summary.hit_ratio,
                format::size(result.summary.resident_bytes.median),
            );
            bars.push(Bar {
                class: class(results, &result.server),
                label: results.label(&result.server).to_owned(),
                value: ratio.median,
                base: 0.0,
                range: (ratio.low, ratio.high),
                figure: format::percent(ratio.median),
                note: resident.clone(),
                is_best: ratio.median == best,
            });
            let cell = Cell {
                main: format::percent(ratio.median),
                sub: format!(
                    "{resident} resident · {} keys",
                    format::count(result.summary.keys.median as u64)
                ),
                is_best: ratio.median == best,
            };
            cells.push((result.server.clone(), cell));
        }
        let title = report.case.title();
        let group = bars::Group {
            title: String::new(),
            bars,
        };
        out.push_str(&figure(
            &title,
            &bars::draw(&[group], Some(1.0), &format!("Hit ratio: {title}")),
        ));
        rows.push(Row {
            title,
            cells: by_server(results, cells),
        });
    }
    let group = tables::Group {
        title: String::new(),
        rows,
    };
    out.push_str("</div>\n");
    Some(
        out + &tables::matrix(
            "Hit ratio, resident memory afterwards",
            &columns(results),
            &[group],
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_a_key_keep_to_the_room_beside_their_bar() {
        assert_eq!(
            [15.72, 1106.8, -3.0].map(signed_bytes),
            ["+15.7 B", "+1107 B", "-3.0 B"]
        );
    }
}
