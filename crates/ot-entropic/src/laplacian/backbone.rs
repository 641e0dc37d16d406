//! What a preconditioner keeps of a graph: its heavy edges, a sample of the light ones where rows are long, and across every
//! cut that these leave open the heaviest edge.
//!
//! Light edges may be left out where heavier ones lead between the same parts; where parts hang together by light edges
//! only, one of them must stay, or the parts would be free of each other. A row of a thousand light edges is another case:
//! a few of them, each in place of many, are as good as all.
//!
//! Sources: Borůvka, *O jistém problému minimálním* (1926), on the parts that the kept edges make; Spielman and Srivastava,
//! *Graph sparsification by effective resistances* (2011), with the bound R_ij ≤ 1/d_i + 1/d_j in place of resistances, which
//! is close to them where rows are long.

use rand::RngExt;
use rand_pcg::Pcg64Mcg;

use super::Bipartite;

const NONE: u32 = u32::MAX;

/// What is kept, besides the edges by which parts hang together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Keep {
    /// Every edge from this part of its source's degree on.
    pub cut: f64,
    /// Of the others about so many for each vertex, by weight, each in place of its like.
    pub drawn: f64,
}

impl Keep {
    /// The whole graph.
    pub const ALL: Self = Self {
        cut: 0.0,
        drawn: 0.0,
    };
}

/// The weights of the edges that are kept. Buffers are kept too.
#[derive(Debug, Clone, Default)]
pub struct Backbone {
    /// By edge; 0 is an edge that is left out.
    weight: Vec<f64>,
    parent: Vec<u32>,
    /// The heaviest edge that leaves each part, as a place in `left`.
    best: Vec<u32>,
    /// Edges whose ends are in different parts: both ends, the edge, its weight.
    left: Vec<(u32, u32, u32, f64)>,
}

impl Backbone {
    /// Chooses the edges of `graph` by `keep`: a light one with the probability p = drawn·w·(1/d_i + 1/d_j), and then with the
    /// weight w / p, so that the mean is the graph. Adds a maximum spanning forest of the parts that they make. One pass over
    /// the edges, and a few over those that lead from part to part.
    pub fn choose(&mut self, graph: &Bipartite, keep: Keep, random: &mut Pcg64Mcg) {
        let (n, m) = graph.shape();
        let degree = graph.degree();
        self.weight.clear();
        self.parent.clear();
        self.parent.extend(0..(n + m) as u32);
        for i in 0..n {
            let (cols, weights) = graph.row(i);
            let least = keep.cut * degree[i];
            // Systematic: the light edges of a row together are drawn as often as they should be.
            let mut sum = random.random::<f64>();
            for (j, w) in cols.iter().zip(weights) {
                let v = n + *j as usize;
                let mut kept = 0.0;
                if *w >= least {
                    kept = *w;
                } else if keep.drawn > 0.0 {
                    let p = keep.drawn * w * (1.0 / degree[i] + 1.0 / degree[v]);
                    sum += p.min(1.0);
                    if sum >= 1.0 {
                        sum -= 1.0;
                        kept = w / p.min(1.0);
                    }
                }
                self.weight.push(kept);
                if kept > 0.0 {
                    join(&mut self.parent, i as u32, v as u32);
                }
            }
        }
        self.span(graph);
    }

    /// Adds a maximum spanning forest of the present parts.
    fn span(&mut self, graph: &Bipartite) {
        let (n, m) = graph.shape();
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
                let (u, v, edge, weight) = self.left[best as usize];
                self.weight[edge as usize] = weight;
                join(&mut self.parent, u, v);
            }
            let parent = &mut self.parent;
            self.left.retain_mut(|(u, v, _, _)| {
                (*u, *v) = (root(parent, *u), root(parent, *v));
                u != v
            });
        }
    }

    /// The weights of edges, counted by rows: 0 where one is left out.
    #[must_use]
    pub fn weights(&self) -> &[f64] {
        &self.weight
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
    fn by_sorting(graph: &Bipartite, cut: f64) -> Vec<f64> {
        let (n, m) = graph.shape();
        let mut kept = Vec::new();
        let mut edges = Vec::new();
        let mut parent: Vec<u32> = (0..(n + m) as u32).collect();
        for i in 0..n {
            let (cols, weights) = graph.row(i);
            for (j, w) in cols.iter().zip(weights) {
                let (u, v) = (i as u32, n as u32 + j);
                let is_heavy = *w >= cut * graph.degree()[i];
                if is_heavy {
                    join(&mut parent, u, v);
                } else {
                    edges.push((*w, kept.len(), u, v));
                }
                kept.push(if is_heavy { *w } else { 0.0 });
            }
        }
        edges.sort_by(|x, y| y.0.total_cmp(&x.0).then(x.1.cmp(&y.1)));
        for (w, edge, u, v) in edges {
            let (u, v) = (root(&mut parent, u), root(&mut parent, v));
            if u != v {
                kept[edge] = w;
                parent[u.max(v) as usize] = u.min(v);
            }
        }
        kept
    }

    fn graph(n: usize, m: usize, part: f64, ties: bool, rng: &mut Pcg64) -> Bipartite {
        let mut graph = Bipartite::default();
        graph.begin(m);
        for _ in 0..n {
            let mut row: Vec<(u32, f64)> = Vec::new();
            for j in 0..m as u32 {
                if rng.random::<f64>() < part {
                    let w = (-30.0 * rng.random::<f64>()).exp();
                    row.push((j, if ties { (3.0 * w).ceil() } else { w }));
                }
            }
            graph.push_row(row.into_iter());
        }
        graph.finish((0..n).map(|_| 0.0), (0..m).map(|_| 1e-8));
        graph
    }

    #[test]
    fn it_spans_what_sorting_spans() {
        let mut rng = Pcg64::seed_from_u64(5);
        let mut random = Pcg64Mcg::seed_from_u64(3);
        let mut backbone = Backbone::default();
        for (n, m, part, ties) in [
            (1, 1, 1.0, false),
            (30, 50, 0.1, false),
            (60, 40, 0.02, false),
            (40, 40, 0.3, true),
        ] {
            let graph = graph(n, m, part, ties, &mut rng);
            for cut in [0.0, 1e-2, 0.3, 2.0] {
                backbone.choose(&graph, Keep { cut, drawn: 0.0 }, &mut random);
                assert_eq!(
                    backbone.weights(),
                    by_sorting(&graph, cut),
                    "{n} x {m}, {cut}"
                );
            }
        }
    }

    #[test]
    fn the_mean_of_what_is_drawn_is_the_graph() {
        let mut rng = Pcg64::seed_from_u64(9);
        let graph = graph(40, 30, 0.9, true, &mut rng);
        let mut random = Pcg64Mcg::seed_from_u64(1);
        let mut backbone = Backbone::default();
        let keep = Keep {
            cut: 0.1,
            drawn: 5.0,
        };
        let (mut weights, mut count) = (vec![0.0; graph.edges()], 0);
        let times = 4000;
        for _ in 0..times {
            backbone.choose(&graph, keep, &mut random);
            for (sum, w) in weights.iter_mut().zip(backbone.weights()) {
                *sum += w / f64::from(times);
                count += u32::from(*w > 0.0);
            }
        }
        let mut edge = 0;
        for i in 0..40 {
            for w in graph.row(i).1 {
                assert!(
                    (weights[edge] - w).abs() < 0.15 * w,
                    "{} {w}",
                    weights[edge]
                );
                edge += 1;
            }
        }
        let drawn = f64::from(count) / f64::from(times);
        assert!(drawn < 0.5 * graph.edges() as f64, "{drawn}");
    }
}
