//! Latency distributions: one line per server over a percentile axis on which the tail has room, on a logarithmic scale of
//! time, the servers' names at the lines' ends.

use super::scale::{Log, Percentiles, spread};
use super::svg::{Anchor, Svg};
use super::text::fitted;
use crate::compare::format;

/// One line.
#[derive(Debug)]
pub(super) struct Curve<'a> {
    /// Which colour.
    pub(super) class: String,
    /// The server.
    pub(super) label: String,
    /// Percentile and microseconds, ascending.
    pub(super) points: &'a [(f64, f64)],
}

const WIDTH: f64 = super::bars::WIDTH;
const HEIGHT: f64 = 214.0;
const LEFT: f64 = 46.0;
const RIGHT: f64 = 90.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 36.0;
const FONT: f64 = 11.5;

/// The least and greatest time in `curves`, for charts on a common scale.
pub(super) fn bounds<'a>(curves: impl IntoIterator<Item = &'a Curve<'a>>) -> (f64, f64) {
    let times = curves
        .into_iter()
        .flat_map(|curve| curve.points.iter().map(|(_, micros)| *micros));
    let (low, high) = times.fold((f64::MAX, 0.0), |(low, high): (f64, f64), micros| {
        (low.min(micros), high.max(micros))
    });
    if low > high {
        (1.0, 10.0)
    } else {
        (low.max(0.1), high)
    }
}

/// A chart of `curves` over times of `bounds`; `label` says what it shows to who cannot see it.
pub(super) fn draw(curves: &[Curve<'_>], bounds: (f64, f64), label: &str) -> String {
    let mut svg = Svg::new(WIDTH);
    let (plot_right, plot_bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    let last = curves
        .iter()
        .filter_map(|curve| curve.points.last())
        .map(|point| point.0)
        .fold(0.0, f64::max);
    let across = Percentiles::new(last, (LEFT, plot_right));
    let up = Log::new(bounds, (plot_bottom, TOP));
    for tick in up.ticks() {
        let y = up.at(tick);
        svg.line("grid", (LEFT, y), (plot_right, y));
        svg.text("tick", (LEFT - 6.0, y + 4.0), Anchor::End, &tick_text(tick));
    }
    for (percentile, text) in across.ticks() {
        let x = across.at(percentile);
        svg.line("grid", (x, TOP), (x, plot_bottom));
        svg.text("tick", (x, plot_bottom + 15.0), Anchor::Middle, text);
    }
    svg.text(
        "axis",
        (f64::midpoint(LEFT, plot_right), HEIGHT - 4.0),
        Anchor::Middle,
        "percentile of requests",
    );
    let ends: Vec<f64> = curves
        .iter()
        .map(|curve| up.at(curve.points.last().map_or(1.0, |point| point.1)))
        .collect();
    let places = spread(&ends, FONT + 2.5, (TOP + 2.0, plot_bottom));
    for (curve, (end, place)) in curves.iter().zip(ends.iter().zip(places)) {
        let points: Vec<(f64, f64)> = curve
            .points
            .iter()
            .map(|(percentile, micros)| (across.at(*percentile), up.at(*micros)))
            .collect();
        svg.path(&format!("{} curve", curve.class), &points, &curve.label);
        let stop = points.last().map_or(plot_right, |point| point.0);
        svg.line(
            &format!("{} leader", curve.class),
            (stop, *end),
            (plot_right + 9.0, place),
        );
        let name = fitted(&curve.label, FONT, RIGHT - 13.0);
        svg.text(
            &format!("{} end", curve.class),
            (plot_right + 12.0, place + 4.0),
            Anchor::Start,
            &name,
        );
    }
    svg.finish(HEIGHT, label)
}

/// A round time without needless digits: `50 µs`, `2 ms`.
fn tick_text(micros: f64) -> String {
    let text = format::micros(micros);
    match text.split_once(' ') {
        Some((number, unit)) if number.contains('.') => {
            format!(
                "{} {unit}",
                number.trim_end_matches('0').trim_end_matches('.')
            )
        }
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_end_in_their_names_and_share_a_scale() {
        let (fast, slow) = ([(0.0, 10.0), (99.9, 100.0)], [(0.0, 20.0), (99.9, 1000.0)]);
        let curve = |label: &str, points| Curve {
            class: "s0".to_owned(),
            label: label.to_owned(),
            points,
        };
        let curves = [
            curve("Fast", fast.as_slice()),
            curve("Slow", slow.as_slice()),
        ];
        let bounds = bounds(&curves);
        assert_eq!(bounds, (10.0, 1000.0));
        let drawn = draw(&curves, bounds, "Latency");
        assert_eq!(drawn.matches("<path").count(), 2);
        for text in [
            ">Fast</text>",
            ">Slow</text>",
            ">99.9</text>",
            ">100 µs</text>",
            ">1 ms</text>",
        ] {
            assert!(drawn.contains(text), "{text}: {drawn}");
        }
        assert!(!drawn.contains("NaN"));
    }

    #[test]
    fn nothing_measured_draws_an_empty_chart() {
        let drawn = draw(&[], bounds(&[]), "Latency");
        assert!(
            drawn.starts_with("<svg") && !drawn.contains("NaN"),
            "{drawn}"
        );
    }

    #[test]
    fn ticks_are_short() {
        assert_eq!(
            [50.0, 2000.0, 0.5].map(tick_text),
            ["50 µs", "2 ms", "0.5 µs"]
        );
    }
}
