//! The engine against brute force, an LP, and its own invariants.
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
fn forbidden_pairs_are_avoided_or_reported() {
    let mut rng = Pcg64::seed_from_u64(4);
    for round in 0..100 {
        let n = 2 + round % 20;
        let mut c: Vec<f64> = (0..n * n)
            .map(|_| {
                if rng.random_range(0..4) == 0 {
                    rng.random()
                } else {
                    f64::INFINITY
                }
            })
            .collect();
        let shift = rng.random_range(0..n);
        for i in 0..n {
            c[i * n + (i + shift) % n] = rng.random::<f64>() + 1.0;
        }
        let a = if round % 2 == 0 {
            uniform(n)
        } else {
            weights(n, &mut rng)
        };
        let mut b = a.clone();
        b.rotate_right(shift);
        let value = certify(&a, &b, &c);
        // The shifted diagonal is one plan; entries of its kind cost 1 at least, the others 0 at least.
        let diagonal: f64 = (0..n).map(|i| a[i] * c[i * n + (i + shift) % n]).sum();
        assert!((0.0..=diagonal * (1.0 + 1e-14)).contains(&value));
        for j in 0..n {
            c[j] = f64::INFINITY;
        }
        assert_eq!(solve(&a, &b, &c).outcome.status, Status::Infeasible);
    }
}

/// A problem from a plan on allowed pairs whose entries are powers of two down to 2^-120: beside the largest, most are
/// far less than a unit, and what rounding adds to one weight no other may take.
fn spread_out(rng: &mut Pcg64) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let (n, m) = (rng.random_range(1..14), rng.random_range(1..14));
    let (pairs, lowest) = (rng.random_range(1..40), rng.random_range(1..121));
    let mut c = vec![f64::INFINITY; n * m];
    let (mut a, mut b) = (vec![0.0; n], vec![0.0; m]);
    let mut send = |i: usize, j: usize, rng: &mut Pcg64| {
        let mass = 2.0_f64.powi(-rng.random_range(0..=lowest)) * rng.random_range(1..4) as f64;
        a[i] += mass;
        b[j] += mass;
        if c[i * m + j] == f64::INFINITY {
            c[i * m + j] = rng.random();
        }
    };
    for k in 0..n.max(m) {
        send(k % n, (k * 7 + k / n) % m, rng);
    }
    for _ in 0..pairs {
        let (i, j) = (rng.random_range(0..n), rng.random_range(0..m));
        send(i, j, rng);
    }
    // Columns that no pair was drawn for.
    let live: Vec<usize> = (0..m).filter(|&j| b[j] > 0.0).collect();
    let kept = |i: usize| live.iter().map(move |&j| i * m + j);
    let c = (0..n).flat_map(kept).map(|k| c[k]).collect();
    (a, live.iter().map(|&j| b[j]).collect(), c)
}

