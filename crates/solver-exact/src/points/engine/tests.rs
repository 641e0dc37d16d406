use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

use solver_api::Ground;

use super::super::testing::{other_grounds, squares};
use super::*;

fn random(n: usize, rng: &mut Pcg64) -> Vec<f64> {
    (0..n).map(|_| rng.random()).collect()
}

fn solved(x: &[f64], y: &[f64], dim: usize, a: &[f64], b: &[f64], coarsest: usize) -> Answer {
    solved_for(&Ground::SqEuclidean, x, y, dim, a, b, coarsest)
}

fn solved_for(
    ground: &Ground,
    x: &[f64],
    y: &[f64],
    dim: usize,
    a: &[f64],
    b: &[f64],
    coarsest: usize,
) -> Answer {
    let instance = Instance {
        x,
        y,
        dim,
        tariff: &Tariff::between(ground, x, y, dim),
        a,
        b,
        idle: [&[], &[]],
        max_pivots: u64::MAX,
        coarsest,
    };
    solve(&instance, &mut |_| true)
}

/// Optimality by all pairs: no reduced cost below rounding, and mass on tight pairs only.
fn assert_optimal(x: &[f64], y: &[f64], dim: usize, a: &[f64], b: &[f64], answer: &Answer) {
    assert_optimal_for(&Ground::SqEuclidean, x, y, dim, a, b, answer);
}

fn assert_optimal_for(
    ground: &Ground,
    x: &[f64],
    y: &[f64],
    dim: usize,
    a: &[f64],
    b: &[f64],
    answer: &Answer,
) {
    assert_eq!(answer.status, Status::Optimal);
    let (n, m) = (a.len(), b.len());
    let base = Tariff::between(ground, x, y, dim).base;
    let cost = |i: usize, j: usize| -> f64 {
        ground.between(&x[i * dim..][..dim], &y[j * dim..][..dim]) - base
    };
    let largest = (0..n)
        .flat_map(|i| (0..m).map(move |j| (i, j)))
        .map(|(i, j)| cost(i, j))
        .fold(0.0, f64::max);
    let slack = 1e-12 * largest + 1e-300;
    for i in 0..n {
        for j in 0..m {
            assert!(answer.f[i] + answer.g[j] <= cost(i, j) + slack);
        }
    }
    let (mut sent, mut got) = (vec![0.0; n], vec![0.0; m]);
    for &(i, j, mass) in &answer.plan {
        let (i, j) = (i as usize, j as usize);
        assert!(mass > 0.0);
        assert!(cost(i, j) - answer.f[i] - answer.g[j] <= slack, "{i} {j}");
        sent[i] += mass;
        got[j] += mass;
    }
    let total: f64 = a.iter().sum();
    let scale = total / b.iter().sum::<f64>();
    for (s, a) in sent.iter().zip(a) {
        assert!((s - a).abs() <= 1e-13 * total, "{s} {a}");
    }
    for (s, b) in got.iter().zip(b) {
        assert!((s - b * scale).abs() <= 1e-13 * total, "{s} {b}");
    }
    assert!(answer.upper - answer.lower <= 1e-12 * (total * largest + answer.upper.abs()));
}

/// Overlapping clouds, separated ones, and a grid with ties, for every cost that grows with a distance.
#[test]
fn every_cost_that_grows() {
    let mut rng = Pcg64::seed_from_u64(6);
    let grounds = other_grounds();
    for (n, m, dim, apart) in [(120, 150, 2, 0.0), (90, 90, 3, 5.0), (100, 64, 2, f64::NAN)] {
        let (mut x, mut y) = (random(n * dim, &mut rng), random(m * dim, &mut rng));
        if apart.is_nan() {
            x.iter_mut()
                .chain(&mut y)
                .for_each(|v| *v = (6.0 * *v).floor());
        } else {
            y.iter_mut().for_each(|v| *v += apart);
        }
        let raw: Vec<f64> = random(n, &mut rng).iter().map(|w| w + 0.1).collect();
        let sum: f64 = raw.iter().sum();
        let a: Vec<f64> = raw.iter().map(|w| w / sum).collect();
        for weights in [vec![1.0 / n as f64; n], a] {
            let b = vec![1.0 / m as f64; m];
            for ground in &grounds {
                let answer = solved_for(ground, &x, &y, dim, &weights, &b, 16);
                assert_optimal_for(ground, &x, &y, dim, &weights, &b, &answer);
            }
        }
    }
}

#[test]
fn random_clouds_of_any_size_and_dimension() {
    let mut rng = Pcg64::seed_from_u64(1);
    for (n, m, dim) in [
        (1, 1, 1),
        (1, 30, 2),
        (50, 7, 3),
        (300, 200, 2),
        (200, 333, 5),
        (257, 129, 17),
    ] {
        let (x, y) = (random(n * dim, &mut rng), random(m * dim, &mut rng));
        let general = |n: usize, rng: &mut Pcg64| -> Vec<f64> {
            let w: Vec<f64> = random(n, rng).iter().map(|w| w * w * w + 1e-6).collect();
            let sum: f64 = w.iter().sum();
            w.iter().map(|v| v / sum).collect()
        };
        let even = |n: usize| vec![1.0 / n as f64; n];
        let weights = [
            (even(n), even(m)),
            (general(n, &mut rng), general(m, &mut rng)),
        ];
        for (a, b) in weights {
            for coarsest in [8, COARSEST] {
                let answer = solved(&x, &y, dim, &a, &b, coarsest);
                assert_optimal(&x, &y, dim, &a, &b, &answer);
            }
        }
    }
}

