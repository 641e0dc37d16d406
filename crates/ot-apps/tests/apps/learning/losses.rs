//! Values against closed forms, other solvers and the sources' own figures.

use ot_apps::learning::LabelCost;
use ot_apps::learning::losses::{
    EntropicReference, EntropicSettings, EntropicWasserstein, HierarchicalEmd, KullbackLeibler,
    LineWasserstein, Loss, RelaxedSettings, RelaxedWasserstein, Rows, SquaredError, Sums,
    TransportLoss,
};
use ot_gradients::loss;
use solver_api::{Context, Ground, Measure, Problem, Reg, Solver, Tree};
use solver_exact::NetworkSimplex;
use solver_exact::closed::tree::hierarchical_emd_at;
use solver_stabilized::{Settings, SinkhornStabilized};

use super::{close, of, rows, sparse};

const K: usize = 8;

fn entropic(cost: &LabelCost, reg: f64, reference: EntropicReference) -> EntropicWasserstein {
    let settings = EntropicSettings {
        reg: Reg::Relative(reg),
        iterations: 20_000,
        tol: 1e-14,
        reference,
    };
    EntropicWasserstein::new(cost, settings).unwrap()
}

#[test]
fn baselines_by_hand() {
    let (h, y) = ([0.5, 0.25, 0.25], [0.5, 0.5, 0.0]);
    let (value, gradient) = of(&KullbackLeibler, 3, &h, &y);
    close(value[0], 0.5 * 2.0_f64.ln(), 1e-15, "kl");
    assert_eq!(gradient, [-1.0, -2.0, 0.0]);
    let (value, gradient) = of(&SquaredError, 3, &h, &y);
    close(value[0], (0.0625 + 0.0625) / 3.0, 1e-15, "mse");
    assert_eq!(gradient, [0.0, -0.5 / 3.0, 0.5 / 3.0]);
}

#[test]
fn a_single_label_has_a_closed_form() {
    let cost = LabelCost::ordered(K, 1.0).unwrap().scaled();
    let h = rows(K, K, 1.0, 1);
    let y: Vec<f64> = (0..K * K)
        .map(|e| f64::from(u8::from(e / K == e % K)))
        .collect();
    // One iteration is enough, whatever is left of others.
    let settings = EntropicSettings {
        iterations: 1,
        ..EntropicSettings::default()
    };
    let ours = EntropicWasserstein::new(&cost, settings).unwrap();
    let (value, gradient) = of(&ours, K, &h, &y);
    for label in 0..K {
        let h = &h[label * K..(label + 1) * K];
        let terms = h.iter().enumerate();
        let wanted = terms.map(|(i, h)| h * cost.entry(i, label) + 0.05 * h * h.ln());
        close(value[label], wanted.sum(), 1e-14, "value");
        let slope = |i: usize| cost.entry(i, label) + 0.05 * h[i].ln();
        let found = gradient[label * K + 3] - gradient[label * K];
        close(found, slope(3) - slope(0), 1e-13, "gradient");
    }
}

#[test]
fn the_entropic_loss_is_algorithm_1() {
    let cost = LabelCost::lattice((2, 4), &Ground::Euclidean).unwrap();
    for reg in [0.3, 0.05, 0.01] {
        for y in [rows(3, K, 1.0, 2), sparse(3, K, 2, 2)] {
            let h = rows(3, K, 1.0, 1);
            let settings = Settings {
                tol: Some(1e-12),
                ..Settings::with_reg(Reg::Relative(reg))
            };
            let solver = SinkhornStabilized::new(settings).unwrap();
            let (values, gradient) = of(
                &entropic(&cost, reg, EntropicReference::Lebesgue),
                K,
                &h,
                &y,
            );
            let (plain, by_h) = of(
                &entropic(&cost, reg, EntropicReference::Marginals),
                K,
                &h,
                &y,
            );
            let loss_of = TransportLoss::new(&solver, cost.clone()).unwrap();
            let (objectives, potentials) = of(&loss_of, K, &h, &y);
            for row in 0..3 {
                let at = row * K..(row + 1) * K;
                let measure = |w: &[f64]| Measure::new(w[at.clone()].to_vec()).unwrap();
                let problem = Problem::new(measure(&h), measure(&y), cost.shared()).unwrap();
                let solution = solver.solve(&problem).unwrap();
                close(
                    values[row],
                    loss::value(&problem, &solution).unwrap(),
                    1e-9,
                    "value",
                );
                let wanted = loss::normalized(&problem, &solution).unwrap();
                for (found, wanted) in gradient[at.clone()].iter().zip(&wanted) {
                    close(*found, *wanted, 1e-7, "gradient");
                }
                close(plain[row], objectives[row], 1e-9, "objective");
                for k in at {
                    close(by_h[k], potentials[k], 1e-7, "potentials");
                }
            }
        }
    }
}

