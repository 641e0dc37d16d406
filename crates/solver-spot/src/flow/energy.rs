//! The energy distance between samples: a marginal penalty whose best critic is known in closed form.

use ot_nn::Number;

/// Room for sorted copies.
#[derive(Debug, Clone, Default)]
pub(crate) struct Energy {
    order: Vec<u32>,
    made: Vec<f64>,
    real: Vec<f64>,
    pool: Vec<f64>,
}

/// Σ |x − x'| over all ordered pairs of sorted numbers.
fn apart(sorted: &[f64]) -> f64 {
    let n = sorted.len() as f64;
    let sum = sorted.iter().enumerate();
    2.0 * sum.map(|(k, x)| (2.0 * k as f64 + 1.0 - n) * x).sum::<f64>()
}

impl Energy {
    /// 2 E‖X − Y‖ − E‖X − X′‖ − E‖Y − Y′‖, without bias (pairs of a sample with itself are left out), of the rows `made` and
    /// `real`; its gradient by `made`, `weight` times, is added to `by`. On the line in O(n log n), elsewhere over all pairs.
    pub(crate) fn distance<T: Number>(
        &mut self,
        made: &[T],
        real: &[T],
        dim: usize,
        weight: f64,
        by: &mut [T],
    ) -> f64 {
        if dim == 1 {
            self.on_line(made, real, weight, by)
        } else {
            over_pairs(made, real, dim, weight, by)
        }
    }

    fn on_line<T: Number>(&mut self, made: &[T], real: &[T], weight: f64, by: &mut [T]) -> f64 {
        let Self {
            order,
            made: xs,
            real: ys,
            pool,
        } = self;
        order.clear();
        order.extend(0..made.len() as u32);
        order.sort_unstable_by(|i, j| {
            let (x, y) = (made[*i as usize].wide(), made[*j as usize].wide());
            x.total_cmp(&y).then(i.cmp(j))
        });
        xs.clear();
        xs.extend(order.iter().map(|i| made[*i as usize].wide()));
        ys.clear();
        ys.extend(real.iter().map(|y| y.wide()));
        ys.sort_unstable_by(f64::total_cmp);
        let (n, m) = (xs.len() as f64, ys.len() as f64);
        // d/dx of the first term is twice the part of y below x less that above it, and so of the second.
        let mut below = 0;
        for (rank, (&place, x)) in order.iter().zip(&*xs).enumerate() {
            while below < ys.len() && ys[below] < *x {
                below += 1;
            }
            let of_real = (2.0 * below as f64 - m) / m;
            let of_made = (2.0 * rank as f64 + 1.0 - n) / (n - 1.0);
            let g = weight * 2.0 / n * (of_real - of_made);
            by[place as usize] += T::from_f64(g);
        }
        pool.clear();
        pool.extend_from_slice(xs);
        pool.extend_from_slice(ys);
        pool.sort_unstable_by(f64::total_cmp);
        let (of_x, of_y) = (apart(xs), apart(ys));
        let between = 0.5 * (apart(pool) - of_x - of_y);
        2.0 * between / (n * m) - of_x / (n * (n - 1.0)) - of_y / (m * (m - 1.0))
    }
}

fn over_pairs<T: Number>(made: &[T], real: &[T], dim: usize, weight: f64, by: &mut [T]) -> f64 {
    let (n, m) = ((made.len() / dim) as f64, (real.len() / dim) as f64);
    let (between, within) = (2.0 / (n * m), 1.0 / (n * (n - 1.0)));
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
