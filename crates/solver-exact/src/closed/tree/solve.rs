//! From a problem of `solver-api` to the sweeps, and from their lists to a solution.

use std::time::Instant;

use solver_api::{
    Capabilities, Capability, Check, Context, Cost, CostKind, Error, Outcome, Plan, Potentials,
    Problem, Progress, Solution, Solver, SparsePlan, Termination,
};

use super::matching::matched;
use super::{NAME, Settings};

/// What the ends of a bracket are rounded by, relative to the largest distance times the mass.
const ROUNDING: f64 = 1e-14;

/// Exact transport along the paths of a tree ([`solver_api::TreeCost`]): plan of at most n + m − 1 entries, potentials,
/// certificate.
///
/// Time and memory O(N + n + m), and O(log N) for the cost of each entry of the plan. N = n = m = 10⁶ on a busy machine:
/// 0.3 to 0.5 s for chains, stars and binary trees, 1.5 s for a random tree, and 0.6 to 1.4 s for the certificate
/// (`cargo run --release -p solver-exact --example tree_timing`). Any other cost is refused.
#[derive(Debug, Clone, Default)]
pub struct TreeSolver {
    settings: Settings,
}

impl TreeSolver {
    /// A solver with these settings, checked.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        Ok(Self {
            settings: settings.checked()?,
        })
    }

    /// The settings in force.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }
}

impl Solver for TreeSolver {
    fn name(&self) -> &str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::of(&[
            Capability::Balanced,
            Capability::Exact,
            Capability::LazyCost,
            Capability::Interruptible,
            Capability::Deterministic,
        ])
    }

    fn accepts(&self, problem: &Problem) -> Result<(), Error> {
        if !matches!(problem.cost().kind(), CostKind::Tree(_)) {
            return Err(Error::unsupported(NAME, "costs other than paths on a tree"));
        }
        self.capabilities().require(NAME, problem)
    }

    fn solve_with(&self, problem: &Problem, context: &mut Context) -> Result<Solution, Error> {
        let started = Instant::now();
        self.accepts(problem)?;
        self.settings.check_reach(NAME)?;
        let CostKind::Tree(cost) = problem.cost().kind() else {
            return Err(Error::unsupported(NAME, "costs other than paths on a tree"));
        };
        let (n, m) = problem.shape();
        let mut history = Vec::new();
        let mut check = |nodes: usize, part: f64, error: f64| {
            let elapsed = started.elapsed();
            if context.keep_history {
                history.push(Check {
                    iteration: nodes as u64,
                    error,
                    elapsed,
                });
            }
            context.check(&Progress {
                problem: context.problem_index,
                iteration: nodes as u64,
                part: Some(part),
                error,
                tol: self.settings.tol,
                certificate: None,
                elapsed,
            })
        };
        let (a, b) = (problem.a().weights(), problem.b().weights());
        let nodes = cost.tree().len();
        let mut done = 0;
        let found = match check(0, 0.0, f64::INFINITY) {
            Some(end) => Err(end),
            None => matched(cost, a, b, |so_far| {
                done = so_far;
                // All nodes seen is the end, and not a place to stop.
                let part = so_far as f64 / nodes as f64;
                (so_far < nodes)
                    .then(|| check(so_far, part, f64::INFINITY))
                    .flatten()
            }),
        };
        let (plan, potentials, termination) = match found {
            Err(end) => {
                let nothing = Plan::Sparse(SparsePlan::from_triples(n, m, Vec::new())?);
                let potentials = Potentials::new(vec![0.0; n], vec![0.0; m]);
                (nothing, potentials, end)
            }
            Ok(found) => {
                done = nodes;
                let plan = Plan::Sparse(SparsePlan::from_triples(n, m, found.triples)?);
                let potentials = Potentials::new(found.f, found.g);
                (plan, potentials, Termination::Optimal)
            }
        };
        let outcome = Outcome {
            plan,
            potentials,
            reg: 0.0,
            termination,
            iterations: Some(done as u64),
            history,
            certificate: None,
        };
        let mut solution = Solution::assemble(NAME, problem, outcome, started, context);
        // Where all distances are nearly the same, their spread is less than what potentials as long as they round off.
        let rounding = || ROUNDING * cost.range().max_abs() * problem.mass();
        self.settings.judge(problem, &mut solution, rounding);
        Ok(solution)
    }
}
