//! How it was measured: in words, and everything needed to do it again.

use super::tables::pairs;
use super::text::escape;
use crate::compare::format;
use crate::compare::results::{Results, ServerReport};
use crate::compare::scenario::words;

/// The section's inside.
pub(super) fn section(results: &Results) -> String {
    let mut out = String::from("<div class=\"prose\">\n");
    for paragraph in prose(results) {
        out.push_str(&format!("<p>{}</p>\n", escape(&paragraph)));
    }
    out.push_str("</div>\n<h3>Machine</h3>\n");
    out.push_str(&machine(results));
    out.push_str("<h3>Servers</h3>\n<div class=\"commands\">\n");
    for server in &results.servers {
        out.push_str(&command(server));
    }
    out.push_str("</div>\n<h3>To do it again</h3>\n");
    out.push_str(&format!(
        "<pre>{}</pre>\n",
        escape(&again(&results.command_line))
    ));
    out.push_str(&loads(results));
    out + &format!(
        "<details><summary>The scenario</summary><pre>{}</pre></details>\n",
        escape(results.settings.scenario.trim())
    )
}

fn prose(results: &Results) -> Vec<String> {
    let (settings, setting) = (&results.settings, &results.setting);
    let mut paragraphs = Vec::new();
    if !results.cases.is_empty() {
        paragraphs.push(format!(
            "All servers are up at once on CPU {}; those not under load are stopped by a signal, so that none takes CPU from another. \
             The load runs on CPU {} and reaches the server over the loopback interface. Every case visits the servers in turn, {} times over, and who comes first rotates, so that \
             a slow minute of the machine falls on all alike. A measurement takes {} s, after {} s of the same load that are in \
             no figure. Figures are medians of the rounds, with the lowest and the highest; a ratio is the median of the ratios \
             within each round, and ≈ marks one whose rounds lie on both sides of 1.",
            setting.server_cpus, setting.load_cpus, settings.rounds, settings.seconds, settings.warmup_seconds
        ));
        paragraphs.push(
            "CPU per operation is the server's CPU time, user and system, of all its threads, from before the load starts to \
             after it ends, by the operations counted in that time; no warm-up and no filling with keys falls into it. It tells \
             how many CPUs a given load would need, also where the load generator's own CPU bounds the throughput."
                .to_owned(),
        );
        let open = results
            .cases
            .iter()
            .any(|report| report.case.rate.is_some());
        let closed = results
            .cases
            .iter()
            .any(|report| report.case.rate.is_none());
        let mut latency = String::from(
            "Latency is that of every request of all rounds together. A curve ends where ten requests are left above it: beyond, \
             it would be the luck of single requests.",
        );
        if closed {
            latency.push_str(
                " Each connection sends its next pipeline when the last is answered (a closed loop), so latency includes waiting \
                 for one's turn and falls as throughput rises.",
            );
        }
        if open {
            latency.push_str(
                " Cases with a rate send by the clock (an open loop), and latency counts from when a request was due, so that a \
                 pause of the server is seen in full.",
            );
        }
        paragraphs.push(latency);
    }
    if !results.memory.is_empty() {
        paragraphs.push(
            "Bytes per key: a fresh server rests, its resident memory is read, it is filled, rests again, its memory is read \
             again, and it is asked whether it holds every key. The difference by the number of keys, less key and value."
                .to_owned(),
        );
    }
    if !results.hit_ratio.is_empty() {
        paragraphs.push(
            "Hit ratio: a fresh server is told how much memory it may use, and a trace is replayed: a get for every line, and a \
             set after every miss. Beside it stands what was resident in the end, since every server keeps to its bound by an \
             accounting of its own."
                .to_owned(),
        );
    }
    paragraphs
}

fn machine(results: &Results) -> String {
    let (machine, setting) = (&results.machine, &results.setting);
    let guest = if setting.is_virtual {
        " (virtual machine)"
    } else {
        ""
    };
    pairs(&[
        ("Processor", format!("{}{guest}", machine.cpu)),
        ("CPUs available", machine.cpus.to_string()),
        ("Memory", format::size(machine.memory_bytes as f64)),
        ("Kernel", machine.kernel.clone()),
        (
            "Clock governor",
            setting.governor.clone().unwrap_or_default(),
        ),
        ("Servers on CPU", setting.server_cpus.to_string()),
        ("Load on CPU", setting.load_cpus.to_string()),
        ("Began", format::moment(results.started_unix_ms)),
        ("Took", format::span(results.took_seconds)),
        ("larder-bench", results.larder_bench.clone()),
    ])
}

fn command(server: &ServerReport) -> String {
    let mut line = String::new();
    for (name, value) in &server.environment {
        line.push_str(&format!("{name}={} ", words::join(&[value])));
    }
    line.push_str(&server.command);
    if let Some(more) = &server.hit_ratio_arguments {
        line.push_str(&format!("\n  for hit ratios: {more}"));
    }
    let state = match (&server.skipped, &server.version) {
        (Some(reason), _) => format!("skipped: {reason}"),
        (None, Some(version)) => version.clone(),
        (None, None) => "version unknown".to_owned(),
    };
    format!(
        "<div><p><strong>{}</strong> <span>{} · {}</span></p><pre>{}</pre></div>\n",
        escape(&server.label),
        escape(&state),
        server.protocol.name(),
        escape(&line)
    )
}

/// The command line, the program by its name alone: where it lies is this machine's affair.
fn again(command_line: &[String]) -> String {
    let mut words_of = command_line.to_vec();
    if let Some(program) = words_of.first_mut() {
        let name = std::path::Path::new(program)
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        *program = name.unwrap_or_default();
    }
    words::join(&words_of)
}

fn loads(results: &Results) -> String {
    let throughput = results
        .cases
        .iter()
        .map(|report| (&report.name, &report.load_arguments));
    let memory = results
        .memory
        .iter()
        .map(|report| (&report.name, &report.load_arguments));
    let hit_ratio = results
        .hit_ratio
        .iter()
        .map(|report| (&report.name, &report.load_arguments));
    let mut lines = String::new();
    for (name, arguments) in throughput.chain(memory).chain(hit_ratio) {
        lines.push_str(&format!(
            "# {name}\nlarder-bench run {}\n",
            words::join(arguments)
        ));
    }
    format!(
        "<details><summary>The load of every case</summary><pre>{}</pre></details>\n",
        escape(lines.trim_end())
    )
}
