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

#[cfg(test)]
mod tests {
    use super::follow::{Run, WAY, at_end};
    use super::*;
    use crate::list::List;
    use crate::testing::{Clouds, apart, plan_of, sums_of};

    /// Looks at every entry of a matrix.
    struct Matrix<'a>(Dual<'a, f64>);

    impl Finder for Matrix<'_> {
        fn aimed(&self, g: &[f64]) -> Aimed<'_> {
            let g = g.to_vec();
            Box::new(move |rows, bounds, most| {
                let mut found: Found = (Vec::new(), Vec::new());
                for (i, bound) in rows.zip(bounds) {
                    if found.1.len() > most {
                        break;
                    }
                    let before = found.1.len();
                    let row = self.0.row(i).iter().zip(&g).enumerate();
                    let near = row.filter(|(_, (c, g))| *c - *g < *bound);
                    found.1.extend(near.map(|(j, (c, _))| (j as u32, *c)));
                    found.0.push((found.1.len() - before) as u32);
                }
                found
            })
        }
    }

    #[test]
    fn it_is_the_list_of_a_matrix() {
        // More rows than one task takes.
        let (n, m) = (600, 40);
        let clouds = Clouds::new(n, m, 2, 1);
        let dual = clouds.balanced();
        let mut point = clouds.solved(dual, 2e-3 * clouds.spread, 1e-11);
        let finder = Matrix(dual);
        let mut near = Near::new(dual, &finder, Preconditioner::Factor, n * m);
        assert!(near.build(&point, Reach::END));
        let list = List::build(dual, &point, Reach::END);
        assert!(list.len() < n * m);
        for i in 0..n {
            let (from, to) = near.pairs.span(i);
            assert_eq!(&near.pairs.cols[from..to], list.row(i).0);
        }
        let plan = plan_of(&dual, &point.f, &point.g, point.eps);
        let (rows, cols) = sums_of(&plan, n, m);
        near.pass(&mut point);
        assert!(apart(&point.sent, &rows) < 1e-12 && apart(&point.received, &cols) < 1e-12);
        // It holds until potentials have risen by the drift.
        assert!(near.is_valid(&point));
        let risen = |by: f64| {
            let mut moved = point.clone();
            moved.g[7] += by * Reach::END.drift * moved.eps;
            moved
        };
        assert!(near.is_valid(&risen(0.99)) && !near.is_valid(&risen(1.01)));
        assert_eq!(near.width(), Reach::END.limit() * point.eps);
    }

    #[test]
    fn too_many_pairs_and_lost_potentials_are_told() {
        let (n, m) = (60, 50);
        let clouds = Clouds::new(n, m, 2, 2);
        let dual = clouds.balanced();
        let point = clouds.solved(dual, 2e-3 * clouds.spread, 1e-11);
        let finder = Matrix(dual);
        let built = |point: &Point, most: usize| {
            let mut near = Near::new(dual, &finder, Preconditioner::Diagonal, most);
            let is_built = near.build(point, WAY);
            (is_built, near.pairs.cols.len())
        };
        let (is_built, count) = built(&point, n * m);
        assert!(is_built && count < n * m);
        assert!(built(&point, count).0);
        assert!(!built(&point, count - 1).0);
        // A source that no target is near, and one that is no number.
        for f in [-1e3, f64::NAN, f64::INFINITY] {
            let mut lost = point.clone();
            lost.f[9] = f;
            assert!(!built(&lost, n * m).0, "{f}");
        }
    }

    #[test]
    fn the_way_down_ends_at_its_tolerance() {
        let (n, m) = (70, 60);
        let clouds = Clouds::new(n, m, 2, 3);
        let dual = clouds.balanced();
        let start = clouds.solved(dual, 5e-2 * clouds.spread, 1e-6);
        let finder = Matrix(dual);
        for (to, tol) in [(1e-3, 1e-9), (1e-5, 1e-9), (5e-2, 1e-11)] {
            for by in [Preconditioner::Factor, Preconditioner::Diagonal] {
                let near = Near::new(dual, &finder, by, n * m);
                let mut run = Run::new(near, WAY, start.clone());
                let eps = to * clouds.spread;
                let ended = run.follow(eps, Some(tol), &mut |_| true);
                assert_eq!((ended, run.point.eps), (Ok(()), eps));
                let point = &run.point;
                let plan = plan_of(&dual, &point.f, &point.g, eps);
                let (rows, cols) = sums_of(&plan, n, m);
                let error = apart(&rows, dual.a).max(apart(&cols, dual.b));
                assert!(error <= tol, "{to:e} {by:?}: {error:e}");
            }
        }
        assert_eq!(at_end(1e-9).silent, -(2e-3 * 1e-9_f64).ln());
        // Told to stop, and without room.
        let near = Near::new(dual, &finder, Preconditioner::Factor, n * m);
        let mut run = Run::new(near, WAY, start.clone());
        let ended = run.follow(1e-4 * clouds.spread, Some(1e-9), &mut |_| false);
        assert_eq!(ended, Err(follow::Stop::Told));
        let near = Near::new(dual, &finder, Preconditioner::Factor, n);
        let mut run = Run::new(near, WAY, start);
        let ended = run.follow(1e-4 * clouds.spread, Some(1e-9), &mut |_| true);
        assert_eq!(ended, Err(follow::Stop::Lost));
    }
}
