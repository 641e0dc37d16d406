//! The answer: a plan, potentials, values, and how good they are.

use std::fmt;
use std::time::{Duration, Instant};

use crate::certificate::{certify_measured, kl};
use crate::context::{Certify, Context};
use crate::measure;
use crate::plan::Plan;
use crate::problem::{Marginals, Problem};
use crate::rows::fold_rows;
use crate::transform::Potentials;
use crate::{Certificate, Error, assert_shape};

/// Why a solver stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Termination {
    /// Exact: the solution is optimal.
    Optimal,
    /// The tolerance was met.
    Converged,
    /// The iteration limit came first.
    IterationLimit,
    /// Progress stopped above the tolerance.
    Stalled,
    /// Numbers left the range in which the algorithm works.
    NumericalFailure,
    /// The deadline passed.
    TimeLimit,
    /// The observer or the caller's token asked to stop.
    Cancelled,
}

impl Termination {
    /// Whether the answer is within its tolerance.
    #[must_use]
    pub fn is_success(self) -> bool {
        matches!(self, Self::Optimal | Self::Converged)
    }
}

impl fmt::Display for Termination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Optimal => "optimal",
            Self::Converged => "converged",
            Self::IterationLimit => "iteration-limit",
            Self::Stalled => "stalled",
            Self::NumericalFailure => "numerical-failure",
            Self::TimeLimit => "time-limit",
            Self::Cancelled => "cancelled",
        })
    }
}

/// One entry of a solver's history.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Check {
    /// Iterations done.
    pub iteration: u64,
    /// What the solver's tolerance is about: the larger marginal error, or the relative gap.
    pub error: f64,
    /// Time since the solve began.
    pub elapsed: Duration,
}

/// How the solve went, apart from errors.
#[derive(Debug, Clone, PartialEq)]
pub struct Convergence {
    /// Why it stopped.
    pub termination: Termination,
    /// Iterations (pivots, sweeps) done; `None` where the algorithm does not tell.
    pub iterations: Option<u64>,
    /// Balanced: ‖P1 − a‖₁ over the mass. Partial: the part of P1 above a, or what the plan's mass is off by, whichever
    /// is larger, over the mass. Relaxed: as `source_error` was set by
    /// the solver, ‖P1 − a·e^{−f/γa}‖₁ over the mass of the problem ([`Problem::mass`]), which may be far more than what moves.
    pub source_error: f64,
    /// The same for the targets.
    pub target_error: f64,
    /// The checks, if the context asked for them.
    pub history: Vec<Check>,
}

impl Convergence {
    /// Whether the answer is within its tolerance.
    #[must_use]
    pub fn converged(&self) -> bool {
        self.termination.is_success()
    }
}

/// Where some of the time of a solve went, in the solver's own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Phase {
    /// Such as `lists` or `simplex`.
    pub name: &'static str,
    /// What it took, in all.
    pub time: Duration,
    /// How often it was gone through, or of how many steps it was.
    pub count: u64,
}

/// What a solver hands over; [`Solution::assemble`] adds values, errors and the certificate.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The plan, in the caller's units.
    pub plan: Plan,
    /// Potentials in cost units; centring and the extension to zero weights are done by `assemble`.
    pub potentials: Potentials,
    /// Regularization in cost units; 0 for exact solvers.
    pub reg: f64,
    /// Why the solver stopped.
    pub termination: Termination,
    /// Iterations done; `None` where nobody counts them.
    pub iterations: Option<u64>,
    /// Checks made, if asked for.
    pub history: Vec<Check>,
    /// A bracket that the algorithm itself proves, and the time that took. Otherwise one is computed.
    pub certificate: Option<(Certificate, Duration)>,
}

/// What a pass over the plan would tell, from a solver that knows it already: a batch gets it for many plans at
/// once from a few matrix products, where a pass over each plan would cost more than its iterations.
///
/// The solver vouches for the numbers, up to rounding in f64; the conformance suite checks them against the plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// P1, n entries in the caller's units.
    pub sent: Vec<f64>,
    /// Pᵀ1, m entries.
    pub received: Vec<f64>,
    /// ⟨P, C⟩.
    pub transport_cost: f64,
}

