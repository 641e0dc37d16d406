//! Newton's linear system: the Laplacian of the bipartite graph whose edges weigh P_ij.
//!
//! D_a x − P y = r_f, −Pᵀ x + D_b y = r_g, with x = −δf, y = δg. As ε falls, the plan tends to a tree and so does the
//! graph: its maximum spanning tree, which is solved exactly in O(n + m) without a subtraction, then preconditions
//! conjugate gradients well. Where the graph is dense still, its diagonal does.

use crate::rows::List;

/// Entries for each node from which on the diagonal is the better preconditioner.
const DENSE: usize = 12;
/// What the diagonal is raised by, relative to itself: trees that nothing ties to one another are told apart.
const GROUND: f64 = 1e-9;
const NONE: u32 = u32::MAX;

/// The system and its memory.
#[derive(Debug, Default)]
pub(crate) struct Laplacian {
    n: usize,
    diagonal: Vec<f64>,
    /// The spanning forest: nodes with every parent before its children, the edge to the parent, and for roots what
    /// grounds the tree.
    order: Vec<u32>,
    parent: Vec<u32>,
    weight: Vec<f64>,
    by_tree: bool,
    x: Vec<f64>,
    r: Vec<f64>,
    p: Vec<f64>,
    q: Vec<f64>,
    z: Vec<f64>,
    kruskal: Kruskal,
}

#[derive(Debug, Default)]
struct Kruskal {
    edges: Vec<(f64, u32, u32)>,
    set: Vec<u32>,
    first: Vec<u32>,
    links: Vec<(u32, u32, f64)>,
}

impl Laplacian {
    /// Takes the graph of `list`, over n sources and m targets.
    pub(crate) fn begin(&mut self, list: &List, n: usize, m: usize) {
        self.n = n;
        let nodes = n + m;
        for v in [
            &mut self.diagonal,
            &mut self.x,
            &mut self.r,
            &mut self.p,
            &mut self.q,
            &mut self.z,
        ] {
            v.clear();
            v.resize(nodes, 0.0);
        }
        for i in 0..n {
            let (cols, mass) = list.row(i);
            self.diagonal[i] = mass.iter().sum();
            for (&j, p) in cols.iter().zip(mass) {
                self.diagonal[n + j as usize] += p;
            }
        }
        for d in &mut self.diagonal {
            // A node without an edge moves nowhere.
            *d = if *d > 0.0 { *d * (1.0 + GROUND) } else { 1.0 };
        }
        self.by_tree = list.len() <= DENSE * nodes;
        if self.by_tree {
            self.span(list, nodes);
        }
    }

    /// The maximum spanning forest, by Kruskal, in an order from its roots.
    fn span(&mut self, list: &List, nodes: usize) {
        let Kruskal {
            edges,
            set,
            first,
            links,
        } = &mut self.kruskal;
        edges.clear();
        for i in 0..self.n {
            let (cols, mass) = list.row(i);
            edges.extend(
                cols.iter()
                    .zip(mass)
                    .map(|(&j, &p)| (p, i as u32, self.n as u32 + j)),
            );
        }
        edges.sort_unstable_by(|x, y| y.0.total_cmp(&x.0).then(x.1.cmp(&y.1)).then(x.2.cmp(&y.2)));
        set.clear();
        set.extend(0..nodes as u32);
        first.clear();
        first.resize(nodes, NONE);
        links.clear();
        for &(p, u, v) in edges.iter() {
            let (x, y) = (root(set, u), root(set, v));
            if x != y {
                set[x as usize] = y;
                for (from, to) in [(u, v), (v, u)] {
                    links.push((to, first[from as usize], p));
                    first[from as usize] = links.len() as u32 - 1;
                }
            }
        }
        self.order.clear();
        self.parent.clear();
        self.parent.resize(nodes, NONE);
        self.weight.clear();
        self.weight.resize(nodes, 0.0);
        set.fill(0);
        for start in 0..nodes as u32 {
            if set[start as usize] == 1 {
                continue;
            }
            set[start as usize] = 1;
            let mut next = self.order.len();
            let begun = next;
            self.order.push(start);
            while next < self.order.len() {
                let node = self.order[next];
                next += 1;
                let mut link = first[node as usize];
                while link != NONE {
                    let (to, following, p) = links[link as usize];
                    if set[to as usize] == 0 {
                        set[to as usize] = 1;
                        self.parent[to as usize] = node;
                        self.weight[to as usize] = p;
                        self.order.push(to);
                    }
                    link = following;
                }
            }
            let grounded: f64 = self.order[begun..]
                .iter()
                .map(|&k| self.diagonal[k as usize])
                .sum();
            self.weight[start as usize] = GROUND * grounded;
        }
    }

