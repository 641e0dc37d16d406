//! The engine: a transport problem on plain slices, from weights and cost to an optimal basis.

use super::augment::Augment;
use super::coarse::Coarse;
use super::cost::{CostView, Entries, Forbidden};
use super::entropic::Entropic;
use super::flow::Units;
use super::forest::Forest;
use super::lists::Lists;
use super::pricing::{Check, Pricing, Progress, Run, Status, lower_bound};
use super::start::{Placement, Start};
use super::tree::Tree;
use super::warm::Smoothing;

/// The share of the mass that may be stuck on forbidden pairs before a problem counts as infeasible: far above what
/// the check of feasibility and the rounding to units let pass.
const STRANDED: f64 = 1e-9;

/// Entries of a cost up to which a problem starts from entropic duals over all of it: 4 MB, and half as much again
/// in single precision, which the caches hold. Measured: beyond, the grouped start takes less time and memory.
pub(super) const IN_CACHE: usize = 1 << 19;

/// Sources at which given potentials are judged.
const SAMPLE: usize = 256;

/// Larger problems of this many sources and targets start from the duals of a grouped one.
const GROUP_FROM: usize = 200;

/// Bytes that the grouped problem's cost may take: larger problems start cold.
const GROUP_BYTES: usize = 1 << 28;

/// Entries of a source's candidate list in the simplex, and while the duals are smoothed.
const ROOM: usize = 16;
const WIDE: usize = 32;

/// The plan that gives the forest, in temperatures of the duals: these err by about one. Measured.
const FOREST_AT: f64 = 2.0;

/// List entries that augmenting paths may read for each source. Equal weights are moved whole, so that
/// each path finishes a source; with others a path moves little, and the simplex is the better tool.
const WORK_EQUAL: u64 = 600;
const WORK: u64 = 100;

/// What the engine solves: positive supplies, demands that are 0 on columns that take no part, and a
/// cost of `supply.len() × demand.len()`.
#[derive(Clone, Copy)]
pub(super) struct Instance<'a> {
    pub(super) supply: &'a [f64],
    pub(super) demand: &'a [f64],
    pub(super) cost: CostView<'a>,
    /// The least and the largest finite entry (a guess will do).
    pub(super) range: (f64, f64),
    /// Targets' potentials g to start from.
    pub(super) warm: Option<&'a [f64]>,
    pub(super) max_pivots: u64,
    /// Entries up to which a cost counts as held by the caches: [`IN_CACHE`], except in tests.
    pub(super) in_cache: usize,
    /// Whether each check is to tell a bracket: a pass over the cost every time.
    pub(super) bracket: bool,
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

/// Entries of the cost or of the lists that a start reads between two looks at the caller's check: ten microseconds
/// where they are stored, a few milliseconds where each is a distance in hundreds of dimensions.
const SPELL: usize = 1 << 14;

/// The caller's check while starting duals are computed: asked every [`SPELL`] entries, and not again once it said no.
pub(super) struct Watch<'a, 'c> {
    check: &'a mut Check<'c>,
    unseen: usize,
    stopped: bool,
}

impl<'a, 'c> Watch<'a, 'c> {
    fn new(check: &'a mut Check<'c>) -> Self {
        Self {
            check,
            unseen: 0,
            stopped: false,
        }
    }

    /// Whether to go on after reading this many more entries.
    pub(super) fn goes_on(&mut self, entries: usize) -> bool {
        self.unseen += entries;
        !self.stopped && (self.unseen < SPELL || self.ask())
    }

    fn ask(&mut self) -> bool {
        self.unseen = 0;
        self.stopped = self.stopped || !(self.check)(&Progress::STARTING);
        !self.stopped
    }
}

/// How it went.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outcome {
    pub(super) status: Status,
    pub(super) pivots: u64,
}

