//! Newton steps on lists of near pairs, from the coarsest grid of the pyramid down to the one that was given: the long
//! modes of the potentials, which an iteration moves by little at a time, come out of linear systems.
//!
//! Squared distances only, and ε so small that a list is short. What it returns is measured, and where need be mended, by
//! the iteration, which sees all pairs.

use solver_api::{GridCost, GridGround};

use super::pyramid::{Stage, pooled, refined, stages, step as step_of};
use super::tree::Cells;
use super::{AtCheck, GridPair, Level, Limits, Seen};
use crate::dual::{Dual, Point};
use crate::near::Near;
use crate::near::follow::{RESIDUAL, Run, Stop, WAY, at_end};
use crate::newton::{Preconditioner, Store};

/// Where ε begins, relative to the range of the cost.
const BEGIN: f64 = 0.1;
/// A grid is left for a finer one when ε is below this part of the cost of neighbours.
const FINE: f64 = 0.25;
/// Cells of a grid on which long modes are corrected cost at most so many ε to cross.
const CORRECTED: f64 = 4.0;
/// And there are so many of them at least: with fewer, borders are most of it.
const LEAST_CELLS: usize = 256;
/// The longest step of a correction, in units of ε.
const LONGEST: f64 = 4.0;
/// Pairs a cell up to which lists are the faster way, as expected where nothing is stretched; and in any case.
const EXPECTED: f64 = 200.0;
/// Up to so many, two grids gain nothing over the list of the given one.
const SHORT_LIST: f64 = 40.0;
const MOST: usize = 600;
/// And pairs in all: 20 bytes each, and as much again for the linear system.
const ROOM: usize = 1 << 25;
/// Iterations that are left for the one that measures.
pub(super) const LEFT: u64 = 2;
/// Iterations on two grids in which the error does not fall by a third: over-relaxation is as fast.
const SLOW: u32 = 16;

/// Potentials of sources and targets on all cells.
type Pair = (Vec<f64>, Vec<f64>);

/// Whether lists at `eps`, on this grid or on a coarser one, are a way to go.
pub(super) fn pays(grid: &GridCost, eps: f64) -> bool {
    if grid.ground() != GridGround::SqEuclidean {
        return false;
    }
    // A grid with half the cells along each axis costs four times as much to cross. The list of the given grid is longest
    // where it comes from there.
    let coarser = 4.0 * step_of(grid);
    let cells: usize = grid.dims().iter().product();
    let longest = cells as f64 * expected(grid, eps.max(FINE * coarser));
    let is_short = expected(grid, eps) <= EXPECTED && longest <= 2.0 * ROOM as f64;
    is_short || coarser <= CORRECTED * eps
}

/// About how many pairs a cell has on the last list, where the map does not stretch.
fn expected(grid: &GridCost, eps: f64) -> f64 {
    let reach = at_end(1e-9);
    let mut pairs = 1.0;
    for (k, &d) in grid.dims().iter().enumerate() {
        if d > 1 {
            let radius = (reach.limit() * eps / grid.by_distance(k)[1]).sqrt();
            pairs *= (1.0 + 1.75 * radius).min(d as f64);
        }
    }
    pairs
}

/// What goes on over all stages.
struct Way<'w, 'c> {
    done: &'w mut u64,
    most: u64,
    at_check: &'w mut AtCheck<'c>,
}

impl Way<'_, '_> {
    /// Counts a step; whether to go on.
    fn goes_on(&mut self, point: &Point) -> bool {
        *self.done += 1;
        let seen = Seen {
            iteration: *self.done,
            error: point.error(),
            eps: point.eps,
            last_level: false,
        };
        (self.at_check)(&seen, &[], &[]) && *self.done < self.most
    }
}

