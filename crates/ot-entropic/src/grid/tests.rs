//! Grids against the same problem as a matrix, and against their own marginals.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use solver_api::{Cost, GridCost, GridGround};

use super::{End, GridPair, Limits, solve};
use crate::dual::Dual;
use crate::path::{Path, follow};

/// A blob on some ground of noise; `empty` of the cells weigh nothing.
fn weights(dims: &[usize], at: f64, empty: f64, rng: &mut Pcg64) -> Vec<f64> {
    let n: usize = dims.iter().product();
    let mut w: Vec<f64> = (0..n)
        .map(|cell| {
            let (mut i, mut squares) = (cell, 0.0);
            for &d in dims.iter().rev() {
                let t = (i % d) as f64 / d as f64 - at;
                squares += t * t;
                i /= d;
            }
            if rng.random::<f64>() < empty {
                0.0
            } else {
                0.05 * rng.random::<f64>() + (-squares / 0.02).exp()
            }
        })
        .collect();
    let total: f64 = w.iter().sum();
    w.iter_mut().for_each(|w| *w /= total);
    w
}

/// Both marginal errors and ⟨P, C⟩ of the plan of (f, g), over all pairs.
fn by_definition(pair: GridPair<'_>, f: &[f64], g: &[f64], eps: f64) -> (f64, f64, f64) {
    let n = pair.a.len();
    let (mut rows, mut cols, mut paid) = (vec![0.0; n], vec![0.0; n], 0.0);
    for i in 0..n {
        for j in (0..n).filter(|&j| pair.a[i] > 0.0 && pair.b[j] > 0.0) {
            let c = pair.grid.entry(i, j);
            let p = pair.a[i] * pair.b[j] * ((f[i] + g[j] - c) / eps).exp();
            rows[i] += p;
            cols[j] += p;
            paid += p * c;
        }
    }
    let off = |x: &[f64], w: &[f64]| x.iter().zip(w).map(|(x, w)| (x - w).abs()).sum();
    (off(&rows, pair.a), off(&cols, pair.b), paid)
}

const LIMITS: Limits = Limits {
    stop: 1e-9,
    max_iter: 20_000,
    check_every: 10,
};

#[test]
fn a_grid_and_its_matrix_agree_at_any_eps() {
    let mut rng = Pcg64::seed_from_u64(7);
    for (dims, ground) in [
        (vec![150], GridGround::SqEuclidean),
        (vec![1, 90], GridGround::SqEuclidean),
        (vec![18, 23], GridGround::SqEuclidean),
        (vec![7, 9, 8], GridGround::SqEuclidean),
        (vec![17, 20], GridGround::Cityblock),
    ] {
        let spacing: Vec<f64> = (0..dims.len()).map(|k| 1.0 + 0.5 * k as f64).collect();
        let grid = GridCost::with_spacing(&dims, &spacing, ground).unwrap();
        let range = grid.range().max;
        let n: usize = dims.iter().product();
        let smallest = if ground == GridGround::SqEuclidean {
            6
        } else {
            3
        };
        for empty in [0.0, 0.4] {
            let (a, b) = (
                weights(&dims, 0.3, empty, &mut rng),
                weights(&dims, 0.6, empty, &mut rng),
            );
            let pair = GridPair {
                grid: &grid,
                a: &a,
                b: &b,
            };
            let support = |w: &[f64]| -> Vec<usize> { (0..n).filter(|&k| w[k] > 0.0).collect() };
            let (rows, cols) = (support(&a), support(&b));
            let of = |w: &[f64], s: &[usize]| -> Vec<f64> { s.iter().map(|&k| w[k]).collect() };
            let (heavy_a, heavy_b) = (of(&a, &rows), of(&b, &cols));
            let mut cost = Vec::new();
            for &i in &rows {
                cost.extend(cols.iter().map(|&j| grid.entry(i, j)));
            }
            for power in 1..=smallest {
                let eps = range * 10_f64.powi(-power);
                let answer = solve(pair, eps, None, LIMITS, |_, _, _| true);
                let at = format!("{dims:?} {ground:?} {empty} 1e-{power}: {:?}", answer.end);
                assert_eq!(answer.end, End::Converged, "{at}");
                let (source, target, paid) = by_definition(pair, &answer.f, &answer.g, eps);
                assert!(source <= 1e-9 && target <= 2e-9, "{at} {source} {target}");
                assert!(
                    (target - answer.error).abs() < 1e-10,
                    "{at} {target} {}",
                    answer.error
                );
                let dual = Dual {
                    cost: &cost,
                    a: &heavy_a,
                    b: &heavy_b,
                    gamma_a: f64::INFINITY,
                    gamma_b: f64::INFINITY,
                };
                let path = Path {
                    reg: eps,
                    tol: 1e-9,
                    spread: range,
                    threads: 1,
                };
                let followed = follow(dual, path, None, &mut |_, _| true);
                let (mut f, mut g) = (vec![0.0; n], vec![0.0; n]);
                rows.iter()
                    .zip(&followed.point.f)
                    .for_each(|(&i, p)| f[i] = *p);
                cols.iter()
                    .zip(&followed.point.g)
                    .for_each(|(&j, p)| g[j] = *p);
                let (_, target, want) = by_definition(pair, &f, &g, eps);
                assert!(target <= 2e-9, "{at}: the matrix {target}");
                assert!((paid - want).abs() < 1e-7 * range, "{at}: {paid} {want}");
            }
        }
    }
}

