//! γ-based transformations: the plan between two measures of the plane says how one is moved, turned and scaled against
//! the other; that is undone, and the transport is solved again.
//!
//! | family | A | takes from the plan |
//! |---|---|---|
//! | [`Linear::Fixed`] | 1 | nothing: the translation is a difference of centres of mass, whatever the plan is |
//! | [`Linear::Scale`] | s·1 | one size |
//! | [`Linear::AxisScales`] | diag(s, s′) | a size for each axis |
//! | [`Linear::Rotation`] | R(θ) | the angle |
//! | [`Linear::Similarity`] | s·R(θ) | both |
//! | [`Linear::Affine`] | any | all of it |
//!
//! each with a translation or without one: then the centre of mass stays where it is. The measure itself is moved, its
//! weights with their points, and nothing is interpolated; [`Images::warped`](crate::Images::warped) resamples images where
//! a picture is wanted.
//!
//! [`Alignment`] holds the checked settings, [`Alignment::fit`] is one fit to the moments of a plan,
//! [`Alignment::register`] goes back and forth between plan and map, and [`AlignedRetrieval`] is the classifier.
//!
//! Sources: 000, section 3.3; Kabsch (1976) for the rotation and Umeyama, *Least-squares estimation of transformation
//! parameters between two point patterns* (1991) for similarities, both with the plan's entries for weights.

mod fit;
mod map;
mod matrix;
mod moments;
mod register;
mod retrieval;

use std::f64::consts::PI;

use solver_api::{Capability, Ground, Solver};

use crate::Error;
use crate::error::require;
pub use map::AffineMap;
pub use moments::PlanMoments;
pub use register::Registered;
pub use retrieval::{AlignedRetrieval, AlignedRetrieved};

/// Which linear maps an alignment may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Linear {
    /// None.
    #[default]
    Fixed,
    /// One factor for both axes.
    Scale,
    /// A factor for each axis.
    AxisScales,
    /// A rotation.
    Rotation,
    /// A rotation and one factor.
    Similarity,
    /// Any matrix without a reflection.
    Affine,
}

/// Where sizes come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ScaleRule {
    /// From the plan: the least squares of y on x, Σ_yx/Σ_xx. Never more than the spread says, and less the more the plan
    /// scatters a point's mass.
    #[default]
    LeastSquares,
    /// From the spread of the two measures, √(Σ_yy/Σ_xx), as the translation comes from their centres; directions alone
    /// come from the plan. For entropic plans with a large ε, which send every point towards the centre.
    Spread,
}

/// What can be set of an [`Alignment`].
#[derive(Debug, Clone)]
pub struct AlignmentSettings {
    /// The linear part. Default: [`Linear::Fixed`].
    pub linear: Linear,
    /// Whether centres of mass are brought together. Default: true.
    pub translation: bool,
    /// Where sizes come from. Default: [`ScaleRule::LeastSquares`].
    pub rule: ScaleRule,
    /// Fits to a new plan at most. Default: 4, which rotations need; 000 has 1. It ends where the value stops falling.
    pub rounds: usize,
    /// The ground cost of the plans that maps are fitted to. Default: the squared distance, for which plan and map minimize
    /// one sum, so that the value never rises from round to round. None: that of the score, as in 000.
    pub plan_ground: Option<Ground>,
    /// Factors are from 1/`max_scale` to `max_scale`. Default: 2; without a limit anything may become anything.
    pub max_scale: f64,
    /// The largest angle of a rotation, in radians. Default: π/4, so that 6 stays another than 9.
    pub max_angle: f64,
}

impl Default for AlignmentSettings {
    fn default() -> Self {
        Self {
            linear: Linear::Fixed,
            translation: true,
            rule: ScaleRule::LeastSquares,
            rounds: 4,
            plan_ground: Some(Ground::SqEuclidean),
            max_scale: 2.0,
            max_angle: 0.25 * PI,
        }
    }
}

/// Checked settings, and who solves for the plans.
#[derive(Clone)]
pub struct Alignment<'a> {
    settings: AlignmentSettings,
    plans: Option<&'a dyn Solver>,
}

impl<'a> Alignment<'a> {
    /// With checked settings.
    ///
    /// # Errors
    /// No rounds, a scale below 1, an angle that is not from 0 to π.
    pub fn new(settings: AlignmentSettings) -> Result<Self, Error> {
        if settings.rounds == 0 {
            return Err(Error::setting("rounds", 0, "must be at least 1"));
        }
        let scale = settings.max_scale;
        if !(scale >= 1.0 && scale.is_finite()) {
            let rule = "must be finite, and 1 or more: factors are from 1/max_scale to max_scale";
            return Err(Error::setting("max_scale", scale, rule));
        }
        let angle = settings.max_angle;
        if !(0.0..=PI).contains(&angle) {
            return Err(Error::setting("max_angle", angle, "must be from 0 to π"));
        }
        Ok(Self {
            settings,
            plans: None,
        })
    }

    /// The plans that maps are fitted to by another solver than the scores. Where scores are entropic, this one may be
    /// exact, or have an ε of its own, which another ground cost asks for. Needs [`Capability::Balanced`].
    ///
    /// # Errors
    /// A solver without the capability.
    pub fn plans_by(self, solver: &'a dyn Solver) -> Result<Self, Error> {
        require(solver, Capability::Balanced)?;
        Ok(Self {
            plans: Some(solver),
            ..self
        })
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &AlignmentSettings {
        &self.settings
    }

    /// The map of the family that takes x to y best, by the moments of a plan between them; O(1).
    #[must_use]
    pub fn fit(&self, moments: &PlanMoments) -> AffineMap {
        let set = &self.settings;
        let linear = fit::linear(set.linear, set.rule, moments, set.max_scale, set.max_angle);
        let to = if set.translation {
            moments.y
        } else {
            moments.x
        };
        AffineMap::about(linear, moments.x, to)
    }
}