/// Potentials at `eps` on the given grid, near `limits.stop` where it can be had. `Ok(None)`: another way is needed.
pub(super) fn descend(
    pair: GridPair<'_>,
    eps: f64,
    limits: Limits,
    done: &mut u64,
    at_check: &mut AtCheck<'_>,
) -> Result<Option<Pair>, Pair> {
    if limits.max_iter <= *done + LEFT {
        return Ok(None);
    }
    let range = solver_api::Cost::range(pair.grid).max;
    let mut now = (BEGIN * range).max(eps);
    let mut stages = stages(pair, f64::INFINITY);
    let corrected = if expected(pair.grid, eps) > SHORT_LIST {
        corrected_on(&stages, eps)
    } else {
        None
    };
    let cells = stages[stages.len() - 1].a.len();
    let mut way = Way {
        done,
        most: limits.max_iter - LEFT,
        at_check,
    };
    let (mut f, mut g) = (vec![0.0; cells], vec![0.0; cells]);
    loop {
        let is_last = stages.len() == 1;
        let stage = &stages[stages.len() - 1];
        let to = if is_last || Some(stages.len() - 1) == corrected {
            eps
        } else {
            eps.max(FINE * step_of(&stage.grid)).min(now)
        };
        let tol = if is_last { Some(limits.stop) } else { None };
        match on_a_grid(stage, (&mut f, &mut g), (now, to), tol, &mut way) {
            Ok(()) => {}
            Err(Stop::Lost) => return Ok(None),
            Err(Stop::Told) => {
                while stages.len() > 1 {
                    stages.pop();
                    let dims = stages[stages.len() - 1].grid.dims();
                    (f, g) = (refined(dims, &f), refined(dims, &g));
                }
                return Err((f, g));
            }
        }
        if is_last {
            return Ok(Some((f, g)));
        }
        if Some(stages.len() - 1) == corrected {
            let most = way.most;
            let cycled = cycles(
                &stages,
                (&f, &g),
                eps,
                limits.stop,
                (way.done, most),
                way.at_check,
            )?;
            let Some((is_done, fine)) = cycled else {
                return Ok(None);
            };
            if is_done || expected(pair.grid, eps) > EXPECTED {
                return Ok(Some(fine));
            }
            (f, g) = fine;
            now = eps;
            stages.truncate(1);
            continue;
        }
        now = to;
        stages.pop();
        let dims = stages[stages.len() - 1].grid.dims();
        (f, g) = (refined(dims, &f), refined(dims, &g));
    }
}

/// From potentials near those at the first ε to those at the second, on one grid; with `tol`, to this error.
fn on_a_grid(
    stage: &Stage,
    (f, g): (&mut Vec<f64>, &mut Vec<f64>),
    (from, to): (f64, f64),
    tol: Option<f64>,
    way: &mut Way<'_, '_>,
) -> Result<(), Stop> {
    let (rows, cols) = (weighs(&stage.a), weighs(&stage.b));
    let (a, b) = (on(&stage.a, &rows), on(&stage.b, &cols));
    let pair = GridPair {
        grid: &stage.grid,
        a: &stage.a,
        b: &stage.b,
    };
    // What is new on this grid is local: an iteration or two see to that.
    exactly(pair, from, f, g, 2);
    let dual = Dual {
        cost: &[],
        a: &a,
        b: &b,
        gamma_a: f64::INFINITY,
        gamma_b: f64::INFINITY,
    };
    let mut point = Point::new(rows.len(), on(g, &cols), from);
    point.f = on(f, &rows);
    let cells = Cells {
        grid: &stage.grid,
        rows: &rows,
        cols: &cols,
    };
    let near = Near::new(dual, &cells, Preconditioner::Factor, pairs(&rows));
    let mut run = Run::new(near, WAY, point);
    let ended = run.follow(to, tol, &mut |point| way.goes_on(point));
    for (&cell, p) in cols.iter().zip(&run.point.g) {
        g[cell as usize] = *p;
    }
    let eps = run.point.eps;
    // Cells of no weight have potentials, too.
    let (mut f_now, mut g_now) = (f.clone(), g.clone());
    exactly(pair, eps, &mut f_now, &mut g_now, 1);
    *f = f_now;
    for (k, p) in g.iter_mut().enumerate() {
        if stage.b[k] == 0.0 {
            *p = g_now[k];
        }
    }
    ended
}

/// The coarser grid whose cells are small enough to correct the long modes of the given one at `eps`.
fn corrected_on(stages: &[Stage], eps: f64) -> Option<usize> {
    let serves = |s: &usize| {
        let stage = &stages[*s];
        stage.a.len() >= LEAST_CELLS && step_of(&stage.grid) <= CORRECTED * eps
    };
    (1..stages.len()).rev().find(serves)
}

