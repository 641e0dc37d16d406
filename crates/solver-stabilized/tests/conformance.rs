//! The contracts that all solvers share.

use solver_api::conformance::{Expect, run};
use solver_api::{Capability, Factory, Options};
use solver_stabilized::SinkhornStabilizedFactory;

const CAPABILITIES: [Capability; 9] = [
    Capability::Balanced,
    Capability::Relaxed,
    Capability::Entropic,
    Capability::ForbiddenPairs,
    Capability::GridCost,
    Capability::LazyCost,
    Capability::WarmStart,
    Capability::Interruptible,
    Capability::Deterministic,
];

fn conforms(method: &str) {
    conforms_with("method", method);
}

fn conforms_with(name: &str, value: &str) {
    let mut options = Options::default();
    options.set.insert(name.into(), value.into());
    run(
        |options| SinkhornStabilizedFactory.build(options),
        &Expect::new().capabilities(&CAPABILITIES).options(options),
    );
}

#[test]
fn by_prediction() {
    conforms("auto");
}

#[test]
fn newton() {
    conforms("newton");
}

#[test]
fn anderson() {
    conforms("anderson");
}

#[test]
fn over_relaxation() {
    conforms("over-relaxation");
}

#[test]
fn epsilon_scaling() {
    conforms("epsilon-scaling");
}

#[test]
fn lazy_points() {
    conforms_with("cost", "lazy");
}
