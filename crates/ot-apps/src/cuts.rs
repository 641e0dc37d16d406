//! Mirror descent of a convex function of weights that sum to one, with a bracket.
//!
//! A step q ← q e^{−η s} / Σ keeps q a measure; η = √(ln m) / √(Σ max s²) of all steps so far needs no setting, and the least
//! value seen comes down as 1/√t. Every step has a cut, F ≥ level + ⟨s, ·⟩, and the mean of all cuts, weighted as their
//! steps, is least at one place: that is a lower bound which closes as 1/√t too.
//!
//! Sources: Nesterov, *Primal-dual subgradient methods for convex problems* (2009); Duchi, Hazan and Singer, *Adaptive
//! subgradient methods for online learning and stochastic optimization* (2011).

use solver_api::Measure;

use crate::Error;

/// The steps so far, and the mean of their cuts.
pub(crate) struct Cuts {
    slopes: f64,
    weight: f64,
    level: f64,
    slope: Vec<f64>,
    lower: f64,
}

impl Cuts {
    /// None yet, of a function of `m` weights that is not below `floor`.
    pub(crate) fn new(m: usize, floor: f64) -> Self {
        Self {
            slopes: 0.0,
            weight: 0.0,
            level: 0.0,
            slope: vec![0.0; m],
            lower: floor,
        }
    }

    /// What the function is not below, anywhere: of all cuts so far.
    pub(crate) fn lower(&self) -> f64 {
        self.lower
    }

    /// How far `upper`, a value of the function, is above what it can't be below; NaN where it is below that by more than
    /// rounding, of itself or of costs that differ by `spread`: numbers beyond reason lead to that.
    pub(crate) fn gap(&self, upper: f64, spread: f64) -> f64 {
        let gap = upper - self.lower;
        if gap < -1e-6 * (upper.abs() + self.lower.abs()) - 1e-9 * spread {
            return f64::NAN;
        }
        gap.max(0.0)
    }

    /// The next q, from the cut F ≥ level + ⟨slope, ·⟩ at this one.
    pub(crate) fn step(
        &mut self,
        q: &Measure,
        level: f64,
        mut slope: Vec<f64>,
    ) -> Result<Measure, Error> {
        let at = q.weights();
        // Centred at q, so that the length of a step does not depend on a constant.
        let mean: f64 = slope.iter().zip(at).map(|(s, q)| s * q).sum();
        slope.iter_mut().for_each(|s| *s -= mean);
        let steepest = slope.iter().fold(0.0_f64, |most, s| most.max(s.abs()));
        self.slopes += steepest * steepest;
        let length = if self.slopes > 0.0 {
            (at.len() as f64).ln().max(1.0).sqrt() / self.slopes.sqrt()
        } else {
            0.0
        };
        let weight = if length > 0.0 { length } else { 1.0 };
        self.weight += weight;
        self.level += weight * (level + mean);
        self.slope
            .iter_mut()
            .zip(&slope)
            .for_each(|(sum, s)| *sum += weight * s);
        let least = |slope: &[f64]| slope.iter().copied().fold(f64::INFINITY, f64::min);
        let of_mean = (self.level + least(&self.slope)) / self.weight;
        let of_this = level + mean + least(&slope);
        self.lower = self.lower.max(of_mean).max(of_this);
        let next: Vec<f64> = at
            .iter()
            .zip(&slope)
            .map(|(q, s)| q * (-length * s).exp())
            .collect();
        Ok(Measure::named("weights", next)?.normalized())
    }
}
