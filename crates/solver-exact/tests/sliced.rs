//! Sliced distances against the network simplex on the same projections, and their gradients.
#![cfg(feature = "network-simplex")]
#![allow(clippy::unwrap_used)] // helpers of tests may unwrap, as tests do

use proptest::prelude::*;
use solver_api::{Ground, Measure, Problem, Solver};
use solver_exact::NetworkSimplex;
use solver_exact::closed::sliced::{Directions, sliced_gradient, sliced_wasserstein};

/// Weights of both sides, points, and their dimension.
type Clouds = (Vec<f64>, Vec<f64>, Vec<f64>, Vec<f64>, usize);

/// Clouds with ties, duplicates and zero weights.
fn clouds() -> impl Strategy<Value = Clouds> {
    (1_usize..9, 1_usize..9, 1_usize..4).prop_flat_map(|(n, m, dim)| {
        let weight = prop_oneof![1 => Just(0.0), 2 => Just(1.0), 2 => 0.01..5.0_f64];
        let point = prop_oneof![(-2..3_i32).prop_map(f64::from), -3.0..3.0_f64];
        (
            prop::collection::vec(weight.clone(), n),
            prop::collection::vec(weight, m),
            prop::collection::vec(point.clone(), n * dim),
            prop::collection::vec(point, m * dim),
        )
            .prop_filter_map("no mass", move |(a, mut b, x, y)| {
                let (mass, other): (f64, f64) = (a.iter().sum(), b.iter().sum());
                b.iter_mut().for_each(|w| *w *= mass / other);
                (mass > 0.0 && other > 0.0).then_some((a, b, x, y, dim))
            })
    })
}

fn projected(points: &[f64], theta: &[f64]) -> Vec<f64> {
    let rows = points.chunks_exact(theta.len());
    rows.map(|x| x.iter().zip(theta).map(|(x, t)| x * t).sum())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_value_is_the_mean_of_exact_ones((a, b, x, y, dim) in clouds(), p in prop_oneof![Just(1.0), Just(2.0), 1.0..4.0_f64]) {
        let directions = Directions::random(5, dim, 3)?;
        let (am, bm) = (Measure::named("a", &a[..])?, Measure::named("b", &b[..])?);
        let found = sliced_wasserstein(&am, &bm, &x, &y, &directions, p)?;
        let mut sum = 0.0;
        for theta in directions.rows().chunks_exact(dim) {
            let (px, py) = (projected(&x, theta), projected(&y, theta));
            let problem = Problem::from_points(&a, &b, &px, &py, 1, Ground::Power(p))?;
            sum += NetworkSimplex::default().solve(&problem)?.transport_cost;
        }
        let exact = sum / 5.0;
        let scale = am.mass() * 12_f64.powf(p);
        prop_assert!((found - exact).abs() <= 1e-12 * exact.max(1e-3 * scale), "{found} {exact}");
        // The potentials of the weights add up to it, and exchanging the sides exchanges the gradients.
        let slopes = sliced_gradient(&am, &bm, &x, &y, &directions, p)?;
        prop_assert!((slopes.value - found).abs() <= 1e-14 * scale);
        let paired = |u: &[f64], w: &[f64]| -> f64 { u.iter().zip(w).map(|(u, w)| u * w).sum() };
        let (fa, gb) = (paired(&slopes.a, &a), paired(&slopes.b, &b));
        prop_assert!((fa + gb - found).abs() <= 1e-12 * scale && (fa - gb).abs() <= 1e-12 * scale);
        let turned = sliced_gradient(&bm, &am, &y, &x, &directions, p)?;
        prop_assert!((turned.value - found).abs() <= 1e-13 * scale);
    }
}

/// A cloud without ties.
fn cloud(n: usize, dim: usize, seed: u64) -> Vec<f64> {
    let word = |k: u64| {
        (k.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ seed.wrapping_mul(0xD134_2543_DE82_EF95)) >> 11
    };
    (0..(n * dim) as u64)
        .map(|k| word(word(k + 1 + seed) + k) as f64 / (1_u64 << 53) as f64)
        .collect()
}

