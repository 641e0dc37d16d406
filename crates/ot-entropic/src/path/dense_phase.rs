//! While many pairs carry mass: levels on a plan in f32, the first of them on a sample.

use ot_kernels::pricing::Entry;

use super::{Care, End, LISTED, LISTED_AT_END, MOST_STEPS, Run};
use crate::coarse::Sample;
use crate::dense::Dense;
use crate::dual::Point;
use crate::list::{List, Reach, density};
use crate::newton::{Store, log_ratio, settle_far_off, step};
use crate::predict::predict;
use crate::scaling::balance;

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
/// Where the first step after a change of ε asks for so many and does not halve the error, parts that hang together by little
/// are on a wrong way: ε changes by less, and levels are left at the error below from then on.
const TOO_FAR: f64 = 1e3;
const TOO_FAR_ERROR: f64 = 1e-3;
/// The factor of a careful path, whose levels are left at the tolerance only.
const CAREFUL_FACTOR: f64 = 2.0;
/// The relative residual of tangents, and of steps.
const RESIDUAL: f64 = 0.1;

impl<T: Entry> Run<'_, '_, T> {
    /// Down to where a list pays, or to the end: then `Some`.
    pub(super) fn dense_phase(&mut self, dense: &mut Dense<'_, T>) -> Option<End> {
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
        let (mut leave, most) = if self.care > Care::Bold {
            (self.path.tol, CAREFUL_FACTOR)
        } else {
            (DENSE_ERROR, DENSE_FACTOR)
        };
        let mut factor = most;
        let mut is_predicted = false;
        'levels: loop {
            self.work.levels += 1;
            self.centre();
            let (mut best, mut goes_far) = (f64::INFINITY, false);
            for steps in 0..MOST_STEPS {
                let error = self.point.error();
                if error <= leave && !(goes_far && error > self.path.tol) {
                    break;
                }
                let stepped = step(dense, &mut self.point, &mut self.steps, RESIDUAL);
                self.work.dense_passes += stepped.passes as u64;
                self.count(stepped);
                let lifted = settle_far_off(&self.dual, dense, &mut self.point, 4);
                self.work.dense_passes += lifted as u64;
                if !self.tell() {
                    return false;
                }
                let is_of_use = self.point.error() < 0.5 * error;
                if is_predicted && steps == 0 && stepped.full > TOO_FAR && !is_of_use {
                    leave = leave.min(TOO_FAR_ERROR);
                    if factor > LEAST_FACTOR {
                        factor = factor.sqrt();
                        self.point.copy_from(&self.back);
                        self.predict_dense(dense, factor, stop);
                        continue 'levels;
                    }
                }
                // Parts that hang together by little are on their way.
                goes_far = stepped.full > FAR && is_of_use;
                if self.point.error() > 0.9 * best && stepped.taken == 0.0 {
                    break;
                }
                best = best.min(self.point.error());
            }
            is_predicted = true;
            if self.point.eps <= stop {
                return true;
            }
            let limit = Reach::WAY.limit() * self.point.eps;
            if !to_the_end && density(&self.dual, &self.point, limit) <= LISTED {
                return true;
            }
            let eps = (self.point.eps / factor).max(stop);
            let products = (self.tangent).find(&self.dual, dense, &self.point, eps, RESIDUAL);
            self.work.products += products as u64;
            self.back.copy_from(&self.point);
            loop {
                self.predict_dense(dense, factor, stop);
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

    /// To the next ε along the tangent, from the level before.
    fn predict_dense(&mut self, dense: &mut Dense<'_, T>, factor: f64, stop: f64) {
        predict(
            &mut self.point,
            &self.tangent,
            (self.back.eps / factor).max(stop),
        );
        dense.pass(&mut self.point);
        self.work.dense_passes += 1;
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
        let point = Point::new(n, vec![0.0; m], self.point.eps);
        let mut unwatched = |_: &_, _: &_| true;
        let mut coarse = Run::new(sample.dual(&self.dual), self.path, point, &mut unwatched);
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
}
