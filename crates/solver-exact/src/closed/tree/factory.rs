//! The solver by name.

use solver_api::{Capabilities, Error, Factory, Options, SettingSpec, Solver};

use super::{NAME, Settings, TreeSolver};

/// Makes [`TreeSolver`]s from options.
#[derive(Debug, Clone, Copy, Default)]
pub struct TreeFactory;

impl Factory for TreeFactory {
    fn name(&self) -> &str {
        NAME
    }

    fn summary(&self) -> &str {
        "paths on a tree: exact optimum, plan and potentials in linear time, up to millions of nodes"
    }

    fn capabilities(&self) -> Capabilities {
        TreeSolver::default().capabilities()
    }

    fn settings(&self) -> Vec<SettingSpec> {
        Settings::specs()
    }

    fn build(&self, options: &Options) -> Result<Box<dyn Solver>, Error> {
        Ok(Box::new(TreeSolver::new(Settings::read(NAME, options)?)?))
    }
}
