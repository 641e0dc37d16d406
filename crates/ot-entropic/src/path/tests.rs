//! What each phase leaves behind.

use super::*;
use crate::newton::Store;
use crate::testing::{Clouds, apart, plan_of, sums_of};

/// A cold run on this dual, before its first phase.
fn run_of<'a, 'w>(
    dual: Dual<'a, f64>,
    path: Path,
    care: Care,
    watch: &'w mut Watch<'w>,
) -> Run<'a, 'w, f64> {
    let (n, m) = dual.shape();
    let point = Point::new(n, vec![0.0; m], begin(&path));
    Run {
        care,
        ..Run::new(dual, path, point, watch)
    }
}

/// The L1 error of the point's plan at its ε, in plain f64.
fn error_of(dual: &Dual<'_, f64>, point: &Point) -> f64 {
    let (n, m) = dual.shape();
    let (rows, cols) = sums_of(&plan_of(dual, &point.f, &point.g, point.eps), n, m);
    let wanted = |w: &[f64], p: &[f64], gamma: f64| -> Vec<f64> {
        let of = |(w, p): (&f64, &f64)| w * (-p / gamma).exp();
        w.iter().zip(p).map(of).collect()
    };
    let row = apart(&rows, &wanted(dual.a, &point.f, dual.gamma_a));
    row.max(apart(&cols, &wanted(dual.b, &point.g, dual.gamma_b)))
}

const GAMMAS: [(f64, f64); 3] = [
    (f64::INFINITY, f64::INFINITY),
    (0.3, 0.1),
    (f64::INFINITY, 0.2),
];

#[test]
fn the_dense_phase_leaves_levels_at_its_error() {
    let clouds = Clouds::new(120, 100, 2, 1);
    for (gamma_a, gamma_b) in GAMMAS {
        let dual = clouds.dual(gamma_a, gamma_b);
        // An ε far below: it ends where a list pays.
        let path = clouds.path(1e-5 * clouds.spread, 1e-10);
        for (care, least) in [(Care::Bold, 2e-2), (Care::Careful, 1e-10)] {
            let mut levels = Vec::new();
            let mut watch = |stage: &Stage, _: &Point| {
                levels.push(stage.eps);
                true
            };
            let mut run = run_of(dual, path, care, &mut watch);
            let mut dense = Dense::new(dual, 1);
            assert_eq!(run.dense_phase(&mut dense), None);
            let error = error_of(&dual, &run.point);
            assert!(
                error <= 1.01 * least,
                "{care:?} {gamma_a},{gamma_b}: {error:e}"
            );
            let reached = run.point.eps;
            assert!(reached > path.reg && reached < 0.1 * clouds.spread);
            let limit = Reach::WAY.limit() * reached;
            assert!(density(&dual, &run.point, limit) <= LISTED);
            assert!(levels.windows(2).all(|w| w[1] <= w[0]), "{levels:?}");
        }
    }
}

#[test]
fn a_dense_phase_that_reaches_the_end_is_the_answer() {
    let clouds = Clouds::new(60, 50, 2, 2);
    for (gamma_a, gamma_b) in GAMMAS {
        let dual = clouds.dual(gamma_a, gamma_b);
        // On its first level, and below it.
        for relative in [0.5, 0.05] {
            let path = clouds.path(relative * clouds.spread, 1e-12);
            let mut watch = |_: &Stage, _: &Point| true;
            let mut run = run_of(dual, path, Care::Bold, &mut watch);
            let mut dense = Dense::new(dual, 1);
            assert_eq!(run.dense_phase(&mut dense), Some(End::Converged));
            assert_eq!(run.point.eps, path.reg);
            let error = error_of(&dual, &run.point);
            assert!(error <= 2e-12, "{relative} {gamma_a},{gamma_b}: {error:e}");
        }
    }
}

