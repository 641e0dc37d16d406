//! The accelerated schedule: the path of exact proximal steps, walked in few.
//!
//! t exact proximal steps of β end at the entropic optimum of ε = β/t. So the whole sequence lies on one curve, and
//! nothing forces anyone to visit all of it: `ot-entropic` follows it by tangents and sparse Newton steps. Here it is
//! followed in stretches, each from the last point alone to an ε that is a fixed part of the one before, with a look at
//! the bracket between them. The end is not an ε but the bracket: once the plan's support is that of an optimal vertex,
//! the vertex and the potentials that are tight on it close the gap down to rounding, at an ε of 1e-4 to 1e-7 of the
//! spread.

use ot_entropic::dual::{Dual, Point};
use ot_entropic::list::Entries;
use ot_entropic::path::{Path as Stretch, Watch, follow, follow_carefully, go_on};
use solver_api::{Error, Termination};

use crate::bracket::Bracket;
use crate::checkpoint::{Reader, Writer};
use crate::instance::Instance;
use crate::monitor::{Gibbs, Monitor};
use crate::rows::{List, Passes};
use crate::settings::{PlanKind, Settings};

/// A larger β is an ε to stop at on the way, relative to the spread: where paths begin anyway.
const FIRST: f64 = 0.1;
/// Below this ε, exponents carry more rounding than plans can bear.
const LAST: f64 = 5e-10;
/// The first ε at which the bracket is looked at, in units of the tolerance, and within which limits: from 0.01 ε to 0.1 ε
/// is the gap there.
const LOOK: f64 = 10.0;
const LOOK_FROM: (f64, f64) = (1e-5, 1e-2);
/// From so many pairs on the way to the first look is stopped at, at these ε and marginal errors: a checkpoint goes on from
/// the last stop. Below, all of it takes less than a second.
const LARGE: usize = 1 << 24;
const STOPS: [f64; 3] = [1e-2, 1e-3, 1e-4];
const PASSING: f64 = 5e-3;
/// The factor of ε from one look to the next, and the largest where a stretch has lost its way.
const STEP: f64 = 0.1;
const SHORTEST: f64 = 0.5;
/// Marginal errors at the end of stretches; one that is left with more than the second has lost its way.
const TARGET: f64 = 1e-6;
const LOST: f64 = 1e-2;
/// A gap that is below the marginal error, and does not fall with ε, may be that error's: masses that are as small decide.
/// From there on paths are walked carefully, to this error over the ε that they lead to: what rounding in exponents leaves.
/// The other number is what a gap falls to at least where it falls.
const ROUNDING: f64 = 0.5 * f64::EPSILON;
const FALLS: f64 = 0.5;
/// Potentials beyond this many spreads are no potentials of anything.
const FAR: f64 = 1e6;
/// Entries above this share of the smaller of their two weights are looked at by a check.
const KEEP: f64 = 1e-7;
/// Marginal error up to which a warm start may begin at a smaller ε.
const WARM: f64 = 0.3;

/// Where the path stands: at the start of a stretch, which depends on nothing else.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Path {
    pub(crate) iterations: u64,
    /// The ε that the stretch leads to, and the factor that led to it.
    eps: f64,
    step: f64,
    /// The marginal error to leave it with.
    target: f64,
    /// The last gap.
    gap: f64,
    /// Whether errors that small have turned out to be too large.
    careful: bool,
    /// The point where the last stretch ended: its ε (0: there was none), and its potentials.
    from_eps: f64,
    f: Vec<f64>,
    g: Vec<f64>,
    /// Whether it began at given potentials, and so may have to begin again.
    warm: bool,
}

impl Path {
    /// The start: at β if that is large; from the warm potentials to the smallest ε at which they are any good.
    pub(crate) fn new(
        instance: &Instance,
        beta: f64,
        settings: &Settings,
        warm: Option<Vec<f64>>,
    ) -> Self {
        let (n, m) = instance.shape();
        let mut path = Self {
            iterations: 0,
            eps: if beta > FIRST {
                beta
            } else {
                next(instance, FIRST, settings.tol)
            },
            step: STEP,
            // A vertex is found from afar; a plan of the iteration itself must have the marginals.
            target: match settings.plan() {
                PlanKind::Sparse => TARGET,
                _ => TARGET.min(0.1 * settings.tol),
            },
            from_eps: 0.0,
            f: vec![0.0; n],
            g: vec![0.0; m],
            gap: f64::INFINITY,
            careful: false,
            warm: false,
        };
        let Some(warm) = warm else { return path };
        let (mut passes, mut received) = (Passes::new(instance), vec![0.0; m]);
        let mut eps = FIRST;
        while eps > LAST {
            passes.soft(instance, &warm, eps, &mut path.f, &mut received, None);
            let off = off(&received, &instance.b);
            if off > WARM || off.is_nan() {
                break;
            }
            path.warm = true;
            path.eps = eps;
            eps *= STEP;
        }
        if path.warm {
            path.g = warm;
        }
        path
    }

