//! The overview: for each server one line on which every case is a dot at its ratio to the baseline, and their geometric mean
//! stands out.

use super::scale::Log;
use super::svg::{Anchor, Svg};
use super::text::fitted;
use crate::compare::format;
use crate::compare::summary::geometric_mean;

/// One server's ratios.
#[derive(Debug)]
pub(super) struct Line {
    /// Which colour.
    pub(super) class: String,
    /// The server.
    pub(super) label: String,
    /// The name of each case and its ratio.
    pub(super) ratios: Vec<(String, f64)>,
}

const WIDTH: f64 = super::bars::WIDTH;
const LABEL: f64 = 84.0;
const FIGURE: f64 = 50.0;
const ROW: f64 = 30.0;
const FONT: f64 = 12.0;

/// A chart of `lines`; `baseline` names what 1× is.
pub(super) fn draw(lines: &[Line], baseline: &str, label: &str) -> String {
    let mut svg = Svg::new(WIDTH);
    let all = || {
        lines
            .iter()
            .flat_map(|line| line.ratios.iter().map(|(_, ratio)| *ratio))
    };
    let low = all().fold(1.0, f64::min).max(1e-3) / 1.08;
    let high = all().fold(1.0, f64::max) * 1.08;
    let (left, right) = (LABEL + 4.0, WIDTH - FIGURE - 8.0);
    let scale = Log::new((low, high), (left, right));
    let bottom = ROW * lines.len() as f64 + 4.0;
    let ticks = ticks(low, high);
    for tick in &ticks {
        let x = scale.at(*tick);
        let is_one = (*tick - 1.0).abs() < 1e-9;
        svg.line(if is_one { "one" } else { "grid" }, (x, 2.0), (x, bottom));
        svg.text(
            if is_one { "tick strong" } else { "tick" },
            (x, bottom + 14.0),
            Anchor::Middle,
            &tick_text(*tick),
        );
    }
    svg.text(
        "axis",
        (
            scale.at(1.0).clamp(left + 20.0, right - 20.0),
            bottom + 29.0,
        ),
        Anchor::Middle,
        &format!("1 = {baseline}"),
    );
    for (index, line) in lines.iter().enumerate() {
        row(&mut svg, line, &scale, ROW * (index as f64 + 0.5) + 2.0);
    }
    svg.finish(bottom + 34.0, label)
}

fn row(svg: &mut Svg, line: &Line, scale: &Log, middle: f64) {
    svg.text(
        "name",
        (LABEL - 8.0, middle + 4.0),
        Anchor::End,
        &fitted(&line.label, FONT, LABEL - 8.0),
    );
    let ratios = || line.ratios.iter().map(|(_, ratio)| *ratio);
    let (low, high) = (
        ratios().fold(f64::MAX, f64::min),
        ratios().fold(0.0, f64::max),
    );
    let Some(mean) = geometric_mean(ratios()) else {
        return;
    };
    svg.line(
        &format!("{} span", line.class),
        (scale.at(low), middle),
        (scale.at(high), middle),
    );
    for (case, ratio) in &line.ratios {
        let title = format!("{}, {case}: {}", line.label, format::ratio(*ratio));
        svg.dot(
            &format!("{} speck", line.class),
            (scale.at(*ratio), middle),
            3.5,
            &title,
        );
    }
    let title = format!("{}, geometric mean: {}", line.label, format::ratio(mean));
    svg.dot(
        &format!("{} mean", line.class),
        (scale.at(mean), middle),
        6.0,
        &title,
    );
    svg.text(
        "figure best",
        (WIDTH, middle + 4.0),
        Anchor::End,
        &format::ratio(mean),
    );
}

/// Round ratios in the range, at most about six.
fn ticks(low: f64, high: f64) -> Vec<f64> {
    let fine = [0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5];
    let middle = [0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0];
    let coarse = [
        0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0,
    ];
    let within = |all: &[f64]| -> Vec<f64> {
        all.iter()
            .copied()
            .filter(|tick| (low..=high).contains(tick))
            .collect()
    };
    match high / low {
        factor if factor < 1.6 => within(&fine),
        factor if factor < 6.0 => within(&middle),
        _ => within(&coarse),
    }
}

fn tick_text(ratio: f64) -> String {
    format!("{ratio}×")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_is_a_dot_and_the_mean_stands_out() {
        let line = Line {
            class: "s1".to_owned(),
            label: "B".to_owned(),
            ratios: vec![("one".to_owned(), 0.5), ("two".to_owned(), 2.0)],
        };
        let drawn = draw(&[line], "A", "CPU");
        assert_eq!(drawn.matches("speck").count(), 2);
        assert!(
            drawn.contains("geometric mean: 1.00×") && drawn.contains("1 = A"),
            "{drawn}"
        );
        assert!(
            drawn.contains(">0.5×</text>") && !drawn.contains("NaN"),
            "{drawn}"
        );
    }

    #[test]
    fn a_server_without_ratios_has_a_name_only() {
        let line = Line {
            class: "s1".to_owned(),
            label: "B".to_owned(),
            ratios: Vec::new(),
        };
        let drawn = draw(&[line], "A", "CPU");
        assert!(
            drawn.contains(">B</text>") && !drawn.contains("NaN") && !drawn.contains("speck"),
            "{drawn}"
        );
    }

    #[test]
    fn ticks_always_hold_one() {
        for (low, high) in [(0.9, 1.1), (0.4, 1.2), (0.1, 30.0), (1.0, 1.01)] {
            assert!(ticks(low, high).contains(&1.0), "{low} {high}");
        }
    }
}
