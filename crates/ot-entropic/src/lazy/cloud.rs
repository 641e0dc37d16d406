//! Weighted points in an order in which neighbours stand together, cut into tiles.

use ot_kernels::lazy::SIDE;
use ot_kernels::order;

/// Weighted points in kd-order: every aligned run of 2ᵏ points is a cell of a kd-tree.
#[derive(Debug, Clone)]
pub struct Cloud {
    dim: usize,
    /// Where each point stands in the caller's order.
    order: Vec<u32>,
    /// Row-major.
    points: Vec<f64>,
    /// Weights of sum 1.
    weights: Vec<f64>,
    /// The same in units of their mean, and 0 in the padding of the last tile.
    scaled: Vec<f64>,
    /// The points of each tile, one coordinate after the other; the last point fills the last tile.
    panels: Vec<f64>,
    /// Lower and upper corners of each tile's box.
    low: Vec<f64>,
    high: Vec<f64>,
}

impl Cloud {
    /// Row-major `points` of dimension `dim`, with weights of sum 1, put in order. O(n log n).
    ///
    /// # Panics
    /// If there is no point, or lengths do not match.
    #[must_use]
    pub fn new(points: &[f64], dim: usize, weights: &[f64]) -> Self {
        assert!(
            dim > 0 && !weights.is_empty() && points.len() == weights.len() * dim,
            "Cloud: lengths differ"
        );
        Self::in_order(order::kd(points, dim), points, dim, weights)
    }

    fn in_order(order: Vec<u32>, points: &[f64], dim: usize, weights: &[f64]) -> Self {
        let n = order.len();
        let (mut sorted, mut sorted_weights) = (Vec::with_capacity(n * dim), Vec::with_capacity(n));
        for &i in &order {
            let i = i as usize;
            sorted.extend_from_slice(&points[i * dim..(i + 1) * dim]);
            sorted_weights.push(weights[i]);
        }
        let tiles = n.div_ceil(SIDE);
        let mut scaled: Vec<f64> = sorted_weights.iter().map(|w| w * n as f64).collect();
        scaled.resize(tiles * SIDE, 0.0);
        let mut panels = vec![0.0; tiles * SIDE * dim];
        let (mut low, mut high) = (
            vec![f64::INFINITY; tiles * dim],
            vec![f64::NEG_INFINITY; tiles * dim],
        );
        for j in 0..tiles * SIDE {
            let point = &sorted[j.min(n - 1) * dim..][..dim];
            let (tile, at) = (j / SIDE, j % SIDE);
            for (k, &x) in point.iter().enumerate() {
                panels[(tile * dim + k) * SIDE + at] = x;
                let corner = tile * dim + k;
                low[corner] = low[corner].min(x);
                high[corner] = high[corner].max(x);
            }
        }
        Self {
            dim,
            order,
            points: sorted,
            weights: sorted_weights,
            scaled,
            panels,
            low,
            high,
        }
    }

    /// The points of each run of `size`, at their centre of mass with their mass, or, where means of points mean
    /// nothing to the cost, at the one of them that is nearest to it. In the order of the runs.
    #[must_use]
    pub fn grouped(&self, size: usize, means: bool) -> Self {
        let dim = self.dim;
        let (mut points, mut weights) = (Vec::new(), Vec::new());
        for (x, w) in self
            .points
            .chunks(size * dim)
            .zip(self.weights.chunks(size))
        {
            let mass: f64 = w.iter().sum();
            let first = &x[..dim];
            // About a point of the group, so that groups far from the origin keep their digits.
            let mut mean = vec![0.0; dim];
            for (x, w) in x.chunks_exact(dim).zip(w) {
                for ((m, x), o) in mean.iter_mut().zip(x).zip(first) {
                    *m += w / mass * (x - o);
                }
            }
            for (m, o) in mean.iter_mut().zip(first) {
                *m += o;
            }
            if !means {
                let distance = |x: &[f64]| -> f64 {
                    x.iter().zip(&mean).map(|(x, m)| (x - m) * (x - m)).sum()
                };
                let nearest = x
                    .chunks_exact(dim)
                    .min_by(|x, y| distance(x).total_cmp(&distance(y)));
                mean = nearest.unwrap_or(first).to_vec();
            }
            points.extend(mean);
            weights.push(mass);
        }
        let order = (0..weights.len() as u32).collect();
        Self::in_order(order, &points, dim, &weights)
    }

