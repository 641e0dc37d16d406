//! Entropic iterations in single precision for problems whose kernel stays in the first caches.
//!
//! One call does all of a temperature: the kernel from the duals so far, the iterations, the duals after
//! them. What costs there is neither memory nor arithmetic but the number of calls and of dependent steps,
//! so rows go four at a time and everything is inlined into one function for each instruction set.

use crate::dispatch::{Isa, isa};
use crate::exp::exp_lanes;
use crate::simd::{Backend, Kernel, Lanes, run};

/// Rows of cost and kernel are padded to a multiple of this.
pub const PADDING: usize = 16;
const ROWS: usize = 8;

/// A problem at mass 1 and its duals; n = `a.len()`, and every other length follows from that of `b`.
#[derive(Debug)]
pub struct Annealed<'a> {
    /// n × stride, row-major; `+∞` on padding and forbidden pairs.
    pub cost: &'a [f32],
    /// Source weights.
    pub a: &'a [f32],
    /// Target weights, 0 on padding; its length is the stride, a multiple of [`PADDING`].
    pub b: &'a [f32],
    /// Duals of the sources, in units of the cost.
    pub f: &'a mut [f32],
    /// Duals of the targets.
    pub g: &'a mut [f32],
    /// Scratch of n × stride.
    pub kernel: &'a mut [f32],
    /// Scratch of the stride.
    pub v: &'a mut [f32],
    /// Scratch of the stride.
    pub t: &'a mut [f32],
    /// Scratch of n.
    pub u: &'a mut [f32],
}

impl Annealed<'_> {
    fn check(&self) {
        let (n, m) = (self.a.len(), self.b.len());
        assert!(
            m.is_multiple_of(PADDING),
            "the stride is a multiple of {PADDING}"
        );
        assert!(
            [self.g.len(), self.v.len(), self.t.len()] == [m; 3]
                && [self.f.len(), self.u.len()] == [n; 2]
                && [self.cost.len(), self.kernel.len()] == [n * m; 2],
            "lengths differ"
        );
    }
}

struct Level<'p, 'a> {
    p: &'p mut Annealed<'a>,
    inv_eps: f32,
    passes: usize,
}

impl Kernel for Level<'_, '_> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<B: Backend>(self) {
        let Self { p, inv_eps, passes } = self;
        let (n, m) = (p.a.len(), p.b.len());
        // SAFETY: `Annealed::check` has compared every length, and m is a multiple of the lanes.
        unsafe {
            for i in 0..n {
                let (c, k) = (p.cost.as_ptr().add(i * m), p.kernel.as_mut_ptr().add(i * m));
                let (f, scale) = (B::S::splat(p.f[i]), B::S::splat(inv_eps));
                for j in (0..m).step_by(B::S::N) {
                    let slack = B::S::load(p.g.as_ptr().add(j))
                        .add(f)
                        .sub(B::S::load(c.add(j)));
                    exp_lanes(slack.mul(scale)).store(k.add(j));
                }
            }
            p.v.copy_from_slice(p.b);
            p.u.fill(1.0);
            for pass in 0..passes {
                // The first and the last step are plain: one has nothing to extrapolate from, the other settles.
                let relaxed = pass > 0 && pass + 1 < passes;
                p.t.fill(0.0);
                let mut i = 0;
                while i + ROWS <= n {
                    rows::<B, ROWS>(p, i, relaxed);
                    i += ROWS;
                }
                while i < n {
                    rows::<B, 1>(p, i, relaxed);
                    i += 1;
                }
                let zero = B::S::splat(0.0);
                for j in (0..m).step_by(B::S::N) {
                    let t = B::S::load(p.t.as_ptr().add(j));
                    let mut v = B::S::load(p.b.as_ptr().add(j)).div(t);
                    if relaxed {
                        v = v.mul(v.div(B::S::load(p.v.as_ptr().add(j))).sqrt());
                    }
                    B::S::select(zero.lt(v), v, zero).store(p.v.as_mut_ptr().add(j));
                }
            }
        }
    }
}

