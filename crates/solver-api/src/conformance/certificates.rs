//! Contract 3: the exact optimum lies in the bracket, on every problem, whatever the solver did.

use std::sync::Arc;

use super::cases::{self, Random, text};
use super::output::{partial_problem, relaxed_problem};
use super::subject::{Subject, rounding};
use super::{Suite, Verdict, verify};
use crate::certificate::kl;
use crate::{Capability, Context, DenseCost, Ground, Measure, Problem};

pub(super) fn section(suite: &mut Suite<'_>) {
    use Capability::{Balanced, Entropic, Partial, Relaxed};
    suite.check_anywhere("the bracket holds the exact optimum", &[Balanced], holds);
    suite.check("ties on a line", &[Balanced], ties);
    suite.check("also for relaxed problems", &[Relaxed, Entropic], |s| {
        for seed in 0..6 {
            let problem = relaxed_problem(40 + seed, 1.0 + seed as f64, 0.4, 1.5)?;
            s.solve("relaxed", &problem)?;
        }
        Ok(())
    });
    suite.check(
        "a planted optimum of relaxed problems",
        &[Relaxed, Entropic],
        planted_relaxed,
    );
    suite.check("also for partial problems", &[Partial], |s| {
        for seed in 0..6 {
            s.solve("partial", &partial_problem(60 + seed, 1.0)?)?;
        }
        Ok(())
    });
    let name = "also for answers that were stopped early";
    if suite.subject.expect.iteration_limit {
        suite.check_anywhere(name, &[Balanced], stopped_early);
    } else {
        suite.skip(name, "the caller says there are no iterations to limit");
    }
}

fn holds(subject: &Subject<'_>) -> Verdict {
    for seed in 0..10 {
        let (n, m) = (2 + seed as usize, 12 - seed as usize);
        subject.solve("generic", &subject.generic(20 + seed, n, m, 1.0)?)?;
    }
    Ok(())
}

fn ties(subject: &Subject<'_>) -> Verdict {
    // Few points of a line: many ties.
    let x: Vec<f64> = (0..9).map(|k| f64::from(k % 3)).collect();
    let y: Vec<f64> = (0..6).map(|k| f64::from(k % 4)).collect();
    let (a, b) = (vec![1.0 / 9.0; 9], vec![1.0 / 6.0; 6]);
    for ground in [Ground::SqEuclidean, Ground::Cityblock] {
        let problem = text(Problem::from_points(&a, &b, &x, &y, 1, ground))?;
        let (a, b, cost) = cases::parts(&problem);
        subject.solve("ties on a line", &cases::dense(&a, &b, &cost)?)?;
    }
    Ok(())
}

/// Relaxed problems that are made from their optimum: from a plan P and potentials with f⊕g = C where P > 0 and
/// f⊕g < C elsewhere, the weights are a = P1·e^{f/γa} and b = Pᵀ1·e^{g/γb}, and those of a hard side P's own.
fn planted_relaxed(subject: &Subject<'_>) -> Verdict {
    let (n, m) = (6, 5);
    let hard = f64::INFINITY;
    let gammas = [(0.4, 1.5), (2.0, 0.3), (0.7, hard), (hard, 0.7)];
    for (shift, (ga, gb)) in (1..).zip(gammas) {
        let mut random = Random::new(70 + shift as u64);
        let (f, g) = (random.vec(n, -0.5, 0.5), random.vec(m, -0.5, 0.5));
        let (mut plan, mut cost) = (vec![0.0; n * m], vec![0.0; n * m]);
        let (mut rows, mut cols) = (vec![0.0; n], vec![0.0; m]);
        let mut paid = 0.0;
        for k in 0..n * m {
            let (i, j) = (k / m, k % m);
            cost[k] = f[i] + g[j];
            if j == i % m || j == (i + shift) % m {
                plan[k] = 0.1 + 0.2 * random.unit();
                rows[i] += plan[k];
                cols[j] += plan[k];
                paid += plan[k] * cost[k];
            } else {
                cost[k] += 0.1 + random.unit();
            }
        }
        let weights = |sent: &[f64], p: &[f64], gamma: f64| -> Vec<f64> {
            let one = |(s, p): (&f64, &f64)| s * (p / gamma).exp();
            sent.iter().zip(p).map(one).collect()
        };
        let (a, b) = (weights(&rows, &f, ga), weights(&cols, &g, gb));
        let soft = |sent: &[f64], w: &[f64], gamma: f64| {
            if gamma == hard {
                0.0
            } else {
                gamma * kl(sent, w)
            }
        };
        let optimum = paid + soft(&rows, &a, ga) + soft(&cols, &b, gb);
        let cost = Arc::new(text(DenseCost::new(n, m, cost))?);
        let (a, b) = (text(Measure::new(a))?, text(Measure::new(b))?);
        let problem = text(Problem::relaxed(a, b, cost, ga, gb))?;
        let name = format!("a planted relaxed optimum, γ = ({ga}, {gb})");
        let s = subject.solve(&name, &problem)?;
        let bracket = s.certificate.ok_or("no certificate")?;
        if !bracket.contains(optimum, 10.0 * rounding(&problem)) {
            return Err(format!(
                "{name}: {optimum:e} lies outside of the bracket [{:e}, {:e}]",
                bracket.lower, bracket.upper
            ));
        }
    }
    Ok(())
}

/// The bracket does not trust the solver: it holds for whatever one iteration leaves behind.
fn stopped_early(subject: &Subject<'_>) -> Verdict {
    for seed in 0..6 {
        let problem = subject.generic(30 + seed, 8, 7, 1.0)?;
        for limit in [1, 2, 5] {
            let mut options = subject.options(subject.reg(&problem));
            options.max_iter = Some(limit);
            let s = subject
                .make(&options)?
                .solve_with(&problem, &mut Context::default())
                .map_err(|e| format!("max_iter = {limit}: {e}"))?;
            verify::honest_answer(&format!("max_iter = {limit}"), &problem, &s)?;
        }
    }
    Ok(())
}
