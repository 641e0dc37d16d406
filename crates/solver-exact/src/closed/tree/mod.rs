//! Transport on trees, in linear time, and losses between distributions over the nodes of a hierarchy.
//!
//! On a tree there is one way between two nodes, so that what crosses an edge is settled: the mass that is too much, or
//! missing, in the subtree below it. With φ_e = Σ_{i below e} a_i − Σ_{j below e} b_j,
//!
//! W₁(a, b) = Σ_e w_e |φ_e|
//!
//! (Evans and Matsen, *The phylogenetic Kantorovich–Rubinstein metric*, 2012, eq. 5; Le, Yamada, Fukumizu and Cuturi,
//! *Tree-sliced variants of Wasserstein distances*, 2019, prop. 1). The potential goes up by w_e across e towards the
//! side with too much.
//!
//! | what | file |
//! |---|---|
//! | the tree itself, and costs on it | [`solver_api::Tree`], [`solver_api::TreeCost`] |
//! | plan and potentials, from one sweep up and one down | `matching.rs` |
//! | from and to the vocabulary of `solver-api` | `solve.rs`, `factory.rs` |
//! | Σ w_e \|φ_e\|^ρ and its gradient | `hierarchy.rs` |
//! | a tree from labels such as `animal/mammal/cat` | `labels.rs` |
//! | a tree from distances, by clustering | `clustering.rs` |

mod clustering;
mod factory;
mod hierarchy;
mod labels;
mod matching;
mod solve;

pub use super::settings::Settings;
pub use clustering::{Clustering, Linkage, cluster};
pub use factory::TreeFactory;
pub use hierarchy::{HierarchicalEmd, hierarchical_emd, hierarchical_emd_at, tangent};
pub use labels::LabelTree;
pub use solve::TreeSolver;

/// The backend's name.
pub const NAME: &str = "tree";
