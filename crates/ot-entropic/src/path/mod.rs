//! The path: from a large ε, where a few passes suffice, down to the one that was asked for.
//!
//! Each level starts from the tangent of the path at the level before ([`predict`](crate::predict::predict)) and is corrected by Newton steps.
//! While many pairs carry mass the plan is a matrix in f32 (`dense_phase.rs`); afterwards it is a list of candidates in f64
//! (`list_phase.rs`); the last steps are in `finish.rs`.

mod dense_phase;
mod finish;
mod list_phase;
#[cfg(test)]
mod tests;

use ot_kernels::pricing::Entry;

use crate::dense::Dense;
use crate::dual::{Dual, Point};
use crate::list::{Entries, List, Reach, density};
use crate::newton::{Stepped, Steps};
use crate::predict::Tangent;

/// Where the path begins, relative to the spread of the cost.
const BEGIN: f64 = 0.1;
/// A list is used from this part of all pairs on.
const LISTED: f64 = 0.12;
/// The same for the last list, which replaces passes in f64 over everything.
const LISTED_AT_END: f64 = 0.2;
/// A stall at an error above this one is a lost way.
const LOST: f64 = 1e-9;
/// The relative residual of steps on lists.
const STEP_RESIDUAL: f64 = 1e-2;
/// Newton steps on one level.
const MOST_STEPS: usize = 60;

/// What is reported while a path is followed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stage {
    /// The present ε.
    pub eps: f64,
    /// The L1 error at it.
    pub error: f64,
    /// Newton steps until now.
    pub steps: u64,
}

/// Sees each stage with its point; `false` stops the path.
pub type Watch<'w> = dyn FnMut(&Stage, &Point) -> bool + 'w;

/// What a path took.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Work {
    /// Passes over the dense plan, in f32 and in f64.
    pub dense_passes: u64,
    /// Passes over lists.
    pub list_passes: u64,
    /// Newton steps.
    pub steps: u64,
    /// Products of linear solves.
    pub products: u64,
    /// Values of ε.
    pub levels: u64,
    /// Lists built from the whole cost.
    pub builds: u64,
}

/// How a path ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum End {
    /// The L1 error is within the tolerance.
    Converged,
    /// The error does not fall any more: rounding has won.
    Stalled,
    /// The caller said stop, at some ε above the one asked for or at it.
    Stopped,
}

/// Settings of [`follow`].
#[derive(Debug, Clone, Copy)]
pub struct Path {
    /// The regularization asked for.
    pub reg: f64,
    /// The L1 error to reach.
    pub tol: f64,
    /// max − min of the cost over allowed pairs.
    pub spread: f64,
    /// Threads of the current pool that passes may use.
    pub threads: usize,
}

/// What came out of a path.
#[derive(Debug, Clone)]
pub struct Followed {
    /// The last point.
    pub point: Point,
    /// How it ended.
    pub end: End,
    /// What it took.
    pub work: Work,
    /// ⟨P, C⟩ in f64, where a list knows it.
    pub paid: Option<f64>,
    /// The plan, where a list has it: all but what carries less than e^{−35} of a_i b_j.
    pub plan: Option<Entries>,
}

/// The way is lost where parts that hang together by little mass come apart while they have too much or too little of it.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
enum Care {
    /// Levels are left as soon as they may be.
    Bold,
    /// Levels are left at the tolerance, after the way was lost for a time.
    Wary,
    /// So they are from the beginning, and everything is in f64.
    Careful,
}

struct Run<'a, 'w, T> {
    dual: Dual<'a, T>,
    path: Path,
    point: Point,
    /// Whether the potentials are those of another solve.
    warm: bool,
    /// Whether the point is on this path already.
    goes_on: bool,
    care: Care,
    /// The level before, to go back to.
    back: Point,
    steps: Steps,
    tangent: Tangent,
    work: Work,
    paid: Option<f64>,
    plan: Option<Entries>,
    watch: &'w mut Watch<'w>,
}

/// Follows the path to `path.reg`. `start` holds potentials g of another solve: the path then begins at the ε that
/// they fit. Returns the last point, how it ended and what it took. `watch` is told after each Newton step, and stops
/// the path by `false`.
pub fn follow<T: Entry>(
    dual: Dual<'_, T>,
    path: Path,
    start: Option<&[f64]>,
    watch: &mut Watch<'_>,
) -> Followed {
    let (n, m) = dual.shape();
    let g = start.map_or_else(|| vec![0.0; m], <[f64]>::to_vec);
    let point = Point::new(n, g, begin(&path));
    let how = if start.is_some() {
        How::Warm
    } else {
        How::Cold
    };
    walk(dual, path, point, how, watch)
}

