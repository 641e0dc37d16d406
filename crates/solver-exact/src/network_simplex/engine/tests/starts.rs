//! Starts: grouped problems, given potentials.

use super::*;

#[test]
fn grouped_starts_are_certified() {
    let mut rng = Pcg64::seed_from_u64(5);
    for round in 0..12 {
        let n = 230 + 40 * (round % 5);
        let m = if round % 3 == 0 {
            n
        } else {
            210 + 30 * (round % 7)
        };
        let c = points(n, m, 1 + round % 4, &mut rng, round % 2 == 1);
        let (a, mut b) = if round % 3 == 0 {
            (uniform(n), uniform(m))
        } else {
            (weights(n, &mut rng), weights(m, &mut rng))
        };
        if round % 4 == 1 {
            let moved = b[0] + b[7];
            (b[0], b[7]) = (0.0, 0.0);
            b[1] += moved;
        }
        certify(&a, &b, &c);
    }
}

#[test]
fn grouped_starts_respect_forbidden_pairs() {
    let mut rng = Pcg64::seed_from_u64(6);
    for round in 0..6 {
        let n = 260;
        let mut c = points(n, n, 2, &mut rng, false);
        for i in 0..n {
            for j in 0..n {
                // Two components, and holes inside of them.
                let apart = (i < 100) != (j < 100);
                if apart || (i != j && rng.random_range(0..3) == 0) {
                    c[i * n + j] = f64::INFINITY;
                }
            }
        }
        let a = if round % 2 == 0 {
            uniform(n)
        } else {
            weights(n, &mut rng)
        };
        // The diagonal is allowed: nobody needs to pay more.
        let diagonal: f64 = (0..n).map(|i| a[i] * c[i * n + i]).sum();
        assert!(certify(&a, &a, &c) <= diagonal * (1.0 + 1e-14));
    }
}

#[test]
fn any_warm_start_gives_the_same_value() {
    let mut rng = Pcg64::seed_from_u64(7);
    for n in [5, 40, 250] {
        let c = points(n, n, 2, &mut rng, false);
        let (a, b) = (weights(n, &mut rng), weights(n, &mut rng));
        let cold = solve(&a, &b, &c);
        let wild: Vec<f64> = (0..n).map(|_| rng.random_range(-1e3..1e3)).collect();
        let broken = vec![f64::INFINITY; n];
        let shifted: Vec<f64> = cold.g.iter().map(|g| g - 1e300).collect();
        let mut torn = vec![-1e308; n];
        torn[0] = 1e308;
        for warm in [&cold.g, &wild, &broken, &shifted, &torn] {
            let again = solve_warm(&a, &b, &c, Some(warm));
            assert_eq!(again.outcome.status, Status::Optimal);
            assert!((again.value - cold.value).abs() <= 1e-13 * cold.value);
        }
        let again = solve_warm(&a, &b, &c, Some(&cold.g));
        assert!(again.outcome.pivots <= cold.outcome.pivots.max(2 * n as u64));
    }
}

#[test]
fn potentials_nearly_right_save_pivots_and_wrong_ones_cost_nothing() {
    let mut rng = Pcg64::seed_from_u64(12);
    let n = 90;
    let (x, y): (Vec<f64>, Vec<f64>) = (0..2 * n)
        .map(|_| (rng.random::<f64>(), rng.random::<f64>()))
        .unzip();
    let c: Vec<f64> = (0..n * n)
        .map(|k| (x[k / n] - x[n + k % n]).powi(2) + (y[k / n] - y[n + k % n]).powi(2))
        .collect();
    let mut weights = || {
        let w: Vec<f64> = (0..n).map(|_| rng.random_range(0.1..1.0)).collect();
        let total: f64 = w.iter().sum();
        w.iter().map(|w| w / total).collect::<Vec<f64>>()
    };
    let (a, b) = (weights(), weights());
    let cold = solve(&a, &b, &c);
    let near: Vec<f64> = cold
        .g
        .iter()
        .zip(0..)
        .map(|(g, k)| g + 1e-4 * f64::from(k % 3))
        .collect();
    let wrong: Vec<f64> = (0..n)
        .map(|k| if k % 2 == 0 { 1e6 } else { -3.0 })
        .collect();
    for in_cache in [IN_CACHE, 0] {
        let from = |g: Option<&[f64]>| {
            solve_instance(&Instance {
                warm: g,
                in_cache,
                ..instance(&a, &b, &c)
            })
        };
        let (none, warm, misled) = (from(None), from(Some(&near)), from(Some(&wrong)));
        assert!(2 * warm.outcome.pivots < none.outcome.pivots);
        assert!(misled.outcome.pivots <= 2 * none.outcome.pivots);
        for other in [&none, &warm, &misled] {
            assert!((other.value - cold.value).abs() < 1e-14);
        }
    }
}
