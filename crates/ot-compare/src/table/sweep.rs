//! The ε sweep as text: one line an ε, three columns a backend, and a line for each exact one beside them.

use std::fmt::Write as _;

use super::Timings;
use crate::report::{Figures, Outcome, ProblemReport, Report, Row};
use crate::show;

const FIRST: &str = "reg";

/// All sweeps of a report, or nothing.
pub(super) fn render(report: &Report, timings: Timings) -> String {
    let swept: Vec<&ProblemReport> = report
        .problems
        .iter()
        .filter(|p| !p.sweep.is_empty())
        .collect();
    if swept.is_empty() {
        return String::new();
    }
    let sheets: Vec<Sheet<'_>> = swept.iter().map(|p| Sheet::new(p, timings)).collect();
    let width = Sheet::width(&sheets);
    let mut text = String::from(
        "ε sweep  reg relative to the largest cost; bias and certified gap relative to the optimum; * missed its tolerance\n\n",
    );
    for (problem, sheet) in swept.iter().zip(&sheets) {
        let _ = writeln!(
            text,
            "{}  {} · {} × {}",
            problem.name, problem.title, problem.n, problem.m
        );
        sheet.write(&mut text, width);
        for row in problem.beside_sweep() {
            if let Some(figures) = row.figures() {
                beside(&mut text, row, figures, timings);
            }
        }
        text.push('\n');
    }
    text
}

fn beside(text: &mut String, row: &Row, figures: &Figures, timings: Timings) {
    let relative = |v: Option<f64>| v.map_or("not known".to_owned(), show::relative);
    let _ = write!(
        text,
        "  {}: error {}, certified gap {}",
        row.label(),
        relative(figures.error),
        relative(figures.gap)
    );
    if timings == Timings::Shown {
        let _ = write!(text, ", {}", show::seconds(figures.seconds));
    }
    if !figures.converged {
        let _ = write!(text, " ({})", figures.termination);
    }
    text.push('\n');
}

/// What stands in the table of one problem.
struct Sheet<'a> {
    backends: Vec<&'a str>,
    columns: Vec<&'static str>,
    /// Of each ε: its name, and the cells of each backend.
    lines: Vec<(String, Vec<Vec<String>>)>,
}

impl<'a> Sheet<'a> {
    fn new(problem: &'a ProblemReport, timings: Timings) -> Self {
        let mut columns = vec!["bias", "gap"];
        if timings == Timings::Shown {
            columns.push("time");
        }
        let backends = problem.swept();
        let mut regs: Vec<f64> = problem.sweep.iter().filter_map(|point| point.reg).collect();
        regs.sort_by(|p, q| q.total_cmp(p));
        regs.dedup();
        let cells = |reg: f64, backend: &str| {
            let mut here = problem.sweep.iter().filter(|p| p.reg == Some(reg));
            let found = here.find(|p| p.row.backend == backend);
            let mut cells = found.map_or_else(Vec::new, |p| cells(&p.row.outcome));
            cells.resize(3, String::new());
            cells.truncate(columns.len());
            cells
        };
        let lines = regs
            .iter()
            .map(|&reg| {
                let of_each = backends.iter().map(|name| cells(reg, name));
                (format!("{reg:e}"), of_each.collect())
            })
            .collect();
        Self {
            backends,
            columns,
            lines,
        }
    }

    /// Of every cell: that of the widest, and so that a backend's name fits over its cells.
    fn width(sheets: &[Self]) -> usize {
        let cells = sheets
            .iter()
            .flat_map(|s| &s.lines)
            .flat_map(|line| &line.1);
        let widest = cells.flatten().map(|cell| cell.chars().count()).max();
        let names = sheets.iter().flat_map(|sheet| {
            let of_one = |name: &&str| name.chars().count().div_ceil(sheet.columns.len());
            sheet.backends.iter().map(of_one)
        });
        names.chain(widest).chain([4]).max().unwrap_or_default() + 2
    }

    fn write(&self, text: &mut String, width: usize) {
        let group = self.columns.len() * width;
        let first = self.lines.iter().map(|line| line.0.chars().count()).max();
        let first = first.unwrap_or_default().max(FIRST.len());
        let mut line = format!("  {:first$}", "");
        for name in &self.backends {
            let _ = write!(line, "{name:>group$}");
        }
        let _ = writeln!(text, "{line}");
        let mut line = format!("  {FIRST:first$}");
        for name in self.backends.iter().flat_map(|_| &self.columns) {
            let _ = write!(line, "{name:>width$}");
        }
        let _ = writeln!(text, "{line}");
        for (reg, cells) in &self.lines {
            let mut line = format!("  {reg:first$}");
            for cell in cells.iter().flatten() {
                let _ = write!(line, "{cell:>width$}");
            }
            let _ = writeln!(text, "{}", line.trim_end());
        }
    }
}

fn cells(outcome: &Outcome) -> Vec<String> {
    let relative = |v: Option<f64>| v.map_or("—".to_owned(), show::relative);
    match outcome {
        Outcome::Solved(figures) => {
            let missed = if figures.converged { "" } else { "*" };
            vec![
                relative(figures.error) + missed,
                relative(figures.gap),
                show::seconds(figures.seconds),
            ]
        }
        Outcome::Refused { .. } => vec!["refused".to_owned()],
        Outcome::Skipped { .. } => vec!["skipped".to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn the_sweep_of_a_fixed_report() {
        insta::assert_snapshot!(render(&sample::report(), Timings::Hidden));
    }

    #[test]
    fn a_report_without_a_sweep_shows_none() {
        let mut report = sample::report();
        report.problems.iter_mut().for_each(|p| p.sweep.clear());
        assert_eq!(render(&report, Timings::Shown), "");
    }
}