    /// The number of points.
    #[must_use]
    pub fn len(&self) -> usize {
        self.weights.len()
    }

    /// Never: a cloud has a point.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.weights.is_empty()
    }

    /// The dimension of the points.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The points in their order, row-major.
    #[must_use]
    pub fn points(&self) -> &[f64] {
        &self.points
    }

    /// Their weights.
    #[must_use]
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// `values` of the caller's order in this one.
    #[must_use]
    pub fn sorted(&self, values: &[f64]) -> Vec<f64> {
        self.order.iter().map(|&i| values[i as usize]).collect()
    }

    /// `values` of this order in the caller's.
    #[must_use]
    pub fn restored(&self, values: &[f64]) -> Vec<f64> {
        let mut out = vec![0.0; values.len()];
        for (&i, v) in self.order.iter().zip(values) {
            out[i as usize] = *v;
        }
        out
    }

    pub(super) fn tiles(&self) -> usize {
        self.len().div_ceil(SIDE)
    }

    /// The weights of a tile in units of their mean.
    pub(super) fn scaled(&self, tile: usize) -> &[f64] {
        &self.scaled[tile * SIDE..][..SIDE]
    }

    pub(super) fn panel(&self, tile: usize) -> &[f64] {
        &self.panels[tile * SIDE * self.dim..][..SIDE * self.dim]
    }

    /// The squared distance of two tiles' boxes.
    pub(super) fn apart(&self, tile: usize, other: &Self, at: usize) -> f64 {
        let d = self.dim;
        let (low, high) = (&self.low[tile * d..][..d], &self.high[tile * d..][..d]);
        let (other_low, other_high) = (&other.low[at * d..][..d], &other.high[at * d..][..d]);
        let mut sum = 0.0;
        for k in 0..d {
            let gap = (other_low[k] - high[k])
                .max(low[k] - other_high[k])
                .max(0.0);
            sum += gap * gap;
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(n: usize) -> Vec<f64> {
        (0..n * n)
            .flat_map(|k| [(k * 7 % (n * n) / n) as f64, (k * 7 % (n * n) % n) as f64])
            .collect()
    }

    #[test]
    fn runs_are_cells() {
        let points = grid(32);
        let weights: Vec<f64> = (0..1024).map(|k| (k % 5 + 1) as f64 / 3072.0).collect();
        let cloud = Cloud::new(&points, 2, &weights);
        assert_eq!(cloud.restored(&cloud.sorted(&weights)), weights);
        for tile in 0..cloud.tiles() {
            // 64 of 1024 points of a grid: a square of side 8.
            let sides = cloud.high[2 * tile] - cloud.low[2 * tile];
            assert_eq!(sides, 7.0, "{tile}");
        }
        assert_eq!(cloud.apart(0, &cloud, 0), 0.0);
        let groups = cloud.grouped(16, true);
        assert_eq!(groups.len(), 64);
        let mass: f64 = groups.weights().iter().sum();
        assert!((mass - weights.iter().sum::<f64>()).abs() < 1e-12);
        let centre = |c: &Cloud, k: usize| -> f64 {
            (0..c.len())
                .map(|i| c.weights[i] * c.points[2 * i + k])
                .sum()
        };
        for k in 0..2 {
            assert!((centre(&cloud, k) - centre(&groups, k)).abs() < 1e-9);
        }
        let members = cloud.grouped(16, false);
        assert!(members.points.iter().all(|x| x.fract() == 0.0));
    }

    #[test]
    fn any_number_of_points() {
        for n in [1, 3, 63, 64, 65, 200] {
            let points: Vec<f64> = (0..3 * n).map(|k| (k as f64 * 0.7).sin()).collect();
            let cloud = Cloud::new(&points, 3, &vec![1.0 / n as f64; n]);
            let mut seen = cloud.order.clone();
            seen.sort_unstable();
            assert!(seen.iter().enumerate().all(|(k, &i)| k == i as usize));
            assert_eq!(cloud.tiles(), n.div_ceil(64));
            assert_eq!(cloud.grouped(1, true).points, cloud.points);
        }
    }
}
