//! Trees from distances, by agglomerative clustering.

use std::sync::Arc;

use solver_api::{Cost, Error, Tree};

/// The distance between two clusters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Linkage {
    /// The mean distance of their points (UPGMA).
    #[default]
    Average,
    /// The largest distance of their points.
    Complete,
}

/// What clustering found.
#[derive(Debug, Clone)]
pub struct Clustering {
    /// Node k < n is point k; nodes from n on are clusters of two others; the last is the root. The path between two
    /// points is as long as the distance at which their clusters were joined.
    pub tree: Arc<Tree>,
    /// The height of each node: 0 for points, the distance at which its two parts were joined for clusters.
    pub heights: Vec<f64>,
}

/// Joins n points, again and again the two nearest clusters, into a binary tree; `distances` is n×n, such as
/// a `PointCost` from a cloud to itself. An edge is half of what the heights of its ends differ by, so that the paths
/// between points are an ultrametric. Equal distances are settled by the order of the points.
///
/// By chains of nearest neighbours (Murtagh, *A survey of recent advances in hierarchical clustering algorithms*, 1983)
/// with the update of Lance and Williams (1967): O(n²) time, and 4 n² bytes.
///
/// # Errors
/// A cost that is not square, or not symmetric to 1e-9; a distance that is negative, infinite, or not 0 from a point to
/// itself; more points than memory holds distances for.
pub fn cluster(distances: &dyn Cost, linkage: Linkage) -> Result<Clustering, Error> {
    let (n, m) = distances.shape();
    if n != m {
        return Err(Error::ShapeMismatch {
            argument: "distances",
            found: format!("{n}×{m}"),
            expected: "distances are from each of n points to each".to_owned(),
        });
    }
    let mut near = Condensed::read(distances)?;
    let mut size = vec![1_usize; n];
    // The node that stands in the row of each point, where one does.
    let mut node: Vec<Option<usize>> = (0..n).map(Some).collect();
    let mut parent: Vec<usize> = (0..n).collect();
    let mut heights = vec![0.0; n];
    let mut chain: Vec<usize> = Vec::new();
    let mut first = 0;
    while heights.len() < 2 * n - 1 {
        if chain.is_empty() {
            while node[first].is_none() {
                first += 1;
            }
            chain.push(first);
        }
        let tip = chain[chain.len() - 1];
        let before = chain.len().checked_sub(2).map(|k| chain[k]);
        // The nearest; of equal ones that before, or else chains would go round.
        let mut best = before.map(|k| (near.get(tip, k), k));
        for k in (0..n).filter(|&k| k != tip && node[k].is_some()) {
            let d = near.get(tip, k);
            if best.is_none_or(|(least, _)| d < least) {
                best = Some((d, k));
            }
        }
        let Some((height, partner)) = best else { break };
        if Some(partner) != before {
            chain.push(partner);
            continue;
        }
        chain.truncate(chain.len() - 2);
        let (kept, gone) = (tip.min(partner), tip.max(partner));
        let joined = heights.len();
        for side in [kept, gone] {
            if let Some(part) = node[side] {
                parent[part] = joined;
            }
        }
        parent.push(joined);
        heights.push(height);
        let (s, t) = (size[kept] as f64, size[gone] as f64);
        node[gone] = None;
        node[kept] = Some(joined);
        for k in (0..n).filter(|&k| k != kept && node[k].is_some()) {
            let (u, v) = (near.get(kept, k), near.get(gone, k));
            let between = match linkage {
                Linkage::Average => (s * u + t * v) / (s + t),
                Linkage::Complete => u.max(v),
            };
            near.set(kept, k, between);
        }
        size[kept] += size[gone];
    }
    // Joined later is never nearer, except by rounding.
    for k in 0..parent.len() {
        let above = parent[k];
        heights[above] = heights[above].max(heights[k]);
    }
    let edge = |k: usize| 0.5 * (heights[parent[k]] - heights[k]);
    let length: Vec<f64> = (0..parent.len()).map(edge).collect();
    Ok(Clustering {
        tree: Arc::new(Tree::new(&parent, &length)?),
        heights,
    })
}

/// Distances between different points, each pair once.
struct Condensed {
    n: usize,
    values: Vec<f64>,
}

impl Condensed {
    fn read(distances: &dyn Cost) -> Result<Self, Error> {
        let n = distances.shape().0;
        let mut values = Vec::new();
        let pairs = n.saturating_mul(n.saturating_sub(1)) / 2;
        if values.try_reserve_exact(pairs).is_err() {
            let rule = format!("so many points have {pairs} distances, which memory does not hold");
            return Err(Error::setting("distances", n, rule));
        }
        let mut found = Self { n, values };
        let mut row = vec![0.0; n];
        for i in 0..n {
            distances.row(i, &mut row);
            let bad = |col: usize, rule| {
                let value = row[col];
                let row = i;
                Err(Error::InvalidCost {
                    row,
                    col,
                    value,
                    rule,
                })
            };
            if let Some(j) = row.iter().position(|d| !(*d >= 0.0 && d.is_finite())) {
                return bad(j, "distances must be finite and not negative");
            }
            if row[i] != 0.0 {
                return bad(i, "a point has distance 0 to itself");
            }
            for j in 0..i {
                let other = found.get(j, i);
                if (row[j] - other).abs() > 1e-9 * other.max(row[j]) {
                    return bad(j, "distances must be the same in both directions");
                }
            }
            found.values.extend_from_slice(&row[i + 1..]);
        }
        Ok(found)
    }

