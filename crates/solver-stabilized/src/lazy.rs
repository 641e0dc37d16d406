//! Points without a matrix: from a problem to the iteration of `ot_entropic::lazy` and back.

use std::ops::Range;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use ot_entropic::dual::Point;
use ot_entropic::lazy::cloud::Cloud;
use ot_entropic::lazy::pass::Pairs;
use ot_entropic::lazy::{self, Arithmetic, End, Geometry, NARROW_REACHES};
use solver_api::{
    Certificate, Certify, Check, Context, Cost, Error, Ground, Outcome, PointCost, Progress,
    Solution, Termination,
};

use crate::NAME;
use crate::settings::Settings;
use crate::solve::Posed;

/// Clusters of either side: their cost and their plan take at most 25 MB each.
const MOST_CLUSTERS: usize = 2500;
/// How often somebody who watches is told within a pass.
const TOLD_EVERY: Duration = Duration::from_millis(100);

/// Points under a ground cost.
pub(crate) struct Points<'a>(pub(crate) &'a PointCost);

struct Blocks(PointCost);

impl Pairs for Blocks {
    fn block(&self, rows: Range<usize>, cols: Range<usize>, out: &mut [f64]) {
        self.0.block(rows, cols, out);
    }
}

impl Geometry for Points<'_> {
    fn is_squared(&self) -> bool {
        matches!(self.0.ground(), Ground::SqEuclidean)
    }

    fn has_means(&self) -> bool {
        // The mean of directions may be none, and that of positions on a circle lies anywhere.
        !matches!(self.0.ground(), Ground::Cosine | Ground::Arc)
    }

    fn pairs<'a>(&'a self, x: &Cloud, y: &Cloud) -> Result<Box<dyn Pairs + 'a>, String> {
        let ground = self.0.ground().clone();
        let cost = PointCost::new(x.points(), y.points(), x.dim(), ground);
        Ok(Box::new(Blocks(cost.map_err(|e| e.to_string())?)))
    }
}

/// What the threads of a pass tell in turn.
struct Told {
    last: Option<Instant>,
    passes: u64,
    stop: Option<Termination>,
    history: Vec<Check>,
}

/// Solves `posed`, whose cost is `points`, without a matrix.
pub(crate) fn solve(
    settings: &Settings,
    posed: &Posed<'_>,
    points: &PointCost,
    context: &Context,
    started: Instant,
) -> Result<Solution, Error> {
    let problem = posed.problem;
    let range = problem.cost().range();
    let unit = posed.masses.plan / problem.mass();
    let noise = f64::EPSILON * range.max_abs() / posed.reg;
    let mut tol = settings.tol_beside(4.0 * noise);
    if settings.arithmetic == Arithmetic::F32 && tol < NARROW_REACHES {
        if settings.tol.is_some() {
            return Err(Error::UnreachableTolerance {
                solver: NAME.to_owned(),
                tol,
                reachable: NARROW_REACHES,
            });
        }
        tol = NARROW_REACHES;
    }
    let dim = points.dim();
    let taken = |p: &[f64], at: &[u32]| -> Vec<f64> {
        let point = |&k: &u32| p[k as usize * dim..(k as usize + 1) * dim].iter().copied();
        at.iter().flat_map(point).collect()
    };
    let x = Cloud::new(&taken(points.x(), &posed.support.rows), dim, &posed.a);
    let y = Cloud::new(&taken(points.y(), &posed.support.cols), dim, &posed.b);
    let geometry = Points(points);
    let asked = lazy::Posed {
        x: &x,
        y: &y,
        geometry: &geometry,
        spread: range.spread(),
        least: range.min,
        eps: posed.reg,
        gamma_a: posed.masses.gamma_a,
        gamma_b: posed.masses.gamma_b,
    };
    let start = match &context.warm_start {
        Some(warm) => {
            let g = posed.take_in(warm)?;
            let f = posed.support.rows.iter().map(|&i| {
                let f = warm.f[i as usize] + posed.masses.shift_a;
                if f.is_finite() { f } else { 0.0 }
            });
            Some((x.sorted(&f.collect::<Vec<_>>()), y.sorted(&g)))
        }
        None => None,
    };
    let told = Mutex::new(Told {
        last: None,
        passes: u64::MAX,
        stop: context.interrupted(),
        history: Vec::new(),
    });
    let watch = |stage: &lazy::Stage| {
        // A thread that panicked has left numbers behind, nothing else.
        let mut told = told
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if told.stop.is_some() {
            return false;
        }
        let is_new = stage.part >= 1.0 && told.passes != stage.passes;
        let is_due = told.last.is_none_or(|last| last.elapsed() >= TOLD_EVERY);
        if !is_new && !is_due {
            return true;
        }
        let progress = Progress {
            problem: context.problem_index,
            iteration: stage.passes,
            part: (stage.part < 1.0).then_some(stage.part),
            error: stage.error * unit,
            tol,
            certificate: (stage.bracket).map(|(lower, upper)| Certificate {
                lower: lower * problem.mass(),
                upper: upper * problem.mass(),
            }),
            elapsed: started.elapsed(),
        };
        told.last = Some(Instant::now());
        if is_new {
            told.passes = stage.passes;
            if context.keep_history {
                told.history.push(Check {
                    iteration: progress.iteration,
                    error: progress.error,
                    elapsed: progress.elapsed,
                });
            }
        }
        told.stop = context.check(&progress);
        if told.stop.is_none() && is_new && stage.passes >= settings.max_iter {
            told.stop = Some(Termination::IterationLimit);
        }
        told.stop.is_none()
    };
    let how = lazy::Settings {
        tol: 0.9 * tol / unit,
        arithmetic: settings.arithmetic,
        most_clusters: MOST_CLUSTERS,
        threads: context.threads(),
        brackets: context.certify == Certify::EveryCheck && context.is_observed(),
    };
    let start = start.as_ref().map(|(f, g)| (f.as_slice(), g.as_slice()));
    let found = lazy::solve(asked, how, start, &watch)
        .map_err(|reason| Error::setting("metric", points.ground(), reason))?;
    let told = told
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let termination = match found.end {
        End::Converged => Termination::Converged,
        End::Stalled => Termination::Stalled,
        End::Stopped => told.stop.unwrap_or(Termination::Stalled),
    };
    let point = Point {
        eps: posed.reg,
        g: found.g,
        f: found.f,
        sent: found.sent,
        received: found.received,
        wanted: Vec::new(),
    };
    let (plan, potentials) = posed.implied(&point)?;
    let measured = posed.measured(&point, Some(found.paid));
    let mass = problem.mass();
    // Known from the last pass: it took no time of its own.
    let certificate = found.bracket.map(|(lower, upper)| {
        let (lower, upper) = (lower * mass, upper * mass);
        (Certificate { lower, upper }, Duration::ZERO)
    });
    let outcome = Outcome {
        plan,
        potentials,
        reg: posed.reg,
        termination,
        iterations: Some(found.passes.0 + found.passes.1),
        history: told.history,
        certificate,
    };
    Ok(match measured {
        Some(measured) => {
            Solution::assemble_measured(NAME, problem, outcome, measured, started, context)
        }
        None => Solution::assemble(NAME, problem, outcome, started, context),
    })
}
