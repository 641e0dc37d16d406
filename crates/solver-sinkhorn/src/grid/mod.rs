//! Balanced problems on a grid: the kernel is a Kronecker product of small ones, and nobody sees its n² entries.
//!
//! Each problem is cut to the box of cells around its weights, where its kernels are made from the cost by distance
//! (O(Σ dims) exponentials). A product goes axis by axis ([`ot_kernels::separable`]), 2·Σ dims flops a cell. Problems of
//! a batch run side by side, since a product with one array is as fast as one with many.
//!
//! The kernel has no row or column minima taken off, as the cost of staying is 0. Entries that underflow are not known
//! to anybody; where there may be some, the plan is measured in logarithms, and that decides.

mod cut;
mod iterate;

use std::sync::Arc;
use std::time::Instant;

use solver_api::{
    Certify, Context, CostKind, Error, GridCost, ImplicitPlan, Marginals, Measured, Outcome, Plan,
    Potentials, Problem, Solution, Termination, certify, check_feasible,
};

use crate::iterate::{Ended, lightest, safe_exponent};
use crate::solve::resolve_reg;
use crate::{NAME, Sinkhorn};
use cut::Cut;
use iterate::{Vectors, iterate};

/// Operations of a product from which it is shared among threads.
const WORK_TO_SHARE: usize = 1 << 19;
/// Exponents up to which all kernel entries are normal numbers.
const LARGEST: f64 = 708.0;
/// Spread of the cost over ε that leaves scalings ample room.
const SAFE: f64 = 600.0;

/// The grid of a balanced problem whose weights fill enough of it: an iteration with the kernel of its support would
/// take longer than one axis by axis.
pub(crate) fn grid_of(problem: &Problem) -> Option<&GridCost> {
    let CostKind::Grid(grid) = problem.cost().kind() else {
        return None;
    };
    if problem.marginals() != Marginals::Balanced {
        return None;
    }
    let pairs = problem.a().support_len() as f64 * problem.b().support_len() as f64;
    let cells: f64 = grid.dims().iter().map(|&d| d as f64).product();
    let sides: f64 = grid.dims().iter().map(|&d| d as f64).sum();
    (4.0 * pairs >= cells * sides).then_some(grid)
}

/// How far the marginals measured in the kernel domain may be from those of the plan that the potentials imply.
fn noise(range: f64, reg: f64, cells: usize) -> f64 {
    0.5 * f64::EPSILON * (16.0 + (cells as f64).sqrt() + 4.0 * range / reg)
}

/// The refusal of contract 2.
fn refusal(safe_reg: f64, reg: f64, reason: String) -> Error {
    Error::KernelUnderflow {
        solver: NAME.to_owned(),
        reg,
        safe_reg,
        reason,
    }
}

