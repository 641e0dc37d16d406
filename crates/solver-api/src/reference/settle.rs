//! Posing a problem with another reference, and settling its answer.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::tilted::Tilted;
use super::{Kind, Reference};
use crate::certificate::certify_measured;
use crate::solution::stream;
use crate::transform::{soft_to_source, soft_to_target};
use crate::{Certify, Context, Error, Marginals, Potentials, Problem, Solution, Termination};

/// A problem with a reference, as one with reference a⊗b: see [`Reference::pose`].
#[derive(Debug)]
pub struct Posed {
    original: Problem,
    posed: Problem,
    reg: f64,
    /// What takes the reference a⊗b to α: ε·log(u_i/a_i), ε·log(v_j/b_j); `None` where the cost has it already.
    sides: Option<[Vec<f64>; 2]>,
    /// Σα − Σa⊗b, at mass 1 where the problem is balanced.
    excess: f64,
}

impl Posed {
    pub(super) fn new(reference: &Reference, problem: &Problem, reg: f64) -> Result<Self, Error> {
        let shape = problem.shape();
        reference.check_shape(shape)?;
        let (a, b) = (problem.a(), problem.b());
        let balanced = problem.marginals() == Marginals::Balanced;
        let unit = if balanced { problem.mass() } else { 1.0 };
        // An entry of weight zero counts as 1: it takes no part, and its potential is made for that.
        let logs = |w: &[f64]| -> Vec<f64> {
            let one = |w: &f64| if *w > 0.0 { reg * (w / unit).ln() } else { 0.0 };
            w.iter().map(one).collect()
        };
        let (mut rows, mut cols) = (logs(a.weights()), logs(b.weights()));
        let mut alpha = None;
        let own = (a.mass() / unit) * (b.mass() / unit);
        let mut excess = reference.total(shape) - own;
        match &reference.0 {
            Kind::Marginals => {
                return Ok(Self {
                    original: problem.clone(),
                    posed: problem.clone(),
                    reg,
                    sides: None,
                    excess: 0.0,
                });
            }
            Kind::Constant(value) => {
                let half = 0.5 * reg * value.ln();
                rows.iter_mut().chain(&mut cols).for_each(|x| *x -= half);
            }
            Kind::Product(u, v) => {
                for (x, u) in (rows.iter_mut().zip(&**u)).chain(cols.iter_mut().zip(&**v)) {
                    *x -= reg * u.ln();
                }
            }
            Kind::Dense(dense) => alpha = Some(Arc::clone(&dense.data)),
        }
        if !excess.is_finite() {
            return Err(Error::setting("prior", excess, "its sum must be finite"));
        }
        if balanced && alpha.is_none() {
            for x in rows.iter_mut().chain(&mut cols) {
                *x = -*x;
            }
            return Ok(Self {
                original: problem.clone(),
                posed: problem.clone(),
                reg,
                sides: Some([rows, cols]),
                excess,
            });
        }
        if excess.abs() < f64::EPSILON * own {
            excess = 0.0;
        }
        let tilted = Tilted {
            cost: problem.shared_cost(),
            reg,
            alpha,
            rows,
            cols,
            range: OnceLock::new(),
        };
        Ok(Self {
            original: problem.clone(),
            posed: problem.clone().with_cost(Arc::new(tilted))?,
            reg,
            sides: None,
            excess,
        })
    }

    /// The problem to solve, with reference a⊗b.
    #[must_use]
    pub fn problem(&self) -> &Problem {
        &self.posed
    }

    /// Whether the problem to solve has the caller's cost, so that what its solver proves holds for it.
    fn is_same_cost(&self) -> bool {
        Arc::ptr_eq(&self.original.shared_cost(), &self.posed.shared_cost())
    }

