//! Entropic duals and the tree of their plan, in single precision, for problems whose kernel stays in the first caches.
//!
//! What costs there is neither memory nor arithmetic but the number of calls and of dependent steps: all
//! temperatures run in one call, rows go a register at a time so that their sums, divisions and roots share one,
//! and a temperature's kernel is a power of the plan before it, without a second exponential.

mod tree;

use self::tree::{Grow, Tree};
use crate::aligned::Aligned;
use crate::dispatch::{Isa, isa};
use crate::exp::exp_lanes;
use crate::pricing::Entry;
use crate::simd::{Backend, Kernel, Lanes, Lanes64, run};

/// Rows and columns are padded to a multiple of this.
const PADDING: usize = 16;

/// Each temperature is this part of the one before, so that the kernel of the next is the fifth power of the plan.
pub const COOLING: f32 = 5.0;

/// A problem at mass 1, its scalings and duals, and the memory all of that takes; reused from problem to problem.
///
/// Unless said otherwise vectors are padded, with weights and scalings of 0.
#[derive(Debug, Default)]
pub struct Annealing {
    sources: usize,
    targets: usize,
    /// Rows of `kernel`, and entries of a row.
    rows: usize,
    stride: usize,
    /// `exp((f_i + g_j − c_ij)/ε)` for the duals with which the temperature began.
    kernel: Aligned<f32>,
    a: Aligned<f32>,
    b: Aligned<f32>,
    /// The plan is a u K v, with v = b w.
    u: Aligned<f32>,
    w: Aligned<f32>,
    v: Aligned<f32>,
    t: Aligned<f32>,
    g: Aligned<f32>,
    tree: Tree,
}

impl Annealing {
    /// A problem with these weights, over their sums. Every row is to be given by [`Annealing::row`] next.
    pub fn begin(&mut self, a: &[f64], b: &[f64]) {
        self.sources = a.len();
        self.targets = b.len();
        self.rows = a.len().next_multiple_of(PADDING);
        self.stride = b.len().next_multiple_of(PADDING);
        let shares = |w: &[f64], len: usize, out: &mut Aligned<f32>| {
            let scale = 1.0 / w.iter().sum::<f64>();
            out.stretch(len);
            for (share, w) in out.iter_mut().zip(w) {
                #[allow(clippy::cast_possible_truncation)]
                let x = (w * scale) as f32;
                *share = x;
            }
            out[w.len()..].fill(0.0);
        };
        shares(a, self.rows, &mut self.a);
        shares(b, self.stride, &mut self.b);
        let entries = self.rows * self.stride;
        self.kernel.stretch(entries);
        // Rows of padding may hold another problem's numbers.
        let given = self.sources * self.stride;
        self.kernel[given..].fill(0.0);
        self.u.stretch(self.rows);
        for x in [&mut self.w, &mut self.v, &mut self.t, &mut self.g] {
            x.stretch(self.stride);
        }
        self.g.fill(0.0);
    }

    /// Row `i` of the kernel at the first temperature: `exp(−(c_j − low)·inv_eps)`; `inv_eps` contains the scale of
    /// the cost. `+∞` forbids a pair. One exponential an entry.
    ///
    /// # Panics
    /// If the problem has no such row or `c` not as many entries as it has targets.
    pub fn row<T: Entry>(&mut self, i: usize, c: &[T], low: f64, inv_eps: f64) {
        self.row_with(isa(), i, c, low, inv_eps);
    }

    /// [`Annealing::row`] on a chosen instruction set (a narrower one where it is not available).
    ///
    /// # Panics
    /// As [`Annealing::row`].
    pub fn row_with<T: Entry>(&mut self, isa: Isa, i: usize, c: &[T], low: f64, inv_eps: f64) {
        assert!(i < self.sources, "row {i} of {}", self.sources);
        assert_eq!(c.len(), self.targets, "a row has an entry for each target");
        let k = &mut self.kernel[i * self.stride..(i + 1) * self.stride];
        run(isa, Row { c, low, inv_eps, k });
    }

    /// Sinkhorn, over-relaxed, at falling temperatures: `passes[0]` iterations at `eps`, then `passes[1]` at
    /// `eps / COOLING`, and so on; the duals move along. A scaling that leaves the range of `f32` makes duals infinite
    /// or NaN: the caller checks.
    ///
    /// An iteration takes 4 bytes twice and 4 flops an entry, a change of temperature 8 bytes and 5 flops.
    pub fn run(&mut self, eps: f32, passes: &[usize]) {
        self.run_with(isa(), eps, passes);
    }