    pub(crate) fn write(&self, to: &mut Writer) {
        to.count(self.iterations);
        to.count(u64::from(self.warm));
        to.count(u64::from(self.careful));
        to.numbers(&[self.eps, self.step, self.target, self.gap, self.from_eps]);
        to.numbers(&self.f);
        to.numbers(&self.g);
    }

    pub(crate) fn read(from: &mut Reader<'_>, n: usize, m: usize) -> Option<Self> {
        let iterations = from.count()?;
        let warm = from.count()? == 1;
        let careful = from.count()? == 1;
        let head = from.numbers(5)?;
        Some(Self {
            iterations,
            eps: head[0],
            step: head[1],
            target: head[2],
            gap: head[3],
            from_eps: head[4],
            f: from.numbers(n)?,
            g: from.numbers(m)?,
            careful,
            warm,
        })
    }

    /// Given potentials were of no use.
    fn begin_again(&mut self, instance: &Instance, beta: f64, settings: &Settings) {
        let iterations = self.iterations;
        *self = Self::new(instance, beta, settings, None);
        self.iterations = iterations;
    }

    /// The stretch has lost its way: another one from where it began, not to so small an ε. `false`: there is none.
    fn shorten(&mut self) -> bool {
        if self.from_eps > 0.0 && self.step < SHORTEST && !self.careful {
            self.step = self.step.sqrt().min(SHORTEST);
            self.eps = self.from_eps * self.step;
            return true;
        }
        let begins = self.from_eps == 0.0 && self.eps < LOOK_FROM.1;
        if begins {
            self.eps = (100.0 * self.eps).min(LOOK_FROM.1);
        }
        begins
    }

    /// The marginal error that the stretch is to be left with.
    fn aim(&self, tol: f64) -> f64 {
        if self.careful {
            ROUNDING / self.eps
        } else if self.eps > look(tol) {
            PASSING
        } else {
            self.target
        }
    }

    /// The next stretch, from this point.
    fn go_on(&mut self, instance: &Instance, f: &[f64], point: &Point, tol: f64) {
        self.from_eps = point.eps;
        self.f.copy_from_slice(f);
        self.g.copy_from_slice(&point.g);
        self.step = STEP;
        self.eps = next(instance, point.eps, tol);
    }

    /// The point to go on from; before the first stretch one at its ε.
    fn point(&self) -> Point {
        let eps = if self.from_eps > 0.0 {
            self.from_eps
        } else {
            self.eps
        };
        let mut point = Point::new(self.f.len(), self.g.clone(), eps);
        point.f.copy_from_slice(&self.f);
        point
    }
}

/// How a schedule ended: the plan of the last iteration goes with it.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) termination: Termination,
    pub(crate) iterations: u64,
    pub(crate) f: Vec<f64>,
    pub(crate) g: Vec<f64>,
    pub(crate) eps: f64,
}

/// ‖Pᵀ1 − b‖₁.
pub(crate) fn off(received: &[f64], b: &[f64]) -> f64 {
    received.iter().zip(b).map(|(c, b)| (c - b).abs()).sum()
}

/// The ε to go to from `eps`.
fn next(instance: &Instance, eps: f64, tol: f64) -> f64 {
    let (n, m) = instance.shape();
    let look = look(tol);
    let below = |stop: &&f64| **stop < 0.5 * eps && **stop > look;
    if n.saturating_mul(m) >= LARGE
        && let Some(stop) = STOPS.iter().find(below)
    {
        return *stop;
    }
    (STEP * eps).min(look).max(LAST)
}

/// The ε of the first look.
fn look(tol: f64) -> f64 {
    (LOOK * tol).clamp(LOOK_FROM.0, LOOK_FROM.1)
}

/// The plan where a stretch ended.
#[derive(Debug)]
struct Seen {
    passes: Passes,
    list: List,
    f: Vec<f64>,
    received: Vec<f64>,
}

impl Seen {
    fn new(instance: &Instance) -> Self {
        let (n, m) = instance.shape();
        Self {
            passes: Passes::new(instance),
            list: List::default(),
            f: vec![0.0; n],
            received: vec![0.0; m],
        }
    }

