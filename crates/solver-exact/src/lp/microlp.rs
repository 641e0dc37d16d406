//! microlp, through good_lp.

use solver_api::{Capabilities, Error, Factory, Options, SettingSpec, Solver};

use super::network::Network;
use super::{Library, LpSolver, Settings, good};

const LIBRARY: Library = Library {
    name: "lp-microlp",
    minimise,
};

/// Makes solvers over microlp.
#[derive(Debug, Clone, Copy, Default)]
pub struct LpMicrolpFactory;

impl Factory for LpMicrolpFactory {
    fn name(&self) -> &str {
        LIBRARY.name
    }

    fn summary(&self) -> &str {
        "the linear program, by microlp: an oracle for small problems"
    }

    fn capabilities(&self) -> Capabilities {
        super::capabilities()
    }

    fn settings(&self) -> Vec<SettingSpec> {
        Settings::specs()
    }

    fn build(&self, options: &Options) -> Result<Box<dyn Solver>, Error> {
        let settings = Settings::read(LIBRARY.name, options)?;
        Ok(Box::new(LpSolver {
            library: LIBRARY,
            settings,
        }))
    }
}

fn minimise(network: &Network) -> Result<Vec<f64>, String> {
    good::minimise(network, |program| program.using(good_lp::microlp))
}