#[test]
fn small_reg_comes_to_the_exact_loss() {
    let cost = LabelCost::ordered(K, 1.5).unwrap();
    let (h, y) = (rows(4, K, 1.0, 1), sparse(4, K, 3, 2));
    let solver = NetworkSimplex::default();
    let exact = of(
        &TransportLoss::new(&solver, cost.clone()).unwrap(),
        K,
        &h,
        &y,
    )
    .0;
    let mut before = f64::INFINITY;
    for reg in [0.1, 0.03, 0.01] {
        let found = of(
            &entropic(&cost, reg, EntropicReference::Marginals),
            K,
            &h,
            &y,
        )
        .0;
        let off = found.iter().zip(&exact).map(|(f, e)| {
            assert!(f >= e, "entropy only adds: {f} {e}");
            f - e
        });
        let off = off.fold(0.0, f64::max);
        // At most ε times the entropy of K×K.
        assert!(
            off < before.min(reg * cost.largest() * ((K * K) as f64).ln()),
            "{off}"
        );
        before = off;
    }
}

/// Equation (8) and proposition 4.2 of 003, as they stand.
#[test]
fn the_relaxed_loss_is_equation_8() {
    let cost = LabelCost::ordered(K, 1.0).unwrap().scaled();
    let (h, y) = (rows(1, K, 1.3, 1), sparse(1, K, 2, 2));
    for (reg, gamma_a, gamma_b) in [(0.1, 1.0, 0.5), (0.05, 0.2, 3.0)] {
        let m = cost.matrix();
        let kernel: Vec<f64> = m.iter().map(|m| (-m / reg - 1.0).exp()).collect();
        let (mut u, mut v) = ([1.0; K], [1.0; K]);
        for _ in 0..5000 {
            for i in 0..K {
                let met: f64 = (0..K).map(|j| kernel[i * K + j] * v[j]).sum();
                u[i] = (h[i] / met).powf(gamma_a / (gamma_a + reg));
            }
            for j in 0..K {
                let met: f64 = (0..K).map(|i| kernel[i * K + j] * u[i]).sum();
                v[j] = (y[j] / met).powf(gamma_b / (gamma_b + reg));
            }
        }
        let t: Vec<f64> = (0..K * K)
            .map(|e| u[e / K] * kernel[e] * v[e % K])
            .collect();
        let log = |x: f64, z: f64| if x > 0.0 { x * (x / z).ln() } else { 0.0 };
        let sent = |i: usize| t[i * K..(i + 1) * K].iter().sum::<f64>();
        let met = |j: usize| (0..K).map(|i| t[i * K + j]).sum::<f64>();
        let mut value: f64 = t
            .iter()
            .zip(m)
            .map(|(t, m)| t * m + reg * log(*t, 1.0))
            .sum();
        for k in 0..K {
            value += gamma_a * (log(sent(k), h[k]) - sent(k) + h[k]);
            value += gamma_b * (log(met(k), y[k]) - met(k) + y[k]);
        }
        let settings = RelaxedSettings {
            reg: Reg::Absolute(reg),
            gamma_a,
            gamma_b,
            iterations: 1000,
            tol: 1e-14,
        };
        let ours = RelaxedWasserstein::new(&cost, settings).unwrap();
        let (values, gradient) = of(&ours, K, &h, &y);
        close(values[0], value, 1e-11, "value");
        for k in 0..K {
            close(
                gradient[k],
                gamma_a * (1.0 - sent(k) / h[k]),
                1e-10,
                "gradient",
            );
        }
        // With the masses settled in closed form few iterations are needed, also where prices are high.
        let few = RelaxedSettings {
            iterations: 60,
            gamma_a: 100.0,
            gamma_b: 100.0,
            ..settings
        };
        let many = RelaxedSettings {
            iterations: 20_000,
            ..few
        };
        let value = |settings| {
            of(
                &RelaxedWasserstein::new(&cost, settings).unwrap(),
                K,
                &h,
                &y,
            )
            .0[0]
        };
        close(value(few), value(many), 1e-6, "few iterations");
    }
}

