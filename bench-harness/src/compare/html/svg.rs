//! A drawing in SVG, put together element by element. Colours come from the page's style by class, so that a chart follows
//! the reader's light or dark setting.

use std::fmt::Write;

use super::text::escape;

/// A drawing of a width and, in the end, a height in pixels; it scales with the page.
#[derive(Debug)]
pub(super) struct Svg {
    width: f64,
    body: String,
}

/// Where a text is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

impl Svg {
    pub(super) fn new(width: f64) -> Self {
        Self {
            width,
            body: String::new(),
        }
    }

    /// A rectangle with rounded ends, if it is wide enough to be seen.
    pub(super) fn bar(
        &mut self,
        class: &str,
        (x, y): (f64, f64),
        (width, height): (f64, f64),
        title: &str,
    ) {
        let radius = (height / 4.0).min(width / 2.0);
        self.add(format_args!(
            r#"<rect class="{class}" x="{x:.1}" y="{y:.1}" width="{:.1}" height="{height:.1}" rx="{radius:.1}">{}</rect>"#,
            width.max(0.5),
            tooltip(title)
        ));
    }

    pub(super) fn line(&mut self, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        self.add(format_args!(
            r#"<line class="{class}" x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}"/>"#
        ));
    }

    pub(super) fn dot(&mut self, class: &str, (x, y): (f64, f64), radius: f64, title: &str) {
        self.add(format_args!(
            r#"<circle class="{class}" cx="{x:.1}" cy="{y:.1}" r="{radius}">{}</circle>"#,
            tooltip(title)
        ));
    }

    pub(super) fn path(&mut self, class: &str, points: &[(f64, f64)], title: &str) {
        let mut line = String::new();
        for (index, (x, y)) in points.iter().enumerate() {
            let step = if index == 0 { 'M' } else { 'L' };
            // Writing to a string cannot fail.
            let _ = write!(line, "{step}{x:.1} {y:.1}");
        }
        self.add(format_args!(
            r#"<path class="{class}" d="{line}">{}</path>"#,
            tooltip(title)
        ));
    }

    /// A text whose baseline is at `y`.
    pub(super) fn text(&mut self, class: &str, (x, y): (f64, f64), anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => r#" text-anchor="middle""#,
            Anchor::End => r#" text-anchor="end""#,
        };
        self.add(format_args!(
            r#"<text class="{class}" x="{x:.1}" y="{y:.1}"{anchor}>{}</text>"#,
            escape(text)
        ));
    }

    fn add(&mut self, element: std::fmt::Arguments<'_>) {
        let _ = self.body.write_fmt(element);
        self.body.push('\n');
    }

    /// The drawing, `height` pixels high; `label` says what it shows to who cannot see it.
    pub(super) fn finish(self, height: f64, label: &str) -> String {
        format!(
            "<svg viewBox=\"0 0 {:.0} {height:.0}\" role=\"img\" aria-label=\"{}\">\n{}</svg>\n",
            self.width,
            escape(label),
            self.body
        )
    }
}

fn tooltip(title: &str) -> String {
    if title.is_empty() {
        String::new()
    } else {
        format!("<title>{}</title>", escape(title))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawing_is_well_formed_and_its_texts_are_safe() {
        let mut svg = Svg::new(100.0);
        svg.bar("s0", (0.0, 0.0), (50.0, 10.0), "a < b");
        svg.path("s1", &[(0.0, 0.0), (1.0, 2.0)], "");
        svg.text("t", (5.0, 5.0), Anchor::End, "R&D");
        let text = svg.finish(20.0, "\"quoted\"");
        assert!(text.starts_with("<svg viewBox=\"0 0 100 20\""), "{text}");
        assert!(
            text.contains("<title>a &lt; b</title>") && text.contains("R&amp;D"),
            "{text}"
        );
        assert!(
            text.contains("d=\"M0.0 0.0L1.0 2.0\"") && text.contains("&quot;quoted&quot;"),
            "{text}"
        );
    }
}
