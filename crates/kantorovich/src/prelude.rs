//! What most programs need: `use kantorovich::prelude::*`.

pub use crate::{
    Batch, Capability, Certificate, Context, Cost, DenseCost, Error, GridCost, GridGround, Ground,
    Measure, Options, Plan, PointCost, Potentials, Problem, Reg, Registry, Solution, Solver,
    SparseCost, Termination, solve,
};
