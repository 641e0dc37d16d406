//! From two clouds to an optimal basis.

use std::time::Instant;

use ot_kernels::reduce::dot;
use solver_api::Phase;

use super::crossover::{Crossover, raise};
use super::duals::{Duals, LAST};
use super::hierarchy::Cloud;
use super::idle::Idle;
use super::meter::Part;
use super::sweep::{sweep, transform};
use super::tariff::Tariff;
use super::watch::{Check, Watch};
use crate::network_simplex::augment::Augment;
use crate::network_simplex::cost::{CostView, Entries, Rows};
use crate::network_simplex::engine::Watch as Spells;
use crate::network_simplex::flow::Units;
use crate::network_simplex::forest::Forest;
use crate::network_simplex::lists::Lists;
use crate::network_simplex::pricing::{Pricing, Progress, Run, Status};
use crate::network_simplex::start::Placement;
use crate::network_simplex::tree::Tree;

/// Groups on the coarsest level, whose problem is solved with a matrix.
pub(super) const COARSEST: usize = 400;
/// Pairs of a source's list in the simplex; as many times the targets that there are for each source, where that is more; and at
/// most.
const ROOM: usize = 16;
const ROOMS: usize = 2;
const ROOMIEST: usize = 1024;
/// The plan that gives the forest, in temperatures of the duals. Measured: 2 and 4 leave more mass over.
const FOREST_AT: f64 = 1.0;
/// List entries that augmenting paths may read for each source, with equal weights.
const WORK: u64 = 600;
/// The first price of mass that is not served, in widths of lists, and what it is raised by from round to round.
const FIRST_PRICE: f64 = 0.05;
const RAISE: f64 = 2.0;
/// How much more a node pays at most than one on the other side, in largest costs: the pair of the two is violated then. And the
/// highest price of a round, in those.
const REACH: f64 = 2.0;
const HIGHEST_PRICE: f64 = 2.0;
/// Rounds of prices and of sweeps in which no fewer nodes pay and no pivot is made; a solve that has more ends with its bracket.
const ROUNDS: usize = 50;
/// Rounds of prices in which no fewer nodes pay before lists are filled anew though they still have pairs to pivot on.
const ASKED: usize = 6;
/// The pricing tolerance relative to the terms of a reduced cost: that of the network simplex.
const TOLERANCE: f64 = 64.0 * f64::EPSILON;
/// Sweeps that bring nothing before ties are read more generously.
const PATIENCE: usize = 4;

/// Positive masses at points, row-major, and what it costs between them.
#[derive(Clone, Copy)]
pub(super) struct Instance<'a> {
    pub(super) x: &'a [f64],
    pub(super) y: &'a [f64],
    pub(super) dim: usize,
    pub(super) tariff: &'a Tariff,
    pub(super) a: &'a [f64],
    pub(super) b: &'a [f64],
    /// Points of weight zero of both sides, that get potentials all the same.
    pub(super) idle: [&'a [f64]; 2],
    pub(super) max_pivots: u64,
    /// [`COARSEST`], except in tests.
    pub(super) coarsest: usize,
}

/// How it went.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: Status,
    pub(super) pivots: u64,
    /// (source, target, mass): a plan of the right marginals, whatever the status.
    pub(super) plan: Vec<(u32, u32, f64)>,
    pub(super) f: Vec<f64>,
    pub(super) g: Vec<f64>,
    /// Of the points of weight zero.
    pub(super) idle: [Vec<f64>; 2],
    /// Bounds of the optimum. The upper one is what the plan costs.
    pub(super) lower: f64,
    pub(super) upper: f64,
    pub(super) phases: Vec<Phase>,
}

struct PointRows<'a>(&'a Cloud, &'a Cloud);

impl Rows for PointRows<'_> {
    fn row(&self, i: usize, out: &mut [f64]) {
        for (j, out) in out.iter_mut().enumerate() {
            *out = self.entry(i, j);
        }
    }

    fn entry(&self, i: usize, j: usize) -> f64 {
        self.0.kd.cost(i, &self.1.kd, j)
    }
}

