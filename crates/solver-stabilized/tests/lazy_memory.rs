//! Points without a matrix take memory that grows with n + m.
#![allow(clippy::unwrap_used)] // in a test's helpers a panic is the report

use std::sync::Arc;

use peak_alloc::PeakAlloc;
use solver_api::{Certify, Context, Ground, Measure, PointCost, Problem, Reg, Solver};
use solver_stabilized::settings::CostMode;
use solver_stabilized::{Settings, SinkhornStabilized};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

fn points(n: usize, seed: f64) -> Vec<f64> {
    (0..2 * n)
        .map(|k| ((k as f64 + seed) * 12.9898).sin() * 43758.547)
        .map(|x| x - x.floor())
        .collect()
}

/// Megabytes beyond the inputs that a solve takes, with its plan's marginals and barycentric projection.
fn taken(n: usize) -> f32 {
    let cost = PointCost::new(points(n, 0.5), points(n, 7.25), 2, Ground::SqEuclidean).unwrap();
    let uniform = Measure::uniform(n).unwrap();
    let problem = Problem::new(uniform.clone(), uniform, Arc::new(cost)).unwrap();
    let solver = SinkhornStabilized::new(Settings {
        reg: Reg::Relative(1e-2),
        tol: Some(1e-3),
        cost: CostMode::Lazy,
        ..Settings::default()
    });
    let solver = solver.unwrap();
    let before = MEMORY.current_usage_as_mb();
    MEMORY.reset_peak_usage();
    let mut context = Context::new().certified(Certify::AtEnd);
    let solution = solver.solve_with(&problem, &mut context).unwrap();
    assert!(solution.convergence.converged());
    MEMORY.peak_usage_as_mb() - before
}

/// One test, so that nothing else allocates meanwhile. The matrix of the larger one would take 3.2 GB.
#[test]
fn memory_grows_with_the_number_of_points() {
    let (half, whole) = (taken(10_000), taken(20_000));
    // The coarse problem is the same in both; what is left is less than 100 numbers a point.
    assert!(whole < 120.0, "{whole} MB");
    assert!(whole - half < 16.0, "{half} MB, {whole} MB");
}
