//! The maximum spanning forest of a graph: across every cut its strongest edge.
//!
//! A preconditioner may leave out light edges where heavier ones lead between the same parts; where parts hang together
//! by light edges only, one of them must stay, or the parts would be free of each other.
//!
//! Source: Borůvka, *O jistém problému minimálním* (1926).

use super::Bipartite;

const NONE: u32 = u32::MAX;

/// Which edges belong to the forest. Buffers are kept.
#[derive(Debug, Clone, Default)]
pub struct Backbone {
    is_in: Vec<bool>,
    parent: Vec<u32>,
    /// The heaviest edge that leaves each part, as a place in `left`.
    best: Vec<u32>,
    /// Edges whose ends are in different parts: both ends, and the edge.
    left: Vec<(u32, u32, u32)>,
}

impl Backbone {
    /// The forest of `graph`: O(e log(n + m)), in a few passes over the edges that still lead from part to part.
    pub fn find(&mut self, graph: &Bipartite) {
        let (n, m) = graph.shape();
        self.is_in.clear();
        self.is_in.resize(graph.edges(), false);
        self.parent.clear();
        self.parent.extend(0..(n + m) as u32);
        self.left.clear();
        self.left.reserve_exact(graph.edges());
        let mut edge = 0;
        for i in 0..n {
            for j in graph.row(i).0 {
                self.left.push((i as u32, n as u32 + j, edge));
                edge += 1;
            }
        }
        while !self.left.is_empty() {
            self.best.clear();
            self.best.resize(n + m, NONE);
            for (k, &(u, v, edge)) in self.left.iter().enumerate() {
                let weight = graph.weight(edge as usize);
                for part in [u, v] {
                    let best = &mut self.best[part as usize];
                    // Ties by the number of the edge, so that no circle can close.
                    let is_better = *best == NONE || {
                        let (_, _, other) = self.left[*best as usize];
                        let heaviest = graph.weight(other as usize);
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
                let (u, v, edge) = self.left[best as usize];
                self.is_in[edge as usize] = true;
                let (u, v) = (root(&mut self.parent, u), root(&mut self.parent, v));
                if u != v {
                    self.parent[u.max(v) as usize] = u.min(v);
                }
            }
            let parent = &mut self.parent;
            self.left.retain_mut(|(u, v, _)| {
                (*u, *v) = (root(parent, *u), root(parent, *v));
                u != v
            });
        }
    }

    /// Whether edge `e`, counted by rows, is in the forest.
    #[must_use]
    pub fn holds(&self, e: usize) -> bool {
        self.is_in[e]
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

    /// By Kruskal, from the heaviest edge down.
    fn by_sorting(graph: &Bipartite) -> Vec<bool> {
        let (n, m) = graph.shape();
        let mut edges = Vec::new();
        for i in 0..n {
            let (cols, weights) = graph.row(i);
            for (j, w) in cols.iter().zip(weights) {
                edges.push((*w, edges.len(), i as u32, n as u32 + j));
            }
        }
        let mut is_in = vec![false; edges.len()];
        edges.sort_by(|x, y| y.0.total_cmp(&x.0).then(x.1.cmp(&y.1)));
        let mut parent: Vec<u32> = (0..(n + m) as u32).collect();
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
    fn it_is_the_forest_that_sorting_finds() {
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
            backbone.find(&graph);
            let found: Vec<bool> = (0..graph.edges()).map(|e| backbone.holds(e)).collect();
            assert_eq!(found, by_sorting(&graph), "{n} x {m}");
        }
    }
}
