//! The sections of throughput cases: throughput, CPU per operation and latency, each as panels of charts and a table.

use super::bars::{self, Bar};
use super::curves::{self, Curve};
use super::tables::{self, Cell, Row};
use super::text::escape;
use super::{class, columns};
use crate::compare::facets::{Facet, Facets};
use crate::compare::format;
use crate::compare::results::{CaseReport, Results, Round};
use crate::compare::scenario::Case;
use crate::compare::summary::{Spread, Summary};

type Report = CaseReport<Case, Round, Summary>;

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Better {
    Higher,
    Lower,
}

impl Better {
    pub(super) fn hint(self) -> &'static str {
        match self {
            Self::Higher => "longer is better",
            Self::Lower => "shorter is better",
        }
    }

    /// The best of `values`.
    pub(super) fn best(self, values: impl Iterator<Item = f64>) -> f64 {
        match self {
            Self::Higher => values.fold(f64::MIN, f64::max),
            Self::Lower => values.fold(f64::MAX, f64::min),
        }
    }
}

/// A figure that bars are drawn of.
pub(super) struct Metric {
    pub(super) name: &'static str,
    pub(super) better: Better,
    value: fn(&Summary) -> Spread,
    ratio: fn(&Summary) -> Option<Spread>,
    text: fn(f64) -> String,
    unit: &'static str,
}

/// Operations a second.
pub(super) const THROUGHPUT: Metric = Metric {
    name: "Throughput",
    better: Better::Higher,
    value: |summary| summary.ops_per_second,
    ratio: |summary| summary.throughput_ratio,
    text: format::rate,
    unit: "operations a second",
};

/// Server CPU by operation.
pub(super) const CPU: Metric = Metric {
    name: "CPU per operation",
    better: Better::Lower,
    value: |summary| summary.cpu_us_per_op,
    ratio: |summary| summary.cpu_ratio,
    text: |micros| format!("{} µs", format::significant(micros)),
    unit: "microseconds of server CPU",
};

/// Panels of bars for `metric` and its table.
pub(super) fn bar_section(results: &Results, facets: &Facets, metric: &Metric) -> String {
    let mut out = String::from("<div class=\"panels\">\n");
    for facet in &facets.panels {
        let groups: Vec<bars::Group> = facet
            .cases
            .iter()
            .map(|case| bar_group(results, facets, facet, *case, metric))
            .collect();
        let label = format!("{} in {}: {}", metric.name, metric.unit, facet.title);
        out.push_str(&figure(&facet.title, &bars::draw(&groups, None, &label)));
    }
    out.push_str("</div>\n");
    let table = table_groups(results, facets, |report| {
        metric_row(results, report, metric)
    });
    let caption = format!(
        "{}: every case, median and range of the rounds",
        metric.name
    );
    out + &tables::matrix(&caption, &columns(results), &table)
}

fn bar_group(
    results: &Results,
    facets: &Facets,
    facet: &Facet,
    case: usize,
    metric: &Metric,
) -> bars::Group {
    let report = &results.cases[case];
    let best = metric.better.best(
        report
            .results
            .iter()
            .map(|result| (metric.value)(&result.summary).median),
    );
    let bar = |result: &crate::compare::results::CaseResult<Round, Summary>| {
        let value = (metric.value)(&result.summary);
        Bar {
            class: class(results, &result.server),
            label: results.label(&result.server).to_owned(),
            value: value.median,
            base: 0.0,
            range: (value.low, value.high),
            figure: (metric.text)(value.median),
            note: ratio_text(results, &result.server, (metric.ratio)(&result.summary)),
            is_best: value.median == best,
        }
    };
    let title = match facet.cases.len() {
        1 => String::new(),
        _ => report.case.value(facets.across),
    };
    bars::Group {
        title,
        bars: report.results.iter().map(bar).collect(),
    }
}

/// The ratio to the baseline; `≈` before it where rounds lie on both sides of 1; nothing for the baseline itself.
pub(super) fn ratio_text(results: &Results, server: &str, ratio: Option<Spread>) -> String {
    match ratio {
        Some(ratio) if server != results.settings.baseline => {
            let about = if ratio.contains(1.0) { "≈ " } else { "" };
            format!("{about}{}", format::ratio(ratio.median))
        }
        _ => String::new(),
    }
}

