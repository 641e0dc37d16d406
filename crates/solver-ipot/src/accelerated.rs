//! The accelerated schedule: the path of exact proximal steps, walked in few.
//!
//! t exact proximal steps of β end at the entropic optimum of ε = β/t. So the whole sequence lies on one curve, and
//! nothing forces anyone to visit all of it: levels of ε that fall geometrically are solved to the end of their inner
//! problems, each from the tangent of the one before. From level to level ε falls faster where the last one was easy.
//! The end is not an ε but the bracket: once the plan's support is that of an optimal vertex, the vertex and the
//! potentials that are tight on it close the gap down to rounding, at an ε of 1e-4 to 1e-7 of the spread.

use solver_api::{Error, Termination};

use crate::bracket::Bracket;
use crate::checkpoint::{Reader, Writer};
use crate::instance::Instance;
use crate::monitor::{Gibbs, Monitor};
use crate::newton::{Inner, Newton};
use crate::settings::PlanKind;

/// The first ε of a cold start, relative to the spread.
const FIRST: f64 = 0.02;
/// Below this ε, exponents carry more rounding than plans can bear.
const LAST: f64 = 2e-9;
/// Brackets are looked at from this ε on; above, plans are far from vertices.
const LOOK: f64 = 5e-3;
/// The first factor by which ε falls, the smallest and the largest.
const STEP: (f64, f64, f64) = (0.25, 0.08, 0.9);
/// Marginal errors of levels: far from the end, and where brackets are looked at.
const TARGET: (f64, f64) = (1e-2, 1e-4);
/// Iterations of a level.
const LIMIT: u64 = 40;
/// Up to this many iterations make an easy level; more than `HARD` a hard one.
const EASY: u64 = 2;
const HARD: u64 = 6;
/// Marginal error up to which a warm start may begin at a smaller ε.
const WARM: f64 = 0.6;

/// Where the path stands: at the start of a level.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Path {
    pub(crate) iterations: u64,
    eps: f64,
    step: f64,
    g: Vec<f64>,
    /// ε (0: none), potentials and tangent of the level before.
    from_eps: f64,
    from: Vec<f64>,
    slope: Vec<f64>,
    /// Whether it began at given potentials, and so may have to begin again.
    warm: bool,
}

impl Path {
    /// The start: at β if that is large, from the warm potentials at the smallest ε at which they are any good.
    pub(crate) fn new(instance: &Instance, beta: f64, warm: Option<Vec<f64>>) -> Self {
        let m = instance.shape().1;
        let mut path = Self {
            iterations: 0,
            eps: beta.max(FIRST),
            step: STEP.0,
            g: vec![0.0; m],
            from_eps: 0.0,
            from: vec![0.0; m],
            slope: vec![0.0; m],
            warm: false,
        };
        let Some(warm) = warm else { return path };
        let mut newton = Newton::new(instance);
        let mut eps = FIRST;
        while eps > LAST && newton.error(instance, &warm, eps) <= WARM {
            path.eps = eps;
            path.g.copy_from_slice(&warm);
            path.warm = true;
            eps *= STEP.0;
        }
        path
    }

    pub(crate) fn write(&self, to: &mut Writer) {
        to.count(self.iterations);
        to.count(u64::from(self.warm));
        to.numbers(&[self.eps, self.step, self.from_eps]);
        to.numbers(&self.g);
        to.numbers(&self.from);
        to.numbers(&self.slope);
    }

    pub(crate) fn read(from: &mut Reader<'_>, m: usize) -> Option<Self> {
        let iterations = from.count()?;
        let warm = from.count()? == 1;
        let head = from.numbers(3)?;
        Some(Self {
            iterations,
            eps: head[0],
            step: head[1],
            from_eps: head[2],
            g: from.numbers(m)?,
            from: from.numbers(m)?,
            slope: from.numbers(m)?,
            warm,
        })
    }

    /// Given potentials were of no use.
    fn begin_again(&mut self, instance: &Instance, beta: f64, iterations: u64) {
        *self = Self::new(instance, beta, None);
        self.iterations = iterations;
    }

    /// The next level: from the tangent of the last one.
    fn predict(&mut self) {
        self.eps = self.from_eps * self.step;
        let change = self.eps - self.from_eps;
        for ((g, from), slope) in self.g.iter_mut().zip(&self.from).zip(&self.slope) {
            *g = from + change * slope;
        }
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

/// Walks on until the bracket is as narrow as asked for. `path` is left at the start of the level it ended in.
pub(crate) fn run(
    path: &mut Path,
    beta: f64,
    bracket: &mut Bracket,
    monitor: &mut Monitor<'_>,
) -> Result<Ended, Error> {
    let instance = monitor.instance;
    let mut inner = Newton::new(instance);
    let mut g = path.g.clone();
    // A vertex is found from afar; a plan of the iteration itself must have the marginals.
    let near = match monitor.settings.plan() {
        PlanKind::Sparse => TARGET.1,
        _ => TARGET.1.min(0.1 * monitor.settings.tol),
    };
    loop {
        g.copy_from_slice(&path.g);
        let left = monitor.left(path.iterations);
        let target = if path.eps > LOOK { TARGET.0 } else { near };
        let mut told = None;
        let level = inner.level(
            instance,
            &mut g,
            path.eps,
            target,
            LIMIT.min(left),
            &mut || {
                told = monitor.context.interrupted();
                told.is_some()
            },
        );
        let iterations = path.iterations + level.iterations;
        let out = told.or((level.iterations >= left).then_some(Termination::IterationLimit));
        let lost = level.error > TARGET.0;
        if lost && out.is_none() && path.from_eps > 0.0 && path.step < STEP.2 {
            // Too far: from the same tangent again, with a shorter step.
            path.iterations = iterations;
            path.step = path.step.sqrt().min(STEP.2);
            path.predict();
            continue;
        }
        if path.warm && path.from_eps == 0.0 && level.error > TARGET.0 && out.is_none() {
            path.begin_again(instance, beta, iterations);
            continue;
        }
        if path.eps <= LOOK || out.is_some() {
            let (list, f, passes) = inner.parts();
            bracket.check(monitor.problem, instance, passes, list, f, &g)?;
            let own = Gibbs {
                f,
                g: &g,
                eps: path.eps,
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
                let f = f.to_vec();
                return Ok(Ended {
                    termination,
                    iterations,
                    f,
                    g,
                    eps: path.eps,
                });
            }
        }
        inner.slope(instance, &g, path.eps, &mut path.slope);
        path.iterations = iterations;
        path.from_eps = path.eps;
        path.from.copy_from_slice(&g);
        if level.iterations <= EASY {
            path.step = path.step.powf(1.5).max(STEP.1);
        } else if level.iterations > HARD {
            path.step = path.step.sqrt().min(STEP.2);
        }
        path.predict();
    }
}
