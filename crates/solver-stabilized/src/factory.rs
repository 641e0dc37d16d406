//! The solver by name.

use ot_entropic::lazy::Arithmetic;
use solver_api::{Capabilities, Error, Factory, OptionReader, Options, SettingSpec, Solver};

use crate::settings::{CostMode, DEFAULT_TOL, METHODS, Settings};
use crate::{NAME, SinkhornStabilized};

/// Makes [`SinkhornStabilized`] solvers from options.
#[derive(Debug, Clone, Copy, Default)]
pub struct SinkhornStabilizedFactory;

impl Factory for SinkhornStabilizedFactory {
    fn name(&self) -> &str {
        NAME
    }

    fn summary(&self) -> &str {
        "entropic at any reg: sparse Newton on a path of reg, in the log domain"
    }

    fn capabilities(&self) -> Capabilities {
        SinkhornStabilized::default().capabilities()
    }

    fn settings(&self) -> Vec<SettingSpec> {
        let defaults = Settings::default();
        let setting = |name, default: String, doc| SettingSpec { name, default, doc };
        vec![
            setting(
                "reg",
                "1e-2 of the largest cost".to_owned(),
                "regularization, in cost units or relative to the largest cost",
            ),
            setting(
                "tol",
                format!("{DEFAULT_TOL:e}"),
                "larger of the two marginal L1 errors over the mass; by default more where rounding leaves more, up to 1e-6",
            ),
            setting(
                "max_iter",
                defaults.max_iter.to_string(),
                "Newton steps, or iterations of scaling",
            ),
            setting(
                "method",
                "auto".to_owned(),
                "auto (by predicted cost), newton, anderson, over-relaxation, scaling, epsilon-scaling",
            ),
            setting(
                "reference",
                defaults.reference.to_string(),
                "what the entropy is relative to: product (a⊗b), ones, 003 (1/e everywhere) or a number; a matrix is a prior",
            ),
            setting(
                "cost",
                "auto".to_owned(),
                "lazy: costs between points are computed when asked for; matrix: they are written out; auto: up to 1 GiB",
            ),
            setting(
                "precision",
                "auto".to_owned(),
                "number type of exponentials with cost=lazy: f32 (reaches 1e-5, and refuses less), f64, auto (by tol)",
            ),
        ]
    }

    fn build(&self, options: &Options) -> Result<Box<dyn Solver>, Error> {
        let mut reader = OptionReader::new(NAME, options);
        let mut settings = Settings::default();
        if let Some(reg) = reader.reg()? {
            settings.reg = reg;
        }
        settings.tol = reader.tol()?;
        if let Some(limit) = reader.max_iter()? {
            settings.max_iter = limit;
        }
        let rule = "must be auto, newton, anderson, over-relaxation, scaling or epsilon-scaling";
        if let Some(name) = reader.get::<String>("method", rule)? {
            let known = METHODS.iter().find(|(known, _)| *known == name);
            let known = known.ok_or_else(|| Error::setting("method", &name, rule))?;
            settings.method = known.1;
        }
        if let Some(reference) = reader.reference()? {
            settings.reference = reference;
        }
        if let Some(name) = reader.get::<String>("cost", "must be auto, matrix or lazy")? {
            settings.cost = match name.as_str() {
                "auto" => CostMode::Auto,
                "matrix" => CostMode::Matrix,
                "lazy" => CostMode::Lazy,
                _ => return Err(Error::setting("cost", name, "must be auto, matrix or lazy")),
            };
        }
        if let Some(name) = reader.get::<String>("precision", "must be auto, f32 or f64")? {
            settings.arithmetic = match name.as_str() {
                "auto" => Arithmetic::Auto,
                "f32" => Arithmetic::F32,
                "f64" => Arithmetic::F64,
                _ => {
                    return Err(Error::setting(
                        "precision",
                        name,
                        "must be auto, f32 or f64",
                    ));
                }
            };
        }
        reader.finish()?;
        Ok(Box::new(SinkhornStabilized::new(settings)?))
    }
}