impl Sinkhorn {
    /// Solves a problem on a grid, sharing large products among threads if there are `threads`.
    pub(crate) fn solve_on_grid(
        &self,
        problem: &Problem,
        grid: &GridCost,
        context: &Context,
        threads: usize,
    ) -> Result<Solution, Error> {
        let started = Instant::now();
        check_feasible(problem)?;
        let reg = resolve_reg(self.settings(), problem)?;
        let cut = Cut::new(problem, grid, reg);
        let (range, cells, safe_reg) = (
            cut.range(),
            cut.cells(),
            cut.range() / safe_exponent(SAFE, lightest(problem)),
        );
        let noise = noise(range, reg, cells);
        let limits = self.limits(noise).map_err(|too_narrow| {
            // As for any other cost: a reg that works is named where nobody asked for a tolerance.
            let tol = self.settings().tol();
            if self.settings().tol.is_none() {
                Error::KernelUnderflow {
                    solver: NAME.to_owned(),
                    reg,
                    safe_reg: 4.0 * noise / tol * reg,
                    reason: "rounding in exponents this large moves the marginals".to_owned(),
                }
            } else {
                too_narrow
            }
        })?;
        let share = threads > 1 && cells.saturating_mul(cut.sides()) >= WORK_TO_SHARE;
        let mut vectors = Vectors::new(&cut, share);
        if let Some(warm) = &context.warm_start {
            let (n, m) = problem.shape();
            warm.check(n, m)?;
            vectors.warm(&cut, &warm.g, reg);
        }
        let watched = context.certify == Certify::EveryCheck && context.is_observed();
        let ended = iterate(
            &cut,
            &mut vectors,
            limits,
            context,
            started,
            |vectors, progress| {
                if watched {
                    let parts = implied(problem, &cut, vectors, reg);
                    progress.certificate = parts
                        .ok()
                        .map(|(plan, potentials)| certify(problem, &plan, &potentials));
                }
            },
        );
        let exact = range / reg < LARGEST;
        let mut measured = None;
        let ended = match ended {
            Ok(ended) => {
                measured = exact.then(|| measure(problem, &cut, &mut vectors));
                ended
            }
            Err(out) => {
                if safe_reg > reg {
                    return Err(refusal(safe_reg, reg, out.reason));
                }
                // No larger reg would help.
                vectors.repair();
                Ended {
                    termination: Termination::NumericalFailure,
                    iterations: out.iterations,
                    history: Vec::new(),
                }
            }
        };
        let (plan, potentials) = implied(problem, &cut, &vectors, reg)?;
        let outcome = Outcome {
            plan,
            potentials,
            reg,
            termination: ended.termination,
            iterations: Some(ended.iterations),
            history: ended.history,
            certificate: None,
        };
        let measured = measured.filter(|m| m.transport_cost.is_finite());
        let mut solution = match measured {
            Some(measured) => {
                Solution::assemble_measured(NAME, problem, outcome, measured, started, context)
            }
            None => Solution::assemble(NAME, problem, outcome, started, context),
        };
        let seen = &mut solution.convergence;
        let error = seen.source_error.max(seen.target_error);
        let within = error <= self.settings().tol_beside(2.0 * noise);
        if !within && !exact && (seen.converged() || !error.is_finite()) {
            let reason = format!(
                "kernel entries underflow, which leaves the plan with a marginal error of {error:e}"
            );
            return Err(refusal(safe_reg, reg, reason));
        }
        if !within && seen.converged() {
            seen.termination = Termination::Stalled;
        }
        Ok(solution)
    }
}

/// Marginals and cost of the pair that was measured last: products axis by axis.
fn measure(problem: &Problem, cut: &Cut, vectors: &mut Vectors) -> Measured {
    let ((n, m), mass) = (problem.shape(), problem.mass());
    let (mut sent, mut received) = (vec![0.0; n], vec![0.0; m]);
    cut.each(|k, cell| {
        // u·s is a, up to the rounding of a division.
        sent[cell] = mass * vectors.a[k];
        received[cell] = mass * (vectors.v[k] * vectors.t[k]);
    });
    Measured {
        sent,
        received,
        transport_cost: mass * vectors.price(cut),
    }
}

/// The plan and the potentials of the pair (u, v): f = ε log(u/a), g = ε log(v/b).
fn implied(
    problem: &Problem,
    cut: &Cut,
    vectors: &Vectors,
    reg: f64,
) -> Result<(Plan, Potentials), Error> {
    let (n, m) = problem.shape();
    let (mut f, mut g) = (vec![0.0; n], vec![0.0; m]);
    let potential = |x: f64, w: f64| {
        if w > 0.0 { reg * (x / w).ln() } else { 0.0 }
    };
    cut.each(|k, cell| {
        f[cell] = potential(vectors.u[k], vectors.a[k]);
        g[cell] = potential(vectors.v[k], vectors.b[k]);
    });
    let mass = problem.mass();
    let s: Arc<[f64]> = problem.b().weights().iter().map(|b| b / mass).collect();
    let plan = ImplicitPlan::new(
        problem.shared_cost(),
        f.as_slice().into(),
        g.as_slice().into(),
        problem.a().shared_weights(),
        s,
        reg,
    )?;
    Ok((plan.into(), Potentials::new(f, g)))
}
