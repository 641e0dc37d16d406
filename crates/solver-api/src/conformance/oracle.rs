//! The exact optimum of small problems, by successive shortest paths: slow, short, and independent of every backend.

use crate::{Marginals, Problem, measure};

/// An optimal plan with potentials that prove it.
pub(super) struct Optimum {
    /// ⟨P, C⟩.
    pub(super) value: f64,
    /// n×m, row-major, in the caller's units.
    pub(super) plan: Vec<f64>,
    /// Source potentials (balanced problems).
    pub(super) f: Vec<f64>,
    /// Target potentials (balanced problems).
    pub(super) g: Vec<f64>,
}

impl Optimum {
    /// The value less the value of the potentials, relative to mass × spread and the size of either: what the oracle itself leaves
    /// open. Balanced problems only.
    pub(super) fn open(&self, problem: &Problem) -> f64 {
        if problem.marginals() != Marginals::Balanced {
            return 0.0;
        }
        let pair = |p: &[f64], w: &[f64]| -> [f64; 2] {
            let terms = p.iter().zip(w).filter(|(p, w)| **w > 0.0 && p.is_finite());
            terms.fold([0.0, 0.0], |[sum, size], (p, w)| {
                [sum + p * w, size + (p * w).abs()]
            })
        };
        let [fa, size_f] = pair(&self.f, problem.a().weights());
        let [gb, size_g] = pair(&self.g, problem.b().weights());
        let spread = problem.mass() * problem.cost().range().spread();
        let size = size_f + size_g + self.value.abs() + spread;
        if size > 0.0 {
            (self.value - fa - gb).abs() / size
        } else {
            0.0
        }
    }

    /// Whether all mass of the plan stands on allowed pairs.
    pub(super) fn allowed(&self, problem: &Problem) -> bool {
        let costs = matrix(problem);
        self.plan
            .iter()
            .zip(&costs)
            .all(|(p, c)| *p == 0.0 || c.is_finite())
    }
}

/// What counts as no mass and as no improvement, at mass 1 and costs in [0, 1].
const CRUMB: f64 = 1e-15;
const TIE: f64 = 1e-13;

/// The optimum of a balanced or partial problem, or `None` where the allowed pairs carry no plan. Relaxed problems
/// have no answer here either. Time O((n + m)²·n·m) and worse.
pub(super) fn optimum(problem: &Problem) -> Option<Optimum> {
    let (n, m) = problem.shape();
    let (mass, range) = (problem.mass(), problem.cost().range());
    let spread = if range.spread() > 0.0 {
        range.spread()
    } else {
        1.0
    };
    let scaled = |w: &[f64]| w.iter().map(|w| w / mass).collect::<Vec<_>>();
    let mut a = scaled(problem.a().weights());
    let mut b = scaled(problem.b().weights());
    let raw = matrix(problem);
    let unit = |i: usize, j: usize| (raw[i * m + j] - range.min) / spread;
    let mut costs: Vec<Vec<f64>> = (0..n)
        .map(|i| (0..m).map(|j| unit(i, j)).collect())
        .collect();
    match problem.marginals() {
        Marginals::Balanced => {}
        // What is not moved goes to and from a partner that costs nothing and may not meet its like.
        Marginals::Partial { .. } => {
            // More than the mass is never sent: rounding of much larger weights would count.
            a.iter_mut().chain(&mut b).for_each(|w| *w = w.min(2.0));
            let (spare_a, spare_b) = (measure::sum(&a) - 1.0, measure::sum(&b) - 1.0);
            costs.iter_mut().for_each(|row| row.push(0.0));
            costs.push(vec![0.0; m]);
            costs[n].push(f64::INFINITY);
            a.push(spare_b.max(0.0));
            b.push(spare_a.max(0.0));
        }
        Marginals::Relaxed { .. } => return None,
    }
    let mut network = Network::new(costs, a, b);
    network.saturate();
    if measure::sum(&network.rest_a) > 1e-10 {
        return None;
    }
    let distance = network.distances(|_| true).0;
    let plan: Vec<f64> = (0..n)
        .flat_map(|i| {
            network.flow[i][..m]
                .iter()
                .map(|p| p * mass)
                .collect::<Vec<_>>()
        })
        .collect();
    let paid: Vec<f64> = plan
        .iter()
        .zip(&raw)
        .map(|(p, c)| if *p > 0.0 { p * c } else { 0.0 })
        .collect();
    let rows = a_len(&network);
    Some(Optimum {
        value: measure::sum(&paid),
        plan,
        f: distance[..n].iter().map(|d| -d * spread).collect(),
        g: distance[rows..rows + m]
            .iter()
            .map(|d| d * spread + range.min)
            .collect(),
    })
}

/// The cost, written out.
pub(super) fn matrix(problem: &Problem) -> Vec<f64> {
    let (n, m) = problem.shape();
    let mut out = vec![0.0; n * m];
    for (i, row) in out.chunks_exact_mut(m).enumerate() {
        problem.cost().row(i, row);
    }
    out
}

fn a_len(network: &Network) -> usize {
    network.rest_a.len()
}

struct Network {
    costs: Vec<Vec<f64>>,
    flow: Vec<Vec<f64>>,
    rest_a: Vec<f64>,
    rest_b: Vec<f64>,
}

