//! The page's tables. A cell carries the number that it is sorted by.

use std::fmt::Write as _;

use super::Palette;
use super::svg::escape;
use crate::columns::{COLUMNS, ITERATIONS};
use crate::report::{
    ApplicationReport, Outcome, Peers, PhaseFigures, ProblemReport, Report, Row, labels, phases,
};
use crate::show;

struct Sheet(String);

impl Sheet {
    fn new(class: &str, header: &[&str]) -> Self {
        let mut html =
            format!(r#"<div class="scroll"><table class="sortable {class}"><thead><tr>"#);
        for name in header {
            let _ = write!(
                html,
                r#"<th scope="col"><button type="button">{name}</button></th>"#
            );
        }
        html.push_str("</tr></thead><tbody>");
        Self(html)
    }

    fn row(&mut self, class: &str) {
        let _ = write!(self.0, r#"<tr class="{class}">"#);
    }

    fn end_row(&mut self) {
        self.0.push_str("</tr>");
    }

    /// `html` is markup already.
    fn text(&mut self, html: &str) {
        let _ = write!(self.0, "<td>{html}</td>");
    }

    fn number(&mut self, value: Option<f64>, shown: impl Fn(f64) -> String) {
        let _ = match value {
            Some(v) => write!(
                self.0,
                r#"<td class="num" data-v="{v:e}">{}</td>"#,
                shown(v)
            ),
            None => write!(self.0, r#"<td class="num none">—</td>"#),
        };
    }

    fn spanning(&mut self, columns: usize, html: &str) {
        let _ = write!(
            self.0,
            r#"<td class="reason" colspan="{columns}">{html}</td>"#
        );
    }

    fn finish(self) -> String {
        self.0 + "</tbody></table></div>"
    }
}

/// All rows of a problem.
pub(crate) fn of_problem(problem: &ProblemReport, palette: &Palette) -> String {
    of_rows(problem.rows.iter(), palette)
}

/// These rows.
pub(crate) fn of_rows<'a>(rows: impl Iterator<Item = &'a Row>, palette: &Palette) -> String {
    let header: Vec<&str> = ["backend"]
        .into_iter()
        .chain(COLUMNS.iter().map(|column| column.name))
        .collect();
    let mut sheet = Sheet::new("rows", &header);
    for row in rows {
        sheet.row("");
        sheet.text(&format!(
            r#"<span class="name"><i class="dot c{}"></i>{}</span>"#,
            palette.slot(&row.backend),
            escape(&row.label())
        ));
        match &row.outcome {
            Outcome::Solved(figures) => {
                for column in &COLUMNS {
                    let missed = column.name == ITERATIONS && !figures.converged;
                    sheet.number((column.value)(figures), |v| {
                        let shown = (column.shown)(v);
                        if missed {
                            format!(r#"<em title="{}">{shown}</em>"#, figures.termination)
                        } else {
                            shown
                        }
                    });
                }
            }
            Outcome::Refused { kind, message } => {
                let html = format!("refused <b>{}</b>: {}", escape(kind), escape(message));
                sheet.spanning(header.len() - 1, &html);
            }
            Outcome::Skipped { message } => {
                let html = format!("skipped: {}", escape(message));
                sheet.spanning(header.len() - 1, &html);
            }
        }
        sheet.end_row();
    }
    sheet.finish()
}

/// Where the time of a series goes with each backend that tells: a line a size, a column a phase.
pub(crate) fn of_phases(points: &[&ProblemReport], palette: &Palette) -> String {
    let mut html = String::new();
    for (label, backend) in labels(points) {
        let (names, solved) = phases(points, &label);
        if names.is_empty() {
            continue;
        }
        let header: Vec<&str> = ["n", "time", "memory"]
            .into_iter()
            .chain(names.iter().map(String::as_str))
            .collect();
        let mut sheet = Sheet::new("rows", &header);
        for (problem, figures) in solved {
            sheet.row("");
            sheet.number(Some(problem.n as f64), |n| show::count(n as u64));
            sheet.number(Some(figures.seconds), show::seconds);
            sheet.number(figures.extra_bytes.map(|b| b as f64), |b| {
                show::bytes(b as u64)
            });
            for name in &names {
                let phase = figures.phases.iter().find(|p| p.name == *name);
                sheet.number(phase.map(|p| p.seconds), |_| {
                    phase.map(PhaseFigures::show).unwrap_or_default()
                });
            }
            sheet.end_row();
        }
        let _ = write!(
            html,
            r#"<p><span class="name"><i class="dot c{}"></i>{}</span></p>{}"#,
            palette.slot(backend),
            escape(&label),
            sheet.finish()
        );
    }
    html
}

/// One line a problem, one column a backend and setting: the certified gap, and the time.
pub(crate) fn overview(report: &Report, palette: &Palette) -> String {
    let mut labels: Vec<(String, usize)> = Vec::new();
    let problems = || report.problems.iter().filter(|p| p.series.is_none());
    for row in problems().flat_map(|p| &p.rows) {
        let label = (row.label(), palette.slot(&row.backend));
        if !labels.contains(&label) {
            labels.push(label);
        }
    }
    let mut names = vec!["problem".to_owned(), "size".to_owned()];
    names.extend(
        labels
            .iter()
            .map(|(label, slot)| format!(r#"<i class="dot c{slot}"></i>{}"#, escape(label))),
    );
    let header: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut sheet = Sheet::new("overview", &header);
    for problem in problems() {
        sheet.row("");
        sheet.text(&format!(
            r##"<a href="#{}">{}</a>"##,
            escape(&problem.name),
            escape(&problem.title)
        ));
        sheet.number(Some((problem.n * problem.m) as f64), |_| {
            format!("{}&#8239;×&#8239;{}", problem.n, problem.m)
        });
        for (label, _) in &labels {
            let row = problem.rows.iter().find(|r| r.label() == *label);
            let Some(figures) = row.and_then(|r| r.figures()) else {
                let why = match row.map(|r| &r.outcome) {
                    Some(Outcome::Refused { .. }) => "refused",
                    Some(Outcome::Skipped { .. }) => "skipped",
                    _ => "—",
                };
                sheet.text(&format!(r#"<span class="none">{why}</span>"#));
                continue;
            };
            let gap = figures.gap.map_or("no bracket".to_owned(), show::relative);
            sheet.number(Some(figures.seconds), |s| {
                format!(
                    r#"{}<small class="{}">gap {gap}</small>"#,
                    show::seconds(s),
                    grade(figures.gap)
                )
            });
        }
        sheet.end_row();
    }
    sheet.finish()
}

/// How tight a bracket is, in three grades.
fn grade(gap: Option<f64>) -> &'static str {
    match gap {
        Some(gap) if gap <= 1e-9 => "tight",
        Some(gap) if gap <= 1e-2 => "near",
        _ => "loose",
    }
}

/// An application by backend.
pub(crate) fn of_application(application: &ApplicationReport, palette: &Palette) -> String {
    let many = application.rows.iter().any(|row| row.queries > 1);
    let mut header = vec!["backend"];
    header.extend(application.figures.iter().map(|f| f.name.as_str()));
    header.push("time");
    if many {
        header.push("a query");
    }
    header.push("short of tolerance");
    let mut sheet = Sheet::new("rows", &header);
    for row in &application.rows {
        sheet.row("");
        sheet.text(&format!(
            r#"<span class="name"><i class="dot c{}"></i>{}</span>"#,
            palette.slot(&row.backend),
            escape(&row.label())
        ));
        if row.note.is_empty() {
            for (figure, value) in application.figures.iter().zip(&row.figures) {
                sheet.number(*value, |v| format!("<b>{}</b>", figure.show(v)));
            }
            sheet.number(row.seconds, show::seconds);
            if many {
                sheet.number(row.seconds.map(|s| s / row.queries as f64), show::seconds);
            }
            sheet.number(Some(row.unconverged as f64), |n| show::count(n as u64));
        } else {
            sheet.spanning(header.len() - 1, &escape(&row.note));
        }
        sheet.end_row();
    }
    sheet.finish()
}

/// Timings beside other libraries.
pub(crate) fn of_peers(peers: &Peers) -> String {
    let header = [
        "goal",
        "case",
        "ours",
        "time",
        "peer",
        "time",
        "ratio",
        "must",
        "aim",
        "reached",
        "values differ",
        "note",
    ];
    let mut sheet = Sheet::new("peers", &header);
    for row in &peers.rows {
        sheet.row(row.mark());
        sheet.text(&escape(&row.goal));
        sheet.text(&escape(&row.case));
        sheet.text(&escape(&row.ours));
        sheet.number(row.our_seconds, show::seconds);
        sheet.text(&escape(&row.peer));
        sheet.number(row.peer_seconds, show::seconds);
        sheet.number(row.ratio, |r| format!("<b>{}</b>", show::ratio(r)));
        sheet.number(row.must, show::ratio);
        sheet.number(row.aim, show::ratio);
        sheet.text(&format!(r#"<span class="mark-{0}">{0}</span>"#, row.mark()));
        sheet.number(row.disagreement, show::relative);
        sheet.text(&escape(&row.note));
        sheet.end_row();
    }
    sheet.finish()
}
