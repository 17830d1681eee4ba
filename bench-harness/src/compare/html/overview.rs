//! The overview: ratios to the baseline over all cases, a chart per figure, and in one sentence per server what they say.

use super::strip::{self, Line};
use super::text::escape;
use super::{cases, class};
use crate::compare::format;
use crate::compare::results::Results;
use crate::compare::scenario::case::Axis;
use crate::compare::summary::{Spread, Summary, geometric_mean};

/// A figure with a ratio to the baseline.
struct Figure {
    title: &'static str,
    hint: &'static str,
    ratio: fn(&Summary) -> Option<Spread>,
}

const FIGURES: [Figure; 3] = [
    Figure {
        title: "CPU per operation",
        hint: "to the left is better",
        ratio: |summary| summary.cpu_ratio,
    },
    Figure {
        title: "Throughput",
        hint: "to the right is better",
        ratio: |summary| summary.throughput_ratio,
    },
    Figure {
        title: "Latency, 99th percentile",
        hint: "to the left is better",
        ratio: |summary| summary.p99_ratio,
    },
];

/// The section's inside; `None` without cases, a baseline and something to compare with it.
pub(super) fn section(results: &Results) -> Option<String> {
    let baseline = &results.settings.baseline;
    let others: Vec<&str> = results
        .measured()
        .map(|server| server.name.as_str())
        .filter(|name| name != baseline)
        .collect();
    if results.cases.is_empty() || others.is_empty() || results.measured().count() == others.len() {
        return None;
    }
    let mut out = String::from("<div class=\"panels\">\n");
    for figure in &FIGURES {
        let lines: Vec<Line> = others
            .iter()
            .map(|server| line(results, server, figure.ratio))
            .collect();
        let label = format!(
            "{} of every case relative to {}",
            figure.title,
            results.label(baseline)
        );
        let drawing = strip::draw(&lines, results.label(baseline), &label);
        let drawing = format!("<p class=\"hint\">{}</p>{drawing}", figure.hint);
        out.push_str(&cases::figure(figure.title, &drawing));
    }
    out.push_str("</div>\n<ul class=\"findings\">\n");
    for server in &others {
        out.push_str(&finding(results, server));
    }
    Some(out + "</ul>\n")
}

fn line(results: &Results, server: &str, ratio: fn(&Summary) -> Option<Spread>) -> Line {
    let of_case = |report: &crate::compare::results::CaseReport<_, _, Summary>| {
        let result = report
            .results
            .iter()
            .find(|result| result.server == server)?;
        Some(ratio(&result.summary)?.median)
    };
    let ratios = results.cases.iter().filter_map(|report| {
        let name = report.case.title(&Axis::ALL);
        of_case(report).map(|ratio| (name, ratio))
    });
    Line {
        class: class(results, server),
        label: results.label(server).to_owned(),
        ratios: ratios.collect(),
    }
}

/// What the CPU ratios of `server` say, in words.
fn finding(results: &Results, server: &str) -> String {
    let line = line(results, server, |summary| summary.cpu_ratio);
    let ratios = || line.ratios.iter().map(|(_, ratio)| *ratio);
    let Some(mean) = geometric_mean(ratios()) else {
        return String::new();
    };
    let (low, high) = (
        ratios().fold(f64::MAX, f64::min),
        ratios().fold(0.0, f64::max),
    );
    let count = line.ratios.len();
    let over = match count {
        1 => "in one case".to_owned(),
        _ => format!(
            "on average over {count} cases, from {} to {}",
            format::ratio(low),
            format::ratio(high)
        ),
    };
    format!(
        "<li><i class=\"swatch {}\"></i><span><strong>{}</strong> takes <strong>{}</strong> the CPU of {} for an operation, {over}.</span></li>\n",
        line.class,
        escape(&line.label),
        format::ratio(mean),
        escape(results.label(&results.settings.baseline)),
    )
}