#[test]
fn labels_on_a_line_cost_what_the_exact_solver_says() {
    let solver = NetworkSimplex::default();
    let positions: Vec<f64> = (0..K).map(|k| (k as f64).powf(1.3)).collect();
    let distances = LabelCost::between(&positions, 1, &Ground::Euclidean).unwrap();
    for p in [1.0, 1.5, 2.0, 3.0] {
        let line = LineWasserstein::new(positions.clone(), p).unwrap();
        let exact = TransportLoss::new(&solver, distances.power(p).unwrap()).unwrap();
        for y in [rows(5, K, 1.0, 2), sparse(5, K, 3, 2), sparse(5, K, K, 7)] {
            for h in [rows(5, K, 1.0, 1), sparse(5, K, 2, 4), y.clone()] {
                let (found, gradient) = of(&line, K, &h, &y);
                let wanted = of(&exact, K, &h, &y).0;
                found
                    .iter()
                    .zip(&wanted)
                    .for_each(|(f, w)| close(*f, *w, 1e-12, "value"));
                // A subgradient bounds the loss of every other prediction from below.
                let other = rows(5, K, 1.0, 11);
                let there = of(&line, K, &other, &y).0;
                for row in 0..5 {
                    let way: f64 = (row * K..(row + 1) * K)
                        .map(|k| gradient[k] * (other[k] - h[k]))
                        .sum();
                    assert!(there[row] >= found[row] + way - 1e-12, "p = {p}");
                }
            }
        }
    }
}

#[test]
fn the_figures_of_004() {
    // Four leaves in two pairs, edges of 1 to the leaves and of 1/2 to the pairs.
    let tree = Tree::new(&[4, 4, 5, 5, 6, 6, 6], &[1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.0]).unwrap();
    let (p, q) = ([0.2, 0.4, 0.2, 0.2], [0.0, 0.5, 0.5, 0.0]);
    for (rho, wanted) in [(1.0, [1.5, -0.5, -1.5, 0.5]), (2.0, [0.5, -0.1, -0.7, 0.3])] {
        let loss = HierarchicalEmd::new(tree.clone(), &[0, 1, 2, 3], rho).unwrap();
        let (_, gradient) = of(&loss, 4, &p, &q);
        gradient
            .iter()
            .zip(&wanted)
            .for_each(|(g, w)| close(*g, *w, 1e-14, "004"));
    }
    // Its sum in one dimension, Σ_i sgn φ_i Σ_{j≤i} (N δ_jk − 1), is N times the tangent gradient.
    let (h, y) = (rows(1, K, 1.0, 1), rows(1, K, 1.0, 2));
    let unit: Vec<f64> = (0..K).map(|k| k as f64).collect();
    let (_, gradient) = of(&LineWasserstein::new(unit, 1.0).unwrap(), K, &h, &y);
    for k in 0..K {
        let (mut phi, mut sum) = (0.0, 0.0);
        // φ_N is 0, and rounding gives it no sign.
        for i in 0..K - 1 {
            phi += h[i] - y[i];
            let inner = if k <= i { K as f64 } else { 0.0 } - (i + 1) as f64;
            sum += f64::signum(phi) * inner;
        }
        close(sum, K as f64 * gradient[k], 1e-13, "004, one dimension");
    }
}

