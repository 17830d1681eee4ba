//! How throughput cases are laid out for the eye: what varies side by side, what varies from panel to panel, what is constant.

use super::scenario::Case;
use super::scenario::case::Axis;

/// The layout of some cases.
#[derive(Debug)]
pub(crate) struct Facets {
    /// The axis whose values stand side by side in a panel.
    pub(crate) across: Axis,
    /// One for each combination of the other axes that vary, in the order of the cases.
    pub(crate) panels: Vec<Facet>,
    /// What all cases have in common.
    pub(crate) common: String,
}

/// The cases of one panel.
#[derive(Debug)]
pub(crate) struct Facet {
    /// What they have in common and others do not.
    pub(crate) title: String,
    /// Their places among all cases.
    pub(crate) cases: Vec<usize>,
}

impl Facet {
    /// The name of a case of this panel: the panel's, and its value side by side.
    pub(crate) fn title_of(&self, facets: &Facets, case: &Case) -> String {
        let value = case.value(facets.across);
        if value.is_empty() {
            self.title.clone()
        } else {
            format!("{} · {value}", self.title)
        }
    }
}

impl Facets {
    /// Every case with its panel, panel by panel.
    pub(crate) fn cases(&self) -> impl Iterator<Item = (&Facet, usize)> {
        let panels = self.panels.iter();
        panels.flat_map(|facet| facet.cases.iter().map(move |case| (facet, *case)))
    }

    /// The layout of `cases`.
    pub(crate) fn of(cases: &[&Case]) -> Self {
        let varies = |axis: &Axis| {
            cases
                .iter()
                .any(|case| case.value(*axis) != cases[0].value(*axis))
        };
        let (varying, constant): (Vec<Axis>, Vec<Axis>) =
            Axis::ALL.iter().partition(|axis| varies(axis));
        let across = varying.first().copied().unwrap_or(Axis::Pipeline);
        let mut titled: Vec<Axis> = varying
            .iter()
            .copied()
            .filter(|axis| *axis != across)
            .collect();
        // A panel needs a name even where nothing tells it from others.
        titled.push(Axis::Work);
        let mut panels: Vec<Facet> = Vec::new();
        for (index, case) in cases.iter().enumerate() {
            let title = case.title(&titled);
            match panels.iter_mut().find(|panel| panel.title == title) {
                Some(panel) => panel.cases.push(index),
                None => panels.push(Facet {
                    title,
                    cases: vec![index],
                }),
            }
        }
        let told: Vec<Axis> = constant
            .into_iter()
            .filter(|axis| !titled.contains(axis) && *axis != across)
            .collect();
        let common = cases
            .first()
            .map(|case| case.title(&told))
            .unwrap_or_default();
        Self {
            across,
            panels,
            common,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::scenario::Scenario;

    fn scenario(cases: &str) -> Vec<Case> {
        let start =
            "format = 1\ntitle = \"t\"\n[[servers]]\nname = \"a\"\ncommand = \"a {port}\"\n";
        Scenario::parse(format!("{start}[[cases]]\n{cases}"))
            .unwrap()
            .cases
    }

    fn facets(cases: &str) -> Facets {
        let cases = scenario(cases);
        Facets::of(&cases.iter().collect::<Vec<_>>())
    }

    #[test]
    fn pipelines_stand_side_by_side_and_the_rest_makes_panels() {
        let text = "command = [\"GET\", \"SET\"]\npipeline = [1, 16, 64]\nvalue_bytes = [64, 4096]";
        let facets = facets(text);
        assert_eq!(facets.across, Axis::Pipeline);
        let titles: Vec<&str> = facets
            .panels
            .iter()
            .map(|panel| panel.title.as_str())
            .collect();
        assert_eq!(
            titles,
            ["GET · 64 B", "GET · 4 KiB", "SET · 64 B", "SET · 4 KiB"]
        );
        assert_eq!(facets.panels[1].cases, [3, 4, 5]);
        assert_eq!(
            facets.common,
            "keys uniform · 100,000 keys · 50 connections"
        );
    }

    #[test]
    fn what_varies_first_in_order_stands_side_by_side() {
        let facets = facets("command = \"GET\"\nconnections = [1, 50]");
        assert_eq!((facets.across, facets.panels.len()), (Axis::Connections, 1));
        assert_eq!(facets.panels[0].title, "GET");
    }

    #[test]
    fn one_case_is_one_panel() {
        let facets = facets("command = \"GET\"");
        assert_eq!(
            (facets.across, facets.panels[0].cases.len()),
            (Axis::Pipeline, 1)
        );
        assert_eq!(facets.panels[0].title, "GET");
    }
}
