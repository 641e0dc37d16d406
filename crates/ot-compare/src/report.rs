//! What a comparison found, as data: the JSON record, and what table, page and baseline are made from.

use serde::{Deserialize, Serialize};

use crate::picture::{Picture, PlanPair};

/// Raised when a field changes its meaning, so that an old baseline is refused and not misread.
pub const FORMAT: u32 = 1;

/// A whole comparison.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// [`FORMAT`].
    pub format: u32,
    /// When, where and how.
    pub setup: Setup,
    /// The backends compared, in the registry's order.
    pub backends: Vec<BackendInfo>,
    /// One entry a problem, the scale series last.
    pub problems: Vec<ProblemReport>,
    /// Timings beside other libraries, where they were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peers: Option<Peers>,
    /// Plans drawn side by side; for the page only.
    #[serde(skip)]
    pub plans: Vec<PlanPair>,
}

/// When, where and how a comparison ran.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Setup {
    /// As the caller gave it.
    pub date: String,
    /// The command line, for a reader who wants the same figures.
    pub command: String,
    /// Processor, instruction set, memory.
    pub machine: String,
    /// Threads a solve could use.
    pub threads: usize,
    /// Solves per row at most; slow rows are solved fewer times.
    pub repeat: usize,
    /// Whether the larger problems were left out.
    pub quick: bool,
    /// What the whole comparison took.
    pub total_seconds: f64,
}

/// A backend of the registry.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BackendInfo {
    /// Its name.
    pub name: String,
    /// One line on what it is.
    pub summary: String,
    /// Its capabilities by name.
    pub capabilities: Vec<String>,
}

/// A problem, and how each backend did on it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProblemReport {
    /// Short and stable, such as `mnist-7-2`.
    pub name: String,
    /// For a person, such as `MNIST 7 → 2`.
    pub title: String,
    /// Sizes, units and preparation.
    pub description: String,
    /// `digits`, `images`, … or `scale`; `--problems` takes it.
    pub group: String,
    /// Sources.
    pub n: usize,
    /// Targets.
    pub m: usize,
    /// The metric's name, or `matrix`.
    pub metric: String,
    /// Licence of the data, if any are data.
    pub licence: Option<String>,
    /// The optimum that errors are measured against.
    pub reference: Option<Reference>,
    /// Where this is a point of a series over n: the series' title.
    pub series: Option<String>,
    /// One entry per backend and setting.
    pub rows: Vec<Row>,
    /// What the data look like; for the page only.
    #[serde(skip)]
    pub picture: Option<Picture>,
}

/// The optimum that errors are measured against, and whose word it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reference {
    /// The optimal transport cost.
    pub value: f64,
    /// Such as `POT and HiGHS`, or the backend whose certificate proves it.
    pub by: String,
}

/// One backend, with one setting, on one problem.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Row {
    /// The backend's name.
    pub backend: String,
    /// What was set, such as `reg 1e-2`; empty for the defaults.
    pub setting: String,
    /// By how much errors may grow, relative to the optimum, before a baseline calls them worse.
    pub tolerance: f64,
    /// How it went.
    #[serde(flatten)]
    pub outcome: Outcome,
}

impl Row {
    /// Backend and setting, as one name.
    #[must_use]
    pub fn label(&self) -> String {
        if self.setting.is_empty() {
            self.backend.clone()
        } else {
            format!("{} {}", self.backend, self.setting)
        }
    }

    /// The figures, if there are some.
    #[must_use]
    pub fn figures(&self) -> Option<&Figures> {
        match &self.outcome {
            Outcome::Solved(figures) => Some(figures),
            Outcome::Refused { .. } | Outcome::Skipped { .. } => None,
        }
    }
}

/// How one solve went.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum Outcome {
    /// There is an answer; `termination` says whether it reached its tolerance.
    Solved(Box<Figures>),
    /// The backend returned an error.
    Refused {
        /// The error's kind, such as `KernelUnderflow`.
        kind: String,
        /// What it said.
        message: String,
    },
    /// It was not tried.
    Skipped {
        /// Why.
        message: String,
    },
}

/// What was measured of a solve.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Figures {
    /// Why it stopped.
    pub termination: String,
    /// Whether that was within its tolerance.
    pub converged: bool,
    /// ⟨P, C⟩.
    pub transport_cost: f64,
    /// (⟨P, C⟩ − optimum) / |optimum|; signed, since a plan whose marginals are off can cost less.
    pub error: Option<f64>,
    /// Certified: the optimum is not below.
    pub lower: Option<f64>,
    /// Certified: nor above.
    pub upper: Option<f64>,
    /// (upper − lower) / |optimum|, or over |upper| where the optimum is not known.
    pub gap: Option<f64>,
    /// ‖P1 − a‖₁ over the mass.
    pub source_error: f64,
    /// ‖Pᵀ1 − b‖₁ over the mass.
    pub target_error: f64,
    /// Iterations, pivots or sweeps, where the backend counts them.
    pub iterations: Option<u64>,
    /// Solves timed.
    pub runs: usize,
    /// Their median, without the certificate.
    pub seconds: f64,
    /// The fastest.
    pub seconds_min: f64,
    /// The slowest.
    pub seconds_max: f64,
    /// The certificate alone.
    pub certify_seconds: f64,
    /// Peak memory beyond inputs and cost, where the caller can measure it.
    pub extra_bytes: Option<u64>,
}

