//! One factory for all libraries.

use solver_api::{Capabilities, Error, Factory, Options, SettingSpec, Solver};

use super::{Library, LpSolver, Settings};

/// Makes solvers over one library: the constants of this module.
#[derive(Debug, Clone, Copy)]
pub struct LpFactory(pub(super) Library);

impl Factory for LpFactory {
    fn name(&self) -> &str {
        self.0.name
    }

    fn summary(&self) -> &str {
        self.0.summary
    }

    fn capabilities(&self) -> Capabilities {
        super::capabilities()
    }

    fn settings(&self) -> Vec<SettingSpec> {
        Settings::specs()
    }

    fn build(&self, options: &Options) -> Result<Box<dyn Solver>, Error> {
        Ok(Box::new(LpSolver {
            library: self.0,
            settings: Settings::read(self.0.name, options)?,
        }))
    }
}
