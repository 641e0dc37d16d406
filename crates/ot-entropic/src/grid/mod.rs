//! Balanced entropic transport on a regular grid in the log domain: O(n) memory, any ε.
//!
//! An iteration is f ← f + ω(f* − f), g ← g + ω(g* − g) with f* = −ε LSE((g − C)/ε + ln b) and its twin, each
//! log-sum-exp axis by axis ([`ot_kernels::separable::log`]). What makes it fast at small ε:
//!
//! - for squared distances, two grids (`sparse.rs`): on a coarser grid of the pyramid the plan is a list of near pairs
//!   (`crate::near`, found by `tree.rs`), Newton steps follow the path down to ε there, and the same linear system corrects the
//!   long modes of the given grid between iterations. Where cells are not small beside ε, the given grid has the list;
//! - for other costs, and where that loses its way, ε-scaling on a pyramid of grids (`pyramid.rs`): a large ε needs no small cells, so that the slow, long modes of the
//!   potentials are found where an iteration costs next to nothing;
//! - over-relaxation (`relaxation.rs`): ω from the contraction that is observed, taken back when the dual falls.
//!
//! Sources: Peyré and Cuturi, *Computational optimal transport* (2019), sections 4.3 and 4.4; Lehmann, von Renesse,
//! Sambale and Uschmajew, *A note on overrelaxation in the Sinkhorn algorithm* (2022), for ω; Young's relation between
//! the rates with and without it.

mod pyramid;
mod relaxation;
mod sparse;
#[cfg(test)]
mod tests;
mod tree;

use ot_kernels::exp::exp_in_place;
use ot_kernels::separable::{LogAxis, log_sum_exp};
use solver_api::GridCost;

use relaxation::Relaxation;

/// ε is divided by this from one level to the next.
const LEVELS: f64 = 4.0;
/// The error at which a level that is not the last one is left.
const ROUGH: f64 = 2e-2;
/// Iterations of such a level at most.
const FEW: u64 = 60;
/// Cells are small enough for ε if their cost along an axis is at most this part of it.
const FINE: f64 = 0.5;
/// Iterations between two confirmations that fail, at least: each has one without over-relaxation.
const PATIENCE: u64 = 4;

/// Sees a check and both potentials, and says whether to go on.
type AtCheck<'a> = dyn FnMut(&Seen, &[f64], &[f64]) -> bool + 'a;

/// The weights of both sides at mass 1, on the same grid.
#[derive(Debug, Clone, Copy)]
pub struct GridPair<'a> {
    /// The grid and its cost.
    pub grid: &'a GridCost,
    /// Source weights; zeros take no part.
    pub a: &'a [f64],
    /// Target weights.
    pub b: &'a [f64],
}

/// When to stop.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The larger of the two marginal L1 errors.
    pub stop: f64,
    /// Iterations in all, on all levels.
    pub max_iter: u64,
    /// Iterations between two checks.
    pub check_every: u64,
}

/// What a check sees.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    /// Iterations done, on all levels.
    pub iteration: u64,
    /// The larger of the two marginal errors that were seen last, at the ε of the level.
    pub error: f64,
    /// ε of the level.
    pub eps: f64,
    /// Whether this is the ε that was asked for, on the grid that was given.
    pub last_level: bool,
}

/// How a solve ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The error is at most `stop`.
    Converged,
    /// The iteration limit came first.
    IterationLimit,
    /// The error does not fall any more.
    Stalled,
    /// A check said so.
    Stopped,
}

/// Soft potentials in cost units, for cells of weight zero as well: the row marginals of their plan are exact.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Source potential.
    pub f: Vec<f64>,
    /// Target potential.
    pub g: Vec<f64>,
    /// Why it ended.
    pub end: End,
    /// Iterations on all levels, and those on the grid that was given.
    pub iterations: u64,
    /// See `iterations`.
    pub on_the_grid: u64,
    /// The column error of the plan of (f, g).
    pub error: f64,
}

