//! The contracts that all solvers share, for both schedules.

use solver_api::conformance::{Expect, run};
use solver_api::{Capability, Factory, Options, Reg};
use solver_ipot::IpotFactory;

const CAPABILITIES: [Capability; 6] = [
    Capability::Balanced,
    Capability::Exact,
    Capability::ForbiddenPairs,
    Capability::WarmStart,
    Capability::Interruptible,
    Capability::Deterministic,
];

#[test]
fn accelerated() {
    run(
        |options| IpotFactory.build(options),
        &Expect::new().capabilities(&CAPABILITIES).tol(1e-11),
    );
}

#[test]
fn printed() {
    // With L = 1 and β below about 0.03 of the largest cost the iteration may end in a cycle.
    let mut options = Options {
        reg: Some(Reg::Relative(0.1)),
        ..Options::default()
    };
    for (key, value) in [
        ("schedule", "printed"),
        ("plan", "sparse"),
        ("inner", "10"),
        ("check_every", "1"),
    ] {
        options.set.insert(key.into(), value.into());
    }
    run(
        |options| IpotFactory.build(options),
        &Expect::new()
            .capabilities(&CAPABILITIES)
            .options(options)
            .tol(1e-11)
            .max_size(24),
    );
}
