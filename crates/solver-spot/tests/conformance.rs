//! The contracts that all solvers share, with SPOT's own tolerances.

use solver_api::conformance::{Expect, run};
use solver_api::{Capability, Factory, Ground, Options, Problem};
use solver_spot::SpotFactory;

#[test]
fn conforms() {
    let mut options = Options {
        max_iter: Some(1500),
        ..Options::default()
    };
    for (key, value) in [("hidden", "16"), ("check_every", "250"), ("batch", "64")] {
        options.set.insert(key.into(), value.into());
    }
    run(
        |options| SpotFactory.build(options),
        &Expect::new()
            .capabilities(&[
                Capability::Balanced,
                Capability::LazyCost,
                Capability::Interruptible,
                Capability::Deterministic,
            ])
            .options(options)
            .accuracy(0.2)
            .tol(0.1)
            .marginal_error(1e-9)
            .max_size(12)
            .cases(2)
            .domain("points", |draw| {
                let (n, m) = draw.shape();
                let (a, b) = (draw.weights(n), draw.weights(m));
                let (x, y) = (draw.numbers(2 * n), draw.numbers(2 * m));
                Problem::from_points(&a, &b, &x, &y, 2, Ground::SqEuclidean)
            }),
    );
}