/// One level: a grid, weights and ε.
struct Level {
    axes: Vec<LogAxis>,
    eps: f64,
    log_a: Vec<f64>,
    log_b: Vec<f64>,
    /// Exponents, logarithms, and room.
    x: Vec<f64>,
    logs: Vec<f64>,
    room: Vec<f64>,
}

impl Level {
    fn new(pair: GridPair<'_>, eps: f64) -> Self {
        let axis = |k| LogAxis::new(pair.grid.by_distance(k), 1.0 / eps, None);
        let log = |w: &[f64]| w.iter().map(|w| w.ln()).collect();
        let n = pair.a.len();
        Self {
            axes: (0..pair.grid.dims().len()).map(axis).collect(),
            eps,
            log_a: log(pair.a),
            log_b: log(pair.b),
            x: vec![0.0; n],
            logs: vec![0.0; n],
            room: vec![0.0; n],
        }
    }

    /// `self.logs` = LSE_j (p_j/ε + ln w_j − C_ij/ε), so that p* = −ε·logs.
    fn transform(&mut self, p: &[f64], of_source: bool) {
        let log_w = if of_source { &self.log_a } else { &self.log_b };
        let inverse = 1.0 / self.eps;
        for ((x, p), l) in self.x.iter_mut().zip(p).zip(log_w) {
            *x = p * inverse + l;
        }
        let axes: Vec<&LogAxis> = self.axes.iter().collect();
        log_sum_exp(&axes, &self.x, &mut self.logs, &mut self.room, true);
    }

    /// Σ w |e^{(p − p*)/ε} − 1|, Σ w (e^{(p − p*)/ε} − 1) and Σ w p: the marginal of p that `logs` belongs to.
    fn measure(&mut self, p: &[f64], w: &[f64]) -> Update {
        let mut seen = Update::default();
        let inverse = 1.0 / self.eps;
        for ((x, p), log) in self.x.iter_mut().zip(p).zip(&self.logs) {
            *x = p * inverse + log;
        }
        exp_in_place(&mut self.x);
        for ((p, &w), ratio) in p.iter().zip(w).zip(&self.x) {
            if w > 0.0 {
                let excess = ratio - 1.0;
                seen.error += w * excess.abs();
                seen.excess += w * excess;
                seen.paired += w * p;
            }
        }
        seen
    }

