//! The accelerated schedule: the path of exact proximal steps, walked in few.
//!
//! t exact proximal steps of β end at the entropic optimum of ε = β/t. So the whole sequence lies on one curve, and
//! nothing forces anyone to visit all of it: `ot-entropic` follows it by tangents and sparse Newton steps. Here it is
//! followed in stretches, each from the last point alone to an ε that is a fixed part of the one before, with a look at
//! the bracket between them. The end is not an ε but the bracket: once the plan's support is that of an optimal vertex,
//! the vertex and the potentials that are tight on it close the gap down to rounding, at an ε of 1e-4 to 1e-7 of the
//! spread.

use ot_entropic::dual::{Dual, Point};
use ot_entropic::path::{Path as Stretch, follow, go_on};
use solver_api::{Error, Termination};

use crate::bracket::Bracket;
use crate::checkpoint::{Reader, Writer};
use crate::instance::Instance;
use crate::monitor::{Gibbs, Monitor};
use crate::rows::{List, Passes};
use crate::settings::PlanKind;

/// A larger β is an ε to stop at on the way, relative to the spread: where paths begin anyway.
const FIRST: f64 = 0.1;
/// Below this ε, exponents carry more rounding than plans can bear.
const LAST: f64 = 2e-9;
/// Brackets are looked at from this ε on; above, plans are far from vertices.
const LOOK: f64 = 1e-3;
/// The factor of ε from one look to the next, and the largest where a stretch has lost its way.
const STEP: f64 = 0.1;
const SHORTEST: f64 = 0.9;
/// Marginal errors at the end of stretches; one that is left with more than the second has lost its way.
const TARGET: f64 = 1e-5;
const LOST: f64 = 1e-2;
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
    /// The point where the last stretch ended: its ε (0: there was none), and its potentials.
    from_eps: f64,
    f: Vec<f64>,
    g: Vec<f64>,
    /// Whether it began at given potentials, and so may have to begin again.
    warm: bool,
}

