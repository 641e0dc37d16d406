//! Which pairs of points are near in slack: tile by tile, since in many dimensions no tree knows better.

use std::ops::Range;

use ot_kernels::lazy::SIDE;
use ot_kernels::pricing::row_collect;

use super::cloud::Cloud;
use super::pass::Pairs;
use crate::list::Reach;
use crate::near::{Aimed, Finder, Found};

/// Pairs that a list has room for, for each point and in any case: 20 bytes each, and as much again for the linear system.
const OF_A_POINT: usize = 32;
const AT_LEAST: usize = 1 << 22;

/// Pairs that a list between n and m points has room for: memory grows with their number, and not with that of pairs.
pub(super) fn room(n: usize, m: usize) -> usize {
    // Rows begin at 32-bit places.
    (OF_A_POINT.saturating_mul(n + m)).clamp(AT_LEAST, u32::MAX as usize)
}

/// Reaches of lists on the way, of which the first that there is room for is taken. All that is left out of a plan is at
/// most e^{−silent} of its mass.
pub(super) const WAYS: [Reach; 3] = [
    Reach {
        silent: 14.0,
        drift: 10.0,
    },
    Reach {
        silent: 9.0,
        drift: 6.0,
    },
    Reach {
        silent: 6.0,
        drift: 3.0,
    },
];
/// Clouds in more dimensions have no long waves that a diagonal preconditioner would be slow with.
pub(super) const FEW_AXES: usize = 3;

/// Pairs of two clouds.
pub(super) struct Tiled<'a> {
    pub(super) x: &'a Cloud,
    pub(super) y: &'a Cloud,
    pub(super) cost: &'a dyn Pairs,
    /// Whether boxes bound the cost.
    pub(super) is_squared: bool,
}

impl Finder for Tiled<'_> {
    fn aimed(&self, g: &[f64]) -> Aimed<'_> {
        let negated: Vec<f64> = g.iter().map(|g| -g).collect();
        let lowest: Vec<f64> = (negated.chunks(SIDE))
            .map(|g| g.iter().fold(f64::INFINITY, |t, g| t.min(*g)))
            .collect();
        Box::new(move |rows: Range<usize>, bounds: &[f64], most: usize| {
            let mut all: Found = (Vec::new(), Vec::new());
            for (from, bounds) in rows.step_by(SIDE).zip(bounds.chunks(SIDE)) {
                if all.1.len() > most {
                    break;
                }
                self.tile(from, bounds, (&negated, &lowest), &mut all);
            }
            all
        })
    }
}

impl Tiled<'_> {
    /// One tile of sources, from `from` on, which is where a tile begins.
    fn tile(
        &self,
        from: usize,
        bounds: &[f64],
        (negated, lowest): (&[f64], &[f64]),
        (counts, found): &mut Found,
    ) {
        let m = self.y.len();
        let highest = bounds.iter().fold(f64::NEG_INFINITY, |t: f64, b| t.max(*b));
        let mut of_row: Vec<Vec<(u32, f64)>> = vec![Vec::new(); bounds.len()];
        let mut costs = vec![0.0; bounds.len() * SIDE];
        let mut hits = Vec::new();
        for (c, least) in lowest.iter().enumerate() {
            if self.is_squared && self.x.apart(from / SIDE, self.y, c) + least > highest {
                continue;
            }
            let cols = c * SIDE..m.min((c + 1) * SIDE);
            let width = cols.len();
            let costs = &mut costs[..bounds.len() * width];
            self.cost
                .block(from..from + bounds.len(), cols.clone(), costs);
            let rows = costs.chunks_exact(width).zip(bounds).zip(&mut of_row);
            for ((row, bound), near) in rows {
                hits.clear();
                row_collect(row, &negated[cols.clone()], *bound, 0.0, 0.0, &mut hits);
                near.extend(
                    hits.iter()
                        .map(|&(_, j)| (cols.start as u32 + j, row[j as usize])),
                );
            }
        }
        counts.extend(of_row.iter().map(|near| near.len() as u32));
        found.extend(of_row.into_iter().flatten());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_grows_with_the_points() {
        assert_eq!(room(1000, 10), AT_LEAST);
        let (once, twice) = (room(1 << 20, 1 << 20), room(1 << 21, 1 << 21));
        assert_eq!((once, twice), (32 << 21, 2 * once));
        assert_eq!(room(usize::MAX / 4, usize::MAX / 4), u32::MAX as usize);
    }
}