    /// p ← p + ω(p* − p), and p* where there is no weight.
    fn relax(&self, p: &mut [f64], w: &[f64], omega: f64) {
        for ((p, &w), &log) in p.iter_mut().zip(w).zip(&self.logs) {
            let best = -self.eps * log;
            if w > 0.0 && omega != 1.0 {
                *p += omega * (best - *p);
            } else {
                *p = best;
            }
        }
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Update {
    error: f64,
    excess: f64,
    paired: f64,
}

/// Solves the problem of `pair` at `eps`. `start` holds potentials to start from, at the ε that was asked for: then
/// there are no other levels. `at_check` says whether to go on.
///
/// Time n·Σ dims/8 exponentials an iteration at most. Memory 12·n numbers, and on top of them lists of near pairs: for
/// 256 × 256 pictures 0.2 KB a cell at ε = 1e-3 of the largest cost, 0.6 KB at 1e-4, 1.6 KB at 1e-5 and 6 KB at 1e-6
/// (`cargo run --release -p ot-entropic --example grid_timing`).
///
/// # Panics
/// If the weights do not fit the grid.
pub fn solve(
    pair: GridPair<'_>,
    eps: f64,
    start: Option<(&[f64], &[f64])>,
    limits: Limits,
    mut at_check: impl FnMut(&Seen, &[f64], &[f64]) -> bool,
) -> Answer {
    let mut done = 0;
    let (mut f, mut g) = match start {
        Some((f, g)) => (f.to_vec(), g.to_vec()),
        None => {
            let found = if sparse::pays(pair.grid, eps) {
                sparse::descend(pair, eps, limits, &mut done, &mut at_check)
            } else {
                Ok(None)
            };
            let mut watch = |seen: &Seen| at_check(seen, &[], &[]);
            let found = found.and_then(|found| match found {
                Some(potentials) => Ok(potentials),
                None => pyramid::climb(pair, eps, limits, &mut done, &mut watch),
            });
            match found {
                Ok(potentials) => potentials,
                Err((f, g)) if done + sparse::LEFT < limits.max_iter => {
                    return finish(pair, eps, f, g, End::Stopped, done, 0);
                }
                Err(potentials) => potentials,
            }
        }
    };
    let mut level = Level::new(pair, eps);
    let before = done;
    let (end, error) = iterate(
        &mut level,
        pair,
        (&mut f, &mut g),
        limits,
        &mut done,
        true,
        &mut at_check,
    );
    Answer {
        f,
        g,
        end,
        iterations: done,
        on_the_grid: done - before,
        error,
    }
}

/// One exact row update, for potentials that are to be returned as they stand.
fn finish(
    pair: GridPair<'_>,
    eps: f64,
    mut f: Vec<f64>,
    g: Vec<f64>,
    end: End,
    iterations: u64,
    on_the_grid: u64,
) -> Answer {
    let mut level = Level::new(pair, eps);
    level.transform(&g, false);
    level.relax(&mut f, pair.a, 1.0);
    level.transform(&f, true);
    let error = level.measure(&g, pair.b).error;
    Answer {
        f,
        g,
        end,
        iterations,
        on_the_grid,
        error,
    }
}

/// Iterates one level until its limits. On return of the last level, (f, g) is the pair whose error is returned, and
/// its row marginal is exact.
fn iterate(
    level: &mut Level,
    pair: GridPair<'_>,
    (f, g): (&mut Vec<f64>, &mut Vec<f64>),
    limits: Limits,
    done: &mut u64,
    last_level: bool,
    at_check: &mut AtCheck<'_>,
) -> (End, f64) {
    let mut relaxation = Relaxation::new();
    let (stop, most) = if last_level {
        (limits.stop, limits.max_iter)
    } else {
        (ROUGH.max(limits.stop), limits.max_iter.min(*done + FEW))
    };
    let first = *done;
    // Whether this iteration is to have an exact row marginal and decide.
    let mut deciding = false;
    let mut confirmed = 0;
    loop {
        *done += 1;
        let last = *done >= most;
        deciding |= last;
        let omega = if deciding { 1.0 } else { relaxation.omega() };
        level.transform(g, false);
        let rows = level.measure(f, pair.a);
        level.relax(f, pair.a, omega);
        let weighing = f.iter().zip(pair.a).filter(|(_, w)| **w > 0.0);
        let paired: f64 = weighing.map(|(f, w)| f * w).sum();
        level.transform(f, true);
        // The pair (f, g) is measured before g moves.
        let columns = level.measure(g, pair.b);
        let error = if deciding {
            columns.error
        } else {
            columns.error.max(rows.error)
        };
        let seen = Seen {
            iteration: *done,
            error,
            eps: level.eps,
            last_level,
        };
        let checks = done.is_multiple_of(limits.check_every) || *done == first + 1;
        let told = (checks || deciding) && !at_check(&seen, f, g);
        if deciding && columns.error <= stop {
            return (End::Converged, columns.error);
        }
        if last {
            return (End::IterationLimit, columns.error);
        }
        if told {
            if deciding {
                return (End::Stopped, columns.error);
            }
            // The pair that is returned has an exact row marginal.
            level.transform(g, false);
            level.relax(f, pair.a, 1.0);
            level.transform(f, true);
            return (End::Stopped, level.measure(g, pair.b).error);
        }
        let dual = paired + columns.paired - level.eps * columns.excess;
        relaxation.see(error, dual, deciding);
        if relaxation.stalled() {
            if deciding {
                return (End::Stalled, columns.error);
            }
            deciding = true;
        } else {
            let ready = error <= stop && *done >= confirmed + PATIENCE;
            if ready {
                confirmed = *done;
            }
            deciding = ready;
        }
        level.relax(g, pair.b, if deciding { 1.0 } else { relaxation.omega() });
    }
}
