//! Newton steps on a list of near pairs, down to the ε that was asked for.

use super::Near;
use crate::dual::Point;
use crate::list::Reach;
use crate::newton::{Steps, Store, log_ratio, step};
use crate::predict::{Tangent, predict};

/// Reach of a list on the way, and how far potentials may rise at the end.
pub(crate) const WAY: Reach = Reach {
    silent: 18.0,
    drift: 8.0,
};
const END_DRIFT: f64 = 1.5;
/// At the end, what is left out is this part of the tolerance in each pair.
const END_PART: f64 = 2e-3;
/// Errors and steps (in units of ε) at which a level on the way is left.
const LEAVE_ERROR: f64 = 1e-5;
/// Errors above this after all steps of a level: the way is lost, and a smaller change of ε may find it.
const LOST: f64 = 0.05;
/// Changes of ε smaller than by this factor are not worth it.
const LEAST_CHANGE: f64 = 0.95;
const LEAVE_STEP: f64 = 2.0;
/// The first step of a level above which it is taken again with a smaller change of ε, and below which the next change is
/// larger.
const TOO_LONG: f64 = 12.0;
const SHORT: f64 = 4.0;
/// Relative residuals of linear systems.
pub(crate) const RESIDUAL: f64 = 1e-2;
/// Steps on one level, and without progress.
const MOST_STEPS: usize = 40;
const IDLE: u32 = 5;

/// The reach of a list that is good for this tolerance.
pub(crate) fn at_end(tol: f64) -> Reach {
    Reach {
        silent: -(END_PART * tol).ln(),
        drift: END_DRIFT,
    }
}

/// Asked after each step with the point reached: whether to go on.
pub(crate) type GoesOn<'w> = dyn FnMut(&Point) -> bool + 'w;

/// How a way down ended before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The caller said so.
    Told,
    /// Too many pairs, or no progress: another way is needed.
    Lost,
}

/// A list and the point on its path.
pub(crate) struct Run<'a> {
    near: Near<'a>,
    /// Reach of lists on the way.
    way: Reach,
    steps: Steps,
    tangent: Tangent,
    pub(crate) point: Point,
    back: Point,
}

impl<'a> Run<'a> {
    /// From `point` on, whose f belongs to its g.
    pub(crate) fn new(near: Near<'a>, way: Reach, point: Point) -> Self {
        Self {
            steps: Steps::new(&near.dual),
            near,
            way,
            tangent: Tangent::default(),
            point,
            back: Point::default(),
        }
    }

    /// Down to `to`, and to the tolerance if there is one.
    pub(crate) fn follow(
        &mut self,
        to: f64,
        tol: Option<f64>,
        goes_on: &mut GoesOn<'_>,
    ) -> Result<(), Stop> {
        if let (Some(tol), true) = (tol, self.point.eps <= to) {
            return self.finish(tol, goes_on);
        }
        self.build(self.way)?;
        self.correct(LEAVE_ERROR, f64::INFINITY, goes_on)?;
        let mut factor: f64 = 0.5;
        while self.point.eps > to {
            let goal = |from: f64, factor: f64| {
                let eps = from * factor;
                if eps < 1.2 * to { to } else { eps }
            };
            let eps = goal(self.point.eps, factor);
            let dual = self.near.dual;
            (self.tangent).find(&dual, &mut self.near, &self.point, eps, RESIDUAL);
            self.back.copy_from(&self.point);
            loop {
                let eps = goal(self.back.eps, factor);
                predict(&mut self.point, &self.tangent, eps);
                self.renew(self.way)?;
                self.settle();
                let limit = if factor < 0.9 {
                    TOO_LONG
                } else {
                    f64::INFINITY
                };
                let first = self.correct(LEAVE_ERROR, limit, goes_on)?;
                let is_lost = self.point.error() > LOST || self.point.error().is_nan();
                if is_lost && factor > LEAST_CHANGE {
                    // The iteration goes on from the level before.
                    self.point.copy_from(&self.back);
                    return Ok(());
                }
                if first > limit || is_lost {
                    factor = factor.sqrt();
                    self.point.copy_from(&self.back);
                    continue;
                }
                if first < SHORT {
                    factor = factor.powf(1.5).max(0.1);
                }
                break;
            }
        }
        match tol {
            Some(tol) => self.finish(tol, goes_on),
            None => Ok(()),
        }
    }

    fn build(&mut self, reach: Reach) -> Result<(), Stop> {
        if !self.near.build(&self.point, reach) {
            return Err(Stop::Lost);
        }
        self.near.pass(&mut self.point);
        if self.point.error().is_nan() {
            return Err(Stop::Lost);
        }
        Ok(())
    }

    /// A pass with a list that holds.
    fn renew(&mut self, reach: Reach) -> Result<(), Stop> {
        self.near.pass(&mut self.point);
        if !self.near.is_valid(&self.point)
            || reach.limit() * self.point.eps < 0.6 * self.near.width()
        {
            self.build(reach)?;
        }
        Ok(())
    }

    /// Targets that get less than a quarter or more than four times of what they should, moved by that.
    fn settle(&mut self) {
        for _ in 0..4 {
            let point = &mut self.point;
            let pairs = || point.wanted.iter().zip(&point.received);
            if !pairs().any(|(t, c)| *c < 0.25 * t || *c > 4.0 * t) {
                return;
            }
            for ((g, t), c) in point.g.iter_mut().zip(&point.wanted).zip(&point.received) {
                *g += point.eps * log_ratio(*t, *c);
            }
            self.near.pass(point);
        }
    }

    /// Newton steps until the level may be left; the first full step in units of ε, after which it returns if it is above
    /// `limit`.
    fn correct(&mut self, leave: f64, limit: f64, goes_on: &mut GoesOn<'_>) -> Result<f64, Stop> {
        let mut first = None;
        for _ in 0..MOST_STEPS {
            if self.point.error() <= leave {
                break;
            }
            let stepped = step(&mut self.near, &mut self.point, &mut self.steps, RESIDUAL);
            let first = *first.get_or_insert(stepped.full);
            if first > limit {
                return Ok(first);
            }
            self.settle();
            if !self.near.is_valid(&self.point) {
                self.build(self.way)?;
            }
            if !goes_on(&self.point) {
                return Err(Stop::Told);
            }
            if stepped.full <= LEAVE_STEP || stepped.taken == 0.0 {
                break;
            }
        }
        Ok(first.unwrap_or(0.0))
    }

    /// The last steps, on a list that leaves out nothing that counts.
    fn finish(&mut self, tol: f64, goes_on: &mut GoesOn<'_>) -> Result<(), Stop> {
        let reach = at_end(tol);
        self.build(reach)?;
        let (mut best, mut idle) = (f64::INFINITY, 0);
        for _ in 0..2 * MOST_STEPS {
            let error = self.point.error();
            // Beside what the list leaves out.
            if error <= 0.5 * tol {
                break;
            }
            if error < 0.5 * best {
                (best, idle) = (error, 0);
            } else {
                idle += 1;
                if idle > IDLE {
                    break;
                }
            }
            let residual = (0.1 * tol / error).max(0.3 * error).clamp(1e-6, RESIDUAL);
            let stepped = step(&mut self.near, &mut self.point, &mut self.steps, residual);
            if stepped.is_cut && stepped.taken > 0.0 {
                // On its way over many ε.
                idle = 0;
            }
            self.settle();
            if !self.near.is_valid(&self.point) {
                self.build(reach)?;
            }
            if !goes_on(&self.point) {
                return Err(Stop::Told);
            }
        }
        Ok(())
    }
}
