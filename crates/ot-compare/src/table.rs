//! The comparison as text: one table a problem, columns aligned across all of them.

mod applications;
mod growth;
mod sweep;

use std::fmt::Write as _;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, Width};

use crate::columns::{COLUMNS, Column, Kind};
use crate::report::{Outcome, Peers, ProblemReport, Report, Row};
use crate::show;

/// Rows of reasons may not widen the columns.
const REASON_WIDTH: usize = 110;

/// What the figures of a run may not enter, so that a snapshot stays the same: times and memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timings {
    /// As measured.
    Shown,
    /// Left out.
    Hidden,
}

/// The whole table, grouped by problem, and after it how time grows with n, the ε sweep and the applications.
#[must_use]
pub fn render(report: &Report, timings: Timings) -> String {
    let shown = |column: &&Column| match column.kind {
        Kind::Answer => true,
        Kind::Measurement => timings == Timings::Shown,
        Kind::Detail => false,
    };
    let columns: Vec<&Column> = COLUMNS.iter().filter(shown).collect();
    let header: Vec<&str> = ["backend"]
        .into_iter()
        .chain(columns.iter().map(|column| column.name))
        .collect();
    let blocks: Vec<Vec<Vec<String>>> = report
        .problems
        .iter()
        .map(|p| {
            p.rows
                .iter()
                .filter_map(|row| cells(row, &columns))
                .collect()
        })
        .collect();
    let widths: Vec<usize> = (0..header.len())
        .map(|k| {
            let cells = blocks.iter().flatten().map(|row| row[k].chars().count());
            cells
                .chain([header[k].chars().count()])
                .max()
                .unwrap_or_default()
        })
        .collect();
    let mut text = String::new();
    for (problem, rows) in report.problems.iter().zip(blocks) {
        heading(&mut text, problem);
        if !rows.is_empty() {
            block(&mut text, &header, rows, &widths);
        }
        for row in &problem.rows {
            reason(&mut text, row);
        }
        text.push('\n');
    }
    text + &growth::render(report, timings)
        + &sweep::render(report, timings)
        + &applications::render(report, timings)
}

fn heading(text: &mut String, problem: &ProblemReport) {
    let ProblemReport {
        name, n, m, metric, ..
    } = problem;
    let _ = write!(text, "{name}  {} · {n} × {m}, {metric}", problem.title);
    let _ = match &problem.reference {
        Some(reference) => writeln!(
            text,
            " · optimum {} ({})",
            show::value(reference.value),
            reference.by
        ),
        None => writeln!(text, " · optimum not known"),
    };
}

fn block(text: &mut String, header: &[&str], rows: Vec<Vec<String>>, widths: &[usize]) {
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header);
    table.add_rows(rows);
    for (k, column) in table.column_iter_mut().enumerate() {
        column.set_padding((if k == 0 { 2 } else { 1 }, 1));
        let padding = if k == 0 { 3 } else { 2 };
        column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(
            (widths[k] + padding) as u16,
        )));
        if k > 0 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for line in table.lines() {
        let _ = writeln!(text, "{}", line.trim_end());
    }
}

/// The cells of a row that has figures.
fn cells(row: &Row, columns: &[&Column]) -> Option<Vec<String>> {
    let figures = row.figures()?;
    let cell = |column: &&Column| (column.value)(figures).map_or("—".to_owned(), column.shown);
    Some(
        [row.label()]
            .into_iter()
            .chain(columns.iter().map(cell))
            .collect(),
    )
}

/// One line for what a table can't hold: why there is no answer, or why it missed its tolerance.
fn reason(text: &mut String, row: &Row) {
    let line = match &row.outcome {
        Outcome::Solved(figures) if figures.converged => return,
        Outcome::Solved(figures) => {
            format!("{}: stopped by {}", row.label(), figures.termination)
        }
        Outcome::Refused { kind, message } => {
            format!("{}: refused ({kind}): {message}", row.label())
        }
        Outcome::Skipped { message } => format!("{}: skipped: {message}", row.label()),
    };
    let mut length = 2;
    text.push_str("  ");
    for word in line.split_whitespace() {
        if length + word.chars().count() > REASON_WIDTH {
            text.push_str("\n    ");
            length = 4;
        }
        text.push_str(word);
        text.push(' ');
        length += word.chars().count() + 1;
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
}

/// The peers' table in Markdown, which is readable on a terminal too.
#[must_use]
pub fn render_peers(peers: &Peers) -> String {
    let header = [
        "goal", "case", "ours", "time", "peer", "time", "ratio", "must", "aim", "reached",
        "values", "note",
    ];
    let optional = |v: Option<f64>, show: fn(f64) -> String| v.map_or("—".to_owned(), show);
    let mut rows: Vec<Vec<String>> = vec![header.map(str::to_owned).to_vec()];
    for row in &peers.rows {
        rows.push(vec![
            row.goal.clone(),
            row.case.clone(),
            row.ours.clone(),
            optional(row.our_seconds, show::seconds),
            row.peer.clone(),
            optional(row.peer_seconds, show::seconds),
            optional(row.ratio, show::ratio),
            optional(row.must, show::ratio),
            optional(row.aim, show::ratio),
            row.mark().to_owned(),
            optional(row.disagreement, show::relative),
            row.note.clone(),
        ]);
    }
    let width = |k: usize| rows.iter().map(|r| r[k].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let right = |k: usize| matches!(k, 3 | 5..=8 | 10);
    let mut text = String::new();
    for (k, row) in rows.iter().enumerate() {
        for ((column, cell), &width) in row.iter().enumerate().zip(&widths) {
            let _ = if right(column) {
                write!(text, "| {cell:>width$} ")
            } else {
                write!(text, "| {cell:<width$} ")
            };
        }
        text.push_str("|\n");
        if k == 0 {
            for (column, &width) in widths.iter().enumerate() {
                let dashes = "-".repeat(width + 1);
                let _ = if right(column) {
                    write!(text, "|{dashes}:")
                } else {
                    write!(text, "|{dashes}-")
                };
            }
            text.push_str("|\n");
        }
    }
    let _ = writeln!(text, "\n{}\n{}", peers.versions.join(", "), peers.method);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn growth_is_told_of_three_sizes() {
        let mut report = sample::report();
        assert!(render(&report, Timings::Shown).contains("growth"));
        let first = report.problems.iter().position(|p| p.series.is_some());
        let point = report.problems[first.unwrap()].clone();
        report.problems.retain(|p| p.series.is_none());
        for n in [10, 300, 1000, 3000] {
            let mut point = point.clone();
            point.n = n;
            for row in &mut point.rows {
                if let Outcome::Solved(figures) = &mut row.outcome {
                    // The first is too small to count.
                    figures.seconds = if n == 10 {
                        1.0
                    } else {
                        1e-6 * (n as f64).powf(1.5)
                    };
                }
            }
            report.problems.push(point);
        }
        let text = render(&report, Timings::Shown);
        let line = text.lines().find(|l| l.contains("300 in")).unwrap();
        assert!(line.contains(" 1.50 "), "{line}");
        // And where it goes.
        let is_header = |l: &&str| l.contains("time") && l.trim_end().ends_with("simplex");
        let after = text.lines().skip_while(|l| !is_header(l)).nth(1);
        assert!(after.is_some_and(|l| l.contains("2.00 ms (2)")), "{text}");
    }

    #[test]
    fn the_table_on_a_fixed_report() {
        insta::assert_snapshot!(render(&sample::report(), Timings::Hidden));
    }
}
