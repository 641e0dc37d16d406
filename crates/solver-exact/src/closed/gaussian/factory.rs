//! The solver by name.

use solver_api::{Capabilities, Error, Factory, OptionReader, Options, SettingSpec, Solver};

use super::{GaussianSolver, NAME};

/// Makes [`GaussianSolver`]s.
#[derive(Debug, Clone, Copy, Default)]
pub struct GaussianFactory;

impl Factory for GaussianFactory {
    fn name(&self) -> &str {
        NAME
    }

    fn summary(&self) -> &str {
        "Gaussians of the points' moments: a lower bound for squared distances, a plan by the affine map"
    }

    fn capabilities(&self) -> Capabilities {
        GaussianSolver.capabilities()
    }

    fn settings(&self) -> Vec<SettingSpec> {
        Vec::new()
    }

    fn build(&self, options: &Options) -> Result<Box<dyn Solver>, Error> {
        OptionReader::new(NAME, options).finish()?;
        Ok(Box::new(GaussianSolver))
    }
}
