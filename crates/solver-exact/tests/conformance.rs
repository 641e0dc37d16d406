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

#[cfg(feature = "exact-points")]
#[test]
fn exact_points_conforms() {
    use solver_api::conformance::{Expect, run};
    use solver_api::{Capability, Factory, Ground, Problem};
    use solver_exact::ExactPointsFactory;

    for dim in [1, 2, 5] {
        let expect = Expect::new()
            .capabilities(&[
                Capability::Balanced,
                Capability::Exact,
                Capability::LazyCost,
                Capability::Interruptible,
                Capability::Deterministic,
            ])
            .domain(format!("points in {dim} dimensions"), move |draw| {
                let (n, m) = draw.shape();
                let (a, b) = (draw.weights(n), draw.weights(m));
                let (x, y) = (draw.numbers(n * dim), draw.numbers(m * dim));
                Problem::from_points(&a, &b, &x, &y, dim, Ground::SqEuclidean)
            });
        run(|options| ExactPointsFactory.build(options), &expect);
    }
}

/// Closed forms, each on the problems that it is for.
mod closed {
    use solver_api::Capability::{self, Balanced, Deterministic, Exact, Interruptible, LazyCost};
    use solver_api::conformance::{Draw, Expect, run};
    use solver_api::{Error, Factory, Ground, Problem};

    const EXACT: [Capability; 5] = [Balanced, Exact, LazyCost, Interruptible, Deterministic];

    fn expect() -> Expect {
        Expect::new().capabilities(&EXACT).without_iteration_limit()
    }

    /// Numbers as places.
    fn on_numbers(draw: &mut Draw, ground: Ground) -> Result<Problem, Error> {
        let (n, m) = draw.shape();
        let (a, b) = (draw.weights(n), draw.weights(m));
        let (x, y) = (draw.numbers(n), draw.numbers(m));
        Problem::from_points(&a, &b, &x, &y, 1, ground)
    }

    #[cfg(feature = "line")]
    #[test]
    fn line_conforms() {
        for ground in [
            Ground::Euclidean,
            Ground::SqEuclidean,
            Ground::Power(1.7),
            Ground::Atanh(3.0),
            Ground::convex("exp", f64::exp),
        ] {
            let name = format!("points on a line at {ground:?}");
            let expect = expect().domain(name, move |draw| on_numbers(draw, ground.clone()));
            run(
                |options| solver_exact::closed::LineFactory.build(options),
                &expect,
            );
        }
    }

    #[cfg(feature = "circle")]
    #[test]
    fn circle_conforms() {
        let expect = expect().domain("points on a circle", |d| on_numbers(d, Ground::Arc));
        run(
            |options| solver_exact::closed::CircleFactory.build(options),
            &expect,
        );
    }

    #[cfg(feature = "tree")]
    #[test]
    fn tree_conforms() {
        use std::sync::Arc;

        use solver_api::{Measure, Tree, TreeCost};

        // A chain, a star, and what lies between.
        for reach in [1, 4, 1000] {
            let make = move |draw: &mut Draw| {
                let (n, m) = draw.shape();
                let (a, b) = (draw.weights(n), draw.weights(m));
                let nodes = 2 * n.max(m);
                let mut at = |below: usize| (draw.number() * below as f64) as usize;
                let parents: Vec<usize> = (0..nodes)
                    .map(|k| k.saturating_sub(1 + at(reach.min(k.max(1)))))
                    .collect();
                let (x, y): (Vec<_>, Vec<_>) = (
                    (0..n).map(|_| at(nodes)).collect(),
                    (0..m).map(|_| at(nodes)).collect(),
                );
                let tree = Tree::new(&parents, &draw.numbers(nodes))?;
                let cost = TreeCost::new(tree, &x, &y)?;
                Problem::new(Measure::new(a)?, Measure::new(b)?, Arc::new(cost))
            };
            let expect = expect().domain("paths on a tree", make);
            let factory = solver_exact::closed::tree::TreeFactory;
            run(|options| factory.build(options), &expect);
        }
    }

    /// A cloud and its image under x → Ax + c, with A positive: there the Gaussian plan is the optimal one.
    #[cfg(feature = "gaussian")]
    #[test]
    fn gaussian_conforms_on_affine_images() {
        let make = |draw: &mut Draw| {
            let (n, _) = draw.shape();
            let (weights, x) = (draw.weights(n), draw.numbers(2 * n));
            let image = |p: &[f64]| {
                let (u, v) = (p[0], p[1]);
                [1.5 * u + 0.4 * v - 1.0, 0.4 * u + 0.7 * v + 2.0]
            };
            // Turned round, so that the plan is not the diagonal.
            let k = n / 2;
            let turned = [&x[2 * k..], &x[..2 * k]].concat();
            let y: Vec<f64> = turned.chunks_exact(2).flat_map(image).collect();
            let b = [&weights[k..], &weights[..k]].concat();
            Problem::from_points(&weights, &b, &x, &y, 2, Ground::SqEuclidean)
        };
        let expect = Expect::new()
            .capabilities(&[Balanced, LazyCost, Deterministic])
            .without_iteration_limit()
            .accuracy(1e-9)
            .domain("affine images of clouds, in squared distances", make);
        let factory = solver_exact::closed::gaussian::GaussianFactory;
        run(|options| factory.build(options), &expect);
    }
}
