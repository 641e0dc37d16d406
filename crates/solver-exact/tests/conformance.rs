//! The suite that every solver must pass.

#[cfg(feature = "network-simplex")]
#[test]
fn network_simplex_conforms() {
    use solver_api::conformance::{Expect, run};
    use solver_api::{Capability, Factory};
    use solver_exact::NetworkSimplexFactory;

    run(
        |options| NetworkSimplexFactory.build(options),
        &Expect::new().capabilities(&[
            Capability::Balanced,
            Capability::Partial,
            Capability::Exact,
            Capability::ForbiddenPairs,
            Capability::WarmStart,
            Capability::Interruptible,
            Capability::Deterministic,
        ]),
    );
}