/// `u = 1/(K v)` on `R` rows from the `i`-th on, and their part of `t = Kᵀ(a u)`.
///
/// # Safety
/// The instruction set of `B` is available, and the lengths are as [`Annealed::check`] wants them.
#[inline(always)]
unsafe fn rows<B: Backend, const R: usize>(p: &mut Annealed<'_>, i: usize, relaxed: bool) {
    let m = p.b.len();
    // SAFETY: rows i..i + R are below n, j below m, a multiple of the lanes.
    unsafe {
        let k = p.kernel.as_ptr().add(i * m);
        let mut sums = [B::S::splat(0.0); R];
        for j in (0..m).step_by(B::S::N) {
            let v = B::S::load(p.v.as_ptr().add(j));
            for (r, sum) in sums.iter_mut().enumerate() {
                *sum = B::S::load(k.add(r * m + j)).fma(v, *sum);
            }
        }
        // Side by side, so that the divisions and roots of the rows share a register.
        let mut u = [0.0_f32; R];
        for (u, sum) in u.iter_mut().zip(&sums) {
            *u = sum.sum();
        }
        for u in &mut u {
            *u = 1.0 / *u;
        }
        if relaxed {
            for (u, old) in u.iter_mut().zip(&p.u[i..i + R]) {
                *u *= (*u / old).sqrt();
            }
        }
        p.u[i..i + R].copy_from_slice(&u);
        let mut weights = [B::S::splat(0.0); R];
        for (r, weight) in weights.iter_mut().enumerate() {
            *weight = B::S::splat(p.a[i + r] * u[r]);
        }
        for j in (0..m).step_by(B::S::N) {
            let mut t = B::S::load(p.t.as_ptr().add(j));
            for (r, weight) in weights.iter().enumerate() {
                t = B::S::load(k.add(r * m + j)).fma(*weight, t);
            }
            t.store(p.t.as_mut_ptr().add(j));
        }
    }
}

/// `passes` iterations of Sinkhorn at temperature `eps` from the duals of `p`, which move along. A dual that
/// leaves the range of `f32` becomes infinite or NaN: the caller checks.
///
/// One exp an entry, then 4 bytes twice and 4 flops an entry and pass.
///
/// # Panics
/// If the lengths do not match.
pub fn level(p: &mut Annealed<'_>, eps: f32, passes: usize) {
    level_with(isa(), p, eps, passes);
}

/// [`level`] on a chosen instruction set (a narrower one where it is not available).
///
/// # Panics
/// If the lengths do not match.
pub fn level_with(isa: Isa, p: &mut Annealed<'_>, eps: f32, passes: usize) {
    p.check();
    if passes == 0 {
        return;
    }
    run(
        isa,
        Level {
            p,
            inv_eps: 1.0 / eps,
            passes,
        },
    );
    for (f, u) in p.f.iter_mut().zip(&*p.u) {
        *f += eps * u.ln();
    }
    for ((g, v), b) in p.g.iter_mut().zip(&*p.v).zip(p.b) {
        if *v > 0.0 {
            *g += eps * (v / b).ln();
        }
    }
}

/// A spanning tree of all nodes, and the memory it takes to find it.
#[derive(Debug, Default)]
pub struct SpanningTree {
    /// (node, parent) in the order of growth, from the second node on: sources are 0..n, target j is n + j. Nodes
    /// whose entries left the range of f32 are missing.
    pub arcs: Vec<(u32, u32)>,
    /// The plan by columns, for the targets' turns.
    turned: Vec<f32>,
    /// The largest entry between each node and the tree, and who of the tree has it.
    best: [Vec<f32>; 2],
    link: [Vec<f32>; 2],
}

/// The spanning tree of the largest entries of the plan `diag(a·u) K diag(v)` that the last [`level`] left, by
/// Prim's algorithm, which grows from the first source. Padding takes no part. 16 bytes an entry.
///
/// # Panics
/// If the lengths do not match, there is no source, or there are more than 2^24 nodes.
pub fn spanning_tree(p: &mut Annealed<'_>, targets: usize, tree: &mut SpanningTree) {
    spanning_tree_with(isa(), p, targets, tree);
}

/// [`spanning_tree`] on a chosen instruction set (a narrower one where it is not available).
///
/// # Panics
/// As [`spanning_tree`].
pub fn spanning_tree_with(isa: Isa, p: &mut Annealed<'_>, targets: usize, tree: &mut SpanningTree) {
    p.check();
    let n = p.a.len();
    assert!(n > 0, "a tree grows from the first source");
    assert!(targets <= p.b.len(), "targets beyond the stride");
    // Links are whole numbers in single precision: they are chosen lane by lane beside the entries.
    assert!(n + targets <= 1 << 24, "too many nodes");
    run(isa, Grow { p, targets, tree });
}

struct Grow<'p, 'a> {
    p: &'p mut Annealed<'a>,
    targets: usize,
    tree: &'p mut SpanningTree,
}

