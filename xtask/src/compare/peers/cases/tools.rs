//! Problems from seeds, and calls that are timed.

use std::time::Instant;

use kantorovich::{Batch, Certify, Context, Options, Problem, Reg, Registry, Solution, Solver};
use ot_compare::case::uniform_points;
use serde_json::Value;

use super::super::worker::Timed;
use super::Failure;
use crate::PEAK;

/// A Sinkhorn solver that stops after `iterations`.
pub(super) fn sinkhorn(
    registry: &Registry,
    reg: f64,
    iterations: u64,
    precision: Option<&str>,
) -> Result<Box<dyn Solver>, String> {
    let mut options = Options {
        reg: Some(Reg::Absolute(reg)),
        max_iter: Some(iterations),
        ..Options::default()
    };
    if let Some(precision) = precision {
        options
            .set
            .insert("precision".to_owned(), precision.to_owned());
    }
    registry
        .build("sinkhorn", &options)
        .map_err(|e| e.to_string())
}

pub(super) fn threads(count: usize) -> Result<Context, Failure> {
    Ok(Context::default()
        .with_threads(count)?
        .certified(Certify::Off))
}

pub(super) fn one_thread() -> Result<Context, Failure> {
    threads(1)
}

pub(super) fn with(files: &Value, more: Value) -> Value {
    let mut job = files.clone();
    if let (Value::Object(job), Value::Object(more)) = (&mut job, more) {
        job.extend(more);
    }
    job
}

pub(super) fn solve(
    solver: &dyn Solver,
    problem: &Problem,
    context: &Context,
) -> Result<Timed, String> {
    measured(solver, problem, context).map(|(timed, _)| timed)
}

/// Wall time around the call, set-up included; and the objective.
pub(super) fn measured(
    solver: &dyn Solver,
    problem: &Problem,
    context: &Context,
) -> Result<(Timed, f64), String> {
    solved(solver, problem, context).map(|(timed, solution)| (timed, solution.objective))
}

/// Wall time around the call, set-up included; and the solution.
pub(super) fn solved(
    solver: &dyn Solver,
    problem: &Problem,
    context: &Context,
) -> Result<(Timed, Solution), String> {
    let mut inner = context.clone();
    PEAK.reset_peak_usage();
    let before = PEAK.current_usage();
    let begun = Instant::now();
    let solution = context
        .install(|| solver.solve_with(problem, &mut inner))
        .map_err(|e| e.to_string())?;
    let seconds = begun.elapsed().as_secs_f64();
    let (n, m) = problem.shape();
    let extra = PEAK.peak_usage().saturating_sub(before) as f64 / (8 * n * m) as f64;
    let said = vec![format!("extra memory {extra:.2}× the cost matrix")];
    let timed = Timed {
        seconds,
        value: Some(solution.transport_cost),
        said,
    };
    Ok((timed, solution))
}

pub(super) fn solve_batch(
    solver: &dyn Solver,
    batch: &Batch,
    context: &Context,
) -> Result<Timed, String> {
    let mut inner = context.clone();
    let begun = Instant::now();
    let solved = context.install(|| solver.solve_batch(batch, &mut inner));
    let seconds = begun.elapsed().as_secs_f64();
    let mut total = 0.0;
    for solution in solved {
        total += solution.map_err(|e| e.to_string())?.transport_cost;
    }
    Ok(Timed {
        seconds,
        value: Some(total),
        said: Vec::new(),
    })
}

pub(super) fn clouds(n: usize, dim: usize, seed: u64) -> (Vec<f64>, Vec<f64>) {
    let cloud = |seed| uniform_points(n, dim, seed).into_iter().collect();
    (cloud(2 * seed), cloud(2 * seed + 1))
}

pub(super) fn random_weights(n: usize, seed: u64) -> Vec<f64> {
    let raw: Vec<f64> = uniform_points(n, 1, 1000 + seed)
        .into_iter()
        .map(|w| w + 1e-3)
        .collect();
    let total: f64 = raw.iter().sum();
    raw.into_iter().map(|w| w / total).collect()
}

pub(super) fn random_problem(
    n: usize,
    dim: usize,
    uniform: bool,
    seed: u64,
) -> Result<Problem, Failure> {
    let (x, y) = clouds(n, dim, seed);
    let weights = |k: u64| {
        if uniform {
            vec![1.0 / n as f64; n]
        } else {
            random_weights(n, 2 * seed + k)
        }
    };
    let ground = kantorovich::Ground::parse("sqeuclidean")?;
    Ok(Problem::from_points(
        &weights(0),
        &weights(1),
        &x,
        &y,
        dim,
        ground,
    )?)
}
