//! Latent variables of a batch: independent ones, or a lattice that is spread evenly over N(0, I).

use ot_nn::Number;
use rand::RngExt;
use rand_distr::StandardNormal;
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};

/// How the latent variables of a batch are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Latent {
    /// Independently, as the source has it.
    Independent,
    /// As the points of a Kronecker lattice of the cube with a random shift, taken to N(0, I) by Box and Muller's map. Each point by
    /// itself is N(0, I), so that means over a batch are without bias, but the points keep apart, and those means scatter
    /// much less: by some 1/n instead of 1/√n, in few dimensions.
    #[default]
    Lattice,
}

/// The multiples of a Kronecker lattice: powers of the root of x^{d+1} = x + 1, which is the golden ratio for d = 1.
fn multiples(dim: usize) -> impl Iterator<Item = f64> {
    let mut root = 2.0_f64;
    for _ in 0..64 {
        root = (1.0 + root).powf(1.0 / (dim as f64 + 1.0));
    }
    (1..=dim).map(move |k| root.powi(-(k as i32)))
}

impl Latent {
    /// Fills rows of `dim`.
    pub(crate) fn draw<T: Number>(self, rng: &mut Pcg64, dim: usize, rows: &mut [T]) {
        if self == Self::Independent {
            for z in rows {
                *z = T::from_f64(rng.sample::<f64, _>(StandardNormal));
            }
            return;
        }
        // Pairs of uniform numbers for pairs of normal ones.
        let cube = dim.next_multiple_of(2);
        let mut multiples = multiples(cube);
        for c in (0..dim).step_by(2) {
            let steps = [0, 1].map(|_| multiples.next().unwrap_or(0.5));
            let shift: [f64; 2] = [rng.random(), rng.random()];
            for (k, row) in rows.chunks_exact_mut(dim).enumerate() {
                let u = [0, 1].map(|e| (shift[e] + k as f64 * steps[e]).fract());
                // 1 − u is never 0.
                let radius = (-2.0 * (1.0 - u[0]).ln()).sqrt();
                let (sin, cos) = (2.0 * std::f64::consts::PI * u[1]).sin_cos();
                row[c] = T::from_f64(radius * cos);
                if c + 1 < dim {
                    row[c + 1] = T::from_f64(radius * sin);
                }
            }
        }
    }

    /// By how many the mean over pairs of n generated samples is divided, for each of them: n − 1 without the pair of a sample
    /// with itself, which independent ones need. The points of a lattice stand for a cell each, whose own pairs they are.
    pub(crate) fn partners(self, n: f64) -> f64 {
        match self {
            Self::Independent => n - 1.0,
            Self::Lattice => n,
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    /// E z = 0, E z² = 1, E z⁴ = 3, E z₁² z₂² = 1 over many batches, and means of a batch that scatter far less than
    /// those of independent ones.
    #[test]
    fn a_lattice_is_normal_and_even() {
        for dim in [1, 2, 3] {
            let mut rng = Pcg64::seed_from_u64(4);
            let mut z = vec![0.0_f64; 500 * dim];
            let (mut first, mut spread, mut second, mut fourth, mut mixed) =
                (0.0, 0.0, 0.0, 0.0, 0.0);
            for _ in 0..400 {
                Latent::Lattice.draw(&mut rng, dim, &mut z);
                for c in 0..dim {
                    let column = || z.iter().skip(c).step_by(dim);
                    let mean = column().sum::<f64>() / 500.0;
                    first += mean / (400 * dim) as f64;
                    spread += mean * mean / (400 * dim) as f64;
                    let of = |p: i32| column().map(|z| z.powi(p)).sum::<f64>() / 500.0;
                    second += of(2) / (400 * dim) as f64;
                    fourth += of(4) / (400 * dim) as f64;
                }
                if dim > 1 {
                    let rows = z.chunks_exact(dim);
                    mixed += rows.map(|z| (z[0] * z[1]).powi(2)).sum::<f64>() / (400.0 * 500.0);
                }
            }
            assert!(
                first.abs() < 2e-3 && (second - 1.0).abs() < 5e-3,
                "{first} {second}"
            );
            assert!((fourth - 3.0).abs() < 0.05, "{fourth}");
            assert!(dim == 1 || (mixed - 1.0).abs() < 0.03, "{mixed}");
            // Independent: 1/√500 = 0.045.
            assert!(spread.sqrt() < 0.012, "dimension {dim}: {}", spread.sqrt());
        }
    }
}
