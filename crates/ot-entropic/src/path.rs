//! The path: from a large ε, where a few passes suffice, down to the one that was asked for.
//!
//! Each level starts from the tangent of the path at the level before ([`predict`]) and is corrected by Newton steps.
//! While many pairs carry mass the plan is a matrix in f32; afterwards it is a list of candidates in f64.

use ot_kernels::pricing::Entry;

use crate::coarse::Sample;
use crate::dense::Dense;
use crate::dual::{Dual, Point};
use crate::list::{Entries, List, Reach, density};
use crate::newton::{Stepped, Steps, Store, log_ratio, settle_far_off, step};
use crate::predict::{Tangent, predict};
use crate::scaling::balance;

/// Where the path begins, relative to the spread of the cost.
const BEGIN: f64 = 0.1;
/// Given potentials fit an ε if its error is below this one; otherwise ε is multiplied.
const WARM_ERROR: f64 = 0.3;
const WARM_FACTOR: f64 = 8.0;
/// Down to this part of the spread, levels are taken on a sample of a large problem.
const SAMPLED: f64 = 0.1 / 16.0;
/// And further down by halves, as long as one half of the sample tells the same as the other up to this many ε: 0.4 there
/// in the plane, 5 in sixteen dimensions.
const NOISE: f64 = 0.5;
const MOST_HALVES: usize = 3;
/// What ε is divided by in the dense phase.
const DENSE_FACTOR: f64 = 4.0;
/// After a prediction the factor is lowered if the error is above the first of these, and raised below the second.
const FAR_OFF: f64 = 0.2;
const NEAR: f64 = 0.1;
const LEAST_FACTOR: f64 = 1.5;
/// The L1 error at which a level of the dense phase is left.
const DENSE_ERROR: f64 = 2e-2;
/// A step of the dense phase that asks for more than so many ε is followed by another one while that helps.
const FAR: f64 = 100.0;
/// The factor of a careful path, whose levels are left at the tolerance only.
const CAREFUL_FACTOR: f64 = 2.0;
/// A list is used from this part of all pairs on.
const LISTED: f64 = 0.12;
/// The same for the last list, which replaces passes in f64 over everything.
const LISTED_AT_END: f64 = 0.2;
/// In the list phase a level is left when the full step is below so many ε, or at this error.
const LIST_STEP: f64 = 2.0;
const LIST_ERROR: f64 = 1e-5;
/// The first step of a level, in units of ε, above which the level is taken again with a smaller change of ε, and below
/// which the next change is larger.
const TOO_LONG: f64 = 12.0;
const SHORT: f64 = 4.0;
/// Relative residuals of tangents in the two phases.
const DENSE_RESIDUAL: f64 = 0.1;
const LIST_RESIDUAL: f64 = 1e-2;
/// A stall at an error above this one is a lost way.
const LOST: f64 = 1e-9;
/// The relative residual of steps on lists.
const STEP_RESIDUAL: f64 = 1e-2;
/// Newton steps on one level.
const MOST_STEPS: usize = 60;
/// Steps that may pass without halving the error before a level counts as lost.
const MOST_IDLE: usize = 6;

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

