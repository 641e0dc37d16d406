//! Starting duals for problems in the cache: a few entropic iterations over the whole cost.
//!
//! An iteration costs less there than a handful of pivots, and saves hundreds. Single precision is plenty:
//! nothing is certified here.

use ot_kernels::anneal::{self, Annealed, PADDING, SpanningTree};

use super::engine::Instance;
use super::start::Placement;

/// Temperatures, as a part of the cost's spread, and iterations at each. Measured on random and real problems of
/// 30 to 200 points: colder or longer saves fewer pivots than it costs.
const LEVELS: [(f32, usize); 3] = [(0.04, 4), (0.008, 6), (0.0015, 10)];

/// Scratch of the iterations, and the columns' duals.
#[derive(Debug, Default)]
pub(super) struct Entropic {
    cost: Vec<f32>,
    kernel: Vec<f32>,
    f: Vec<f32>,
    g: Vec<f32>,
    u: Vec<f32>,
    v: Vec<f32>,
    a: Vec<f32>,
    b: Vec<f32>,
    t: Vec<f32>,
    tree: SpanningTree,
}

impl Entropic {
    /// Moves the sinks' signed potentials; `false` where that came to nothing.
    pub(super) fn run(
        &mut self,
        instance: &Instance<'_>,
        sinks: &mut [f64],
        buffer: &mut [f64],
    ) -> bool {
        let (n, m) = (instance.supply.len(), instance.demand.len());
        let (low, spread) = (instance.range.0, instance.range.1 - instance.range.0);
        let scale = 1.0 / spread;
        if !(scale > 0.0 && scale.is_finite() && spread.is_finite()) {
            return false;
        }
        let stride = m.next_multiple_of(PADDING);
        self.cost.clear();
        self.cost.resize(n * stride, f32::INFINITY);
        for i in 0..n {
            let row = instance.cost.row(i, buffer);
            row.scaled(low, scale, &mut self.cost[i * stride..i * stride + m]);
        }
        let shares = |w: &[f64], out: &mut Vec<f32>| {
            let scale = 1.0 / w.iter().sum::<f64>();
            out.clear();
            out.extend(w.iter().map(|w| (w * scale) as f32));
        };
        shares(instance.supply, &mut self.a);
        shares(instance.demand, &mut self.b);
        self.b.resize(stride, 0.0);
        self.kernel.resize(n * stride, 0.0);
        self.f.clear();
        self.f.resize(n, 0.0);
        self.g.clear();
        self.g.resize(stride, 0.0);
        self.u.resize(n, 1.0);
        self.v.resize(stride, 0.0);
        self.t.resize(stride, 0.0);
        let mut problem = Annealed {
            cost: &self.cost,
            a: &self.a,
            b: &self.b,
            f: &mut self.f,
            g: &mut self.g,
            kernel: &mut self.kernel,
            v: &mut self.v,
            t: &mut self.t,
            u: &mut self.u,
        };
        for (eps, passes) in LEVELS {
            anneal::level(&mut problem, eps, passes);
        }
        anneal::spanning_tree(&mut problem, m, &mut self.tree);
        if !self.g.iter().all(|g| g.is_finite()) {
            return false;
        }
        for ((p, &g), &b) in sinks.iter_mut().zip(&self.g).zip(instance.demand) {
            if b > 0.0 {
                *p = -f64::from(g) * spread;
            }
        }
        true
    }

    /// Places mass along the arcs of the tree, from its leaves on: each sends what it has left, or takes what it
    /// has room for. If the tree were the optimal basis, nothing would be left over.
    pub(super) fn place(&self, instance: &Instance<'_>, placed: &mut Placement) {
        let n = instance.supply.len();
        for &(x, y) in self.tree.arcs.iter().rev() {
            let (source, target) = (x.min(y), x.max(y));
            let (i, j) = (source as usize, target as usize - n);
            if instance.cost.entry(i, j) < f64::INFINITY {
                placed.send(source, j as u32);
            }
        }
    }
}
