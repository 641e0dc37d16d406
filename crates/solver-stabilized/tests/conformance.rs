//! The contracts that all solvers share.

use solver_api::conformance::{Expect, run};
use solver_api::{Capability, Factory};
use solver_stabilized::SinkhornStabilizedFactory;

#[test]
fn it_conforms() {
    run(
        |options| SinkhornStabilizedFactory.build(options),
        &Expect::new().capabilities(&[
            Capability::Balanced,
            Capability::Relaxed,
            Capability::Entropic,
            Capability::ForbiddenPairs,
            Capability::WarmStart,
            Capability::Interruptible,
            Capability::Deterministic,
        ]),
    );
}
