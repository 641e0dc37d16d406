//! Checked settings, the same for all libraries.

use solver_api::{Error, OptionReader, Options, Problem, SettingSpec};

/// Settings of an LP backend.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Settings {
    /// Relative gap, (upper − lower)/(mass · spread), that counts as optimal. Default 1e-9: polishing ends a thousand
    /// times below it.
    pub(super) tol: f64,
    /// Memory that the model may take, in bytes. Default 1 GiB: some 1 600 × 1 600 pairs, which already takes
    /// minutes.
    pub(super) max_bytes: u64,
}

/// What the libraries need for one variable with its two coefficients: rows, columns, factors and the builder's
/// copies, measured at 128 × 128 and rounded up.
const BYTES_PER_ARC: u64 = 400;

/// Sums of products of costs in [0, 1] and masses that sum to 1 are no better than this.
const REACHABLE_TOL: f64 = 1e-12;

impl Default for Settings {
    fn default() -> Self {
        Self {
            tol: 1e-9,
            max_bytes: 1 << 30,
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
        if let Some(bytes) = reader.get("max_bytes", "must be a whole number of bytes")? {
            settings.max_bytes = bytes;
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
                name: "max_bytes",
                default: defaults.max_bytes.to_string(),
                doc: "memory for the model; larger problems are refused",
            },
        ]
    }

    /// Refuses problems whose model would exceed the memory allowed.
    pub(super) fn check_size(&self, name: &str, problem: &Problem) -> Result<(), Error> {
        let (n, m) = problem.shape();
        let pairs = problem.a().support_len() as u64 * problem.b().support_len() as u64;
        // A lazy cost is asked for its range only where the count would change the answer.
        let arcs = if pairs.saturating_mul(BYTES_PER_ARC) > self.max_bytes {
            pairs.min(n as u64 * m as u64 - problem.cost().range().forbidden)
        } else {
            pairs
        };
        let bytes = arcs.saturating_mul(BYTES_PER_ARC);
        if bytes <= self.max_bytes {
            return Ok(());
        }
        Err(Error::TooLarge {
            solver: name.to_owned(),
            what: format!("a linear program of {arcs} variables"),
            bytes,
            limit: self.max_bytes,
        })
    }
}
