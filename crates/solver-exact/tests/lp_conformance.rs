//! Every LP backend that is compiled in runs the conformance suite.
#![cfg(any(feature = "lp-highs", feature = "lp-microlp", feature = "lp-minilp"))]

use solver_api::conformance::{Expect, run};
use solver_api::{Capability, Error, Factory, Options, Problem};

fn conforms(factory: &dyn Factory) {
    let expect = Expect::new()
        .capabilities(&[
            Capability::Balanced,
            Capability::Partial,
            Capability::Exact,
            Capability::ForbiddenPairs,
            Capability::Deterministic,
        ])
        .without_iteration_limit()
        .max_size(40);
    run(|options| factory.build(options), &expect);
}

/// Refuses what the settings say it refuses.
fn keeps_its_limits(factory: &dyn Factory) -> Result<(), Error> {
    let mut options = Options::default();
    options.set.insert("max_pairs".into(), "3".into());
    let solver = factory.build(&options)?;
    solver.solve(&Problem::from_slices(&[1.0], &[1.0], &[2.0])?)?;
    let large = Problem::from_slices(&[0.5, 0.5], &[0.5, 0.5], &[0.0, 1.0, 1.0, 0.0])?;
    let refused = Error::TooManyPairs {
        solver: factory.name().to_owned(),
        pairs: 4,
        max_pairs: 3,
    };
    assert_eq!(solver.solve(&large).err(), Some(refused));
    let options = Options {
        tol: Some(1e-15),
        ..Options::default()
    };
    let refused = factory.build(&options);
    assert!(matches!(refused, Err(Error::UnreachableTolerance { .. })));
    let options = Options {
        seed: Some(1),
        ..Options::default()
    };
    assert!(factory.build(&options).is_err());
    Ok(())
}

#[cfg(feature = "lp-minilp")]
#[test]
fn minilp() -> Result<(), Error> {
    conforms(&solver_exact::lp::MINILP);
    keeps_its_limits(&solver_exact::lp::MINILP)
}

#[cfg(feature = "lp-microlp")]
#[test]
fn microlp() -> Result<(), Error> {
    conforms(&solver_exact::lp::MICROLP);
    keeps_its_limits(&solver_exact::lp::MICROLP)
}

#[cfg(feature = "lp-highs")]
#[test]
fn highs() -> Result<(), Error> {
    conforms(&solver_exact::lp::HIGHS);
    keeps_its_limits(&solver_exact::lp::HIGHS)
}

/// At an offset that leaves the costs no digits, nobody can prove a tolerance, and nobody claims it.
fn claims_what_its_bracket_shows(factory: &dyn Factory) -> Result<(), Error> {
    let cost: Vec<f64> = (0..30).map(|k| 1e15 + f64::from(k * 7 % 10)).collect();
    let problem = Problem::from_slices(&[0.2; 5], &[1.0 / 6.0; 6], &cost)?;
    let solution = factory.build(&Options::default())?.solve(&problem)?;
    let proven = solution
        .certificate
        .is_some_and(|c| c.relative_gap(&problem) <= 1e-9);
    assert_eq!(solution.convergence.converged(), proven);
    Ok(())
}

#[test]
fn no_claim_beyond_the_bracket() -> Result<(), Error> {
    #[cfg(feature = "lp-minilp")]
    claims_what_its_bracket_shows(&solver_exact::lp::MINILP)?;
    #[cfg(feature = "lp-microlp")]
    claims_what_its_bracket_shows(&solver_exact::lp::MICROLP)?;
    #[cfg(feature = "lp-highs")]
    claims_what_its_bracket_shows(&solver_exact::lp::HIGHS)?;
    Ok(())
}
