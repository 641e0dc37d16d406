//! Problems whose answer is known without solving them.

use std::sync::Arc;

use super::cases::{Random, dense, text};
use super::subject::{Subject, rounding};
use super::{Suite, Verdict, verify};
use crate::{Capability, DenseCost, Measure, Problem, Solution, measure};

pub(super) fn section(suite: &mut Suite<'_>) {
    use Capability::{Balanced, Entropic, ForbiddenPairs, Partial, Relaxed};
    suite.check(
        "one dimension, convex costs: the sorted coupling",
        &[Balanced],
        one_dimension,
    );
    suite.check("a point mass on one side", &[Balanced], point_mass);
    suite.check("a planted permutation", &[Balanced], planted);
    suite.check(
        "a planted permutation as the only allowed pairs",
        &[Balanced, ForbiddenPairs],
        only_planted,
    );
    suite.check(
        "a translated cloud: |c|² times the mass",
        &[Balanced],
        translation,
    );
    suite.check(
        "costs u ⊕ v: every plan costs the same",
        &[Balanced],
        product_costs,
    );
    suite.check("2×2 entropic", &[Balanced, Entropic], two_by_two);
    suite.check("relaxed 1×1", &[Relaxed, Entropic], relaxed_pair);
    suite.check("partial: the cheapest pairs first", &[Partial], partial);
}

/// The value where the solver must reach it, the bracket where regularization stands in between.
fn optimum_is(
    subject: &Subject<'_>,
    name: &str,
    problem: &Problem,
    s: &Solution,
    value: f64,
) -> Verdict {
    if !subject.has(Capability::Entropic) {
        return subject.expect_value(
            name,
            "transport_cost",
            s.transport_cost,
            value,
            subject.slack(problem),
        );
    }
    match s.certificate {
        Some(bracket) if bracket.contains(value, 10.0 * rounding(problem)) => Ok(()),
        other => Err(format!(
            "{name}: the optimum {value:e} lies outside of {other:?}"
        )),
    }
}

/// Mass in order of position meets mass in order of position.
fn sorted_coupling(a: &[f64], b: &[f64], x: &[f64], y: &[f64], h: impl Fn(f64) -> f64) -> f64 {
    let order = |p: &[f64]| {
        let mut order: Vec<usize> = (0..p.len()).collect();
        order.sort_by(|&i, &k| p[i].total_cmp(&p[k]));
        order
    };
    let (rows, cols) = (order(x), order(y));
    let (mut i, mut j) = (0, 0);
    let (mut left, mut right) = (a[rows[0]], b[cols[0]]);
    let mut paid = Vec::new();
    loop {
        let t = left.min(right);
        paid.push(t * h((x[rows[i]] - y[cols[j]]).abs()));
        left -= t;
        right -= t;
        if left <= right {
            i += 1;
            let Some(&row) = rows.get(i) else { break };
            left = a[row];
        } else {
            j += 1;
            let Some(&col) = cols.get(j) else { break };
            right = b[col];
        }
    }
    measure::sum(&paid)
}

fn one_dimension(subject: &Subject<'_>) -> Verdict {
    let mut random = Random::new(401);
    let size = subject.expect.max_size.min(60);
    type Ground = fn(f64) -> f64;
    let powers: [(&str, Ground); 4] = [
        ("|x − y|", |d| d),
        ("|x − y|²", |d| d * d),
        ("|x − y|³", |d| d * d * d),
        ("atanh(|x − y|/3)", |d| (d / 3.0).atanh()),
    ];
    for (n, m) in [(7, 9), (size, size / 2 + 1)] {
        let (x, y) = (random.vec(n, 0.0, 1.0), random.vec(m, -0.5, 1.5));
        let (a, b) = (random.weights(n, 1.0), random.weights(m, 1.0));
        for (name, h) in powers {
            let cost: Vec<f64> = (0..n * m).map(|k| h((x[k / m] - y[k % m]).abs())).collect();
            let problem = dense(&a, &b, &cost)?;
            let s = subject.solve(name, &problem)?;
            optimum_is(
                subject,
                name,
                &problem,
                &s,
                sorted_coupling(&a, &b, &x, &y, h),
            )?;
        }
    }
    Ok(())
}

