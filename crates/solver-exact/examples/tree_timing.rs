//! How long transport on large trees takes.
//!
//! `cargo run --release -p solver-exact --example tree_timing -- 1000000`: a chain, a star, a binary tree and a random
//! one, with a source and a target at every node.

use std::sync::Arc;
use std::time::Instant;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use solver_api::{Error, Measure, Problem, Solver, Tree, TreeCost};
use solver_exact::closed::tree::{TreeSolver, hierarchical_emd};

fn main() -> Result<(), Error> {
    let nodes = std::env::args().nth(1).and_then(|n| n.parse().ok());
    let n: usize = nodes.unwrap_or(1_000_000);
    let mut random = Pcg64Mcg::seed_from_u64(1);
    let mut uniform = |n: usize| -> Vec<f64> { (0..n).map(|_| random.random()).collect() };
    let mut draw = Pcg64Mcg::seed_from_u64(2);
    let shapes: [(&str, Vec<usize>); 4] = [
        ("chain", (0..n).map(|k| k.saturating_sub(1)).collect()),
        ("star", vec![0; n]),
        ("binary", (0..n).map(|k| k.saturating_sub(1) / 2).collect()),
        (
            "random",
            (0..n)
                .map(|k| if k == 0 { 0 } else { draw.random_range(0..k) })
                .collect(),
        ),
    ];
    for (name, parent) in shapes {
        let begun = Instant::now();
        let tree = Arc::new(Tree::new(&parent, &uniform(n))?);
        let made = begun.elapsed();
        let (a, b) = (uniform(n), uniform(n));
        let (a, b) = (Measure::new(a)?.normalized(), Measure::new(b)?.normalized());
        let all: Vec<usize> = (0..n).collect();
        let cost = TreeCost::new(Arc::clone(&tree), &all, &all)?;
        let problem = Problem::new(a, b, Arc::new(cost))?;
        let solution = TreeSolver::default().solve(&problem)?.require_converged()?;
        let gap = solution.certificate.map(|c| c.relative_gap(&problem));
        let begun = Instant::now();
        let loss = hierarchical_emd(&tree, problem.a().weights(), problem.b().weights(), 1.0)?;
        println!(
            "{name:7} {n} nodes: tree {made:.2?}, solve {:.2?}, certificate {:.2?} (gap {:.0e}), loss and gradient {:.2?}, off by {:.0e}",
            solution.solve_time,
            solution.certify_time,
            gap.unwrap_or(f64::NAN),
            begun.elapsed(),
            (loss.value / solution.transport_cost - 1.0).abs(),
        );
    }
    Ok(())
}
