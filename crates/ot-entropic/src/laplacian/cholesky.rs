//! Approximate Cholesky factorization of a Laplacian by sampled cliques.
//!
//! Eliminating a vertex of degree d joins its neighbours by a clique of d(d−1)/2 edges. Here a tree of d − 1 sampled
//! edges stands for the clique, with the clique as its mean: every vertex leaves the graph with an edge less, so that the
//! factor has few entries more than it, and the product with it stays close to the Laplacian in the spectral sense. Nothing is subtracted, so weights over
//! any range do no harm. Vertices of degree one and two are eliminated exactly: what is a tree is solved exactly.
//!
//! Source: Kyng and Sachdeva, *Approximate Gaussian elimination for Laplacians* (2016); Gao, Kyng and Spielman, *Robust
//! and practical solution of Laplacian equations by approximate elimination* (2023), algorithm AC.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use super::{Backbone, Bipartite, Keep};

/// No edge, no vertex.
const NONE: u32 = u32::MAX;

/// The factorization U D Uᵀ, in the order of elimination. Made again for each graph; memory is kept.
#[derive(Debug, Clone, Default)]
pub struct Cholesky {
    /// The vertex that is eliminated k-th, and where its entries start.
    order: Vec<u32>,
    start: Vec<u32>,
    /// Neighbours that are eliminated later, with w / D.
    to: Vec<u32>,
    part: Vec<f64>,
    /// 1 / D by step.
    inverse: Vec<f64>,
    backbone: Backbone,
    work: Work,
}

/// Buffers of the elimination.
#[derive(Debug, Clone, Default)]
struct Work {
    /// Half-edges: the next one of the same vertex, the other end, the weight.
    next: Vec<u32>,
    end: Vec<u32>,
    weight: Vec<f64>,
    head: Vec<u32>,
    /// How many half-edges each vertex has, duplicates included; buckets of vertices by that number.
    count: Vec<u32>,
    bucket_head: Vec<u32>,
    bucket_next: Vec<u32>,
    bucket_prev: Vec<u32>,
    done: Vec<bool>,
    /// Where a neighbour stands in `near`.
    place: Vec<u32>,
    /// By how much the count of a neighbour changes in the present step.
    change: Vec<i32>,
    near: Vec<(f64, u32)>,
    below: Vec<f64>,
}

/// Vertices with more half-edges than this share the last bucket.
const BUCKETS: usize = 64;

impl Work {
    fn add(&mut self, v: u32, end: u32, weight: f64) {
        self.next.push(self.head[v as usize]);
        self.end.push(end);
        self.weight.push(weight);
        self.head[v as usize] = (self.next.len() - 1) as u32;
    }

    fn bucket(&self, v: u32) -> usize {
        (self.count[v as usize] as usize).min(BUCKETS - 1)
    }

    fn unlink(&mut self, v: u32) {
        let (prev, next) = (self.bucket_prev[v as usize], self.bucket_next[v as usize]);
        if prev == NONE {
            let bucket = self.bucket(v);
            self.bucket_head[bucket] = next;
        } else {
            self.bucket_next[prev as usize] = next;
        }
        if next != NONE {
            self.bucket_prev[next as usize] = prev;
        }
    }

    fn link(&mut self, v: u32) {
        let bucket = self.bucket(v);
        let first = self.bucket_head[bucket];
        self.bucket_next[v as usize] = first;
        self.bucket_prev[v as usize] = NONE;
        if first != NONE {
            self.bucket_prev[first as usize] = v;
        }
        self.bucket_head[bucket] = v;
    }

    fn recount(&mut self, v: u32, change: i32) {
        let count = self.count[v as usize];
        let new = count.saturating_add_signed(change);
        if (count as usize).min(BUCKETS - 1) == (new as usize).min(BUCKETS - 1) {
            self.count[v as usize] = new;
            return;
        }
        self.unlink(v);
        self.count[v as usize] = new;
        self.link(v);
    }
}

