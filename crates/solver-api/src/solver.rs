//! The trait that every backend implements, and batches.

use std::fmt;
use std::sync::Arc;

use rayon::prelude::*;

use crate::context::Context;
use crate::cost::Cost;
use crate::problem::Problem;
use crate::solution::Solution;
use crate::{Error, Measure};

/// Something a solver can do. A problem that needs more is refused with [`Error::Unsupported`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Capability {
    /// Problems with hard marginals.
    Balanced,
    /// KL-relaxed marginals.
    Relaxed,
    /// Partial transport of a given mass.
    Partial,
    /// The optimum of the unregularized problem, not an approximation of it.
    Exact,
    /// A regularized problem (`reg`).
    Entropic,
    /// Costs with forbidden pairs (+∞).
    ForbiddenPairs,
    /// Memory O(n + m) beyond a cost that is computed on the fly.
    LazyCost,
    /// Uses the product structure of a grid.
    GridCost,
    /// Starts from potentials.
    WarmStart,
    /// A batch is faster than its problems one by one.
    Batch,
    /// Stops at a deadline, a cancellation, or an observer's word.
    Interruptible,
    /// Gives the same answer for the same input, seed and threads.
    Deterministic,
}

impl Capability {
    /// The name in reports and errors.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Balanced => "balanced",
            Self::Relaxed => "relaxed",
            Self::Partial => "partial",
            Self::Exact => "exact",
            Self::Entropic => "entropic",
            Self::ForbiddenPairs => "forbidden-pairs",
            Self::LazyCost => "lazy-cost",
            Self::GridCost => "grid-cost",
            Self::WarmStart => "warm-start",
            Self::Batch => "batch",
            Self::Interruptible => "interruptible",
            Self::Deterministic => "deterministic",
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A set of capabilities.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Capabilities(Vec<Capability>);

impl Capabilities {
    /// The set of `list`, in any order, duplicates allowed.
    #[must_use]
    pub fn of(list: &[Capability]) -> Self {
        let mut list = list.to_vec();
        list.sort_unstable();
        list.dedup();
        Self(list)
    }

    /// Whether `capability` is in the set.
    #[must_use]
    pub fn has(&self, capability: Capability) -> bool {
        self.0.binary_search(&capability).is_ok()
    }

    /// All of them, in a fixed order.
    pub fn iter(&self) -> impl Iterator<Item = Capability> + '_ {
        self.0.iter().copied()
    }

    /// An error that names `solver` and the first capability that `problem` needs and the set lacks.
    pub fn require(&self, solver: &str, problem: &Problem) -> Result<(), Error> {
        use crate::problem::Marginals;
        let marginals = match problem.marginals() {
            Marginals::Balanced => Capability::Balanced,
            Marginals::Relaxed { .. } => Capability::Relaxed,
            Marginals::Partial { .. } => Capability::Partial,
        };
        let needs_mask = || {
            crate::feasibility::may_forbid(problem.cost()) && problem.cost().range().forbidden > 0
        };
        if !self.has(marginals) {
            return Err(Error::unsupported(solver, marginals.name()));
        }
        if !self.has(Capability::ForbiddenPairs) && needs_mask() {
            return Err(Error::unsupported(
                solver,
                Capability::ForbiddenPairs.name(),
            ));
        }
        Ok(())
    }
}

/// A configured algorithm. Object-safe, with no type parameters: precision is a setting.
///
/// Every solver answers the same Kantorovich question; a regularized one brings its `reg` along, and its bias shows
/// in the certificate. To write one: `solve_with` checks [`Capabilities::require`] and
/// [`check_feasible`](crate::check_feasible), runs, and ends with [`Solution::assemble`].
pub trait Solver: Send + Sync {
    /// The backend's name, as in the registry and on the command line.
    fn name(&self) -> &str;

    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// Whether it would take `problem`, in O(1) or about that: an error names what the problem asks and the solver lacks. A
    /// solver for some costs only (a closed form) says so here, so that `auto` passes it over.
    fn accepts(&self, problem: &Problem) -> Result<(), Error> {
        self.capabilities().require(self.name(), problem)
    }

    /// Solves under `context`. An answer that missed its tolerance is a solution whose convergence says so.
    fn solve_with(&self, problem: &Problem, context: &mut Context) -> Result<Solution, Error>;

    /// Solves without limits.
    fn solve(&self, problem: &Problem) -> Result<Solution, Error> {
        self.solve_with(problem, &mut Context::default())
    }

    /// Solves many problems; one failure never stops the rest, and the results are in the order of the batch.
    /// The default solves them side by side on the context's threads.
    fn solve_batch(&self, batch: &Batch, context: &mut Context) -> Vec<Result<Solution, Error>> {
        let context = &*context;
        context.install(|| {
            (0..batch.len())
                .into_par_iter()
                .map(|k| self.solve_with(&batch.problem(k)?, &mut context.for_problem(k)))
                .collect()
        })
    }
}

/// Many problems at once.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Batch {
    /// Separate problems of any sizes.
    Separate(Vec<Problem>),
    /// Balanced problems between pairs of measures that share one cost.
    SharedCost {
        /// The cost of all pairs.
        cost: Arc<dyn Cost>,
        /// (source, target) of each problem.
        pairs: Vec<(Measure, Measure)>,
    },
    /// Balanced problems from one source to many targets.
    OneToMany {
        /// The cost of all problems.
        cost: Arc<dyn Cost>,
        /// The source of all problems.
        source: Measure,
        /// The targets.
        targets: Vec<Measure>,
    },
}

impl Batch {
    /// The number of problems.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Separate(problems) => problems.len(),
            Self::SharedCost { pairs, .. } => pairs.len(),
            Self::OneToMany { targets, .. } => targets.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Problem `k`, checked. Cheap: measures and costs are shared.
    pub fn problem(&self, k: usize) -> Result<Problem, Error> {
        match self {
            Self::Separate(problems) => Ok(problems[k].clone()),
            Self::SharedCost { cost, pairs } => {
                let (a, b) = pairs[k].clone();
                Problem::new(a, b, Arc::clone(cost))
            }
            Self::OneToMany {
                cost,
                source,
                targets,
            } => Problem::new(source.clone(), targets[k].clone(), Arc::clone(cost)),
        }
    }

    /// The cost that all problems share, if they do by construction.
    #[must_use]
    pub fn shared_cost(&self) -> Option<&Arc<dyn Cost>> {
        match self {
            Self::Separate(_) => None,
            Self::SharedCost { cost, .. } | Self::OneToMany { cost, .. } => Some(cost),
        }
    }
}
