//! Balanced problems on a large grid: axis by axis, in the log domain, without a matrix (`ot_entropic::grid`).

use std::sync::Arc;
use std::time::Instant;

use ot_entropic::grid::{End, GridPair, Limits, solve};
use solver_api::{
    Certify, Check, Context, Cost, CostKind, Error, GridCost, GridGround, ImplicitPlan, Marginals,
    Outcome, Plan, Potentials, Problem, Progress, Solution, Termination, certify,
};

use crate::settings::Settings;
use crate::{NAME, SinkhornStabilized};

/// Pairs of positive weight up to which Newton steps on the matrix are faster: they take 4 bytes a pair, here 16 MB.
const PAIRS_IN_A_MATRIX: f64 = (1_u64 << 22) as f64;
/// And the same for sums of distances at a `reg` below this part of the largest cost: without the matrix there is only the
/// plain iteration for them, which stalls there. 0.8 GB.
const PAIRS_OF_DISTANCES: f64 = (1_u64 << 26) as f64;
const LEAST_OF_DISTANCES: f64 = 2e-3;
/// Iterations between two checks.
const CHECK_EVERY: u64 = 10;

/// The grid of a balanced problem with more pairs than a matrix is good for.
pub(crate) fn grid_of(problem: &Problem, reg: f64) -> Option<&GridCost> {
    let CostKind::Grid(grid) = problem.cost().kind() else {
        return None;
    };
    let pairs = problem.a().support_len() as f64 * problem.b().support_len() as f64;
    let balanced = problem.marginals() == Marginals::Balanced;
    let is_hard = grid.ground() != GridGround::SqEuclidean
        && reg < LEAST_OF_DISTANCES * grid.range().max
        && pairs <= PAIRS_OF_DISTANCES;
    (balanced && pairs > PAIRS_IN_A_MATRIX && !is_hard).then_some(grid)
}

/// The plan of potentials at mass 1, in the caller's units.
fn implied(problem: &Problem, f: &[f64], g: &[f64], reg: f64) -> Result<Plan, Error> {
    let mass = problem.mass();
    let s: Arc<[f64]> = problem.b().weights().iter().map(|b| b / mass).collect();
    let (a, cost) = (problem.a().shared_weights(), problem.shared_cost());
    Ok(ImplicitPlan::new(cost, f.into(), g.into(), a, s, reg)?.into())
}

impl SinkhornStabilized {
    /// Solves a problem on a grid. Memory O(n).
    pub(crate) fn solve_on_grid(
        &self,
        problem: &Problem,
        grid: &GridCost,
        reg: f64,
        context: &Context,
        started: Instant,
    ) -> Result<Solution, Error> {
        let mass = problem.mass();
        let at_mass_one = |w: &[f64]| -> Vec<f64> { w.iter().map(|w| w / mass).collect() };
        let (a, b) = (
            at_mass_one(problem.a().weights()),
            at_mass_one(problem.b().weights()),
        );
        let noise = f64::EPSILON * grid.range().max / reg;
        let Settings { max_iter, .. } = *self.settings();
        let tol = self.settings().tol_beside(4.0 * noise);
        let start = match &context.warm_start {
            Some(warm) => {
                warm.check(a.len(), b.len())?;
                let usable = |p: &[f64]| -> Vec<f64> {
                    p.iter()
                        .map(|p| if p.is_finite() { *p } else { 0.0 })
                        .collect()
                };
                Some((usable(&warm.f), usable(&warm.g)))
            }
            None => None,
        };
        let watched = context.certify == Certify::EveryCheck && context.is_observed();
        let mut history = Vec::new();
        let mut stop = context.interrupted();
        let limits = Limits {
            stop: 0.9 * tol,
            max_iter,
            check_every: CHECK_EVERY,
        };
        let pair = GridPair { grid, a: &a, b: &b };
        let start = start.as_ref().map(|(f, g)| (&f[..], &g[..]));
        let answer = solve(pair, reg, start, limits, |seen, f, g| {
            // On the way down the error of a larger ε says nothing of this one.
            let error = if seen.last_level {
                seen.error
            } else {
                f64::INFINITY
            };
            let mut progress = Progress {
                problem: context.problem_index,
                iteration: seen.iteration,
                part: None,
                error,
                tol,
                certificate: None,
                elapsed: started.elapsed(),
            };
            if context.keep_history {
                history.push(Check {
                    iteration: seen.iteration,
                    error,
                    elapsed: progress.elapsed,
                });
            }
            if watched && seen.last_level {
                progress.certificate = implied(problem, f, g, reg)
                    .ok()
                    .map(|plan| certify(problem, &plan, &Potentials::new(f.to_vec(), g.to_vec())));
            }
            if stop.is_none() {
                stop = context.check(&progress);
            }
            stop.is_none()
        });
        let termination = match answer.end {
            End::Converged => Termination::Converged,
            End::IterationLimit => Termination::IterationLimit,
            End::Stalled => Termination::Stalled,
            End::Stopped => stop.unwrap_or(Termination::Stalled),
        };
        let outcome = Outcome {
            plan: implied(problem, &answer.f, &answer.g, reg)?,
            potentials: Potentials::new(answer.f, answer.g),
            reg,
            termination,
            iterations: Some(answer.iterations),
            history,
            certificate: None,
        };
        let mut solution = Solution::assemble(NAME, problem, outcome, started, context);
        let seen = &mut solution.convergence;
        let error = seen.source_error.max(seen.target_error);
        let within = error <= tol;
        if seen.converged() && !within {
            seen.termination = Termination::Stalled;
        } else if seen.termination == Termination::Stalled && within {
            seen.termination = Termination::Converged;
        }
        Ok(solution)
    }
}
