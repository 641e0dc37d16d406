//! The energy distance between samples: a marginal penalty whose best critic is known in closed form.

use ot_nn::Number;

/// A sample of a law on the line, in order, with what distances to it take.
#[derive(Debug, Clone, Default)]
pub(crate) struct Line {
    sorted: Vec<f64>,
    /// Sums of so many of the first ones.
    sums: Vec<f64>,
    /// E|Y − Y′|, without pairs of a number with itself.
    apart: f64,
}

impl Line {
    pub(crate) fn new(mut sample: Vec<f64>) -> Self {
        sample.sort_unstable_by(f64::total_cmp);
        let mut sum = 0.0;
        let sums = std::iter::once(0.0).chain(sample.iter().map(|y| {
            sum += y;
            sum
        }));
        let m = sample.len() as f64;
        Self {
            sums: sums.collect(),
            apart: apart(&sample) / (m * (m - 1.0)),
            sorted: sample,
        }
    }
}

/// Room for sorted copies.
#[derive(Debug, Clone, Default)]
pub(crate) struct Energy {
    order: Vec<u32>,
    made: Vec<f64>,
}

/// Σ |x − x'| over all ordered pairs of sorted numbers.
fn apart(sorted: &[f64]) -> f64 {
    let n = sorted.len() as f64;
    let sum = sorted.iter().enumerate();
    2.0 * sum
        .map(|(k, x)| (2.0 * k as f64 + 1.0 - n) * x)
        .sum::<f64>()
}

impl Energy {
    /// 2 E|X − Y| − E|X − X′| − E|Y − Y′| of the numbers `made` and `real`; its gradient by `made`, `weight` times, is added to
    /// `by`. Each generated sample counts `partners` others: n − 1 of independent ones, so that nothing is biased.
    /// O(n log m), and n log n for the order.
    pub(crate) fn on_line<T: Number>(
        &mut self,
        made: &[T],
        real: &Line,
        partners: f64,
        weight: f64,
        by: &mut [T],
    ) -> f64 {
        let Self { order, made: xs } = self;
        order.clear();
        order.extend(0..made.len() as u32);
        order.sort_unstable_by(|i, j| {
            let (x, y) = (made[*i as usize].wide(), made[*j as usize].wide());
            x.total_cmp(&y).then(i.cmp(j))
        });
        xs.clear();
        xs.extend(order.iter().map(|i| made[*i as usize].wide()));
        let (n, m) = (xs.len() as f64, real.sorted.len() as f64);
        let total = real.sums[real.sorted.len()];
        let (mut below, mut between) = (0, 0.0);
        // d/dx of the first term is twice the part of y below x less that above it, and so of the second.
        for (rank, (&place, x)) in order.iter().zip(&*xs).enumerate() {
            below += real.sorted[below..].partition_point(|y| y < x);
            between += x * (2.0 * below as f64 - m) + total - 2.0 * real.sums[below];
            let of_real = (2.0 * below as f64 - m) / m;
            let of_made = (2.0 * rank as f64 + 1.0 - n) / partners;
            let g = weight * 2.0 / n * (of_real - of_made);
            by[place as usize] += T::from_f64(g);
        }
        2.0 * between / (n * m) - apart(xs) / (n * partners) - real.apart
    }
}

/// The same of rows of `dim` numbers, over all pairs.
pub(crate) fn over_pairs<T: Number>(
    made: &[T],
    real: &[T],
    (dim, partners): (usize, f64),
    weight: f64,
    by: &mut [T],
) -> f64 {
    let (n, m) = ((made.len() / dim) as f64, (real.len() / dim) as f64);
    let (between, within) = (2.0 / (n * m), 1.0 / (n * partners));
    let (mut of_both, mut of_x, mut of_y) = (0.0, 0.0, 0.0);
    for (x, by) in made.chunks_exact(dim).zip(by.chunks_exact_mut(dim)) {
        of_both += pulls(x, real, weight * between, by);
        // Each pair is met twice, once from either side.
        of_x += pulls(x, made, -2.0 * weight * within, by);
    }
    for y in real.chunks_exact(dim) {
        let all = real.chunks_exact(dim);
        of_y += all.map(|other| distance(y, other)).sum::<f64>();
    }
    between * of_both - within * of_x - of_y / (m * (m - 1.0))
}