#[test]
fn gradients_are_those_of_finite_differences() {
    let (n, m, dim) = (7, 5, 3);
    let (x, y) = (cloud(n, dim, 1), cloud(m, dim, 2));
    let (a, b) = (cloud(n, 1, 3), cloud(m, 1, 4));
    let side = |w: &[f64]| Measure::new(w).unwrap();
    let b: Vec<f64> = b
        .iter()
        .map(|v| v * a.iter().sum::<f64>() / b.iter().sum::<f64>())
        .collect();
    let directions = Directions::random(20, dim, 9).unwrap();
    for p in [1.0, 1.5, 2.0, 3.0] {
        let at = |a: &[f64], b: &[f64], x: &[f64], y: &[f64]| {
            sliced_wasserstein(&side(a), &side(b), x, y, &directions, p).unwrap()
        };
        let found = sliced_gradient(&side(&a), &side(&b), &x, &y, &directions, p).unwrap();
        let h = 1e-6;
        let slope = |v: &[f64], steps: &[(usize, f64)], at: &dyn Fn(&[f64]) -> f64| {
            let moved = |h: f64| {
                let mut v = v.to_vec();
                steps.iter().for_each(|&(k, by)| v[k] += h * by);
                at(&v)
            };
            (moved(h) - moved(-h)) / (2.0 * h)
        };
        for k in 0..n * dim {
            let wanted = slope(&x, &[(k, 1.0)], &|x| at(&a, &b, x, &y));
            assert!(
                (wanted - found.x[k]).abs() < 1e-7,
                "p = {p}, x {k}: {wanted} {}",
                found.x[k]
            );
        }
        for k in 0..m * dim {
            let wanted = slope(&y, &[(k, 1.0)], &|y| at(&a, &b, &x, y));
            assert!(
                (wanted - found.y[k]).abs() < 1e-7,
                "p = {p}, y {k}: {wanted} {}",
                found.y[k]
            );
        }
        // Along e_i − e_j, which keeps the masses equal.
        for k in 1..n {
            let wanted = slope(&a, &[(k, 1.0), (0, -1.0)], &|a| at(a, &b, &x, &y));
            let given = found.a[k] - found.a[0];
            assert!(
                (wanted - given).abs() < 1e-7,
                "p = {p}, a {k}: {wanted} {given}"
            );
        }
        for k in 1..m {
            let wanted = slope(&b, &[(k, 1.0), (0, -1.0)], &|b| at(&a, b, &x, &y));
            let given = found.b[k] - found.b[0];
            assert!(
                (wanted - given).abs() < 1e-7,
                "p = {p}, b {k}: {wanted} {given}"
            );
        }
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let (n, m, dim) = (9000, 5000, 2);
    let (x, y) = (cloud(n, dim, 1), cloud(m, dim, 2));
    let (a, b) = (Measure::uniform(n).unwrap(), Measure::uniform(m).unwrap());
    let directions = Directions::random(40, dim, 1).unwrap();
    let with = |threads: usize| {
        let context = solver_api::Context::new().with_threads(threads).unwrap();
        context.install(|| sliced_gradient(&a, &b, &x, &y, &directions, 2.0).unwrap())
    };
    assert!(with(1) == with(3));
    assert_eq!(directions, Directions::random(40, dim, 1).unwrap());
    // Equal clouds are at no distance, and shifted ones at that of the shift's projections.
    let shifted: Vec<f64> = x.chunks_exact(2).flat_map(|x| [x[0] + 3.0, x[1]]).collect();
    let same = sliced_gradient(&a, &a, &x, &x, &directions, 1.0).unwrap();
    assert!(same.value == 0.0 && same.x.iter().all(|g| *g == 0.0));
    let far = sliced_wasserstein(&a, &a, &x, &shifted, &directions, 2.0).unwrap();
    let wanted = directions
        .rows()
        .chunks_exact(2)
        .map(|t| 9.0 * t[0] * t[0])
        .sum::<f64>()
        / 40.0;
    assert!((far - wanted).abs() < 1e-12 * wanted);
}
