//! The solver by name.

use solver_api::{Capabilities, Error, Factory, Options, SettingSpec, Solver};

use super::{NAME, NetworkSimplex, Settings};

/// Makes [`NetworkSimplex`] solvers from options.
#[derive(Debug, Clone, Copy, Default)]
pub struct NetworkSimplexFactory;

impl Factory for NetworkSimplexFactory {
    fn name(&self) -> &str {
        NAME
    }

    fn summary(&self) -> &str {
        "network simplex: exact optimum, plan and potentials; dense costs up to some thousand points"
    }

    fn capabilities(&self) -> Capabilities {
        NetworkSimplex::default().capabilities()
    }

    fn settings(&self) -> Vec<SettingSpec> {
        Settings::specs()
    }

    fn build(&self, options: &Options) -> Result<Box<dyn Solver>, Error> {
        let settings = Settings::read(NAME, options)?;
        Ok(Box::new(NetworkSimplex::new(settings)?))
    }
}
