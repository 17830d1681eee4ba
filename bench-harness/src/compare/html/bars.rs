//! Panels of horizontal bars: one group per value of the axis that stands side by side, one bar per server, its figure and
//! its ratio to the baseline at its end. Each group is scaled to its own longest bar, since a pipeline of 64 dwarfs one of 1.

use super::svg::{Anchor, Svg};
use super::text::fitted;

/// One bar.
#[derive(Debug)]
pub(super) struct Bar {
    /// Which colour.
    pub(super) class: String,
    /// The server.
    pub(super) label: String,
    /// Its length.
    pub(super) value: f64,
    /// What of it, from the left, is the same for all and drawn pale.
    pub(super) base: f64,
    /// Lowest and highest round.
    pub(super) range: (f64, f64),
    /// The figure.
    pub(super) figure: String,
    /// Beside it, such as the ratio to the baseline.
    pub(super) note: String,
    /// Whether it is the best of its group.
    pub(super) is_best: bool,
}

/// Bars on one scale.
#[derive(Debug)]
pub(super) struct Group {
    /// Empty where there is only one.
    pub(super) title: String,
    pub(super) bars: Vec<Bar>,
}

pub(super) const WIDTH: f64 = 360.0;
const LABEL: f64 = 84.0;
const FIGURES: f64 = 124.0;
const ROW: f64 = 21.0;
const THICK: f64 = 12.0;
const HEAD: f64 = 24.0;
const FONT: f64 = 12.0;

/// A panel of `groups`; `label` says what it shows to who cannot see it. `top` fixes the end of the scale.
pub(super) fn draw(groups: &[Group], top: Option<f64>, label: &str) -> String {
    let mut svg = Svg::new(WIDTH);
    let mut y = 0.0;
    for group in groups {
        if !group.title.is_empty() {
            svg.text("group", (0.0, y + 15.0), Anchor::Start, &group.title);
            y += HEAD;
        }
        let longest = group
            .bars
            .iter()
            .map(|bar| bar.range.1.max(bar.value))
            .fold(0.0, f64::max);
        let unit = (WIDTH - LABEL - FIGURES) / top.unwrap_or(longest).max(f64::MIN_POSITIVE);
        for bar in &group.bars {
            row(&mut svg, bar, y, unit);
            y += ROW;
        }
        y += 8.0;
    }
    svg.finish(y - 4.0, label)
}

fn row(svg: &mut Svg, bar: &Bar, y: f64, unit: f64) {
    let middle = y + ROW / 2.0;
    let (top, baseline) = (middle - THICK / 2.0, middle + 4.0);
    let full = format!("{}: {} {}", bar.label, bar.figure, bar.note);
    svg.text(
        "name",
        (LABEL - 8.0, baseline),
        Anchor::End,
        &fitted(&bar.label, FONT, LABEL - 8.0),
    );
    let base = (bar.base * unit).max(0.0);
    if base > 0.0 {
        svg.bar("base", (LABEL, top), (base, THICK), "");
    }
    let length = (bar.value * unit - base).max(0.0);
    svg.bar(
        &bar.class,
        (LABEL + base, top),
        (length, THICK),
        full.trim(),
    );
    let (low, high) = (LABEL + bar.range.0 * unit, LABEL + bar.range.1 * unit);
    if high - low > 1.0 {
        svg.line("whisker", (low, middle), (high, middle));
        svg.line("whisker", (low, middle - 3.0), (low, middle + 3.0));
        svg.line("whisker", (high, middle - 3.0), (high, middle + 3.0));
    }
    let end = (LABEL + bar.value * unit).max(high) + 7.0;
    let class = if bar.is_best { "figure best" } else { "figure" };
    svg.text(class, (end, baseline), Anchor::Start, &bar.figure);
    svg.text("note", (WIDTH, baseline), Anchor::End, &bar.note);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(value: f64, base: f64) -> Bar {
        Bar {
            class: "s0".to_owned(),
            label: "A".to_owned(),
            value,
            base,
            range: (value, value),
            figure: "figure".to_owned(),
            note: "note".to_owned(),
            is_best: true,
        }
    }

    fn widths(drawn: &str, class: &str) -> Vec<f64> {
        let start = format!("<rect class=\"{class}\"");
        let rects = drawn.lines().filter(|line| line.starts_with(&start));
        let width = |line: &str| {
            line.split("width=\"")
                .nth(1)?
                .split('"')
                .next()?
                .parse()
                .ok()
        };
        rects.filter_map(width).collect()
    }

    #[test]
    fn bars_are_as_long_as_their_values_within_a_group() {
        let groups = [1.0, 10.0].map(|factor| Group {
            title: "g".to_owned(),
            bars: vec![bar(4.0 * factor, 0.0), bar(factor, 0.0)],
        });
        assert_eq!(
            widths(&draw(&groups, None, ""), "s0"),
            [152.0, 38.0, 152.0, 38.0]
        );
    }

    #[test]
    fn a_base_takes_its_part_of_the_bar() {
        let groups = [Group {
            title: String::new(),
            bars: vec![bar(100.0, 80.0)],
        }];
        let drawn = draw(&groups, None, "");
        assert_eq!(
            (widths(&drawn, "base"), widths(&drawn, "s0")),
            (vec![121.6], vec![30.4])
        );
        assert_eq!(widths(&draw(&groups, Some(200.0), ""), "base"), [60.8]);
    }
}
