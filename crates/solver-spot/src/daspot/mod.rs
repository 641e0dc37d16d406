//! Domain adaptation with a learned plan: DASPOT.
//!
//! A source of labelled points, a target without labels. A [`Spot`](crate::Spot) couples both, and each side has a classifier
//! D = D_c ∘ D_e, an embedding and a decision on it. All are trained together:
//!
//! min over G, D_X, D_Y, max over λ of E c(G_X(Z), G_Y(Z)) + η Σ (marginal penalties) + λ_s E CE(D_X(X), V)
//! + λ_da E CE(D_Y(G_Y(Z)), argmax D_X(G_X(Z))), with c(x, y) = ‖D_e,X(x) − D_e,Y(y)‖².
//!
//! Which gradients flow where, term by term:
//!
//! | term | G_X | G_Y | D_e,X | D_c,X | D_e,Y | D_c,Y |
//! |---|---|---|---|---|---|---|
//! | η (E λ_X(G_X) + E λ_Y(G_Y)) | yes | yes | | | | |
//! | c | through D_e,X | through D_e,Y | yes | | yes | |
//! | λ_s CE(D_X(X), V) | | | yes | yes | | |
//! | λ_da CE(D_Y(G_Y), argmax D_X(G_X)) | no: argmax is piecewise constant | through D_Y | no | no | yes | yes |
//! | λ_t CE(D_Y(Y), what the plan says), ours | no: a constant | no | no | no | yes | yes |
//! | [`pull`](DaspotSettings::pull)·c(partners, Y), ours | no | no | no | no | yes | |
//!
//! Minimized by D_e alone, c is 0 at embeddings that see nothing. The source's objective is kept from there by λ_s only, and
//! on the source's side only. What stands here besides, and can be switched off ([`DaspotSettings`]):
//!
//! - embeddings of one length, so that shrinking them gains nothing;
//! - D_X is trained on the source first, D_Y starts as D_X, and neither listens to the plan before its samples are more than
//!   noise: the gradients of made points into the classifiers (not into G) are multiplied by κ, which grows from 0 to 1;
//! - labels count where D_X is sure of them, and made points count for little ([`DaspotSettings::made_weight`]): at weight 1
//!   and with a generator that is not very good, embeddings bring made pairs together where no real point is, and c goes to 0
//!   for nothing (`docs/results/daspot.md` has such a training);
//! - target points themselves are trained on, too. Their labels come along a small entropic plan between the target points of
//!   the batch and the pairs or, by default, the labelled source points ([`Partners`]), at the learned cost, with balanced
//!   classes ([`DaspotSettings::balance`]);
//! - the source can be drawn with class shares that move towards those of the target, as D_Y sees them: a plan between other
//!   shares must join unlike labels;
//! - the classifiers that count are running means.
//!
//! Source: 002, section 3.5, (3.13) and (3.14). Pseudo-labels: Lee (2013). Class shares: Saerens, Latinne and Decaestecker
//! (2002). Plans of batches at a learned cost: Damodaran et al., *DeepJDOT* (2018).

mod classifier;
mod domains;
mod look;
mod networks;
mod objective;
mod saved;
mod settings;
mod train;

pub use classifier::Classifier;
pub use domains::Labelled;
pub use look::DaspotLook;
pub use networks::convolutions;
pub use settings::{DaspotSettings, Partners};
pub use train::Daspot;
