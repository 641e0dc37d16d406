//! Densities of flows: mass, the way back, marginals, against closed forms.
#![allow(clippy::unwrap_used)]

use ot_nn::{Layer, Network};
use rand::{RngExt, SeedableRng};
use rand_distr::StandardNormal;
use rand_pcg::Pcg64;
use solver_spot::Flow;
use solver_spot::flow::{DensityGrid, DormandPrince, EntropicGaussians, l1, spaced};

fn moved(dims: &[usize], by: f64) -> Flow {
    let mut flow: Flow = Flow::perceptron(dims, 12, 2, 1).unwrap();
    let mut rng = Pcg64::seed_from_u64(9);
    for w in flow.parameters_mut() {
        let step: f64 = rng.sample(StandardNormal);
        *w += by * step;
    }
    flow
}

/// A field that is nearly linear, z' = A z: tanh of small numbers, made large again.
fn linear(a: [[f64; 2]; 2]) -> Flow {
    let small = 1e-5;
    let layers = [Layer::linear(3, 2), Layer::Tanh, Layer::linear(2, 2)];
    let mut network: Network = Network::new(&layers, 0).unwrap();
    let w = network.parameters_mut();
    w.fill(0.0);
    // First layer: small·z, biases 0 behind its six weights.
    (w[0], w[4]) = (small, small);
    let last = 8;
    for i in 0..2 {
        for j in 0..2 {
            w[last + 2 * i + j] = a[i][j] / small;
        }
    }
    Flow::new(network, &[1, 1]).unwrap()
}

#[test]
fn a_linear_field_makes_a_gaussian() {
    // z' = A z with A = [[0.3, −0.8], [0.8, 0.3]]: a turn by 0.8 and a growth by e^{0.3}; the law stays round.
    let flow = linear([[0.3, -0.8], [0.8, 0.3]]);
    let by = DormandPrince::default();
    let z = [1.0, 0.0, -0.4, 2.0];
    let made = flow.push(&z, &by).unwrap();
    let (grow, sin, cos) = (0.3_f64.exp(), 0.8_f64.sin(), 0.8_f64.cos());
    for (row, z) in made.rows.chunks_exact(2).zip(z.chunks_exact(2)) {
        assert!((row[0] - grow * (cos * z[0] - sin * z[1])).abs() < 1e-6);
        assert!((row[1] - grow * (sin * z[0] + cos * z[1])).abs() < 1e-6);
    }
    // N(0, e^{0.6} I), at any point.
    let x = [0.0, 0.0, 1.5, -2.0, -3.0, 0.1];
    let there = flow.pull(&x, &by).unwrap();
    for (x, p) in x.chunks_exact(2).zip(&there.log_density) {
        let square = (x[0] * x[0] + x[1] * x[1]) / 0.6_f64.exp();
        let expected = -0.5 * square - (2.0 * std::f64::consts::PI).ln() - 0.6;
        assert!((p - expected).abs() < 1e-6, "{p} {expected}");
    }
}

#[test]
fn the_way_back_is_the_way() {
    for dims in [&[1, 1][..], &[2, 3]] {
        let flow = moved(dims, 0.3);
        let made = flow.sample(300, 5, &DormandPrince::default()).unwrap();
        let back = flow.pull(&made.rows, &DormandPrince::default()).unwrap();
        let again = flow.push(&back.rows, &DormandPrince::default()).unwrap();
        for (a, b) in again.rows.iter().zip(&made.rows) {
            assert!((a - b).abs() < 1e-5, "{a} {b}");
        }
        for (a, b) in back.log_density.iter().zip(&made.log_density) {
            assert!((a - b).abs() < 1e-5, "{a} {b}");
        }
    }
}

#[test]
fn a_density_has_mass_one_and_is_that_of_its_samples() {
    let flow = moved(&[1, 1], 0.25);
    let (x, y) = (spaced(-9.0, 9.0, 160), spaced(-9.0, 9.0, 160));
    let grid = DensityGrid::of(&flow, &x, &y, &DormandPrince::default()).unwrap();
    assert!((grid.mass() - 1.0).abs() < 1e-3, "{}", grid.mass());
    let made = flow.sample(40_000, 2, &DormandPrince::default()).unwrap();
    let of = |h: &dyn Fn(f64, f64) -> f64| {
        let rows = made.rows.chunks_exact(2);
        rows.map(|r| h(r[0], r[1])).sum::<f64>() / 40_000.0
    };
    for (name, h) in [
        ("x", &(|x: f64, _: f64| x) as &dyn Fn(f64, f64) -> f64),
        ("y", &|_, y| y),
        ("xy", &|x, y| x * y),
        ("sin", &|x, y| (x + 2.0 * y).sin()),
    ] {
        let (found, expected) = (of(h), grid.mean(|x, y, _| h(x, y)));
        assert!(
            (found - expected).abs() < 0.03,
            "{name}: {found} {expected}"
        );
    }
    // E ln p by samples and by quadrature.
    let sampled = made.log_density.iter().sum::<f64>() / 40_000.0;
    assert!((sampled - grid.mean(|_, _, p| p.ln())).abs() < 0.03);
}

