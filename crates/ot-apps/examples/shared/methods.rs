//! Domains and methods of adaptation, as the examples compare them.

use ot_apps::adaptation::{AdaptationSettings, Domain, Mass, Regularizer, nearest_labels};
use ot_apps::scores;
use solver_api::Reg;
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
        let found = nearest_labels(x, labels, &self.points, self.dim)
            .map_err(|error| format!("{}: {error}", self.name))?;
        Ok(100.0 * scores::accuracy(&found, &self.labels)?)
    }
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
