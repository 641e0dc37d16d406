//! All contracts on generated problems: ties, zeros, duplicates, forbidden pairs, sizes 1 to 12. The stream of
//! problems is the same in every run; a failure is shrunk to a small problem and printed whole.

use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

use super::cases::text;
use super::domain::{self, Draw};
use super::input::proof_holds;
use super::oracle::optimum;
use super::subject::Subject;
use super::{Suite, Verdict, verify};
use crate::{Capability, DenseCost, Error, Measure, Problem};

pub(super) fn section(suite: &mut Suite<'_>) {
    use Capability::{Balanced, Entropic, ForbiddenPairs, Partial, Relaxed};
    if suite.subject.expect.domain.is_some() {
        suite.check_anywhere("generated problems of the domain", &[Balanced], |s| {
            property(s, &of_domain(), |d| in_domain(s, *d))
        });
    }
    suite.check("generated balanced problems", &[Balanced], |s| {
        property(s, &drawn(0), |d| balanced(s, d))
    });
    suite.check(
        "generated problems with forbidden pairs",
        &[Balanced, ForbiddenPairs],
        |s| property(s, &drawn(3), |d| forbidden(s, d)),
    );
    suite.check("generated partial problems", &[Partial], |s| {
        property(s, &drawn(0), |d| solved(s, &d.partial()?))
    });
    suite.check("generated relaxed problems", &[Relaxed, Entropic], |s| {
        property(s, &drawn(0), |d| solved(s, &d.relaxed()?))
    });
    suite.check(
        "generated weights, NaN and infinities among them",
        &[Balanced],
        |s| property(s, &any_numbers(), |d| never_nonsense(s, d)),
    );
}

/// Small integers as weights and costs: ties, zeros and duplicates come by themselves.
#[derive(Debug, Clone)]
struct Drawn {
    a: Vec<u8>,
    b: Vec<u8>,
    /// `None`: forbidden.
    cost: Vec<Option<i8>>,
    /// Log₁₀ of the unit of cost, and of mass.
    units: (i8, i8),
    /// γ and share of the mass for relaxed and partial problems, in eighths.
    eighths: (u8, u8),
}

/// `forbidden` in 10 pairs are left out.
fn drawn(forbidden: u32) -> impl Strategy<Value = Drawn> {
    (1_usize..=12, 1_usize..=12).prop_flat_map(move |(n, m)| {
        let weight = prop_oneof![3 => 1_u8..=9, 1 => Just(0_u8), 1 => Just(1_u8)];
        let entry = prop_oneof![
            forbidden => Just(None),
            10 - forbidden => (-3_i8..=9).prop_map(Some)
        ];
        (
            prop::collection::vec(weight.clone(), n),
            prop::collection::vec(weight, m),
            prop::collection::vec(entry, n * m),
            (-3_i8..=3, -3_i8..=3),
            (1_u8..=20, 1_u8..=8),
        )
            .prop_map(|(a, b, cost, units, eighths)| Drawn {
                a,
                b,
                cost,
                units,
                eighths,
            })
    })
}

impl Drawn {
    fn weights(list: &[u8], mass: f64) -> Result<Measure, String> {
        let mut w: Vec<f64> = list.iter().map(|&w| f64::from(w)).collect();
        if list.iter().all(|&w| w == 0) {
            w[0] = 1.0;
        }
        let total: f64 = w.iter().sum();
        text(Measure::new(
            w.into_iter().map(|w| w / total * mass).collect::<Vec<_>>(),
        ))
    }

    fn cost(&self) -> Result<Arc<DenseCost>, String> {
        let unit = 10_f64.powi(i32::from(self.units.0));
        let entry = |c: &Option<i8>| c.map_or(f64::INFINITY, |c| f64::from(c) * unit);
        let cost = DenseCost::new(
            self.a.len(),
            self.b.len(),
            self.cost.iter().map(entry).collect::<Vec<_>>(),
        );
        Ok(Arc::new(text(cost)?))
    }

    fn mass(&self) -> f64 {
        10_f64.powi(i32::from(self.units.1))
    }

    fn balanced(&self) -> Result<Problem, String> {
        let (a, b) = (
            Self::weights(&self.a, self.mass())?,
            Self::weights(&self.b, self.mass())?,
        );
        text(Problem::new(a, b, self.cost()?))
    }

    fn partial(&self) -> Result<Problem, String> {
        let mass = self.mass();
        let (a, b) = (
            Self::weights(&self.a, mass)?,
            Self::weights(&self.b, 1.5 * mass)?,
        );
        text(Problem::partial(
            a,
            b,
            self.cost()?,
            f64::from(self.eighths.1) / 8.0 * mass,
        ))
    }

    fn relaxed(&self) -> Result<Problem, String> {
        let cost = self.cost()?;
        let unit = 10_f64.powi(i32::from(self.units.0));
        let gamma = |eighths: u8| f64::from(eighths) / 2.0 * unit;
        let (a, b) = (Self::weights(&self.a, 1.0)?, Self::weights(&self.b, 2.0)?);
        text(Problem::relaxed(
            a,
            b,
            cost,
            gamma(self.eighths.0),
            gamma(self.eighths.1),
        ))
    }
}

