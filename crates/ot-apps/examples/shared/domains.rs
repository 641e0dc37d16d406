//! What the examples of domain adaptation share: data, methods, and their accuracies.

#[path = "methods.rs"]
mod methods;

use std::path::{Path, PathBuf};

use ot_apps::adaptation::{
    Adaptation, AdaptationSettings, Candidate, Regularizer, ValidationSettings, reverse_validation,
};
use solver_api::{Context, Solver};

pub(crate) use methods::{Labelled, entropic, mass, settings};

use crate::Outcome;

/// Rows of an array, and its labels.
pub(crate) fn read(name: &str, points: &Path, labels: &Path) -> Outcome<Labelled> {
    let array = ot_data::read(points).map_err(|e| said(points, &e))?;
    let shape = array.shape().to_vec();
    let rows = shape.first().copied().unwrap_or(1).max(1);
    let points: Vec<f64> = array.array.into_f64().into_iter().collect();
    let labels = ot_data::read(labels).map_err(|e| said(labels, &e))?;
    Ok(Labelled {
        name: name.to_owned(),
        dim: points.len() / rows,
        points,
        labels: labels.into_labels()?.to_vec(),
    })
}

fn said(path: &Path, error: &dyn std::fmt::Display) -> String {
    let rule = "--data wants the folder of data sets that docs/results names";
    format!("{}: {error}; {rule}", path.display())
}

/// The accuracy of a fit on the target, in per cent.
pub(crate) fn accuracy(
    solver: &dyn Solver,
    settings: AdaptationSettings,
    from: &Labelled,
    to: &Labelled,
) -> Outcome<f64> {
    let adaptation = Adaptation::new(solver, settings)?;
    let fitted = adaptation.fit(&from.source()?, &to.target()?, &mut Context::default())?;
    to.told_by(fitted.adapted(), &from.labels)
}

/// What reverse validation chooses among `grid` of (ε, class weight, γ), and its accuracy in per cent.
pub(crate) fn validated(
    grid: &[(f64, f64, f64)],
    from: &Labelled,
    to: &Labelled,
) -> Outcome<(String, f64)> {
    let solvers: Outcome<Vec<_>> = grid.iter().map(|&(reg, ..)| entropic(reg)).collect();
    let solvers = solvers?;
    let candidates: Vec<Candidate<'_>> = grid
        .iter()
        .zip(&solvers)
        .map(|(&(reg, weight, gamma), solver)| Candidate {
            name: format!("ε {reg}, η {weight}, γ {gamma}"),
            solver,
            settings: settings(Regularizer::group_lasso(weight), mass(gamma)),
        })
        .collect();
    let (source, target) = (from.source()?, to.target()?);
    let context = Context::default();
    let settings = ValidationSettings::default();
    let chosen = reverse_validation(&candidates, &source, &target, settings, &context)?;
    let best = &candidates[chosen.best];
    let accuracy = accuracy(best.solver, best.settings.clone(), from, to)?;
    Ok((best.name.clone(), accuracy))
}

/// `fixtures/digits8`: digits of two groups of writers.
pub(crate) fn fixtures() -> Outcome<[Labelled; 2]> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/digits8");
    let of = |name: &str| {
        let points = folder.join(format!("{name}.npy"));
        let labels = folder.join(format!("{name}.labels.npy"));
        Ok::<_, Box<dyn std::error::Error>>(read(name, &points, &labels)?.unit())
    };
    Ok([of("mnist")?, of("optdigits")?])
}
