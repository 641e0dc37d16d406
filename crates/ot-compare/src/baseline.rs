//! Whether accuracy has become worse than in an earlier report.

use std::fs;
use std::path::Path;

use solver_api::Termination;

use crate::report::{FORMAT, Figures, Outcome, ProblemReport, Report, Row};
use crate::{Args, Error};

/// What a comparison with an earlier report found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Rows in both reports.
    pub compared: usize,
    /// Rows of the earlier report that this one lacks though its backends and problems were asked for.
    pub missing: Vec<String>,
    /// Rows of the earlier report that this one left out as it was asked to: other backends or problems.
    pub left_out: usize,
    /// Rows that are worse, each with what is worse.
    pub worse: Vec<String>,
}

#[derive(serde::Deserialize)]
struct Format {
    format: u32,
}

/// Reads an earlier `report.json`.
///
/// # Errors
/// A file that can't be read, is no report, or is one of another format.
pub fn read(path: &Path) -> Result<Report, Error> {
    let fail = |reason: String| Error::Baseline {
        path: path.to_owned(),
        reason,
    };
    let text = fs::read_to_string(path).map_err(|e| fail(e.to_string()))?;
    let not_one = |e: serde_json::Error| fail(format!("not a report: {e}"));
    // The format first: another one may lack fields.
    let Format { format } = serde_json::from_str(&text).map_err(not_one)?;
    if format != FORMAT {
        return Err(fail(format!(
            "a report of format {format}, this is format {FORMAT}; make a new one"
        )));
    }
    serde_json::from_str(&text).map_err(not_one)
}

impl Verdict {
    /// Whether something was compared, nothing of it is worse, and nothing is gone.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.compared > 0 && self.worse.is_empty() && self.missing.is_empty()
    }
}

/// Compares `now`, which is what `asked` gave, with `before`, row by row. Times and memory are not judged: they differ from machine to machine.
#[must_use]
pub fn compare(before: &Report, now: &Report, asked: &Args) -> Verdict {
    let mut verdict = Verdict::default();
    for old_problem in &before.problems {
        let wanted = old_problem.is_wanted(&asked.problems, asked.quick);
        let new_problem = now.problems.iter().find(|p| p.name == old_problem.name);
        for (in_sweep, old) in rows(old_problem) {
            let part = if in_sweep { "sweep · " } else { "" };
            let name = format!("{} · {part}{}", old_problem.name, old.label());
            let same = |(s, r): &(bool, &Row)| *s == in_sweep && r.label() == old.label();
            let new = new_problem.and_then(|p| rows(p).find(same));
            let Some((_, new)) = new else {
                let asked_for = wanted && asked.wants_backend(&old.backend);
                if asked_for && !(in_sweep && asked.quick) {
                    verdict.missing.push(name);
                } else {
                    verdict.left_out += 1;
                }
                continue;
            };
            verdict.compared += 1;
            if let Some(what) = worsened(old, new) {
                verdict.worse.push(format!("{name}: {what}"));
            }
        }
    }
    verdict
}

/// The rows of a problem, then the points of its sweep, which are marked.
fn rows(problem: &ProblemReport) -> impl Iterator<Item = (bool, &Row)> {
    let swept = problem.sweep.iter().map(|point| (true, &point.row));
    problem.rows.iter().map(|row| (false, row)).chain(swept)
}

