//! Many problems: those that share a cost as the columns of matrix products, all others side by side.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;
use solver_api::{Batch, Context, Error, Marginals, Problem, Solution};

use crate::Sinkhorn;
use crate::columns::Member;
use crate::grid::grid_of;
use crate::group::Group;
use crate::kernel::Stored;
use crate::solve::Workspace;

/// Problems with one cost from which a matrix product pays.
const FEWEST: usize = 4;
/// Columns that one thread has at least: narrower products waste the kernel's way through the cache.
const NARROWEST: usize = 16;

impl Sinkhorn {
    /// All problems of `batch`, in order, on the current pool.
    pub(crate) fn solve_many<T: Stored>(
        &self,
        batch: &Batch,
        context: &Context,
    ) -> Vec<Result<Solution, Error>> {
        let problems: Vec<_> = (0..batch.len()).map(|k| batch.problem(k)).collect();
        let mut results: Vec<Option<Result<Solution, Error>>> = Vec::new();
        results.resize_with(problems.len(), || None);
        for group in groups(&problems) {
            for (k, result) in self.solve_group::<T>(&group, context) {
                results[k] = Some(result);
            }
        }
        let left: Vec<usize> = (0..problems.len())
            .filter(|&k| results[k].is_none())
            .collect();
        let threads = context.threads();
        // With problems for everybody, each stays on its thread.
        let each = if left.len() >= threads { 1 } else { threads };
        let spare: Mutex<Vec<Workspace<T>>> = Mutex::new(Vec::new());
        let pool = || spare.lock().unwrap_or_else(PoisonError::into_inner);
        let solved: Vec<_> = left
            .par_iter()
            .map(|&k| {
                let problem = problems[k].as_ref().map_err(Clone::clone)?;
                let mut work = pool().pop().unwrap_or_default();
                let solution = self.solve_one(problem, &context.for_problem(k), each, &mut work);
                pool().push(work);
                solution
            })
            .collect();
        for (k, result) in left.into_iter().zip(solved) {
            results[k] = Some(result);
        }
        results.into_iter().flatten().collect()
    }

    /// What the columns of one group came to; a problem that is missing is to be solved alone.
    fn solve_group<T: Stored>(
        &self,
        members: &[Member<'_>],
        context: &Context,
    ) -> Vec<(usize, Result<Solution, Error>)> {
        let Some(group) = Group::<T>::new(self, members, context) else {
            return Vec::new();
        };
        let parts = context
            .threads()
            .min(members.len().div_ceil(NARROWEST))
            .max(1);
        // Dealt out one by one: neighbours are alike, and so the parts are.
        (0..parts)
            .into_par_iter()
            .flat_map_iter(|part| group.solve(members.iter().skip(part).step_by(parts)))
            .collect()
    }
}

/// Balanced problems by their cost, where there are enough of them.
fn groups(problems: &[Result<Problem, Error>]) -> Vec<Vec<Member<'_>>> {
    let mut by_cost: BTreeMap<usize, Vec<Member<'_>>> = BTreeMap::new();
    for (index, problem) in problems.iter().enumerate() {
        let Ok(problem) = problem else { continue };
        if matches!(problem.marginals(), Marginals::Balanced) && grid_of(problem).is_none() {
            let cost = Arc::as_ptr(&problem.shared_cost()).cast::<()>() as usize;
            by_cost
                .entry(cost)
                .or_default()
                .push(Member { index, problem });
        }
    }
    let mut groups: Vec<_> = by_cost.into_values().collect();
    groups.retain(|group| group.len() >= FEWEST);
    // In the order of the batch, whatever the addresses are.
    groups.sort_by_key(|group| group[0].index);
    groups
}
