//! The last Newton steps, at the ε that was asked for: in f64, to the tolerance.

use ot_kernels::pricing::Entry;

use super::{End, MOST_STEPS, Run, STEP_RESIDUAL};
use crate::dense::Dense;
use crate::list::{List, Reach};
use crate::newton::{Store, settle_far_off, step};

impl<T: Entry> Run<'_, '_, T> {
    /// The last Newton steps at `reg`, on a list that leaves out nothing that counts.
    pub(super) fn finish_on_list(&mut self, list: &mut List<'_, T>) -> End {
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
    pub(super) fn finish_dense(&mut self, dense: &mut Dense<'_, T>) -> End {
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
