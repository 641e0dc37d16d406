use super::*;

fn wave(n: usize, k: f64) -> Vec<f64> {
    (0..n).map(|i| (k * i as f64 + 0.3).sin()).collect()
}

/// Row-major points as a whole tile, one coordinate after the other.
fn packed(y: &[f64], dim: usize) -> Vec<f64> {
    let m = y.len() / dim;
    let at = |k: usize, j: usize| y[j.min(m - 1) * dim + k];
    (0..dim * SIDE).map(|c| at(c / SIDE, c % SIDE)).collect()
}

fn padded(v: &[f64], fill: f64) -> Vec<f64> {
    (0..SIDE)
        .map(|j| v.get(j).copied().unwrap_or(fill))
        .collect()
}

struct Case {
    n: usize,
    m: usize,
    dim: usize,
    eps: f64,
}

fn check<T: Elem>(case: &Case, tolerance: f64) {
    let &Case { n, m, dim, eps } = case;
    let (x, y) = (wave(n * dim, 0.71), wave(m * dim, 1.13));
    let (f, g) = (wave(n, 0.37), wave(m, 0.53));
    let (a, b): (Vec<f64>, Vec<f64>) = (
        wave(n, 2.1).iter().map(|w| 1.1 + w).collect(),
        wave(m, 1.9).iter().map(|w| 1.1 + w).collect(),
    );
    let exponent = |i: usize, j: usize| {
        let squares = (0..dim).map(|k| (x[i * dim + k] - y[j * dim + k]).powi(2));
        (f[i] + g[j] - squares.sum::<f64>()) / eps
    };
    for isa in Isa::available() {
        let mut tile = Tile::<T>::with(isa, dim);
        let g_tile = padded(&g, g[m - 1]);
        let b_tile = padded(&b, 0.0);
        let costs: Vec<f64> = (0..n * SIDE)
            .map(|c| {
                let (i, j) = (c / SIDE, (c % SIDE).min(m - 1));
                f[i] + g[j] - eps * exponent(i, j)
            })
            .collect();
        for given in [false, true] {
            let bounds = if given {
                tile.take_rows_of_costs(&f, &a, eps);
                tile.take_costs(&costs, &g_tile, &b_tile)
            } else {
                tile.take_rows(&x, &f, &a, eps);
                tile.take_columns(&packed(&y, dim), &g_tile, &b_tile)
            };
            let cols: Vec<f64> = if given {
                tile.weigh_costs(true)
            } else {
                tile.weigh(true)
            }
            .iter()
            .map(|&c| c.into())
            .collect();
            let (mut sums, mut prices) = (vec![0.0; n], vec![0.0; n]);
            tile.drain(&mut sums, &mut prices);
            let (mut top, mut col_top) = (vec![-1e9; n], vec![-1e9; m]);
            tile.raise_rows(&mut top);
            tile.raise_columns(&mut col_top);
            for i in 0..n {
                let row = || (0..m).map(|j| (exponent(i, j), b[j]));
                let sum: f64 = row().map(|(x, b)| b * x.exp()).sum();
                let price: f64 = row().map(|(x, b)| b * x.exp() * x).sum();
                let size: f64 = row().map(|(x, b)| b * x.exp() * x.abs()).sum();
                assert!(
                    (sums[i] - sum).abs() <= tolerance * sum,
                    "{isa:?} {i} {given}"
                );
                assert!((prices[i] - price).abs() <= tolerance * (size + sum));
                let largest = row().fold(f64::NEG_INFINITY, |t, (x, _)| t.max(x));
                assert!((top[i] - largest).abs() <= 20.0 * tolerance);
                for (x, _) in row() {
                    assert!(bounds.least - 1e-9 <= x && x <= bounds.most + 1e-9);
                    assert!(x.abs() <= bounds.magnitude + 1e-9);
                }
            }
            for j in 0..m {
                let sum: f64 = (0..n).map(|i| a[i] * exponent(i, j).exp()).sum();
                let largest = (0..n).fold(f64::NEG_INFINITY, |t: f64, i| t.max(exponent(i, j)));
                assert!((col_top[j] - largest).abs() <= 20.0 * tolerance);
                assert!(
                    (cols[j] - sum).abs() <= tolerance * sum,
                    "{isa:?} {j} {given}"
                );
            }
            // Without prices: the same sums, and the drain has left nothing behind.
            let again = if given {
                tile.weigh_costs(false);
                tile.drain(&mut sums, &mut []);
                true
            } else {
                tile.weigh(false);
                tile.drain(&mut sums, &mut []);
                true
            };
            assert!(again);
            for i in 0..n {
                let sum: f64 = (0..m).map(|j| b[j] * exponent(i, j).exp()).sum();
                assert!((sums[i] - 2.0 * sum).abs() <= 2.0 * tolerance * sum);
            }
        }
    }
}

#[test]
fn sums_equal_the_plain_formulas() {
    for (n, m, dim) in [(64, 64, 2), (1, 1, 1), (5, 63, 3), (61, 7, 5), (64, 33, 17)] {
        for eps in [0.5, 4.0] {
            let case = Case { n, m, dim, eps };
            check::<f64>(&case, 1e-13);
            check::<f32>(&case, 2e-6 * (1.0 + dim as f64 / eps));
        }
    }
}

#[test]
fn exponents_out_of_range_are_the_last_ones_in_it() {
    for isa in Isa::available() {
        let mut tile = Tile::<f32>::with(isa, 2);
        tile.take_rows(&[0.0, 0.0], &[0.0], &[1.0], 1e-3);
        let y = packed(&[10.0, 0.0], 2);
        let mut g = vec![0.0; SIDE];
        g[0] = 200.0;
        g[1] = f64::from(f32::MAX);
        let mut b = vec![0.0; SIDE];
        b[0] = 1.0;
        let bounds = tile.take_columns(&y, &g, &b);
        assert!(bounds.most > 1e5 && bounds.least < -0.99e5);
        let cols = tile.weigh(false);
        assert!(cols.iter().all(|c| c.is_finite() && *c >= 0.0));
        assert!(cols[0] > 1e37 && cols[2] < 1e-36);
    }
}

#[test]
fn a_forbidden_pair_carries_nothing() {
    for isa in Isa::available() {
        let mut tile = Tile::<f64>::with(isa, 2);
        tile.take_rows_of_costs(&[0.0], &[1.0], 1.0);
        let mut costs = vec![f64::INFINITY; SIDE];
        costs[3] = 0.0;
        let ones = vec![1.0; SIDE];
        let zeros = vec![0.0; SIDE];
        let bounds = tile.take_costs(&costs, &zeros, &ones);
        assert_eq!(bounds.most, 0.0);
        let cols = tile.weigh_costs(true);
        assert!((cols[3] - 1.0).abs() < 1e-15 && cols[0] < 1e-300);
        let (mut sum, mut price) = ([0.0], [0.0]);
        tile.drain(&mut sum, &mut price);
        assert!((sum[0] - 1.0).abs() < 1e-15 && price[0].abs() < 1e-15);
    }
}