    fn at(&self, i: usize, j: usize) -> usize {
        let (i, j) = (i.min(j), i.max(j));
        // Rows 0..i hold n − 1, n − 2, … entries.
        i * (2 * self.n - i - 1) / 2 + (j - i - 1)
    }

    fn get(&self, i: usize, j: usize) -> f64 {
        self.values[self.at(i, j)]
    }

    fn set(&mut self, i: usize, j: usize, value: f64) {
        let at = self.at(i, j);
        self.values[at] = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use solver_api::{DenseCost, Ground, PointCost};

    fn cloud(points: &[f64]) -> PointCost {
        PointCost::new(points, points, 1, Ground::Euclidean).unwrap()
    }

    #[test]
    fn points_on_a_line_are_joined_as_by_hand() {
        let points = cloud(&[0.0, 10.0, 1.0, 14.0]);
        // {0, 1} at 1, {10, 14} at 4; then 12 on the average, 14 at most.
        for (linkage, top) in [(Linkage::Average, 11.5), (Linkage::Complete, 14.0)] {
            let found = cluster(&points, linkage).unwrap();
            let path = |u, v| found.tree.distance(u, v).unwrap();
            assert_eq!(
                (path(0, 2), path(1, 3), path(0, 3), path(2, 1)),
                (1.0, 4.0, top, top)
            );
            assert_eq!(found.heights.len(), 7);
            assert_eq!(found.tree.root(), 6);
        }
    }

    #[test]
    fn the_tree_is_that_of_joining_the_nearest_pair() {
        let points: Vec<f64> = (0..40)
            .map(|k| f64::from(k * k * 37 % 101) + 0.01 * f64::from(k).sqrt())
            .collect();
        let cost = cloud(&points);
        for linkage in [Linkage::Average, Linkage::Complete] {
            let found = cluster(&cost, linkage).unwrap();
            // By definition: all pairs of clusters, all pairs of their points.
            let mut clusters: Vec<Vec<usize>> = (0..40).map(|k| vec![k]).collect();
            while clusters.len() > 1 {
                let between = |u: &[usize], v: &[usize]| {
                    let all = u.iter().flat_map(|&i| v.iter().map(move |&j| (i, j)));
                    let all = all.map(|(i, j)| cost.entry(i, j));
                    match linkage {
                        Linkage::Complete => all.fold(0.0, f64::max),
                        _ => all.sum::<f64>() / (u.len() * v.len()) as f64,
                    }
                };
                let pairs = (0..clusters.len()).flat_map(|u| (0..u).map(move |v| (u, v)));
                let (d, u, v) = pairs
                    .map(|(u, v)| (between(&clusters[u], &clusters[v]), u, v))
                    .min_by(|x, y| x.0.total_cmp(&y.0))
                    .unwrap();
                for &i in &clusters[u] {
                    for &j in &clusters[v] {
                        let path = found.tree.distance(i, j).unwrap();
                        assert!((path - d).abs() < 1e-12 * d, "{path} {d}");
                    }
                }
                let gone = clusters.swap_remove(u);
                clusters[v].extend(gone);
            }
        }
    }

    #[test]
    fn one_point_and_equal_points() {
        assert_eq!(
            cluster(&cloud(&[3.0]), Linkage::Average)
                .unwrap()
                .tree
                .len(),
            1
        );
        let same = cluster(&cloud(&[3.0; 9]), Linkage::Complete).unwrap();
        assert_eq!(same.tree.distance(0, 8), Some(0.0));
    }

    #[test]
    fn what_is_no_distance_is_named() {
        let said = |n: usize, entries: &[f64]| {
            let cost = DenseCost::new(n, entries.len() / n, entries.to_vec()).unwrap();
            cluster(&cost, Linkage::Average).unwrap_err().to_string()
        };
        assert!(said(1, &[0.0, 1.0]).starts_with("`distances` has shape 1×2"));
        assert!(
            said(2, &[0.0, -1.0, -1.0, 0.0]).contains("[0, 1] is -1: distances must be finite")
        );
        assert!(
            said(2, &[1.0, 1.0, 1.0, 0.0])
                .contains("[0, 0] is 1: a point has distance 0 to itself")
        );
        assert!(said(2, &[0.0, 1.0, 2.0, 0.0]).contains("[1, 0] is 2: distances must be the same"));
        assert!(said(2, &[0.0, f64::INFINITY, 2.0, 0.0]).contains("is inf"));
    }
}