    /// z = M⁻¹ r, and ⟨r, z⟩.
    fn precondition(&mut self) -> f64 {
        if self.by_tree {
            self.z.copy_from_slice(&self.r);
            for &node in self.order.iter().rev() {
                let (k, parent) = (node as usize, self.parent[node as usize]);
                if parent != NONE {
                    self.z[parent as usize] += self.z[k];
                }
            }
            for &node in &self.order {
                let (k, parent) = (node as usize, self.parent[node as usize]);
                let above = if parent == NONE {
                    0.0
                } else {
                    self.z[parent as usize]
                };
                self.z[k] = above + self.z[k] / self.weight[k];
            }
        } else {
            for ((z, r), d) in self.z.iter_mut().zip(&self.r).zip(&self.diagonal) {
                *z = r / d;
            }
        }
        dot(&self.r, &self.z)
    }

    /// q = L p.
    fn apply(&mut self, list: &List) {
        let (pf, pg) = self.p.split_at(self.n);
        let (qf, qg) = self.q.split_at_mut(self.n);
        for ((q, p), d) in qg.iter_mut().zip(pg).zip(&self.diagonal[self.n..]) {
            *q = d * p;
        }
        for i in 0..self.n {
            let (cols, mass) = list.row(i);
            let (x, mut sum) = (pf[i], 0.0);
            for (&j, w) in cols.iter().zip(mass) {
                let j = j as usize;
                sum += w * pg[j];
                qg[j] -= w * x;
            }
            qf[i] = self.diagonal[i] * x - sum;
        }
    }

    /// Solves for the right-hand side that `fill` writes (sources, targets), to `relative` in the preconditioner's
    /// norm or `limit` steps; returns δf = −x and δg = y through `solution`.
    pub(crate) fn solve(
        &mut self,
        list: &List,
        fill: impl FnOnce(&mut [f64], &mut [f64]),
        relative: f64,
        limit: usize,
    ) -> (&[f64], &[f64]) {
        let (rf, rg) = self.r.split_at_mut(self.n);
        fill(rf, rg);
        self.x.fill(0.0);
        let mut rho = self.precondition();
        self.p.copy_from_slice(&self.z);
        let goal = rho * relative * relative;
        for _ in 0..limit {
            if !(rho > goal && rho > 0.0) {
                break;
            }
            self.apply(list);
            let step = rho / dot(&self.p, &self.q);
            if !step.is_finite() {
                break;
            }
            for k in 0..self.x.len() {
                self.x[k] += step * self.p[k];
                self.r[k] -= step * self.q[k];
            }
            let before = rho;
            rho = self.precondition();
            let turn = rho / before;
            for (p, z) in self.p.iter_mut().zip(&self.z) {
                *p = z + turn * *p;
            }
        }
        self.x.split_at(self.n)
    }
}

fn root(set: &mut [u32], mut node: u32) -> u32 {
    while set[node as usize] != node {
        set[node as usize] = set[set[node as usize] as usize];
        node = set[node as usize];
    }
    node
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    let mut lanes = [0.0; 4];
    let (xs, ys) = (x.chunks_exact(4), y.chunks_exact(4));
    let rest: f64 = xs
        .remainder()
        .iter()
        .zip(ys.remainder())
        .map(|(x, y)| x * y)
        .sum();
    for (x, y) in xs.zip(ys) {
        for k in 0..4 {
            lanes[k] += x[k] * y[k];
        }
    }
    lanes.iter().sum::<f64>() + rest
}