/// Solves one problem.
pub(super) fn solve(instance: &Instance<'_>, check: &mut Check<'_>) -> Answer {
    let begun = Instant::now();
    let (x, x_order) = Cloud::sorted(instance.x, instance.dim, instance.a, instance.tariff);
    let (y, y_order) = Cloud::sorted(instance.y, instance.dim, instance.b, instance.tariff);
    let mut levels = vec![(x, y)];
    while let Some((x, y)) = levels.last()
        && x.len().max(y.len()) > instance.coarsest
    {
        levels.push((x.coarser(), y.coarser()));
    }
    let mut duals = Duals::default();
    duals.meter.add(Part::Hierarchy, begun, levels.len() as u64);
    let mut units = Units::default();
    let (x, y) = &levels[0];
    units.assign(&x.weights, &y.weights, None);
    let mut watch = Watch::new(check);
    // Aligned runs of both clouds are no bad plan, and one to begin with.
    let mut placed = Placement::default();
    placed.begin(&units.supply, &units.demand);
    fill_in_order(&mut placed);
    watch.bound(f64::NEG_INFINITY, cost_of(&placed, x, y, units.unit));
    watch.ask();
    let matched = units.equal && units.supply.first() == units.demand.first();
    duals.find(&levels, matched, &mut watch);
    levels.truncate(1);
    let (x, y) = &levels[0];
    let mut solve = Finish {
        x,
        y,
        units: &units,
        duals: &mut duals,
        tree: Tree::default(),
        lists: Lists::default(),
        placed,
        pivots: 0,
        max_pivots: instance.max_pivots,
    };
    let status = solve.run(matched, &mut watch);
    fill_in_order(&mut solve.placed);
    let (pivots, placed) = (solve.pivots, solve.placed);
    let upper = cost_of(&placed, x, y, units.unit);
    let Duals {
        f,
        g,
        fields,
        meter,
        ..
    } = &mut duals;
    let begun = Instant::now();
    transform(&y.kd, g, &x.kd, &mut fields.g, f);
    meter.add(Part::Sweeps, begun, 1);
    let mut lower = dot(&x.weights, f) + dot(&y.weights, g);
    if status != Status::Optimal {
        // Potentials that were left on the way may prove less than none.
        let (mut nothing, mut least) = (vec![0.0; y.len()], Vec::new());
        transform(&y.kd, &nothing, &x.kd, &mut fields.g, &mut least);
        let bound = dot(&x.weights, &least);
        if bound > lower || lower.is_nan() {
            lower = bound;
            f.clone_from(&least);
            g.clear();
            g.append(&mut nothing);
        }
    }
    // Targets first, then sources against all of them: no pair of two points of weight zero is out of bounds either.
    let [mut idle_x, mut idle_y] = instance
        .idle
        .map(|points| Idle::new(points, instance.dim, instance.tariff));
    idle_y.lower(&x.kd, f, &mut fields.f);
    idle_x.lower(&y.kd, g, &mut fields.g);
    idle_x.lower_by(&idle_y, &mut fields.g);
    let restored = |order: &[u32], values: &[f64]| {
        let mut out = vec![0.0; values.len()];
        for (&k, v) in order.iter().zip(values) {
            out[k as usize] = *v;
        }
        out
    };
    let plan = placed.arcs.iter().map(|&(i, j, flow)| {
        let (i, j) = (x_order[i as usize], y_order[j as usize]);
        (i, j, flow as f64 * units.unit)
    });
    Answer {
        status,
        pivots,
        plan: plan.collect(),
        f: restored(&x_order, f),
        g: restored(&y_order, g),
        idle: [idle_x.restored(), idle_y.restored()],
        lower: watch.stage.bracket.map_or(lower, |b| b.0.max(lower)),
        upper,
        phases: meter.phases(),
    }
}

/// What is left over, in the order of both sides.
fn fill_in_order(placed: &mut Placement) {
    let mut j = 0;
    for i in 0..placed.left.len() {
        while placed.left[i] > 0 && j < placed.room.len() {
            placed.send(i as u32, j as u32);
            if placed.room[j] == 0 {
                j += 1;
            }
        }
    }
}

