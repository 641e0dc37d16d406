//! Partial problems: what moves, what stays, and what the multiplier of the mass says.

use std::sync::Arc;

use super::cases::{Random, generic, text};
use super::subject::Subject;
use super::verify::at_most;
use super::{Suite, Verdict};
use crate::{Capability, Cost, DenseCost, Error, Measure, Problem, Solution, SparseCost, measure};

pub(super) fn section(suite: &mut Suite<'_>) {
    use Capability::{Balanced, Entropic, ForbiddenPairs, Partial, WarmStart};
    suite.check(
        "a mass that is none, or too much, is refused",
        &[Partial],
        |_| bad_mass(),
    );
    suite.check("any share of any masses moves", &[Partial], shares);
    suite.check(
        "potentials are at most 0, and 0 where room is kept",
        &[Partial],
        complementary,
    );
    suite.check("λ is the slope of the value", &[Partial], slope);
    suite.check(
        "all of two equal masses is the balanced problem",
        &[Partial, Balanced],
        whole,
    );
    suite.check("little of the masses moves", &[Partial], little);
    suite.check("zero weights, negative costs", &[Partial], odd);
    suite.check(
        "forbidden pairs bound what can move",
        &[Partial, ForbiddenPairs],
        forbidden,
    );
    suite.check("large", &[Partial], large);
    suite.check(
        "a warm start from the answer ends there",
        &[Partial, WarmStart],
        warm,
    );
    suite.check(
        "the entropic plan of one pair, and of two",
        &[Partial, Entropic],
        soft,
    );
}

/// Weights of masses 3 and 2, and `share` of the smaller one to move.
fn problem(seed: u64, (n, m): (usize, usize), share: f64) -> Result<Problem, String> {
    let mut random = Random::new(seed);
    let (a, b) = (random.weights(n, 3.0), random.weights(m, 2.0));
    let cost = random.vec(n * m, -0.5, 1.0);
    moved(a, b, cost, share)
}

fn moved(a: Vec<f64>, b: Vec<f64>, cost: Vec<f64>, share: f64) -> Result<Problem, String> {
    let (a, b) = (text(Measure::new(a))?, text(Measure::new(b))?);
    let cost = Arc::new(text(DenseCost::new(a.len(), b.len(), cost))?);
    let mass = share * a.mass().min(b.mass());
    text(Problem::partial(a, b, cost, mass))
}

fn bad_mass() -> Verdict {
    let ones = text(Measure::new(vec![1.0, 1.0]))?;
    let most = text(Measure::new(vec![1.0, 0.5]))?;
    let cost: Arc<dyn Cost> = Arc::new(text(DenseCost::new(2, 2, vec![0.0; 4]))?);
    for (mass, said) in [
        (0.0, "0"),
        (-0.0, "0"),
        (-1.0, "-1"),
        (f64::NAN, "NaN"),
        (f64::INFINITY, "inf"),
        (1.5 + 1e-9, "1.5"),
        (2.0, "2"),
    ] {
        for (a, b) in [(&ones, &most), (&most, &ones)] {
            let Err(error) = Problem::partial(a.clone(), b.clone(), cost.clone(), mass) else {
                return Err(format!("mass {mass} of 2 and 1.5 is accepted"));
            };
            let message = error.to_string();
            if !(message.contains("`mass`") && message.contains(said)) {
                return Err(format!(
                    "mass {mass}: the message does not say so: {message}"
                ));
            }
        }
    }
    Ok(())
}

fn shares(subject: &Subject<'_>) -> Verdict {
    for (seed, shape) in [(1, (5, 7)), (2, (8, 3)), (3, (1, 6)), (4, (6, 1))] {
        for share in [0.03, 0.5, 0.97, 1.0] {
            let problem = problem(200 + seed, shape, share)?;
            subject.solve(&format!("{share} of the smaller mass"), &problem)?;
        }
    }
    Ok(())
}

/// f, g ≤ 0; f_i < 0 where P1 = a alone, and g likewise; for exact solvers f_i + g_j + λ ≤ C_ij.
fn complementary(subject: &Subject<'_>) -> Verdict {
    for (seed, share) in [(11, 0.2), (12, 0.6), (13, 0.9), (14, 1.0)] {
        let problem = problem(seed, (7, 6), share)?;
        let name = format!("{share} of the smaller mass");
        let s = subject.solve(&name, &problem)?;
        let (rows, cols) = s.plan.marginals();
        let slack = subject.slack(&problem);
        for (side, p, kept, w) in [
            ("f", &s.potentials.f, rows, problem.a().weights()),
            ("g", &s.potentials.g, cols, problem.b().weights()),
        ] {
            if let Some(k) = p.iter().position(|p| !at_most(*p, 0.0)) {
                return Err(format!("{name}: {side}[{k}] = {:e} is above 0", p[k]));
            }
            let terms = p
                .iter()
                .zip(w)
                .zip(&kept)
                .map(|((p, w), k)| p.abs() * (w - k).abs());
            let paid = measure::sum(&terms.collect::<Vec<_>>());
            if !at_most(paid, slack) {
                return Err(format!(
                    "{name}: room is kept where {side} is not 0: ⟨|{side}|, room⟩ = {paid:e}, allowed {slack:e}"
                ));
            }
        }
        if subject.has(Capability::Exact) {
            feasible(&name, &problem, &s)?;
        }
    }
    Ok(())
}