fn metric_row(results: &Results, report: &Report, metric: &Metric) -> Vec<(String, Cell)> {
    let best = metric.better.best(
        report
            .results
            .iter()
            .map(|result| (metric.value)(&result.summary).median),
    );
    let cell = |result: &crate::compare::results::CaseResult<Round, Summary>| {
        let value = (metric.value)(&result.summary);
        let mut sub = format!("{}–{}", (metric.text)(value.low), (metric.text)(value.high));
        let ratio = ratio_text(results, &result.server, (metric.ratio)(&result.summary));
        if !ratio.is_empty() {
            sub = format!("{sub} · {ratio}");
        }
        let cell = Cell {
            main: (metric.text)(value.median),
            sub,
            is_best: value.median == best,
        };
        (result.server.clone(), cell)
    };
    report.results.iter().map(cell).collect()
}

/// The rows of a table laid out as the panels are.
fn table_groups(
    results: &Results,
    facets: &Facets,
    cells: impl Fn(&Report) -> Vec<(String, Cell)>,
) -> Vec<tables::Group> {
    let row = |case: &usize| {
        let report = &results.cases[*case];
        Row {
            title: report.case.value(facets.across),
            cells: by_server(results, cells(report)),
        }
    };
    let group = |facet: &Facet| tables::Group {
        title: facet.title.clone(),
        rows: facet.cases.iter().map(row).collect(),
    };
    facets.panels.iter().map(group).collect()
}

/// One place for each measured server, empty where it has no cell.
pub(super) fn by_server(results: &Results, mut cells: Vec<(String, Cell)>) -> Vec<Option<Cell>> {
    let take = |name: &str| {
        let at = cells.iter().position(|(server, _)| server == name)?;
        Some(cells.remove(at).1)
    };
    let names: Vec<&str> = results
        .measured()
        .map(|server| server.name.as_str())
        .collect();
    names.into_iter().map(take).collect()
}

/// A chart with its heading.
pub(super) fn figure(title: &str, drawing: &str) -> String {
    format!(
        "<figure class=\"panel\"><figcaption>{}</figcaption>\n{drawing}</figure>\n",
        escape(title)
    )
}

/// Latency curves, those of a panel on one scale, and the table of percentiles.
pub(super) fn latency_section(results: &Results, facets: &Facets) -> String {
    let mut out = String::new();
    for facet in &facets.panels {
        let charts: Vec<Vec<Curve<'_>>> = facet
            .cases
            .iter()
            .map(|case| curves_of(results, *case))
            .collect();
        let bounds = curves::bounds(charts.iter().flatten());
        // Few charts need no heading of their own: they are put side by side with all others.
        let is_row = facet.cases.len() > 1;
        if is_row {
            out.push_str(&format!(
                "<h3>{}</h3>\n<div class=\"panels row\">\n",
                escape(&facet.title)
            ));
        }
        for (case, curves) in facet.cases.iter().zip(&charts) {
            let title = match is_row {
                true => results.cases[*case].case.value(facets.across),
                false => facet.title.clone(),
            };
            let label = format!("Latency distribution: {} {title}", facet.title);
            out.push_str(&figure(&title, &curves::draw(curves, bounds, &label)));
        }
        if is_row {
            out.push_str("</div>\n");
        }
    }
    if facets.panels.iter().all(|facet| facet.cases.len() == 1) {
        out = format!("<div class=\"panels\">\n{out}</div>\n");
    }
    let table = table_groups(results, facets, latency_row);
    out + &tables::matrix(
        "Latency: 99th percentile, and the others beneath it",
        &columns(results),
        &table,
    )
}

fn curves_of(results: &Results, case: usize) -> Vec<Curve<'_>> {
    let curve = |result: &'_ crate::compare::results::CaseResult<Round, Summary>| {
        (
            class(results, &result.server),
            results.label(&result.server).to_owned(),
        )
    };
    let all = &results.cases[case].results;
    all.iter()
        .map(|result| {
            let (class, label) = curve(result);
            Curve {
                class,
                label,
                points: &result.summary.latency_curve,
            }
        })
        .collect()
}

fn latency_row(report: &Report) -> Vec<(String, Cell)> {
    let best = Better::Lower.best(
        report
            .results
            .iter()
            .map(|result| result.summary.latency_us.p99),
    );
    let cell = |result: &crate::compare::results::CaseResult<Round, Summary>| {
        let latency = &result.summary.latency_us;
        let cell = Cell {
            main: format::micros(latency.p99),
            sub: format!(
                "p50 {} · p99.9 {} · max {}",
                format::micros(latency.p50),
                format::micros(latency.p99_9),
                format::micros(latency.max)
            ),
            is_best: latency.p99 == best,
        };
        (result.server.clone(), cell)
    };
    report.results.iter().map(cell).collect()
}
