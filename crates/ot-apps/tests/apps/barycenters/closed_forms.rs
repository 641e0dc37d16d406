//! Gaussians, quantiles, translations, and the linear program.

use std::sync::Arc;

use ot_apps::barycenters::entropy;
use ot_apps::{
    BregmanDomain, FixedSupport, FixedSupportSettings, IpotBarycenter, IpotBarycenterSettings,
    UnbalancedBarycenter, UnbalancedBarycenterSettings, pixel_cost,
};
use solver_api::{Barycenters, Context, Cost, DenseCost, Ground, Measure, Problem, Reg, Solver};
use solver_exact::NetworkSimplex;
use solver_exact::closed::gaussian::{Gaussian, barycenter as of_gaussians};
use solver_exact::lp::LpBarycenter;

use super::{apart, bregman, bump, grid, ipot, methods};

/// Mean and covariance of a measure on the cells of a grid.
fn moments(q: &Measure, width: usize) -> ([f64; 2], [f64; 3]) {
    let cells = q.weights().iter().enumerate();
    let cells = cells.map(|(e, w)| ((e / width) as f64, (e % width) as f64, *w));
    let mut mean = [0.0; 2];
    for (y, x, w) in cells.clone() {
        mean[0] += w * y;
        mean[1] += w * x;
    }
    let mut covariance = [0.0; 3];
    for (y, x, w) in cells {
        let (y, x) = (y - mean[0], x - mean[1]);
        covariance[0] += w * y * y;
        covariance[1] += w * y * x;
        covariance[2] += w * x * x;
    }
    (mean, covariance)
}

#[test]
fn gaussians_average_as_bures_says() {
    let size = (40, 44);
    let given = [
        ([15.0, 16.0], [9.0, 3.0, 6.0], 0.5),
        ([22.0, 27.0], [4.0, -1.0, 8.0], 0.2),
        ([20.0, 20.0], [7.0, 2.0, 3.0], 0.3),
    ];
    let lambda = given.map(|g| g.2);
    let gaussians = given.map(|(mean, [a, b, c], _)| Gaussian::new(&mean, &[a, b, b, c]));
    let gaussians = gaussians.map(|g| g.expect("a Gaussian"));
    let weights = Measure::new(lambda.to_vec()).expect("weights");
    let expected = of_gaussians(&gaussians, &weights, 1e-12, 1000).expect("a barycenter");
    let expected = expected.gaussian;
    let measures = given.map(|(mean, covariance, _)| bump(size, mean, covariance));
    let cost = grid(&[size.0, size.1]);
    let reg = 2.0;
    let cases: [(&str, Box<dyn Barycenters>, f64); 4] = [
        // Σ_k λ_k (½ε + …): the entropy adds ε/2 to every variance, to first order.
        (
            "scalings",
            Box::new(bregman(reg, 1e-8, false, BregmanDomain::Auto)),
            reg / 2.0,
        ),
        (
            "logarithms",
            Box::new(bregman(1.0, 1e-8, false, BregmanDomain::Logarithms)),
            0.5,
        ),
        (
            "debiased",
            Box::new(bregman(reg, 1e-7, true, BregmanDomain::Auto)),
            0.0,
        ),
        ("ipot", Box::new(ipot(2e-4)), 0.0),
    ];
    for (name, method, blur) in cases {
        let answer = method.barycenter(&cost, &measures, &lambda, &mut Context::default());
        let answer = answer.expect("an answer");
        let (mean, covariance) = moments(&answer.weights, size.1);
        for (found, expected) in mean.iter().zip(expected.mean()) {
            assert!(
                (found - expected).abs() < 5e-2,
                "{name}: {found} {expected}"
            );
        }
        let [a, b, _, c] = *expected.covariance() else {
            panic!("a 2×2 matrix")
        };
        for (found, expected) in covariance.iter().zip([a + blur, b, c + blur]) {
            // Without a blur to smooth them, measures on cells are no Gaussians to the last.
            let tolerance = if name == "ipot" { 0.5 } else { 0.1 };
            assert!(
                (found - expected).abs() < tolerance,
                "{name}: {found} {expected}"
            );
        }
    }
}

