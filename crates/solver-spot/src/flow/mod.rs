//! The joint density of an entropic transport plan, by a neural ordinary differential equation (source 002, section 3.4).
//!
//! A [`Flow`] carries z(0) from N(0, I) along dz/dt = ψ(z, t) to a joint sample z(1) = (x, y), (3.10), where ψ is a tanh
//! perceptron with weights w. The formulas of the section, derived again, for the text has lost signs:
//!
//! **Density, (3.11).** Mass is carried along, so that p obeys the continuity equation ∂p/∂t + ∇·(p ψ) = 0. Along a way,
//! d ln p(z(t), t)/dt = (∂p/∂t + ψ·∇p)/p = −∇·ψ = −tr ∂ψ/∂z, which is −(tr ∂ψ₁/∂z₁ + tr ∂ψ₂/∂z₂): only the diagonal blocks
//! count. It is theorem 1 of Chen, Rubanova, Bettencourt and Duvenaud (*Neural ordinary differential equations*, 2018). So
//! ln p(x, y) = ln N(z(0)) − ∫₀¹ tr ∂ψ/∂z dt at the end of the way, and, as the way back from any point is the way itself, at
//! any point at all. The trace here is exact, by d tangents that go through the perceptron beside the values: d up to about 8.
//!
//! **Adjoint, (3.12).** Let L depend on z(1) and on ℓ(1) = ln p, with the state (z, ℓ) and its slope (ψ, −tr ∂ψ/∂z). Its
//! adjoint (a, b) = (∂L/∂z(t), ∂L/∂ℓ(t)) obeys
//!
//! ```text
//! da/dt = −(∂ψ/∂z)ᵀ a + b ∇_z tr ∂ψ/∂z,    db/dt = 0,
//! ∂L/∂w = ∫₀¹ [ (∂ψ/∂w)ᵀ a − b ∂(tr ∂ψ/∂z)/∂w ] dt.
//! ```
//!
//! The source prints −∫₀¹ aᵀ ∂ψ/∂w dt; Chen et al. have −∫ from 1 *to 0*, and without the exchange of the limits the sign is
//! wrong. The source's second integral, of bᵀ ∂ln p(t)/∂w, is the second term here: what stands under the integral is the derivative
//! of the *slope* of ln p. b does not change along the way, but a does by ∇_z tr, through which the entropy moves the samples: taking
//! the two gradients apart, as the source writes them, each with its own adjoint equation, comes to the same by linearity, if the
//! second has that term in its a, too. [`Flow::adjoint`] integrates all of it back from 1 to 0; [`FixedSteps`] takes the
//! gradient through the steps of a Runge–Kutta method instead, which is exact for what the training computes, and is what
//! [`FlowSpot`] uses.
//!
//! **Entropy.** The source's H(p) = E ln p is the negative entropy; ε > 0 times it spreads the plan out.
//!
//! **Marginals.** (3.7) has η times the largest mean λ(made) − mean λ(real) over critics of Lipschitz constant 1
//! ([`MarginalPenalty::Critics`]). The alternative, [`MarginalPenalty::Energy`], is that of the figures: it needs no second
//! training, and its gradient goes to 0 where the marginals are met. Either way η grows from step to step: at the source's 1e6 from
//! the first step on the cost would be drowned, and the coupling luck.
//!
//! **Noise.** The penalties weigh so much that their noise, not their bias, is what throws the plan about. Three things stand
//! against it: latent variables on a shifted lattice ([`Latent::Lattice`]), a large sample of each marginal on the line
//! ([`FlowSettings::pool`]), and a rate that falls while η grows.
//!
//! **φ(2, 0.5).** The source's φ(a, b) is "the density of the Gaussian distribution N(a, b)", and 3.6.3 speaks of a "covariance 0.5 I"
//! where it names the same number in words: 0.5 is a variance. The mixtures have two modes each either way.
//!
//! | | |
//! |---|---|
//! | [`Flow`] | samples, densities at any point, adjoint gradients |
//! | [`DormandPrince`] | the integrator, in steps of its own length |
//! | [`FixedSteps`] | the integrator of trainings, with the gradient through its steps |
//! | [`FlowSpot`] | the training |
//! | [`DensityGrid`] | densities on a grid, their marginals, means |
//! | [`EntropicGaussians`] | the closed form between Gaussians |
//!
//! ```
//! use solver_spot::flow::{DormandPrince, Flow};
//!
//! let flow = Flow::perceptron(&[1, 1], 8, 2, 0)?;
//! let by = DormandPrince::default();
//! let made = flow.push(&[0.3, -1.2], &by)?;
//! let back = flow.pull(&made.rows, &by)?;
//! assert!((back.rows[1] + 1.2).abs() < 1e-6);
//! assert!((back.log_density[0] - made.log_density[0]).abs() < 1e-6);
//! # Ok::<(), solver_spot::Error>(())
//! ```

mod dormand_prince;
mod energy;
mod field;
mod fixed_steps;
mod gaussian;
mod grid;
mod latent;
mod model;
mod settings;
mod train;

pub use dormand_prince::{DormandPrince, IntegrationError, Slope, Stages, Steps};
pub use fixed_steps::FixedSteps;
pub use gaussian::EntropicGaussians;
pub use grid::{DensityGrid, l1, spaced};
pub use latent::Latent;
pub use model::{Carried, Flow};
pub use settings::FlowSettings;
pub use train::{FlowSpot, FlowStep, MarginalPenalty};
