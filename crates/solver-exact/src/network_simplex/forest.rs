//! Mass along the spanning forest of the largest entries of an entropic plan, on the candidate lists.
//!
//! With weights in general position the optimal basis is a tree, and flows on a tree follow from its leaves: no
//! search finds that tree as cheaply as the smoothed duals do, whose plan is largest on its arcs. (Equal weights
//! are degenerate, and short augmenting paths serve them better.)

use super::start::Placement;
use super::tree::NONE;

/// Entries below this part of their source's mass are left out: the forest would hardly use them.
const LEAST: f32 = 1e-5;

/// Scratch of the forest.
#[derive(Debug, Default)]
pub(crate) struct Forest {
    /// (entry of the plan, source, column).
    entries: Vec<(f32, u32, u32)>,
    /// Union-find over sources and columns.
    of: Vec<u32>,
    /// Arcs of the forest, and for each node the chain of arc ends at it.
    arcs: Vec<(u32, u32)>,
    head: Vec<u32>,
    chain: Vec<u32>,
    degree: Vec<u32>,
    leaves: Vec<u32>,
}

impl Forest {
    /// Places mass from the leaves on: each sends what it has left, or takes what it has room for. `sources` become
    /// the c-transforms of the columns' signed potentials `sinks` over their pairs, the columns and costs of `row`; `eps` is the
    /// temperature that a source's were smoothed at.
    pub(crate) fn run<'r>(
        &mut self,
        row: impl Fn(usize) -> (&'r [u32], &'r [f64]),
        supply: &[f64],
        sources: &mut [f64],
        sinks: &[f64],
        eps: impl Fn(usize) -> f64,
        placed: &mut Placement,
    ) {
        self.entries.clear();
        for (i, source) in sources.iter_mut().enumerate() {
            let (columns, costs) = row(i);
            let pairs = || columns.iter().zip(costs);
            let least = pairs().fold(f64::INFINITY, |least, (&j, c)| {
                least.min(c + sinks[j as usize])
            });
            if least == f64::INFINITY {
                continue;
            }
            *source = least;
            let inv_eps = 1.0 / eps(i);
            let begun = self.entries.len();
            let mut total = 0.0;
            for (&j, c) in pairs() {
                let share = (-((c + sinks[j as usize] - least) * inv_eps) as f32).exp();
                if share > LEAST {
                    total += share;
                    self.entries.push((share, i as u32, j));
                }
            }
            let scale = supply[i] as f32 / total;
            self.entries[begun..].iter_mut().for_each(|e| e.0 *= scale);
        }
        self.entries.sort_unstable_by(|x, y| y.0.total_cmp(&x.0));
        self.grow(sources.len(), sinks.len());
        self.place(sources.len(), placed);
    }

    /// Kruskal: an entry joins the forest unless it closes a cycle.
    fn grow(&mut self, n: usize, m: usize) {
        self.of.clear();
        self.of.extend(0..(n + m) as u32);
        self.arcs.clear();
        self.chain.clear();
        self.head.clear();
        self.head.resize(n + m, NONE);
        self.degree.clear();
        self.degree.resize(n + m, 0);
        for k in 0..self.entries.len() {
            let (_, i, j) = self.entries[k];
            let (x, y) = (i, n as u32 + j);
            let (from, to) = (self.find(x), self.find(y));
            if from == to {
                continue;
            }
            self.of[from as usize] = to;
            for node in [x, y] {
                self.chain.push(self.head[node as usize]);
                self.head[node as usize] = self.chain.len() as u32 - 1;
                self.degree[node as usize] += 1;
            }
            self.arcs.push((i, j));
        }
    }

    fn find(&mut self, mut x: u32) -> u32 {
        while self.of[x as usize] != x {
            let above = self.of[self.of[x as usize] as usize];
            self.of[x as usize] = above;
            x = above;
        }
        x
    }

    fn place(&mut self, n: usize, placed: &mut Placement) {
        self.leaves.clear();
        let of_degree_one = |x: &u32| self.degree[*x as usize] == 1;
        self.leaves
            .extend((0..self.degree.len() as u32).filter(of_degree_one));
        while let Some(leaf) = self.leaves.pop() {
            // The other end may have been the last leaf of this tree.
            if self.degree[leaf as usize] == 0 {
                continue;
            }
            let mut slot = self.head[leaf as usize];
            while slot != NONE {
                let (i, j) = self.arcs[slot as usize / 2];
                let other = if slot.is_multiple_of(2) {
                    n as u32 + j
                } else {
                    i
                };
                if self.degree[other as usize] > 0 {
                    placed.send(i, j);
                    self.degree[leaf as usize] = 0;
                    self.degree[other as usize] -= 1;
                    if self.degree[other as usize] == 1 {
                        self.leaves.push(other);
                    }
                    break;
                }
                slot = self.chain[slot as usize];
            }
        }
    }
}
