//! Other references than a⊗b: the problem is posed as one with a⊗b, and its answer settled.

use rayon::prelude::*;
use solver_api::{Batch, Context, Error, Problem, Reference, Reg, Solution};

use crate::Sinkhorn;
use crate::kernel::Stored;
use crate::settings::Settings;
use crate::solve::{Workspace, resolve_reg};

impl Sinkhorn {
    /// Solves one problem with the reference of the settings.
    pub(crate) fn solve_with_reference<T: Stored>(
        &self,
        problem: &Problem,
        context: &Context,
        threads: usize,
    ) -> Result<Solution, Error> {
        if self.settings().reference.is_marginals() {
            return self.solve_one::<T>(problem, context, threads, &mut Workspace::default());
        }
        // In cost units: what it is relative to is the caller's cost.
        let reg = resolve_reg(self.settings(), problem)?;
        let inner = Self::new(Settings {
            reg: Reg::Absolute(reg),
            reference: Reference::marginals(),
            ..self.settings().clone()
        })?;
        let reference = &self.settings().reference;
        reference.solve(problem, reg, context, |problem, context| {
            inner.solve_one::<T>(problem, context, threads, &mut Workspace::default())
        })
    }

    /// All problems of `batch`, in order, side by side: each has a cost of its own.
    pub(crate) fn solve_many_with_reference<T: Stored>(
        &self,
        batch: &Batch,
        context: &Context,
    ) -> Vec<Result<Solution, Error>> {
        (0..batch.len())
            .into_par_iter()
            .map(|k| self.solve_with_reference::<T>(&batch.problem(k)?, &context.for_problem(k), 1))
            .collect()
    }
}
