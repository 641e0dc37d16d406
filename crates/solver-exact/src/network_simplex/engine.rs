//! The engine: a transport problem on plain slices, from weights and cost to an optimal basis.

mod duals;
mod forbidden;
mod watch;

pub(crate) use self::watch::Watch;

use super::augment::Augment;
use super::coarse::Coarse;
use super::cost::CostView;
use super::entropic::Entropic;
use super::flow::{Moved, Units};
use super::forest::Forest;
use super::lists::Lists;
use super::pricing::{Check, Pricing, Run, Status, lower_bound};
use super::start::{Placement, Start};
use super::tree::Tree;
use super::warm::Smoothing;

/// Entries of a cost up to which a problem starts from entropic duals over all of it: 4 MB, and half as much again
/// in single precision, which the caches hold. Measured: beyond, the grouped start takes less time and memory.
pub(crate) const IN_CACHE: usize = 1 << 19;

/// Entries of a source's candidate list in the simplex.
const ROOM: usize = 16;

/// What the engine solves: positive supplies, demands that are 0 on columns that take no part, and a
/// cost of `supply.len() × demand.len()`.
#[derive(Clone, Copy)]
pub(crate) struct Instance<'a> {
    pub(crate) supply: &'a [f64],
    pub(crate) demand: &'a [f64],
    pub(crate) cost: CostView<'a>,
    /// Of a partial problem.
    pub(crate) moved: Option<Moved>,
    /// The least and the largest finite entry (a guess will do).
    pub(crate) range: (f64, f64),
    /// Targets' potentials g to start from.
    pub(crate) warm: Option<&'a [f64]>,
    pub(crate) max_pivots: u64,
    /// Entries up to which a cost counts as held by the caches: [`IN_CACHE`], except in tests.
    pub(crate) in_cache: usize,
    /// Whether each check is to tell a bracket: a pass over the cost every time.
    pub(crate) bracket: bool,
}

/// How a phase of the simplex goes about its pivots; the names are those of [`Run`].
#[derive(Clone, Copy)]
struct Pivots<'a> {
    most: u64,
    bracket: Option<(&'a [f64], &'a [f64])>,
    stop_at_zero: bool,
    by_rows: bool,
    cold: bool,
}

/// How it went.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) status: Status,
    pub(crate) pivots: u64,
}

/// The memory of the engine, kept from one problem to the next: O(n + m), and a thirty-second of the
/// cost's bytes for the grouped problem.
#[derive(Debug, Default)]
pub(crate) struct Workspace {
    units: Units,
    tree: Tree,
    lists: Lists,
    start: Start,
    pricing: Pricing,
    buffer: Vec<f64>,
    smoothing: Smoothing,
    /// What the duals were smoothed at; 0 where they come from elsewhere.
    temperature: f64,
    forest: Forest,
    coarse: Coarse,
    inner: Option<Box<Self>>,
    augment: Augment,
    entropic: Entropic,
    placed: Placement,
    found: Vec<(f64, u32)>,
    reduced: Vec<f64>,
    /// Whether the start put mass on forbidden pairs.
    stranded: bool,
}

impl Workspace {
    /// Solves one problem; plan and potentials are then read from the workspace.
    pub(crate) fn solve(&mut self, instance: &Instance<'_>, check: &mut Check<'_>) -> Outcome {
        let (n, m) = (instance.supply.len(), instance.demand.len());
        let by_rows = n * m <= instance.in_cache;
        self.units
            .assign(instance.supply, instance.demand, instance.moved);
        self.tree.reset(n, m);
        self.buffer.clear();
        self.buffer.resize(m, 0.0);
        self.lists.reset(n, if by_rows { 0 } else { ROOM.min(m) });
        self.set_duals(instance);
        self.temperature = 0.0;
        let mut watch = Watch::new(check);
        let given = instance.warm.is_some() && (by_rows || self.is_promising(instance, &mut watch));
        let instance = &Instance {
            warm: instance.warm.filter(|_| given),
            ..*instance
        };
        let warm = !by_rows && (given || self.group(instance, &mut watch));
        if by_rows {
            self.place_by_entropy(instance);
        } else if warm {
            self.place_by_duals(instance, &mut watch);
        } else {
            self.price_sources(&instance.cost, &mut watch);
            self.placed.begin(&self.units.supply, &self.units.demand);
        }
        let feasible = self.start.greedy(
            &instance.cost,
            &self.lists,
            &self.placed,
            &mut self.tree,
            &mut self.buffer,
            by_rows,
        );
        self.stranded = !feasible;

        if by_rows {
            self.price_tops(&instance.cost);
        }
        let mut outcome = Outcome {
            status: Status::Optimal,
            pivots: 0,
        };
        if !feasible && !self.phase_one(instance, &mut outcome, check) {
            return outcome;
        }
        let pivots = Pivots {
            most: instance.max_pivots,
            bracket: instance
                .bracket
                .then_some((instance.supply, instance.demand)),
            stop_at_zero: false,
            by_rows,
            cold: !warm,
        };
        self.phase(instance.cost, pivots, &mut outcome, check);
        outcome
    }

