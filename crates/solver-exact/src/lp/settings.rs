//! Checked settings, the same for all libraries.

use solver_api::{Error, OptionReader, Options, Problem, SettingSpec};

/// Settings of an LP backend.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Settings {
    /// Relative gap, (upper − lower)/(mass · spread), that counts as optimal. Default 1e-9: polishing ends a thousand
    /// times below it.
    pub(super) tol: f64,
    /// Allowed pairs of positive weight that a problem may have. Default 250 000, which is 500 × 500: below ten
    /// seconds and 100 MB where they were measured (the module's page), in solves that nothing can interrupt.
    pub(super) max_pairs: u64,
}

/// Sums of products of costs in [0, 1] and masses that sum to 1 are no better than this.
const REACHABLE_TOL: f64 = 1e-12;

impl Default for Settings {
    fn default() -> Self {
        Self {
            tol: 1e-9,
            max_pairs: 250_000,
        }
    }
}

impl Settings {
    /// Reads and checks the options of the backend `name`.
    pub(super) fn read(name: &'static str, options: &Options) -> Result<Self, Error> {
        let mut reader = OptionReader::new(name, options);
        let mut settings = Self::default();
        if let Some(tol) = reader.tol()? {
            settings.tol = tol;
        }
        if let Some(pairs) = reader.get("max_pairs", "must be a whole number of pairs")? {
            settings.max_pairs = pairs;
        }
        reader.finish()?;
        if settings.tol < REACHABLE_TOL {
            return Err(Error::UnreachableTolerance {
                solver: name.to_owned(),
                tol: settings.tol,
                reachable: REACHABLE_TOL,
            });
        }
        Ok(settings)
    }

    /// What can be set.
    pub(super) fn specs() -> Vec<SettingSpec> {
        let defaults = Self::default();
        vec![
            SettingSpec {
                name: "tol",
                default: format!("{:e}", defaults.tol),
                doc: "relative gap that counts as optimal",
            },
            SettingSpec {
                name: "max_pairs",
                default: defaults.max_pairs.to_string(),
                doc: "allowed pairs at most: a solve can't be interrupted, and 600 × 600 takes some 10 s",
            },
        ]
    }

    /// Refuses problems of more allowed pairs than the setting.
    pub(super) fn check_size(&self, name: &str, problem: &Problem) -> Result<(), Error> {
        let (n, m) = problem.shape();
        let mut pairs = problem.a().support_len() as u64 * problem.b().support_len() as u64;
        // A lazy cost is asked for its range only where the count would change the answer.
        if pairs > self.max_pairs {
            pairs = pairs.min(n as u64 * m as u64 - problem.cost().range().forbidden);
        }
        if pairs <= self.max_pairs {
            return Ok(());
        }
        Err(Error::TooManyPairs {
            solver: name.to_owned(),
            pairs,
            max_pairs: self.max_pairs,
        })
    }
}