/// Goes on to a smaller ε from the last point of a path that was followed on the same dual. What comes out depends on the
/// point alone, and so is the same if that was kept elsewhere in between.
pub fn go_on<T: Entry>(
    dual: Dual<'_, T>,
    path: Path,
    from: &Point,
    watch: &mut Watch<'_>,
) -> Followed {
    walk(dual, path, from.clone(), How::On, watch)
}

/// [`follow`] with every level solved to the tolerance in f64: where masses that are as small as the errors of levels
/// hold a plan together.
pub fn follow_carefully<T: Entry>(
    dual: Dual<'_, T>,
    path: Path,
    watch: &mut Watch<'_>,
) -> Followed {
    let (n, m) = dual.shape();
    let point = Point::new(n, vec![0.0; m], begin(&path));
    walk(dual, path, point, How::Careful, watch)
}

/// How a path begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Cold,
    Warm,
    On,
    Careful,
}

/// The ε at which a path begins.
fn begin(path: &Path) -> f64 {
    (BEGIN * path.spread).max(path.reg)
}

fn walk<T: Entry>(
    dual: Dual<'_, T>,
    path: Path,
    point: Point,
    how: How,
    watch: &mut Watch<'_>,
) -> Followed {
    let (n, m) = dual.shape();
    let mut run = Run {
        warm: how == How::Warm,
        goes_on: how == How::On,
        care: if how == How::Careful {
            Care::Careful
        } else {
            Care::Bold
        },
        ..Run::new(dual, path, point, watch)
    };
    let mut end = run.whole();
    let error = run.point.error();
    let is_lost = error > (1e3 * path.tol).max(LOST) || error.is_nan();
    if end == End::Stalled && is_lost && run.care < Care::Careful {
        let first = run.point.clone();
        run.point = Point::new(n, vec![0.0; m], begin(&path));
        (run.warm, run.goes_on, run.care) = (false, false, Care::Careful);
        let (paid, plan) = (run.paid.take(), run.plan.take());
        let again = run.whole();
        if run.point.eps > path.reg || !(run.point.error() <= error || error.is_nan()) {
            (run.point, run.paid, run.plan) = (first, paid, plan);
        }
        end = again;
    }
    Followed {
        point: run.point,
        end,
        work: run.work,
        paid: run.paid,
        plan: run.plan,
    }
}

impl<'a, 'w, T: Entry> Run<'a, 'w, T> {
    /// A cold and bold one, at `point`.
    fn new(dual: Dual<'a, T>, path: Path, point: Point, watch: &'w mut Watch<'w>) -> Self {
        Self {
            dual,
            path,
            point,
            warm: false,
            goes_on: false,
            care: Care::Bold,
            back: Point::default(),
            steps: Steps::new(&dual),
            tangent: Tangent::default(),
            work: Work::default(),
            paid: None,
            plan: None,
            watch,
        }
    }
}

impl<T: Entry> Run<'_, '_, T> {
    fn whole(&mut self) -> End {
        let mut dense = Dense::new(self.dual, self.path.threads);
        if let Some(end) = self.dense_phase(&mut dense) {
            return end;
        }
        let mut list = List::build(self.dual, &self.point, Reach::WAY);
        if let Some(end) = self.list_phase(&mut list) {
            self.work.builds = list.builds as u64;
            return end;
        }
        let end = if density(&self.dual, &self.point, Reach::END.limit() * self.point.eps)
            <= LISTED_AT_END
        {
            self.finish_on_list(&mut list)
        } else {
            self.finish_dense(&mut dense)
        };
        self.work.builds = list.builds as u64;
        end
    }

    /// Takes out a shift of balanced potentials that linear solves have let in, before it costs digits.
    fn centre(&mut self) {
        if !self.dual.is_balanced() {
            return;
        }
        let of = |(g, b): (&f64, &f64)| g * b;
        let shift: f64 = self.point.g.iter().zip(self.dual.b).map(of).sum();
        if shift.abs() > self.path.spread {
            self.point.g.iter_mut().for_each(|g| *g -= shift);
            self.point.f.iter_mut().for_each(|f| *f += shift);
        }
    }

    fn count(&mut self, stepped: Stepped) {
        self.work.steps += 1;
        self.work.products += stepped.products as u64;
    }

    fn tell(&mut self) -> bool {
        let stage = Stage {
            eps: self.point.eps,
            error: self.point.error(),
            steps: self.work.steps,
        };
        (self.watch)(&stage, &self.point)
    }
}