impl Network {
    fn new(costs: Vec<Vec<f64>>, rest_a: Vec<f64>, rest_b: Vec<f64>) -> Self {
        let flow = vec![vec![0.0; rest_b.len()]; rest_a.len()];
        Self {
            costs,
            flow,
            rest_a,
            rest_b,
        }
    }

    /// Sends mass along shortest residual paths until no path is left.
    fn saturate(&mut self) {
        let rows = self.rest_a.len();
        loop {
            let (distance, from) = self.distances(|i| self.rest_a[i] > CRUMB);
            let ends = (0..self.rest_b.len()).filter(|&j| self.rest_b[j] > CRUMB);
            let nearest = ends.min_by(|&j, &k| distance[rows + j].total_cmp(&distance[rows + k]));
            let Some(end) = nearest.filter(|&j| distance[rows + j].is_finite()) else {
                return;
            };
            self.augment(end, &from);
        }
    }

    /// Bellman–Ford over the residual arcs from the sources that `starts` accepts.
    fn distances(&self, starts: impl Fn(usize) -> bool) -> (Vec<f64>, Vec<usize>) {
        let (rows, cols) = (self.rest_a.len(), self.rest_b.len());
        let mut distance = vec![f64::INFINITY; rows + cols];
        let mut from = vec![usize::MAX; rows + cols];
        (0..rows)
            .filter(|&i| starts(i))
            .for_each(|i| distance[i] = 0.0);
        for _ in 0..rows + cols {
            let mut changed = false;
            for i in 0..rows {
                for j in 0..cols {
                    let there = distance[i] + self.costs[i][j];
                    if there < distance[rows + j] - TIE
                        || (there.is_finite() && distance[rows + j].is_infinite())
                    {
                        (distance[rows + j], from[rows + j], changed) = (there, i, true);
                    }
                    let back = distance[rows + j] - self.costs[i][j];
                    if self.flow[i][j] > CRUMB && back < distance[i] - TIE {
                        (distance[i], from[i], changed) = (back, rows + j, true);
                    }
                }
            }
            if !changed {
                break;
            }
        }
        (distance, from)
    }

    fn augment(&mut self, end: usize, from: &[usize]) {
        let rows = self.rest_a.len();
        let mut path = vec![rows + end];
        while let Some(&at) = path.last()
            && from[at] != usize::MAX
        {
            path.push(from[at]);
        }
        let start = path[path.len() - 1];
        let mut amount = self.rest_a[start].min(self.rest_b[end]);
        for arc in path.windows(2).filter(|arc| arc[0] < rows) {
            amount = amount.min(self.flow[arc[0]][arc[1] - rows]);
        }
        for arc in path.windows(2) {
            if arc[0] < rows {
                self.flow[arc[0]][arc[1] - rows] -= amount;
            } else {
                self.flow[arc[1]][arc[0] - rows] += amount;
            }
        }
        self.rest_a[start] -= amount;
        self.rest_b[end] -= amount;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::cases::Random;
    use super::*;
    use crate::{DenseCost, Measure};

    /// The cheapest permutation, by trying all of them.
    fn cheapest(costs: &[f64], n: usize, row: usize, taken: &mut Vec<bool>) -> f64 {
        if row == n {
            return 0.0;
        }
        let mut best = f64::INFINITY;
        for j in 0..n {
            if !taken[j] {
                taken[j] = true;
                best = best.min(costs[row * n + j] + cheapest(costs, n, row + 1, taken));
                taken[j] = false;
            }
        }
        best
    }

    #[test]
    fn equals_the_best_permutation_and_proves_itself() {
        let mut random = Random::new(7);
        for n in 1..=6 {
            for _ in 0..10 {
                let costs: Vec<f64> = (0..n * n).map(|_| random.unit() - 0.3).collect();
                let ones = vec![1.0; n];
                let problem = Problem::from_slices(&ones, &ones, &costs).unwrap();
                let best = optimum(&problem).unwrap();
                let wanted = cheapest(&costs, n, 0, &mut vec![false; n]);
                assert!((best.value - wanted).abs() < 1e-11, "{n}");
                let dual: f64 = best.f.iter().chain(&best.g).sum();
                assert!((best.value - dual).abs() < 1e-11);
                for i in 0..n {
                    for j in 0..n {
                        assert!(best.f[i] + best.g[j] <= costs[i * n + j] + 1e-11);
                    }
                }
            }
        }
    }

    #[test]
    fn partial_and_infeasible() {
        let ones = Measure::new(vec![1.0, 1.0]).unwrap();
        let cost = Arc::new(DenseCost::new(2, 2, vec![0.0, 2.0, 2.0, 1.0]).unwrap());
        let partial = Problem::partial(ones.clone(), ones, cost, 1.5).unwrap();
        assert!((optimum(&partial).unwrap().value - 0.5).abs() < 1e-14);
        let inf = f64::INFINITY;
        let blocked = Problem::from_slices(&[1.0, 2.0], &[2.0, 1.0], &[0.0, 1.0, 0.0, inf]);
        assert!((optimum(&blocked.unwrap()).is_some()));
        let blocked = Problem::from_slices(&[1.0, 2.0], &[1.0, 2.0], &[0.0, 1.0, 0.0, inf]);
        assert!((optimum(&blocked.unwrap()).is_none()));
    }
}