/// Runs `law` on a fixed stream of values.
fn property<S: Strategy>(
    subject: &Subject<'_>,
    strategy: &S,
    law: impl Fn(&S::Value) -> Verdict,
) -> Verdict {
    let config = Config {
        cases: subject.expect.cases,
        failure_persistence: None,
        max_shrink_iters: 200,
        ..Config::default()
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    runner
        .run(strategy, |value| law(&value).map_err(TestCaseError::fail))
        .map_err(|e| e.to_string())
}

fn solved(subject: &Subject<'_>, problem: &Problem) -> Verdict {
    subject.solve("generated", problem).map(|_| ())
}

fn balanced(subject: &Subject<'_>, drawn: &Drawn) -> Verdict {
    let problem = drawn.balanced()?;
    let original = subject.solve("generated", &problem)?;
    // Transposition on the same numbers: rows and columns take different code in most solvers.
    let changed = text(problem.transposed())?;
    let found = subject.solve("generated, transposed", &changed)?;
    let values = [original.transport_cost, original.objective];
    verify::same_value(subject, "generated, transposed", &changed, &found, values)
}

/// Seed, shape, log₁₀ of the mass, and whether numbers are tied.
type Seeds = (u64, (usize, usize), i8, bool);

fn of_domain() -> impl Strategy<Value = Seeds> {
    let tied = prop::bool::weighted(0.75);
    (any::<u64>(), (1_usize..=12, 1_usize..=12), -3_i8..=3, tied)
}

fn in_domain(subject: &Subject<'_>, (seed, shape, units, ties): Seeds) -> Verdict {
    let mass = 10_f64.powi(i32::from(units));
    let problem = subject.drawn(Draw::new(seed, shape, mass, ties))?;
    let original = subject.solve("generated", &problem)?;
    let changed = domain::transposed(&problem)?;
    let found = subject.solve("generated, transposed", &changed)?;
    let values = [original.transport_cost, original.objective];
    verify::same_value(subject, "generated, transposed", &changed, &found, values)
}

fn forbidden(subject: &Subject<'_>, drawn: &Drawn) -> Verdict {
    let problem = drawn.balanced()?;
    let feasible = optimum(&problem).is_some();
    match (subject.solver(&problem)?.solve(&problem), feasible) {
        (Err(Error::Infeasible(proof)), false) => proof_holds("generated", &problem, &proof),
        (Err(Error::Infeasible(proof)), true) => Err(format!("there is a plan, but: {proof}")),
        // An entropic plan over a pattern that forces zeros converges sublinearly, or leaves the kernel's range.
        (Err(Error::KernelUnderflow { .. }), true) if subject.has(Capability::Entropic) => Ok(()),
        (Err(e), _) => Err(format!("refused: {e}")),
        (Ok(_), false) => Err("there is no plan, but one came back".to_owned()),
        (Ok(s), true) if subject.has(Capability::Entropic) && !s.convergence.converged() => {
            verify::honest_answer("generated", &problem, &s)
        }
        (Ok(s), true) => subject.converged("generated", &problem, s).map(|_| ()),
    }
}

/// Anything at all as a number: an error or a correct answer.
fn any_numbers() -> impl Strategy<Value = (Vec<f64>, Vec<f64>, Vec<f64>)> {
    let number = || {
        prop_oneof![
            8 => 0.0..1.0_f64,
            1 => Just(0.0),
            1 => Just(-0.0),
            1 => prop::num::f64::ANY,
        ]
    };
    (1_usize..5, 1_usize..5).prop_flat_map(move |(n, m)| {
        (
            prop::collection::vec(number(), n),
            prop::collection::vec(number(), m),
            prop::collection::vec(number(), n * m),
        )
    })
}

fn never_nonsense(subject: &Subject<'_>, (a, b, cost): &(Vec<f64>, Vec<f64>, Vec<f64>)) -> Verdict {
    let normalized = || -> Result<Problem, Error> {
        let a = Measure::named("a", a.as_slice())?.normalized();
        let b = Measure::named("b", b.as_slice())?.normalized();
        let cost = DenseCost::new(a.len(), b.len(), cost.as_slice())?;
        Problem::new(a, b, Arc::new(cost))
    };
    let all = || a.iter().chain(b).chain(cost);
    let legal = a.iter().chain(b).all(|w| *w >= 0.0 && w.is_finite())
        && cost
            .iter()
            .all(|c| *c == f64::INFINITY || c.abs() <= crate::cost::LARGEST);
    let positive = |w: &[f64]| w.iter().sum::<f64>() > 0.0 && w.iter().sum::<f64>().is_finite();
    let problem = match normalized() {
        Err(e) if legal && positive(a) && positive(b) => {
            return Err(format!("legal numbers refused: {e}"));
        }
        Err(_) => return Ok(()),
        Ok(_) if !legal => return Err(format!("accepted: {:?}", all().collect::<Vec<_>>())),
        Ok(problem) => problem,
    };
    // Spreads near the largest number have no room for arithmetic: an error is fine, an answer must be honest.
    match subject.solver(&problem)?.solve(&problem) {
        Err(_) => Ok(()),
        Ok(s) if s.convergence.converged() && problem.cost().range().max_abs() < 1e290 => {
            subject.converged("any numbers", &problem, s).map(|_| ())
        }
        Ok(s) if s.convergence.converged() && !s.transport_cost.is_finite() => Err(format!(
            "{} with a cost of {}",
            s.convergence.termination, s.transport_cost
        )),
        Ok(_) => Ok(()),
    }
}