/// What is worse about `new`, if anything is.
fn worsened(old: &Row, new: &Row) -> Option<String> {
    let before = old.figures()?;
    // How far it had come when the clock stopped it, depends on the machine.
    let by_the_clock = before.termination == Termination::TimeLimit.to_string();
    let after = match &new.outcome {
        Outcome::Solved(figures) => figures,
        Outcome::Refused { kind, .. } => return Some(format!("was solved, now refused ({kind})")),
        Outcome::Skipped { .. } => return Some("was solved, now skipped".to_owned()),
    };
    if before.converged && !after.converged {
        return Some(format!(
            "was {}, now {}",
            before.termination, after.termination
        ));
    }
    if by_the_clock {
        return None;
    }
    let marginal = |f: &Figures| Some(f.source_error.max(f.target_error));
    let measures = [
        ("error", before.error, after.error),
        ("certified gap", before.gap, after.gap),
        ("marginal error", marginal(before), marginal(after)),
    ];
    for (name, old_value, new_value) in measures {
        match (old_value, new_value) {
            (Some(was), Some(is)) if is.is_nan() || is.abs() > was.abs() + new.tolerance => {
                return Some(format!(
                    "{name} {:.1e}, was {:.1e} (tolerance {:.0e})",
                    is.abs(),
                    was.abs(),
                    new.tolerance
                ));
            }
            (Some(was), None) => return Some(format!("no {name}, was {:.1e}", was.abs())),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    fn changed(change: impl Fn(&mut Figures)) -> Verdict {
        let before = sample::report();
        let mut now = before.clone();
        for row in now.problems.iter_mut().flat_map(rows_mut) {
            if let Outcome::Solved(figures) = &mut row.outcome {
                change(figures);
            }
        }
        compare(&before, &now, &Args::default())
    }

    #[test]
    fn the_same_report_is_not_worse() {
        let verdict = changed(|_| {});
        assert!(verdict.compared > 3);
        assert!(verdict.worse.is_empty() && verdict.missing.is_empty());
    }

    #[test]
    fn times_are_not_judged() {
        assert!(changed(|f| f.seconds *= 100.0).worse.is_empty());
    }

    #[test]
    fn an_error_may_grow_within_its_rows_tolerance_only() {
        let grown = |by: f64| changed(|f| f.error = f.error.map(|e| e.abs() + by)).worse;
        assert!(grown(0.5e-9).is_empty());
        let exact_only = grown(1e-7);
        assert!(!exact_only.is_empty());
        assert!(
            exact_only.iter().all(|w| !w.contains("sinkhorn")),
            "{exact_only:?}"
        );
        assert!(grown(1e-3).len() > exact_only.len());
    }

    #[test]
    fn an_error_that_is_no_number_is_worse() {
        let verdict = changed(|f| f.error = Some(f64::NAN));
        assert_eq!(verdict.worse.len(), verdict_solved());
        let verdict = changed(|f| f.gap = None);
        assert_eq!(verdict.worse.len(), verdict_solved());
    }

    fn rows_mut(problem: &mut ProblemReport) -> impl Iterator<Item = &mut Row> {
        let swept = problem.sweep.iter_mut().map(|point| &mut point.row);
        problem.rows.iter_mut().chain(swept)
    }

    fn verdict_solved() -> usize {
        let report = sample::report();
        let rows = report.problems.iter().flat_map(rows);
        rows.filter(|(_, r)| r.figures().is_some()).count()
    }

    #[test]
    fn the_sweep_is_judged_where_it_was_asked_for() {
        let before = sample::report();
        let mut now = before.clone();
        let points = now.problems[0].sweep.len();
        let Outcome::Solved(figures) = &mut now.problems[0].sweep[4].row.outcome else {
            panic!("solved in the sample");
        };
        figures.error = figures.error.map(|e| e + 1e-3);
        let verdict = compare(&before, &now, &Args::default());
        assert_eq!(verdict.worse.len(), 1, "{verdict:?}");
        assert!(verdict.worse[0].contains("sweep · stabilized reg 1e-3"));

        now.problems[0].sweep.clear();
        let verdict = compare(&before, &now, &Args::default());
        assert_eq!(verdict.missing.len(), points);
        let quick = Args {
            quick: true,
            ..Args::default()
        };
        let verdict = compare(&before, &now, &quick);
        assert!(
            verdict.passes() && verdict.left_out == points,
            "{verdict:?}"
        );
        // A report from before there was a sweep has nothing to lose.
        assert!(compare(&now, &before, &Args::default()).passes());
    }

    #[test]
    fn what_the_clock_stopped_has_no_figures_to_keep() {
        let mut before = sample::report();
        for row in before.problems.iter_mut().flat_map(rows_mut) {
            if let Outcome::Solved(figures) = &mut row.outcome {
                figures.converged = false;
                figures.termination = "time-limit".into();
                figures.error = Some(0.0);
            }
        }
        let now = sample::report();
        assert!(compare(&before, &now, &Args::default()).worse.is_empty());
    }

    #[test]
    fn a_lost_answer_is_worse_and_a_found_one_is_not() {
        let (before, mut now) = (sample::report(), sample::report());
        for row in now.problems.iter_mut().flat_map(rows_mut) {
            row.outcome = Outcome::Refused {
                kind: "KernelUnderflow".into(),
                message: "reg".into(),
            };
        }
        assert_eq!(
            compare(&before, &now, &Args::default()).worse.len(),
            verdict_solved()
        );
        assert!(compare(&now, &before, &Args::default()).worse.is_empty());
    }

    #[test]
    fn rows_that_are_gone_are_named_and_fail() {
        let before = sample::report();
        let mut now = before.clone();
        now.problems.remove(0);
        let verdict = compare(&before, &now, &Args::default());
        assert_eq!(verdict.missing.len(), rows(&before.problems[0]).count());
        assert!(verdict.missing[0].starts_with(&before.problems[0].name));
        assert!(verdict.compared > 0 && !verdict.passes());

        // A backend that is not compiled in any more.
        let mut now = before.clone();
        for problem in &mut now.problems {
            problem.rows.retain(|row| row.backend != "sinkhorn");
            problem.sweep.retain(|p| p.row.backend != "sinkhorn");
        }
        let verdict = compare(&before, &now, &Args::default());
        assert!(verdict.missing.iter().all(|row| row.contains("sinkhorn")));
        assert!(!verdict.missing.is_empty() && !verdict.passes());
    }

    #[test]
    fn rows_that_nobody_asked_for_are_counted_only() {
        let before = sample::report();
        let first = before.problems[0].name.clone();
        let mut now = before.clone();
        now.problems.truncate(1);
        now.problems[0].rows.retain(|row| row.backend == "sinkhorn");
        now.problems[0]
            .sweep
            .retain(|p| p.row.backend == "sinkhorn");
        let all: usize = before.problems.iter().map(|p| rows(p).count()).sum();
        let kept = rows(&now.problems[0]).count();
        let narrowed = Args {
            backends: vec!["sinkhorn".into()],
            problems: vec![first],
            ..Args::default()
        };
        let verdict = compare(&before, &now, &narrowed);
        assert_eq!(verdict.left_out, all - kept);
        assert!(verdict.missing.is_empty() && verdict.passes());
        // The same report is a loss where everything was asked for.
        assert!(!compare(&before, &now, &Args::default()).passes());

        // `--quick` leaves out large problems, and `auto` runs only where it is named.
        let mut before = sample::report();
        before.problems[1].n = 2000;
        before.problems[1].m = 2000;
        before.problems[0].rows[0].backend = "auto".into();
        let mut now = before.clone();
        let large = now.problems.remove(1);
        now.problems[0].rows.remove(0);
        let points = now.problems[0].sweep.len();
        now.problems[0].sweep.clear();
        let quick = Args {
            quick: true,
            ..Args::default()
        };
        let verdict = compare(&before, &now, &quick);
        assert_eq!(verdict.left_out, large.rows.len() + 1 + points);
        assert!(verdict.passes(), "{verdict:?}");
    }
}
