//! Every LP backend that is compiled in runs the conformance suite.
#![cfg(any(feature = "lp-highs", feature = "lp-microlp", feature = "lp-minilp"))]

use std::sync::Arc;

use solver_api::conformance::{Expect, run};
use solver_api::{Capability, DenseCost, Error, Factory, Measure, Options, Problem, certify};

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

/// Calls a check with every library that is compiled in.
fn each(check: fn(&dyn Factory) -> Result<(), Error>) -> Result<(), Error> {
    #[cfg(feature = "lp-minilp")]
    check(&solver_exact::lp::MINILP)?;
    #[cfg(feature = "lp-microlp")]
    check(&solver_exact::lp::MICROLP)?;
    #[cfg(feature = "lp-highs")]
    check(&solver_exact::lp::HIGHS)?;
    Ok(())
}

/// Whole numbers: adding an offset is exact, so the optimal plans stay the same.
fn costs(n: usize, m: usize) -> Vec<f64> {
    (0..n * m).map(|k| ((k * k + 7 * k) % 97) as f64).collect()
}

#[test]
fn an_offset_changes_the_value_and_nothing_else() -> Result<(), Error> {
    each(|factory| {
        let (n, m) = (7, 9);
        let solver = factory.build(&Options::default())?;
        let cost = costs(n, m);
        let (a, b) = (Measure::uniform(n)?, Measure::uniform(m)?);
        let pose = |offset: f64, mass: Option<f64>| {
            let cost: Vec<f64> = cost.iter().map(|c| c + offset).collect();
            let cost = Arc::new(DenseCost::new(n, m, cost)?);
            match mass {
                None => Problem::new(a.clone(), b.clone(), cost),
                Some(mass) => Problem::partial(a.clone(), b.clone(), cost, mass),
            }
        };
        for mass in [None, Some(0.5)] {
            let plain = solver.solve(&pose(0.0, mass)?)?;
            for offset in [1e9, -1e11, 1e15] {
                let problem = pose(offset, mass)?;
                let solution = solver.solve(&problem)?.require_converged()?;
                let without = solution.plan.transport_cost(pose(0.0, mass)?.cost());
                assert!(
                    (without - plain.transport_cost).abs() <= 1e-9,
                    "{offset}: {without} {}",
                    plain.transport_cost
                );
                let shift = offset * mass.unwrap_or(1.0);
                let ulp = 4.0 * f64::EPSILON * shift.abs();
                let want = plain.transport_cost + shift;
                assert!(
                    solution
                        .certificate
                        .is_some_and(|c| c.contains(want, ulp) && c.gap().abs() <= ulp),
                    "{offset}: {:?}",
                    solution.certificate
                );
                // The potentials prove it too, to the digits that the offset leaves.
                let own = certify(&problem, &solution.plan, &solution.potentials);
                assert!(
                    own.contains(want, ulp) && own.gap() <= 64.0 * ulp,
                    "{own:?}"
                );
            }
        }
        Ok(())
    })
}

#[test]
fn a_plan_is_a_vertex() -> Result<(), Error> {
    each(|factory| {
        let solver = factory.build(&Options::default())?;
        // Ties everywhere, in costs and in weights, and weights below the libraries' tolerances.
        for k in 0..60_usize {
            let (n, m) = (3 + k % 5, 3 + k % 7);
            let cost: Vec<f64> = (0..n * m)
                .map(|e| (((e + k) * (e + 3)) % 3) as f64)
                .collect();
            let weights = |len: usize, step: usize| {
                let w: Vec<f64> = (0..len)
                    .map(|e| match (e * step + k) % 4 {
                        0 if k % 3 == 0 => 3e-9,
                        w => 1.0 + w as f64,
                    })
                    .collect();
                Measure::new(w).map(|w| w.normalized())
            };
            let (a, b) = (weights(n, 3)?, weights(m, 5)?);
            let cost = Arc::new(DenseCost::new(n, m, cost)?);
            for problem in [
                Problem::new(a.clone(), b.clone(), cost.clone())?,
                Problem::partial(a, b, cost, 0.6)?,
            ] {
                let solution = solver.solve(&problem)?.require_converged()?;
                let mut entries = 0;
                solution.plan.for_each_above(0.0, |_, _, _| entries += 1);
                assert!(entries < n + m, "{entries} entries, {n} × {m}, round {k}");
            }
        }
        Ok(())
    })
}

#[test]
fn a_small_part_of_the_mass_can_move() -> Result<(), Error> {
    each(|factory| {
        let (n, m) = (6, 5);
        let solver = factory.build(&Options::default())?;
        for part in [1e-6, 1e-9, 1e-12, 1e-15] {
            // Cost 1 where the first source, which has a third of the part, sends to; 2 for all else it could.
            let mut cost = vec![2.0; n * m];
            cost[..m].fill(1.0);
            cost[m] = 9.0;
            let mut a = vec![0.2; n];
            a[0] = part / 3.0;
            let a = Measure::new(a)?;
            let problem = Problem::partial(
                a,
                Measure::uniform(m)?,
                Arc::new(DenseCost::new(n, m, cost)?),
                part,
            )?;
            let solution = solver.solve(&problem)?.require_converged()?;
            let want = part * (1.0 / 3.0 + 2.0 * 2.0 / 3.0);
            assert!(
                (solution.transport_cost - want).abs() <= 1e-12 * want,
                "{part}"
            );
            assert!((solution.mass - part).abs() <= 1e-14 * part);
            let bracket = solution.certificate.expect("certified by default");
            assert!(bracket.contains(want, 1e-12 * want) && bracket.gap() <= 1e-11 * want);
        }
        Ok(())
    })
}