impl Cholesky {
    /// Factorizes the Laplacian of what is kept of `graph` ([`Backbone`]). The same seed gives the same factor. About
    /// O(e log e) for e edges that are kept.
    pub fn factor(&mut self, graph: &Bipartite, keep: Keep, seed: u64) {
        let (n, m) = graph.shape();
        let all = n + m;
        let ground = all as u32;
        let mut random = Pcg64Mcg::seed_from_u64(seed);
        let w = &mut self.work;
        for list in [&mut w.next, &mut w.end] {
            list.clear();
        }
        w.weight.clear();
        for (list, fill) in [
            (&mut w.head, NONE),
            (&mut w.bucket_next, NONE),
            (&mut w.bucket_prev, NONE),
            (&mut w.count, 0),
            (&mut w.place, NONE),
        ] {
            list.clear();
            list.resize(all + 1, fill);
        }
        w.bucket_head.clear();
        w.bucket_head.resize(BUCKETS, NONE);
        w.change.clear();
        w.change.resize(all + 1, 0);
        w.done.clear();
        w.done.resize(all + 1, false);
        self.backbone.choose(graph, keep, &mut random);
        let mut edge = 0;
        for i in 0..n {
            for &j in graph.row(i).0 {
                let weight = self.backbone.weights()[edge];
                edge += 1;
                if weight > 0.0 {
                    let j = n as u32 + j;
                    w.add(i as u32, j, weight);
                    w.add(j, i as u32, weight);
                    w.count[i] += 1;
                    w.count[j as usize] += 1;
                }
            }
        }
        for (v, &weight) in graph.ground().iter().enumerate() {
            if weight > 0.0 {
                // The ground is never eliminated, and needs no list.
                w.add(v as u32, ground, weight);
                w.count[v] += 1;
            }
        }
        for v in (0..all as u32).rev() {
            w.link(v);
        }
        self.order.clear();
        self.start.clear();
        self.to.clear();
        self.part.clear();
        self.inverse.clear();
        for _ in 0..all {
            // Every vertex that is not done stands in a bucket.
            let Some(&v) = w.bucket_head.iter().find(|v| **v != NONE) else {
                break;
            };
            w.unlink(v);
            w.done[v as usize] = true;
            gather(w, v);
            self.order.push(v);
            self.start.push(self.to.len() as u32);
            let total: f64 = w.near.iter().map(|n| n.0).sum();
            // A vertex that nothing is tied to any more stays where it is.
            self.inverse
                .push(if total > 0.0 { 1.0 / total } else { 0.0 });
            for &(weight, u) in &w.near {
                if u != ground {
                    self.to.push(u);
                    self.part.push(weight / total);
                }
            }
            join_neighbours(w, total, ground, &mut random);
        }
        self.start.push(self.to.len() as u32);
    }

    /// The number of entries of the factor, without its diagonal.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.to.len()
    }

    /// x ← (U D Uᵀ)⁻¹ x.
    pub fn solve(&self, x: &mut [f64]) {
        let steps = self.order.len();
        for k in 0..steps {
            let v = x[self.order[k] as usize];
            let (from, to) = (self.start[k] as usize, self.start[k + 1] as usize);
            for (&u, part) in self.to[from..to].iter().zip(&self.part[from..to]) {
                x[u as usize] += v * part;
            }
        }
        for k in (0..steps).rev() {
            let at = self.order[k] as usize;
            let mut v = x[at] * self.inverse[k];
            let (from, to) = (self.start[k] as usize, self.start[k + 1] as usize);
            for (&u, part) in self.to[from..to].iter().zip(&self.part[from..to]) {
                v += x[u as usize] * part;
            }
            x[at] = v;
        }
    }
}

/// The neighbours of `v` that are left, each once, by ascending weight; their counts lose the edges to `v`.
fn gather(w: &mut Work, v: u32) {
    w.near.clear();
    let mut edge = w.head[v as usize];
    while edge != NONE {
        let (end, weight) = (w.end[edge as usize], w.weight[edge as usize]);
        edge = w.next[edge as usize];
        if w.done[end as usize] {
            continue;
        }
        let place = w.place[end as usize];
        if place == NONE {
            w.place[end as usize] = w.near.len() as u32;
            w.near.push((weight, end));
        } else {
            w.near[place as usize].0 += weight;
        }
        w.change[end as usize] -= 1;
    }
    for &(_, end) in &w.near {
        w.place[end as usize] = NONE;
    }
    // Ties by number, so that the order is the same everywhere.
    w.near
        .sort_unstable_by(|x, y| x.0.total_cmp(&y.0).then(x.1.cmp(&y.1)));
}

/// Joins each neighbour, in ascending order of weight, to a heavier one drawn by weight.
fn join_neighbours(w: &mut Work, total: f64, ground: u32, random: &mut Pcg64Mcg) {
    let near = std::mem::take(&mut w.near);
    let degree = near.len();
    w.below.clear();
    // What is at and after each neighbour.
    let mut rest = 0.0;
    for &(weight, _) in near.iter().rev() {
        rest += weight;
        w.below.push(rest);
    }
    w.below.reverse();
    for k in 0..degree.saturating_sub(1) {
        let (weight, u) = near[k];
        let after = w.below[k + 1];
        let other = if k + 2 == degree {
            k + 1
        } else {
            // The last one whose tail still reaches the drawn point.
            let point = random.random::<f64>() * after;
            let tail = &w.below[k + 1..];
            k + tail.partition_point(|&b| b > point).max(1)
        };
        let end = near[other].1;
        let joined = weight * (after / total);
        if joined > 0.0 {
            for (from, to) in [(u, end), (end, u)] {
                if from != ground {
                    w.add(from, to, joined);
                    w.change[from as usize] += 1;
                }
            }
        }
    }
    // Most lose as many edges as they gain.
    for &(_, u) in &near {
        let change = std::mem::take(&mut w.change[u as usize]);
        if change != 0 && u != ground {
            w.recount(u, change);
        }
    }
    w.near = near;
}

#[cfg(test)]
mod tests {
    use rand_pcg::Pcg64;

    use super::super::Pcg;
    use super::*;
    use crate::testing::solve_dense;

