//! Limits, stops and what checks are told.

use super::super::super::cost::Rows;
use super::super::watch::SPELL;
use super::*;

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

impl Rows for Counted<'_> {
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
