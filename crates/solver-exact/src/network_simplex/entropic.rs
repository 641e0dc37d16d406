//! Starting duals for problems in the cache: a few entropic iterations over the whole cost.
//!
//! An iteration costs less there than a handful of pivots, and saves hundreds. Single precision is plenty:
//! nothing is certified here.

use ot_kernels::anneal::{Annealing, COOLING};

use super::engine::Instance;
use super::start::Placement;

/// The first temperature, as a part of the cost's spread, and iterations at each; every temperature is a fifth of the
/// one before. Measured on random and real problems of 30 to 200 points: colder or longer saves fewer pivots than it
/// costs.
const FIRST: f32 = 0.015;
const PASSES: [usize; 3] = [5, 7, 12];

/// The iterations and their memory.
#[derive(Debug, Default)]
pub(super) struct Entropic {
    annealing: Annealing,
}

impl Entropic {
    /// Moves the sinks' signed potentials; `false` where that came to nothing.
    pub(super) fn run(
        &mut self,
        instance: &Instance<'_>,
        sinks: &mut [f64],
        buffer: &mut [f64],
    ) -> bool {
        let (low, spread) = (instance.range.0, instance.range.1 - instance.range.0);
        let inv_eps = 1.0 / (spread * f64::from(FIRST));
        if !(inv_eps > 0.0 && inv_eps.is_finite() && spread.is_finite()) {
            return false;
        }
        self.annealing.begin(instance.supply, instance.demand);
        for i in 0..instance.supply.len() {
            let row = instance.cost.row(i, buffer);
            row.anneal(&mut self.annealing, i, low, inv_eps);
        }
        self.annealing.run(FIRST, &PASSES);
        let Some(g) = self.moved() else {
            return false;
        };
        for ((p, &g), &b) in sinks.iter_mut().zip(g).zip(instance.demand) {
            if b > 0.0 {
                *p = -f64::from(g) * spread;
            }
        }
        true
    }

    /// The same from potentials that are nearly right: iterations on the reduced costs at one temperature, a step below
    /// the last. (Measured: colder saves pivots where the potentials are exact, and fails where they are off by a
    /// hundredth of the spread.) `false` where they were too far off.
    pub(super) fn run_warm(
        &mut self,
        instance: &Instance<'_>,
        sinks: &mut [f64],
        buffer: &mut [f64],
        reduced: &mut Vec<f64>,
    ) -> bool {
        let spread = instance.range.1 - instance.range.0;
        let eps = PASSES.iter().fold(FIRST, |eps, _| eps / COOLING);
        let inv_eps = 1.0 / (spread * f64::from(eps));
        if !(inv_eps > 0.0 && inv_eps.is_finite() && spread.is_finite()) {
            return false;
        }
        self.annealing.begin(instance.supply, instance.demand);
        for i in 0..instance.supply.len() {
            let row = instance.cost.row(i, buffer);
            let least = row.min(sinks);
            reduced.clear();
            reduced.extend(sinks.iter().enumerate().map(|(j, p)| row.at(j) + p));
            self.annealing.row(i, reduced, least, inv_eps);
        }
        self.annealing.run(eps, &PASSES[PASSES.len() - 1..]);
        let Some(g) = self.moved() else {
            return false;
        };
        for ((p, &g), &b) in sinks.iter_mut().zip(g).zip(instance.demand) {
            if b > 0.0 {
                *p -= f64::from(g) * spread;
            }
        }
        true
    }

    /// The duals, if all are numbers.
    fn moved(&self) -> Option<&[f32]> {
        let g = self.annealing.g();
        g.iter().all(|g| g.is_finite()).then_some(g)
    }

    /// Places mass along the arcs of the plan's tree, from its leaves on: each sends what it has left, or takes what
    /// it has room for. If the tree were the optimal basis, nothing would be left over.
    pub(super) fn place(&mut self, instance: &Instance<'_>, placed: &mut Placement) {
        let n = instance.supply.len();
        let arcs = self.annealing.spanning_tree();
        for &(leaf, other) in arcs.iter().rev() {
            let (source, target) = (leaf.min(other), leaf.max(other));
            let (i, j) = (source as usize, target as usize - n);
            if instance.cost.entry(i, j) < f64::INFINITY && placed.send(source, j as u32) {
                placed.upwards.push(leaf == source);
            }
        }
    }
}