/// P = b in the one row, and the value ⟨b, C⟩ whatever the regularization.
fn point_mass(subject: &Subject<'_>) -> Verdict {
    let mut random = Random::new(402);
    let b = random.weights(6, 2.0);
    let row = random.vec(6, -1.0, 2.0);
    let value = measure::sum(&b.iter().zip(&row).map(|(b, c)| b * c).collect::<Vec<_>>());
    let alone = dense(&[2.0], &b, &row)?;
    // The same among sources of weight zero.
    let mut cost = random.vec(18, -1.0, 2.0);
    cost[6..12].copy_from_slice(&row);
    let among = dense(&[0.0, 2.0, 0.0], &b, &cost)?;
    for (name, problem, at) in [("alone", alone, 0), ("among zero weights", among, 1)] {
        for (name, problem) in [
            (name, problem.clone()),
            ("transposed", text(problem.transposed())?),
        ] {
            let s = subject.solve(name, &problem)?;
            let slack = subject.slack(&problem);
            subject.expect_value(name, "transport_cost", s.transport_cost, value, slack)?;
            subject.expect_value(name, "objective", s.objective, value, slack)?;
            let found: Vec<f64> = (0..6)
                .map(|j| {
                    if problem.b().len() == 6 {
                        s.plan.entry(at, j)
                    } else {
                        s.plan.entry(j, at)
                    }
                })
                .collect();
            verify::same_numbers(
                name,
                "the plan",
                &found,
                &b,
                2.0 * subject.expect.value_accuracy(),
            )?;
        }
    }
    Ok(())
}

fn planted(subject: &Subject<'_>) -> Verdict {
    let mut random = Random::new(403);
    let n = subject.expect.max_size.min(24);
    for n in [2, 6, n] {
        let to = random.permutation(n);
        let mut cost = random.vec(n * n, 0.5, 1.5);
        for (i, &j) in to.iter().enumerate() {
            cost[i * n + j] = 0.0;
        }
        // Weights that sum to the mass in the same order on both sides, up to rounding.
        let a = vec![1.0 / n as f64; n];
        let problem = dense(&a, &a, &cost)?;
        let name = format!("planted permutation of {n}");
        let s = subject.solve(&name, &problem)?;
        optimum_is(subject, &name, &problem, &s, 0.0)?;
        if subject.has(Capability::Exact) {
            let found: Vec<f64> = (0..n).map(|i| s.plan.entry(i, to[i])).collect();
            verify::same_numbers(&name, "the planted pairs", &found, &a, 1e-12)?;
        }
    }
    Ok(())
}

fn only_planted(subject: &Subject<'_>) -> Verdict {
    let mut random = Random::new(404);
    let n = 7;
    let to = random.permutation(n);
    let mut cost = vec![f64::INFINITY; n * n];
    let a = random.weights(n, 1.0);
    let mut b = vec![0.0; n];
    let mut value = 0.0;
    for (i, &j) in to.iter().enumerate() {
        let c = random.unit();
        (cost[i * n + j], b[j]) = (c, a[i]);
        value += a[i] * c;
    }
    let problem = dense(&a, &b, &cost)?;
    let s = subject.solve("one plan only", &problem)?;
    // There is nothing to regularize: every solver must find the one plan there is.
    subject.expect_value(
        "one plan only",
        "transport_cost",
        s.transport_cost,
        value,
        subject.slack(&problem),
    )
}

