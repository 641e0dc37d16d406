//! Euclidean k-means on pixels: the clusters that barycenters are made of.

use ot_kernels::gemm::kv_batch;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

use crate::Images;

/// Rounds at most: clusters of digits settle in a few dozens.
const ROUNDS: usize = 100;

/// The places of the images of each of `count` clusters, none of them empty; there are at least as many images.
///
/// Source: Lloyd, *Least squares quantization in PCM* (1982), with the seeding of [`seeds`].
pub(super) fn of_pixels(images: &Images, count: usize, seed: u64) -> Vec<Vec<usize>> {
    let (n, dim) = (images.len(), images.cells());
    let squares: Vec<f64> = (0..n).map(|i| square(images.image(i))).collect();
    // ‖x − c‖² for every image (rows) and centre, where centres are images or means.
    let distances = |centres: &[f64]| {
        let count = centres.len() / dim;
        let mut products = vec![0.0; n * count];
        kv_batch(centres, count, dim, images.pixels(), &mut products, 1);
        let norms: Vec<f64> = centres.chunks_exact(dim).map(square).collect();
        for (row, x) in products.chunks_exact_mut(count).zip(&squares) {
            for (d, c) in row.iter_mut().zip(&norms) {
                *d = (x + c - 2.0 * *d).max(0.0);
            }
        }
        products
    };
    let first = seeds(n, count, seed, |i| distances(images.image(i)));
    let mut centres: Vec<f64> = first
        .iter()
        .flat_map(|&i| images.image(i).to_vec())
        .collect();
    let mut clusters = Vec::new();
    for _ in 0..ROUNDS {
        let next = assign(&distances(&centres), count);
        if next == clusters {
            break;
        }
        clusters = next;
        centres.fill(0.0);
        for (centre, cluster) in centres.chunks_exact_mut(dim).zip(&clusters) {
            for &i in cluster {
                centre
                    .iter_mut()
                    .zip(images.image(i))
                    .for_each(|(c, x)| *c += x);
            }
            centre.iter_mut().for_each(|c| *c /= cluster.len() as f64);
        }
    }
    clusters
}

/// `count` different places of `n`, each after the first with a probability in proportion to its distance from the
/// nearest of those before it; `from` tells the distances of all places from one.
///
/// Source: Arthur and Vassilvitskii, *k-means++: the advantages of careful seeding* (2007).
pub(super) fn seeds(
    n: usize,
    count: usize,
    seed: u64,
    mut from: impl FnMut(usize) -> Vec<f64>,
) -> Vec<usize> {
    let mut rng = Pcg64::seed_from_u64(seed);
    let mut seeds = vec![rng.random_range(0..n)];
    let mut nearest = vec![f64::INFINITY; n];
    while seeds.len() < count {
        let last = seeds[seeds.len() - 1];
        for (d, new) in nearest.iter_mut().zip(from(last)) {
            *d = d.min(new.max(0.0));
        }
        // Rounding, or an entropic cost, leaves a distance from itself.
        seeds.iter().for_each(|&s| nearest[s] = 0.0);
        let total: f64 = nearest.iter().sum();
        let mut left = rng.random::<f64>() * total;
        let reached = nearest.iter().position(|&d| {
            left -= d;
            d > 0.0 && left <= 0.0
        });
        // Where all others are copies of seeds, any of them will do.
        let next = reached
            .or_else(|| nearest.iter().rposition(|&d| d > 0.0))
            .or_else(|| (0..n).find(|i| !seeds.contains(i)));
        match next {
            Some(next) => seeds.push(next),
            None => break,
        }
    }
    seeds
}

/// The members of each cluster, by the least entry of each row; a cluster that would be empty takes the member that is
/// farthest from its own centre, out of a cluster that has another one.
pub(super) fn assign(distances: &[f64], count: usize) -> Vec<Vec<usize>> {
    let least = |row: &[f64]| {
        let mut best = 0;
        for (k, d) in row.iter().enumerate() {
            if *d < row[best] {
                best = k;
            }
        }
        best
    };
    let mut own: Vec<usize> = distances.chunks_exact(count).map(least).collect();
    let mut sizes = vec![0_usize; count];
    own.iter().for_each(|&k| sizes[k] += 1);
    while let Some(empty) = sizes.iter().position(|&size| size == 0) {
        let mut farthest: Option<(usize, f64)> = None;
        for (i, &k) in own.iter().enumerate() {
            let d = distances[i * count + k];
            if sizes[k] > 1 && farthest.is_none_or(|(_, most)| d > most) {
                farthest = Some((i, d));
            }
        }
        // Fewer members than clusters: the caller has seen to it that there are enough.
        let Some((i, _)) = farthest else { break };
        sizes[own[i]] -= 1;
        own[i] = empty;
        sizes[empty] = 1;
    }
    let mut clusters = vec![Vec::new(); count];
    for (i, k) in own.into_iter().enumerate() {
        clusters[k].push(i);
    }
    clusters
}

fn square(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_groups_are_found_whatever_the_seed() {
        let mut pixels = Vec::new();
        for k in 0..30 {
            let mut image = [0.01 * f64::from(k); 4];
            image[k as usize % 3] += 10.0;
            pixels.extend(image);
        }
        let images = Images::new("images", (2, 2), pixels).expect("valid");
        for seed in 0..20 {
            let mut clusters = of_pixels(&images, 3, seed);
            clusters.sort();
            let expected: Vec<Vec<usize>> = (0..3)
                .map(|c| (0..10).map(|i| 3 * i + c).collect())
                .collect();
            assert_eq!(clusters, expected, "seed {seed}");
        }
    }

    #[test]
    fn no_cluster_is_empty() {
        // All of them nearest to the first centre.
        let clusters = assign(&[0.0, 5.0, 5.0, 2.0, 5.0, 5.0, 1.0, 5.0, 5.0], 3);
        assert_eq!(clusters, [vec![0], vec![1], vec![2]]);
        // Copies only.
        let images = Images::new("images", (1, 1), [1.0; 4]).expect("valid");
        let clusters = of_pixels(&images, 3, 7);
        assert!(clusters.iter().all(|c| !c.is_empty()), "{clusters:?}");
        assert_eq!(clusters.iter().map(Vec::len).sum::<usize>(), 4);
    }
}