    /// The circumstances to solve it under: a warm start in its potentials, and no certificate of another cost.
    #[must_use]
    pub fn context(&self, context: &Context) -> Context {
        let mut inner = context.clone();
        if let (Some([rows, cols]), Some(warm)) = (&self.sides, &context.warm_start)
            && (warm.f.len(), warm.g.len()) == self.original.shape()
        {
            let plus = |p: &[f64], x: &[f64]| p.iter().zip(x).map(|(p, x)| p + x).collect();
            let warm = Potentials::new(plus(&warm.f, rows), plus(&warm.g, cols));
            inner.warm_start = Some(Arc::new(warm));
        }
        if !self.is_same_cost() {
            inner.certify = Certify::Off;
        }
        inner
    }

    /// The answer to the caller's problem. Where its cost is another: a pass over the plan, and the certificate, if
    /// `context`, the caller's, wants one.
    #[must_use]
    pub fn settle(&self, solution: Solution, context: &Context) -> Solution {
        let begun = Instant::now();
        let mut solution = match &self.sides {
            Some(sides) => self.shifted(solution, sides),
            None if self.is_same_cost() => return solution,
            None => solution,
        };
        let scale = match self.original.marginals() {
            Marginals::Balanced => self.original.mass(),
            _ => 1.0,
        };
        solution.objective += self.reg * scale * self.excess;
        if self.is_same_cost() {
            solution.solve_time += begun.elapsed();
            return solution;
        }
        let (measured, _, _) = stream(&self.original, &solution.plan, false);
        solution.transport_cost = measured.transport_cost;
        if !measured.transport_cost.is_finite() && solution.convergence.converged() {
            solution.convergence.termination = Termination::NumericalFailure;
        }
        solution.solve_time += begun.elapsed();
        let begun = Instant::now();
        (solution.certificate, solution.certify_time) = match context.certify {
            Certify::Off => (None, Duration::ZERO),
            _ => {
                let bracket = certify_measured(
                    &self.original,
                    &solution.plan,
                    &solution.potentials,
                    &measured.sent,
                    Some(&measured.received),
                )
                .0;
                (Some(bracket), begun.elapsed())
            }
        };
        solution
    }

    /// A balanced plan, which is the same for all references of product form: f − ε log(u/a), g − ε log(v/b), centred.
    fn shifted(&self, mut solution: Solution, [rows, cols]: &[Vec<f64>; 2]) -> Solution {
        let problem = &self.original;
        let (sent, received) = solution.plan.marginals();
        let paired = |p: &[f64], x: &[f64]| -> f64 { p.iter().zip(x).map(|(p, x)| p * x).sum() };
        // Σ P log(P / α) = Σ P log(P / a⊗b) − Σ P log(α / a⊗b).
        solution.objective -= paired(&sent, rows) + paired(&received, cols);
        let (a, b) = (problem.a().weights(), problem.b().weights());
        let potentials = &mut solution.potentials;
        let less = |p: &mut [f64], x: &[f64]| p.iter_mut().zip(x).for_each(|(p, x)| *p -= x);
        less(&mut potentials.f, rows);
        less(&mut potentials.g, cols);
        potentials.centre(problem);
        // Soft c-transforms in terms of α: its columns among the positive weights, and what the row itself has of it.
        let of = |x: &[f64], w: &[f64]| -> Vec<f64> {
            let unit = problem.mass();
            let one = |(x, w): (&f64, &f64)| (w / unit) * (x / self.reg).exp();
            x.iter().zip(w).map(one).collect()
        };
        if problem.a().support_len() < a.len() {
            let v = of(cols, b);
            let soft = soft_to_source(problem.cost(), &potentials.g, &v, 1.0, self.reg, a);
            for i in (0..a.len()).filter(|&i| a[i] == 0.0) {
                potentials.f[i] = soft[i] - rows[i];
            }
        }
        if problem.b().support_len() < b.len() {
            let u = of(rows, a);
            let soft = soft_to_target(problem.cost(), &potentials.f, &u, 1.0, self.reg, b);
            for j in (0..b.len()).filter(|&j| b[j] == 0.0) {
                potentials.g[j] = soft[j] - cols[j];
            }
        }
        solution
    }
}
