//! The solver by name.

use solver_api::{Capabilities, Error, Factory, OptionReader, Options, SettingSpec, Solver};

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
        vec![SettingSpec {
            name: "tol",
            default: format!("{:e}", Settings::default().tol),
            doc: "relative gap promised; the method is exact, so this only refuses what cannot be reached",
        }]
    }

    fn build(&self, options: &Options) -> Result<Box<dyn Solver>, Error> {
        let mut reader = OptionReader::new(NAME, options);
        let mut settings = Settings::default();
        if let Some(tol) = reader.tol()? {
            settings.tol = tol;
        }
        reader.finish()?;
        Ok(Box::new(TreeSolver::new(settings)?))
    }
}