    /// [`Annealing::run`] on a chosen instruction set (a narrower one where it is not available).
    pub fn run_with(&mut self, isa: Isa, eps: f32, passes: &[usize]) {
        if self.rows * self.stride == 0 {
            return;
        }
        run(
            isa,
            Levels {
                p: self,
                eps,
                passes,
            },
        );
    }

    /// Duals of the targets, in units of what the temperatures are in; not padded.
    #[must_use]
    pub fn g(&self) -> &[f32] {
        &self.g[..self.targets]
    }

    /// The spanning tree of the largest entries of the plan that the last [`Annealing::run`] left, by Prim's
    /// algorithm, which grows from the first source: (node, parent) in the order of growth, from the second node on.
    /// Sources are 0..n, target j is n + j; nodes whose entries left the range of f32 are missing. Entries count to
    /// as many binary digits as the nodes' numbers leave of 23. 16 bytes an entry.
    ///
    /// # Panics
    /// If there are 2^23 nodes or more.
    pub fn spanning_tree(&mut self) -> &[(u32, u32)] {
        self.spanning_tree_with(isa())
    }

    /// [`Annealing::spanning_tree`] on a chosen instruction set (a narrower one where it is not available).
    ///
    /// # Panics
    /// As [`Annealing::spanning_tree`].
    pub fn spanning_tree_with(&mut self, isa: Isa) -> &[(u32, u32)] {
        // Nodes' numbers stand in the fractions of entries, and as links in single precision.
        assert!(self.sources + self.targets < 1 << 23, "too many nodes");
        self.tree.arcs.clear();
        if self.sources > 0 {
            run(isa, Grow(self));
        }
        &self.tree.arcs
    }
}

struct Row<'a, T> {
    c: &'a [T],
    low: f64,
    inv_eps: f64,
    k: &'a mut [f32],
}

impl<T: Entry> Kernel for Row<'_, T> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<B: Backend>(self) {
        let (m, lanes) = (self.c.len(), <B::D as Lanes>::N);
        let (c, k) = (self.c.as_ptr(), self.k.as_mut_ptr());
        // SAFETY: `row_with` has cut k to the stride, which is m rounded up to a multiple of all lanes.
        unsafe {
            let (low, scale) = (B::D::splat(self.low), B::D::splat(-self.inv_eps));
            let mut j = 0;
            while j + lanes <= m {
                let x = T::load64::<B::D>(c.add(j)).sub(low).mul(scale);
                x.store_f32(k.add(j));
                j += lanes;
            }
            if j < m {
                let x = T::load64_part::<B::D>(c.add(j), m - j, T::INFINITY);
                x.sub(low).mul(scale).store_f32(k.add(j));
                j += lanes;
            }
            self.k[j.min(m.next_multiple_of(lanes))..].fill(f32::NEG_INFINITY);
            for j in (0..self.k.len()).step_by(B::S::N) {
                exp_lanes(B::S::load(k.add(j))).store(k.add(j));
            }
        }
    }
}

struct Levels<'p, 'a> {
    p: &'p mut Annealing,
    eps: f32,
    passes: &'a [usize],
}

impl Kernel for Levels<'_, '_> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<B: Backend>(self) {
        let Self { p, mut eps, passes } = self;
        for (level, &passes) in passes.iter().enumerate() {
            // SAFETY: the instruction set is available; `begin` has made all lengths what they must be.
            unsafe {
                if level > 0 {
                    sharpen::<B>(p);
                    eps /= COOLING;
                }
                p.w.fill(1.0);
                p.v.copy_from_slice(&p.b);
                for pass in 0..passes {
                    // The first and the last step are plain: one has nothing to extrapolate from, the other settles.
                    let relaxed = pass > 0 && pass + 1 < passes;
                    p.t.fill(0.0);
                    // A block's division and roots take as long as the next one's sums: these go on meanwhile.
                    let mut sums = row_sums::<B>(p, 0);
                    for i in (0..p.rows).step_by(B::S::N) {
                        let weights = scale_rows::<B>(p, i, sums, relaxed);
                        sums = row_sums::<B>(p, (i + B::S::N).min(p.rows - B::S::N));
                        add_rows::<B>(p, i, &weights);
                    }
                    columns::<B>(p, relaxed);
                }
            }
            for ((g, w), b) in p.g.iter_mut().zip(p.w.iter()).zip(p.b.iter()) {
                if *b > 0.0 {
                    *g += eps * w.ln();
                }
            }
        }
    }
}