/// Y = X + c: the optimal map is the translation, and W₂² = |c|² (Gaussians that differ in their means are a case).
fn translation(subject: &Subject<'_>) -> Verdict {
    let mut random = Random::new(405);
    let n = subject.expect.max_size.min(40);
    let dim = 3;
    // Sums of uniform numbers: near enough to a Gaussian cloud.
    let x: Vec<f64> = (0..n * dim)
        .map(|_| random.vec(6, -0.5, 0.5).iter().sum())
        .collect();
    let c = [0.7, -1.1, 0.4];
    let y: Vec<f64> = x.iter().enumerate().map(|(k, v)| v + c[k % dim]).collect();
    let a = random.weights(n, 3.0);
    let squares = |i: usize, j: usize| {
        let terms = (0..dim).map(|k| (x[i * dim + k] - y[j * dim + k]).powi(2));
        terms.sum::<f64>()
    };
    let cost: Vec<f64> = (0..n * n).map(|k| squares(k / n, k % n)).collect();
    let problem = dense(&a, &a, &cost)?;
    let s = subject.solve("translated cloud", &problem)?;
    let value = 3.0 * c.iter().map(|c| c * c).sum::<f64>();
    optimum_is(subject, "translated cloud", &problem, &s, value)
}

fn product_costs(subject: &Subject<'_>) -> Verdict {
    let mut random = Random::new(406);
    let (u, v) = (random.vec(5, -1.0, 1.0), random.vec(7, 0.0, 2.0));
    let (a, b) = (random.weights(5, 1.5), random.weights(7, 1.5));
    let cost: Vec<f64> = u
        .iter()
        .flat_map(|u| v.iter().map(move |v| u + v))
        .collect();
    let problem = dense(&a, &b, &cost)?;
    let s = subject.solve("u ⊕ v", &problem)?;
    let pair = |p: &[f64], w: &[f64]| p.iter().zip(w).map(|(p, w)| p * w).sum::<f64>();
    let (ua, vb) = (pair(&u, &a), pair(&v, &b));
    let slack = subject.slack(&problem);
    subject.expect_value("u ⊕ v", "transport_cost", s.transport_cost, ua + vb, slack)?;
    if !subject.has(Capability::Entropic) {
        return Ok(());
    }
    // The plan is a⊗b, and the potentials are u and v up to the shift that centres them.
    subject.expect_value("u ⊕ v", "objective", s.objective, ua + vb, slack)?;
    let plan: Vec<f64> = a
        .iter()
        .flat_map(|a| b.iter().map(move |b| a * b / 1.5))
        .collect();
    let accuracy = 10.0 * subject.expect.value_accuracy();
    verify::same_numbers(
        "u ⊕ v",
        "the plan",
        s.plan.to_dense().data(),
        &plan,
        accuracy,
    )?;
    let shift = (vb - ua) / (2.0 * 1.5);
    let centred: Vec<f64> = u.iter().map(|u| u + shift).collect();
    verify::same_numbers("u ⊕ v", "f", &s.potentials.f, &centred, 10.0 * accuracy)
}

/// a = b = (t/2, t/2), C = [[0, c], [c, 0]]: P₁₁ = t/2 · 1/(1 + e^{−c/ε}).
fn two_by_two(subject: &Subject<'_>) -> Verdict {
    for (t, c) in [(1.0, 1.0), (5.0, 1.0), (1.0, 1e-3), (0.2, 40.0)] {
        let half = [0.5 * t, 0.5 * t];
        let problem = dense(&half, &half, &[0.0, c, c, 0.0])?;
        for share in [0.05, 0.2, 2.0] {
            let reg = share * c;
            let name = format!("mass {t}, c = {c}, reg = {reg}");
            let s = subject.solve_at(&name, &problem, Some(reg))?;
            let stay = 1.0 / (1.0 + (-c / reg).exp());
            let leave = 1.0 - stay;
            let entropy = |p: f64| if p > 0.0 { p * (2.0 * p).ln() } else { 0.0 };
            let value = t * c * leave;
            let objective = value + reg * t * (entropy(stay) + entropy(leave));
            let slack = subject.slack(&problem);
            subject.expect_value(&name, "transport_cost", s.transport_cost, value, slack)?;
            subject.expect_value(&name, "objective", s.objective, objective, slack)?;
            let accuracy = 10.0 * subject.expect.value_accuracy() * t;
            subject.expect_value(
                &name,
                "P[0, 0]",
                s.plan.entry(0, 0),
                0.5 * t * stay,
                accuracy,
            )?;
        }
    }
    Ok(())
}

