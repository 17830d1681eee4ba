//! The page as a whole: it stands alone, is well formed, and says what was measured and what was not.

use super::*;
use crate::compare::testing::results;

#[test]
fn the_page_stands_alone() {
    let page = page(&results());
    for part in [
        "http://", "https://", "<script", "<link", "<img", "@import", "url(", "src=",
    ] {
        assert!(!page.contains(part), "{part} in the page");
    }
}

#[test]
fn every_element_that_opens_closes_in_order() {
    let page = page(&results());
    let void = ["meta", "!doctype"];
    let mut open: Vec<String> = Vec::new();
    for tag in page.split('<').skip(1) {
        let tag = tag.split('>').next().unwrap();
        let name = tag.split([' ', '\n']).next().unwrap().to_owned();
        if let Some(closed) = name.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(closed), "in {tag}");
        } else if !tag.ends_with('/') && !void.contains(&name.as_str()) {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn names_cannot_become_markup() {
    let mut results = results();
    results.servers[1].label = "<script>alert(1)</script>".to_owned();
    results.settings.description = "a <b> & \"c\"".to_owned();
    let page = page(&results);
    assert!(!page.contains("<script"));
    assert!(
        page.contains("A &amp; B &lt;compared&gt;")
            && page.contains("a &lt;b&gt; &amp; &quot;c&quot;")
    );
}

#[test]
fn every_section_has_its_figures() {
    let page = page(&results());
    for section in [
        "At a glance",
        "Throughput",
        "CPU per operation",
        "Latency",
        "Bytes per key",
        "Memory while serving",
        "Hit ratio",
        "How it was measured",
    ] {
        assert!(page.contains(&format!("<h2>{section}</h2>")), "{section}");
    }
    for figure in [
        "250 k",
        "0.500 µs",
        "2.00×",
        "+15.7 B",
        "64.0%",
        "b 1.0",
        "b-server --port {port}",
        "2024-02-29 12:34 UTC",
    ] {
        assert!(page.contains(figure), "{figure}");
    }
    assert!(page.contains("takes <strong>2.00×</strong> the CPU of The A"));
    assert!(!page.contains("NaN") && !page.contains("inf"));
}

#[test]
fn what_was_skipped_and_what_is_doubtful_is_said_on_top() {
    let page = page(&results());
    let notes = page.find("Before you read on").unwrap();
    let main = page.find("<main>").unwrap();
    assert!(notes < main);
    let notes = &page[notes..main];
    assert!(
        notes.contains("Gone was skipped: its program gone-server was not found"),
        "{notes}"
    );
    assert!(notes.contains("The machine was busy."), "{notes}");
}

#[test]
fn results_of_one_kind_make_a_page_of_that_kind() {
    let mut memory_only = results();
    memory_only.cases.clear();
    memory_only.hit_ratio.clear();
    let page = page(&memory_only);
    assert!(
        page.contains("<h2>Bytes per key</h2>")
            && !page.contains("<h2>Throughput</h2>")
            && !page.contains("At a glance")
    );
}

#[test]
fn results_survive_json() {
    let results = results();
    let text = serde_json::to_string(&results).unwrap();
    let again: Results = serde_json::from_str(&text).unwrap();
    assert_eq!(page(&again), page(&results));
}
