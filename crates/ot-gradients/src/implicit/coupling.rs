//! Derivatives of ⟨P, W⟩, what the entropic plan's mass is worth at fixed prices W, as of the mass between equal labels.
//!
//! With s and t the least-squares fit of W by s ⊕ t under the weights P (the system of the [module](super), with W on
//! its right side), ∂C_ij = −P_ij (W_ij − s_i − t_j)/ε: what the marginals fix anyway does not count.
//!
//! Source: the implicit function theorem at the plan's fixed point, as in Luise et al., *Differential properties of
//! Sinkhorn approximation* (2018), with W in place of C.

use std::sync::Arc;

use solver_api::cost::row_of;
use solver_api::{Cost, Error, Plan, PlanRow, Problem, Solution};

use super::{ConjugateGradient, Hessian, HessianSolver, Shifts};
use crate::input::{require, shape};
use crate::points::CostGradient;

/// The derivative of ⟨P, W⟩ in the cost, O(n + m) beside the plan; a [`CostGradient`], and so good for
/// [`chain_rule`](crate::chain_rule).
#[derive(Debug, Clone)]
pub struct CouplingGradient {
    /// ⟨P, W⟩.
    pub value: f64,
    /// Iterations of the linear solver.
    pub iterations: u64,
    /// What is left of the linear system, in L1 over the mass, in units of W.
    pub residual: f64,
    plan: Plan,
    worth: Arc<dyn Cost>,
    shifts: Shifts,
    reg: f64,
}

/// [`coupling_with`] with [`ConjugateGradient::default`].
///
/// # Errors
/// As there.
pub fn coupling(
    problem: &Problem,
    solution: &Solution,
    worth: Arc<dyn Cost>,
) -> Result<CouplingGradient, Error> {
    coupling_with(problem, solution, worth, &ConjugateGradient::default())
}

/// ⟨P, W⟩ of an entropic solution, balanced or relaxed (reference a⊗b), and its derivative in the cost. W is `worth`,
/// finite, and does not move with anything.
///
/// One linear system of n + m unknowns, solved by `solver`, and two passes over the plan beside it.
///
/// # Errors
/// Shapes that differ, a solution that has not converged, `reg` = 0 (such a plan jumps from vertex to vertex), a partial
/// problem, a W that is not finite, and a linear system that `solver` does not solve to its tolerance.
pub fn coupling_with(
    problem: &Problem,
    solution: &Solution,
    worth: Arc<dyn Cost>,
    solver: &dyn HessianSolver,
) -> Result<CouplingGradient, Error> {
    require(problem, solution)?;
    let (n, m) = problem.shape();
    if worth.shape() != (n, m) {
        let (rows, cols) = worth.shape();
        return Err(shape(
            "worth",
            &[rows, cols],
            format!("the problem is {n}×{m}"),
        ));
    }
    if worth.range().forbidden > 0 {
        return Err(Error::setting(
            "worth",
            f64::INFINITY,
            "entries must be finite",
        ));
    }
    let reg = solution.reg;
    if reg == 0.0 {
        let rule =
            "⟨P, W⟩ has a derivative for reg > 0 only: an exact plan jumps from vertex to vertex";
        return Err(Error::setting("reg", reg, rule));
    }
    let (gamma_a, gamma_b) = super::gammas(problem, reg, "⟨P, W⟩")?;
    let (hessian, _, _) = Hessian::of(problem, solution, gamma_a, gamma_b);
    let (mut u, mut v) = (vec![0.0; n], vec![0.0; m]);
    let (mut scratch, mut prices) = (hessian.scratch(), vec![0.0; m]);
    for (i, u) in u.iter_mut().enumerate() {
        let prices = row_of(worth.as_ref(), i, &mut prices);
        hessian.visit_row(i, &mut scratch, |j, p| {
            *u += p * prices[j];
            v[j] += p * prices[j];
        });
    }
    let shifts = solver.solve(&hessian, &u, &v)?;
    Ok(CouplingGradient {
        value: u.iter().sum(),
        iterations: shifts.iterations,
        residual: hessian.residual(&shifts, &u, &v),
        plan: solution.plan.clone(),
        worth,
        shifts,
        reg,
    })
}

impl CostGradient for CouplingGradient {
    fn shape(&self) -> (usize, usize) {
        self.worth.shape()
    }

    fn scratch(&self) -> Vec<f64> {
        // The result, a row of W, and what the plan needs.
        vec![0.0; 2 * self.worth.shape().1 + self.plan.scratch().len()]
    }

    fn row<'a>(&'a self, i: usize, scratch: &'a mut [f64]) -> PlanRow<'a> {
        let m = self.worth.shape().1;
        let (out, rest) = scratch.split_at_mut(m);
        let (prices, rest) = rest.split_at_mut(m);
        let s = self.shifts.s[i];
        let of = |p: f64, w: f64, j: usize| -p * (w - s - self.shifts.t[j]) / self.reg;
        match self.plan.row(i, rest) {
            PlanRow::Dense(row) => {
                let prices = row_of(self.worth.as_ref(), i, prices);
                for (j, out) in out.iter_mut().enumerate() {
                    *out = of(row[j], prices[j], j);
                }
                PlanRow::Dense(out)
            }
            PlanRow::Sparse(cols, row) => {
                for ((out, &j), &p) in out.iter_mut().zip(cols).zip(row) {
                    *out = of(p, self.worth.entry(i, j as usize), j as usize);
                }
                PlanRow::Sparse(cols, &out[..cols.len()])
            }
        }
    }

    fn entries_per_row(&self) -> usize {
        CostGradient::entries_per_row(&self.plan)
    }
}