    /// Takes the plan over from the path's list, or makes it: one pass over the cost. Returns its marginal error. Above a
    /// look nearly all entries carry mass, and are not to be `listed`.
    fn take(
        &mut self,
        instance: &Instance,
        point: &mut Point,
        plan: Option<&Entries>,
        listed: bool,
    ) -> f64 {
        if let Some(plan) = plan
            && point.error().is_finite()
            && point.g.iter().all(|g| g.abs() < FAR)
        {
            self.list.copy_from(plan, instance, KEEP);
            self.f.copy_from_slice(&point.f);
            return point.error();
        }
        if !point.g.iter().all(|g| g.abs() < FAR) {
            point.g.fill(0.0);
        }
        let list = listed.then_some((&mut self.list, KEEP));
        let (f, received) = (&mut self.f, &mut self.received);
        self.passes
            .soft(instance, &point.g, point.eps, f, received, list);
        off(received, &instance.b)
    }
}

/// Walks on until the bracket is as narrow as asked for. `path` is left at the start of the stretch it ended in.
pub(crate) fn run(
    path: &mut Path,
    beta: f64,
    bracket: &mut Bracket,
    monitor: &mut Monitor<'_>,
) -> Result<Ended, Error> {
    let instance = monitor.instance;
    let dual = Dual {
        cost: &instance.cost[..],
        a: &instance.a,
        b: &instance.b,
        gamma_a: f64::INFINITY,
        gamma_b: f64::INFINITY,
    };
    let mut seen = Seen::new(instance);
    let (settings, tol) = (monitor.settings, monitor.settings.tol);
    loop {
        let (before, left) = (path.iterations, monitor.left(path.iterations));
        let mut point = path.point();
        let mut plan = None;
        let limit = (left == 0).then_some(Termination::IterationLimit);
        let mut out = monitor.context.interrupted().or(limit);
        if out.is_none() {
            let stretch = Stretch {
                reg: path.eps,
                tol: path.aim(tol),
                spread: 1.0,
                threads: monitor.context.threads(),
            };
            let watch: &mut Watch<'_> = &mut |stage, _| {
                out = monitor.between(before + stage.steps, path.gap);
                if out.is_none() && stage.steps >= left {
                    out = Some(Termination::IterationLimit);
                }
                out.is_none()
            };
            let followed = if path.careful {
                follow_carefully(dual, stretch, watch)
            } else if path.from_eps > 0.0 {
                go_on(dual, stretch, &point, watch)
            } else {
                follow(dual, stretch, path.warm.then_some(&path.g[..]), watch)
            };
            (point, plan) = (followed.point, followed.plan);
            path.iterations += followed.work.steps;
        }
        let iterations = path.iterations;
        let looked_at = out.is_some() || point.eps <= look(tol);
        let mut error = seen.take(instance, &mut point, plan.as_ref(), looked_at);
        if out.is_none() && (error > LOST || error.is_nan()) {
            if path.warm {
                path.begin_again(instance, beta, settings);
                continue;
            }
            if path.shorten() {
                continue;
            }
            // What is known is that of the last stretch that did not.
            out = Some(Termination::Stalled);
            if path.from_eps > 0.0 || !looked_at {
                point = path.point();
                error = seen.take(instance, &mut point, None, true);
            }
        }
        if point.eps <= look(tol) || out.is_some() {
            let Seen {
                passes, list, f, ..
            } = &mut seen;
            bracket.check(
                monitor.problem,
                instance,
                passes,
                list,
                (f, &point.g),
                error,
            )?;
            let own = Gibbs {
                f,
                g: &point.g,
                eps: point.eps,
            };
            let mut end = monitor.check(iterations, bracket, own)?;
            if end != Some(Termination::Converged) {
                end = out.or(end);
                if end.is_none() && path.eps <= LAST {
                    if path.warm {
                        path.begin_again(instance, beta, settings);
                        continue;
                    }
                    end = Some(Termination::Stalled);
                }
            }
            if let Some(termination) = end {
                path.iterations = before;
                return Ok(Ended {
                    termination,
                    iterations,
                    f: seen.f,
                    g: point.g,
                    eps: point.eps,
                });
            }
        }
        let eps = path.eps;
        path.go_on(instance, &seen.f, &point, tol);
        let gap = if point.eps <= look(tol) {
            bracket.gap()
        } else {
            f64::INFINITY
        };
        let explained = gap < error && gap > FALLS * path.gap;
        path.gap = gap;
        if explained && !path.careful {
            (path.careful, path.eps) = (true, eps);
        }
    }
}
