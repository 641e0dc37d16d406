//! Derivatives of [`Solution::transport_cost`], ⟨P, C⟩ of the entropic plan, by differentiating its fixed point.
//!
//! With s and t the least-squares fit of C by s ⊕ t under the weights P (relaxed sides damped), that is
//!
//! ```text
//! [ D_r (1 + ε/γa)        P        ] [ s ]   [ Σ_j P_ij C_ij ]
//! [       Pᵀ        D_c (1 + ε/γb) ] [ t ] = [ Σ_i P_ij C_ij ],      D_r = diag(P1), D_c = diag(Pᵀ1),
//! ```
//!
//! the derivatives are ∂C_ij = P_ij (1 − (C_ij − s_i − t_j)/ε) and ∂a_i = (P1)_i/a_i·(1 + ε/γa)·s_i, which is s_i for a
//! hard side (Luise et al., *Differential properties of Sinkhorn approximation*, 2018, theorem 2; the relaxed case and
//! the form below by the same steps). The matrix is singular where both sides are hard: s moves against t by a constant
//! in every connected component, and ⟨s, a⟩ = ⟨t, b⟩ is made to hold in each.
//!
//! What is solved for is not s but s′ = (s − f)/ε: C − f ⊕ g is ε times the logarithm of the plan, so that nothing
//! cancels however small ε is.

mod conjugate;
mod coupling;
mod hessian;

use std::sync::Arc;

use solver_api::cost::row_of;
use solver_api::{Cost, Error, Marginals, Plan, PlanRow, PointCost, Problem, Solution};

pub use conjugate::ConjugateGradient;
pub use coupling::{CouplingGradient, coupling, coupling_with};
pub use hessian::{Hessian, HessianSolver, Shifts};

use crate::ground::Slope;
use crate::input::{points_of, require};
use crate::objective::WeightGradient;
use crate::points::{CostGradient, PointGradient, chain_rule, chain_rule_of_distance};

/// The derivatives of ⟨P, C⟩ with respect to everything, O(n + m) beside the plan.
#[derive(Debug, Clone)]
pub struct TransportCostGradient {
    /// ∂⟨P, C⟩/∂(a, b). Balanced: defined up to a constant on one side against the other, as potentials are.
    pub weights: WeightGradient,
    /// Iterations of the linear solver.
    pub iterations: u64,
    /// What is left of the linear system, in L1 over the mass, in units of ε: the error of s and t where the plan
    /// connects its points well.
    pub residual: f64,
    plan: Plan,
    cost: Arc<dyn Cost>,
    f: Vec<f64>,
    g: Vec<f64>,
    reg: f64,
    shifts: Shifts,
}

/// [`gradient_with`] with [`ConjugateGradient::default`].
///
/// # Errors
/// As there.
pub fn gradient(problem: &Problem, solution: &Solution) -> Result<TransportCostGradient, Error> {
    gradient_with(problem, solution, &ConjugateGradient::default())
}

/// The derivatives of ⟨P, C⟩ at an entropic solution, balanced or relaxed (reference a⊗b). For `reg` = 0 and balanced
/// marginals the transport cost is the objective, and so are its (sub)gradients.
///
/// One linear system of n + m unknowns, solved by `solver`; two passes over plan and cost beside it. At weights of zero
/// the derivative is one-sided. Parts of the plan that exchange less than some 1e-12 of the mass are one to the other
/// as f64 sees them: between them the answer is that of the objective up to ε times a logarithm of the weights.
///
/// # Errors
/// A solution of another shape, or one that has not converged; a partial problem, or a relaxed one with `reg` = 0; a
/// linear system that `solver` does not solve to its tolerance ([`Error::NotConverged`]).
pub fn gradient_with(
    problem: &Problem,
    solution: &Solution,
    solver: &dyn HessianSolver,
) -> Result<TransportCostGradient, Error> {
    require(problem, solution)?;
    let reg = solution.reg;
    let (gamma_a, gamma_b) = gammas(problem, reg, "⟨P, C⟩")?;
    let (n, m) = problem.shape();
    let potentials = &solution.potentials;
    let mut out = TransportCostGradient {
        weights: WeightGradient {
            a: potentials.f.clone(),
            b: potentials.g.clone(),
        },
        iterations: 0,
        residual: 0.0,
        plan: solution.plan.clone(),
        cost: problem.shared_cost(),
        f: potentials.f.clone(),
        g: potentials.g.clone(),
        reg,
        shifts: Shifts::zero(n, m),
    };
    if reg == 0.0 {
        return Ok(out);
    }
    let (hessian, u, v) = Hessian::of(problem, solution, gamma_a, gamma_b);
    out.shifts = solver.solve(&hessian, &u, &v)?;
    if gamma_a.is_infinite() && gamma_b.is_infinite() {
        hessian.centre(&mut out.shifts);
    }
    out.iterations = out.shifts.iterations;
    out.residual = hessian.residual(&out.shifts, &u, &v);
    out.weights_from(problem, &hessian, gamma_a, gamma_b);
    Ok(out)
}

