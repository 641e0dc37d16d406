//! Conditional gradients: a smooth convex penalty is a cost at each plan, and a solve for that cost is a direction.
//!
//! With an entropic solver the entropy is no part of what is linearized: Rakotomamonjy, Flamary and Courty, *Generalized
//! conditional gradient* (2015).

use std::sync::Arc;
use std::time::Instant;

use solver_api::{
    Certify, Context, Convergence, DenseCost, DensePlan, Plan, Problem, Progress, Solver,
    Termination,
};

use super::cost::row_of;

use super::estimator::{entropy_of, errors_of, round};
use super::fitted::Fit;
use crate::Error;

/// A convex function of the plan, which is dense, n×m.
pub(super) trait Penalty {
    fn value(&self, plan: &[f64]) -> f64;

    /// Writes ∂/∂P.
    fn gradient(&self, plan: &[f64], out: &mut [f64]);
}

/// ε·KL(P ‖ a⊗b) in an objective; along directions between plans of the same marginals that is ε Σ P log P.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entropy {
    pub(super) reg: f64,
}

/// Rounds in a row that take no more than the tolerance off the objective: then it has settled.
const SLOW: usize = 3;

/// Steps halve the bracket around the least point of a line at most so often.
const HALVINGS: usize = 20;

/// From `start`, a plan of the same marginals, or from the plan without a penalty: P ← P + t(Q − P), with Q the solver's plan for the cost C + ∇ and t the least point of
/// the line. Ends where the gap ⟨∇F, P − Q⟩ (with entropy: the slope of the line), or the fall three times in a row, is at most `tol`
/// of the objective. The objective never rises. A round is a solve, and O(n·m) of the line and of the penalty's gradient; five
/// matrices beside the cost.
pub(super) fn run(
    solver: &dyn Solver,
    problem: &Problem,
    penalty: &dyn Penalty,
    (rounds, tol): (usize, f64),
    start: Option<&Plan>,
    context: &Context,
) -> Result<Fit, Error> {
    let started = Instant::now();
    let (n, m) = problem.shape();
    let mut own = context.for_step(context.threads())?;
    own.certify = Certify::Off;
    own.warm_start.clone_from(&context.warm_start);
    let (mut reg, mut name) = (None, solver.name().to_owned());
    let mut convergence = Convergence {
        termination: Termination::Converged,
        iterations: None,
        source_error: 0.0,
        target_error: 0.0,
        history: Vec::new(),
    };
    let mut here = match start {
        Some(plan) => dense(plan),
        None => {
            let first = round(solver, problem, &mut reg, &mut own)?;
            own.warm_start = Some(Arc::new(first.potentials));
            (name, convergence) = (first.solver, first.convergence);
            dense(&first.plan)
        }
    };
    let mut scratch = vec![0.0; 2 * n * m];
    let mut way = vec![0.0; n * m];
    let mut line = Line {
        problem,
        penalty,
        reg: reg.unwrap_or(0.0),
    };
    let mut history = Vec::with_capacity(rounds + 1);
    if start.is_none() {
        history.push(line.value(&here));
    }
    let (mut ended, mut done, mut slow) = (Termination::IterationLimit, 0, 0);
    while done < rounds {
        let slope = &mut scratch[..n * m];
        penalty.gradient(&here, slope);
        let changed = problem.clone().with_cost(line.changed(slope)?)?;
        let solution = round(solver, &changed, &mut reg, &mut own)?;
        done += 1;
        if done == 1 {
            // From a plan that was given, the first solve says what ε is.
            line.reg = solution.reg;
            if history.is_empty() {
                history.push(line.value(&here));
            }
            name.clone_from(&solution.solver);
        }
        // A direction that fell short of its tolerance says nothing about the gap: the last one has to be one.
        convergence = solution.convergence;
        way.fill(0.0);
        write(&solution.plan, &mut way);
        way.iter_mut().zip(&here).for_each(|(d, p)| *d -= p);
        own.warm_start = Some(Arc::new(solution.potentials));
        let last = history.last().copied().unwrap_or_default();
        // Where the plan stays at the edge of the simplex the slope at 0 is −∞ with entropy: no end.
        let gap = -line.slope(&here, &way, 0.0, &mut scratch);
        let step = line.least(&here, &way, &mut scratch);
        if step > 0.0 {
            for (p, d) in here.iter_mut().zip(&way) {
                *p = (*p + step * d).max(0.0);
            }
        }
        let value = line.value(&here);
        if value > last {
            // Rounding is all that is left to gain.
            for (p, d) in here.iter_mut().zip(&way) {
                *p = (*p - step * d).max(0.0);
            }
            ended = Termination::Converged;
            break;
        }
        history.push(value);
        let fall = (last - value) / value.abs().max(f64::MIN_POSITIVE);
        // One short step may be a zigzag of the method, and says less than the gap.
        slow = if fall <= tol { slow + 1 } else { 0 };
        let within = gap <= tol * value.abs() || slow >= SLOW;
        let told = Progress {
            problem: context.problem_index,
            iteration: done as u64,
            part: None,
            error: fall,
            tol,
            certificate: None,
            elapsed: started.elapsed(),
        };
        let stop = context.check(&told);
        if within {
            ended = Termination::Converged;
            break;
        }
        if let Some(termination) = stop
            && done < rounds
        {
            return Err(Error::Stopped {
                what: "rounds",
                termination,
                done,
                count: rounds,
            });
        }
    }
    let objective = history.last().copied().unwrap_or_default();
    let plan = Plan::from(DensePlan::new(n, m, here)?);
    if convergence.converged() {
        convergence.termination = ended;
    }
    convergence.iterations = Some(done as u64);
    errors_of(&plan, problem, &mut convergence);
    Ok(Fit {
        transport_cost: plan.transport_cost(problem.cost()),
        plan,
        objective,
        history,
        solver: name,
        reg: reg.unwrap_or(0.0),
        convergence,
    })
}