impl Path {
    /// The start: at β if that is large; from the warm potentials to the smallest ε at which they are any good.
    pub(crate) fn new(instance: &Instance, beta: f64, warm: Option<Vec<f64>>) -> Self {
        let (n, m) = instance.shape();
        let mut path = Self {
            iterations: 0,
            eps: if beta > FIRST { beta } else { LOOK },
            step: STEP,
            from_eps: 0.0,
            f: vec![0.0; n],
            g: vec![0.0; m],
            warm: false,
        };
        let Some(warm) = warm else { return path };
        let (mut passes, mut received) = (Passes::new(instance), vec![0.0; m]);
        let mut eps = FIRST;
        while eps > LAST {
            passes.soft(instance, &warm, eps, &mut path.f, &mut received, None);
            if !(off(&received, &instance.b) <= WARM) {
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
        to.numbers(&[self.eps, self.step, self.from_eps]);
        to.numbers(&self.f);
        to.numbers(&self.g);
    }

    pub(crate) fn read(from: &mut Reader<'_>, n: usize, m: usize) -> Option<Self> {
        let iterations = from.count()?;
        let warm = from.count()? == 1;
        let head = from.numbers(3)?;
        Some(Self {
            iterations,
            eps: head[0],
            step: head[1],
            from_eps: head[2],
            f: from.numbers(n)?,
            g: from.numbers(m)?,
            warm,
        })
    }

    /// Given potentials were of no use.
    fn begin_again(&mut self, instance: &Instance, beta: f64, iterations: u64) {
        *self = Self::new(instance, beta, None);
        self.iterations = iterations;
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
fn off(received: &[f64], b: &[f64]) -> f64 {
    received.iter().zip(b).map(|(c, b)| (c - b).abs()).sum()
}

/// Walks on until the bracket is as narrow as asked for. `path` is left at the start of the stretch it ended in.
pub(crate) fn run(
    path: &mut Path,
    beta: f64,
    bracket: &mut Bracket,
    monitor: &mut Monitor<'_>,
) -> Result<Ended, Error> {
    let instance = monitor.instance;
    let (n, m) = instance.shape();
    let dual = Dual {
        cost: &instance.cost[..],
        a: &instance.a,
        b: &instance.b,
        gamma_a: f64::INFINITY,
        gamma_b: f64::INFINITY,
    };
    let (mut passes, mut list) = (Passes::new(instance), List::default());
    let (mut f, mut received) = (vec![0.0; n], vec![0.0; m]);
    // A vertex is found from afar; a plan of the iteration itself must have the marginals.
    let tol = match monitor.settings.plan() {
        PlanKind::Sparse => TARGET,
        _ => TARGET.min(0.1 * monitor.settings.tol),
    };
    loop {
        let left = monitor.left(path.iterations);
        let mut told = monitor.context.interrupted();
        let mut point = path.point();
        let mut iterations = path.iterations;
        if told.is_none() && left > 0 {
            let stretch = Stretch {
                reg: path.eps,
                tol,
                spread: 1.0,
                threads: monitor.context.threads(),
            };
            let context = monitor.context;
            let watch = &mut |stage: &ot_entropic::path::Stage, _: &Point| {
                told = context.interrupted();
                told.is_none() && stage.steps < left
            };
            let followed = if path.from_eps > 0.0 {
                go_on(dual, stretch, &point, watch)
            } else {
                follow(dual, stretch, path.warm.then_some(&path.g[..]), watch)
            };
            iterations += followed.work.steps;
            point = followed.point;
            if std::env::var_os("IPOT_DEBUG").is_some() { eprintln!("t {:.4} {:?}", monitor.started.elapsed().as_secs_f64(), followed.work); }
        }
        let out = told.or((iterations - path.iterations >= left).then_some(Termination::IterationLimit));
        point.g.iter_mut().filter(|g| !g.is_finite()).for_each(|g| *g = 0.0);
        let at = Some((&mut list, KEEP));
        passes.soft(instance, &point.g, point.eps, &mut f, &mut received, at);
        let error = off(&received, &instance.b);
        let lost = !(error <= LOST) && out.is_none();
        if lost && path.from_eps > 0.0 && path.step < SHORTEST {
            // Too far: from the same point again, but not to so small an ε.
            path.iterations = iterations;
            path.step = path.step.sqrt().min(SHORTEST);
            path.eps = path.from_eps * path.step;
            continue;
        }
        if lost && path.warm && path.from_eps == 0.0 {
            path.begin_again(instance, beta, iterations);
            continue;
        }
        if point.eps <= LOOK || out.is_some() {
            bracket.check(monitor.problem, instance, &mut passes, &list, &f, &point.g)?;
            if std::env::var_os("IPOT_DEBUG").is_some() { eprintln!("t {:.4} eps {:e} err {error:e} gap {:e} list {}", monitor.started.elapsed().as_secs_f64(), point.eps, bracket.gap(), list.len()); }
            let own = Gibbs {
                f: &f,
                g: &point.g,
                eps: point.eps,
            };
            let mut end = monitor.check(iterations, bracket, own)?;
            if end != Some(Termination::Converged) {
                end = out.or(end);
                if end.is_none() && path.eps <= LAST {
                    if path.warm {
                        path.begin_again(instance, beta, iterations);
                        continue;
                    }
                    end = Some(Termination::Stalled);
                }
            }
            if let Some(termination) = end {
                return Ok(Ended {
                    termination,
                    iterations,
                    f,
                    g: point.g,
                    eps: point.eps,
                });
            }
        }
        path.iterations = iterations;
        path.from_eps = point.eps;
        path.f.copy_from_slice(&f);
        path.g.copy_from_slice(&point.g);
        path.step = STEP;
        path.eps = (point.eps * STEP).min(LOOK);
    }
}