/// Timings beside other libraries, on the same arrays, in turn.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Peers {
    /// Versions of what was compared with, such as `POT 0.9.7.post1`.
    pub versions: Vec<String>,
    /// How it was done, in a sentence or two.
    pub method: String,
    /// One entry a comparison.
    pub rows: Vec<PeerRow>,
}

/// One of our solvers beside one peer, on one input.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PeerRow {
    /// The row of the goals that this belongs to.
    pub goal: String,
    /// The input.
    pub case: String,
    /// What ran on our side.
    pub ours: String,
    /// Median seconds.
    pub our_seconds: Option<f64>,
    /// What ran on the other side.
    pub peer: String,
    /// Median seconds.
    pub peer_seconds: Option<f64>,
    /// Their time over ours, in the median of the turns; more is better.
    pub ratio: Option<f64>,
    /// What the ratio must reach.
    pub must: Option<f64>,
    /// What it should reach.
    pub aim: Option<f64>,
    /// |our value − theirs| / |theirs|.
    pub disagreement: Option<f64>,
    /// What the peer said when it failed, and other remarks.
    pub note: String,
}

impl PeerRow {
    /// `aim`, `must` or `short`, by the highest mark that the ratio reaches; `—` where there is none to reach.
    #[must_use]
    pub fn mark(&self) -> &'static str {
        let reaches = |goal: Option<f64>| match (self.ratio, goal) {
            (Some(ratio), Some(goal)) => Some(ratio >= goal),
            _ => None,
        };
        match (reaches(self.must), reaches(self.aim)) {
            (_, Some(true)) => "aim",
            (Some(true), _) => "must",
            (Some(false), _) => "short",
            _ => "—",
        }
    }
}

impl Report {
    /// Sets the reference of problems without an independent one to the narrowest certificate, and fills in all
    /// errors and gaps.
    pub fn settle(&mut self) {
        self.problems.iter_mut().for_each(ProblemReport::settle);
    }
}

impl ProblemReport {
    fn settle(&mut self) {
        if self.reference.is_none() {
            self.reference = self.narrowest_bracket();
        }
        let optimum = self.reference.as_ref().map(|r| r.value);
        for row in &mut self.rows {
            let Outcome::Solved(figures) = &mut row.outcome else {
                continue;
            };
            let scale = optimum.or(figures.upper).map(f64::abs);
            let relative = |difference: f64, scale: f64| {
                if scale > 0.0 {
                    difference / scale
                } else {
                    difference
                }
            };
            figures.error = optimum.map(|v| relative(figures.transport_cost - v, v.abs()));
            figures.gap = match (figures.lower, figures.upper, scale) {
                (Some(lower), Some(upper), Some(scale)) => Some(relative(upper - lower, scale)),
                _ => None,
            };
        }
    }

    /// Only a bracket that pins the optimum to nine digits may stand in for an independent value.
    fn narrowest_bracket(&self) -> Option<Reference> {
        let bracket = |row: &Row| {
            let figures = row.figures()?;
            Some((row.label(), figures.lower?, figures.upper?))
        };
        let (by, lower, upper) = self
            .rows
            .iter()
            .filter_map(bracket)
            .min_by(|x, y| (x.2 - x.1).total_cmp(&(y.2 - y.1)))?;
        (upper - lower <= 1e-9 * upper.abs()).then(|| Reference {
            value: upper,
            by: format!("certificate of {by}"),
        })
    }
}

/// A fixed report for tests: solved, refused and skipped rows, and one that missed its tolerance.
#[cfg(test)]
pub(crate) mod sample {
    use super::*;

    fn solved(cost: f64, lower: f64, upper: f64, marginal: f64, iterations: u64) -> Outcome {
        let converged = marginal < 1e-6;
        Outcome::Solved(Box::new(Figures {
            termination: match (marginal == 0.0, converged) {
                (true, _) => "optimal",
                (_, true) => "converged",
                (_, false) => "iteration-limit",
            }
            .into(),
            converged,
            transport_cost: cost,
            error: None,
            lower: Some(lower),
            upper: Some(upper),
            gap: None,
            source_error: marginal,
            target_error: marginal / 2.0,
            iterations: Some(iterations),
            runs: 5,
            seconds: 1.5e-3 * iterations as f64,
            seconds_min: 1.4e-3 * iterations as f64,
            seconds_max: 1.9e-3 * iterations as f64,
            certify_seconds: 2e-3,
            extra_bytes: Some(4096 * iterations),
        }))
    }

    fn row(backend: &str, setting: &str, tolerance: f64, outcome: Outcome) -> Row {
        Row {
            backend: backend.into(),
            setting: setting.into(),
            tolerance,
            outcome,
        }
    }