/// Quantiles average on a line: of measures in units of 1/4 that is a measure in units of 1/4.
#[test]
fn quantiles_average_on_a_line() {
    let n = 64;
    let at = |places: [usize; 4]| {
        let mut w = vec![0.0; n];
        places.iter().for_each(|&p| w[p] += 0.25);
        Measure::new(w).expect("weights")
    };
    let measures = [at([2, 10, 10, 30]), at([10, 18, 40, 62])];
    let cost = grid(&[n]);
    for (lambda, expected) in [
        ([1.0, 1.0], at([6, 14, 25, 46])),
        ([3.0, 1.0], {
            // 2·¾ + 10·¼ = 4, 12, 17.5 (between two cells), 38.
            let mut w = vec![0.0; n];
            for (p, weight) in [(4, 0.25), (12, 0.25), (17, 0.125), (18, 0.125), (38, 0.25)] {
                w[p] += weight;
            }
            Measure::new(w).expect("weights")
        }),
    ] {
        let ask = |method: &dyn Barycenters| {
            let answer = method.barycenter(&cost, &measures, &lambda, &mut Context::default());
            answer.expect("an answer")
        };
        let exact = ask(&LpBarycenter::microlp()).weights;
        if lambda == [1.0, 1.0] {
            assert!(apart(&exact, &expected) < 1e-9, "lp");
        }
        // After 1000 steps ε is 0.04, where neighbours share next to nothing.
        let settings = IpotBarycenterSettings {
            beta: Reg::Relative(0.01),
            tol: 1e-5,
            ..IpotBarycenterSettings::default()
        };
        let found = ask(&IpotBarycenter::new(settings).expect("valid"));
        // Between two cells any split is as good.
        let pooled = |q: &Measure| {
            let mut w = q.weights().to_vec();
            w[17] += std::mem::take(&mut w[18]);
            Measure::new(w).expect("weights")
        };
        let off = apart(&pooled(&found.weights), &pooled(&expected));
        assert!(off < 0.1, "off by {off}: {:?}", found.convergence);
        let logs = ask(&bregman(0.05, 1e-6, false, BregmanDomain::Auto)).weights;
        assert!(
            apart(&logs, &expected) < 0.02,
            "{}",
            apart(&logs, &expected)
        );
    }
}

#[test]
fn a_weight_of_one_gives_its_measure_and_weights_are_weights() {
    let size = (10, 11);
    let measures = [
        bump(size, [3.0, 4.0], [2.0, 0.5, 1.5]),
        bump(size, [6.0, 6.0], [1.0, 0.0, 3.0]),
    ];
    let cost = grid(&[size.0, size.1]);
    for (name, method, tolerance) in methods() {
        let ask = |lambda: [f64; 2]| {
            let answer = method.barycenter(&cost, &measures, &lambda, &mut Context::default());
            answer.expect("an answer").weights
        };
        for (lambda, expected) in [([5.0, 0.0], &measures[0]), ([0.0, 0.1], &measures[1])] {
            let off = apart(&ask(lambda), expected);
            assert!(off < tolerance, "{name}: off by {off}");
        }
    }
}

/// A fixed small problem, its best mean cost by the linear program and an exact solver.
fn small() -> (Arc<dyn Cost>, Vec<Measure>, Vec<f64>, f64) {
    let cost = pixel_cost((4, 4), &Ground::Euclidean).expect("a cost");
    let measure = |seed: usize| {
        let weights = (0..16).map(|i| ((i * 7 + seed * 5) % 11) as f64);
        let weights = weights.map(|w| if w < 5.0 { 0.0 } else { w });
        Measure::new(weights.collect::<Vec<_>>())
            .expect("weights")
            .normalized()
    };
    let measures: Vec<Measure> = (0..3).map(measure).collect();
    let lambda = vec![0.5, 0.3, 0.2];
    let q = LpBarycenter::microlp()
        .barycenter(&cost, &measures, &lambda, &mut Context::default())
        .expect("small enough")
        .weights;
    let best = mean_cost(&cost, &measures, &lambda, &q);
    (cost, measures, lambda, best)
}

fn mean_cost(cost: &Arc<dyn Cost>, measures: &[Measure], lambda: &[f64], q: &Measure) -> f64 {
    let solver = NetworkSimplex::default();
    let parts = measures.iter().zip(lambda).map(|(p, l)| {
        let problem = Problem::new(p.clone(), q.clone(), Arc::clone(cost)).expect("a problem");
        l * solver.solve(&problem).expect("solved").transport_cost
    });
    parts.sum()
}