fn distance<T: Number>(x: &[T], y: &[T]) -> f64 {
    let square: f64 = x.iter().zip(y).map(|(x, y)| (*x - *y).wide().powi(2)).sum();
    square.sqrt()
}

/// Σ of distances from `x` to rows; `weight` times its gradient is added.
fn pulls<T: Number>(x: &[T], rows: &[T], weight: f64, by: &mut [T]) -> f64 {
    let mut sum = 0.0;
    for y in rows.chunks_exact(x.len()) {
        let length = distance(x, y);
        if length > 0.0 {
            sum += length;
            let scale = T::from_f64(weight / length);
            for (b, (x, y)) in by.iter_mut().zip(x.iter().zip(y)) {
                *b += scale * (*x - *y);
            }
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_distr::StandardNormal;
    use rand_pcg::Pcg64;

    use super::*;

    fn numbers(count: usize, seed: u64) -> Vec<f64> {
        let mut rng = Pcg64::seed_from_u64(seed);
        (0..count).map(|_| rng.sample(StandardNormal)).collect()
    }

    #[test]
    fn the_line_is_the_sum_over_pairs() {
        let (made, mut real) = (numbers(40, 1), numbers(70, 2));
        // Ties on the other side are possible in samples of points.
        real[3] = real[4];
        let (mut by, mut by_pairs) = (vec![0.5; 40], vec![0.5; 40]);
        let line = Line::new(real.clone());
        let found = Energy::default().on_line(&made, &line, 39.0, 3.0, &mut by);
        let expected = over_pairs(&made, &real, (1, 39.0), 3.0, &mut by_pairs);
        assert!((found - expected).abs() < 1e-12);
        for (a, b) in by.iter().zip(&by_pairs) {
            assert!((a - b).abs() < 1e-12);
        }
    }

    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        for dim in [1, 3] {
            let (made, real) = (numbers(12 * dim, 1), numbers(20 * dim, 2));
            let value = |made: &[f64], by: &mut [f64]| {
                if dim == 1 {
                    let line = Line::new(real.clone());
                    return Energy::default().on_line(made, &line, 12.0, 1.0, by);
                }
                over_pairs(made, &real, (dim, 12.0), 1.0, by)
            };
            let mut by = vec![0.0; made.len()];
            value(&made, &mut by);
            for k in 0..made.len() {
                let at = |shift: f64| {
                    let mut made = made.clone();
                    made[k] += shift;
                    value(&made, &mut vec![0.0; made.len()])
                };
                let difference = (at(1e-6) - at(-1e-6)) / 2e-6;
                assert!(
                    (by[k] - difference).abs() < 1e-7,
                    "{k}: {} {difference}",
                    by[k]
                );
            }
        }
    }

    /// Two Gaussians of one spread on the line, a distance m apart: a closed form.
    #[test]
    fn large_samples_come_to_the_closed_form() {
        let (n, m) = (100_000, 1.5_f64);
        let made = numbers(n, 1);
        let real: Vec<f64> = numbers(n, 2).into_iter().map(|y| y + m).collect();
        let mut by = vec![0.0; n];
        let line = Line::new(real);
        let found = Energy::default().on_line(&made, &line, n as f64 - 1.0, 1.0, &mut by);
        // E|N(m, 2)| = 2/√π e^{−m²/4} + m erf(m/2), erf(0.75) = 0.711155633653515.
        let root = std::f64::consts::PI.sqrt();
        let between = 2.0 / root * (-m * m / 4.0).exp() + m * 0.711_155_633_653_515;
        let expected = 2.0 * between - 4.0 / root;
        assert!((found - expected).abs() < 0.02, "{found} {expected}");
    }
}
