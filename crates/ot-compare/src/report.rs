//! What a comparison found, as data: the JSON record, and what table, page and baseline are made from.

use serde::{Deserialize, Serialize};

use crate::picture::{Picture, Pixels, PlanPair};
use crate::show;

/// Raised when a field changes its meaning, so that an old baseline is refused and not misread.
pub const FORMAT: u32 = 2;

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
    /// What the applications gain and cost with each backend. Absent from the JSON of reports without them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub applications: Vec<ApplicationReport>,
    /// Trainings between distributions that can only be drawn from, against exact plans between samples; in the form of
    /// applications. Absent from the JSON of reports without them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub continuous: Vec<ApplicationReport>,
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
    /// Whether the larger problems and the ε sweep were left out.
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
    /// The ε sweep: every entropic backend at each of [`sweep::REGS`](crate::sweep::REGS), then the exact ones to compare
    /// with. Few problems have one; absent from the JSON of the others, and of reports made before there was a sweep.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sweep: Vec<SweepRow>,
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
        named(&self.backend, &self.setting)
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

/// A point of the ε sweep.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SweepRow {
    /// Relative to the largest cost; null for an exact backend, which has none.
    pub reg: Option<f64>,
    /// As in [`ProblemReport::rows`]: `error` is the bias, `gap` the certified gap, both relative to the optimum.
    #[serde(flatten)]
    pub row: Row,
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

/// n and seconds of every problem of a series on which the row of that label gave an answer.
pub(crate) fn times(points: &[&ProblemReport], label: &str) -> Vec<(f64, f64)> {
    let at = |p: &&ProblemReport| {
        let row = p.rows.iter().find(|row| row.label() == label)?;
        Some((p.n as f64, row.figures()?.seconds))
    };
    points.iter().filter_map(at).collect()
}

/// The problems of a series with what a row's backend tells of its time, and the names of its phases.
pub(crate) fn phases<'a>(
    points: &[&'a ProblemReport],
    label: &str,
) -> (Vec<String>, Vec<(&'a ProblemReport, &'a Figures)>) {
    let mut names: Vec<String> = Vec::new();
    let mut solved = Vec::new();
    for problem in points {
        let row = problem.rows.iter().find(|row| row.label() == label);
        let Some(figures) = row.and_then(Row::figures) else {
            continue;
        };
        for phase in &figures.phases {
            if !names.contains(&phase.name) {
                names.push(phase.name.clone());
            }
        }
        if !figures.phases.is_empty() {
            solved.push((*problem, figures));
        }
    }
    (names, solved)
}

/// k where time grows as n^k, by least squares of logarithms over the last factor of [`GROWTH_OVER`] in n: below that, what a
/// solve costs whatever its size counts. None of less than three sizes.
pub(crate) fn growth(times: &[(f64, f64)]) -> Option<f64> {
    let largest = times.iter().map(|t| t.0).fold(0.0, f64::max);
    let logs: Vec<(f64, f64)> = times
        .iter()
        .filter(|(n, _)| n * GROWTH_OVER >= largest)
        .map(|(n, seconds)| (n.ln(), seconds.ln()))
        .collect();
    if logs.len() < 3 {
        return None;
    }
    let count = logs.len() as f64;
    let mean = |of: &dyn Fn(&(f64, f64)) -> f64| logs.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(&|l| l.0), mean(&|l| l.1));
    let k = mean(&|l| (l.0 - x) * (l.1 - y)) / mean(&|l| (l.0 - x) * (l.0 - x));
    k.is_finite().then_some(k)
}

/// As far as [`growth`] looks.
pub(crate) const GROWTH_OVER: f64 = 20.0;

/// The titles of all series, in order.
pub(crate) fn series(report: &Report) -> Vec<&str> {
    let mut titles: Vec<&str> = Vec::new();
    for title in report.problems.iter().filter_map(|p| p.series.as_deref()) {
        if !titles.contains(&title) {
            titles.push(title);
        }
    }
    titles
}

/// The problems of a series.
pub(crate) fn of_series<'a>(report: &'a Report, title: &str) -> Vec<&'a ProblemReport> {
    let of_it = |p: &&ProblemReport| p.series.as_deref() == Some(title);
    report.problems.iter().filter(of_it).collect()
}

/// The labels of all rows of these problems that gave an answer anywhere, in order.
pub(crate) fn labels<'a>(points: &[&'a ProblemReport]) -> Vec<(String, &'a str)> {
    let mut labels: Vec<(String, &str)> = Vec::new();
    for row in points.iter().flat_map(|p| &p.rows) {
        let label = (row.label(), row.backend.as_str());
        if row.figures().is_some() && !labels.contains(&label) {
            labels.push(label);
        }
    }
    labels
}

/// An application, and how it does with each backend.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ApplicationReport {
    /// Short and stable, such as `retrieval`.
    pub name: String,
    /// For a person.
    pub title: String,
    /// Data, sizes and settings.
    pub description: String,
    /// What is measured of every answer.
    pub figures: Vec<ApplicationFigure>,
    /// One entry per backend.
    pub rows: Vec<ApplicationRow>,
    /// Images that it starts from, with captions. Not in the JSON.
    #[serde(skip)]
    pub inputs: Vec<(String, Pixels)>,
}

/// What is measured of an application's answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplicationFigure {
    /// Such as `accuracy`, with its unit.
    pub name: String,
    /// Whether it is a part, 0 to 1.
    pub part: bool,
}

impl ApplicationFigure {
    /// A value as a person reads it.
    #[must_use]
    pub fn show(&self, value: f64) -> String {
        if self.part {
            format!("{:.1} %", 100.0 * value)
        } else {
            format!("{value:.3}")
        }
    }
}

/// One backend in one application.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ApplicationRow {
    /// The backend's name.
    pub backend: String,
    /// What was set, such as `reg 5e-2`; empty for the defaults.
    pub setting: String,
    /// One for each of [`ApplicationReport::figures`]; empty where there is no answer.
    pub figures: Vec<Option<f64>>,
    /// For all of them, what the application does before the first included.
    pub seconds: Option<f64>,
    /// How many there were.
    pub queries: usize,
    /// Solves that ended short of their tolerance; their figures count all the same.
    pub unconverged: usize,
    /// Why there is no figure.
    pub note: String,
    /// What was made. Not in the JSON.
    #[serde(skip)]
    pub picture: Option<Pixels>,
}

impl ApplicationRow {
    /// Backend and setting, as one name.
    #[must_use]
    pub fn label(&self) -> String {
        named(&self.backend, &self.setting)
    }
}

fn named(backend: &str, setting: &str) -> String {
    if setting.is_empty() {
        backend.to_owned()
    } else {
        format!("{backend} {setting}")
    }
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
    /// Where the time of the last solve went, where the backend tells.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub phases: Vec<PhaseFigures>,
}

/// A part of a solve.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PhaseFigures {
    /// In the backend's words.
    pub name: String,
    /// What it took.
    pub seconds: f64,
    /// How often it was gone through, or its steps.
    pub count: u64,
}

impl PhaseFigures {
    /// The time, and in brackets the count; nothing of what was not gone through.
    #[must_use]
    pub fn show(&self) -> String {
        if self.seconds == 0.0 {
            return "—".to_owned();
        }
        format!(
            "{} ({})",
            show::seconds(self.seconds),
            show::count(self.count)
        )
    }
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
        let swept = self.sweep.iter_mut().map(|point| &mut point.row);
        for row in self.rows.iter_mut().chain(swept) {
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

#[cfg(test)]
pub(crate) mod sample;