    /// Blocks of sources and targets without an edge between them, each source with some edges of weights over six
    /// decades. `ground` is that of the first target of each block, or of all.
    fn blocks(count: usize, size: usize, ground: f64, everywhere: bool, seed: u64) -> Bipartite {
        let mut rng = Pcg64::seed_from_u64(seed);
        let all = count * size;
        let mut graph = Bipartite::default();
        graph.begin(all);
        for i in 0..all {
            let block = i / size * size;
            // A cycle through the block, and chords.
            let mut cols = vec![i, block + (i + 1 - block) % size];
            cols.extend((0..3).map(|_| block + rng.random_range(0..size)));
            cols.sort_unstable();
            cols.dedup();
            let mut edge = |j: usize| (j as u32, 10_f64.powf(-6.0 * rng.random::<f64>()));
            graph.push_row(cols.into_iter().map(&mut edge));
        }
        let tied = |j: usize| {
            if everywhere || j.is_multiple_of(size) {
                ground
            } else {
                0.0
            }
        };
        graph.finish((0..all).map(|_| 0.0), (0..all).map(tied));
        graph
    }

    fn dense(graph: &Bipartite) -> Vec<f64> {
        let (n, m) = graph.shape();
        let all = n + m;
        let mut matrix = vec![0.0; all * all];
        let mut column = vec![0.0; all];
        for k in 0..all {
            let mut unit = vec![0.0; all];
            unit[k] = 1.0;
            graph.apply(&unit, &mut column);
            for (i, entry) in column.iter().enumerate() {
                matrix[i * all + k] = *entry;
            }
        }
        matrix
    }

    #[test]
    fn preconditioned_solves_agree_with_elimination() {
        for (seed, (count, ground, everywhere)) in [
            (1, 1.0, false),
            (1, 1e-3, true),
            (5, 1e-2, false),
            (5, 1e-1, true),
        ]
        .into_iter()
        .enumerate()
        {
            let graph = blocks(count, 60 / count, ground, everywhere, seed as u64);
            let all = 120;
            let mut rng = Pcg64::seed_from_u64(99);
            let rhs: Vec<f64> = (0..all).map(|_| rng.random::<f64>() - 0.5).collect();
            let wanted = solve_dense(dense(&graph), rhs.clone());
            let scale = wanted.iter().fold(0.0_f64, |t, x| t.max(x.abs()));
            let draws = Keep {
                cut: 1e-2,
                drawn: 1.0,
            };
            for keep in [Keep::ALL, draws] {
                let mut factor = Cholesky::default();
                factor.factor(&graph, keep, 3);
                // Whole cliques would be ten times as many.
                assert!(factor.entries() < 3 * graph.edges());
                let mut x = vec![0.0; all];
                let solved = Pcg::default().solve(&graph, &factor, &rhs, &mut x, 1e-13, 400);
                let case = format!("{count} {ground} {everywhere} {keep:?} {solved:?}");
                assert!(solved.iterations < 150, "{case}");
                for (x, wanted) in x.iter().zip(&wanted) {
                    assert!((x - wanted).abs() < 1e-7 * scale, "{case}");
                }
            }
        }
    }

    #[test]
    fn the_factor_is_symmetric_and_positive() {
        let graph = blocks(2, 25, 1e-2, true, 7);
        let mut factor = Cholesky::default();
        factor.factor(&graph, Keep::ALL, 1);
        let mut rng = Pcg64::seed_from_u64(5);
        let mut draw = || -> Vec<f64> { (0..100).map(|_| rng.random::<f64>() - 0.5).collect() };
        let dot = |x: &[f64], y: &[f64]| -> f64 { x.iter().zip(y).map(|(x, y)| x * y).sum() };
        for _ in 0..20 {
            let (x, y) = (draw(), draw());
            let (mut by_x, mut by_y) = (x.clone(), y.clone());
            factor.solve(&mut by_x);
            factor.solve(&mut by_y);
            let (left, right) = (dot(&by_x, &y), dot(&x, &by_y));
            let size = dot(&by_x, &x).sqrt() * dot(&by_y, &y).sqrt();
            assert!((left - right).abs() < 1e-9 * size);
            assert!(dot(&by_x, &x) > 0.0);
        }
    }

    #[test]
    fn a_vertex_without_edge_or_ground_stays_where_it_is() {
        let mut graph = Bipartite::default();
        graph.begin(3);
        graph.push_row([(0, 1.0), (1, 2.0)].into_iter());
        graph.push_row(std::iter::empty());
        graph.finish([0.0; 2].into_iter(), [1.0, 0.0, 0.0].into_iter());
        let mut factor = Cholesky::default();
        factor.factor(&graph, Keep::ALL, 1);
        let mut x = vec![1.0; 5];
        factor.solve(&mut x);
        // Source 1 and target 2 are alone.
        assert_eq!((x[1], x[4]), (0.0, 0.0));
        // The rest is a tree.
        let wanted = [5.0, 0.0, 3.0, 5.5, 0.0];
        for (x, wanted) in x.iter().zip(wanted) {
            assert!((x - wanted).abs() < 1e-14, "{x} {wanted}");
        }
    }
}