/// γa and γb, ∞ for hard sides, of a problem whose plan has a derivative; `value` is what it is asked for.
fn gammas(problem: &Problem, reg: f64, value: &str) -> Result<(f64, f64), Error> {
    match problem.marginals() {
        Marginals::Balanced => Ok((f64::INFINITY, f64::INFINITY)),
        Marginals::Relaxed { gamma_a, gamma_b } if reg > 0.0 => Ok((gamma_a, gamma_b)),
        Marginals::Relaxed { .. } => {
            let rule = format!("{value} of a relaxed problem has a derivative for reg > 0 only");
            Err(Error::setting("reg", reg, rule))
        }
        _ => {
            let rule = format!("the derivative of {value} is for balanced and relaxed problems");
            Err(Error::setting("problem", "partial", rule))
        }
    }
}

impl TransportCostGradient {
    /// ∂⟨P, C⟩/∂(X, Y); see [`chain_rule`].
    ///
    /// # Errors
    /// A cost without points; `Ground::OfDistance`.
    pub fn points(&self, problem: &Problem) -> Result<PointGradient, Error> {
        chain_rule(points_of(problem)?, self)
    }

    /// ∂⟨P, C⟩/∂(X, Y) through a function of the caller's; see [`chain_rule_of_distance`].
    ///
    /// # Errors
    /// As there.
    pub fn points_of_distance(
        &self,
        cost: &PointCost,
        slope: Slope<'_>,
    ) -> Result<PointGradient, Error> {
        chain_rule_of_distance(cost, self, slope)
    }

    fn weights_from(
        &mut self,
        problem: &Problem,
        hessian: &Hessian<'_>,
        gamma_a: f64,
        gamma_b: f64,
    ) {
        let (a, b) = (problem.a().weights(), problem.b().weights());
        let reg = self.reg;
        for (i, out) in self
            .weights
            .a
            .iter_mut()
            .enumerate()
            .filter(|(i, _)| a[*i] > 0.0)
        {
            *out = side(
                self.f[i] + reg * self.shifts.s[i],
                hessian.r[i],
                a[i],
                gamma_a,
                reg,
            );
        }
        for (j, out) in self
            .weights
            .b
            .iter_mut()
            .enumerate()
            .filter(|(j, _)| b[*j] > 0.0)
        {
            *out = side(
                self.g[j] + reg * self.shifts.t[j],
                hessian.c[j],
                b[j],
                gamma_b,
                reg,
            );
        }
        self.first_bits(a, b, gamma_a, gamma_b);
    }

