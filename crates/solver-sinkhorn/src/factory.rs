//! The solver by name.

use solver_api::{
    Capabilities, Error, Factory, OptionReader, Options, Precision, SettingSpec, Solver,
};

use crate::settings::{DEFAULT_TOL, Settings};
use crate::{NAME, Sinkhorn};

/// Makes [`Sinkhorn`] solvers from options.
#[derive(Debug, Clone, Copy, Default)]
pub struct SinkhornFactory;

impl Factory for SinkhornFactory {
    fn name(&self) -> &str {
        NAME
    }

    fn summary(&self) -> &str {
        "Sinkhorn with a stored kernel: entropic, for moderate reg; batches by matrix products"
    }

    fn capabilities(&self) -> Capabilities {
        Sinkhorn::default().capabilities()
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
                "larger of the two marginal L1 errors over the mass; 1e-6 by default with precision=f32",
            ),
            setting(
                "max_iter",
                defaults.max_iter.to_string(),
                "iterations, a row and a column update each",
            ),
            setting(
                "check_every",
                defaults.check_every.to_string(),
                "iterations between two looks at the clock and the observer",
            ),
            setting(
                "precision",
                "f64".to_owned(),
                "how the kernel is stored: f64 or f32",
            ),
            setting(
                "products",
                "f32".to_owned(),
                "number type of the iterations that need not be exact: f32, with a copy of the kernel, or f64",
            ),
            setting(
                "reference",
                "product".to_owned(),
                "what the entropy is relative to: product (a⊗b), ones, 003 (1/e everywhere) or a number; a matrix is a prior",
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
        if let Some(every) = reader.get("check_every", "must be a whole number from 1 on")? {
            settings.check_every = every;
        }
        let mut precision = |name: &'static str| {
            let rule = "must be f64 or f32";
            let text = reader.get::<String>(name, rule)?;
            match text.as_deref() {
                None => Ok(None),
                Some("f64") => Ok(Some(Precision::F64)),
                Some("f32") => Ok(Some(Precision::F32)),
                Some(other) => Err(Error::setting(name, other, rule)),
            }
        };
        if let Some(precision) = precision("precision")? {
            settings.precision = precision;
        }
        if let Some(precision) = precision("products")? {
            settings.products = precision;
        }
        if let Some(reference) = reader.reference()? {
            settings.reference = reference;
        }
        reader.finish()?;
        Ok(Box::new(Sinkhorn::new(settings)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_reach_the_solver_and_bad_ones_are_named() {
        let mut options = Options {
            max_iter: Some(7),
            ..Options::default()
        };
        options.set.insert("precision".into(), "f32".into());
        assert!(SinkhornFactory.build(&options).is_ok());
        options.set.insert("precision".into(), "f16".into());
        let error = SinkhornFactory.build(&options).err().map(|e| e.to_string());
        assert_eq!(
            error.as_deref(),
            Some("`precision` = f16: must be f64 or f32")
        );
        options.set.insert("precision".into(), "f64".into());
        options.set.insert("products".into(), "f64".into());
        assert!(SinkhornFactory.build(&options).is_ok());
        options.set.insert("products".into(), "1".into());
        let error = SinkhornFactory.build(&options).err().map(|e| e.to_string());
        assert_eq!(error.as_deref(), Some("`products` = 1: must be f64 or f32"));
        let options = Options {
            seed: Some(1),
            ..Options::default()
        };
        let error = SinkhornFactory.build(&options).err().map(|e| e.to_string());
        assert!(error.is_some_and(|e| e.starts_with("`seed` = 1")));
    }
}