    fn phase(
        &mut self,
        cost: CostView<'_>,
        pivots: Pivots<'_>,
        outcome: &mut Outcome,
        check: &mut Check<'_>,
    ) {
        let value = self.value(&cost);
        let mut run = Run {
            cost,
            tree: &mut self.tree,
            lists: &mut self.lists,
            buffer: &mut self.buffer,
            pivots: outcome.pivots,
            max_pivots: pivots.most,
            value,
            unit: 1.0 / self.units.total() as f64,
            stop_at_zero: pivots.stop_at_zero,
            by_rows: pivots.by_rows,
            cold: pivots.cold,
            bracket: pivots.bracket,
            check,
        };
        outcome.status = run.optimise(&mut self.pricing);
        outcome.pivots = run.pivots;
    }

    /// ⟨P, C⟩ at mass 1.
    fn value(&self, cost: &CostView<'_>) -> f64 {
        let unit = 1.0 / self.units.total() as f64;
        if let Some(value) = self.tree.value() {
            return value * unit;
        }
        let mut value = 0.0;
        self.basis(|i, j, units| {
            if units > 0 {
                value += cost.entry(i, j) * (units as f64 * unit);
            }
        });
        value
    }

    /// Visits the basic pairs with their units.
    fn basis(&self, mut visit: impl FnMut(usize, usize, i64)) {
        let n = self.tree.sources();
        let root = self.tree.root();
        for x in 0..root {
            let parent = self.tree.parent(x);
            if parent < root {
                let (i, j) = if (x as usize) < n {
                    (x, parent)
                } else {
                    (parent, x)
                };
                visit(i as usize, j as usize - n, self.tree.flow(x));
            }
        }
    }

    /// Visits the allowed pairs that carry mass. (A run that was stopped in phase one still has mass on
    /// forbidden ones; that mass is nobody's.)
    pub(crate) fn flows(&self, cost: &CostView<'_>, mut visit: impl FnMut(usize, usize, f64)) {
        self.basis(|i, j, units| {
            if units > 0 && !(self.stranded && cost.entry(i, j) == f64::INFINITY) {
                visit(i, j, units as f64 * self.units.unit);
            }
        });
    }

    /// A lower bound on the optimum from the columns' potentials, in one pass over the cost.
    pub(crate) fn lower(&mut self, instance: &Instance<'_>) -> f64 {
        let sinks = &self.tree.potential[instance.supply.len()..];
        let (a, b) = (instance.supply, instance.demand);
        lower_bound(&instance.cost, a, b, sinks, &mut self.buffer)
    }

    /// An upper bound: what the plan costs, and what it may miss of the marginals at the full spread of the costs.
    pub(crate) fn upper(&self, instance: &Instance<'_>) -> f64 {
        let mut sent = instance.supply.to_vec();
        let mut got = instance.demand.to_vec();
        let mut paid = 0.0;
        self.flows(&instance.cost, |i, j, mass| {
            paid += mass * instance.cost.entry(i, j);
            sent[i] -= mass;
            got[j] -= mass;
        });
        let missed: f64 = sent.iter().chain(&got).map(|x| x.abs()).sum();
        paid + missed * (instance.range.1 - instance.range.0)
    }

    /// f of a source.
    pub(crate) fn f(&self, i: usize) -> f64 {
        self.tree.potential[i]
    }

    /// g of a column; `−∞` where it takes no part, or has lost its mass for want of an allowed pair.
    pub(crate) fn g(&self, j: usize) -> f64 {
        -self.tree.potential[self.tree.sources() + j]
    }
}

#[cfg(test)]
mod tests;
