//! What most programs need: `use kantorovich::prelude::*`.

#[cfg(feature = "gradients")]
pub use crate::gradients::{
    Costs, Discrepancy, Divergence, Kernel, PointGradient, SinkhornDivergence, Unrolled, Wanted,
    WeightGradient, discrepancy, energy_distance, wasserstein,
};
pub use crate::{
    Batch, Capability, Certificate, Context, Cost, DenseCost, Error, GridCost, GridGround, Ground,
    Measure, Options, Plan, PointCost, Potentials, Problem, Reg, Registry, Solution, Solver,
    SparseCost, Termination, solve,
};