impl Kernel for Grow<'_, '_> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<B: Backend>(self) {
        let Self { p, targets, tree } = self;
        let (n, m) = (p.a.len(), p.b.len());
        let rows = n.next_multiple_of(PADDING);
        weigh(p, rows, &mut tree.turned);
        for (side, (count, room)) in [(n, rows), (targets, m)].into_iter().enumerate() {
            // Nodes of the tree and padding are NaN, which loses every comparison.
            let best = &mut tree.best[side];
            best.clear();
            best.resize(count, -1.0);
            best.resize(room, f32::NAN);
            tree.link[side].clear();
            tree.link[side].resize(room, 0.0);
        }
        tree.arcs.clear();
        tree.best[0][0] = f32::NAN;
        let [to_sources, to_targets] = &mut tree.best;
        let [source_links, target_links] = &mut tree.link;
        let mut node = 0;
        for _ in 1..n + targets {
            // SAFETY: a source's row has m entries, a target's column `rows`, both multiples of the lanes.
            unsafe {
                let (top_source, top_target) = if node < n {
                    let row = &p.kernel[node * m..(node + 1) * m];
                    let top = relax::<B>(row, node as f32, to_targets, target_links);
                    (largest::<B>(to_sources), top)
                } else {
                    let column = &tree.turned[(node - n) * rows..(node - n + 1) * rows];
                    let top = relax::<B>(column, node as f32, to_sources, source_links);
                    (top, largest::<B>(to_targets))
                };
                let of_sources = top_source > top_target;
                let (top, best, link) = if of_sources {
                    (top_source, &mut *to_sources, &*source_links)
                } else {
                    (top_target, &mut *to_targets, &*target_links)
                };
                // Below zero nothing is left but nodes whose entries are no numbers: they stay outside.
                let Some(k) = first_at::<B>(top, best).filter(|_| top >= 0.0) else {
                    return;
                };
                best[k] = f32::NAN;
                node = if of_sources { k } else { n + k };
                tree.arcs.push((node as u32, link[k] as u32));
            }
        }
    }
}

/// Turns the kernel into the plan, and writes that once more by columns of `rows` entries.
#[inline(always)]
fn weigh(p: &mut Annealed<'_>, rows: usize, turned: &mut Vec<f32>) {
    let m = p.b.len();
    for ((row, a), u) in p.kernel.chunks_exact_mut(m).zip(p.a).zip(&*p.u) {
        let scale = a * u;
        for (k, v) in row.iter_mut().zip(&*p.v) {
            *k *= scale * v;
        }
    }
    turned.resize(rows * m, 0.0);
    for (j, column) in turned.chunks_exact_mut(rows).enumerate() {
        for (t, row) in column.iter_mut().zip(p.kernel.chunks_exact(m)) {
            *t = row[j];
        }
    }
}

/// Notes `node` wherever its entry is above the best, and returns the best of all.
///
/// # Safety
/// The instruction set of `B` is available, the lengths are equal and a multiple of the lanes.
#[inline(always)]
unsafe fn relax<B: Backend>(entries: &[f32], node: f32, best: &mut [f32], link: &mut [f32]) -> f32 {
    // SAFETY: the caller's promise.
    unsafe {
        let (node, mut top) = (B::S::splat(node), B::S::splat(f32::NEG_INFINITY));
        for j in (0..entries.len()).step_by(B::S::N) {
            let entry = B::S::load(entries.as_ptr().add(j));
            let (b, l) = (best.as_mut_ptr().add(j), link.as_mut_ptr().add(j));
            let (old, old_link) = (B::S::load(b), B::S::load(l));
            let new = B::S::select(old.lt(entry), entry, old);
            new.store(b);
            B::S::select(old.lt(entry), node, old_link).store(l);
            top = new.max(top);
        }
        top.largest()
    }
}

/// # Safety
/// As [`relax`].
#[inline(always)]
unsafe fn largest<B: Backend>(best: &[f32]) -> f32 {
    // SAFETY: the caller's promise.
    unsafe {
        let mut top = B::S::splat(f32::NEG_INFINITY);
        for j in (0..best.len()).step_by(B::S::N) {
            top = B::S::load(best.as_ptr().add(j)).max(top);
        }
        top.largest()
    }
}