/// A plan, the potentials that prove it, values, and how good all of that is.
#[derive(Debug, Clone)]
pub struct Solution {
    /// The solver's name.
    pub solver: String,
    /// The plan, in the caller's units of mass.
    pub plan: Plan,
    /// Potentials in cost units.
    pub potentials: Potentials,
    /// ⟨P, C⟩ of the plan.
    pub transport_cost: f64,
    /// ⟨P, C⟩ + ε·KL(P ‖ a⊗b) + γ terms (DESIGN.md, section 3); equals `transport_cost` for exact balanced solvers.
    pub objective: f64,
    /// The mass of the plan.
    pub mass: f64,
    /// The regularization used, in cost units; 0 for exact solvers.
    pub reg: f64,
    /// The bracket around the unregularized optimum, unless the context switched it off.
    pub certificate: Option<Certificate>,
    /// How the solve went.
    pub convergence: Convergence,
    /// From arrays in memory to the solution, without the certificate.
    pub solve_time: Duration,
    /// What the certificate took.
    pub certify_time: Duration,
    /// Parts of `solve_time`, in the order in which they are first gone through; empty where the solver doesn't tell.
    pub phases: Vec<Phase>,
}

impl Solution {
    /// Completes an outcome: settles the potentials, measures marginals and values in one pass over the plan, and
    /// certifies if `context` says so. `started` is when the solve began. Where a number is not finite, or an entry of
    /// the plan negative, a success becomes a [`Termination::NumericalFailure`].
    ///
    /// # Panics
    /// If plan or potentials have other shapes than the problem.
    #[must_use]
    pub fn assemble(
        solver: &str,
        problem: &Problem,
        outcome: Outcome,
        started: Instant,
        context: &Context,
    ) -> Self {
        Self::complete(solver, problem, outcome, None, false, started, context)
    }

    /// [`Solution::assemble`] for a solver that knows better than by a pass over the cost what potentials points of weight zero
    /// have: they are in the outcome, and break no pair's bound.
    ///
    /// # Panics
    /// If plan or potentials have other shapes than the problem.
    #[must_use]
    pub fn assemble_extended(
        solver: &str,
        problem: &Problem,
        outcome: Outcome,
        started: Instant,
        context: &Context,
    ) -> Self {
        Self::complete(solver, problem, outcome, None, true, started, context)
    }

    /// [`Solution::assemble`] without the pass over the plan: the solver has measured it. Where the objective needs
    /// more than marginals and cost (a plan of a regularized problem that is not implicit), the pass is made all the
    /// same.
    ///
    /// # Panics
    /// If plan, potentials or `measured` have other shapes than the problem.
    #[must_use]
    pub fn assemble_measured(
        solver: &str,
        problem: &Problem,
        outcome: Outcome,
        measured: Measured,
        started: Instant,
        context: &Context,
    ) -> Self {
        Self::complete(
            solver,
            problem,
            outcome,
            Some(measured),
            false,
            started,
            context,
        )
    }

    /// Whether it converged by the certificate, for solvers whose tolerance is a gap: what ran into a limit or stalled `within`
    /// it has converged, and what said so beyond it has stalled. Without a certificate nothing changes.
    #[must_use]
    pub fn judged_by_certificate(mut self, within: impl FnOnce(&Certificate) -> bool) -> Self {
        if let Some(bracket) = &self.certificate {
            let within = within(bracket);
            let termination = &mut self.convergence.termination;
            *termination = match *termination {
                Termination::Converged if !within => Termination::Stalled,
                Termination::Stalled | Termination::IterationLimit | Termination::TimeLimit
                    if within =>
                {
                    Termination::Converged
                }
                other => other,
            };
        }
        self
    }

