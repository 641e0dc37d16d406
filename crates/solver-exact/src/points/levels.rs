//! The preconditioner of the Newton steps: corrections on groups of four, of sixteen, … of targets in kd-order, each with
//! the diagonal of the Hessian on the groups (Bramble, Pasciak and Xu, *Parallel multilevel preconditioners*, 1990).
//!
//! Groups of a kd-order are cells, so that what the targets' potentials lack on a large scale is found at once.

use std::ops::Range;

use super::semidual::{HELD, Posed};
use super::shares::Shares;

/// Targets of a group, as a shift.
const BITS: u32 = 2;
/// Groups from which on no coarser ones are made.
const FEWEST: usize = 8;

/// A diagonal below this part of the largest is none.
const NOTHING: f64 = 1e-12;

/// 1/diagonal of each level, finest first.
#[derive(Debug, Default)]
pub(super) struct Levels {
    /// One level after the other, and where each begins.
    inverse: Vec<f64>,
    start: Vec<usize>,
    sums: Vec<Vec<f64>>,
    held: Vec<f64>,
}

impl Levels {
    /// The diagonals for this plan and what holds targets back within their groups. O(pairs) for each level.
    pub(super) fn set(
        &mut self,
        posed: Posed<'_>,
        plan: &[f64],
        cold: &[f64],
        held: &[f64],
        mix: f64,
        shares: &mut Shares,
    ) {
        self.size(held.len());
        let Posed { a, graph, .. } = posed;
        let start = &self.start;
        let diagonals = |sources: Range<usize>, _: &mut [f64], out: &mut [f64]| {
            let mut row: Vec<(u32, f64)> = Vec::new();
            for i in sources {
                let places = graph.row(i);
                let pairs = graph.target[places.clone()]
                    .iter()
                    .zip(&plan[places.clone()]);
                row.clear();
                let base = mix * a[i] / places.len() as f64;
                row.extend(pairs.map(|(&j, &p)| (j, (1.0 - mix) * p + base)));
                for &level in &start[..start.len() - 1] {
                    // What a source sends to one group alone is not moved by the group's potential.
                    if row.len() == 1 {
                        break;
                    }
                    for &(j, p) in &row {
                        out[level + j as usize] += cold[i] * p * (1.0 - p / a[i]);
                    }
                    merge(&mut row);
                }
            }
        };
        shares.add(graph, &mut [], &mut self.inverse, diagonals, |()| {});
        self.held.clear();
        self.held.extend_from_slice(held);
        for (k, ends) in (0_u32..).zip(self.start.windows(2)) {
            let level = &mut self.inverse[ends[0]..ends[1]];
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
        self.start.clear();
        self.start.extend([0, targets]);
        let mut last = targets;
        while last > FEWEST {
            last = last.div_ceil(1 << BITS);
            self.start.push(self.start[self.start.len() - 1] + last);
        }
        self.sums.resize_with(self.start.len() - 1, Vec::new);
        self.inverse.clear();
        self.inverse.resize(self.start[self.start.len() - 1], 0.0);
    }

    /// z = Σ over levels of the groups' corrections.
    pub(super) fn apply(&mut self, r: &[f64], z: &mut Vec<f64>) {
        let levels = self.sums.len();
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
            let inverse = &self.inverse[self.start[level]..self.start[level + 1]];
            for (s, d) in own.iter_mut().zip(inverse) {
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