#[test]
fn it_stops_when_told_and_says_so() {
    let mut rng = Pcg64::seed_from_u64(9);
    let dims = [40, 44];
    let grid = GridCost::new(&dims, GridGround::SqEuclidean).unwrap();
    let (a, b) = (
        weights(&dims, 0.3, 0.1, &mut rng),
        weights(&dims, 0.7, 0.1, &mut rng),
    );
    let pair = GridPair {
        grid: &grid,
        a: &a,
        b: &b,
    };
    for rel in [1e-2, 1e-4, 1e-5] {
        let eps = rel * grid.range().max;
        let whole = solve(pair, eps, None, LIMITS, |_, _, _| true);
        assert_eq!(whole.end, End::Converged);
        for most in [1, 2, 3, 5, 9, 14, whole.iterations - 1] {
            let limits = Limits {
                max_iter: most,
                ..LIMITS
            };
            let answer = solve(pair, eps, None, limits, |_, _, _| true);
            // The last one may have been there to confirm what was so.
            let is_done = answer.end == End::Converged && answer.error <= LIMITS.stop;
            assert!(
                answer.end == End::IterationLimit || is_done && most > 14,
                "{rel} {most}"
            );
            assert!(
                answer.iterations <= most,
                "{rel} {most} {}",
                answer.iterations
            );
            let (source, target, _) = by_definition(pair, &answer.f, &answer.g, eps);
            assert!(source < 1e-9, "{rel} {most} {source}");
            let near = 1e-6 * (1.0 + answer.error);
            assert!(
                (target - answer.error).abs() < near,
                "{rel} {most} {target} {}",
                answer.error
            );
            // And by a check.
            let mut left = most;
            let answer = solve(pair, eps, None, LIMITS, |_, _, _| {
                left = left.saturating_sub(1);
                left > 0
            });
            assert!(
                matches!(answer.end, End::Stopped | End::Converged),
                "{rel} {most}"
            );
            let (source, target, _) = by_definition(pair, &answer.f, &answer.g, eps);
            assert!(source < 1e-9, "{rel} {most} {source}");
            let near = 1e-6 * (1.0 + answer.error);
            assert!(
                (target - answer.error).abs() < near,
                "{rel} {most} {target} {}",
                answer.error
            );
        }
    }
}