fn feasible(name: &str, problem: &Problem, s: &Solution) -> Verdict {
    let (n, m) = problem.shape();
    let (f, g, lambda) = (&s.potentials.f, &s.potentials.g, s.potentials.lambda);
    let room = 1e-12 * (problem.cost().range().max_abs() + lambda.abs());
    for (i, j) in (0..n).flat_map(|i| (0..m).map(move |j| (i, j))) {
        let over = f[i] + g[j] + lambda - problem.cost().entry(i, j);
        if !at_most(over, room) {
            return Err(format!(
                "{name}: f[{i}] + g[{j}] + λ exceeds the cost by {over:e}, allowed {room:e}"
            ));
        }
    }
    Ok(())
}

/// The value is convex in the mass that moves, and rises by λ at least.
fn slope(subject: &Subject<'_>) -> Verdict {
    let shares = [0.1, 0.35, 0.36, 0.7, 1.0];
    let mut solved: Vec<(Problem, Solution)> = Vec::new();
    for share in shares {
        let problem = problem(21, (6, 8), share)?;
        let reg = subject.reg(&problem);
        let name = format!("{share} of the smaller mass");
        let s = subject.solve_at(&name, &problem, reg)?;
        solved.push((problem, s));
    }
    for (at, s) in &solved {
        for (other, t) in &solved {
            let slack = 2.0 * (subject.slack(at) + subject.slack(other));
            let below = s.objective + s.potentials.lambda * (t.mass - s.mass);
            if !at_most(below, t.objective + slack) {
                return Err(format!(
                    "λ = {:e} is no slope of the value: {:e} at mass {:e}, {:e} at {:e}",
                    s.potentials.lambda, s.objective, s.mass, t.objective, t.mass
                ));
            }
        }
    }
    Ok(())
}

fn whole(subject: &Subject<'_>) -> Verdict {
    let balanced = generic(31, 7, 6, 4.0)?;
    let wanted = subject.solve("balanced", &balanced)?;
    let (a, b) = (balanced.a().clone(), balanced.b().clone());
    let mass = a.mass().min(b.mass());
    let partial = text(Problem::partial(a, b, balanced.shared_cost(), mass))?;
    let found = subject.solve("all of it", &partial)?;
    let slack = 2.0 * subject.slack(&balanced);
    subject.expect_value(
        "all of it",
        "transport_cost",
        found.transport_cost,
        wanted.transport_cost,
        slack,
    )
}

/// Down to where rounding of the whole masses would be all of it.
fn little(subject: &Subject<'_>) -> Verdict {
    for share in [1e-6, 1e-12, 1e-20] {
        let problem = problem(41, (5, 6), share)?;
        let s = subject.solve(&format!("{share:e} of the mass"), &problem)?;
        if subject.has(Capability::Exact) {
            // One pair has room for it.
            let cheapest = problem.mass() * problem.cost().range().min;
            let slack = 1e-9 * cheapest.abs();
            subject.expect_value(
                "little mass",
                "transport_cost",
                s.transport_cost,
                cheapest,
                slack,
            )?;
        }
    }
    Ok(())
}

fn odd(subject: &Subject<'_>) -> Verdict {
    let mut random = Random::new(51);
    for (name, a, b, low, high) in [
        (
            "zero weights",
            vec![0.0, 2.0, 0.0, 1.0],
            vec![1.0, 0.0, 0.5],
            0.0,
            1.0,
        ),
        (
            "negative costs",
            vec![1.0, 2.0],
            vec![0.5, 1.0, 2.0],
            -3.0,
            -1.0,
        ),
        (
            "a constant cost",
            vec![1.0, 2.0],
            vec![0.5, 1.0, 2.0],
            2.0,
            2.0,
        ),
        (
            "a cost of zero",
            vec![1.0, 2.0],
            vec![0.5, 1.0, 2.0],
            0.0,
            0.0,
        ),
        (
            "huge costs",
            vec![1.0, 2.0],
            vec![0.5, 1.0, 2.0],
            1e30,
            3e30,
        ),
        (
            "tiny costs",
            vec![1.0, 2.0],
            vec![0.5, 1.0, 2.0],
            1e-200,
            3e-200,
        ),
        (
            "unlike masses",
            vec![1e12, 3e12],
            vec![1.0, 2.0, 0.5],
            0.0,
            1.0,
        ),
    ] {
        let cost = random.vec(a.len() * b.len(), low, high);
        for share in [0.4, 1.0] {
            let problem = moved(a.clone(), b.clone(), cost.clone(), share)?;
            subject.solve(&format!("{name}, {share} of the mass"), &problem)?;
        }
    }
    Ok(())
}

