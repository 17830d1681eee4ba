//! Tables of figures: a row per case, a column per server, the median large and what belongs to it small beneath.

use super::text::escape;

/// One figure.
#[derive(Debug)]
pub(super) struct Cell {
    /// The median.
    pub(super) main: String,
    /// Range, ratio and the like.
    pub(super) sub: String,
    /// Whether it is the best of its row.
    pub(super) is_best: bool,
}

/// The figures of one case, by server; none where a server took no part.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) title: String,
    pub(super) cells: Vec<Option<Cell>>,
}

/// Rows under a heading, which is empty where there is only one group.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) title: String,
    pub(super) rows: Vec<Row>,
}

/// A table with this many rows or fewer is open from the start.
const OPEN_ROWS: usize = 8;

/// A table of `groups` with a column for each of `servers` (colour class and label), to be unfolded where it is long.
pub(super) fn matrix(caption: &str, servers: &[(String, String)], groups: &[Group]) -> String {
    let rows: usize = groups.iter().map(|group| group.rows.len()).sum();
    let open = if rows <= OPEN_ROWS { " open" } else { "" };
    let mut out = format!(
        "<details class=\"figures\"{open}><summary>{}</summary><div class=\"scroll\"><table>\n<thead><tr><th scope=\"col\"></th>",
        escape(caption)
    );
    for (class, label) in servers {
        out.push_str(&format!(
            "<th scope=\"col\"><i class=\"swatch {class}\"></i>{}</th>",
            escape(label)
        ));
    }
    out.push_str("</tr></thead>\n");
    for group in groups {
        out.push_str("<tbody>");
        if !group.title.is_empty() {
            let span = servers.len() + 1;
            out.push_str(&format!(
                "<tr class=\"group\"><th scope=\"rowgroup\" colspan=\"{span}\">{}</th></tr>\n",
                escape(&group.title)
            ));
        }
        for row in &group.rows {
            out.push_str(&format!(
                "<tr><th scope=\"row\">{}</th>",
                escape(&row.title)
            ));
            row.cells
                .iter()
                .for_each(|cell| out.push_str(&data(cell.as_ref())));
            out.push_str("</tr>\n");
        }
        out.push_str("</tbody>\n");
    }
    out + "</table></div></details>\n"
}

fn data(cell: Option<&Cell>) -> String {
    match cell {
        None => "<td class=\"none\">–</td>".to_owned(),
        Some(cell) => {
            let class = if cell.is_best { " class=\"best\"" } else { "" };
            format!(
                "<td{class}>{}<small>{}</small></td>",
                escape(&cell.main),
                parts(&cell.sub)
            )
        }
    }
}

/// The parts that dots separate in `text`, each kept on one line.
fn parts(text: &str) -> String {
    let parts = text.split(" · ").filter(|part| !part.is_empty());
    parts
        .map(|part| format!("<span>{}</span>", escape(part)))
        .collect()
}

/// A list of names and values.
pub(super) fn pairs(rows: &[(&str, String)]) -> String {
    let mut out = String::from("<dl class=\"pairs\">");
    for (name, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
        out.push_str(&format!(
            "<div><dt>{}</dt><dd>{}</dd></div>\n",
            escape(name),
            escape(value)
        ));
    }
    out + "</dl>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(rows: usize) -> Vec<Group> {
        let row = |_| Row {
            title: "pipeline 1".to_owned(),
            cells: vec![
                Some(Cell {
                    main: "1.00 M".to_owned(),
                    sub: "<range>".to_owned(),
                    is_best: true,
                }),
                None,
            ],
        };
        vec![Group {
            title: "GET".to_owned(),
            rows: (0..rows).map(row).collect(),
        }]
    }

    #[test]
    fn every_row_has_a_cell_for_every_server() {
        let servers = ["A", "B"].map(|label| ("s0".to_owned(), label.to_owned()));
        let table = matrix("Figures", &servers, &groups(3));
        assert_eq!(table.matches("<td").count(), 6);
        assert!(
            table.contains("&lt;range&gt;") && table.contains("colspan=\"3\""),
            "{table}"
        );
        assert!(table.contains(" open>") && !matrix("F", &servers, &groups(9)).contains(" open>"));
    }

    #[test]
    fn empty_values_are_left_out_of_a_list() {
        let list = pairs(&[("a", "1 < 2".to_owned()), ("b", String::new())]);
        assert!(
            list.contains("1 &lt; 2") && !list.contains("<dt>b</dt>"),
            "{list}"
        );
    }
}