/// K becomes the fifth power of u K w.
///
/// # Safety
/// The instruction set of `B` is available, and the lengths are those of [`Annealing::begin`].
#[inline(always)]
unsafe fn sharpen<B: Backend>(p: &mut Annealing) {
    let m = p.stride;
    // SAFETY: rows below p.sources ≤ p.rows, columns below m, a multiple of the lanes.
    unsafe {
        for i in 0..p.sources {
            let k = p.kernel.as_mut_ptr().add(i * m);
            let u = B::S::splat(p.u[i]);
            for j in (0..m).step_by(B::S::N) {
                let x = u
                    .mul(B::S::load(k.add(j)))
                    .mul(B::S::load(p.w.as_ptr().add(j)));
                let square = x.mul(x);
                square.mul(square).mul(x).store(k.add(j));
            }
        }
    }
}

/// What a scaling becomes: `1/s`, or three quarters further in the same direction, in logarithms: over-relaxation by
/// 1.75. (Measured: with 1.5 as many pivots are left after twice the passes.)
///
/// # Safety
/// The instruction set of `V` is available.
#[inline(always)]
unsafe fn step<V: Lanes<E = f32>>(s: V, old: V, relaxed: bool) -> V {
    // SAFETY: the caller's promise.
    unsafe {
        if relaxed {
            // (1/s)·(1/(s·old))^¾, with one division.
            let x = s.mul(old);
            let r = x.sqrt();
            old.div(x.mul(r).mul(r.sqrt()))
        } else {
            V::splat(1.0).div(s)
        }
    }
}

/// `K v` on a register of rows from the `i`-th on.
///
/// # Safety
/// As [`sharpen`]; `i` is a multiple of the lanes below `p.rows`.
#[inline(always)]
unsafe fn row_sums<B: Backend>(p: &Annealing, i: usize) -> B::S {
    let (m, lanes) = (p.stride, B::S::N);
    // SAFETY: rows i..i + lanes are below p.rows, j below m, both multiples of the lanes.
    unsafe {
        let k = p.kernel.as_ptr().add(i * m);
        let mut sums = [B::S::splat(0.0); 16];
        // Rows of padding are zeros: half of the last register may be left out.
        let half = lanes / 2;
        for j in (0..m).step_by(lanes) {
            let v = B::S::load(p.v.as_ptr().add(j));
            for r in 0..half {
                sums[r] = B::S::load(k.add(r * m + j)).fma(v, sums[r]);
            }
        }
        if i + half < p.sources {
            for j in (0..m).step_by(lanes) {
                let v = B::S::load(p.v.as_ptr().add(j));
                for r in half..lanes {
                    sums[r] = B::S::load(k.add(r * m + j)).fma(v, sums[r]);
                }
            }
        }
        B::S::sum_rows(&sums)
    }
}

/// `u` becomes `1/sums`; `a u` is returned.
///
/// # Safety
/// As [`row_sums`].
#[inline(always)]
unsafe fn scale_rows<B: Backend>(
    p: &mut Annealing,
    i: usize,
    sums: B::S,
    relaxed: bool,
) -> [f32; 16] {
    let mut weights = [0.0_f32; 16];
    // SAFETY: as in `row_sums`.
    unsafe {
        let zero = B::S::splat(0.0);
        let (a, u) = (p.a.as_ptr().add(i), p.u.as_mut_ptr().add(i));
        let a = B::S::load(a);
        let scaling = step(sums, B::S::load(u), relaxed);
        // Rows of padding have no weight.
        let scaling = B::S::select(zero.lt(a), scaling, zero);
        scaling.store(u);
        a.mul(scaling).store(weights.as_mut_ptr());
    }
    weights
}