/// The objective on a line between two plans.
struct Line<'a> {
    problem: &'a Problem,
    penalty: &'a dyn Penalty,
    reg: f64,
}

impl Line<'_> {
    /// ⟨P, C⟩ + penalty + ε·KL(P ‖ a⊗b).
    fn value(&self, plan: &[f64]) -> f64 {
        let (a, b) = (self.problem.a().weights(), self.problem.b().weights());
        let m = b.len();
        let mut scratch = vec![0.0; m];
        let (mut linear, mut entropy) = (0.0, 0.0);
        for (i, row) in plan.chunks_exact(m).enumerate() {
            let costs = row_of(self.problem.cost(), i, &mut scratch);
            for ((p, c), b) in row.iter().zip(costs).zip(b) {
                if *p > 0.0 {
                    linear += p * c;
                    if self.reg > 0.0 {
                        entropy += p * (p / (a[i] * b)).ln();
                    }
                }
            }
        }
        linear + entropy_of(self.reg).map_or(0.0, |of| of.reg * entropy) + self.penalty.value(plan)
    }

    /// C + ∇.
    fn changed(&self, slope: &[f64]) -> Result<Arc<DenseCost>, Error> {
        let (n, m) = self.problem.shape();
        let mut scratch = vec![0.0; m];
        let mut entries = Vec::with_capacity(n * m);
        for (i, slope) in slope.chunks_exact(m).enumerate() {
            let row = row_of(self.problem.cost(), i, &mut scratch);
            entries.extend(row.iter().zip(slope).map(|(c, s)| c + s));
        }
        Ok(Arc::new(DenseCost::new(n, m, entries)?))
    }

    /// The derivative at P + tD along D. `scratch` holds 2n·m numbers. Entries without mass at both ends say nothing.
    fn slope(&self, plan: &[f64], way: &[f64], t: f64, scratch: &mut [f64]) -> f64 {
        let m = self.problem.shape().1;
        let (there, scratch) = scratch.split_at_mut(plan.len());
        for ((q, p), d) in there.iter_mut().zip(plan).zip(way) {
            *q = (p + t * d).max(0.0);
        }
        self.penalty.gradient(there, scratch);
        let mut row_scratch = vec![0.0; m];
        let mut sum = 0.0;
        let rows = there
            .chunks_exact(m)
            .zip(way.chunks_exact(m))
            .zip(scratch.chunks_exact(m));
        for (i, ((there, way), slope)) in rows.enumerate() {
            let costs = row_of(self.problem.cost(), i, &mut row_scratch);
            for (((q, d), s), c) in there.iter().zip(way).zip(slope).zip(costs) {
                if *d == 0.0 {
                    continue;
                }
                let log = if self.reg > 0.0 {
                    self.reg * q.max(f64::MIN_POSITIVE).ln()
                } else {
                    0.0
                };
                sum += d * (c + s + log);
            }
        }
        sum
    }

    /// The least point of the line from P to P + D, by halving; the slope rises along it.
    fn least(&self, plan: &[f64], way: &[f64], scratch: &mut [f64]) -> f64 {
        if self.slope(plan, way, 1.0, scratch) <= 0.0 {
            return 1.0;
        }
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..HALVINGS {
            let middle = 0.5 * (low + high);
            if self.slope(plan, way, middle, scratch) <= 0.0 {
                low = middle;
            } else {
                high = middle;
            }
            if high - low <= 1e-3 * high {
                break;
            }
        }
        low
    }
}

fn dense(plan: &Plan) -> Vec<f64> {
    let (n, m) = plan.shape();
    let mut entries = vec![0.0; n * m];
    write(plan, &mut entries);
    entries
}

/// Adds the entries of a plan.
fn write(plan: &Plan, entries: &mut [f64]) {
    let m = plan.shape().1;
    plan.for_each_above(0.0, |i, j, p| entries[i * m + j] += p);
}

#[cfg(test)]
pub(in crate::adaptation) mod tests {
    use super::*;

    /// The gradient at `plan` against central differences of the value.
    pub(in crate::adaptation) fn check_gradient(penalty: &dyn Penalty, plan: &[f64]) {
        let mut found = vec![f64::NAN; plan.len()];
        penalty.gradient(plan, &mut found);
        for k in 0..plan.len() {
            let moved = |h: f64| {
                let mut plan = plan.to_vec();
                plan[k] += h;
                penalty.value(&plan)
            };
            let difference = (moved(1e-6) - moved(-1e-6)) / 2e-6;
            let off = (found[k] - difference).abs();
            assert!(
                off < 1e-7 * difference.abs().max(1.0),
                "{k}: {} for {difference}",
                found[k]
            );
        }
    }
}