/// # Safety
/// As [`relax`].
#[inline(always)]
unsafe fn first_at<B: Backend>(value: f32, best: &[f32]) -> Option<usize> {
    let all = (1_u32 << B::S::N) - 1;
    // SAFETY: the caller's promise.
    unsafe {
        let value = B::S::splat(value);
        for j in (0..best.len()).step_by(B::S::N) {
            // Nothing is above the value, and NaN compares false.
            let below = B::S::load(best.as_ptr().add(j)).lt(value);
            let same =
                !B::S::bits(below) & !B::S::bits(B::S::load(best.as_ptr().add(j)).not_le(value));
            if same & all != 0 {
                return Some(j + (same & all).trailing_zeros() as usize);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_pcg::Pcg64;

    /// A problem and its memory: cost, a, b, f, g, kernel, v, t, u.
    struct Case {
        n: usize,
        m: usize,
        parts: [Vec<f32>; 9],
    }

    impl Case {
        fn new(n: usize, m: usize, seed: u64) -> Self {
            let mut rng = Pcg64::seed_from_u64(seed);
            let stride = m.next_multiple_of(PADDING);
            let mut cost = vec![f32::INFINITY; n * stride];
            for row in cost.chunks_exact_mut(stride) {
                row[..m].fill_with(|| rng.random());
            }
            let mut weights = |k: usize| {
                let w: Vec<f32> = (0..k).map(|_| rng.random_range(0.1..1.0)).collect();
                let total: f32 = w.iter().sum();
                w.into_iter().map(|w| w / total).collect::<Vec<f32>>()
            };
            let (a, mut b) = (weights(n), weights(m));
            b.resize(stride, 0.0);
            let zeros = |k: usize| vec![0.0; k];
            let parts = [
                cost,
                a,
                b,
                zeros(n),
                zeros(stride),
                zeros(n * stride),
                zeros(stride),
                zeros(stride),
                zeros(n),
            ];
            Self { n, m, parts }
        }

        fn problem(&mut self) -> Annealed<'_> {
            let [cost, a, b, f, g, kernel, v, t, u] = &mut self.parts;
            Annealed {
                cost,
                a,
                b,
                f,
                g,
                kernel,
                v,
                t,
                u,
            }
        }

        /// The plan of the duals, in double precision.
        fn plan(&self, eps: f64) -> Vec<f64> {
            let stride = self.parts[2].len();
            let [cost, a, b, f, g, ..] = &self.parts;
            let entry = |k: usize| {
                let (i, j) = (k / self.m, k % self.m);
                let slack = f64::from(f[i]) + f64::from(g[j]) - f64::from(cost[i * stride + j]);
                f64::from(a[i]) * f64::from(b[j]) * (slack / eps).exp()
            };
            (0..self.n * self.m).map(entry).collect()
        }
    }

    #[test]
    fn iterations_converge_to_both_marginals_on_every_path() {
        for isa in Isa::available() {
            for (n, m) in [(1, 1), (3, 20), (16, 16), (37, 21)] {
                let mut case = Case::new(n, m, 7);
                let mut p = case.problem();
                level_with(isa, &mut p, 0.3, 10);
                level_with(isa, &mut p, 0.1, 60);
                let plan = case.plan(0.1);
                for i in 0..n {
                    let sent: f64 = plan[i * m..(i + 1) * m].iter().sum();
                    let want = f64::from(case.parts[1][i]);
                    assert!(
                        (sent / want - 1.0).abs() < 1e-4,
                        "{} {n} {m} {sent} {want}",
                        isa.name()
                    );
                }
                for j in 0..m {
                    let got: f64 = (0..n).map(|i| plan[i * m + j]).sum();
                    let want = f64::from(case.parts[2][j]);
                    assert!(
                        (got / want - 1.0).abs() < 1e-4,
                        "{} {n} {m} {got} {want}",
                        isa.name()
                    );
                }
                assert!(
                    case.parts[4][m..].iter().all(|g| *g == 0.0),
                    "padding moved"
                );
            }
        }
    }

    #[test]
    fn the_tree_is_the_heaviest_by_kruskals_rule() {
        for isa in Isa::available() {
            for (n, m) in [(1, 1), (1, 9), (5, 1), (17, 30), (40, 33)] {
                let mut case = Case::new(n, m, 11);
                let mut tree = SpanningTree::default();
                let mut p = case.problem();
                level_with(isa, &mut p, 0.1, 5);
                spanning_tree_with(isa, &mut p, m, &mut tree);
                assert_eq!(tree.arcs.len(), n + m - 1);
                let stride = case.parts[2].len();
                let weight = |i: usize, j: usize| f64::from(case.parts[5][i * stride + j]).ln();
                let mut inside = vec![false; n + m];
                inside[0] = true;
                let mut total = 0.0;
                for &(x, y) in &tree.arcs {
                    assert!(
                        inside[y as usize] && !inside[x as usize],
                        "{x} hangs from {y}"
                    );
                    inside[x as usize] = true;
                    total += weight(x.min(y) as usize, x.max(y) as usize - n);
                }
                // Kruskal: the heaviest arcs that close no cycle.
                let mut arcs: Vec<(f64, usize, usize)> = (0..n * m)
                    .map(|k| (weight(k / m, k % m), k / m, n + k % m))
                    .collect();
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
