//! Optimal transport as a linear program, solved by general LP libraries: oracles for small problems.
//!
//! | backend | feature | library |
//! |---|---|---|
//! | `lp-minilp` | `lp-minilp` | minilp 0.2, called directly: dual simplex, pure Rust |
//! | `lp-microlp` | `lp-microlp` | microlp through good_lp: its successor, pure Rust |
//! | `lp-highs` | `lp-highs` | HiGHS through good_lp: needs cmake, a C++ compiler and libclang to build |
//!
//! All three solve min ⟨P, C⟩ over P ≥ 0 with P1 = a, Pᵀ1 = b, one variable for each allowed pair of positive
//! weight (`network.rs`). Costs are brought to [0, 1] and masses to 1 for the library, whose tolerances are absolute
//! (about 1e-8). What comes back is polished (`polish.rs`): the flow is recomputed on the basis, so that the marginals
//! hold to rounding, and shortest paths of its residual graph give the potentials that prove it. Where the library
//! stopped at its tolerance, short of the optimum, negative cycles are cancelled, and cycles of no use are taken out of
//! the plan, which has n + m − 1 entries at most. Costs far from zero are solved without their offset (`lowered.rs`).
//!
//! A partial problem gets one more source and one more target, for the mass that stays; weights beyond twice the mass
//! that moves count as twice that mass, which no plan can tell. Relaxed problems are not
//! linear and are refused. The libraries can be neither interrupted nor warm-started through this interface.
//!
//! Memory is some 200 to 400 bytes for each allowed pair. Time grows about as n³ to n⁴ and can't be cut short, so a
//! problem of more allowed pairs than the setting `max_pairs` (250 000 unless set, 500 × 500) is refused
//! ([`Error::TooManyPairs`]). One solve of random points in the plane, squared distances, took on two shared cores
//! (`ot solve --backend NAME --json`, its `seconds`):
//!
//! | n × n | minilp | microlp |
//! |---|---|---|
//! | 128 | 0.04 s | 0.05 s |
//! | 256 | 0.9 s | 0.8 s |
//! | 400 | 4 s | 2 s |
//! | 600 | 10 s | 9 s |

mod barycenter;
mod factory;
#[cfg(any(feature = "lp-highs", feature = "lp-microlp"))]
mod good;
#[cfg(feature = "lp-highs")]
mod highs;
mod lowered;
#[cfg(feature = "lp-microlp")]
mod microlp;
#[cfg(feature = "lp-minilp")]
mod minilp;
mod network;
mod polish;
mod settings;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

pub use barycenter::LpBarycenter;
pub use factory::LpFactory;
#[cfg(feature = "lp-highs")]
pub use highs::HIGHS;
#[cfg(feature = "lp-microlp")]
pub use microlp::MICROLP;
#[cfg(feature = "lp-minilp")]
pub use minilp::MINILP;
use network::Network;
use settings::Settings;
use solver_api::{
    Capabilities, Capability, Certificate, Context, Error, Marginals, Outcome, Problem, Solution,
    Solver, Termination, check_feasible,
};

use crate::offset::lifted;

/// A library: its name, what it is, and how it minimises. The answer is one flow for each arc of the network.
#[derive(Debug, Clone, Copy)]
struct Library {
    name: &'static str,
    summary: &'static str,
    minimise: fn(&Network) -> Result<Vec<f64>, String>,
}

/// A solver over one of the libraries. Made by an [`LpFactory`].
#[derive(Debug, Clone)]
struct LpSolver {
    library: Library,
    settings: Settings,
}

/// What every library's solver can do.
fn capabilities() -> Capabilities {
    Capabilities::of(&[
        Capability::Balanced,
        Capability::Partial,
        Capability::Exact,
        Capability::ForbiddenPairs,
        Capability::Deterministic,
    ])
}

impl Solver for LpSolver {
    fn name(&self) -> &str {
        self.library.name
    }

    fn capabilities(&self) -> Capabilities {
        capabilities()
    }

    fn solve_with(&self, problem: &Problem, context: &mut Context) -> Result<Solution, Error> {
        let started = Instant::now();
        capabilities().require(self.name(), problem)?;
        check_feasible(problem)?;
        self.settings.check_size(self.name(), problem)?;
        let Some((level, low)) = lowered::lowered(problem)? else {
            return self.solve_level(problem, context, started);
        };
        let found = self.solve_level(&level, context, started)?;
        let partial = matches!(problem.marginals(), Marginals::Partial { .. });
        let certificate = found
            .certificate
            .map(|bracket| (lifted(bracket, low, problem), found.certify_time));
        let outcome = Outcome {
            plan: found.plan,
            potentials: lowered::raised(found.potentials, low, partial),
            reg: 0.0,
            termination: found.convergence.termination,
            iterations: found.convergence.iterations,
            history: Vec::new(),
            certificate,
        };
        Ok(Solution::assemble(
            self.name(),
            problem,
            outcome,
            started,
            context,
        ))
    }
}

impl LpSolver {
    /// Solves a problem whose costs are not far from zero.
    fn solve_level(
        &self,
        problem: &Problem,
        context: &Context,
        started: Instant,
    ) -> Result<Solution, Error> {
        let network = Network::new(problem);
        let answer = self.minimise(&network)?;
        let polished = polish::polish(&network, answer);
        let termination = if polished.gap <= self.settings.tol {
            Termination::Optimal
        } else {
            Termination::Stalled
        };
        let outcome = Outcome {
            plan: network.plan(problem, &polished.flow)?.into(),
            potentials: network.potentials(problem, &polished.f, &polished.g),
            reg: 0.0,
            termination,
            // The libraries don't tell their pivots.
            iterations: None,
            history: Vec::new(),
            certificate: None,
        };
        let mut solution = Solution::assemble(self.name(), problem, outcome, started, context);
        // The network knows the costs in [0, 1] only; the bracket has to stand in the caller's.
        let wide = |c: Certificate| c.relative_gap(problem) > self.settings.tol;
        if termination == Termination::Optimal && solution.certificate.is_some_and(wide) {
            solution.convergence.termination = Termination::Stalled;
        }
        Ok(solution)
    }

    fn minimise(&self, network: &Network) -> Result<Vec<f64>, Error> {
        // The network is valid and bounded, but the libraries unwrap inside of their factorizations.
        let answer = catch_unwind(AssertUnwindSafe(|| (self.library.minimise)(network)));
        let failed = |message: String| Error::Backend {
            solver: self.library.name.to_owned(),
            message,
        };
        let flow = answer
            .map_err(|_| failed("the library panicked".to_owned()))?
            .map_err(failed)?;
        if flow.len() != network.arcs.len() || flow.iter().any(|x| !x.is_finite()) {
            return Err(failed("the library's answer is not a flow".to_owned()));
        }
        Ok(flow)
    }
}
