//! One solve for each measure, side by side, each on one thread and from where the last one of that measure ended.

use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;
use solver_api::{Capability, Certify, Context, Potentials, Problem, Solution, Solver};

use crate::Error;
use crate::transport::checked;

/// Contexts of one thread, as many as run at once, kept from round to round: no bit depends on how many there are.
pub(super) struct Solves<'a> {
    solver: &'a dyn Solver,
    whole: Context,
    free: Mutex<Vec<Context>>,
    /// The last potentials of each measure, where the solver can start from them.
    last: Vec<Mutex<Option<Arc<Potentials>>>>,
}

impl<'a> Solves<'a> {
    /// For `count` measures.
    pub(super) fn new(solver: &'a dyn Solver, count: usize, context: &Context) -> Self {
        let warm = solver.capabilities().has(Capability::WarmStart);
        let mut last = Vec::new();
        last.resize_with(if warm { count } else { 0 }, Mutex::default);
        Self {
            solver,
            whole: context.clone().certified(Certify::Off),
            free: Mutex::new(Vec::new()),
            last,
        }
    }

    /// Solves `problem(k)` for each k, and returns what `then` makes of it, in order. A solution that missed its tolerance
    /// counts; `then` sees it.
    ///
    /// # Errors
    /// The first problem that could not be stated or solved.
    pub(super) fn all<R: Send>(
        &self,
        count: usize,
        problem: impl Fn(usize) -> Result<Problem, Error> + Sync,
        then: impl Fn(usize, Solution) -> Result<R, Error> + Sync,
    ) -> Result<Vec<R>, Error> {
        let one = |k: usize| {
            let problem = problem(k)?;
            let free = || self.free.lock().unwrap_or_else(PoisonError::into_inner);
            let taken = free().pop();
            let mut own = match taken {
                Some(own) => own,
                None => self.whole.for_step(1)?,
            };
            if let Some(last) = self.last.get(k) {
                let last = last.lock().unwrap_or_else(PoisonError::into_inner);
                own.warm_start.clone_from(&last);
            }
            let pool = own.clone();
            let solution = pool.install(|| self.solver.solve_with(&problem, &mut own));
            free().push(own);
            let solution = checked(solution?)?;
            if let Some(last) = self.last.get(k) {
                let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
                *last = Some(Arc::new(solution.potentials.clone()));
            }
            then(k, solution)
        };
        let results: Vec<_> = self
            .whole
            .install(|| (0..count).into_par_iter().map(one).collect());
        // The first in order, not in time.
        results.into_iter().collect()
    }
}
