//! The engine against brute force, an LP, and its own invariants.
mod forbidden;
mod limits;
mod starts;

use super::super::cost::Entries;
use super::*;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

struct Solved {
    value: f64,
    f: Vec<f64>,
    g: Vec<f64>,
    plan: Vec<(usize, usize, f64)>,
    outcome: Outcome,
}

fn range(c: &[f64]) -> (f64, f64) {
    let finite = || c.iter().copied().filter(|c| c.is_finite());
    (
        finite().fold(f64::INFINITY, f64::min),
        finite().fold(f64::NEG_INFINITY, f64::max),
    )
}

fn solve(a: &[f64], b: &[f64], c: &[f64]) -> Solved {
    solve_warm(a, b, c, None)
}

fn instance<'a>(a: &'a [f64], b: &'a [f64], c: &'a [f64]) -> Instance<'a> {
    Instance {
        supply: a,
        demand: b,
        cost: CostView {
            entries: Entries::F64(c),
            columns: b.len(),
            rows: None,
        },
        range: range(c),
        warm: None,
        max_pivots: u64::MAX,
        in_cache: IN_CACHE,
        moved: None,
        bracket: false,
    }
}

fn solve_warm(a: &[f64], b: &[f64], c: &[f64], warm: Option<&[f64]>) -> Solved {
    let mut problem = instance(a, b, c);
    problem.warm = warm;
    solve_instance(&problem)
}

fn solve_instance(instance: &Instance<'_>) -> Solved {
    let (a, b) = (instance.supply, instance.demand);
    let Entries::F64(c) = instance.cost.entries else {
        panic!("tests store costs in double precision");
    };
    let mut w = Workspace::default();
    let outcome = w.solve(instance, &mut |_| true);
    w.tree.rethread(&w.units.demand);
    w.tree.check(&w.units.supply, &w.units.demand);
    let mut plan = vec![];
    let mut value = 0.0;
    w.flows(&instance.cost, |i, j, x| {
        value += c[i * b.len() + j] * x;
        plan.push((i, j, x));
    });
    let f = (0..a.len()).map(|i| w.f(i)).collect();
    let g = (0..b.len()).map(|j| w.g(j)).collect();
    Solved {
        value,
        f,
        g,
        plan,
        outcome,
    }
}

/// Both ways to start, checked each by [`certify_one`], agree.
fn certify(a: &[f64], b: &[f64], c: &[f64]) -> f64 {
    let problem = instance(a, b, c);
    let in_cache = certify_one(&problem, c);
    let beyond = certify_one(
        &Instance {
            in_cache: 0,
            ..problem
        },
        c,
    );
    let scale = c.iter().filter(|c| c.is_finite()).map(|c| c.abs());
    let scale = scale.fold(0.0, f64::max) * a.iter().sum::<f64>();
    assert!((in_cache - beyond).abs() <= 1e-12 * scale);
    in_cache
}

/// Optimality from first principles: marginals, dual feasibility, equal values.
fn certify_one(problem: &Instance<'_>, c: &[f64]) -> f64 {
    let (a, b) = (problem.supply, problem.demand);
    let s = solve_instance(problem);
    assert_eq!(s.outcome.status, Status::Optimal);
    let m = b.len();
    let mass: f64 = a.iter().sum();
    let mut ra = a.to_vec();
    let mut rb = b.to_vec();
    for &(i, j, x) in &s.plan {
        assert!(x > 0.0);
        ra[i] -= x;
        rb[j] -= x;
    }
    let error: f64 = ra.iter().chain(&rb).map(|x| x.abs()).sum();
    assert!(error <= 1e-12 * mass, "marginal error {error}");
    assert!(s.plan.len() < a.len() + m);
    let mut scale = 0.0_f64;
    for i in 0..a.len() {
        for j in 0..m {
            if b[j] == 0.0 || c[i * m + j] == f64::INFINITY {
                continue;
            }
            let r = c[i * m + j] - s.f[i] - s.g[j];
            let size = c[i * m + j].abs() + s.f[i].abs() + s.g[j].abs();
            scale = scale.max(size);
            assert!(r >= -1e-13 * size, "dual infeasible by {r} of {size}");
        }
    }
    let dual: f64 = (0..a.len()).map(|i| a[i] * s.f[i]).sum::<f64>()
        + (0..m)
            // Without an allowed pair there is none.
            .filter(|&j| b[j] > 0.0 && s.g[j].is_finite())
            .map(|j| b[j] * s.g[j])
            .sum::<f64>();
    assert!(
        (dual - s.value).abs() <= 1e-12 * scale * mass,
        "{dual} {}",
        s.value
    );
    s.value
}

fn uniform(n: usize) -> Vec<f64> {
    vec![1.0 / n as f64; n]
}