    fn problem(name: &str, title: &str, n: usize, reference: Option<f64>) -> ProblemReport {
        ProblemReport {
            name: name.into(),
            title: title.into(),
            description: "made up <for> tests".into(),
            group: name.split('-').next().unwrap_or(name).into(),
            n,
            m: n,
            metric: "sqeuclidean".into(),
            licence: None,
            reference: reference.map(|value| Reference {
                value,
                by: "POT and HiGHS".into(),
            }),
            series: name.starts_with("scale").then(|| "d = 2".into()),
            rows: Vec::new(),
            picture: None,
        }
    }

    /// Three problems, the last two a series without an independent optimum.
    pub(crate) fn report() -> Report {
        let mut first = problem(
            "palettes",
            "Colour palettes, coffee → chelsea",
            24,
            Some(0.25),
        );
        let underflow =
            "`sinkhorn` refuses reg = 1e-3: the kernel underflows; use `sinkhorn-stabilized`";
        first.rows = vec![
            row(
                "network-simplex",
                "",
                1e-9,
                solved(0.25, 0.25, 0.25, 0.0, 60),
            ),
            row(
                "lp-minilp",
                "",
                1e-9,
                solved(0.250_000_000_1, 0.249_999_999_8, 0.250_000_000_1, 0.0, 90),
            ),
            row(
                "sinkhorn",
                "reg 1e-2",
                1e-6,
                solved(0.2503, 0.2496, 0.250_31, 8e-10, 420),
            ),
            row(
                "sinkhorn",
                "reg 1e-3",
                1e-6,
                Outcome::Refused {
                    kind: "KernelUnderflow".into(),
                    message: underflow.into(),
                },
            ),
        ];
        let mut problems = vec![first];
        for n in [250, 500] {
            let mut point = problem(
                &format!("scale-d2-{n}"),
                &format!("{n} random points, d = 2"),
                n,
                None,
            );
            let cost = 2.0 / n as f64;
            point.rows = vec![
                row(
                    "network-simplex",
                    "",
                    1e-9,
                    solved(cost, cost, cost, 0.0, n as u64),
                ),
                row(
                    "lp-minilp",
                    "",
                    1e-9,
                    Outcome::Skipped {
                        message: "62500 pairs; too many".into(),
                    },
                ),
                row(
                    "sinkhorn",
                    "reg 1e-2",
                    1e-6,
                    solved(cost * 1.08, cost * 0.99, cost * 1.09, 3e-5, 10_000),
                ),
            ];
            problems.push(point);
        }
        let backend = |name: &str, summary: &str| BackendInfo {
            name: name.into(),
            summary: summary.into(),
            capabilities: vec!["balanced".into()],
        };
        let mut report = Report {
            format: FORMAT,
            setup: Setup {
                date: "2026-01-02 03:04 UTC".into(),
                command: "cargo xtask compare".into(),
                machine: "a processor".into(),
                threads: 2,
                repeat: 5,
                quick: false,
                total_seconds: 12.5,
            },
            backends: vec![
                backend("network-simplex", "exact, primal simplex"),
                backend("lp-minilp", "exact, linear programming"),
                backend("sinkhorn", "entropic, kernel domain"),
            ],
            problems,
            peers: None,
            plans: Vec::new(),
        };
        report.settle();
        report
    }

    #[test]
    fn a_tight_certificate_stands_in_for_the_missing_optimum() {
        let report = report();
        let series = &report.problems[1];
        assert_eq!(
            series.reference,
            Some(Reference {
                value: 0.008,
                by: "certificate of network-simplex".into()
            })
        );
        let error = series.rows[2].figures().and_then(|f| f.error);
        assert!((error.expect("filled in") - 0.08).abs() < 1e-12);
        assert_eq!(
            report.problems[0].reference.as_ref().map(|r| r.value),
            Some(0.25)
        );
    }

    #[test]
    fn a_report_survives_its_json() {
        let report = report();
        let text = serde_json::to_string(&report).expect("numbers and text");
        let again: Report = serde_json::from_str(&text).expect("its own output");
        let verdict = crate::baseline::compare(&report, &again, &crate::Args::default());
        let rows = report.problems.iter().map(|p| p.rows.len()).sum::<usize>();
        assert_eq!((verdict.compared, verdict.worse.len()), (rows, 0));
        // Numbers may differ in their last bit, so the way back must lose nothing the other way round either.
        let verdict = crate::baseline::compare(&again, &report, &crate::Args::default());
        assert_eq!((verdict.compared, verdict.worse.len()), (rows, 0));
        assert_eq!(again.setup.command, report.setup.command);
    }

    #[test]
    fn a_ratio_is_marked_by_the_highest_goal_it_reaches() {
        let mut row = PeerRow {
            goal: String::new(),
            case: String::new(),
            ours: String::new(),
            our_seconds: None,
            peer: String::new(),
            peer_seconds: None,
            ratio: Some(4.0),
            must: Some(5.0),
            aim: Some(12.0),
            disagreement: None,
            note: String::new(),
        };
        assert_eq!(row.mark(), "short");
        row.ratio = Some(6.0);
        assert_eq!(row.mark(), "must");
        row.ratio = Some(12.0);
        assert_eq!(row.mark(), "aim");
        row.ratio = None;
        assert_eq!(row.mark(), "—");
    }
}
