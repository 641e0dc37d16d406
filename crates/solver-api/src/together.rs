//! Lower bounds of many balanced problems with one cost: their c-transforms as min-plus products, for which a row of
//! the cost is read once for a block of problems.

use ot_kernels::aligned::Aligned;
use ot_kernels::min_plus::{least_along_rows, least_down_columns};

use crate::assert_shape;
use crate::certificate::{above_zero, balanced_lower, paired, usable};
use crate::cost::{Cost, row_of};
use crate::problem::Problem;
use crate::separable::grid_of;
use crate::transform::Potentials;

/// Problems of a block: enough to hide reading the cost, few enough for their vectors to stay in a cache.
const TOGETHER: usize = 96;
/// Entries of the cost that are put against all problems of a block, one after another.
const ENTRIES: usize = 1 << 16;

/// [`balanced_lower`](crate::certificate::balanced_lower) of each of `columns`, balanced problems that all have the
/// cost `cost`, to the same bits. Two passes over the cost for a block of problems, 8·n·m flops a problem, on the
/// calling thread.
///
/// # Panics
/// If a problem or its potentials have another shape than the cost.
#[must_use]
pub fn balanced_lower_bounds(cost: &dyn Cost, columns: &[(&Problem, &Potentials)]) -> Vec<f64> {
    let (n, m) = cost.shape();
    for (problem, start) in columns {
        assert_shape("cost", (n, m), problem.shape());
        start.assert_fits(problem);
    }
    if grid_of(cost).is_some() {
        // Its transforms need not be shared.
        return columns.iter().map(|(p, q)| balanced_lower(p, q)).collect();
    }
    let mut room = Room::default();
    let (mut f, mut g) = (Vec::new(), Aligned::<f64>::default());
    let [mut g_of_f, mut f_of_g, mut g_again, mut f_again] = [(); 4].map(|()| Vec::new());
    let mut bounds = Vec::with_capacity(columns.len());
    for block in columns.chunks(TOGETHER) {
        f.clear();
        g.stretch(block.len() * m);
        for ((problem, start), g) in block.iter().zip(g.chunks_exact_mut(m)) {
            f.extend(part(&usable(&start.f), problem.a().weights()));
            fill(g, part(&usable(&start.g), problem.b().weights()));
        }
        room.both(cost, &f, &g, &mut g_of_f, &mut f_of_g);
        f.clear();
        for (k, (problem, _)) in block.iter().enumerate() {
            let (rows, cols) = (k * n..(k + 1) * n, k * m..(k + 1) * m);
            f.extend(part(&f_of_g[rows], problem.a().weights()));
            fill(
                &mut g[cols.clone()],
                part(&g_of_f[cols], problem.b().weights()),
            );
        }
        room.both(cost, &f, &g, &mut g_again, &mut f_again);
        for (k, (problem, _)) in block.iter().enumerate() {
            let (a, b) = (problem.a().weights(), problem.b().weights());
            let (rows, cols) = (k * n..(k + 1) * n, k * m..(k + 1) * m);
            let from_f = paired(&f_again[rows.clone()], a) + paired(&g_of_f[cols.clone()], b);
            let from_g = paired(&f_of_g[rows], a) + paired(&g_again[cols], b);
            bounds.push(above_zero(from_f.max(from_g), cost));
        }
    }
    bounds
}

/// What takes no part gets −∞, which makes its C − f and C − g +∞.
fn part<'a>(potential: &'a [f64], weights: &'a [f64]) -> impl Iterator<Item = f64> + 'a {
    let entries = potential.iter().zip(weights);
    entries.map(|(&p, &w)| {
        if p.is_finite() && w > 0.0 {
            p
        } else {
            f64::NEG_INFINITY
        }
    })
}

fn fill(to: &mut [f64], from: impl Iterator<Item = f64>) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to = from);
}

/// Room for a block of rows.
#[derive(Default)]
struct Room {
    /// From the start of a cache line on: a register of 64 bytes that straddles two lines takes two loads.
    rows: Aligned<f64>,
    /// A row of the cost.
    row: Vec<f64>,
    f: Vec<f64>,
    along: Vec<f64>,
}

