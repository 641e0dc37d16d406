//! The solver by name.

use solver_api::{Capabilities, Error, Factory, Options, SettingSpec, Solver};

use super::{ExactPoints, NAME, Settings};

/// Makes [`ExactPoints`] solvers from options.
#[derive(Debug, Clone, Copy, Default)]
pub struct ExactPointsFactory;

impl Factory for ExactPointsFactory {
    fn name(&self) -> &str {
        NAME
    }

    fn summary(&self) -> &str {
        "points and any cost that grows with their distance: exact without a matrix"
    }

    fn capabilities(&self) -> Capabilities {
        ExactPoints::default().capabilities()
    }

    fn settings(&self) -> Vec<SettingSpec> {
        Settings::specs()
    }

    fn build(&self, options: &Options) -> Result<Box<dyn Solver>, Error> {
        let settings = Settings::read(NAME, options)?;
        Ok(Box::new(ExactPoints::new(settings)?))
    }
}
