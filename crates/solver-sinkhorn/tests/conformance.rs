//! The contracts that all solvers share.

use solver_api::conformance::{Expect, run};
use solver_api::{Capability, Factory, Options};
use solver_sinkhorn::SinkhornFactory;

const CAPABILITIES: [Capability; 10] = [
    Capability::Balanced,
    Capability::Relaxed,
    Capability::Partial,
    Capability::Entropic,
    Capability::ForbiddenPairs,
    Capability::GridCost,
    Capability::WarmStart,
    Capability::Batch,
    Capability::Interruptible,
    Capability::Deterministic,
];

#[test]
fn double_precision() {
    run(
        |options| SinkhornFactory.build(options),
        &Expect::new().capabilities(&CAPABILITIES),
    );
}

#[test]
fn single_precision() {
    let mut options = Options::default();
    options.set.insert("precision".into(), "f32".into());
    run(
        |options| SinkhornFactory.build(options),
        &Expect::new()
            .capabilities(&CAPABILITIES)
            .options(options)
            .tol(1e-6)
            .accuracy(2e-5),
    );
}