#[test]
fn every_bracket_holds_the_optimum_of_the_linear_program() {
    let (cost, measures, lambda, best) = small();
    let minilp = LpBarycenter::minilp();
    let exact = NetworkSimplex::default();
    let settings = FixedSupportSettings {
        tol: 1.5e-2,
        max_iter: 3000,
    };
    let descent = FixedSupport::new(&exact, settings).expect("balanced");
    let cases: [(&str, &dyn Barycenters, f64); 6] = [
        ("minilp", &minilp, 1e-8),
        (
            "scalings",
            &bregman(0.1, 1e-8, false, BregmanDomain::Scalings),
            0.15,
        ),
        (
            "logarithms",
            &bregman(2e-3, 1e-8, false, BregmanDomain::Logarithms),
            5e-3,
        ),
        (
            "debiased",
            &bregman(0.1, 1e-6, true, BregmanDomain::Auto),
            0.1,
        ),
        ("ipot", &ipot(2e-2), 5e-3),
        ("descent", &descent, 0.03),
    ];
    for (name, method, tolerance) in cases {
        let answer = method.barycenter(&cost, &measures, &lambda, &mut Context::default());
        let answer = answer.expect("an answer");
        assert!(
            answer.convergence.converged(),
            "{name}: {:?}",
            answer.convergence
        );
        let reached = mean_cost(&cost, &measures, &lambda, &answer.weights);
        assert!(
            reached >= best - 1e-9 && reached <= best * (1.0 + tolerance),
            "{name}: {reached}, best {best}"
        );
        if let Some(bracket) = answer.certificate {
            assert!(
                bracket.lower <= best + 1e-9,
                "{name}: {bracket:?}, best {best}"
            );
            assert!(
                bracket.upper >= reached - 1e-9,
                "{name}: {bracket:?}, {reached}"
            );
            assert!(
                bracket.lower >= best * 0.9,
                "{name}: {bracket:?}, best {best}"
            );
        }
    }
}

/// The less ε, the sharper: entropy is between that of the exact barycenter and that of what the blur leaves.
#[test]
fn sharpness_follows_epsilon() {
    let size = (20, 20);
    let ring = |y: f64, x: f64, r: f64| {
        let cell = |e: usize| {
            let d = ((e / 20) as f64 - y).hypot((e % 20) as f64 - x) - r;
            f64::from(u8::from(d.abs() < 0.8))
        };
        Measure::new((0..400).map(cell).collect::<Vec<_>>())
            .expect("a ring")
            .normalized()
    };
    let measures = [
        ring(9.0, 8.0, 4.0),
        ring(11.0, 12.0, 6.0),
        ring(8.0, 11.0, 5.0),
    ];
    let cost = grid(&[size.0, size.1]);
    let sharpness = |method: &dyn Barycenters| {
        let answer = method.barycenter(&cost, &measures, &[1.0; 3], &mut Context::default());
        entropy(&answer.expect("an answer").weights)
    };
    let blurred = sharpness(&bregman(8.0, 1e-6, false, BregmanDomain::Auto));
    let less = sharpness(&bregman(2.0, 1e-6, false, BregmanDomain::Auto));
    let debiased = sharpness(&bregman(2.0, 1e-4, true, BregmanDomain::Auto));
    let proximal = sharpness(&ipot(1e-4));
    assert!(
        blurred > less + 0.2 && less > debiased + 0.1 && less > proximal + 0.2,
        "{blurred} {less} {debiased} {proximal}"
    );
}

/// The same numbers from POT 0.9.7: `ot.unbalanced.barycenter_unbalanced(A, M, 0.05, 0.5, weights=[.3, .7],
/// numItermax=100000, stopThr=1e-15)`, M the squared distances of 0, ¼, ½, ¾, 1.
#[test]
fn relaxed_barycenters_are_those_of_pot() {
    let entries = (0..25).map(|e| ((e / 5) as f64 - (e % 5) as f64) / 4.0);
    let entries: Vec<f64> = entries.map(|d| d * d).collect();
    let cost: Arc<dyn Cost> = Arc::new(DenseCost::new(5, 5, entries).expect("a cost"));
    let measures = [[0.2, 0.5, 0.3, 0.4, 0.1], [1.0, 0.2, 0.1, 0.1, 0.6]];
    let measures = measures.map(|w| Measure::new(w.to_vec()).expect("weights"));
    let settings = UnbalancedBarycenterSettings {
        reg: Reg::Absolute(0.05),
        gamma: 0.5,
        tol: 1e-13,
        max_iter: 100_000,
    };
    let relaxed = UnbalancedBarycenter::new(settings).expect("valid");
    let found = relaxed.barycenter(&cost, &measures, &[0.3, 0.7], &mut Context::default());
    let found = found.expect("an answer");
    assert!(found.convergence.converged(), "{:?}", found.convergence);
    for (found, expected) in found.weights.weights().iter().zip(POT) {
        assert!((found - expected).abs() < 1e-9, "{found} {expected}");
    }
}

const POT: [f64; 5] = [
    0.6470294891,
    0.4499224442,
    0.2050252756,
    0.2998945808,
    0.4098723645,
];
