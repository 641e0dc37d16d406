//! The plan as a list of near pairs: few targets of each source carry mass once ε is small.
//!
//! The twin of [`crate::list`] without a matrix: what finds the pairs is the grid's or the clouds' own ([`Finder`]).

pub(crate) mod follow;

use std::ops::Range;

use rayon::prelude::*;

use crate::dual::{Dual, Point};
use crate::list::Reach;
use crate::newton::{Preconditioner, Store};
use crate::pairs::Pairs;

/// Sources of one task, and tasks at a time: what they find is not kept twice.
const ROWS: usize = 512;
const TASKS: usize = 8;
/// Pairs that a task may find: more of them are those of potentials that are far off.
const MOST_IN_A_TASK: usize = 2400 * ROWS;

/// What a task finds: the number of pairs of each source, their targets and costs.
pub(crate) type Found = (Vec<u32>, Vec<(u32, f64)>);

/// Finds the pairs of these sources with C_ij − g_j below the bound of each; may break off after `most` of them.
pub(crate) type Aimed<'a> = Box<dyn Fn(Range<usize>, &[f64], usize) -> Found + Sync + 'a>;

/// What knows which pairs are near.
pub(crate) trait Finder: Sync {
    /// For these potentials of the targets.
    fn aimed(&self, g: &[f64]) -> Aimed<'_>;
}

/// Near pairs with their costs and the plan on them: 20 bytes a pair.
pub(crate) struct Near<'a> {
    pub(crate) dual: Dual<'a, f64>,
    finder: &'a dyn Finder,
    preconditioner: Preconditioner,
    pairs: Pairs,
    /// Potentials when it was built, and the slack that all other pairs had then.
    built_f: Vec<f64>,
    built_g: Vec<f64>,
    beyond: f64,
    silent: f64,
    /// Pairs that there is room for.
    most: usize,
}

impl<'a> Near<'a> {
    pub(crate) fn new(
        dual: Dual<'a, f64>,
        finder: &'a dyn Finder,
        preconditioner: Preconditioner,
        most: usize,
    ) -> Self {
        Self {
            dual,
            finder,
            preconditioner,
            pairs: Pairs::default(),
            built_f: Vec::new(),
            built_g: Vec::new(),
            beyond: 0.0,
            silent: 0.0,
            most,
        }
    }

    /// Finds the pairs at `point`, whose f belongs to its g. `false` where there are too many.
    pub(crate) fn build(&mut self, point: &Point, reach: Reach) -> bool {
        if !point.f.iter().all(|f| f.is_finite()) {
            return false;
        }
        let limit = reach.limit() * point.eps;
        let aimed = self.finder.aimed(&point.g);
        let pairs = &mut self.pairs;
        pairs.clear();
        let all = point.f.len();
        for first in (0..all).step_by(ROWS * TASKS) {
            let parts: Vec<Found> = (first..all.min(first + ROWS * TASKS))
                .step_by(ROWS)
                .collect::<Vec<_>>()
                .into_par_iter()
                .map(|from| {
                    let rows = from..all.min(from + ROWS);
                    let bounds: Vec<f64> =
                        point.f[rows.clone()].iter().map(|f| f + limit).collect();
                    aimed(rows, &bounds, MOST_IN_A_TASK)
                })
                .collect();
            for (counts, found) in parts {
                if pairs.cols.len() + found.len() > self.most || found.len() > MOST_IN_A_TASK {
                    return false;
                }
                // Room for what the rows so far let expect, and no more.
                let rows = pairs.start.len() - 1 + counts.len();
                let seen = pairs.cols.len() + found.len();
                if pairs.cols.capacity() < seen {
                    let rest = (all - rows) as f64 * 1.1 / rows as f64;
                    let more = found.len() + (rest * seen as f64) as usize;
                    pairs.cols.reserve_exact(more);
                    pairs.costs.reserve_exact(more);
                }
                let mut end = pairs.cols.len() as u32;
                for count in counts {
                    end += count;
                    pairs.start.push(end);
                }
                pairs.cols.extend(found.iter().map(|(j, _)| *j));
                pairs.costs.extend(found.iter().map(|(_, c)| *c));
            }
            // Twice as many as there is room for, if all rows are like those so far.
            let rows = pairs.start.len() - 1;
            if pairs.cols.len() as f64 * all as f64 > 2.0 * self.most as f64 * rows as f64 {
                return false;
            }
        }
        pairs.seal();
        self.built_f.clone_from(&point.f);
        self.built_g.clone_from(&point.g);
        (self.beyond, self.silent) = (limit, reach.silent);
        // A source without any pair has a potential that is far off.
        self.pairs.start.windows(2).all(|w| w[0] < w[1])
    }

    /// Whether every pair that is not listed carries less than e^{−silent}.
    pub(crate) fn is_valid(&self, point: &Point) -> bool {
        let most = |now: &[f64], built: &[f64]| {
            let rises = now.iter().zip(built).map(|(x, y)| x - y);
            rises.fold(f64::NEG_INFINITY, f64::max)
        };
        let rise = most(&point.f, &self.built_f) + most(&point.g, &self.built_g);
        self.beyond - rise >= self.silent * point.eps
    }

    /// The slack up to which pairs were listed.
    pub(crate) fn width(&self) -> f64 {
        self.beyond
    }
}

impl Store for Near<'_> {
    fn pass(&mut self, point: &mut Point) {
        self.pairs.pass(&self.dual, point);
    }

    fn entropy(&mut self, point: &Point, rows: &mut [f64], cols: &mut [f64]) {
        self.pairs.entropy(point, rows, cols);
    }

    fn solve(
        &mut self,
        point: &Point,
        rows: Option<&[f64]>,
        cols: &[f64],
        y: &mut [f64],
        tol: f64,
    ) -> usize {
        let by = Some(self.preconditioner);
        self.pairs
            .system(&self.dual, point, by)
            .solve(rows, cols, y, tol)
    }
}
