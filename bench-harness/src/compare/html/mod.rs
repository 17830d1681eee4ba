//! The report as a page of HTML: charts in SVG, tables, how it was measured. One file; no script, font, style or picture comes
//! from elsewhere, so it opens without a network and will open in ten years.
//!
//! Every server has one colour throughout, by its place in the scenario, and its name stands wherever it is drawn, so that
//! nothing hangs on telling colours apart.

mod bars;
mod cases;
mod curves;
mod memory;
mod method;
mod overview;
mod scale;
mod strip;
mod svg;
mod tables;
mod text;

use super::facets::Facets;
use super::format;
use super::results::Results;
use super::scenario::Case;
use text::{anchor, escape};

const STYLE: &str = include_str!("style.css");
/// How many colours the style has; servers beyond them begin anew.
const COLOURS: usize = 8;

/// The page.
pub(crate) fn page(results: &Results) -> String {
    let sections = sections(results);
    let title = escape(&results.settings.title);
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"generator\" content=\"larder-bench {}\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n",
        escape(&results.larder_bench)
    );
    out.push_str(&header(results));
    out.push_str("<nav aria-label=\"Sections\"><ul>\n");
    for section in &sections {
        out.push_str(&format!(
            "<li><a href=\"#{}\">{}</a></li>\n",
            anchor(section.title),
            section.title
        ));
    }
    out.push_str("</ul></nav>\n<main>\n");
    for section in &sections {
        out.push_str(&format!(
            "<section id=\"{}\">\n<h2>{}</h2>\n<p class=\"about\">{}</p>\n{}</section>\n",
            anchor(section.title),
            section.title,
            escape(&section.about),
            section.body
        ));
    }
    out + "</main>\n</body>\n</html>\n"
}

/// A part of the page.
struct Section {
    title: &'static str,
    /// What it shows and how to read it.
    about: String,
    body: String,
}

fn sections(results: &Results) -> Vec<Section> {
    let mut sections = Vec::new();
    let mut add = |title: &'static str, about: String, body: Option<String>| {
        sections.extend(body.map(|body| Section { title, about, body }));
    };
    let baseline = results.label(&results.settings.baseline);
    let relative = format!(
        "Every dot is one case, by its ratio to {baseline}; the large dot is the geometric mean of all of them."
    );
    add("At a glance", relative, overview::section(results));
    if !results.cases.is_empty() {
        let all: Vec<&Case> = results.cases.iter().map(|report| &report.case).collect();
        let facets = Facets::of(&all);
        let common = if facets.common.is_empty() {
            String::new()
        } else {
            format!(" All cases: {}.", facets.common)
        };
        let scaled = format!("bars of a group share a scale; × is relative to {baseline}.{common}");
        for (metric, unit) in [
            (&cases::THROUGHPUT, "Operations a second"),
            (&cases::CPU, "Server CPU for one operation, user and system"),
        ] {
            let about = format!("{unit}: {}, {scaled}", metric.better.hint());
            add(
                metric.name,
                about,
                Some(cases::bar_section(results, &facets, metric)),
            );
        }
        let about = "How long requests took: the further right, the rarer the slow ones. Both axes are logarithmic, and charts of \
                     a row share a scale; lower is better.";
        add(
            "Latency",
            about.to_owned(),
            Some(cases::latency_section(results, &facets)),
        );
    }
    let about = "Resident bytes per key. Pale: key and value; in colour and with its figure: what the server adds. Shorter is better.";
    add(
        "Bytes per key",
        about.to_owned(),
        memory::per_key_section(results),
    );
    let about = "Resident bytes of the server's process after it has served these cases, its buffers included. Shorter is better.";
    add(
        "Memory while serving",
        about.to_owned(),
        memory::resident_section(results),
    );
    let about = "The part of all gets that found their key, all servers being told to keep to the same memory. Longer is better; \
                 beside it what was resident in the end.";
    add(
        "Hit ratio",
        about.to_owned(),
        memory::hit_ratio_section(results),
    );
    add(
        "How it was measured",
        String::new(),
        Some(method::section(results)),
    );
    sections
}

fn header(results: &Results) -> String {
    let (settings, machine, setting) = (&results.settings, &results.machine, &results.setting);
    let mut out = format!(
        "<header>\n<p class=\"eyebrow\">larder-bench compare · {}</p>\n<h1>{}</h1>\n",
        format::moment(results.started_unix_ms),
        escape(&settings.title)
    );
    for paragraph in settings
        .description
        .split("\n\n")
        .filter(|text| !text.trim().is_empty())
    {
        out.push_str(&format!(
            "<p class=\"lead\">{}</p>\n",
            escape(paragraph.trim())
        ));
    }
    let guest = if setting.is_virtual { ", virtual" } else { "" };
    out.push_str(&tables::pairs(&[
        (
            "Machine",
            format!("{}, {} CPUs{guest}", machine.cpu, machine.cpus),
        ),
        ("Kernel", machine.kernel.clone()),
        (
            "CPUs",
            format!(
                "servers {}, load {}",
                setting.server_cpus, setting.load_cpus
            ),
        ),
        (
            "Rounds",
            match results.cases.is_empty() {
                true => String::new(),
                false => format!("{} of {} s", settings.rounds, settings.seconds),
            },
        ),
    ]));
    out.push_str("<ul class=\"servers\">\n");
    for server in &results.servers {
        let (class_name, state) = match (&server.skipped, &server.version) {
            (Some(_), _) => ("skipped".to_owned(), "skipped".to_owned()),
            (None, version) => (
                class(results, &server.name),
                version.clone().unwrap_or_default(),
            ),
        };
        let baseline = if server.name == settings.baseline {
            "<em>baseline</em>"
        } else {
            ""
        };
        out.push_str(&format!(
            "<li class=\"{class_name}\"><i class=\"swatch\"></i><strong>{}</strong><span>{}</span>{baseline}</li>\n",
            escape(&server.label),
            escape(&state)
        ));
    }
    out.push_str("</ul>\n");
    out + &notes(results) + "</header>\n"
}

/// What must be known before the figures are believed.
fn notes(results: &Results) -> String {
    let absences = results.absences();
    if absences.is_empty() && results.warnings.is_empty() {
        return String::new();
    }
    let mut out = String::from("<aside aria-label=\"Notes\"><h2>Before you read on</h2><ul>\n");
    for line in absences.iter().chain(&results.warnings) {
        out.push_str(&format!("<li>{}</li>\n", escape(line)));
    }
    out + "</ul></aside>\n"
}

/// The colour class of the server named `name`.
fn class(results: &Results, name: &str) -> String {
    format!("s{}", results.place(name) % COLOURS)
}

/// Colour class and label of every measured server, for the head of a table.
fn columns(results: &Results) -> Vec<(String, String)> {
    results
        .measured()
        .map(|server| (class(results, &server.name), server.label.clone()))
        .collect()
}

#[cfg(test)]
mod tests;