/// A chain of pairs: source k reaches targets k and k + 1, the last source none.
fn forbidden(subject: &Subject<'_>) -> Verdict {
    let n = 5;
    let chain = (0..n - 1).flat_map(|k| [(k, k, 1.0), (k, k + 1, 2.0)]);
    let cost: Arc<dyn Cost> = Arc::new(text(SparseCost::from_triples(n, n, chain.collect()))?);
    let ones = text(Measure::new(vec![1.0; n]))?;
    let at = |mass| {
        text(Problem::partial(
            ones.clone(),
            ones.clone(),
            cost.clone(),
            mass,
        ))
    };
    for mass in [0.5, 2.0, 3.75] {
        let problem = at(mass)?;
        let s = subject.solve(&format!("{mass} of 4 that may move"), &problem)?;
        if subject.has(Capability::Exact) {
            let slack = subject.slack(&problem);
            subject.expect_value("a chain", "transport_cost", s.transport_cost, mass, slack)?;
        }
    }
    let problem = at(4.5)?;
    match subject.solver(&problem)?.solve(&problem) {
        Err(Error::Infeasible(proof)) if proof.supply > proof.capacity => Ok(()),
        Err(e) => Err(format!("4.5 of 4 that may move: another error: {e}")),
        Ok(_) => Err("4.5 of 4 that may move: an answer".to_owned()),
    }
}

/// Large enough for the passes in parallel chunks.
fn large(subject: &Subject<'_>) -> Verdict {
    let size = subject.expect.max_size;
    for share in [0.01, 0.5, 1.0] {
        let problem = problem(61, (size, size - 1), share)?;
        let s = subject.solve(&format!("large, {share} of the smaller mass"), &problem)?;
        if subject.has(Capability::Exact) {
            feasible("large", &problem, &s)?;
        }
    }
    Ok(())
}

fn warm(subject: &Subject<'_>) -> Verdict {
    let problem = problem(71, (9, 8), 0.5)?;
    let cold = subject.solve("cold", &problem)?;
    let mut context = crate::Context::new().warm(cold.potentials.clone());
    let solver = subject.solver(&problem)?;
    let warm = subject.run("warm", solver.as_ref(), &problem, &mut context)?;
    let slack = 2.0 * subject.slack(&problem);
    subject.expect_value(
        "warm",
        "transport_cost",
        warm.transport_cost,
        cold.transport_cost,
        slack,
    )?;
    let (Some(few), Some(many)) = (warm.convergence.iterations, cold.convergence.iterations) else {
        return Ok(());
    };
    if few > many || (many > 4 && few == many) {
        return Err(format!(
            "a warm start takes {few} iterations, a cold one {many}"
        ));
    }
    Ok(())
}

/// One pair: all of S, whatever ε. Two targets with room: shares b_j e^{−C_j/ε}; with one full, the other has the rest.
fn soft(subject: &Subject<'_>) -> Verdict {
    let one = moved(vec![2.0], vec![3.0], vec![0.7], 0.25)?;
    let s = subject.solve_at("one pair", &one, Some(0.3))?;
    // The mass is S: ⟨P, C⟩ = 0.7·S, KL = S log(S/6) − S + 6.
    let kl = 0.5 * (0.5_f64 / 6.0).ln() - 0.5 + 6.0;
    let slack = subject.slack(&one) + 1e-9;
    subject.expect_value("one pair", "objective", s.objective, 0.35 + 0.3 * kl, slack)?;
    // dO/dS = C + ε log(S/6).
    let lambda = 0.7 + 0.3 * (0.5_f64 / 6.0).ln();
    subject.expect_value("one pair", "λ", s.potentials.lambda, lambda, slack)?;
    for (b, wanted) in [([1.0, 2.0], None), ([0.1, 2.0], Some([0.1, 0.4]))] {
        let two = moved(
            vec![2.0],
            b.to_vec(),
            vec![0.0, 1.0],
            0.5 / 2.0_f64.min(b[0] + b[1]),
        )?;
        let s = subject.solve_at("two pairs", &two, Some(0.5))?;
        let share = [b[0], b[1] * (-2.0_f64).exp()];
        let free = share.map(|w| 0.5 * w / (share[0] + share[1]));
        let found = s.plan.to_dense();
        for (found, wanted) in found.data().iter().zip(wanted.unwrap_or(free)) {
            subject.expect_value("two pairs", "P", *found, wanted, slack)?;
        }
    }
    Ok(())
}