/// Two grids: an iteration over all pairs sees to what is short, and a linear system on the coarser grid, with the plan
/// that it has at the same ε, to what is long. Whether that led to `stop`, and where it led.
fn cycles(
    stages: &[Stage],
    (f, g): (&[f64], &[f64]),
    eps: f64,
    stop: f64,
    (done, most): (&mut u64, u64),
    at_check: &mut AtCheck<'_>,
) -> Result<Option<(bool, Pair)>, Pair> {
    let (fine, coarse) = (&stages[0], &stages[stages.len() - 1]);
    let (rows, cols) = (weighs(&coarse.a), weighs(&coarse.b));
    let (a, b) = (on(&coarse.a, &rows), on(&coarse.b, &cols));
    let dual = Dual {
        cost: &[],
        a: &a,
        b: &b,
        gamma_a: f64::INFINITY,
        gamma_b: f64::INFINITY,
    };
    let mut point = Point::new(rows.len(), on(g, &cols), eps);
    point.f = on(f, &rows);
    let cells = Cells {
        grid: &coarse.grid,
        rows: &rows,
        cols: &cols,
    };
    let mut near = Near::new(dual, &cells, Preconditioner::Factor, pairs(&rows));
    if !near.build(&point, WAY) {
        return Ok(None);
    }
    near.pass(&mut point);
    let finer = &stages[..stages.len() - 1];
    let up = |p: &[f64]| {
        let grids = finer.iter().rev();
        grids.fold(p.to_vec(), |p, s| refined(s.grid.dims(), &p))
    };
    let down = |p: &[f64]| {
        let grids = finer.iter();
        grids.fold(p.to_vec(), |p, s| pooled(s.grid.dims(), &p))
    };
    let pair = GridPair {
        grid: &fine.grid,
        a: &fine.a,
        b: &fine.b,
    };
    let (mut f, mut g) = (up(f), up(g));
    let mut level = Level::new(pair, eps);
    let (mut best, mut idle, mut is_short) = (f64::INFINITY, 0, true);
    let mut y = vec![0.0; cols.len()];
    loop {
        level.transform(&g, false);
        level.relax(&mut f, pair.a, 1.0);
        level.transform(&f, true);
        let error = level.measure(&g, pair.b).error;
        *done += 1;
        let seen = Seen {
            iteration: *done,
            error,
            eps,
            last_level: true,
        };
        if !at_check(&seen, &f, &g) || *done >= most {
            return Err((f, g));
        }
        if error <= stop {
            return Ok(Some((true, (f, g))));
        }
        if error < 0.7 * best {
            (best, idle) = (error, 0);
        } else {
            idle += 1;
        }
        if idle > SLOW || error.is_nan() {
            return Ok(error.is_finite().then_some((false, (f, g))));
        }
        if is_short {
            level.relax(&mut g, pair.b, 1.0);
        } else {
            let off: Vec<f64> = (pair.b.iter().zip(&level.x))
                .map(|(b, ratio)| if *b > 0.0 { b * (1.0 - ratio) } else { 0.0 })
                .collect();
            near.solve(&point, None, &on(&down(&off), &cols), &mut y, RESIDUAL);
            let mut long = vec![0.0; coarse.b.len()];
            for (&cell, y) in cols.iter().zip(&y) {
                long[cell as usize] = y.clamp(-LONGEST, LONGEST);
            }
            for (g, long) in g.iter_mut().zip(up(&long)) {
                *g += eps * long;
            }
        }
        is_short = !is_short;
    }
}

/// Pairs that a list has room for.
fn pairs(rows: &[u32]) -> usize {
    (MOST * rows.len()).min(ROOM)
}

/// Cells that weigh anything.
fn weighs(w: &[f64]) -> Vec<u32> {
    let cells = (0..w.len() as u32).filter(|&k| w[k as usize] > 0.0);
    cells.collect()
}

/// What stands on these cells.
fn on(w: &[f64], cells: &[u32]) -> Vec<f64> {
    cells.iter().map(|&k| w[k as usize]).collect()
}

/// Iterations over all pairs.
fn exactly(pair: GridPair<'_>, eps: f64, f: &mut [f64], g: &mut [f64], count: usize) {
    let mut level = Level::new(pair, eps);
    for _ in 0..count {
        level.transform(g, false);
        level.relax(f, pair.a, 1.0);
        level.transform(f, true);
        level.relax(g, pair.b, 1.0);
    }
}
