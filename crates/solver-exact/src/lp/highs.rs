//! HiGHS, through good_lp.

use solver_api::{Capabilities, Error, Factory, Options, SettingSpec, Solver};

use super::network::Network;
use super::{Library, LpSolver, Settings, good};

const LIBRARY: Library = Library {
    name: "lp-highs",
    minimise,
};

/// Makes solvers over HiGHS.
#[derive(Debug, Clone, Copy, Default)]
pub struct LpHighsFactory;

impl Factory for LpHighsFactory {
    fn name(&self) -> &str {
        LIBRARY.name
    }

    fn summary(&self) -> &str {
        "the linear program, by HiGHS: an oracle for problems of moderate size"
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
    good::minimise(network, |program| program.using(good_lp::highs))
}