/// Adds the part of these rows to `t = Kᵀ(a u)`.
///
/// # Safety
/// As [`row_sums`].
#[inline(always)]
unsafe fn add_rows<B: Backend>(p: &mut Annealing, i: usize, weights: &[f32; 16]) {
    let (m, lanes) = (p.stride, B::S::N);
    let half = lanes / 2;
    let both = i + half < p.sources;
    // SAFETY: as in `row_sums`.
    unsafe {
        let k = p.kernel.as_ptr().add(i * m);
        for j in (0..m).step_by(lanes) {
            // Two sums: one would wait for itself.
            let mut t = [B::S::load(p.t.as_ptr().add(j)), B::S::splat(0.0)];
            for r in 0..half {
                t[r % 2] = B::S::load(k.add(r * m + j)).fma(B::S::splat(weights[r]), t[r % 2]);
            }
            if both {
                for r in half..lanes {
                    t[r % 2] = B::S::load(k.add(r * m + j)).fma(B::S::splat(weights[r]), t[r % 2]);
                }
            }
            t[0].add(t[1]).store(p.t.as_mut_ptr().add(j));
        }
    }
}

/// `w = 1/t` and `v = b w`.
///
/// # Safety
/// As [`sharpen`].
#[inline(always)]
unsafe fn columns<B: Backend>(p: &mut Annealing, relaxed: bool) {
    // SAFETY: j is below the stride, a multiple of the lanes.
    unsafe {
        let zero = B::S::splat(0.0);
        for j in (0..p.stride).step_by(B::S::N) {
            let b = B::S::load(p.b.as_ptr().add(j));
            let w = p.w.as_mut_ptr().add(j);
            let scaling = step(B::S::load(p.t.as_ptr().add(j)), B::S::load(w), relaxed);
            let scaling = B::S::select(zero.lt(b), scaling, zero);
            scaling.store(w);
            b.mul(scaling).store(p.v.as_mut_ptr().add(j));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_pcg::Pcg64;

    /// A problem in double precision.
    struct Case {
        cost: Vec<f64>,
        a: Vec<f64>,
        b: Vec<f64>,
    }

    impl Case {
        fn new(n: usize, m: usize, seed: u64) -> Self {
            let mut rng = Pcg64::seed_from_u64(seed);
            let cost = (0..n * m).map(|_| rng.random::<f64>()).collect();
            let mut weights = |k: usize| {
                let w: Vec<f64> = (0..k).map(|_| rng.random_range(0.1..1.0)).collect();
                let total: f64 = w.iter().sum();
                w.into_iter().map(|w| w / total).collect::<Vec<f64>>()
            };
            let (a, b) = (weights(n), weights(m));
            Self { cost, a, b }
        }

        fn run(&self, isa: Isa, eps: f32, passes: &[usize]) -> Annealing {
            let mut p = Annealing::default();
            // What another problem left behind must not matter.
            p.begin(&vec![1.0; 50], &vec![1.0; 50]);
            p.kernel.fill(7.0);
            self.rerun(&mut p, isa, eps, passes);
            p
        }

        fn rerun(&self, p: &mut Annealing, isa: Isa, eps: f32, passes: &[usize]) {
            p.begin(&self.a, &self.b);
            for (i, row) in self.cost.chunks_exact(self.b.len()).enumerate() {
                p.row_with(isa, i, row, 0.0, 1.0 / f64::from(eps));
            }
            p.run_with(isa, eps, passes);
        }
    }

    /// An entry of the plan, in double precision.
    fn plan(p: &Annealing, i: usize, j: usize) -> f64 {
        f64::from(p.a[i])
            * f64::from(p.u[i])
            * f64::from(p.kernel[i * p.stride + j])
            * f64::from(p.v[j])
    }

    const SHAPES: [(usize, usize); 6] = [(1, 1), (3, 20), (16, 16), (37, 21), (20, 3), (33, 64)];

    #[test]
    fn iterations_converge_to_both_marginals_on_every_path() {
        for isa in Isa::available() {
            for (n, m) in SHAPES {
                let case = Case::new(n, m, 7);
                let p = case.run(isa, 0.5, &[10, 60]);
                for i in 0..n {
                    let sent: f64 = (0..m).map(|j| plan(&p, i, j)).sum();
                    assert!(
                        (sent / case.a[i] - 1.0).abs() < 1e-4,
                        "{} {n} {m} {sent} {}",
                        isa.name(),
                        case.a[i]
                    );
                }
                for j in 0..m {
                    let got: f64 = (0..n).map(|i| plan(&p, i, j)).sum();
                    assert!(
                        (got / case.b[j] - 1.0).abs() < 1e-4,
                        "{} {n} {m}",
                        isa.name()
                    );
                }
                assert!(
                    p.u[n..].iter().chain(&p.v[m..]).all(|x| *x == 0.0),
                    "padding moved"
                );
            }
        }
    }

    #[test]
    fn the_plan_is_that_of_its_duals_at_the_last_temperature() {
        for isa in Isa::available() {
            for (n, m) in SHAPES {
                let case = Case::new(n, m, 5);
                let p = case.run(isa, 0.5, &[6, 60]);
                // With f the soft c-transform of g, rows are right whatever g is; entries then tell of g.
                let eps = 0.1;
                for i in 0..n {
                    let row = &case.cost[i * m..(i + 1) * m];
                    let term = |j: usize| case.b[j] * ((f64::from(p.g()[j]) - row[j]) / eps).exp();
                    let sum: f64 = (0..m).map(term).sum();
                    for j in 0..m {
                        let want = case.a[i] * term(j) / sum;
                        let got = plan(&p, i, j);
                        assert!(
                            (got - want).abs() < 2e-4 * case.a[i],
                            "{} {n} {m} {i} {j} {got} {want}",
                            isa.name()
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn forbidden_pairs_and_columns_without_weight_stay_empty() {
        for isa in Isa::available() {
            let mut case = Case::new(9, 18, 3);
            (0..9).for_each(|i| case.cost[i * 18 + i] = f64::INFINITY);
            case.b[17] = 0.0;
            let p = case.run(isa, 0.3, &[5, 5, 5]);
            for i in 0..9 {
                assert_eq!(plan(&p, i, i), 0.0);
                assert_eq!(plan(&p, i, 17), 0.0);
            }
            assert!(p.g().iter().all(|g| g.is_finite()));
        }
    }

    #[test]
    fn rows_in_either_precision_and_with_an_offset_are_alike() {
        for isa in Isa::available() {
            let case = Case::new(7, 19, 1);
            let mut p = case.run(isa, 0.5, &[3]);
            let narrow: Vec<f32> = case.cost.iter().map(|c| (1e3 + 2.0 * c) as f32).collect();
            let wide = p.kernel.clone();
            for (i, row) in narrow.chunks_exact(19).enumerate() {
                p.row_with(isa, i, row, 1e3, 0.5 / 0.5);
            }
            for (x, y) in p.kernel.iter().zip(wide.iter()) {
                assert!((x - y).abs() < 1e-3, "{x} {y}");
            }
        }
    }

    #[test]
    fn the_tree_is_the_heaviest_by_kruskals_rule() {
        for isa in Isa::available() {
            for (n, m) in [(1, 1), (1, 9), (5, 1), (17, 30), (40, 33)] {
                let case = Case::new(n, m, 11);
                let mut p = case.run(isa, 0.1, &[5]);
                let weights: Vec<f64> = (0..n * m).map(|k| plan(&p, k / m, k % m).ln()).collect();
                let arcs = p.spanning_tree_with(isa).to_vec();
                assert_eq!(arcs.len(), n + m - 1);
                let mut inside = vec![false; n + m];
                inside[0] = true;
                let mut total = 0.0;
                for &(x, y) in &arcs {
                    assert!(
                        inside[y as usize] && !inside[x as usize],
                        "{x} hangs from {y}"
                    );
                    inside[x as usize] = true;
                    total += weights[x.min(y) as usize * m + x.max(y) as usize - n];
                }
                // Kruskal: the heaviest arcs that close no cycle.
                let mut arcs: Vec<(f64, usize, usize)> =
                    (0..n * m).map(|k| (weights[k], k / m, n + k % m)).collect();
                arcs.sort_by(|a, b| b.0.total_cmp(&a.0));
                let mut of: Vec<usize> = (0..n + m).collect();
                let mut heaviest = 0.0;
                for (w, x, y) in arcs {
                    let (from, to) = (of[x], of[y]);
                    if from != to {
                        of.iter_mut().filter(|o| **o == from).for_each(|o| *o = to);
                        heaviest += w;
                    }
                }
                assert!((total - heaviest).abs() < 1e-6 * heaviest.abs().max(1.0));
            }
        }
    }
}
