//! Every method ends at the same point, which satisfies the conditions of optimality.

use ot_entropic::dual::{Dual, Point};
use ot_entropic::path::{End, Path, follow, follow_carefully, go_on};
use ot_entropic::scaling::{Acceleration, Scaling, scale};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

struct Data {
    cost: Vec<f64>,
    a: Vec<f64>,
    b: Vec<f64>,
    spread: f64,
}

fn data(n: usize, m: usize, dim: usize, seed: u64) -> Data {
    let mut rng = Pcg64::seed_from_u64(seed);
    let mut draw = |k: usize| -> Vec<f64> { (0..k).map(|_| rng.random::<f64>()).collect() };
    let (x, y) = (draw(n * dim), draw(m * dim));
    let mut weights = |k: usize| -> Vec<f64> {
        let w: Vec<f64> = draw(k).iter().map(|w| w + 1e-3).collect();
        let sum: f64 = w.iter().sum();
        w.iter().map(|w| w / sum).collect()
    };
    let (a, b) = (weights(n), weights(m));
    let mut cost = Vec::with_capacity(n * m);
    for i in 0..n {
        for j in 0..m {
            let square = |k: usize| (x[i * dim + k] - y[j * dim + k]).powi(2);
            cost.push((0..dim).map(square).sum());
        }
    }
    let high = cost.iter().fold(0.0_f64, |t, c| t.max(*c));
    let low = cost.iter().fold(f64::INFINITY, |t, c| t.min(*c));
    Data {
        cost,
        a,
        b,
        spread: high - low,
    }
}

/// The larger of the two L1 errors, from the potentials alone and in plain f64.
fn error_of(dual: &Dual<'_, f64>, point: &Point) -> f64 {
    let (n, m) = dual.shape();
    let (mut rows, mut cols) = (vec![0.0; n], vec![0.0; m]);
    for i in 0..n {
        for j in 0..m {
            let x = (point.f[i] + point.g[j] - dual.cost[i * m + j]) / point.eps;
            let p = dual.a[i] * dual.b[j] * x.exp();
            rows[i] += p;
            cols[j] += p;
        }
    }
    let wanted = |w: f64, p: f64, gamma: f64| {
        if gamma.is_infinite() {
            w
        } else {
            w * (-p / gamma).exp()
        }
    };
    let row = (0..n).map(|i| (rows[i] - wanted(dual.a[i], point.f[i], dual.gamma_a)).abs());
    let col = (0..m).map(|j| (cols[j] - wanted(dual.b[j], point.g[j], dual.gamma_b)).abs());
    row.sum::<f64>().max(col.sum())
}

fn path_of(data: &Data, reg: f64) -> Path {
    Path {
        reg,
        tol: 1e-11,
        spread: data.spread,
        threads: 1,
    }
}

#[test]
fn paths_reach_any_regularization() {
    for (seed, (n, m, dim)) in [
        (60, 60, 2),
        (90, 50, 1),
        (40, 130, 8),
        (1, 20, 2),
        (30, 1, 3),
    ]
    .into_iter()
    .enumerate()
    {
        let data = data(n, m, dim, seed as u64);
        for relative in [1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6] {
            for (gamma_a, gamma_b) in [
                (f64::INFINITY, f64::INFINITY),
                (0.3, 0.3),
                (1e4, 0.05),
                (f64::INFINITY, 0.2),
                (0.01, f64::INFINITY),
            ] {
                let dual = Dual {
                    cost: &data.cost,
                    a: &data.a,
                    b: &data.b,
                    gamma_a,
                    gamma_b,
                };
                let mut path = path_of(&data, relative * data.spread);
                path.tol = path.tol.max(1e-15 / relative);
                let followed = follow(dual, path, None, &mut |_, _| true);
                let case = format!("{n}x{m} d={dim} reg={relative:e} γ={gamma_a},{gamma_b}");
                assert_eq!(followed.end, End::Converged, "{case} {:?}", followed.work);
                let error = error_of(&dual, &followed.point);
                assert!(
                    error <= 1e-10_f64.max(1e-14 / relative),
                    "{case}: {error:e}"
                );
            }
        }
    }
}

