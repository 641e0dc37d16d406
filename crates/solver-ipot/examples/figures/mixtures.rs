//! The source's two distributions on the line, and algorithm 1 on the way between them.

use std::sync::Arc;

use solver_api::{
    Checkpoint, Context, DenseCost, Ground, Measure, PointCost, Problem, Reg, Solution, Solver,
};
use solver_ipot::{Ipot, PlanKind, Settings};

use crate::common::Outcome;

/// Points of the line on which the source's two distributions stand.
pub(crate) const BINS: usize = 100;

/// The two margins of figure 2.2, read off its corner: mixtures of two and of three Gaussians on [0, 1], squared
/// distances. (The text states neither means nor widths.)
pub(crate) fn mixtures() -> Outcome<Problem> {
    let x: Vec<f64> = (0..BINS).map(|k| k as f64 / (BINS - 1) as f64).collect();
    let density = |parts: &[(f64, f64, f64)]| {
        let of = |x: f64| {
            let bell = |(w, mean, width): &(f64, f64, f64)| {
                w / width * (-0.5 * ((x - mean) / width).powi(2)).exp()
            };
            parts.iter().map(bell).sum::<f64>()
        };
        Measure::new(x.iter().map(|&x| of(x)).collect::<Vec<_>>()).map(|m| m.normalized())
    };
    let a = density(&[(0.6, 0.2, 0.06), (0.4, 0.55, 0.09)])?;
    let b = density(&[(0.3, 0.35, 0.05), (0.4, 0.65, 0.07), (0.3, 0.85, 0.04)])?;
    let cost = DenseCost::materialize(&PointCost::new(
        x.clone(),
        x.clone(),
        1,
        Ground::SqEuclidean,
    )?)?;
    Ok(Problem::new(a, b, Arc::new(cost))?)
}

/// Algorithm 1 after each number of iterations in `at` (ascending): goes on from its own checkpoints. Ends early where
/// the iterate itself is certified to 1e-12.
pub(crate) fn printed(
    problem: &Problem,
    beta: f64,
    inner: u64,
    at: &[u64],
    mut see: impl FnMut(u64, &Solution) -> Outcome,
) -> Outcome {
    let mut saved: Option<Checkpoint> = None;
    for &iterations in at {
        let solver = Ipot::new(Settings {
            inner,
            max_iter: iterations,
            check_every: u64::MAX,
            tol: 1e-12,
            plan: Some(PlanKind::Implicit),
            ..Settings::printed(Reg::Relative(beta))
        })?;
        let mut context = Context::new().keeping_checkpoint();
        if let Some(saved) = saved.take() {
            context = context.resuming(saved);
        }
        let solution = solver.solve_with(problem, &mut context)?;
        saved = context.checkpoint.take();
        see(iterations, &solution)?;
        if solution.convergence.converged() {
            break;
        }
    }
    Ok(())
}
