//! The ε sweep: what a smaller regularization costs, and what it buys.
//!
//! On a few real problems every entropic backend runs at each of [`REGS`]. Its bias falls with ε, its time grows, and at
//! some ε it may refuse. Exact backends that can be interrupted stand beside them, with the figures of their own rows.

use std::sync::Arc;
use std::time::Duration;

use solver_api::{Capability, Factory};

use crate::report::{Outcome, ProblemReport, Row, SweepRow};
use crate::run::{Effort, Variant};

/// The problems that are swept: images on a grid, as a digit of few pixels and as a full one, points in many dimensions,
/// and words. None has more than 1100 points a side.
pub const PROBLEMS: [&str; 4] = ["mnist-7-2", "dotmark-classic-32", "cells", "documents"];
/// ε relative to the largest cost. Those of the ordinary rows are among them, and are not solved again.
pub const REGS: [f64; 11] = [
    1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6,
];
/// Limit of one solve beyond that of ordinary rows: by then the curve has told its story.
pub const TIME_LIMIT: Duration = Duration::from_secs(1);
/// No point is solved again once its solves have taken this long together.
pub const BUDGET: Duration = Duration::from_millis(60);

/// Whether the comparison sweeps this problem, unless it is to be quick.
pub(crate) fn is_swept(problem: &ProblemReport) -> bool {
    PROBLEMS.contains(&problem.name.as_str())
}

/// What a point of the sweep may cost, where a row may cost `row`.
pub(crate) fn effort(row: Effort) -> Effort {
    Effort {
        budget: row.budget.min(BUDGET),
        time_limit: row.time_limit.min(TIME_LIMIT),
        ..row
    }
}

/// Exact for costs of their own, which fixtures of matrices don't have.
const CLOSED_FORMS: [&str; 3] = ["line", "circle", "tree"];

/// Who is swept, and who stands beside it.
pub(crate) struct Plan<'a> {
    points: Vec<Variant<'a>>,
    solved_anyway: Vec<String>,
    beside: Vec<&'a str>,
}

impl<'a> Plan<'a> {
    /// Entropic ones among `variants`, the rows of every problem being those of `ordinary`.
    pub(crate) fn new(
        variants: Vec<Variant<'a>>,
        ordinary: &[Variant<'_>],
        factories: &'a [Arc<dyn Factory>],
    ) -> Self {
        let is_beside = |f: &&Arc<dyn Factory>| {
            let has = f.capabilities();
            let is_general = !CLOSED_FORMS.contains(&f.name());
            is_general && has.has(Capability::Exact) && has.has(Capability::Interruptible)
        };
        Self {
            points: variants.into_iter().filter(|v| v.reg.is_some()).collect(),
            solved_anyway: ordinary.iter().map(Variant::label).collect(),
            beside: factories
                .iter()
                .filter(is_beside)
                .map(|f| f.name())
                .collect(),
        }
    }

    /// Solves that a problem costs beyond its ordinary rows.
    pub(crate) fn rows_to_solve(&self) -> usize {
        let anyway = |v: &&Variant<'_>| !self.solved_anyway.contains(&v.label());
        self.points.iter().filter(anyway).count()
    }

    /// The points of a problem, of whose ordinary `rows` those that belong to the sweep are taken over.
    pub(crate) fn run(
        &self,
        rows: &[Row],
        solve: &mut dyn FnMut(&Variant<'_>) -> Outcome,
    ) -> Vec<SweepRow> {
        let point = |variant: &Variant<'_>| {
            let label = variant.label();
            let known = rows.iter().find(|row| row.label() == label).cloned();
            SweepRow {
                reg: variant.reg,
                row: known.unwrap_or_else(|| variant.row(solve(variant))),
            }
        };
        let swept: Vec<SweepRow> = self.points.iter().map(point).collect();
        if swept.is_empty() {
            return swept;
        }
        let beside = rows
            .iter()
            .filter(|row| self.beside.contains(&row.backend.as_str()))
            .map(|row| SweepRow {
                reg: None,
                row: row.clone(),
            });
        swept.into_iter().chain(beside).collect()
    }
}

impl ProblemReport {
    /// The backends that were swept, in order.
    pub(crate) fn swept(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for point in self.sweep.iter().filter(|point| point.reg.is_some()) {
            if !names.contains(&point.row.backend.as_str()) {
                names.push(&point.row.backend);
            }
        }
        names
    }

    /// The exact ones that they are compared with.
    pub(crate) fn beside_sweep(&self) -> impl Iterator<Item = &Row> {
        let exact = self.sweep.iter().filter(|point| point.reg.is_none());
        exact.map(|point| &point.row)
    }
}

#[cfg(test)]
mod tests {
    use kantorovich::Registry;
    use solver_api::{Capabilities, Error, Options, SettingSpec, Solver};

    use super::*;
    use crate::run::{REG_RELATIVE, variants};

    /// A stranger's entropic backend, which is swept without being known by name.
    struct Stranger(Arc<dyn Factory>);

    impl Factory for Stranger {
        fn name(&self) -> &str {
            "of-a-stranger"
        }

        fn summary(&self) -> &str {
            "an entropic backend under another name"
        }

        fn capabilities(&self) -> Capabilities {
            self.0.capabilities()
        }

        fn settings(&self) -> Vec<SettingSpec> {
            self.0.settings()
        }

        fn build(&self, options: &Options) -> Result<Box<dyn Solver>, Error> {
            self.0.build(options)
        }
    }

    fn skipped() -> Outcome {
        Outcome::Skipped {
            message: "counted".to_owned(),
        }
    }

    #[test]
    fn whoever_is_entropic_is_swept_and_no_row_is_solved_twice() {
        let registry = Registry::new();
        let registry = registry
            .clone()
            .with(Stranger(registry.get("sinkhorn").unwrap()));
        let factories: Vec<_> = registry.iter().map(Arc::clone).collect();
        let at = |regs: &[f64]| -> Vec<Variant<'_>> {
            let of_each = factories.iter().map(|f| variants(f.as_ref(), regs));
            of_each.flatten().collect()
        };
        let ordinary = at(&REG_RELATIVE);
        let plan = Plan::new(at(&REGS), &ordinary, &factories);
        let rows: Vec<Row> = ordinary.iter().map(|v| v.row(skipped())).collect();
        let mut solved = Vec::new();
        let points = plan.run(&rows, &mut |variant| {
            solved.push(variant.label());
            skipped()
        });
        assert_eq!(solved.len(), plan.rows_to_solve());
        assert!(solved.iter().all(|s| rows.iter().all(|r| r.label() != *s)));
        let of = |name: &str| points.iter().filter(|p| p.row.backend == name).count();
        assert_eq!(of("of-a-stranger"), REGS.len());
        assert_eq!(of("sinkhorn"), REGS.len());
        let beside: Vec<&str> = points
            .iter()
            .filter(|p| p.reg.is_none())
            .map(|p| p.row.backend.as_str())
            .collect();
        assert!(beside.contains(&"network-simplex"), "{beside:?}");
        // An oracle that can't be interrupted would not come to an end on most problems.
        assert!(!beside.contains(&"lp-minilp"), "{beside:?}");
    }

    #[test]
    fn ordinary_regularizations_are_points_of_the_sweep() {
        assert!(REG_RELATIVE.iter().all(|reg| REGS.contains(reg)));
        assert!(REGS.is_sorted_by(|p, q| p > q));
    }
}
