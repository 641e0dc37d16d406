//! Which method: the one that is predicted to be the fastest, or the one that was asked for by name.
//!
//! Scaling is predicted from the contraction that its first iterations show, Newton by what its path is known to cost in
//! the same unit, passes over all pairs. Clocks have no part in it: the same input gives the same choice.

use ot_kernels::pricing::Entry;

use crate::dual::Dual;
use crate::path::{Followed, Path, Watch, follow};
use crate::scaling::{Acceleration, Scaling, scale};

/// How a problem is to be solved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    /// Whatever is predicted to be the fastest.
    #[default]
    Auto,
    /// The path of sparse Newton steps.
    Newton,
    /// Scaling, by falling ε or at `reg` at once.
    Scaling {
        /// How potentials move.
        acceleration: Acceleration,
        /// ε-scaling.
        by_stages: bool,
    },
}

/// Below this part of the spread scaling is not tried: contraction falls with ε, and a path does not care.
const TRIED_FROM: f64 = 5e-3;
/// What a path costs in iterations of scaling, at n = 2000 and reg = 1e-2 of the spread (0.14 s beside 1.4 ms).
const PATH: f64 = 100.0;
/// Iterations after which the contraction is looked at for the first time.
const LOOK_FROM: u64 = 20;

/// What all methods need.
#[derive(Debug, Clone, Copy)]
pub struct Task {
    /// The regularization asked for.
    pub reg: f64,
    /// The L1 error to reach.
    pub tol: f64,
    /// max − min of the cost over allowed pairs.
    pub spread: f64,
    /// Newton steps, or iterations.
    pub max_iter: u64,
    /// Threads of the current pool that passes may use.
    pub threads: usize,
}

/// Solves by `method`; the arguments are those of [`follow`].
pub fn solve<T: Entry>(
    dual: Dual<'_, T>,
    task: Task,
    method: Method,
    start: Option<&[f64]>,
    watch: &mut Watch<'_>,
) -> Followed {
    let start = start.and_then(|g| plausible(g, &task));
    let start = start.as_deref();
    let path = Path {
        reg: task.reg,
        tol: task.tol,
        spread: task.spread,
        threads: task.threads,
    };
    let scaling = |acceleration, by_stages| Scaling {
        acceleration,
        reg: task.reg,
        tol: task.tol,
        spread: task.spread,
        max_iter: task.max_iter,
        threads: task.threads,
        by_stages,
    };
    match method {
        Method::Newton => follow(dual, path, start, watch),
        Method::Scaling {
            acceleration,
            by_stages,
        } => scale(dual, scaling(acceleration, by_stages), start, watch),
        Method::Auto if task.reg < TRIED_FROM * task.spread => follow(dual, path, start, watch),
        Method::Auto => {
            let mut slow = false;
            let mut before = None::<(u64, f64)>;
            let tried = scale(
                dual,
                scaling(Acceleration::Anderson, false),
                start,
                &mut |stage, point| {
                    if !watch(stage, point) {
                        return false;
                    }
                    if let Some((then, error)) = before
                        && stage.steps >= LOOK_FROM
                    {
                        let rate = (error / stage.error).ln() / (stage.steps - then) as f64;
                        let left = (stage.error / task.tol).ln().max(0.0) / rate;
                        // A rate that is negative or no number is slow too.
                        slow = !(rate > 0.0 && left <= PATH);
                    }
                    before = Some((stage.steps, stage.error));
                    !slow
                },
            );
            if !slow {
                return tried;
            }
            let mut rest = follow(dual, path, Some(&tried.point.g), watch);
            rest.work.dense_passes += tried.work.dense_passes;
            rest.work.steps += tried.work.steps;
            rest
        }
    }
}

/// Potentials that could be those of a problem like this, or none: at the optimum they differ by no more than the cost
/// does, or by a few times that where forbidden pairs leave only roundabout ways. Anything else is worse than no start.
/// A constant in common that is out of all proportion is taken off.
fn plausible(g: &[f64], task: &Task) -> Option<Vec<f64>> {
    let low = g.iter().fold(f64::INFINITY, |t, g| t.min(*g));
    let high = g.iter().fold(f64::NEG_INFINITY, |t, g| t.max(*g));
    let most = FAR * (task.spread + task.reg);
    let middle = 0.5 * low + 0.5 * high;
    let off = if middle.abs() > most { middle } else { 0.0 };
    (high - low <= most).then(|| g.iter().map(|g| g - off).collect())
}

/// The largest plausible difference, relative to spread + ε.
const FAR: f64 = 100.0;
