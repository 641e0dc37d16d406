//! Laws that every method of a fixed support keeps.

use std::sync::Arc;

use ot_apps::{Domain, UnbalancedBarycenter, UnbalancedBarycenterSettings};
use solver_api::{Barycenters, Context, Cost, DenseCost, Measure, Reg};

use super::{apart, bregman, bump, grid, methods};

const SIZE: (usize, usize) = (12, 13);

fn two() -> [Measure; 2] {
    [
        bump(SIZE, [4.0, 4.0], [1.0, 0.2, 0.8]),
        bump(SIZE, [6.0, 7.0], [0.7, 0.0, 1.2]),
    ]
}

fn ask(method: &dyn Barycenters, measures: &[Measure], lambda: &[f64]) -> Measure {
    let cost = grid(&[SIZE.0, SIZE.1]);
    let answer = method.barycenter(&cost, measures, lambda, &mut Context::default());
    answer.expect("an answer").weights
}

#[test]
fn mass_is_kept_and_only_ratios_of_weights_count() {
    let [p, r] = two();
    let heavy = Measure::new(p.weights().iter().map(|w| 7.0 * w).collect::<Vec<_>>());
    let heavy = heavy.expect("weights");
    for (name, method, _) in methods() {
        let q = ask(method.as_ref(), &[p.clone(), r.clone()], &[0.25, 0.75]);
        assert!((q.mass() - 1.0).abs() < 1e-14, "{name}: {}", q.mass());
        // Masses of the measures, and the sum of λ, have no say.
        let other = ask(method.as_ref(), &[heavy.clone(), r.clone()], &[3.0, 9.0]);
        assert!(apart(&q, &other) < 1e-9, "{name}");
        // A measure of weight 0 takes no part.
        let third = bump(SIZE, [9.0, 2.0], [1.0, 0.0, 1.0]);
        let with = ask(
            method.as_ref(),
            &[p.clone(), third, r.clone()],
            &[0.25, 0.0, 0.75],
        );
        assert!(apart(&q, &with) < 1e-12, "{name}");
        // In another order.
        let turned = ask(method.as_ref(), &[r.clone(), p.clone()], &[0.75, 0.25]);
        assert!(apart(&q, &turned) < 1e-9, "{name}: {}", apart(&q, &turned));
    }
}

/// What is far from the border moves as its measures do.
#[test]
fn barycenters_move_with_their_measures() {
    let moved = |by: usize| {
        [
            bump(SIZE, [4.0, 4.0 + by as f64], [0.5, 0.1, 0.4]),
            bump(SIZE, [6.0, 6.0 + by as f64], [0.4, 0.0, 0.6]),
        ]
    };
    for (name, method, _) in methods() {
        let here = ask(method.as_ref(), &moved(0), &[1.0, 2.0]);
        let there = ask(method.as_ref(), &moved(2), &[1.0, 2.0]);
        let off: f64 = (0..SIZE.0 * SIZE.1)
            .filter(|e| e % SIZE.1 >= 2)
            .map(|e| (there.weights()[e] - here.weights()[e - 2]).abs())
            .sum();
        let tolerance = if name == "ipot" { 0.02 } else { 1e-3 };
        assert!(off < tolerance, "{name}: {off}");
    }
}

