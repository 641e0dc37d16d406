//! The solver under test: built for a problem, run, and its answer verified.

use std::sync::Arc;

use super::cases::{self, Random, text};
use super::domain::Draw;
use super::{Expect, Verdict, verify};
use crate::error::after;
use crate::{
    Capability, Context, Cost, DenseCost, Error, Measure, Options, Problem, Reg, Solution, Solver,
};

/// Makes the solver under test from options.
pub(super) type Build<'a> = &'a dyn Fn(&Options) -> Result<Box<dyn Solver>, Error>;

/// A cost and the pairs of measures that share it.
pub(super) type Sharing = (Arc<dyn Cost>, Vec<(Measure, Measure)>);

pub(super) struct Subject<'a> {
    pub(super) build: Build<'a>,
    pub(super) expect: &'a Expect,
}

impl Subject<'_> {
    pub(super) fn has(&self, capability: Capability) -> bool {
        self.expect.has(capability)
    }

    /// A balanced problem of generic numbers, in the solver's domain: the optimal plan is unique where costs are anything.
    pub(super) fn generic(
        &self,
        seed: u64,
        n: usize,
        m: usize,
        mass: f64,
    ) -> Result<Problem, String> {
        match &self.expect.domain {
            None => cases::generic(seed, n, m, mass),
            Some(_) => self.drawn(Draw::new(seed, (n, m), mass, false)),
        }
    }

    /// The problem of the domain that is made of `draw`.
    pub(super) fn drawn(&self, mut draw: Draw) -> Result<Problem, String> {
        match &self.expect.domain {
            None => Err("there is no domain to draw from".to_owned()),
            Some(domain) => (domain.make)(&mut draw)
                .map_err(|e| format!("the domain `{}` made no problem: {e}", domain.name)),
        }
    }

    /// A cost, and `count` pairs of measures of the masses that `mass` says, for problems that share it. In a domain, where
    /// the cost may be for these measures alone, they are one pair times its masses.
    pub(super) fn sharing(
        &self,
        seed: u64,
        (n, m): (usize, usize),
        count: usize,
        mass: impl Fn(usize) -> f64,
    ) -> Result<Sharing, String> {
        if self.expect.domain.is_some() {
            let problem = self.generic(seed, n, m, 1.0)?;
            let times = |w: &Measure, t: f64| {
                let weights = w.weights().iter().map(|w| w * t).collect::<Vec<_>>();
                text(Measure::new(weights))
            };
            let pair = |k| {
                let (a, b) = (problem.a(), problem.b());
                Ok((times(a, mass(k))?, times(b, mass(k))?))
            };
            let pairs = (0..count).map(pair).collect::<Result<_, String>>()?;
            return Ok((problem.shared_cost(), pairs));
        }
        let mut random = Random::new(seed);
        let cost = text(DenseCost::new(n, m, random.vec(n * m, 0.0, 1.0)))?;
        let mut pair = |k| {
            let mut side = |len| text(Measure::new(random.weights(len, mass(k))));
            Ok((side(n)?, side(m)?))
        };
        let pairs = (0..count).map(&mut pair).collect::<Result<_, String>>()?;
        Ok((Arc::new(cost), pairs))
    }

    /// The regularization for `problem`, in cost units; none for solvers that have no such thing.
    pub(super) fn reg(&self, problem: &Problem) -> Option<f64> {
        let range = problem.cost().range();
        // A constant cost has no spread to be relative to.
        let scale = [range.spread(), range.max_abs(), 1.0]
            .into_iter()
            .find(|s| *s > 0.0);
        self.has(Capability::Entropic)
            .then(|| self.expect.reg * scale.unwrap_or(1.0))
    }

    pub(super) fn options(&self, reg: Option<f64>) -> Options {
        let mut options = self.expect.options.clone();
        options.reg = reg.map(Reg::Absolute).or(options.reg);
        options.tol = self.expect.asked_tol().or(options.tol);
        options
    }

    pub(super) fn make(&self, options: &Options) -> Result<Box<dyn Solver>, String> {
        (self.build)(options)
            .map_err(|e| format!("building the solver with {options:?} failed: {e}"))
    }

    /// A solver whose regularization suits `problem`.
    pub(super) fn solver(&self, problem: &Problem) -> Result<Box<dyn Solver>, String> {
        self.make(&self.options(self.reg(problem)))
    }

    /// Solves with the regularization that suits the problem; the answer must be converged and pass every check.
    pub(super) fn solve(&self, name: &str, problem: &Problem) -> Result<Solution, String> {
        self.solve_at(name, problem, self.reg(problem))
    }

    /// The same with a given regularization.
    pub(super) fn solve_at(
        &self,
        name: &str,
        problem: &Problem,
        reg: Option<f64>,
    ) -> Result<Solution, String> {
        let solver = self.make(&self.options(reg))?;
        self.run(name, solver.as_ref(), problem, &mut Context::default())
    }

    /// Solves under `context`; the answer must be converged and pass every check.
    pub(super) fn run(
        &self,
        name: &str,
        solver: &dyn Solver,
        problem: &Problem,
        context: &mut Context,
    ) -> Result<Solution, String> {
        let solution = solver
            .solve_with(problem, context)
            .map_err(|e| format!("{name}: refused: {e}"))?;
        self.converged(name, problem, solution)
    }

    /// Verifies an answer that must have converged.
    pub(super) fn converged(
        &self,
        name: &str,
        problem: &Problem,
        solution: Solution,
    ) -> Result<Solution, String> {
        let how = &solution.convergence;
        if !how.converged() {
            return Err(format!(
                "{name}: stopped by {}{}, marginal errors {:e} and {:e}",
                how.termination,
                after(how.iterations),
                how.source_error,
                how.target_error
            ));
        }
        verify::answer(self, name, problem, &solution)?;
        Ok(solution)
    }

    /// What two values of `problem` may differ by: the stated accuracy, and 1e-12 of the largest cost for rounding.
    pub(super) fn slack(&self, problem: &Problem) -> f64 {
        self.expect.value_accuracy() * value_scale(problem) + rounding(problem)
    }

    pub(super) fn expect_value(
        &self,
        name: &str,
        what: &str,
        found: f64,
        wanted: f64,
        slack: f64,
    ) -> Verdict {
        // The negation also catches NaN.
        if (found - wanted).abs() <= slack {
            return Ok(());
        }
        Err(format!(
            "{name}: {what} is {found:e}, should be {wanted:e} (off by {:e}, allowed {slack:e})",
            (found - wanted).abs()
        ))
    }
}

/// mass · spread, with the γ of relaxed problems.
pub(super) fn value_scale(problem: &Problem) -> f64 {
    let spread = problem.cost().range().spread();
    let gammas = match problem.marginals() {
        crate::Marginals::Relaxed { gamma_a, gamma_b } => [gamma_a, gamma_b]
            .into_iter()
            .filter(|g| g.is_finite())
            .sum(),
        _ => 0.0,
    };
    problem.mass() * (spread + gammas)
}

/// The rounding that no algorithm in double precision escapes.
pub(super) fn rounding(problem: &Problem) -> f64 {
    1e-12 * (problem.mass() * problem.cost().range().max_abs() + value_scale(problem))
}