#[test]
fn the_closed_form_is_the_best_gaussian() {
    for reg in [1e-3, 0.1, 0.5, 2.0, 50.0] {
        let best = EntropicGaussians::new([0.0, 2.0], [1.0, 0.5_f64.sqrt()], reg).unwrap();
        let (s, u) = (1.0, 0.5_f64.sqrt());
        let value = |r: f64| -2.0 * r * s * u - 0.5 * reg * (1.0 - r * r).ln();
        let r = best.correlation();
        assert!(r > 0.0 && r < 1.0);
        for other in [r - 1e-4 * (1.0 - r), r + 1e-4 * (1.0 - r)] {
            assert!(value(other) > value(r), "reg {reg}: {other} beats {r}");
        }
    }
    let narrow = EntropicGaussians::new([0.0, 2.0], [1.0, 0.5_f64.sqrt()], 1e-12).unwrap();
    // Without entropy: (m₁ − m₂)² + (s₁ − s₂)².
    let expected = 4.0 + (1.0 - 0.5_f64.sqrt()).powi(2);
    assert!((narrow.cost() - expected).abs() < 1e-9);
}

#[test]
fn quadrature_of_the_closed_form() {
    let law = EntropicGaussians::new([0.0, 2.0], [1.0, 0.5_f64.sqrt()], 0.5).unwrap();
    let (x, y) = (spaced(-6.0, 6.0, 150), spaced(-3.0, 7.0, 150));
    let grid = DensityGrid::from_fn(&x, &y, |x, y| law.density(x, y)).unwrap();
    assert!((grid.mass() - 1.0).abs() < 1e-8);
    assert!((grid.correlation() - law.correlation()).abs() < 1e-7);
    assert!((grid.mean(|x, y, _| (x - y).powi(2)) - law.cost()).abs() < 1e-6);
    assert!((grid.mean(|_, _, p| p.ln()) - law.negative_entropy()).abs() < 1e-6);
    let [of_x, of_y] = grid.marginals();
    let normal = |x: f64, m: f64, v: f64| {
        (-(x - m).powi(2) / (2.0 * v)).exp() / (2.0 * std::f64::consts::PI * v).sqrt()
    };
    let expected: Vec<f64> = x.iter().map(|x| normal(*x, 0.0, 1.0)).collect();
    assert!(l1(&x, &of_x, &expected) < 1e-8);
    let expected: Vec<f64> = y.iter().map(|y| normal(*y, 2.0, 0.5)).collect();
    assert!(l1(&y, &of_y, &expected) < 1e-8);
    // Two laws that are apart by a known amount: masses 1 that hardly overlap are 2 apart.
    let far = DensityGrid::from_fn(&x, &y, |x, y| law.density(x - 40.0, y)).unwrap();
    assert!((grid.l1(&far).unwrap() - 1.0).abs() < 1e-6);
    assert!(grid.l1(&grid).unwrap() == 0.0);
}

#[test]
fn what_does_not_fit_is_said() {
    let flow: Flow = Flow::perceptron(&[1, 1], 4, 1, 0).unwrap();
    let by = DormandPrince::default();
    let network = |layers: &[Layer]| Network::<f64>::new(layers, 0).unwrap();
    let all = [
        flow.push(&[1.0], &by).unwrap_err().to_string(),
        flow.pull(&[1.0, f64::NAN], &by).unwrap_err().to_string(),
        Flow::<f64>::perceptron(&[1, 0], 4, 1, 0)
            .unwrap_err()
            .to_string(),
        Flow::<f64>::perceptron(&[1, 1], 4, 0, 0)
            .unwrap_err()
            .to_string(),
        Flow::new(network(&[Layer::linear(2, 2)]), &[1, 1])
            .unwrap_err()
            .to_string(),
        Flow::new(
            network(&[
                Layer::linear(3, 4),
                Layer::LeakyRelu { slope: 0.1 },
                Layer::linear(4, 2),
            ]),
            &[1, 1],
        )
        .unwrap_err()
        .to_string(),
        DensityGrid::of(&flow, &[0.0, 1.0, 3.0], &[0.0, 1.0], &by)
            .unwrap_err()
            .to_string(),
        DensityGrid::of(
            &Flow::perceptron(&[2, 1], 4, 1, 0).unwrap(),
            &[0.0, 1.0],
            &[0.0, 1.0],
            &by,
        )
        .unwrap_err()
        .to_string(),
        EntropicGaussians::new([0.0, 2.0], [1.0, -1.0], 0.5)
            .unwrap_err()
            .to_string(),
        flow.adjoint(&[0.0, 1.0], &[0.0], &[0.0], &by, &mut [])
            .unwrap_err()
            .to_string(),
    ];
    insta::assert_snapshot!(all.join("\n"), @r"
    `z`: 1 numbers, but rows of 2 take a multiple of that many
    `x` has NaN at 1: all must be finite
    `dims`: [1, 0], but they share rows of 1
    `network`: 1 layers, but a field has hidden layers, and its last layer is linear
    `network`: 2 inputs, but rows of 2 that move need 3 inputs: z and t
    `network`: LeakyRelu { slope: 0.1 } in place 1, but a field is linear layers, not normalized, with tanh between
    `x`: other numbers, but they must ascend in equal steps
    `flow`: marginals of dimensions [2, 1], but a grid is for [1, 1]
    `deviations` = -1: must be positive and finite
    `by_end`: 1 numbers, but 2 are needed
    ");
}
