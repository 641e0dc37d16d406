//! What `ot solve` prints: one JSON object, or a short table.

use std::fmt::Write;

use kantorovich::{CostKind, Marginals, Problem, Solution};
use serde::Serialize;

/// The JSON object of `ot solve --json`. Its fields are a promise to scripts; a number that is not available or not
/// finite is null.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Report {
    backend: String,
    n: usize,
    m: usize,
    termination: String,
    converged: bool,
    transport_cost: Option<f64>,
    objective: Option<f64>,
    lower_bound: Option<f64>,
    upper_bound: Option<f64>,
    mass: Option<f64>,
    marginal_error: MarginalError,
    iterations: Option<u64>,
    seconds: Option<f64>,
    certify_seconds: Option<f64>,
    extra_bytes: Option<u64>,
    peak_bytes: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct MarginalError {
    source: Option<f64>,
    target: Option<f64>,
}

/// What the solution does not know of itself.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Measured {
    pub(crate) seconds: f64,
    pub(crate) extra_bytes: Option<u64>,
    pub(crate) peak_bytes: Option<u64>,
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

impl Report {
    pub(crate) fn new(problem: &Problem, solution: &Solution, measured: Measured) -> Self {
        let (n, m) = problem.shape();
        let convergence = &solution.convergence;
        let bracket = solution.certificate;
        Self {
            backend: solution.solver.clone(),
            n,
            m,
            termination: convergence.termination.to_string(),
            converged: convergence.converged(),
            transport_cost: finite(solution.transport_cost),
            objective: finite(solution.objective),
            lower_bound: bracket.and_then(|c| finite(c.lower)),
            upper_bound: bracket.and_then(|c| finite(c.upper)),
            mass: finite(solution.mass),
            marginal_error: MarginalError {
                source: finite(convergence.source_error),
                target: finite(convergence.target_error),
            },
            iterations: convergence.iterations,
            seconds: finite(measured.seconds),
            certify_seconds: bracket.map(|_| solution.certify_time.as_secs_f64()),
            extra_bytes: measured.extra_bytes,
            peak_bytes: measured.peak_bytes,
        }
    }

    /// One object on one line.
    pub(crate) fn to_json(&self) -> Result<String, serde_json::Error> {
        Ok(serde_json::to_string(self)? + "\n")
    }

    /// A few aligned lines. `described` is the problem as it was given, `asked` the name given for the backend.
    pub(crate) fn to_text(
        &self,
        described: String,
        problem: &Problem,
        solution: &Solution,
        asked: &str,
    ) -> String {
        let mut text = String::new();
        let mut line = |label: &str, value: String| {
            // A String never refuses.
            let _ = writeln!(text, "{label:<15} {value}");
        };
        let picked = if asked == self.backend {
            String::new()
        } else {
            format!(" (picked by {asked})")
        };
        line("backend", self.backend.clone() + &picked);
        line("problem", described);
        let verdict = if self.converged {
            ""
        } else {
            ": NOT within its tolerance"
        };
        let iterations = match self.iterations {
            None => String::new(),
            Some(1) => ", 1 iteration".to_owned(),
            Some(several) => format!(", {several} iterations"),
        };
        line(
            "termination",
            format!("{}{iterations}{verdict}", self.termination),
        );
        line("transport cost", number(self.transport_cost));
        if self.objective != self.transport_cost {
            line("objective", number(self.objective));
        }
        if solution.reg > 0.0 {
            line("reg", number(finite(solution.reg)));
        }
        if let Some(bracket) = solution.certificate {
            let ends = format!(
                "{} to {}",
                number(self.lower_bound),
                number(self.upper_bound)
            );
            let gap = bracket.relative_gap(problem);
            line(
                "optimum within",
                format!("{ends}, relative gap {}", small(finite(gap))),
            );
        }
        line("mass", number(self.mass));
        let (source, target) = (self.marginal_error.source, self.marginal_error.target);
        line(
            "marginal error",
            format!("source {}, target {}", small(source), small(target)),
        );
        let certify = self
            .certify_seconds
            .map_or(String::new(), |s| format!(", certificate {}", seconds(s)));
        line("time", seconds(self.seconds.unwrap_or(f64::NAN)) + &certify);
        if let Some(extra) = self.extra_bytes {
            line("memory", format!("{} beyond inputs and cost", bytes(extra)));
        }
        text
    }
}

/// A problem in a few words.
pub(crate) fn describe(problem: &Problem) -> String {
    let (n, m) = problem.shape();
    let marginals = match problem.marginals() {
        Marginals::Balanced => "balanced".to_owned(),
        Marginals::Relaxed { gamma_a, gamma_b } => {
            format!("relaxed by gamma {gamma_a} and {gamma_b}")
        }
        Marginals::Partial { mass } => format!("partial, of mass {mass}"),
        _ => "other marginals".to_owned(),
    };
    let cost = match problem.cost().kind() {
        CostKind::Dense(_) => "a cost matrix".to_owned(),
        CostKind::Points(points) => {
            format!("points of dimension {}, {}", points.dim(), points.ground())
        }
        CostKind::Grid(grid) => {
            let dims: Vec<_> = grid.dims().iter().map(ToString::to_string).collect();
            format!("the grid {}", dims.join("×"))
        }
        CostKind::Tree(tree) => format!("paths on a tree of {} nodes", tree.tree().len()),
        _ => "a cost of another kind".to_owned(),
    };
    format!("{n} × {m}, {marginals}, {cost}")
}

/// Ten significant digits, without zeros at the end.
pub(crate) fn number(value: Option<f64>) -> String {
    let Some(value) = value else {
        return "not available".to_owned();
    };
    let rounded: f64 = format!("{value:.9e}").parse().unwrap_or(value);
    if rounded == 0.0 || (1e-4..1e10).contains(&rounded.abs()) {
        format!("{rounded}")
    } else {
        format!("{rounded:e}")
    }
}

/// Two digits, for errors.
fn small(value: Option<f64>) -> String {
    match value {
        None => "not available".to_owned(),
        Some(0.0) => "0".to_owned(),
        Some(value) => format!("{value:.1e}"),
    }
}

fn seconds(value: f64) -> String {
    if value < 1.0 {
        format!("{:.3} ms", value * 1e3)
    } else {
        format!("{value:.3} s")
    }
}

fn bytes(value: u64) -> String {
    match value {
        0..1_000 => format!("{value} B"),
        1_000..1_000_000 => format!("{:.1} kB", value as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", value as f64 / 1e6),
        _ => format!("{:.2} GB", value as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_honest() {
        for (value, shown) in [
            (0.0, "0"),
            (0.1 + 0.2, "0.3"),
            (12345.678901234, "12345.6789"),
            (-2.0, "-2"),
            (1.0e30, "1e30"),
            (1.5e-7, "1.5e-7"),
        ] {
            assert_eq!(number(Some(value)), shown);
        }
        assert_eq!(
            (small(Some(1.234e-9)), small(None)),
            ("1.2e-9".into(), "not available".into())
        );
        assert_eq!(
            (bytes(999), bytes(1_500), bytes(2_000_000_000)),
            ("999 B".into(), "1.5 kB".into(), "2.00 GB".into())
        );
    }
}
