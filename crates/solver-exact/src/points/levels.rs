//! The preconditioner of the Newton steps: corrections on groups of four, of sixteen, … of targets in kd-order, each with
//! the diagonal of the Hessian on the groups (Bramble, Pasciak and Xu, *Parallel multilevel preconditioners*, 1990).
//!
//! Groups of a kd-order are cells, so that what the targets' potentials lack on a large scale is found at once.

use super::graph::Graph;
use super::semidual::HELD;

/// Targets of a group, as a shift.
const BITS: u32 = 2;
/// Groups from which on no coarser ones are made.
const FEWEST: usize = 8;

/// A diagonal below this part of the largest is none.
const NOTHING: f64 = 1e-12;

/// 1/diagonal of each level, finest first.
#[derive(Debug, Default)]
pub(super) struct Levels {
    inverse: Vec<Vec<f64>>,
    sums: Vec<Vec<f64>>,
    row: Vec<(u32, f64)>,
    held: Vec<f64>,
}

impl Levels {
    /// The diagonals for this plan and what holds targets back within their groups. O(pairs) for each level.
    pub(super) fn set(
        &mut self,
        a: &[f64],
        graph: &Graph,
        plan: &[f64],
        cold: &[f64],
        held: &[f64],
        mix: f64,
    ) {
        self.size(held.len());
        for (i, &cold) in cold.iter().enumerate() {
            let places = graph.row(i);
            let pairs = graph.target[places.clone()]
                .iter()
                .zip(&plan[places.clone()]);
            self.row.clear();
            let base = mix * a[i] / places.len() as f64;
            self.row
                .extend(pairs.map(|(&j, &p)| (j, (1.0 - mix) * p + base)));
            for level in &mut self.inverse {
                // What a source sends to one group alone is not moved by the group's potential.
                if self.row.len() == 1 {
                    break;
                }
                for &(j, p) in &self.row {
                    level[j as usize] += cold * p * (1.0 - p / a[i]);
                }
                merge(&mut self.row);
            }
        }
        self.held.clear();
        self.held.extend_from_slice(held);
        for (k, level) in (0_u32..).zip(&mut self.inverse) {
            if BITS * k < HELD {
                for (d, h) in level.iter_mut().zip(&self.held) {
                    *d += h;
                }
                sum_groups(&mut self.held);
            }
            let largest = level.iter().copied().fold(0.0, f64::max);
            for d in level {
                *d = if *d > NOTHING * largest {
                    1.0 / *d
                } else {
                    0.0
                };
            }
        }
    }

    fn size(&mut self, targets: usize) {
        let mut sizes = vec![targets];
        let mut last = targets;
        while last > FEWEST {
            last = last.div_ceil(1 << BITS);
            sizes.push(last);
        }
        self.inverse.resize_with(sizes.len(), Vec::new);
        self.sums.resize_with(sizes.len(), Vec::new);
        for (level, size) in self.inverse.iter_mut().zip(sizes) {
            level.clear();
            level.resize(size, 0.0);
        }
    }

    /// z = Σ over levels of the groups' corrections.
    pub(super) fn apply(&mut self, r: &[f64], z: &mut Vec<f64>) {
        let levels = self.inverse.len();
        for level in 0..levels {
            let (below, above) = self.sums.split_at_mut(level);
            let sums = &mut above[0];
            sums.clear();
            match below.last() {
                None => sums.extend_from_slice(r),
                Some(finer) => sums.extend(finer.chunks(1 << BITS).map(|c| c.iter().sum::<f64>())),
            }
        }
        for level in (0..levels).rev() {
            let (own, coarser) = self.sums.split_at_mut(level + 1);
            let own = &mut own[level];
            for (s, d) in own.iter_mut().zip(&self.inverse[level]) {
                *s *= d;
            }
            if let Some(coarser) = coarser.first() {
                for (group, c) in own.chunks_mut(1 << BITS).zip(coarser) {
                    for s in group {
                        *s += c;
                    }
                }
            }
        }
        z.clear();
        z.extend_from_slice(&self.sums[0]);
    }
}

/// The sums of groups, in place.
fn sum_groups(values: &mut Vec<f64>) {
    let groups = values.len().div_ceil(1 << BITS);
    for k in 0..groups {
        let end = values.len().min((k + 1) << BITS);
        values[k] = values[k << BITS..end].iter().sum();
    }
    values.truncate(groups);
}

/// To the groups of the next level.
fn merge(row: &mut Vec<(u32, f64)>) {
    let mut kept = 0;
    for k in 0..row.len() {
        let (group, p) = (row[k].0 >> BITS, row[k].1);
        if kept > 0 && row[kept - 1].0 == group {
            row[kept - 1].1 += p;
        } else {
            row[kept] = (group, p);
            kept += 1;
        }
    }
    row.truncate(kept);
}