#[test]
fn stretches_and_careful_paths_end_where_the_whole_path_does() {
    for (seed, (n, m)) in [(90, 50), (200, 230)].into_iter().enumerate() {
        let data = data(n, m, 2, 20 + seed as u64);
        let dual = Dual {
            cost: &data.cost,
            a: &data.a,
            b: &data.b,
            gamma_a: f64::INFINITY,
            gamma_b: f64::INFINITY,
        };
        let at = |relative: f64| path_of(&data, relative * data.spread);
        let whole = follow(dual, at(1e-4), None, &mut |_, _| true);
        let mut point = follow(dual, at(0.05), None, &mut |_, _| true).point;
        for relative in [5e-3, 1e-3, 1e-4] {
            let next = go_on(dual, at(relative), &point, &mut |_, _| true);
            assert_eq!(next.end, End::Converged);
            // From the potentials alone, to the same bits.
            let mut kept = Point::new(n, point.g.clone(), point.eps);
            kept.f.copy_from_slice(&point.f);
            let again = go_on(dual, at(relative), &kept, &mut |_, _| true);
            assert_eq!(next.point.g, again.point.g);
            point = next.point;
        }
        let careful = follow_carefully(dual, at(1e-4), &mut |_, _| true);
        assert_eq!(careful.end, End::Converged);
        for found in [&point, &careful.point] {
            let shift = found.g[0] - whole.point.g[0];
            for (x, y) in found.g.iter().zip(&whole.point.g) {
                assert!((x - shift - y).abs() < 1e-9 * data.spread);
            }
        }
        // The plan that comes along has the marginals.
        if let Some(plan) = &whole.plan {
            for i in 0..n {
                let sent: f64 = plan.row(i).1.iter().sum();
                assert!((sent - data.a[i]).abs() < 1e-14);
            }
        }
    }
}

#[test]
fn scaling_agrees_with_the_path() {
    let data = data(70, 50, 2, 9);
    for relative in [1.0, 1e-1, 1e-2] {
        for (gamma_a, gamma_b) in [
            (f64::INFINITY, f64::INFINITY),
            (0.3, 0.1),
            (100.0, 100.0),
            (f64::INFINITY, 0.2),
        ] {
            let dual = Dual {
                cost: &data.cost,
                a: &data.a,
                b: &data.b,
                gamma_a,
                gamma_b,
            };
            let path = path_of(&data, relative * data.spread);
            let wanted = follow(dual, path, None, &mut |_, _| true).point;
            for acceleration in [
                Acceleration::Plain,
                Acceleration::OverRelaxation,
                Acceleration::Anderson,
            ] {
                for by_stages in [false, true] {
                    let scaling = Scaling {
                        acceleration,
                        reg: path.reg,
                        tol: 1e-11,
                        spread: data.spread,
                        max_iter: 50_000,
                        threads: 1,
                        by_stages,
                    };
                    let found = scale(dual, scaling, None, &mut |_, _| true);
                    let case = format!(
                        "{acceleration:?} reg={relative:e} γ={gamma_a},{gamma_b} {by_stages} {:?}",
                        found.work
                    );
                    assert_eq!(found.end, End::Converged, "{case}");
                    assert!(error_of(&dual, &found.point) < 1e-10, "{case}");
                    // Up to the constant that balanced potentials are free by.
                    let shift = if dual.is_balanced() {
                        found.point.g[0] - wanted.g[0]
                    } else {
                        0.0
                    };
                    for (x, y) in found.point.g.iter().zip(&wanted.g) {
                        assert!((x - y - shift).abs() < 1e-7 * data.spread, "{case}");
                    }
                }
            }
        }
    }
}
