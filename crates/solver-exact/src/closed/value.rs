//! What the sorted coupling costs, without its plan and its potentials.
//!
//! Both sides are cut at the same quantiles, and each stretch between two cuts is a problem of its own: the stretches go side
//! by side, and their number depends on the sizes alone, so that any number of threads adds up the same terms.

use ot_kernels::order::{Entry, carried};
use rayon::prelude::*;
use solver_api::LineCost;

use super::sorted::Sum;

/// Points of a stretch.
const STRETCH: usize = 1 << 15;
/// Points whose mass is added up before cuts are looked for.
const BLOCK: usize = 512;

/// ⟨P, C⟩ of the sorted coupling of weights `a` and `b`, which are of equal mass up to rounding.
pub(super) fn value(cost: &LineCost<'_>, a: &[f64], b: &[f64]) -> f64 {
    let stretches = (a.len() + b.len()) / STRETCH + 1;
    let (x, y) = rayon::join(
        || Quantiles::of(cost.x(), a, stretches),
        || Quantiles::of(cost.y(), b, stretches),
    );
    let pairs: Vec<_> = x.stretches.iter().zip(&y.stretches).collect();
    let parts: Vec<Sum> = pairs
        .into_par_iter()
        .map(|(s, t)| sweep(cost, &s.of(&x.points), &t.of(&y.points)))
        .collect();
    let mut all = Sum::default();
    parts.iter().for_each(|part| all.add(part.value()));
    all.value()
}

/// The northwest-corner rule on a stretch of both sides. Which side goes on is data, not a branch: on weights at random half
/// of the branches would be guessed wrong.
fn sweep(cost: &LineCost<'_>, x: &Part<'_>, y: &Part<'_>) -> Sum {
    let (n, m) = (x.points.len(), y.points.len());
    let (mut i, mut j) = (0, 0);
    let (mut left, mut right) = (x.first, y.first);
    let mut paid = Sum::default();
    while i + 1 < n && j + 1 < m {
        let moved = left.min(right);
        paid.add(moved * cost.between(x.points[i].0, y.points[j].0));
        let (next_source, next_target) = (left <= right, right <= left);
        i += usize::from(next_source);
        j += usize::from(next_target);
        left = if next_source {
            x.weight(i)
        } else {
            left - moved
        };
        right = if next_target {
            y.weight(j)
        } else {
            right - moved
        };
    }
    // The last of a side takes what rounding leaves of the other.
    while i + 1 < n {
        paid.add(left * cost.between(x.points[i].0, y.points[j].0));
        right -= left;
        i += 1;
        left = x.weight(i);
    }
    while j + 1 < m {
        paid.add(right * cost.between(x.points[i].0, y.points[j].0));
        left -= right;
        j += 1;
        right = y.weight(j);
    }
    paid.add(left.max(right).max(0.0) * cost.between(x.points[i].0, y.points[j].0));
    paid
}

/// Points in order, cut where equal parts of their mass lie between.
struct Quantiles {
    points: Vec<Entry<f64>>,
    stretches: Vec<Stretch>,
}

/// From one point to another, with what belongs to the stretch of their weights.
#[derive(Clone, Copy)]
struct Stretch {
    from: usize,
    to: usize,
    first: f64,
    last: f64,
}

impl Quantiles {
    fn of(positions: &[f64], weights: &[f64], count: usize) -> Self {
        let points = carried(positions, |i| weights[i]);
        // Cuts are looked for by blocks, then within them.
        let sum = |block: &[Entry<f64>]| block.iter().map(|(_, w)| w).sum();
        let blocks: Vec<f64> = points.par_chunks(BLOCK).map(sum).collect();
        let mut mass = Sum::default();
        blocks.iter().for_each(|block| mass.add(*block));
        let mass = mass.value();
        let mut stretches = Vec::with_capacity(count);
        let (mut from, mut first) = (0, points[0].1);
        let mut passed = Sum::default();
        let mut i = 0;
        while i < points.len() && stretches.len() + 1 < count {
            let cut = |k: usize| mass * (k as f64 / count as f64);
            let mut ahead = passed;
            ahead.add(blocks[i / BLOCK]);
            if ahead.less(cut(stretches.len() + 1)) < 0.0 && i % BLOCK == 0 {
                (i, passed) = (i + BLOCK, ahead);
                continue;
            }
            let weight = points[i].1;
            passed.add(weight);
            // A heavy point may be cut more than once.
            while stretches.len() + 1 < count {
                let over = passed.less(cut(stretches.len() + 1));
                if over < 0.0 {
                    break;
                }
                let over = over.min(weight);
                let last = if i == from { first } else { weight };
                stretches.push(Stretch {
                    from,
                    to: i,
                    first,
                    last: (last - over).max(0.0),
                });
                (from, first) = (i, over);
            }
            i += 1;
        }
        // Rounding may leave a cut behind the last point.
        let end = points.len() - 1;
        while stretches.len() < count {
            let last = if from == end { first } else { points[end].1 };
            stretches.push(Stretch {
                from,
                to: end,
                first,
                last,
            });
            (from, first) = (end, 0.0);
        }
        Self { points, stretches }
    }
}

impl Stretch {
    fn of(self, points: &[Entry<f64>]) -> Part<'_> {
        Part {
            points: &points[self.from..=self.to],
            first: if self.from == self.to {
                self.last
            } else {
                self.first
            },
            last: self.last,
        }
    }
}

/// A stretch with its points.
struct Part<'a> {
    points: &'a [Entry<f64>],
    first: f64,
    last: f64,
}

impl Part<'_> {
    /// The weight at place `i` that belongs to the stretch.
    #[inline]
    fn weight(&self, i: usize) -> f64 {
        if i + 1 == self.points.len() {
            self.last
        } else {
            self.points[i].1
        }
    }
}