#[test]
fn masses_below_a_unit_lose_no_optimum() {
    let mut rng = Pcg64::seed_from_u64(41);
    for _ in 0..400 {
        let (a, b, c) = spread_out(&mut rng);
        certify(&a, &b, &c);
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

#[test]
fn grouped_starts_are_certified() {
    let mut rng = Pcg64::seed_from_u64(5);
    for round in 0..12 {
        let n = 230 + 40 * (round % 5);
        let m = if round % 3 == 0 {
            n
        } else {
            210 + 30 * (round % 7)
        };
        let c = points(n, m, 1 + round % 4, &mut rng, round % 2 == 1);
        let (a, mut b) = if round % 3 == 0 {
            (uniform(n), uniform(m))
        } else {
            (weights(n, &mut rng), weights(m, &mut rng))
        };
        if round % 4 == 1 {
            let moved = b[0] + b[7];
            (b[0], b[7]) = (0.0, 0.0);
            b[1] += moved;
        }
        certify(&a, &b, &c);
    }
}

#[test]
fn grouped_starts_respect_forbidden_pairs() {
    let mut rng = Pcg64::seed_from_u64(6);
    for round in 0..6 {
        let n = 260;
        let mut c = points(n, n, 2, &mut rng, false);
        for i in 0..n {
            for j in 0..n {
                // Two components, and holes inside of them.
                let apart = (i < 100) != (j < 100);
                if apart || (i != j && rng.random_range(0..3) == 0) {
                    c[i * n + j] = f64::INFINITY;
                }
            }
        }
        let a = if round % 2 == 0 {
            uniform(n)
        } else {
            weights(n, &mut rng)
        };
        // The diagonal is allowed: nobody needs to pay more.
        let diagonal: f64 = (0..n).map(|i| a[i] * c[i * n + i]).sum();
        assert!(certify(&a, &a, &c) <= diagonal * (1.0 + 1e-14));
    }
}

#[test]
fn any_warm_start_gives_the_same_value() {
    let mut rng = Pcg64::seed_from_u64(7);
    for n in [5, 40, 250] {
        let c = points(n, n, 2, &mut rng, false);
        let (a, b) = (weights(n, &mut rng), weights(n, &mut rng));
        let cold = solve(&a, &b, &c);
        let wild: Vec<f64> = (0..n).map(|_| rng.random_range(-1e3..1e3)).collect();
        let broken = vec![f64::INFINITY; n];
        let shifted: Vec<f64> = cold.g.iter().map(|g| g - 1e300).collect();
        let mut torn = vec![-1e308; n];
        torn[0] = 1e308;
        for warm in [&cold.g, &wild, &broken, &shifted, &torn] {
            let again = solve_warm(&a, &b, &c, Some(warm));
            assert_eq!(again.outcome.status, Status::Optimal);
            assert!((again.value - cold.value).abs() <= 1e-13 * cold.value);
        }
        let again = solve_warm(&a, &b, &c, Some(&cold.g));
        assert!(again.outcome.pivots <= cold.outcome.pivots.max(2 * n as u64));
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

#[test]
fn limits_leave_a_feasible_plan() {
    let mut rng = Pcg64::seed_from_u64(9);
    let n = 120;
    let c = points(n, n, 2, &mut rng, false);
    let (a, b) = (weights(n, &mut rng), weights(n, &mut rng));
    let best = solve(&a, &b, &c).value;
    let mut w = Workspace::default();
    let mut instance = instance(&a, &b, &c);
    instance.max_pivots = 3;
    let outcome = w.solve(&instance, &mut |_| true);
    assert_eq!(
        (outcome.status, outcome.pivots),
        (Status::IterationLimit, 3)
    );
    w.tree.rethread(&w.units.demand);
    w.tree.check(&w.units.supply, &w.units.demand);
    let mut value = 0.0;
    w.flows(&instance.cost, |i, j, x| value += c[i * n + j] * x);
    assert!(value > best);
    instance.max_pivots = u64::MAX;
    let outcome = w.solve(&instance, &mut |_| false);
    assert_eq!(outcome.status, Status::Stopped);
}

#[test]
fn as_many_pivots_as_it_takes_are_enough() {
    let mut rng = Pcg64::seed_from_u64(42);
    for _ in 0..40 {
        let (n, m) = (rng.random_range(2..12), rng.random_range(2..12));
        let c = points(n, m, 2, &mut rng, false);
        let (a, b) = (weights(n, &mut rng), weights(m, &mut rng));
        for in_cache in [0, IN_CACHE] {
            let mut problem = Instance {
                in_cache,
                ..instance(&a, &b, &c)
            };
            let taken = solve_instance(&problem).outcome.pivots;
            problem.max_pivots = taken.max(1);
            let enough = solve_instance(&problem).outcome;
            assert_eq!((enough.status, enough.pivots), (Status::Optimal, taken));
            if taken > 1 {
                problem.max_pivots = taken - 1;
                let short = solve_instance(&problem).outcome;
                assert_eq!(
                    (short.status, short.pivots),
                    (Status::IterationLimit, taken - 1)
                );
            }
        }
    }
}

#[test]
fn weights_without_an_allowed_pair_are_left_out_where_they_are_rounding() {
    let inf = f64::INFINITY;
    for tiny in [1e-13, 1e-16, 1e-30] {
        let (a, b) = ([1.0], [1.0, tiny]);
        assert_eq!(certify(&a, &b, &[1.0, inf]), 1.0);
        // The other way round, and a sink that only a source without mass to spare may feed.
        assert_eq!(certify(&b, &a, &[1.0, inf]), 1.0);
        let value = certify(&[1.0, tiny], &[1.0, tiny], &[1.0, inf, 2.0, inf]);
        assert!((value - 1.0).abs() <= 4.0 * tiny);
        let value = certify(&[1.0, tiny], &[1.0, 3.0 * tiny], &[1.0, inf, 2.0, 3.0]);
        assert!((value - 1.0).abs() <= 16.0 * tiny);
    }
}

#[test]
fn brackets_at_checks_hold_and_close() {
    let mut rng = Pcg64::seed_from_u64(10);
    for in_cache in [0, IN_CACHE] {
        let n = 150;
        let c = points(n, n, 2, &mut rng, false);
        let (a, b) = (weights(n, &mut rng), weights(n, &mut rng));
        let best = solve(&a, &b, &c).value;
        let mut problem = instance(&a, &b, &c);
        (problem.bracket, problem.in_cache) = (true, in_cache);
        let mut seen = Vec::new();
        Workspace::default().solve(&problem, &mut |step| {
            seen.extend(step.bracket);
            true
        });
        assert!(!seen.is_empty());
        for &(lower, upper) in &seen {
            assert!(lower <= best * (1.0 + 1e-13) && best <= upper * (1.0 + 1e-13));
        }
        let (lower, upper) = seen[seen.len() - 1];
        assert!(upper - lower <= 1e-12 * best, "{lower} {upper}");
    }
}

/// A cost that counts how often its rows are read.
struct Counted<'a> {
    cost: &'a [f64],
    columns: usize,
    read: std::sync::atomic::AtomicUsize,
}

impl super::super::cost::Rows for Counted<'_> {
    fn row(&self, i: usize, out: &mut [f64]) {
        let one = std::sync::atomic::Ordering::Relaxed;
        self.read.fetch_add(1, one);
        out.copy_from_slice(&self.cost[i * self.columns..][..self.columns]);
    }

    fn entry(&self, i: usize, j: usize) -> f64 {
        self.cost[i * self.columns + j]
    }
}

/// Solves `problem` with a check that says no from its `k`-th call on: the calls it got, the rows read after the
/// first no, and the most rows read between two looks of the start.
fn stop_at(problem: &Instance<'_>, c: &[f64], k: usize) -> (usize, usize, usize, Outcome, f64) {
    let counted = Counted {
        cost: c,
        columns: problem.demand.len(),
        read: 0.into(),
    };
    let read = || counted.read.load(std::sync::atomic::Ordering::Relaxed);
    let stored = CostView {
        entries: Entries::Rows(&counted),
        ..problem.cost
    };
    let instance = Instance {
        cost: stored,
        ..*problem
    };
    let mut w = Workspace::default();
    let (mut calls, mut at_no, mut last, mut widest) = (0, None, 0, 0);
    let outcome = w.solve(&instance, &mut |step| {
        calls += 1;
        if step.value.is_none() {
            widest = widest.max(read() - last);
        }
        last = read();
        if calls >= k && at_no.is_none() {
            at_no = Some(last);
        }
        calls < k
    });
    w.tree.rethread(&w.units.demand);
    w.tree.check(&w.units.supply, &w.units.demand);
    let mut moved = 0.0;
    w.flows(&instance.cost, |_, _, x| moved += x);
    let after = at_no.map_or(0, |then| read() - then);
    (calls, after, widest, outcome, moved)
}

#[test]
fn a_start_that_is_stopped_stops_soon_and_has_a_plan() {
    let n = 500;
    let mut rng = Pcg64::seed_from_u64(77);
    let c: Vec<f64> = (0..n * n).map(|_| rng.random_range(0.0..1.0)).collect();
    let mut general: Vec<f64> = (0..n).map(|_| rng.random_range(0.1..1.0)).collect();
    let total: f64 = general.iter().sum();
    general.iter_mut().for_each(|x| *x /= total);
    let duals = vec![0.0; n];
    for a in [uniform(n), general] {
        for warm in [None, Some(&duals[..])] {
            let mut problem = Instance {
                in_cache: 0,
                ..instance(&a, &a, &c)
            };
            problem.warm = warm;
            let (looks, _, widest, outcome, _) = stop_at(&problem, &c, usize::MAX);
            assert_eq!(outcome.status, Status::Optimal);
            // As many rows as hold what may be read unseen, and the one at hand; greedy reads each row at most once
            // more before the simplex looks.
            assert!(widest <= SPELL / n + 2, "{widest} rows between looks");
            assert!(looks > 20, "{looks} looks");
            // Whenever it is stopped, in any step of the start or after it.
            for k in (1..=looks).step_by(looks / 20) {
                let (calls, after, _, outcome, moved) = stop_at(&problem, &c, k);
                assert_eq!(outcome.status, Status::Stopped, "at call {k}");
                assert!(calls <= k + 1, "{calls} calls where the {k}-th said no");
                assert!(after <= n + 2, "{after} rows read after the no at call {k}");
                assert!((moved - 1.0).abs() < 1e-12, "a plan of mass {moved}");
            }
        }
    }
}

#[test]
fn potentials_nearly_right_save_pivots_and_wrong_ones_cost_nothing() {
    let mut rng = Pcg64::seed_from_u64(12);
    let n = 90;
    let (x, y): (Vec<f64>, Vec<f64>) = (0..2 * n)
        .map(|_| (rng.random::<f64>(), rng.random::<f64>()))
        .unzip();
    let c: Vec<f64> = (0..n * n)
        .map(|k| (x[k / n] - x[n + k % n]).powi(2) + (y[k / n] - y[n + k % n]).powi(2))
        .collect();
    let mut weights = || {
        let w: Vec<f64> = (0..n).map(|_| rng.random_range(0.1..1.0)).collect();
        let total: f64 = w.iter().sum();
        w.iter().map(|w| w / total).collect::<Vec<f64>>()
    };
    let (a, b) = (weights(), weights());
    let cold = solve(&a, &b, &c);
    let near: Vec<f64> = cold
        .g
        .iter()
        .zip(0..)
        .map(|(g, k)| g + 1e-4 * f64::from(k % 3))
        .collect();
    let wrong: Vec<f64> = (0..n)
        .map(|k| if k % 2 == 0 { 1e6 } else { -3.0 })
        .collect();
    for in_cache in [IN_CACHE, 0] {
        let from = |g: Option<&[f64]>| {
            solve_instance(&Instance {
                warm: g,
                in_cache,
                ..instance(&a, &b, &c)
            })
        };
        let (none, warm, misled) = (from(None), from(Some(&near)), from(Some(&wrong)));
        assert!(2 * warm.outcome.pivots < none.outcome.pivots);
        assert!(misled.outcome.pivots <= 2 * none.outcome.pivots);
        for other in [&none, &warm, &misled] {
            assert!((other.value - cold.value).abs() < 1e-14);
        }
    }
}
