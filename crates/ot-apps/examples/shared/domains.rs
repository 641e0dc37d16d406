//! What the examples of domain adaptation share: data, methods, and their accuracies.

use std::path::{Path, PathBuf};

use ot_apps::adaptation::{
    Adaptation, AdaptationSettings, Candidate, Domain, Mass, Regularizer, ValidationSettings,
    nearest_labels, reverse_validation,
};
use ot_apps::scores;
use solver_api::{Context, Reg, Solver};
use solver_stabilized::{Settings, SinkhornStabilized};

use crate::Outcome;

/// Points and labels of one domain.
#[derive(Clone)]
pub(crate) struct Labelled {
    pub(crate) name: String,
    pub(crate) points: Vec<f64>,
    pub(crate) dim: usize,
    pub(crate) labels: Vec<i64>,
}

impl Labelled {
    /// Rows of an array, and its labels.
    pub(crate) fn read(name: &str, points: &Path, labels: &Path) -> Outcome<Self> {
        let array = ot_data::read(points).map_err(|e| said(points, &e))?;
        let shape = array.shape().to_vec();
        let rows = shape.first().copied().unwrap_or(1).max(1);
        let points: Vec<f64> = array.array.into_f64().into_iter().collect();
        let labels = ot_data::read(labels).map_err(|e| said(labels, &e))?;
        Ok(Self {
            name: name.to_owned(),
            dim: points.len() / rows,
            points,
            labels: labels.into_labels()?.to_vec(),
        })
    }

    /// Rows of length one.
    pub(crate) fn unit(mut self) -> Self {
        for row in self.points.chunks_exact_mut(self.dim) {
            let norm = row.iter().map(|v| v * v).sum::<f64>().sqrt();
            row.iter_mut()
                .for_each(|v| *v /= norm.max(f64::MIN_POSITIVE));
        }
        self
    }

    pub(crate) fn source(&self) -> Outcome<Domain> {
        Ok(Domain::new("source", self.points.clone(), self.dim)?.labelled(&self.labels)?)
    }

    pub(crate) fn target(&self) -> Outcome<Domain> {
        Ok(Domain::new("target", self.points.clone(), self.dim)?)
    }

    /// 1-nearest neighbour among `x`, in per cent.
    pub(crate) fn told_by(&self, x: &[f64], labels: &[i64]) -> Outcome<f64> {
        let found = nearest_labels(x, labels, &self.points, self.dim)?;
        Ok(100.0 * scores::accuracy(&found, &self.labels)?)
    }
}

fn said(path: &Path, error: &dyn std::fmt::Display) -> String {
    let rule = "--data wants the folder of data sets that docs/results names";
    format!("{}: {error}; {rule}", path.display())
}

/// An entropic solver at an absolute ε, for costs divided by their maximum. Adaptation needs no nine digits.
pub(crate) fn entropic(reg: f64) -> Outcome<SinkhornStabilized> {
    let settings = Settings {
        tol: Some(1e-6),
        ..Settings::with_reg(Reg::Absolute(reg))
    };
    Ok(SinkhornStabilized::new(settings)?)
}

pub(crate) fn settings(regularizer: Regularizer, mass: Mass) -> AdaptationSettings {
    AdaptationSettings {
        regularizer,
        mass,
        ..AdaptationSettings::default()
    }
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

/// With a finite γ the source is relaxed: classes of the target may have other shares, and all of it is explained.
pub(crate) fn mass(gamma: f64) -> Mass {
    if gamma.is_infinite() {
        return Mass::Balanced;
    }
    Mass::Relaxed {
        gamma_a: gamma,
        gamma_b: f64::INFINITY,
    }
}

/// `fixtures/digits8`: digits of two groups of writers.
pub(crate) fn fixtures() -> Outcome<[Labelled; 2]> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/digits8");
    let read = |name: &str| {
        let points = folder.join(format!("{name}.npy"));
        let labels = folder.join(format!("{name}.labels.npy"));
        Ok::<_, Box<dyn std::error::Error>>(Labelled::read(name, &points, &labels)?.unit())
    };
    Ok([read("mnist")?, read("optdigits")?])
}
