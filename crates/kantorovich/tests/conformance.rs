//! `auto` keeps the contracts that all solvers share, whichever backend it picks.
#![cfg(all(
    feature = "network-simplex",
    feature = "lp-microlp",
    feature = "sinkhorn"
))]

use kantorovich::{Capability, Registry};
use solver_api::conformance::{Expect, run};

fn conforms(registry: &Registry, capabilities: &[Capability]) {
    run(
        |options| registry.build("auto", options),
        &Expect::new().capabilities(capabilities).delegates(),
    );
}

#[test]
fn among_exact_backends() {
    let registry = Registry::empty()
        .with(solver_exact::lp::MICROLP)
        .with(solver_exact::NetworkSimplexFactory);
    let capabilities = [
        Capability::Balanced,
        Capability::Partial,
        Capability::Exact,
        Capability::ForbiddenPairs,
        Capability::WarmStart,
        Capability::Interruptible,
        Capability::Deterministic,
    ];
    conforms(&registry, &capabilities);
}

#[test]
fn with_an_entropic_backend() {
    let registry = Registry::empty().with(solver_sinkhorn::SinkhornFactory);
    let capabilities = [
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
    conforms(&registry, &capabilities);
}
