//! The solver by name, and its settings.

use solver_api::{Capabilities, Error, Factory, OptionReader, Options, SettingSpec, Solver};

use crate::{NAME, SpotSolver};

/// What can be set of [`SpotSolver`].
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// (upper − lower) / upper at which it ends. Default: 0.02. Where the cost is next to nothing, 1e-4 of that between the ends of
    /// the clouds counts.
    #[doc(alias("stopThr", "threshold"))]
    pub tol: f64,
    /// Steps of the generator at most. Default: 10 000.
    #[doc(alias("numItermax", "max_iterations"))]
    pub max_iter: u64,
    /// η at the end, over the cost's Lipschitz constant on these points. Default: 2. More makes better marginals and worse
    /// potentials.
    pub eta: f64,
    /// Units of each of two hidden layers, of the generators and the critics. Default: 64.
    pub hidden: usize,
    /// Length of Adam's steps up to 32 units; it falls as one over the units from there on. Default: 1e-3.
    #[doc(alias("learning_rate"))]
    pub rate: f64,
    /// Samples a step. Default: 128.
    pub batch: usize,
    /// Steps of the critics for each of the generator. Default: 5.
    #[doc(alias("n_critic"))]
    pub critic_steps: usize,
    /// Steps between two plans with their brackets. Default: 500.
    pub check_every: u64,
    /// Of networks and batches. Default: 0.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            tol: 0.02,
            max_iter: 10_000,
            eta: 2.0,
            hidden: 64,
            rate: 1e-3,
            batch: 128,
            critic_steps: 5,
            check_every: 500,
            seed: 0,
        }
    }
}

/// Below this relative gap f32 and a running mean promise nothing.
pub const SMALLEST_TOL: f64 = 1e-4;

impl Settings {
    /// # Errors
    /// The first setting outside of its range.
    pub fn check(&self) -> Result<(), Error> {
        for (name, value) in [("tol", self.tol), ("eta", self.eta), ("rate", self.rate)] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(Error::setting(name, value, "must be positive and finite"));
            }
        }
        if self.tol < SMALLEST_TOL {
            return Err(Error::UnreachableTolerance {
                solver: NAME.to_owned(),
                tol: self.tol,
                reachable: SMALLEST_TOL,
            });
        }
        for (name, value) in [
            ("max_iter", self.max_iter),
            ("check_every", self.check_every),
        ] {
            if value == 0 {
                return Err(Error::setting(name, 0, "must be at least 1"));
            }
        }
        // What is more than that is a slip, and would fill the memory, or no step would ever end.
        for (name, value, most) in [
            ("hidden", self.hidden, 1024),
            ("batch", self.batch, 1 << 13),
            ("critic_steps", self.critic_steps, 1000),
        ] {
            if !(1..=most).contains(&value) {
                let rule = format!("must be from 1 to {most}");
                return Err(Error::setting(name, value, &rule));
            }
        }
        Ok(())
    }
}

/// Makes [`SpotSolver`]s from options.
#[derive(Debug, Clone, Copy, Default)]
pub struct SpotFactory;

impl Factory for SpotFactory {
    fn name(&self) -> &str {
        NAME
    }

    fn summary(&self) -> &str {
        "push-forward networks: for distributions that can be drawn from; a plan between points with a bracket"
    }

    fn capabilities(&self) -> Capabilities {
        SpotSolver::default().capabilities()
    }

    fn settings(&self) -> Vec<SettingSpec> {
        let of = Settings::default();
        let setting = |name, default: String, doc| SettingSpec { name, default, doc };
        vec![
            setting("tol", of.tol.to_string(), "(upper − lower) / upper"),
            setting(
                "max_iter",
                of.max_iter.to_string(),
                "steps of the generator",
            ),
            setting(
                "eta",
                of.eta.to_string(),
                "weight of the marginals, over the cost's Lipschitz constant",
            ),
            setting(
                "hidden",
                of.hidden.to_string(),
                "units of each hidden layer",
            ),
            setting(
                "rate",
                of.rate.to_string(),
                "length of Adam's steps up to 32 units",
            ),
            setting("batch", of.batch.to_string(), "samples a step"),
            setting(
                "critic_steps",
                of.critic_steps.to_string(),
                "steps of the critics for each of the generator",
            ),
            setting(
                "check_every",
                of.check_every.to_string(),
                "steps between two brackets",
            ),
            setting("seed", of.seed.to_string(), "of networks and batches"),
        ]
    }

    fn build(&self, options: &Options) -> Result<Box<dyn Solver>, Error> {
        let mut reader = OptionReader::new(NAME, options);
        let mut settings = Settings::default();
        if let Some(tol) = reader.tol()? {
            settings.tol = tol;
        }
        if let Some(limit) = reader.max_iter()? {
            settings.max_iter = limit;
        }
        if let Some(seed) = reader.seed() {
            settings.seed = seed;
        }
        let (number, whole) = (
            "must be a positive number",
            "must be a whole number from 1 on",
        );
        for (name, into) in [("eta", &mut settings.eta), ("rate", &mut settings.rate)] {
            if let Some(value) = reader.get(name, number)? {
                *into = value;
            }
        }
        for (name, into) in [
            ("hidden", &mut settings.hidden),
            ("batch", &mut settings.batch),
            ("critic_steps", &mut settings.critic_steps),
        ] {
            if let Some(value) = reader.get(name, whole)? {
                *into = value;
            }
        }
        if let Some(value) = reader.get("check_every", whole)? {
            settings.check_every = value;
        }
        reader.finish()?;
        Ok(Box::new(SpotSolver::new(settings)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_reach_the_solver_and_bad_ones_are_named() {
        let said = |key: &str, value: &str| {
            let mut options = Options::default();
            options.set.insert(key.into(), value.into());
            SpotFactory.build(&options).err().map(|e| e.to_string())
        };
        for spec in SpotFactory.settings() {
            // Those of the front have options of their own.
            if !["tol", "max_iter", "seed"].contains(&spec.name) {
                assert_eq!(said(spec.name, &spec.default), None, "{}", spec.name);
                assert!(said(spec.name, "0").is_some(), "{}", spec.name);
            }
        }
        assert_eq!(
            said("hidden", "5000").as_deref(),
            Some("`hidden` = 5000: must be from 1 to 1024")
        );
        assert!(said("reg", "1").is_some());
    }
}