/// The memory of the engine, kept from one problem to the next: O(n + m), and a thirty-second of the
/// cost's bytes for the grouped problem.
#[derive(Debug, Default)]
pub(super) struct Workspace {
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

/// Given duals may lie this many times the largest cost apart.
const FARTHEST: f64 = 1e3;

/// What to subtract from given duals, and where to cut them off. Beside duals far beyond the costs, pricing could not
/// tell a reduced cost from rounding, and would call any basis optimal.
fn frame(warm: &[f64], (low, high): (f64, f64)) -> (f64, f64) {
    let farthest = FARTHEST * low.abs().max(high.abs());
    let mut finite = warm.iter().copied().filter(|g| g.is_finite());
    if !farthest.is_finite() || finite.clone().all(|g| g.abs() <= farthest) {
        return (0.0, f64::INFINITY);
    }
    (finite.next().unwrap_or(0.0), farthest)
}

impl Workspace {
    /// Solves one problem; plan and potentials are then read from the workspace.
    pub(super) fn solve(&mut self, instance: &Instance<'_>, check: &mut Check<'_>) -> Outcome {
        let (n, m) = (instance.supply.len(), instance.demand.len());
        let by_rows = n * m <= instance.in_cache;
        self.units.assign(instance.supply, instance.demand);
        self.tree.reset(n, m);
        self.buffer.clear();
        self.buffer.resize(m, 0.0);
        self.lists.reset(n, if by_rows { 0 } else { ROOM.min(m) });
        let (centre, farthest) = instance
            .warm
            .map_or((0.0, 0.0), |g| frame(g, instance.range));
        for j in 0..m {
            let start = match instance.warm {
                Some(g) if g[j].is_finite() => (centre - g[j]).clamp(-farthest, farthest),
                _ => 0.0,
            };
            let live = instance.demand[j] > 0.0;
            self.tree.potential[n + j] = if live { start } else { f64::INFINITY };
        }
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

    /// Whether given potentials are better than none: whether their dual value is the higher one, by a sample of the
    /// sources. If they are not, they are taken away.
    fn is_promising(&mut self, instance: &Instance<'_>, watch: &mut Watch<'_, '_>) -> bool {
        let (n, m) = (instance.supply.len(), instance.demand.len());
        let sinks = &mut self.tree.potential[n..n + m];
        let none = &mut self.reduced;
        none.clear();
        none.extend(sinks.iter().map(|p| if p.is_finite() { 0.0 } else { *p }));
        let (mut gained, mut mass) = (0.0, 0.0);
        for i in (0..n).step_by(n.div_ceil(SAMPLE)) {
            if !watch.goes_on(m) {
                break;
            }
            let row = instance.cost.row(i, &mut self.buffer);
            let gain = row.min(sinks) - row.min(none);
            if gain.is_finite() {
                gained += instance.supply[i] * gain;
                mass += instance.supply[i];
            }
        }
        let live = || sinks.iter().zip(instance.demand).filter(|x| *x.1 > 0.0);
        let lost: f64 = live().map(|(p, b)| p * b).sum();
        let total: f64 = live().map(|(_, b)| b).sum();
        let promising = gained / mass > lost / total;
        if !promising {
            sinks.copy_from_slice(none);
        }
        promising
    }

    /// Starting duals from the grouped problem, where the problem is large enough and nobody stops the start.
    fn group(&mut self, instance: &Instance<'_>, watch: &mut Watch<'_, '_>) -> bool {
        let (n, m) = (instance.supply.len(), instance.demand.len());
        let (low, spread) = (instance.range.0, instance.range.1 - instance.range.0);
        let scale = 1.0 / spread;
        let live = instance.demand.iter().filter(|&&b| b > 0.0).count();
        if n.min(live) < GROUP_FROM
            || Coarse::bytes(n, live) > GROUP_BYTES
            || !(scale > 0.0 && scale.is_finite() && spread.is_finite())
        {
            return false;
        }
        let built = self
            .coarse
            .build(instance, low, scale, &mut self.buffer, watch);
        if !built {
            return false;
        }
        let inner = self.inner.get_or_insert_default();
        let grouped = Instance {
            supply: &self.coarse.supply,
            demand: &self.coarse.demand,
            cost: CostView {
                entries: Entries::F32(&self.coarse.cost),
                columns: self.coarse.demand.len(),
                rows: None,
            },
            range: (0.0, 1.0),
            warm: None,
            max_pivots: instance.max_pivots,
            in_cache: instance.in_cache,
            bracket: false,
        };
        // The duals count even where its pivots ran out.
        inner.solve(&grouped, &mut |_| watch.ask());
        if watch.stopped {
            return false;
        }
        let f = |k: usize| low + inner.f(k) * spread;
        self.coarse.extend(
            instance,
            f,
            sinks(&mut self.tree, n, m),
            &mut self.buffer,
            watch,
        );
        self.lists.reset(n, WIDE.min(m));
        self.fill_lists(&instance.cost, watch);
        self.temperature = self.smoothing.run(
            instance,
            &self.lists,
            low,
            self.units.equal,
            sinks(&mut self.tree, n, m),
            watch,
        );
        self.lists
            .narrow(ROOM.min(m), sinks(&mut self.tree, n, m), &mut self.found);
        !watch.stopped
    }

    /// In the cache: the duals of a few entropic iterations, and mass along the tree of their largest entries.
    fn place_by_entropy(&mut self, instance: &Instance<'_>) {
        let (n, m) = (instance.supply.len(), instance.demand.len());
        self.placed.begin(&self.units.supply, &self.units.demand);
        let sinks = &mut self.tree.potential[n..n + m];
        let (buffer, entropic) = (&mut self.buffer, &mut self.entropic);
        let warm = instance.warm.is_some()
            && entropic.run_warm(instance, sinks, buffer, &mut self.reduced);
        if warm || entropic.run(instance, sinks, buffer) {
            self.entropic.place(instance, &mut self.placed);
        }
    }

    /// Places mass along tight pairs and short paths on the lists.
    fn place_by_duals(&mut self, instance: &Instance<'_>, watch: &mut Watch<'_, '_>) {
        let (n, m) = (instance.supply.len(), instance.demand.len());
        if instance.warm.is_some() {
            self.fill_lists(&instance.cost, watch);
        }
        let (sources, sinks) = self.tree.potential.split_at_mut(n);
        if !self.units.equal && self.temperature > 0.0 {
            self.placed.begin(&self.units.supply, &self.units.demand);
            self.forest.run(
                &self.lists,
                instance.supply,
                sources,
                &sinks[..m],
                FOREST_AT * self.temperature,
                &mut self.placed,
            );
            return;
        }
        let per_source = if self.units.equal { WORK_EQUAL } else { WORK };
        self.augment.run(
            &self.lists,
            &self.units.supply,
            &self.units.demand,
            sources,
            &mut sinks[..m],
            per_source * n as u64,
            &mut self.placed,
            watch,
        );
    }

    /// Sources' potentials by a c-transform of the sinks': what the tops of components start from.
    fn price_sources(&mut self, cost: &CostView<'_>, watch: &mut Watch<'_, '_>) {
        let n = self.tree.sources();
        for i in 0..n {
            if !watch.goes_on(cost.columns) {
                return;
            }
            self.price_source(i, cost);
        }
    }

    /// The same for the tops of components alone: the others' follow from the tree.
    fn price_tops(&mut self, cost: &CostView<'_>) {
        for i in 0..self.tree.sources() {
            if self.tree.parent(i as u32) == self.tree.root() {
                self.price_source(i, cost);
            }
        }
    }

    fn price_source(&mut self, i: usize, cost: &CostView<'_>) {
        let n = self.tree.sources();
        let row = cost.row(i, &mut self.buffer);
        let least = row.min(&self.tree.potential[n..n + cost.columns]);
        self.tree.potential[i] = if least.is_finite() { least } else { 0.0 };
    }

    /// Reads the cost once: each source's potential by a c-transform, its list from the lowest reduced
    /// costs. Where the start is stopped, the rows left have no lists.
    fn fill_lists(&mut self, cost: &CostView<'_>, watch: &mut Watch<'_, '_>) {
        let n = self.tree.sources();
        let room = self.lists.room();
        let mut width = 0.0_f64;
        let (sources, sinks) = self.tree.potential.split_at_mut(n);
        let sinks = &sinks[..cost.columns];
        for (i, source) in sources.iter_mut().enumerate() {
            if !watch.goes_on(cost.columns) {
                return;
            }
            let row = cost.row(i, &mut self.buffer);
            let least = row.min(sinks);
            if least == f64::INFINITY {
                *source = 0.0;
                continue;
            }
            *source = least;
            // A width that caught about twice the room on the last row is a good guess for this one.
            for _ in 0..40 {
                self.found.clear();
                let below = (least + width).next_up();
                row.collect(sinks, 0.0, 0.0, below, &mut self.found);
                if self.found.len() >= room {
                    break;
                }
                width = if width > 0.0 {
                    width * 2.0
                } else {
                    least.abs() * 1e-3 + 1e-300
                };
            }
            if self.found.len() > room {
                if self.found.len() > 3 * room {
                    width *= 0.8;
                }
                self.found
                    .select_nth_unstable_by(room - 1, |a, b| a.0.total_cmp(&b.0));
                self.found.truncate(room);
            }
            self.lists.set(i, &self.found, |j| row.at(j));
        }
    }

    /// Drives all mass off forbidden pairs; `false` when that fails or the run was stopped.
    fn phase_one(
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
    pub(super) fn flows(&self, cost: &CostView<'_>, mut visit: impl FnMut(usize, usize, f64)) {
        self.basis(|i, j, units| {
            if units > 0 && !(self.stranded && cost.entry(i, j) == f64::INFINITY) {
                visit(i, j, units as f64 * self.units.unit);
            }
        });
    }

    /// A lower bound on the optimum from the columns' potentials, in one pass over the cost.
    pub(super) fn lower(&mut self, instance: &Instance<'_>) -> f64 {
        let sinks = &self.tree.potential[instance.supply.len()..];
        let (a, b) = (instance.supply, instance.demand);
        lower_bound(&instance.cost, a, b, sinks, &mut self.buffer)
    }

    /// An upper bound: what the plan costs, and what it may miss of the marginals at the full spread of the costs.
    pub(super) fn upper(&self, instance: &Instance<'_>) -> f64 {
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
    pub(super) fn f(&self, i: usize) -> f64 {
        self.tree.potential[i]
    }

    /// g of a column; `−∞` where it takes no part, or has lost its mass for want of an allowed pair.
    pub(super) fn g(&self, j: usize) -> f64 {
        -self.tree.potential[self.tree.sources() + j]
    }
}

fn sinks(tree: &mut Tree, n: usize, m: usize) -> &mut [f64] {
    &mut tree.potential[n..n + m]
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