#[test]
fn trees_cost_what_the_closed_form_and_the_exact_solver_say() {
    let parent = [8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13, 14, 14, 14];
    let length: Vec<f64> = (0..15).map(|k| 0.2 + 0.1 * (k * 7 % 5) as f64).collect();
    let tree = Tree::new(&parent, &length).unwrap();
    let nodes: Vec<usize> = (0..K).collect();
    let (h, y) = (rows(4, K, 1.0, 1), sparse(4, K, 3, 2));
    for rho in [1.0, 1.7, 2.0] {
        let loss = HierarchicalEmd::new(tree.clone(), &nodes, rho).unwrap();
        let (values, gradient) = of(&loss, K, &h, &y);
        for row in 0..4 {
            let at = row * K..(row + 1) * K;
            let wanted =
                hierarchical_emd_at(&tree, &nodes, &h[at.clone()], &y[at.clone()], rho).unwrap();
            close(values[row], wanted.value, 1e-13, "value");
            let found = gradient[row * K + 5] - gradient[row * K];
            close(
                found,
                wanted.gradient[5] - wanted.gradient[0],
                1e-12,
                "gradient",
            );
        }
    }
    let solver = NetworkSimplex::default();
    let exact =
        TransportLoss::new(&solver, LabelCost::tree(tree.clone(), &nodes).unwrap()).unwrap();
    let found = of(&HierarchicalEmd::new(tree, &nodes, 1.0).unwrap(), K, &h, &y).0;
    let wanted = of(&exact, K, &h, &y).0;
    found
        .iter()
        .zip(&wanted)
        .for_each(|(f, w)| close(*f, *w, 1e-12, "paths"));
}

#[test]
fn rows_go_on_from_where_they_stood() {
    let cost = LabelCost::ordered(K, 1.0).unwrap().scaled();
    let (h, y) = (rows(6, K, 1.0, 1), sparse(6, K, 2, 2));
    let settings = |iterations| EntropicSettings {
        reg: Reg::Relative(0.05),
        iterations,
        tol: 0.0,
        ..EntropicSettings::default()
    };
    let gamma = |iterations| RelaxedSettings {
        reg: Reg::Relative(0.05),
        gamma_a: 5.0,
        gamma_b: 5.0,
        iterations,
        tol: 0.0,
    };
    let pairs: [[Box<dyn Loss>; 2]; 2] = [
        [5, 4000].map(|n| {
            Box::new(EntropicWasserstein::new(&cost, settings(n)).unwrap()) as Box<dyn Loss>
        }),
        [5, 4000]
            .map(|n| Box::new(RelaxedWasserstein::new(&cost, gamma(n)).unwrap()) as Box<dyn Loss>),
    ];
    for [few, many] in pairs {
        let wanted = of(many.as_ref(), K, &h, &y).1;
        let mut memory = vec![0.0; 6 * K];
        let mut off = Vec::new();
        for _ in 0..400 {
            let (mut values, mut gradient) = (vec![0.0; 6], vec![0.0; 6 * K]);
            let mut sums = Sums {
                scale: 1.0,
                values: &mut values,
                gradient: &mut gradient,
            };
            let rows = Rows::new(K, &h, &y).unwrap();
            few.evaluate(rows, &mut memory, &mut sums, &mut Context::default())
                .unwrap();
            let gaps = gradient.iter().zip(&wanted).map(|(f, w)| (f - w).abs());
            off.push(gaps.fold(0.0, f64::max));
        }
        assert!(
            off[0] > 1e-6 && off[399] < 1e-9,
            "{}: {} {}",
            few.name(),
            off[0],
            off[399]
        );
    }
}

#[test]
fn a_batch_is_its_rows() {
    let cost = LabelCost::lattice((2, 4), &Ground::Euclidean).unwrap();
    let (h, y) = (rows(9, K, 1.0, 1), sparse(9, K, 2, 2));
    let settings = EntropicSettings {
        tol: 0.0,
        ..EntropicSettings::default()
    };
    let relaxed = RelaxedSettings {
        tol: 0.0,
        ..RelaxedSettings::default()
    };
    let losses: [Box<dyn Loss>; 3] = [
        Box::new(EntropicWasserstein::new(&cost, settings).unwrap()),
        Box::new(RelaxedWasserstein::new(&cost, relaxed).unwrap()),
        Box::new(LineWasserstein::bins(K, 1.5).unwrap()),
    ];
    for loss in &losses {
        let (values, gradient) = of(loss.as_ref(), K, &h, &y);
        for row in 0..9 {
            let at = row * K..(row + 1) * K;
            let (value, own) = of(loss.as_ref(), K, &h[at.clone()], &y[at.clone()]);
            close(values[row], value[0], 1e-12, "value");
            gradient[at]
                .iter()
                .zip(&own)
                .for_each(|(g, o)| close(*g, *o, 1e-11, "gradient"));
        }
    }
}