#[test]
fn the_list_phase_ends_at_reg_and_its_finish_at_the_tolerance() {
    let clouds = Clouds::new(120, 100, 2, 3);
    for (gamma_a, gamma_b) in GAMMAS {
        let dual = clouds.dual(gamma_a, gamma_b);
        for relative in [1e-4, 1e-5, 1e-6] {
            // Rounding in large exponents leaves no more.
            let tol = (1e-15_f64 / relative).max(1e-11);
            let path = clouds.path(relative * clouds.spread, tol);
            for (care, least) in [(Care::Bold, 2e-2), (Care::Careful, path.tol)] {
                let mut watch = |_: &Stage, _: &Point| true;
                let mut run = run_of(dual, path, care, &mut watch);
                let mut dense = Dense::new(dual, 1);
                assert_eq!(run.dense_phase(&mut dense), None);
                let mut list = List::build(dual, &run.point, Reach::WAY);
                assert_eq!(run.list_phase(&mut list), None);
                assert_eq!(run.point.eps, path.reg);
                assert!(list.is_valid(&run.point), "{relative}");
                // What the list leaves out comes on top.
                let error = error_of(&dual, &run.point);
                let case = format!("{care:?} {relative} {gamma_a},{gamma_b}: {error:e}");
                assert!(error <= least + 1e-6, "{case}");
                assert_eq!(run.finish_on_list(&mut list), End::Converged);
                let error = error_of(&dual, &run.point);
                assert!(error <= 2.0 * path.tol, "{case} {error:e}");
                // What came along is the plan.
                let point = &run.point;
                let plan = plan_of(&dual, &point.f, &point.g, point.eps);
                let paid: f64 = plan.iter().zip(dual.cost).map(|(p, c)| p * c).sum();
                assert!((run.paid.unwrap() - paid).abs() < 1e-10);
                assert!(list.is_empty() && run.plan.is_some());
            }
        }
    }
}

#[test]
fn both_finishes_agree() {
    let clouds = Clouds::new(50, 60, 2, 4);
    for (gamma_a, gamma_b) in GAMMAS {
        let dual = clouds.dual(gamma_a, gamma_b);
        let eps = 1e-3 * clouds.spread;
        let rough = clouds.solved(dual, eps, 1e-3);
        let finished = |on_list: bool| {
            let mut watch = |_: &Stage, _: &Point| true;
            let mut run = run_of(dual, clouds.path(eps, 1e-12), Care::Bold, &mut watch);
            run.point = rough.clone();
            let end = if on_list {
                run.finish_on_list(&mut List::build(dual, &rough, Reach::END))
            } else {
                run.finish_dense(&mut Dense::new(dual, 1))
            };
            assert_eq!(end, End::Converged);
            run.point.g
        };
        let (list, dense) = (finished(true), finished(false));
        let shift = if dual.is_balanced() {
            list[0] - dense[0]
        } else {
            0.0
        };
        for (x, y) in list.iter().zip(&dense) {
            assert!((x - y - shift).abs() < 1e-8 * clouds.spread);
        }
    }
}

#[test]
fn a_phase_stops_when_told() {
    let clouds = Clouds::new(60, 50, 2, 5);
    let dual = clouds.balanced();
    let path = clouds.path(1e-4 * clouds.spread, 1e-10);
    let mut watch = |_: &Stage, _: &Point| false;
    let mut run = run_of(dual, path, Care::Bold, &mut watch);
    let mut dense = Dense::new(dual, 1);
    assert_eq!(run.dense_phase(&mut dense), Some(End::Stopped));
    let mut watch = |_: &Stage, _: &Point| false;
    let mut run = run_of(dual, path, Care::Bold, &mut watch);
    run.point = clouds.solved(dual, 5e-3 * clouds.spread, 1e-3);
    let mut list = List::build(dual, &run.point, Reach::WAY);
    assert_eq!(run.list_phase(&mut list), Some(End::Stopped));
    list.pass(&mut run.point);
    // The point is whole: what it says of its plan is so.
    let error = error_of(&dual, &run.point);
    assert!(
        (run.point.error() - error).abs() < 1e-6 * error,
        "{error:e}"
    );
}
