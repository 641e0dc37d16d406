//! The solver by name.

use solver_api::{Capabilities, Error, Factory, OptionReader, Options, SettingSpec, Solver};

use super::{ExactPoints, NAME, Settings};

/// Makes [`ExactPoints`] solvers from options.
#[derive(Debug, Clone, Copy, Default)]
pub struct ExactPointsFactory;

impl Factory for ExactPointsFactory {
    fn name(&self) -> &str {
        NAME
    }

    fn summary(&self) -> &str {
        "points, squared distances: exact without a matrix, 100 000 points in seconds"
    }

    fn capabilities(&self) -> Capabilities {
        ExactPoints::default().capabilities()
    }

    fn settings(&self) -> Vec<SettingSpec> {
        let defaults = Settings::default();
        vec![
            SettingSpec {
                name: "tol",
                default: format!("{:e}", defaults.tol),
                doc: "relative gap promised; the method is exact, so this only refuses what cannot be reached",
            },
            SettingSpec {
                name: "max_iter",
                default: "none".to_owned(),
                doc: "pivots",
            },
        ]
    }

    fn build(&self, options: &Options) -> Result<Box<dyn Solver>, Error> {
        let mut reader = OptionReader::new(NAME, options);
        let mut settings = Settings::default();
        if let Some(tol) = reader.tol()? {
            settings.tol = tol;
        }
        settings.max_iter = reader.max_iter()?;
        reader.finish()?;
        Ok(Box::new(ExactPoints::new(settings)?))
    }
}