/// min over p of p·c + ε·KL(p | ab) + γa·KL(p | a) + γb·KL(p | b):
/// log p = (ε log(ab) + γa log a + γb log b − c)/(ε + γa + γb).
fn relaxed_pair(subject: &Subject<'_>) -> Verdict {
    for (a, b, c, ga, gb) in [
        (2.0, 0.5, 0.3, 0.7, 1.9),
        (1.0, 1.0, 2.0, 1.0, 0.1),
        (0.1, 3.0, -1.0, 5.0, 2.0),
        (1e-3, 1e4, 0.3, 0.9, 0.5),
    ] {
        let measure = |w: f64| text(Measure::new(vec![w]));
        let cost = Arc::new(text(DenseCost::new(1, 1, vec![c]))?);
        let problem = text(Problem::relaxed(measure(a)?, measure(b)?, cost, ga, gb))?;
        let reg = 0.2;
        let name = format!("a = {a}, b = {b}, c = {c}, γ = ({ga}, {gb})");
        let s = subject.solve_at(&name, &problem, Some(reg))?;
        let wanted = ((reg * (a * b).ln() + ga * a.ln() + gb * b.ln() - c) / (reg + ga + gb)).exp();
        let slack = 10.0 * subject.expect.value_accuracy() * (1.0 + wanted);
        subject.expect_value(&name, "the mass moved", s.mass, wanted, slack)?;
        subject.expect_value(
            &name,
            "f",
            s.potentials.f[0],
            -ga * (wanted / a).ln(),
            slack * (1.0 + ga),
        )?;
        let kl = |p: f64, q: f64| p * (p / q).ln() - p + q;
        let objective =
            wanted * c + reg * kl(wanted, a * b) + ga * kl(wanted, a) + gb * kl(wanted, b);
        subject.expect_value(
            &name,
            "objective",
            s.objective,
            objective,
            slack * (1.0 + ga + gb),
        )?;
        // Without ε the optimum is known as well, and the bracket is about that one.
        let free = ((ga * a.ln() + gb * b.ln() - c) / (ga + gb)).exp();
        let optimum = free * c + ga * kl(free, a) + gb * kl(free, b);
        let bracket = s.certificate.ok_or("no certificate")?;
        if !bracket.contains(optimum, 1e-12 * (1.0 + optimum.abs())) {
            return Err(format!(
                "{name}: the optimum {optimum:e} lies outside of {bracket:?}"
            ));
        }
    }
    hard_pair(subject)?;
    relaxed_row(subject)
}

