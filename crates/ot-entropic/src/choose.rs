//! Which method: the one that is predicted to be the fastest, or the one that was asked for by name.
//!
//! Scaling is predicted from the contraction that its first iterations show, Newton by what its path is known to cost in
//! the same unit, passes over all pairs. Clocks have no part in it: the same input gives the same choice.

use ot_kernels::pricing::Entry;

use crate::dual::Dual;
use crate::path::{End, Followed, Path, Stage, Watch, follow};
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
        Method::Auto if task.reg < TRIED_FROM * task.spread => {
            let followed = follow(dual, path, start, watch);
            or_scaled(
                dual,
                followed,
                scaling(Acceleration::Anderson, false),
                watch,
            )
        }
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
            or_scaled(dual, rest, scaling(Acceleration::Anderson, false), watch)
        }
    }
}

/// A path that ended with an error of this size has lost its way, and not its last digits.
const LOST: f64 = 1e-6;
/// Iterations of scaling that are tried then.
const RESCUE: u64 = 5000;

/// What the path found, or scaling where a relaxed problem has led the path astray: where γ is many ε and pairs are forbidden,
/// masses differ by hundreds of e-folds on the way, and Newton's steps stop being ascents. Coordinate ascent can't.
fn or_scaled<T: Entry>(
    dual: Dual<'_, T>,
    followed: Followed,
    scaling: Scaling,
    watch: &mut Watch<'_>,
) -> Followed {
    let is_lost = followed.end == End::Stalled
        && followed.point.error().partial_cmp(&LOST) != Some(std::cmp::Ordering::Less);
    if !is_lost || dual.is_balanced() {
        return followed;
    }
    let spent = followed.work.steps;
    let rescue = Scaling {
        max_iter: scaling.max_iter.saturating_sub(spent).min(RESCUE),
        ..scaling
    };
    let mut scaled = scale(dual, rescue, None, &mut |stage, point| {
        let stage = Stage {
            steps: stage.steps + spent,
            ..*stage
        };
        watch(&stage, point)
    });
    if scaled.end == End::Converged || scaled.point.error() < followed.point.error() {
        scaled.work.dense_passes += followed.work.dense_passes;
        scaled.work.steps += spent;
        return scaled;
    }
    followed
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Clouds, apart};

    fn task_of(clouds: &Clouds, relative: f64) -> Task {
        Task {
            reg: relative * clouds.spread,
            tol: 1e-10,
            spread: clouds.spread,
            max_iter: 10_000,
            threads: 1,
        }
    }

    #[test]
    fn the_fast_method_is_taken() {
        let mut clouds = Clouds::new(60, 50, 2, 1);
        // A chain of parts that hang together by little: scaling is slow.
        for (k, c) in clouds.cost.iter_mut().enumerate() {
            let links = (k / 50 / 3).abs_diff(k % 50 * 20 / 50);
            *c += 0.2 * clouds.spread * links as f64;
        }
        clouds.spread = clouds.cost.iter().fold(0.0, |t: f64, c| t.max(*c));
        let solved = |relative: f64, method: Method| {
            let task = task_of(&clouds, relative);
            let found = solve(clouds.balanced(), task, method, None, &mut |_, _| true);
            assert_eq!(found.end, End::Converged, "{relative} {method:?}");
            found
        };
        // A few iterations at a large ε, and no path.
        let easy = solved(1.0, Method::Auto);
        assert_eq!(easy.work.products, 0);
        // Below the threshold the path alone.
        let (hard, path) = (solved(1e-3, Method::Auto), solved(1e-3, Method::Newton));
        assert_eq!(hard.point.g, path.point.g);
        // Between them scaling is given up where its contraction is slow, and the path goes on.
        let slow = solved(6e-3, Method::Auto);
        assert!(slow.work.products > 0, "{:?}", slow.work);
        let path = solved(6e-3, Method::Newton);
        let shift = slow.point.g[0] - path.point.g[0];
        let shifted: Vec<f64> = path.point.g.iter().map(|g| g + shift).collect();
        assert!(apart(&slow.point.g, &shifted) < 1e-7 * clouds.spread);
    }

    #[test]
    fn a_caller_who_says_stop_is_heard() {
        let clouds = Clouds::new(20, 20, 2, 2);
        for relative in [0.1, 1e-4] {
            let mut told = 0;
            let task = task_of(&clouds, relative);
            let found = solve(clouds.balanced(), task, Method::Auto, None, &mut |_, _| {
                told += 1;
                false
            });
            assert_eq!((found.end, told), (End::Stopped, 1));
        }
    }

    #[test]
    fn a_start_that_no_problem_has_is_dropped() {
        let clouds = Clouds::new(20, 20, 2, 3);
        let task = task_of(&clouds, 1e-2);
        let most = FAR * (task.spread + task.reg);
        assert_eq!(plausible(&[0.5, 1.0], &task), Some(vec![0.5, 1.0]));
        // Too far from each other, or no numbers.
        assert_eq!(plausible(&[0.0, 1.01 * most], &task), None);
        assert_eq!(plausible(&[f64::INFINITY, 0.0], &task), None);
        // A constant in common alone is taken off.
        let found = plausible(&[1e6 * most, 1e6 * most + 1.0], &task).unwrap();
        assert!((found[1] - found[0] - 1.0).abs() < 1e-6 && found[0].abs() < most);
        // NaN at every place tells nothing; it must not come out as an answer.
        let start = vec![f64::NAN; 20];
        let found = solve(
            clouds.balanced(),
            task,
            Method::Auto,
            Some(&start),
            &mut |_, _| true,
        );
        assert_eq!(found.end, End::Converged);
    }
}