#[test]
fn small_assignments_equal_brute_force() {
    let mut rng = Pcg64::seed_from_u64(1);
    for round in 0..200 {
        let n = 1 + round % 6;
        let c: Vec<f64> = (0..n * n)
            .map(|_| {
                if round % 2 == 0 {
                    rng.random()
                } else {
                    rng.random_range(0..3) as f64 - 1.0
                }
            })
            .collect();
        let mut order: Vec<usize> = (0..n).collect();
        let mut best = f64::INFINITY;
        permute(&mut order, 0, &mut |o| {
            best = best.min((0..n).map(|i| c[i * n + o[i]]).sum());
        });
        let got = certify(&uniform(n), &uniform(n), &c) * n as f64;
        assert!((got - best).abs() < 1e-12, "{got} {best}");
    }
}

fn permute(order: &mut [usize], k: usize, visit: &mut impl FnMut(&[usize])) {
    if k == order.len() {
        return visit(order);
    }
    for l in k..order.len() {
        order.swap(k, l);
        permute(order, k + 1, visit);
        order.swap(k, l);
    }
}

fn weights(n: usize, rng: &mut Pcg64) -> Vec<f64> {
    let w: Vec<f64> = (0..n).map(|_| rng.random::<f64>() + 1e-3).collect();
    let s: f64 = w.iter().sum();
    w.into_iter().map(|x| x / s).collect()
}

#[test]
fn random_instances_are_certified() {
    let mut rng = Pcg64::seed_from_u64(2);
    for round in 0..120 {
        let (n, m) = (rng.random_range(1..60), rng.random_range(1..60));
        let c: Vec<f64> = (0..n * m)
            .map(|_| match round % 4 {
                0 => rng.random(),
                1 => rng.random_range(0..4) as f64,
                2 => rng.random_range(0..2) as f64 * 1e30,
                _ => rng.random::<f64>() * 1e-200,
            })
            .collect();
        let (a, mut b) = if round % 3 == 0 {
            (uniform(n), uniform(m))
        } else {
            (weights(n, &mut rng), weights(m, &mut rng))
        };
        if round % 5 == 0 && m > 2 {
            let moved = b[0];
            b[0] = 0.0;
            b[1] += moved;
        }
        certify(&a, &b, &c);
    }
}

#[test]
fn constant_costs_and_grids_end() {
    certify(&uniform(50), &uniform(50), &[3.0; 2500]);
    let c: Vec<f64> = (0..64 * 64)
        .map(|k| {
            let (i, j) = (k / 64, k % 64);
            let (dx, dy) = (
                (i / 8) as f64 - (j / 8) as f64,
                (i % 8) as f64 - (j % 8) as f64,
            );
            dx.abs() + dy.abs()
        })
        .collect();
    let mut rng = Pcg64::seed_from_u64(3);
    for _ in 0..20 {
        certify(&weights(64, &mut rng), &weights(64, &mut rng), &c);
        let a: Vec<f64> = (0..64)
            .map(|i| if i < 32 { 1.0 / 32.0 } else { 1e-3 })
            .collect();
        let b: Vec<f64> = (0..64)
            .map(|j| if j >= 32 { 1.0 / 32.0 } else { 1e-3 })
            .collect();
        certify(&a, &b, &c);
    }
}

#[test]
fn a_workspace_forgets_the_problem_before() {
    let mut rng = Pcg64::seed_from_u64(8);
    let mut w = Workspace::default();
    for (n, m) in [(300, 250), (3, 4), (250, 300), (1, 1), (40, 2)] {
        let c = points(n, m, 2, &mut rng, false);
        let (a, b) = (weights(n, &mut rng), weights(m, &mut rng));
        let instance = instance(&a, &b, &c);
        w.solve(&instance, &mut |_| true);
        let mut value = 0.0;
        w.flows(&instance.cost, |i, j, x| value += c[i * m + j] * x);
        assert!((value - solve(&a, &b, &c).value).abs() <= 1e-14);
    }
}

/// Squared distances between random points, or Manhattan distances on a grid, full of ties.
fn points(n: usize, m: usize, d: usize, rng: &mut Pcg64, grid: bool) -> Vec<f64> {
    let mut cloud = |k: usize| -> Vec<f64> {
        (0..k * d)
            .map(|_| {
                if grid {
                    rng.random_range(0..9) as f64
                } else {
                    rng.random()
                }
            })
            .collect()
    };
    let (x, y) = (cloud(n), cloud(m));
    let mut c = Vec::with_capacity(n * m);
    for i in 0..n {
        for j in 0..m {
            let terms = (0..d).map(|k| x[i * d + k] - y[j * d + k]);
            c.push(if grid {
                terms.map(f64::abs).sum()
            } else {
                terms.map(|t| t * t).sum()
            });
        }
    }
    c
}