impl Room {
    /// min_i (C_ij − f_i) and min_j (C_ij − g_j) for as many potentials, one after another.
    fn both(
        &mut self,
        cost: &dyn Cost,
        f: &[f64],
        g: &[f64],
        to_target: &mut Vec<f64>,
        to_source: &mut Vec<f64>,
    ) {
        let (n, m) = cost.shape();
        to_target.clear();
        to_target.resize(g.len(), f64::INFINITY);
        to_source.resize(f.len(), 0.0);
        let size = (ENTRIES / m.max(1)).clamp(1, n.max(1));
        for first in (0..n).step_by(size) {
            let r = size.min(n - first);
            self.f.clear();
            for f in f.chunks_exact(n) {
                self.f.extend_from_slice(&f[first..first + r]);
            }
            self.along.resize(f.len() / n * r, 0.0);
            self.rows.stretch(r * m);
            self.row.resize(m, 0.0);
            for (i, to) in (first..).zip(self.rows.chunks_exact_mut(m)) {
                to.copy_from_slice(row_of(cost, i, &mut self.row));
            }
            least_down_columns(&self.rows, m, &self.f, to_target);
            least_along_rows(&self.rows, m, g, &mut self.along);
            let parts = to_source
                .chunks_exact_mut(n)
                .zip(self.along.chunks_exact(r));
            parts.for_each(|(all, part)| all[first..first + r].copy_from_slice(part));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::cost::{DenseCost, GridCost, GridGround};
    use crate::measure::Measure;

    fn number(k: usize) -> f64 {
        (k as f64 * 0.618_033_988_749_894_9).fract()
    }

    /// Potentials that are far from optimal, with entries that are no numbers; weights with zeros.
    fn columns(cost: &Arc<dyn Cost>, count: usize) -> Vec<(Problem, Potentials)> {
        let (n, m) = cost.shape();
        let weights = |len: usize, salt: usize| -> Measure {
            let weight = |k: usize| {
                if (k + salt) % 5 == 1 && len > 1 {
                    0.0
                } else {
                    0.1 + number(k * 31 + salt)
                }
            };
            Measure::new((0..len).map(weight).collect::<Vec<f64>>())
                .unwrap()
                .normalized()
        };
        let potential = |len: usize, salt: usize| -> Vec<f64> {
            let entry = |k: usize| match (k + salt) % 17 {
                3 => f64::INFINITY,
                5 => f64::NAN,
                _ => number(k * 17 + salt) - 0.4,
            };
            (0..len).map(entry).collect()
        };
        (0..count)
            .map(|k| {
                let problem = Problem::new(weights(n, k), weights(m, 2 * k), Arc::clone(cost));
                let potentials = Potentials::new(potential(n, 3 * k), potential(m, k + 1));
                (problem.unwrap(), potentials)
            })
            .collect()
    }

    #[test]
    fn many_bounds_are_those_of_each() {
        let mut entries: Vec<f64> = (0..31 * 45).map(|k| number(k * k)).collect();
        (0..31 * 45)
            .step_by(7)
            .for_each(|k| entries[k] = f64::INFINITY);
        let narrow: Vec<f32> = (0..31 * 45).map(|k| number(k) as f32).collect();
        let costs: [Arc<dyn Cost>; 4] = [
            Arc::new(DenseCost::new(31, 45, entries).unwrap()),
            Arc::new(DenseCost::from_f32(31, 45, narrow).unwrap()),
            Arc::new(GridCost::new(&[20, 17], GridGround::SqEuclidean).unwrap()),
            Arc::new(DenseCost::new(1, 1, vec![-2.0]).unwrap()),
        ];
        for cost in costs {
            for count in [0, 1, 7, TOGETHER + 1] {
                let columns = columns(&cost, count);
                let parts: Vec<_> = columns.iter().map(|(p, q)| (p, q)).collect();
                let have = balanced_lower_bounds(cost.as_ref(), &parts);
                let want = columns.iter().map(|(p, q)| balanced_lower(p, q));
                assert_eq!(have, want.collect::<Vec<_>>());
            }
        }
    }
}