    fn complete(
        solver: &str,
        problem: &Problem,
        outcome: Outcome,
        measured: Option<Measured>,
        extended: bool,
        started: Instant,
        context: &Context,
    ) -> Self {
        let Outcome {
            plan,
            mut potentials,
            reg,
            mut termination,
            iterations,
            history,
            certificate,
        } = outcome;
        assert_shape("plan", plan.shape(), problem.shape());
        if let Some(measured) = &measured {
            let lengths = (measured.sent.len(), measured.received.len());
            assert_shape("measured", lengths, problem.shape());
        }
        if extended {
            potentials.centre_all(problem);
        } else {
            potentials.settle(problem, reg);
        }
        // For P = r s exp(…) the entropy follows from the marginals; any other plan needs its logarithms.
        let from_logs = reg > 0.0 && !matches!(plan, Plan::Implicit(_));
        let is_vouched_for = measured.is_some() && !from_logs;
        let (measured, logs, sound) = match measured {
            Some(measured) if !from_logs => (measured, 0.0, true),
            _ => stream(problem, &plan, from_logs),
        };
        let mut values = Values::of(
            problem,
            &measured,
            &potentials,
            reg,
            from_logs.then_some(logs),
        );
        if !(sound && values.transport_cost.is_finite() && values.mass.is_finite())
            && termination.is_success()
        {
            termination = Termination::NumericalFailure;
        }
        let known = certificate.map_or(Duration::ZERO, |(_, time)| time);
        let solve_time = started.elapsed().saturating_sub(known);
        let begun = Instant::now();
        let (certificate, certify_time) = match (certificate, context.certify) {
            (Some((bracket, time)), _) => {
                let bracket = bracket.ordered(|| potentials.terms(problem));
                (Some(bracket), time)
            }
            (None, Certify::Off) => (None, Duration::ZERO),
            (None, _) => {
                let (sent, received) = (&measured.sent, Some(&measured.received[..]));
                let (mut bracket, off) =
                    certify_measured(problem, &plan, &potentials, sent, received);
                if is_vouched_for && off.source.max(off.target) > MISMEASURED {
                    // Where potentials are so long beside ε that their rounding shows, the plan is what it is.
                    let (seen, ..) = stream(problem, &plan, false);
                    values = Values::of(problem, &seen, &potentials, reg, None);
                    bracket = certify_measured(problem, &plan, &potentials, &seen.sent, None).0;
                } else if is_vouched_for {
                    values.source_error += off.source;
                    values.target_error += off.target;
                }
                (Some(bracket), begun.elapsed())
            }
        };
        Self {
            solver: solver.to_owned(),
            plan,
            potentials,
            transport_cost: values.transport_cost,
            objective: values.objective,
            mass: values.mass,
            reg,
            certificate,
            convergence: Convergence {
                termination,
                iterations,
                source_error: values.source_error,
                target_error: values.target_error,
                history,
            },
            solve_time,
            certify_time,
            phases: Vec::new(),
        }
    }

    /// The same with the phases of the solve.
    #[must_use]
    pub fn with_phases(mut self, phases: Vec<Phase>) -> Self {
        self.phases = phases;
        self
    }

    /// The solution itself if it is within its tolerance, an error otherwise.
    pub fn require_converged(self) -> Result<Self, Error> {
        if self.convergence.converged() {
            return Ok(self);
        }
        Err(Error::NotConverged {
            solver: self.solver,
            termination: self.convergence.termination,
            iterations: self.convergence.iterations,
            source_error: self.convergence.source_error,
            target_error: self.convergence.target_error,
        })
    }
}

/// Marginals that a solver has measured, and that are off by more than this over the mass, are summed from the plan.
const MISMEASURED: f64 = 1e-9;

/// What a user wants to know of a plan.
struct Values {
    transport_cost: f64,
    objective: f64,
    mass: f64,
    source_error: f64,
    target_error: f64,
}

/// What a chunk of rows comes to.
struct Part {
    /// Σ_j P_ij, Σ_j P_ij C_ij and Σ_j P_ij log(P_ij / a_i b_j) of each row.
    sent: Vec<f64>,
    paid: Vec<f64>,
    logs: Vec<f64>,
    received: Vec<f64>,
    scratch: Vec<f64>,
    costs: Vec<f64>,
    /// Whether no entry is negative, infinite or NaN.
    sound: bool,
}