/// One point to one point with a hard side: all of its mass moves, and the other side's potential is −γ log(p/w).
fn hard_pair(subject: &Subject<'_>) -> Verdict {
    let (a, b, c, gamma, reg) = (2.0, 0.5, 0.3, 0.7, 0.2);
    let measure = |w: f64| text(Measure::new(vec![w]));
    let cost = Arc::new(text(DenseCost::new(1, 1, vec![c]))?);
    let hard = f64::INFINITY;
    let problem = text(Problem::relaxed(
        measure(a)?,
        measure(b)?,
        cost,
        hard,
        gamma,
    ))?;
    let kl = |p: f64, q: f64| p * (p / q).ln() - p + q;
    let (optimum, g) = (a * c + gamma * kl(a, b), -gamma * (a / b).ln());
    let objective = optimum + reg * kl(a, a * b);
    for (name, problem, turned) in [
        ("a hard source", problem.clone(), false),
        ("a hard target", text(problem.transposed())?, true),
    ] {
        let s = subject.solve_at(name, &problem, Some(reg))?;
        let slack = 10.0 * subject.expect.value_accuracy() * (1.0 + a);
        subject.expect_value(name, "the mass moved", s.mass, a, slack)?;
        let soft = if turned {
            &s.potentials.f
        } else {
            &s.potentials.g
        };
        subject.expect_value(name, "the soft potential", soft[0], g, slack)?;
        subject.expect_value(name, "objective", s.objective, objective, slack)?;
        let bracket = s.certificate.ok_or("no certificate")?;
        if !bracket.contains(optimum, slack) {
            return Err(format!(
                "{name}: the optimum {optimum:e} lies outside of {bracket:?}"
            ));
        }
    }
    Ok(())
}

/// One source, many targets: p_j = b_j e^{−c_j/γb} (a/s)^{γa/γb} with s = Σp, and the same with a hard source.
fn relaxed_row(subject: &Subject<'_>) -> Verdict {
    let mut random = Random::new(407);
    let (a, b, c) = (1.4, random.weights(5, 0.8), random.vec(5, 0.0, 1.0));
    let cost = Arc::new(text(DenseCost::new(1, 5, c.clone()))?);
    let source = text(Measure::new(vec![a]))?;
    let target = text(Measure::new(b.clone()))?;
    for (ga, gb) in [(0.8, 0.5), (f64::INFINITY, 0.5)] {
        let problem = text(Problem::relaxed(
            source.clone(),
            target.clone(),
            cost.clone(),
            ga,
            gb,
        ))?;
        let name = format!("one source, γ = ({ga}, {gb})");
        let s = subject.solve(&name, &problem)?;
        let weights: Vec<f64> = b.iter().zip(&c).map(|(b, c)| b * (-c / gb).exp()).collect();
        let total: f64 = weights.iter().sum();
        let ratio: f64 = ga / gb;
        let mass = if ga.is_finite() {
            (total * a.powf(ratio)).powf(1.0 / (1.0 + ratio))
        } else {
            a
        };
        let p: Vec<f64> = weights.iter().map(|w| w / total * mass).collect();
        let kl = |p: f64, q: f64| p * (p / q).ln() - p + q;
        let soft: f64 = p.iter().zip(&b).map(|(&p, &b)| gb * kl(p, b)).sum();
        let hard = if ga.is_finite() {
            ga * kl(mass, a)
        } else {
            0.0
        };
        let optimum = p.iter().zip(&c).map(|(p, c)| p * c).sum::<f64>() + soft + hard;
        let bracket = s.certificate.ok_or("no certificate")?;
        if !bracket.contains(optimum, 1e-11) {
            return Err(format!(
                "{name}: the optimum {optimum:e} lies outside of {bracket:?}"
            ));
        }
    }
    Ok(())
}

/// A diagonal of rising costs, everything else dear: a partial plan takes the cheapest entries in order.
fn partial(subject: &Subject<'_>) -> Verdict {
    let n = 5;
    let mut cost = vec![10.0; n * n];
    (0..n).for_each(|i| cost[i * n + i] = i as f64);
    let ones = text(Measure::new(vec![1.0; n]))?;
    let cost = Arc::new(text(DenseCost::new(n, n, cost))?);
    for (mass, value) in [(0.5, 0.0), (1.0, 0.0), (2.5, 2.0), (5.0, 10.0)] {
        let problem = text(Problem::partial(
            ones.clone(),
            ones.clone(),
            cost.clone(),
            mass,
        ))?;
        let name = format!("mass {mass} of 5");
        let s = subject.solve(&name, &problem)?;
        optimum_is(subject, &name, &problem, &s, value)?;
    }
    Ok(())
}