    /// At a weight of zero a first bit of mass is sent as π_ij ∝ b_j exp((g_j − C_ij)/ε), and takes that much off the
    /// columns: Σ_j π_ij (C_ij − t_j).
    fn first_bits(&mut self, a: &[f64], b: &[f64], gamma_a: f64, gamma_b: f64) {
        let cost = self.cost.as_ref();
        let (n, m) = cost.shape();
        let softness = |gamma: f64| 1.0 / (1.0 + self.reg / gamma);
        let mut scratch = vec![0.0; m];
        for i in (0..n).filter(|&i| a[i] == 0.0) {
            let row = row_of(cost, i, &mut scratch);
            let pairs = (0..m)
                .filter(|&j| b[j] > 0.0 && row[j] < f64::INFINITY)
                .map(|j| (b[j], self.g[j] - row[j], self.shifts.t[j]));
            self.weights.a[i] = first_bit(pairs, self.reg, softness(gamma_a), gamma_a);
        }
        let empty: Vec<usize> = (0..m).filter(|&j| b[j] == 0.0).collect();
        for j in empty {
            let pairs = (0..n)
                .filter(|&i| a[i] > 0.0)
                .map(|i| (a[i], self.f[i] - cost.entry(i, j), self.shifts.s[i]))
                .filter(|p| p.1 > f64::NEG_INFINITY);
            self.weights.b[j] = first_bit(pairs, self.reg, softness(gamma_b), gamma_b);
        }
    }
}

/// (sent/weight)(1 + ε/γ)·s: s itself for a hard side.
fn side(s: f64, sent: f64, weight: f64, gamma: f64, reg: f64) -> f64 {
    if gamma.is_infinite() {
        s
    } else if sent == 0.0 {
        // Nothing of it moves (its potential may be +∞).
        0.0
    } else {
        sent / weight * (1.0 + reg / gamma) * s
    }
}

/// `pairs` are (weight, g − C, t′) of the partners.
fn first_bit(
    pairs: impl Iterator<Item = (f64, f64, f64)> + Clone,
    reg: f64,
    softness: f64,
    gamma: f64,
) -> f64 {
    let top = pairs.clone().fold(f64::NEG_INFINITY, |t, p| t.max(p.1));
    if top == f64::NEG_INFINITY {
        // Nobody to send to: no plan for a hard marginal, no effect for a relaxed one.
        return if gamma.is_infinite() {
            f64::INFINITY
        } else {
            0.0
        };
    }
    let (mut sum, mut paid) = (0.0, 0.0);
    for (w, slack, t) in pairs {
        let p = w * ((slack - top) / reg).exp();
        sum += p;
        // C − t = C − g − εt′.
        paid += p * (-slack - reg * t);
    }
    // Balanced: all of the bit is sent. Relaxed: e^{−f/γ} of it, with f = −ε·softness·log(what it meets).
    let log_met = top / reg + f64::ln(sum);
    let sent = if gamma.is_infinite() {
        1.0
    } else {
        (reg * softness * log_met / gamma).exp()
    };
    sent * paid / sum
}

impl CostGradient for TransportCostGradient {
    fn shape(&self) -> (usize, usize) {
        self.cost.shape()
    }

    fn scratch(&self) -> Vec<f64> {
        // The result, a row of the cost, and what the plan needs.
        let m = self.cost.shape().1;
        vec![0.0; 2 * m + self.plan.scratch().len()]
    }

    fn row<'a>(&'a self, i: usize, scratch: &'a mut [f64]) -> PlanRow<'a> {
        let m = self.cost.shape().1;
        let (out, rest) = scratch.split_at_mut(m);
        let (costs, rest) = rest.split_at_mut(m);
        let (f, s, reg) = (self.f[i], self.shifts.s[i], self.reg);
        let of = |p: f64, c: f64, j: usize| {
            if p == 0.0 || reg == 0.0 {
                p
            } else {
                p * (1.0 - ((c - f - self.g[j]) / reg - s - self.shifts.t[j]))
            }
        };
        match self.plan.row(i, rest) {
            PlanRow::Dense(row) => {
                let costs = row_of(self.cost.as_ref(), i, costs);
                for (j, out) in out.iter_mut().enumerate() {
                    *out = of(row[j], costs[j], j);
                }
                PlanRow::Dense(out)
            }
            PlanRow::Sparse(cols, row) => {
                for ((out, &j), &p) in out.iter_mut().zip(cols).zip(row) {
                    let j = j as usize;
                    *out = of(p, self.cost.entry(i, j), j);
                }
                PlanRow::Sparse(cols, &out[..cols.len()])
            }
        }
    }

    fn entries_per_row(&self) -> usize {
        CostGradient::entries_per_row(&self.plan)
    }
}
