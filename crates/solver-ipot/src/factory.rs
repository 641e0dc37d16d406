//! The solver by name.

use solver_api::{Capabilities, Error, Factory, OptionReader, Options, SettingSpec, Solver};

use crate::settings::{PLANS, SCHEDULES, Schedule, Settings};
use crate::{Ipot, NAME};

/// Makes [`Ipot`] solvers from options.
#[derive(Debug, Clone, Copy, Default)]
pub struct IpotFactory;

impl Factory for IpotFactory {
    fn name(&self) -> &str {
        NAME
    }

    fn summary(&self) -> &str {
        "inexact proximal point: the exact optimum by entropic steps, as printed or accelerated, with a sparse plan"
    }

    fn capabilities(&self) -> Capabilities {
        Ipot::default().capabilities()
    }

    fn settings(&self) -> Vec<SettingSpec> {
        let defaults = Settings::default();
        let setting = |name, default: String, doc| SettingSpec { name, default, doc };
        vec![
            setting(
                "reg",
                "1e-2 of the largest cost".to_owned(),
                "β, the step of a proximal iteration, in cost units or relative to the largest cost; with schedule=printed, \
                 inner=1 and a small β it may cycle, and then ends at max_iter; the accelerated schedule begins at β, or at \
                 0.1 of the spread of the cost where β is less",
            ),
            setting(
                "tol",
                format!("{:e}", defaults.tol),
                "(upper − lower) / (mass · spread of the cost)",
            ),
            setting(
                "max_iter",
                defaults.max_iter.to_string(),
                "proximal iterations, or Newton steps of the accelerated schedule",
            ),
            setting(
                "schedule",
                "accelerated".to_owned(),
                "accelerated, or printed: algorithm 1",
            ),
            setting(
                "inner",
                defaults.inner.to_string(),
                "L, the scaling steps of a printed iteration",
            ),
            setting(
                "check_every",
                defaults.check_every.to_string(),
                "printed iterations between two checks of the bracket",
            ),
            setting(
                "plan",
                "sparse, or implicit with schedule=printed".to_owned(),
                "sparse: an almost-vertex with exact marginals; dense or implicit: the plan of the last iteration",
            ),
        ]
    }

    fn build(&self, options: &Options) -> Result<Box<dyn Solver>, Error> {
        let mut reader = OptionReader::new(NAME, options);
        let mut settings = Settings::default();
        if let Some(beta) = reader.reg()? {
            settings.beta = beta;
        }
        if let Some(tol) = reader.tol()? {
            settings.tol = tol;
        }
        if let Some(limit) = reader.max_iter()? {
            settings.max_iter = limit;
        }
        if let Some(schedule) = reader.get("schedule", SCHEDULES)? {
            settings.schedule = schedule;
        }
        let whole = "must be a whole number from 1 on";
        if let Some(inner) = reader.get("inner", whole)? {
            settings.inner = inner;
        }
        if let Some(every) = reader.get("check_every", whole)? {
            settings.check_every = every;
        }
        settings.plan = reader.get("plan", PLANS)?;
        reader.finish()?;
        let solver = Ipot::new(settings)?;
        // The other schedule has neither, and would pass them over.
        for name in ["inner", "check_every"] {
            if let (Schedule::Accelerated, Some(value)) =
                (solver.settings().schedule, options.set.get(name))
            {
                return Err(Error::setting(name, value, "needs schedule=printed"));
            }
        }
        Ok(Box::new(solver))
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
            if matches!(key, "inner" | "check_every") {
                options.set.insert("schedule".into(), "printed".into());
            }
            IpotFactory.build(&options).err().map(|e| e.to_string())
        };
        for (key, value) in [
            ("schedule", "printed"),
            ("plan", "dense"),
            ("inner", "10"),
            ("check_every", "3"),
        ] {
            assert_eq!(said(key, value), None);
        }
        assert_eq!(
            said("schedule", "fast").as_deref(),
            Some("`schedule` = fast: must be accelerated or printed")
        );
        assert_eq!(
            said("plan", "thin").as_deref(),
            Some("`plan` = thin: must be sparse, dense or implicit")
        );
        assert_eq!(
            said("inner", "0").as_deref(),
            Some("`inner` = 0: must be at least 1")
        );
        assert!(said("seed", "1").is_some());
        let mut options = Options::default();
        options.set.insert("inner".into(), "10".into());
        let refused = IpotFactory.build(&options).err().map(|e| e.to_string());
        assert_eq!(
            refused.as_deref(),
            Some("`inner` = 10: needs schedule=printed")
        );
    }
}
