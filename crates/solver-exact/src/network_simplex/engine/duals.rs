//! Starting duals and the mass along them: given potentials, a grouped problem, or entropic iterations in the caches.

use super::super::coarse::Coarse;
use super::super::cost::{CostView, Entries};
use super::super::tree::Tree;
use super::{Instance, ROOM, Watch, Workspace};

/// Sources at which given potentials are judged.
const SAMPLE: usize = 256;

/// Larger problems of this many sources and targets start from the duals of a grouped one.
const GROUP_FROM: usize = 200;

/// Bytes that the grouped problem's cost may take: larger problems start cold.
const GROUP_BYTES: usize = 1 << 28;

/// Entries of a source's candidate list while the duals are smoothed.
const WIDE: usize = 32;

/// The plan that gives the forest, in temperatures of the duals: these err by about one. Measured.
const FOREST_AT: f64 = 2.0;

/// List entries that augmenting paths may read for each source. Equal weights are moved whole, so that
/// each path finishes a source; with others a path moves little, and the simplex is the better tool.
const WORK_EQUAL: u64 = 600;
const WORK: u64 = 100;

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
    /// The sinks' potentials: those given, within bounds, or zeros; out of the way where a column takes no part.
    pub(super) fn set_duals(&mut self, instance: &Instance<'_>) {
        let (n, m) = (instance.supply.len(), instance.demand.len());
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
    }

    /// Whether given potentials are better than none: whether their dual value is the higher one, by a sample of the
    /// sources. If they are not, they are taken away.
    pub(super) fn is_promising(
        &mut self,
        instance: &Instance<'_>,
        watch: &mut Watch<'_, '_>,
    ) -> bool {
        let (n, m) = (instance.supply.len(), instance.demand.len());
        let sinks = &mut self.tree.potential[n..n + m];
        let none = &mut self.reduced;
        none.clear();
        none.extend(sinks.iter().map(|p| if p.is_finite() { 0.0 } else { *p }));
        let mut gain = |i: usize| {
            let row = instance.cost.row(i, &mut self.buffer);
            Some(row.min(sinks) - row.min(none)).filter(|gain| gain.is_finite())
        };
        // A dummy is no example of the others.
        let real = instance.moved.map_or(n, |moved| moved.n);
        let (mut gained, mut mass) = (0.0, 0.0);
        for i in (0..real).step_by(real.div_ceil(SAMPLE)) {
            if !watch.goes_on(m) {
                break;
            }
            if let Some(gain) = gain(i) {
                gained += instance.supply[i] * gain;
                mass += instance.supply[i];
            }
        }
        gained *= instance.supply[..real].iter().sum::<f64>() / mass;
        for i in real..n {
            gained += instance.supply[i] * gain(i).unwrap_or(0.0);
        }
        let live = sinks.iter().zip(instance.demand).filter(|x| *x.1 > 0.0);
        let lost: f64 = live.map(|(p, b)| p * b).sum();
        let promising = gained > lost;
        if !promising {
            sinks.copy_from_slice(none);
        }
        promising
    }

    /// Starting duals from the grouped problem, where the problem is large enough and nobody stops the start.
    pub(super) fn group(&mut self, instance: &Instance<'_>, watch: &mut Watch<'_, '_>) -> bool {
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
            moved: None,
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
    pub(super) fn place_by_entropy(&mut self, instance: &Instance<'_>) {
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
    pub(super) fn place_by_duals(&mut self, instance: &Instance<'_>, watch: &mut Watch<'_, '_>) {
        let (n, m) = (instance.supply.len(), instance.demand.len());
        if instance.warm.is_some() {
            self.fill_lists(&instance.cost, watch);
        }
        let (sources, sinks) = self.tree.potential.split_at_mut(n);
        if !self.units.equal && self.temperature > 0.0 {
            self.placed.begin(&self.units.supply, &self.units.demand);
            let (lists, eps) = (&self.lists, FOREST_AT * self.temperature);
            self.forest.run(
                |i| lists.row(i),
                instance.supply,
                sources,
                &sinks[..m],
                |_| eps,
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
    pub(super) fn price_sources(&mut self, cost: &CostView<'_>, watch: &mut Watch<'_, '_>) {
        let n = self.tree.sources();
        for i in 0..n {
            if !watch.goes_on(cost.columns) {
                return;
            }
            self.price_source(i, cost);
        }
    }

    /// The same for the tops of components alone: the others' follow from the tree.
    pub(super) fn price_tops(&mut self, cost: &CostView<'_>) {
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
}

fn sinks(tree: &mut Tree, n: usize, m: usize) -> &mut [f64] {
    &mut tree.potential[n..n + m]
}
