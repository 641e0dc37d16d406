//! Where few pairs carry mass: levels on a list of candidates in f64.

use ot_kernels::pricing::Entry;

use super::{Care, End, MOST_STEPS, Run, STEP_RESIDUAL};
use crate::list::{List, Reach};
use crate::newton::{Store, settle_far_off, step};
use crate::predict::predict;

/// In the list phase a level is left when the full step is below so many ε, or at this error.
const LIST_STEP: f64 = 2.0;
const LIST_ERROR: f64 = 1e-5;
/// The first step of a level, in units of ε, above which the level is taken again with a smaller change of ε, and below
/// which the next change is larger.
const TOO_LONG: f64 = 12.0;
const SHORT: f64 = 4.0;
/// Steps that may pass without halving the error before a level counts as lost.
const MOST_IDLE: usize = 6;
/// The relative residual of tangents.
const RESIDUAL: f64 = 1e-2;

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

impl<T: Entry> Run<'_, '_, T> {
    /// Down to `reg` on a list; `Some` where it must stop before.
    pub(super) fn list_phase(&mut self, list: &mut List<'_, T>) -> Option<End> {
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
            let products = (self.tangent).find(&self.dual, list, &self.point, eps, RESIDUAL);
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
}
