//! The example of a solver from outside conforms: a stranger copies it.

use kantorovich::conformance::{Expect, run};
use kantorovich::{Capability, Factory};

#[path = "../examples/own_solver/solver.rs"]
mod solver;

#[test]
fn the_example_conforms() {
    let expect = Expect::new()
        .capabilities(&[
            Capability::Balanced,
            Capability::Exact,
            Capability::ForbiddenPairs,
            Capability::Interruptible,
            Capability::Deterministic,
        ])
        .max_size(16);
    run(|options| solver::ShortestPaths.build(options), &expect);
}
