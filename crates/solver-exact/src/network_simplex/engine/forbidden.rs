//! A start that put mass on forbidden pairs: the phase that drives it off.

use super::super::cost::{CostView, Entries, Forbidden};
use super::super::pricing::{Check, Status};
use super::{Instance, Outcome, Pivots, ROOM, Workspace};

/// The share of the mass that may be stuck on forbidden pairs before a problem counts as infeasible: far above what
/// the check of feasibility and the rounding to units let pass.
const STRANDED: f64 = 1e-9;

impl Workspace {
    /// Drives all mass off forbidden pairs; `false` when that fails or the run was stopped.
    pub(super) fn phase_one(
        &mut self,
        instance: &Instance<'_>,
        outcome: &mut Outcome,
        check: &mut Check<'_>,
    ) -> bool {
        let (n, m) = (instance.supply.len(), instance.demand.len());
        let duals = self.tree.potential.clone();
        for (p, live) in self.tree.potential[n..].iter_mut().zip(instance.demand) {
            *p = if *live > 0.0 { 0.0 } else { f64::INFINITY };
        }
        self.tree.potential[..n].fill(0.0);
        let forbidden = Forbidden(instance.cost);
        let view = CostView {
            entries: Entries::Rows(&forbidden),
            columns: m,
            rows: None,
        };
        self.lists.reset(n, ROOM.min(m));
        let pivots = Pivots {
            most: instance.max_pivots,
            bracket: None,
            stop_at_zero: true,
            by_rows: false,
            cold: false,
        };
        self.phase(view, pivots, outcome, check);
        if outcome.status != Status::Optimal {
            return false;
        }
        self.tree.potential = duals;
        let feasible = self.drop_forbidden(&instance.cost);
        self.lists.reset(n, ROOM.min(m));
        if !feasible {
            outcome.status = Status::Infeasible;
        }
        feasible
    }

    /// Cuts the forbidden arcs left in the basis. What they still carry is taken off both ends; `false` where that is
    /// more than the masses' own rounding.
    fn drop_forbidden(&mut self, cost: &CostView<'_>) -> bool {
        let mut arcs = Vec::new();
        let mut carried = 0;
        self.basis(|i, j, units| {
            if cost.entry(i, j) == f64::INFINITY {
                arcs.push((i, j));
                carried += units;
            }
        });
        if carried as f64 > STRANDED * self.units.total() as f64 {
            return false;
        }
        let n = self.tree.sources();
        for (i, j) in arcs {
            let (source, sink) = (i as u32, (n + j) as u32);
            let node = if self.tree.parent(source) == sink {
                source
            } else {
                sink
            };
            let units = self.tree.flow(node);
            self.units.supply[i] -= units;
            self.units.demand[j] -= units;
            if !self.tree.detach(node) {
                self.feed(j, cost);
            }
        }
        true
    }

    /// Finds a place for a sink that lives on a forbidden arc alone. Its mass is rounding, but an arc that carries
    /// none may not hang it up: one unit comes along its cheapest allowed pair. Without such a pair it leaves the tree.
    fn feed(&mut self, j: usize, cost: &CostView<'_>) {
        let n = self.tree.sources();
        let sink = (n + j) as u32;
        self.tree.detach_children(sink);
        let price = |i: usize| cost.entry(i, j);
        let allowed = (0..n).filter(|&i| price(i) < f64::INFINITY);
        if let Some(i) = allowed.min_by(|&i, &k| price(i).total_cmp(&price(k))) {
            self.units.supply[i] += 1;
            self.units.demand[j] = 1;
            self.tree.rehang(sink, i as u32, 1);
        } else {
            self.units.demand[j] = 0;
            self.tree.remove(sink);
            self.tree.potential[sink as usize] = f64::INFINITY;
        }
    }
}