fn cost_of(placed: &Placement, x: &Cloud, y: &Cloud, unit: f64) -> f64 {
    let cost = |&(i, j, flow): &(u32, u32, i64)| {
        x.kd.cost(i as usize, &y.kd, j as usize) * (flow as f64 * unit)
    };
    let costs: Vec<f64> = placed.arcs.iter().map(cost).collect();
    ot_kernels::reduce::sum(&costs)
}

/// From duals to the basis.
struct Finish<'a> {
    x: &'a Cloud,
    y: &'a Cloud,
    units: &'a Units,
    duals: &'a mut Duals,
    tree: Tree,
    lists: Lists,
    placed: Placement,
    pivots: u64,
    max_pivots: u64,
}

impl Finish<'_> {
    fn run(&mut self, matched: bool, watch: &mut Watch<'_, '_>) -> Status {
        let (n, m) = (self.x.len(), self.y.len());
        self.tree.reset(n, m);
        self.tree.potential[..n].copy_from_slice(&self.duals.f);
        for (p, g) in self.tree.potential[n..].iter_mut().zip(&self.duals.g) {
            *p = -g;
        }
        self.placed.begin(&self.units.supply, &self.units.demand);
        // A stop may have come before there were lists of the finest level.
        if self.duals.graph.width.len() != n {
            return Status::Stopped;
        }
        let begun = Instant::now();
        self.fill_lists();
        self.place(matched && !watch.stopped, watch);
        self.duals.meter.add(Part::Placement, begun, 1);
        if watch.stopped {
            return Status::Stopped;
        }
        Crossover::default().hang(&self.placed, &mut self.tree);
        let status = self.simplex(watch);
        self.unhang();
        status
    }

    /// The pairs of least reduced cost of each source.
    fn fill_lists(&mut self) {
        let graph = &self.duals.graph;
        let room = ROOM.max((ROOMS * self.y.len().div_ceil(self.x.len())).min(ROOMIEST));
        self.lists.reset(self.x.len(), room);
        let mut found = Vec::new();
        for i in 0..self.x.len() {
            let pairs = graph.row(i);
            found.clear();
            found.extend(pairs.map(|k| {
                (
                    graph.cost[k] - self.duals.g[graph.target[k] as usize],
                    graph.target[k],
                )
            }));
            if found.len() > room {
                found.select_nth_unstable_by(room - 1, |a, b| a.0.total_cmp(&b.0));
                found.truncate(room);
            }
            let (x, y) = (&self.x.kd, &self.y.kd);
            self.lists.set(i, &found, |j| x.cost(i, y, j));
        }
    }

    /// Mass along tight pairs and short paths where weights are equal, else along the forest of the plan.
    fn place(&mut self, matched: bool, watch: &mut Watch<'_, '_>) {
        let n = self.x.len();
        let (sources, sinks) = self.tree.potential.split_at_mut(n);
        let sinks = &mut sinks[..self.y.len()];
        if matched {
            let mut go_on = |_: &Progress| watch.ask();
            Augment::default().run(
                &self.lists,
                &self.units.supply,
                &self.units.demand,
                sources,
                sinks,
                WORK * n as u64,
                &mut self.placed,
                &mut Spells::new(&mut go_on),
            );
        } else {
            let graph = &self.duals.graph;
            let part = match self.duals.part {
                0.0 => LAST,
                part => FOREST_AT * part,
            };
            Forest::default().run(
                |i| (&graph.target[graph.row(i)], &graph.cost[graph.row(i)]),
                &self.x.weights,
                sources,
                sinks,
                |i| part * graph.width[i],
                &mut self.placed,
            );
        }
    }

    /// Pivots on lists and sweeps over all pairs in turns.
    fn simplex(&mut self, watch: &mut Watch<'_, '_>) -> Status {
        let rows = PointRows(self.x, self.y);
        let cost = CostView {
            entries: Entries::Rows(&rows),
            columns: self.y.len(),
            rows: None,
        };
        let (x, y) = (&self.x.kd, &self.y.kd);
        let before = watch.stage.steps;
        let mut check = |progress: &Progress| {
            watch.stage.steps = before + progress.pivots;
            watch.ask()
        };
        let widths = &self.duals.graph.width;
        let mut price = FIRST_PRICE * widths.iter().sum::<f64>() / widths.len() as f64;
        // Where all reduced costs are alike, a price that the costs can tell.
        let (first, last) = (x.cost(0, y, 0), x.cost(0, y, self.y.len() - 1));
        price = price
            .max(1e-9 * first.max(last))
            .max(f64::MIN_POSITIVE.sqrt());
        let mut run = Run {
            cost,
            tree: &mut self.tree,
            lists: &mut self.lists,
            buffer: &mut [],
            pivots: 0,
            max_pivots: self.max_pivots,
            value: 0.0,
            unit: 1.0 / self.units.total() as f64,
            stop_at_zero: false,
            by_rows: false,
            cold: false,
            check: &mut check,
            bracket: None,
        };
        let (mut pricing, mut tops) = (Pricing::default(), Vec::new());
        let (mut tol, mut stalled) = (TOLERANCE, 0);
        let reach = REACH * x.farthest(y).max(price);
        let highest = HIGHEST_PRICE * reach;
        let mut status = Status::IterationLimit;
        let (mut fewest, mut idle) = (usize::MAX, 0);
        let meter = &mut self.duals.meter;
        while idle < ROUNDS {
            let begun = Instant::now();
            run.tree.recompute_potentials(|i, j| rows.entry(i, j));
            let before = run.pivots;
            let paying = raise(run.tree, price, reach, &mut tops);
            meter.add(Part::Simplex, begun, 0);
            if paying == 0 {
                let begun = Instant::now();
                let violated = sweep(
                    x,
                    y,
                    run.tree,
                    run.lists,
                    tol,
                    &mut self.duals.fields,
                    &mut self.duals.g,
                );
                meter.add(Part::Sweeps, begun, 1);
                if violated == 0 {
                    status = Status::Optimal;
                    break;
                }
            }
            let begun = Instant::now();
            let ended = run.list_phase(&mut pricing, tol, 0.0);
            meter.add(Part::Simplex, begun, run.pivots - before);
            if let Some(ended) = ended {
                status = ended;
                break;
            }
            let pivoted = run.pivots > before;
            if paying < fewest || paying == 0 && pivoted {
                (fewest, idle) = (paying, 0);
            } else if paying > 0 {
                idle += 1;
                if !pivoted || idle > ASKED {
                    // Those on the lists do not take it: all pairs are asked.
                    let begun = Instant::now();
                    let fields = &mut self.duals.fields;
                    sweep(x, y, run.tree, run.lists, tol, fields, &mut self.duals.g);
                    meter.add(Part::Sweeps, begun, 1);
                }
            } else {
                idle += 1;
            }
            if pivoted {
                stalled = 0;
            } else if paying == 0 {
                stalled += 1;
                if stalled >= PATIENCE {
                    (tol, stalled) = (4.0 * tol, 0);
                }
            }
            if paying > 0 {
                price = (RAISE * price).min(highest);
            }
        }
        self.pivots = run.pivots;
        status
    }

    /// The plan of the tree. What it sends to the root is not served.
    fn unhang(&mut self) {
        let (n, root) = (self.x.len() as u32, self.tree.root());
        self.placed.begin(&self.units.supply, &self.units.demand);
        for node in 0..root {
            let (parent, flow) = (self.tree.parent(node), self.tree.flow(node));
            if parent < root && flow > 0 {
                let (i, j) = if node < n {
                    (node, parent - n)
                } else {
                    (parent, node - n)
                };
                self.placed.arcs.push((i, j, flow));
                self.placed.left[i as usize] -= flow;
                self.placed.room[j as usize] -= flow;
            }
        }
    }
}

#[cfg(test)]
mod tests;