#[test]
fn ties_grids_and_duplicates_end() {
    // A grid against itself turned by a quarter, a grid against a coarser one, all points in one place, pairs of equal points.
    let grid = |side: usize, step: f64| -> Vec<f64> {
        (0..side * side)
            .flat_map(|k| [(k / side) as f64 * step, (k % side) as f64 * step])
            .collect()
    };
    let one = |n: usize| vec![1.0; n];
    let same = |n: usize, at: f64| vec![at; 2 * n];
    let twice: Vec<f64> = grid(9, 1.0).iter().chain(&grid(9, 1.0)).copied().collect();
    let cases = [
        (grid(16, 1.0), grid(16, 1.0)),
        (grid(16, 1.0), grid(8, 2.0)),
        (same(100, 0.5), same(60, 0.25)),
        (same(40, 0.0), grid(7, 1.0)),
        (twice.clone(), grid(9, 1.0)),
        (twice.clone(), twice),
    ];
    for (x, y) in cases {
        let (n, m) = (x.len() / 2, y.len() / 2);
        let a = one(n);
        let b = vec![n as f64 / m as f64; m];
        for coarsest in [8, COARSEST] {
            assert_optimal(&x, &y, 2, &a, &b, &solved(&x, &y, 2, &a, &b, coarsest));
        }
        // Integers that are all different.
        let a: Vec<f64> = (0..n).map(|k| (k % 7 + 1) as f64).collect();
        let sum: f64 = a.iter().sum();
        let b = vec![sum / m as f64; m];
        assert_optimal(&x, &y, 2, &a, &b, &solved(&x, &y, 2, &a, &b, 8));
    }
}

#[test]
fn weights_of_any_size() {
    let mut rng = Pcg64::seed_from_u64(9);
    let (x, y) = (random(400, &mut rng), random(400, &mut rng));
    let a: Vec<f64> = (0..200).map(|k| (-(k as f64) * 0.15).exp2()).collect();
    let sum: f64 = a.iter().sum();
    let b: Vec<f64> = vec![sum / 200.0; 200];
    assert_optimal(&x, &y, 2, &a, &b, &solved(&x, &y, 2, &a, &b, 8));
}

#[test]
fn a_stop_leaves_a_plan_and_a_bracket() {
    let mut rng = Pcg64::seed_from_u64(3);
    let (n, m) = (600, 500);
    let (x, y) = (random(2 * n, &mut rng), random(2 * m, &mut rng));
    let a: Vec<f64> = random(n, &mut rng).iter().map(|w| w + 0.1).collect();
    let sum: f64 = a.iter().sum();
    let b = vec![sum / m as f64; m];
    let best = solved(&x, &y, 2, &a, &b, 16);
    let mut looks = 0;
    let instance = Instance {
        x: &x,
        y: &y,
        dim: 2,
        tariff: &squares(),
        a: &a,
        b: &b,
        idle: [&[], &[]],
        max_pivots: u64::MAX,
        coarsest: 16,
    };
    solve(&instance, &mut |_| {
        looks += 1;
        true
    });
    assert!(looks > 20, "{looks}");
    let mut before: (f64, f64) = (f64::NEG_INFINITY, f64::INFINITY);
    for stop in 0..looks {
        let mut seen = 0;
        let answer = solve(&instance, &mut |stage| {
            if let Some((lower, upper)) = stage.bracket {
                assert!(lower <= best.upper && best.lower <= upper * (1.0 + 1e-12));
            }
            seen += 1;
            seen <= stop
        });
        assert_eq!(answer.status, Status::Stopped);
        assert!(answer.lower <= best.upper && answer.upper >= best.lower);
        let sent: f64 = answer.plan.iter().map(|p| p.2).sum();
        assert!((sent - sum).abs() < 1e-12 * sum);
        before = (before.0.max(answer.lower), before.1.min(answer.upper));
    }
    // The last stops are near the end, and their brackets are near the optimum.
    assert!(
        before.1 - before.0 < 0.1 * best.upper,
        "{before:?} {}",
        best.upper
    );
}

#[test]
fn pivots_that_run_out_leave_a_plan_too() {
    let mut rng = Pcg64::seed_from_u64(4);
    let (x, y) = (random(1000, &mut rng), random(1000, &mut rng));
    let a: Vec<f64> = random(500, &mut rng).iter().map(|w| w + 0.1).collect();
    let b = vec![a.iter().sum::<f64>() / 500.0; 500];
    let instance = Instance {
        x: &x,
        y: &y,
        dim: 2,
        tariff: &squares(),
        a: &a,
        b: &b,
        idle: [&[], &[]],
        max_pivots: 3,
        coarsest: 16,
    };
    let answer = solve(&instance, &mut |_| true);
    assert_eq!((answer.status, answer.pivots), (Status::IterationLimit, 3));
    assert!(answer.lower <= answer.upper);
}