/// Scalings and logarithms, a grid, its matrix, and a matrix that is not known for one.
#[test]
fn every_way_to_a_product_gives_the_same() {
    let measures = two();
    let cost = grid(&[SIZE.0, SIZE.1]);
    let matrix: Arc<dyn Cost> = Arc::new(DenseCost::materialize(cost.as_ref()).expect("a matrix"));
    // The columns in another order.
    let (n, order) = (SIZE.0 * SIZE.1, |j: usize| (j * 5 + 3) % 156);
    let mut entries = vec![0.0; n * n];
    for (i, row) in entries.chunks_exact_mut(n).enumerate() {
        (0..n).for_each(|j| row[j] = cost.entry(i, order(j)));
    }
    let shuffled: Arc<dyn Cost> = Arc::new(DenseCost::new(n, n, entries).expect("a matrix"));
    for reg in [4.0, 1.0, 0.5, 0.2] {
        let mut answers = Vec::new();
        for domain in [Domain::Scalings, Domain::Logarithms] {
            // Scalings end at a spread of 600 ε, here 265.
            if domain == Domain::Scalings && reg < 0.45 {
                continue;
            }
            let method = bregman(reg, 1e-9, false, domain);
            for (cost, turned) in [(&cost, false), (&matrix, false), (&shuffled, true)] {
                let mut context = Context::default();
                let answer = method.barycenter(cost, &measures, &[2.0, 1.0], &mut context);
                let answer = answer.expect("an answer");
                assert!(answer.convergence.converged(), "{reg} {domain:?}");
                let mut q = vec![0.0; n];
                for (j, w) in answer.weights.weights().iter().enumerate() {
                    q[if turned { order(j) } else { j }] = *w;
                }
                let bracket = answer.certificate.expect("a bracket");
                answers.push((Measure::new(q).expect("weights"), bracket));
            }
        }
        for (other, bracket) in &answers[1..] {
            let off = apart(&answers[0].0, other);
            assert!(off < 1e-6, "{reg}: {off}");
            assert!((bracket.lower - answers[0].1.lower).abs() < 1e-5, "{reg}");
            assert!((bracket.upper - answers[0].1.upper).abs() < 1e-5, "{reg}");
        }
    }
}

/// The bracket closes with ε: an ε of 1e-5 of the largest cost.
#[test]
fn any_epsilon_is_reached() {
    let measures = two();
    let cost = grid(&[SIZE.0, SIZE.1]);
    let method = bregman(265.0 * 1e-5, 1e-4, false, Domain::Auto);
    let answer = method.barycenter(&cost, &measures, &[1.0, 1.0], &mut Context::default());
    let answer = answer.expect("an answer");
    assert!(answer.convergence.converged(), "{:?}", answer.convergence);
    let bracket = answer.certificate.expect("a bracket");
    assert!(
        bracket.lower > 0.0 && bracket.gap() < 0.02 * bracket.lower,
        "{bracket:?}"
    );
}

#[test]
fn relaxed_barycenters_scale_with_mass_and_forget_what_is_far() {
    let settings = UnbalancedBarycenterSettings {
        reg: Reg::Absolute(0.5),
        gamma: 2.0,
        tol: 1e-10,
        max_iter: 100_000,
    };
    let relaxed = UnbalancedBarycenter::new(settings).expect("valid");
    let cost = grid(&[SIZE.0, SIZE.1]);
    let ask = |measures: &[Measure], lambda: &[f64]| {
        let answer = relaxed.barycenter(&cost, measures, lambda, &mut Context::default());
        let answer = answer.expect("an answer");
        assert!(answer.convergence.converged(), "{:?}", answer.convergence);
        answer.weights
    };
    let twice = |p: &Measure| {
        Measure::new(p.weights().iter().map(|w| 2.0 * w).collect::<Vec<_>>()).expect("weights")
    };
    // The entropy is of P itself, so that twice the measures are twice the plans but for its linear term: near enough to
    // tell an answer of mass 1 from one of mass 2.
    let [p, r] = two();
    let (once, doubled) = (
        ask(&[p.clone(), r.clone()], &[1.0, 1.0]),
        ask(&[twice(&p), twice(&r)], &[1.0, 1.0]),
    );
    let ratio = doubled.mass() / once.mass();
    assert!(ratio > 1.5 && ratio < 2.5, "{ratio}");
    // Two bumps that cost more to join than to give up: mass stays near both and none is between.
    let far = [
        bump(SIZE, [2.0, 2.0], [0.3, 0.0, 0.3]),
        bump(SIZE, [9.0, 10.0], [0.3, 0.0, 0.3]),
    ];
    let q = ask(&far, &[1.0, 1.0]);
    let near = |y: usize, x: usize| q.weights()[y * SIZE.1 + x];
    assert!(near(2, 2) > 50.0 * near(6, 6) && near(9, 10) > 50.0 * near(6, 6));
}
