//! What a preconditioner keeps of a graph: its heavy edges, and across every cut that they leave open the heaviest one.
//!
//! Light edges may be left out where heavier ones lead between the same parts; where parts hang together by light edges
//! only, one of them must stay, or the parts would be free of each other.
//!
//! Source: Borůvka, *O jistém problému minimálním* (1926), on the parts that the heavy edges make.

use super::Bipartite;

const NONE: u32 = u32::MAX;

/// Which edges are kept. Buffers are kept too.
#[derive(Debug, Clone, Default)]
pub struct Backbone {
    is_in: Vec<bool>,
    parent: Vec<u32>,
    /// The heaviest edge that leaves each part, as a place in `left`.
    best: Vec<u32>,
    /// Edges whose ends are in different parts: both ends, the edge, its weight.
    left: Vec<(u32, u32, u32, f64)>,
}

impl Backbone {
    /// The edges of `graph` from `cut` times the degree of their source on, and a maximum spanning forest of the parts that
    /// these make. One pass over the edges, and a few over those that lead from part to part.
    pub fn find(&mut self, graph: &Bipartite, cut: f64) {
        let (n, m) = graph.shape();
        self.is_in.clear();
        self.parent.clear();
        self.parent.extend(0..(n + m) as u32);
        for i in 0..n {
            let (cols, weights) = graph.row(i);
            let least = cut * graph.degree()[i];
            self.is_in.extend(weights.iter().map(|w| *w >= least));
            for (j, w) in cols.iter().zip(weights) {
                if *w >= least {
                    join(&mut self.parent, i as u32, n as u32 + j);
                }
            }
        }
        for v in 0..n + m {
            self.parent[v] = root(&mut self.parent, v as u32);
        }
        self.left.clear();
        let mut edge = 0;
        for i in 0..n {
            let (cols, weights) = graph.row(i);
            let u = self.parent[i];
            for (j, w) in cols.iter().zip(weights) {
                let v = self.parent[n + *j as usize];
                if u != v {
                    self.left.push((u, v, edge, *w));
                }
                edge += 1;
            }
        }
        while !self.left.is_empty() {
            self.best.clear();
            self.best.resize(n + m, NONE);
            for (k, &(u, v, edge, weight)) in self.left.iter().enumerate() {
                for part in [u, v] {
                    let best = &mut self.best[part as usize];
                    // Ties by the number of the edge, so that no circle can close.
                    let is_better = *best == NONE || {
                        let (_, _, other, heaviest) = self.left[*best as usize];
                        weight > heaviest || (weight == heaviest && edge < other)
                    };
                    if is_better {
                        *best = k as u32;
                    }
                }
            }
            for part in 0..(n + m) {
                let best = self.best[part];
                if best == NONE {
                    continue;
                }
                let (u, v, edge, _) = self.left[best as usize];
                self.is_in[edge as usize] = true;
                join(&mut self.parent, u, v);
            }
            let parent = &mut self.parent;
            self.left.retain_mut(|(u, v, _, _)| {
                (*u, *v) = (root(parent, *u), root(parent, *v));
                u != v
            });
        }
    }

    /// Whether edge `e`, counted by rows, is kept.
    #[must_use]
    pub fn holds(&self, e: usize) -> bool {
        self.is_in[e]
    }
}

fn join(parent: &mut [u32], u: u32, v: u32) {
    let (u, v) = (root(parent, u), root(parent, v));
    if u != v {
        parent[u.max(v) as usize] = u.min(v);
    }
}

/// The part of `v`, with the way to it halved.
fn root(parent: &mut [u32], mut v: u32) -> u32 {
    while parent[v as usize] != v {
        let up = parent[parent[v as usize] as usize];
        parent[v as usize] = up;
        v = up;
    }
    v
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_pcg::Pcg64;

    use super::*;

    /// By Kruskal, from the heaviest edge down, after the heavy ones have joined their ends.
    fn by_sorting(graph: &Bipartite, cut: f64) -> Vec<bool> {
        let (n, m) = graph.shape();
        let mut edges = Vec::new();
        for i in 0..n {
            let (cols, weights) = graph.row(i);
            for (j, w) in cols.iter().zip(weights) {
                edges.push((*w, edges.len(), i as u32, n as u32 + j));
            }
        }
        let mut is_in = vec![false; edges.len()];
        let mut parent: Vec<u32> = (0..(n + m) as u32).collect();
        edges.retain(|&(w, edge, u, v)| {
            is_in[edge] = w >= cut * graph.degree()[u as usize];
            if is_in[edge] {
                join(&mut parent, u, v);
            }
            !is_in[edge]
        });
        edges.sort_by(|x, y| y.0.total_cmp(&x.0).then(x.1.cmp(&y.1)));
        for (_, edge, u, v) in edges {
            let (u, v) = (root(&mut parent, u), root(&mut parent, v));
            if u != v {
                parent[u as usize] = v;
                is_in[edge] = true;
            }
        }
        is_in
    }

    #[test]
    fn it_keeps_what_sorting_finds() {
        let mut rng = Pcg64::seed_from_u64(5);
        let mut backbone = Backbone::default();
        for (n, m, part, ties) in [
            (1, 1, 1.0, 1),
            (30, 50, 0.1, 1),
            (60, 40, 0.02, 1),
            (40, 40, 0.3, 3),
        ] {
            let mut graph = Bipartite::default();
            graph.begin(m);
            for _ in 0..n {
                let mut row: Vec<(u32, f64)> = Vec::new();
                for j in 0..m as u32 {
                    if rng.random::<f64>() < part {
                        let w = (-30.0 * rng.random::<f64>()).exp();
                        row.push((j, if ties == 1 { w } else { (3.0 * w).ceil() }));
                    }
                }
                graph.push_row(row.into_iter());
            }
            graph.finish((0..n).map(|_| 0.0), (0..m).map(|_| 1e-8));
            for cut in [0.0, 1e-2, 0.3, 2.0] {
                backbone.find(&graph, cut);
                let found: Vec<bool> = (0..graph.edges()).map(|e| backbone.holds(e)).collect();
                assert_eq!(found, by_sorting(&graph, cut), "{n} x {m}, {cut}");
            }
        }
    }
}