impl Default for Part {
    fn default() -> Self {
        Self {
            sent: Vec::new(),
            paid: Vec::new(),
            logs: Vec::new(),
            received: Vec::new(),
            scratch: Vec::new(),
            costs: Vec::new(),
            sound: true,
        }
    }
}

/// One pass over the plan: marginals, cost, Σ P log(P / a⊗b) if `with_logs`, and whether all entries are sound. (Those
/// of an implicit plan are not negative, and what is infinite shows in the sums.)
pub(crate) fn stream(problem: &Problem, plan: &Plan, with_logs: bool) -> (Measured, f64, bool) {
    let (a, b) = (problem.a().weights(), problem.b().weights());
    let (n, m) = plan.shape();
    let cost = problem.cost();
    if let Some(measured) = plan.measure_on_grid(cost) {
        return (measured, 0.0, true);
    }
    let is_implicit = matches!(plan, Plan::Implicit(_));
    let parts = fold_rows(
        n,
        plan.entries_per_row(),
        || Part {
            sent: Vec::with_capacity(n.min(128)),
            paid: Vec::with_capacity(n.min(128)),
            received: vec![0.0; m],
            scratch: plan.scratch(),
            costs: plan.cost_scratch(m),
            ..Part::default()
        },
        |part, i| {
            let row = plan.row(i, &mut part.scratch);
            row.add_to(1.0, &mut part.received);
            if with_logs {
                let mut logs = 0.0;
                // One weight at a time: the product of two tiny ones underflows.
                row.visit(|j, p| logs += p * (p / a[i] / b[j]).ln());
                part.logs.push(logs);
            }
            part.sent.push(row.sum());
            part.paid.push(if is_implicit {
                row.price_of(cost, i, &mut part.costs)
            } else {
                let (paid, sound) = row.price_and_check(cost, i, &mut part.costs);
                part.sound &= sound;
                paid
            });
        },
    );
    let mut parts = parts.into_iter();
    let mut all = parts.next().unwrap_or_default();
    for part in parts {
        all.sent.extend(part.sent);
        all.paid.extend(part.paid);
        all.logs.extend(part.logs);
        all.sound &= part.sound;
        let received = all.received.iter_mut().zip(&part.received);
        received.for_each(|(c, p)| *c += p);
    }
    let measured = Measured {
        sent: all.sent,
        received: all.received,
        transport_cost: measure::sum(&all.paid),
    };
    (measured, measure::sum(&all.logs), all.sound)
}

impl Values {
    /// `logs` is Σ P log(P / a⊗b) where it does not follow from the potentials.
    fn of(
        problem: &Problem,
        measured: &Measured,
        potentials: &Potentials,
        reg: f64,
        logs: Option<f64>,
    ) -> Self {
        let (a, b) = (problem.a().weights(), problem.b().weights());
        let Measured {
            sent,
            received: cols,
            transport_cost,
        } = measured;
        let (mass, transport_cost) = (measure::sum(sent), *transport_cost);
        let scale = problem.mass();
        let error = |have: &[f64], want: &[f64], excess_only: bool| {
            let off = |(h, w): (&f64, &f64)| {
                if excess_only {
                    (h - w).max(0.0)
                } else {
                    (h - w).abs()
                }
            };
            have.iter().zip(want).map(off).sum::<f64>() / scale
        };
        let mut objective = transport_cost;
        if reg > 0.0 {
            objective += reg
                * relative_entropy(
                    problem,
                    potentials,
                    sent,
                    cols,
                    mass,
                    logs,
                    transport_cost,
                    reg,
                );
        }
        let (source_error, target_error) = match problem.marginals() {
            Marginals::Balanced => (error(sent, a, false), error(cols, b, false)),
            Marginals::Partial { .. } => {
                let off = (mass - scale).abs() / scale;
                // Not `max`, which passes over a NaN.
                let larger = |excess: f64| {
                    if excess > off || excess.is_nan() {
                        excess
                    } else {
                        off
                    }
                };
                (larger(error(sent, a, true)), larger(error(cols, b, true)))
            }
            Marginals::Relaxed { gamma_a, gamma_b } => {
                objective += soft_term(gamma_a, sent, a) + soft_term(gamma_b, cols, b);
                let wanted = |w: &[f64], p: &[f64], gamma: f64| -> Vec<f64> {
                    w.iter()
                        .zip(p)
                        .map(|(w, p)| {
                            if gamma.is_infinite() || *w == 0.0 {
                                *w
                            } else {
                                w * (-p / gamma).exp()
                            }
                        })
                        .collect()
                };
                (
                    error(sent, &wanted(a, &potentials.f, gamma_a), false),
                    error(cols, &wanted(b, &potentials.g, gamma_b), false),
                )
            }
        };
        Self {
            transport_cost,
            // Terms beyond the range of f64 may cancel to no number; the cost then tells that it overflowed.
            objective: if objective.is_nan() {
                transport_cost
            } else {
                objective
            },
            mass,
            source_error,
            target_error,
        }
    }
}

