//! Random problems.

use solver_api::Problem;

/// SplitMix64: numbers in (0, 1).
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub(crate) fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64 + 1e-17
    }
}

/// Random weights of mass 1.
pub(crate) fn weights(n: usize, rng: &mut Rng) -> Vec<f64> {
    let mut w: Vec<f64> = (0..n).map(|_| 0.1 + rng.next()).collect();
    let total: f64 = w.iter().sum();
    w.iter_mut().for_each(|w| *w /= total);
    w
}

/// Squared distances between random points in the plane, random weights.
pub(crate) fn random_problem(n: usize, m: usize, seed: u64) -> Problem {
    let mut rng = Rng::new(seed);
    let mut points =
        |k: usize| -> Vec<[f64; 2]> { (0..k).map(|_| [rng.next(), rng.next()]).collect() };
    let (x, y) = (points(n), points(m));
    let cost: Vec<f64> = x
        .iter()
        .flat_map(|p| {
            y.iter()
                .map(move |q| (p[0] - q[0]).powi(2) + (p[1] - q[1]).powi(2))
        })
        .collect();
    Problem::from_slices(&weights(n, &mut rng), &weights(m, &mut rng), &cost).unwrap()
}