/// How a level of the list phase went.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Level {
    /// The caller said stop.
    Stopped,
    /// The error does not fall.
    Lost,
    /// It may be left, or its first full step, which this is in units of ε, was too long.
    Settled(f64),
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
        dual,
        path,
        point,
        warm: how == How::Warm,
        goes_on: how == How::On,
        care: if how == How::Careful {
            Care::Careful
        } else {
            Care::Bold
        },
        back: Point::default(),
        steps: Steps::new(&dual),
        tangent: Tangent::default(),
        work: Work::default(),
        paid: None,
        plan: None,
        watch,
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

    /// Down to where a list pays, or to the end: then `Some`.
    fn dense_phase(&mut self, dense: &mut Dense<'_, T>) -> Option<End> {
        if self.goes_on {
            let limit = Reach::WAY.limit() * self.point.eps;
            if density(&self.dual, &self.point, limit) <= LISTED {
                return None;
            }
        }
        let begin = self.point.eps;
        // At an ε this large a few passes are all there is: they may as well be in f64.
        dense.exact = begin <= self.path.reg || self.care == Care::Careful;
        if self.warm {
            self.point.eps = self.path.reg;
            dense.pass(&mut self.point);
            self.work.dense_passes += 1;
            while self.point.error() > WARM_ERROR && self.point.eps < begin {
                self.point.eps = (self.point.eps * WARM_FACTOR).min(begin);
                dense.pass(&mut self.point);
                self.work.dense_passes += 1;
            }
            // NaN is no fit either.
            self.warm = self.point.error() <= WARM_ERROR;
            if !self.warm {
                self.point.g.fill(0.0);
                self.point.eps = begin;
            }
        }
        if self.goes_on {
            dense.pass(&mut self.point);
            self.work.dense_passes += 1;
        } else if self.warm {
            self.settle(dense);
        } else {
            if self.care == Care::Bold {
                self.sampled_levels();
            }
            self.begin(dense);
        }
        if !self.levels(dense, self.path.reg, false) {
            return Some(End::Stopped);
        }
        if self.point.eps > self.path.reg {
            return None;
        }
        let limit = Reach::END.limit() * self.point.eps;
        if density(&self.dual, &self.point, limit) <= LISTED_AT_END {
            let mut list = List::build(self.dual, &self.point, Reach::END);
            return Some(self.finish_on_list(&mut list));
        }
        Some(self.finish_dense(dense))
    }

    /// The first pass, and two of Sinkhorn's steps.
    fn begin(&mut self, dense: &mut Dense<'_, T>) {
        balance(&self.dual, &mut self.point);
        dense.pass(&mut self.point);
        self.work.dense_passes += 1;
        self.settle(dense);
    }

    fn settle(&mut self, dense: &mut Dense<'_, T>) {
        let least_error = if self.warm {
            DENSE_ERROR
        } else {
            self.path.tol
        };
        for _ in 0..2 {
            if self.point.error() <= least_error {
                break;
            }
            let soft = 1.0 / (1.0 + self.dual.col_softness(self.point.eps));
            let point = &mut self.point;
            for ((g, c), t) in point.g.iter_mut().zip(&point.received).zip(&point.wanted) {
                *g += point.eps * soft * log_ratio(*t, *c);
            }
            dense.pass(&mut self.point);
            self.work.dense_passes += 1;
        }
    }

    /// Levels of the dense phase, down to `stop`, or to where a list pays unless it is `to_the_end`. `false`: told to
    /// stop.
    fn levels(&mut self, dense: &mut Dense<'_, T>, stop: f64, to_the_end: bool) -> bool {
        let (leave, most) = if self.care > Care::Bold {
            (self.path.tol, CAREFUL_FACTOR)
        } else {
            (DENSE_ERROR, DENSE_FACTOR)
        };
        let mut factor = most;
        loop {
            self.work.levels += 1;
            self.centre();
            let (mut best, mut goes_far) = (f64::INFINITY, false);
            for _ in 0..MOST_STEPS {
                let error = self.point.error();
                if error <= leave && !(goes_far && error > self.path.tol) {
                    break;
                }
                let stepped = step(dense, &mut self.point, &mut self.steps, 0.1);
                self.work.dense_passes += stepped.passes as u64;
                self.count(stepped);
                let lifted = settle_far_off(&self.dual, dense, &mut self.point, 4);
                self.work.dense_passes += lifted as u64;
                if !self.tell() {
                    return false;
                }
                // Parts that hang together by little are on their way.
                goes_far = stepped.full > FAR && self.point.error() < 0.5 * error;
                if self.point.error() > 0.9 * best && stepped.taken == 0.0 {
                    break;
                }
                best = best.min(self.point.error());
            }
            if self.point.eps <= stop {
                return true;
            }
            let limit = Reach::WAY.limit() * self.point.eps;
            if !to_the_end && density(&self.dual, &self.point, limit) <= LISTED {
                return true;
            }
            let eps = (self.point.eps / factor).max(stop);
            let products = (self.tangent).find(&self.dual, dense, &self.point, eps, DENSE_RESIDUAL);
            self.work.products += products as u64;
            self.back.copy_from(&self.point);
            loop {
                let eps = (self.back.eps / factor).max(stop);
                predict(&mut self.point, &self.tangent, eps);
                dense.pass(&mut self.point);
                self.work.dense_passes += 1;
                let error = self.point.error();
                if error > FAR_OFF && factor > LEAST_FACTOR {
                    // Too far for a straight line.
                    factor = factor.sqrt();
                    self.point.copy_from(&self.back);
                    continue;
                }
                if error < NEAR {
                    factor = (factor * factor).min(most);
                }
                break;
            }
            let lifted = settle_far_off(&self.dual, dense, &mut self.point, 4);
            self.work.dense_passes += lifted as u64;
        }
    }

    /// The first levels on a sample, down to [`SAMPLED`].
    fn sampled_levels(&mut self) {
        let stop = (SAMPLED * self.path.spread).max(self.path.reg);
        if self.point.eps <= stop {
            return;
        }
        let Some(sample) = Sample::of(&self.dual) else {
            return;
        };
        let (n, m) = sample.shape();
        let mut coarse = Run {
            dual: sample.dual(&self.dual),
            path: self.path,
            point: Point::new(n, vec![0.0; m], self.point.eps),
            warm: false,
            goes_on: false,
            care: Care::Bold,
            back: Point::default(),
            steps: Steps::new(&self.dual),
            tangent: Tangent::default(),
            work: Work::default(),
            paid: None,
            plan: None,
            watch: &mut |_, _| true,
        };
        let mut dense = Dense::new(coarse.dual, self.path.threads);
        coarse.begin(&mut dense);
        coarse.levels(&mut dense, stop, true);
        let mut stop = stop;
        for _ in 0..MOST_HALVES {
            let next = (0.5 * stop).max(self.path.reg);
            let noise = sample.noise(&coarse.point.f, next);
            if next >= stop || noise > NOISE || noise.is_nan() {
                break;
            }
            coarse.levels(&mut dense, next, true);
            stop = next;
        }
        if coarse.point.f.iter().all(|f| f.is_finite()) {
            sample.extend(&self.dual, &coarse.point.f, stop, &mut self.point.g);
            self.point.eps = stop;
        }
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

    /// Down to `reg` on a list; `Some` where it must stop before.
    fn list_phase(&mut self, list: &mut List<'_, T>) -> Option<End> {
        list.pass(&mut self.point);
        self.work.list_passes += 1;
        let mut factor: f64 = 0.5;
        match self.correct(list, f64::INFINITY) {
            Level::Stopped => return Some(End::Stopped),
            Level::Lost => return Some(End::Stalled),
            Level::Settled(_) => {}
        }
        while self.point.eps > self.path.reg {
            let eps = (self.point.eps * factor).max(self.path.reg);
            let products = (self.tangent).find(&self.dual, list, &self.point, eps, LIST_RESIDUAL);
            self.work.products += products as u64;
            self.back.copy_from(&self.point);
            loop {
                let eps = (self.back.eps * factor).max(self.path.reg);
                predict(&mut self.point, &self.tangent, eps);
                self.renew(list);
                self.work.levels += 1;
                let lifted = settle_far_off(&self.dual, list, &mut self.point, 4);
                self.work.list_passes += lifted as u64;
                let limit = if factor < 0.9 {
                    TOO_LONG
                } else {
                    f64::INFINITY
                };
                match self.correct(list, limit) {
                    Level::Stopped => return Some(End::Stopped),
                    // What was left of the error before is in the way now.
                    Level::Lost if self.care == Care::Bold => {
                        self.care = Care::Wary;
                        self.go_back(list);
                        match self.correct(list, f64::INFINITY) {
                            Level::Stopped => return Some(End::Stopped),
                            Level::Lost => return Some(End::Stalled),
                            Level::Settled(_) => {}
                        }
                    }
                    Level::Lost => return Some(End::Stalled),
                    Level::Settled(first) if first > limit => {
                        factor = factor.sqrt();
                        self.point.copy_from(&self.back);
                        continue;
                    }
                    Level::Settled(first) if first < SHORT => {
                        factor = factor.powf(1.5).max(0.05);
                    }
                    Level::Settled(_) => {}
                }
                break;
            }
        }
        None
    }

    /// To the level before, with its list.
    fn go_back(&mut self, list: &mut List<'_, T>) {
        self.point.copy_from(&self.back);
        list.rebuild(&self.point, Reach::WAY);
        list.pass(&mut self.point);
        self.work.list_passes += 1;
    }

    /// A pass with a list that holds at the present potentials, and no more than it must.
    fn renew(&mut self, list: &mut List<'_, T>) {
        if !list.is_valid(&self.point) {
            list.rebuild(&self.point, list.way());
        }
        list.pass(&mut self.point);
        self.work.list_passes += 1;
        // The source potentials were those of the level before until now.
        if list.is_valid(&self.point) {
            list.prune(&self.point);
        } else {
            list.rebuild(&self.point, list.way());
            list.pass(&mut self.point);
            self.work.list_passes += 1;
        }
    }

    /// Newton steps until the level may be left, or until the first full step is above `limit`.
    fn correct(&mut self, list: &mut List<'_, T>, limit: f64) -> Level {
        let mut first = None;
        let leave = if self.care > Care::Bold {
            self.path.tol
        } else {
            LIST_ERROR
        };
        let (mut best, mut idle) = (f64::INFINITY, 0);
        for _ in 0..MOST_STEPS {
            let error = self.point.error();
            if error <= leave {
                break;
            }
            if error < 0.5 * best {
                (best, idle) = (error, 0);
            } else {
                idle += 1;
                if idle > MOST_IDLE && error > LIST_ERROR && self.care < Care::Careful {
                    return Level::Lost;
                }
            }
            let stepped = step(list, &mut self.point, &mut self.steps, STEP_RESIDUAL);
            self.work.list_passes += stepped.passes as u64;
            self.count(stepped);
            let first = *first.get_or_insert(stepped.full);
            if first > limit {
                break;
            }
            let lifted = settle_far_off(&self.dual, list, &mut self.point, 4);
            self.work.list_passes += lifted as u64;
            if !list.is_valid(&self.point) {
                list.rebuild(&self.point, list.way());
                list.pass(&mut self.point);
                self.work.list_passes += 1;
            }
            if stepped.is_cut && stepped.taken > 0.0 && !self.dual.is_balanced() {
                idle = 0;
            }
            if !self.tell() {
                return Level::Stopped;
            }
            if (stepped.full <= LIST_STEP && self.care == Care::Bold) || stepped.taken == 0.0 {
                break;
            }
        }
        Level::Settled(first.unwrap_or(0.0))
    }

    /// The last Newton steps at `reg`, on a list that leaves out nothing that counts.
    fn finish_on_list(&mut self, list: &mut List<'_, T>) -> End {
        self.centre();
        list.rebuild(&self.point, Reach::END);
        list.pass(&mut self.point);
        self.work.list_passes += 1;
        let end = self.finish(list, |run, list| {
            if !list.is_valid(&run.point) {
                list.rebuild(&run.point, Reach::END);
                list.pass(&mut run.point);
                run.work.list_passes += 1;
            }
        });
        self.paid = Some(list.paid());
        self.plan = Some(list.take());
        end
    }

    /// The same with passes over all pairs in f64.
    fn finish_dense(&mut self, dense: &mut Dense<'_, T>) -> End {
        self.centre();
        dense.exact = true;
        dense.most_products = 200;
        dense.pass(&mut self.point);
        self.work.dense_passes += 1;
        self.finish(dense, |_, _| {})
    }

    /// Newton steps until the tolerance is reached, or rounding has won.
    fn finish<S: Store>(&mut self, store: &mut S, renew: impl Fn(&mut Self, &mut S)) -> End {
        let mut idle = 0;
        let mut best = f64::INFINITY;
        for _ in 0..MOST_STEPS {
            let error = self.point.error();
            if error <= self.path.tol {
                return End::Converged;
            }
            if error < 0.5 * best {
                (best, idle) = (error, 0);
            } else {
                idle += 1;
                if idle > 6 {
                    return End::Stalled;
                }
            }
            // A step leaves about its square: no more of the residual is needed.
            let tol = (0.1 * self.path.tol / error)
                .max(0.3 * error)
                .clamp(1e-6, STEP_RESIDUAL);
            let stepped = step(store, &mut self.point, &mut self.steps, tol);
            if stepped.is_cut && stepped.taken > 0.0 && !self.dual.is_balanced() {
                idle = 0;
            }
            self.work.list_passes += stepped.passes as u64;
            self.count(stepped);
            let lifted = settle_far_off(&self.dual, store, &mut self.point, 4);
            self.work.list_passes += lifted as u64;
            renew(self, store);
            if !self.tell() {
                return End::Stopped;
            }
        }
        End::Stalled
    }
}