fn soft_term(gamma: f64, p: &[f64], w: &[f64]) -> f64 {
    if gamma.is_infinite() {
        0.0
    } else {
        gamma * kl(p, w)
    }
}

/// KL(P ‖ a⊗b): balanced at mass 1 and scaled back, otherwise in the caller's units.
fn relative_entropy(
    problem: &Problem,
    potentials: &Potentials,
    sent: &[f64],
    cols: &[f64],
    mass: f64,
    logs: Option<f64>,
    transport_cost: f64,
    reg: f64,
) -> f64 {
    let paired = |p: &[f64], w: &[f64]| {
        let terms: Vec<f64> = p
            .iter()
            .zip(w)
            .filter(|(p, w)| **w > 0.0 && p.is_finite())
            .map(|(p, w)| p * w)
            .collect();
        measure::sum(&terms)
    };
    // Σ P log(P / r s) = (⟨f, P1⟩ + ⟨g, Pᵀ1⟩ + λ·mass − ⟨P, C⟩)/ε for the plan of its own potentials.
    let from_potentials =
        (paired(&potentials.f, sent) + paired(&potentials.g, cols) + potentials.lambda * mass
            - transport_cost)
            / reg;
    match problem.marginals() {
        Marginals::Balanced => {
            let total = problem.mass();
            let cross = logs.map_or(from_potentials, |logs| logs + mass * total.ln());
            cross - mass + total
        }
        _ => {
            let cross = logs.unwrap_or(from_potentials);
            cross - mass + problem.a().mass() * problem.b().mass()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{DensePlan, SparsePlan};

    #[test]
    fn a_plan_that_is_none_is_a_failure() {
        let problem =
            Problem::from_slices(&[0.5, 0.5], &[0.5, 0.5], &[0.0, 1.0, 1.0, 0.0]).unwrap();
        let end = |plan: Plan, certify: Certify| {
            let outcome = Outcome {
                plan,
                potentials: Potentials::new(vec![0.0; 2], vec![0.0; 2]),
                reg: 0.0,
                termination: Termination::Optimal,
                iterations: None,
                history: vec![],
                certificate: None,
            };
            let mut context = Context::default();
            context.certify = certify;
            let solution = Solution::assemble("toy", &problem, outcome, Instant::now(), &context);
            solution.convergence.termination
        };
        let dense = |p: f64| DensePlan::from_solver(2, 2, vec![0.5, p, 0.0, 0.5]).unwrap();
        let sparse = |p: f64| SparsePlan::sum_of(2, 2, vec![(0, 0, 0.5), (0, 1, p), (1, 1, 0.5)]);
        for certify in [Certify::Off, Certify::AtEnd] {
            for (p, wanted) in [
                (0.0, Termination::Optimal),
                (-1e-3, Termination::NumericalFailure),
                (f64::NAN, Termination::NumericalFailure),
                (f64::INFINITY, Termination::NumericalFailure),
            ] {
                assert_eq!(end(dense(p).into(), certify), wanted);
                assert_eq!(end(sparse(p).into(), certify), wanted);
            }
        }
    }
}
