//! How solvers are made by name: factories, and the options that they read.

use std::collections::BTreeMap;

use crate::Error;
use crate::cost::{Cost, CostRange, row_of};
use crate::error::shown;
use crate::problem::Problem;
use crate::reference::Reference;
use crate::solver::{Capabilities, Solver};

/// A regularization strength.
///
/// GeomLoss states it as a length: `blur` = ε for the Euclidean cost, `blur`² = ε for half the squared one.
#[doc(alias = "blur")]
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Reg {
    /// In cost units.
    Absolute(f64),
    /// Times max |C| over the allowed pairs.
    Relative(f64),
}

impl Default for Reg {
    /// 1e-2 of the largest cost.
    fn default() -> Self {
        Self::Relative(1e-2)
    }
}

impl Reg {
    /// The name of the setting, and the value that was given.
    fn named(self) -> (&'static str, f64) {
        match self {
            Self::Absolute(r) => ("reg", r),
            Self::Relative(r) => ("reg_rel", r),
        }
    }

    /// Positive and finite, or an error.
    pub fn check(self) -> Result<Self, Error> {
        let (name, value) = self.named();
        if value > 0.0 && value.is_finite() {
            Ok(self)
        } else {
            Err(Error::setting(name, value, "must be positive and finite"))
        }
    }

    /// In the cost units of `problem`. A cost that is zero everywhere has no scale: 1 is as good as any.
    #[must_use]
    pub fn resolve(self, problem: &Problem) -> f64 {
        self.resolve_beside(problem.cost())
    }

    /// [`Reg::resolve`] where there is a cost and no problem, as for barycenters.
    #[must_use]
    pub fn resolve_beside(self, cost: &dyn Cost) -> f64 {
        match self {
            Self::Absolute(r) => r,
            Self::Relative(r) => {
                let largest = cost.range().max_abs();
                // A tiny cost must not underflow to a regularization of zero.
                if largest > 0.0 {
                    (r * largest).max(f64::MIN_POSITIVE)
                } else {
                    r
                }
            }
        }
    }

    /// [`Reg::resolve`] for solvers that take exponentials of costs over ε: one whose reciprocal or logarithms lose digits
    /// is refused, and one that doubles can't tell from 0 beside this cost, 3.6e-15 of its spread. Reads the cost only
    /// where ε is that small.
    pub fn resolve_in_range(self, problem: &Problem) -> Result<f64, Error> {
        let reg = self.resolve(problem);
        let (name, value) = self.named();
        if !(f64::MIN_POSITIVE..=1e307).contains(&reg) {
            let rule = "must be a normal number up to 1e307 in the units of the cost";
            return Err(Error::setting(name, value, rule));
        }
        if reg < LEAST_REG * problem.cost().range().spread() {
            let spread = spread_between_weights(problem);
            if reg < LEAST_REG * spread {
                let rule = format!(
                    "is too small beside costs that differ by {spread:e}: an entropic backend needs {:.1e} of that, {:.1e} in \
                     the units of the cost, or rounding decides where mass goes; an exact backend needs no `reg`",
                    LEAST_REG,
                    LEAST_REG * spread
                );
                return Err(Error::setting(name, value, rule));
            }
        }
        Ok(reg)
    }
}

/// The smallest regularization, relative to the spread of the cost, at which an exponent still says something: potentials
/// are as large as the spread, and below this one their rounding moves (f + g − C)/ε by a sixteenth and more. Marginal errors
/// are then beyond 1e-2 unless each source has a single target, and a solver would only go on until somebody stops it.
const LEAST_REG: f64 = 16.0 * f64::EPSILON;

/// The spread of the cost over pairs of positive weight: a point without weight may be as far as it likes.
fn spread_between_weights(problem: &Problem) -> f64 {
    let (a, b) = (problem.a().weights(), problem.b().weights());
    let mut row = vec![0.0; b.len()];
    let mut range = CostRange::EMPTY;
    for i in (0..a.len()).filter(|&i| a[i] > 0.0) {
        let row = row_of(problem.cost(), i, &mut row);
        let taken = row.iter().zip(b).filter(|(_, b)| **b > 0.0);
        taken.for_each(|(c, _)| range.include(*c));
    }
    range.spread()
}

/// What a caller may set on any backend; `set` holds the settings only some have. A backend refuses what it lacks.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Options {
    /// Regularization (β for IPOT).
    pub reg: Option<Reg>,
    /// Tolerance.
    #[doc(alias = "stopThr")]
    pub tol: Option<f64>,
    /// Iteration limit.
    #[doc(alias = "numItermax")]
    pub max_iter: Option<u64>,
    /// Seed of stochastic solvers.
    pub seed: Option<u64>,
    /// The reference measure of the entropic term, a⊗b if not given. One that has a name may be set by the key
    /// `reference` of `set` as well: see [`Reference::parse`].
    pub prior: Option<Reference>,
    /// Further settings by name.
    pub set: BTreeMap<String, String>,
}

/// Whether a setting has a field of [`Options`], and so none of its `set`.
fn is_field(name: &str) -> bool {
    ["reg", "reg_rel", "tol", "max_iter", "seed", "prior"].contains(&name)
}

/// A setting of a backend, for `ot backends` and help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingSpec {
    /// Its name: `reg`, `tol`, `max_iter`, `seed`, or a key of [`Options::set`].
    pub name: &'static str,
    /// Its default, as text.
    pub default: String,
    /// What it does.
    pub doc: &'static str,
}

/// Makes solvers of one kind. Register one to get a solver of your own into the `ot` command and the comparison.
pub trait Factory: Send + Sync {
    /// The backend's name.
    fn name(&self) -> &str;

    /// One line on what it is.
    fn summary(&self) -> &str;

    /// What its solvers can do.
    fn capabilities(&self) -> Capabilities;

    /// What can be set, with defaults.
    fn settings(&self) -> Vec<SettingSpec>;

    /// A solver with these options, all of them checked.
    fn build(&self, options: &Options) -> Result<Box<dyn Solver>, Error>;

    /// Whether it can run on this machine.
    fn available(&self) -> Result<(), Error> {
        Ok(())
    }
}

/// Reads [`Options`] one by one; [`OptionReader::finish`] refuses what nobody read.
#[derive(Debug)]
pub struct OptionReader {
    backend: String,
    known: Vec<&'static str>,
    left: Options,
}

impl OptionReader {
    /// A reader for the backend `backend`.
    #[must_use]
    pub fn new(backend: &str, options: &Options) -> Self {
        Self {
            backend: backend.to_owned(),
            known: Vec::new(),
            left: options.clone(),
        }
    }

    /// The regularization, checked.
    pub fn reg(&mut self) -> Result<Option<Reg>, Error> {
        self.known.push("reg");
        self.left.reg.take().map(Reg::check).transpose()
    }

    /// The tolerance, positive and finite.
    pub fn tol(&mut self) -> Result<Option<f64>, Error> {
        self.known.push("tol");
        match self.left.tol.take() {
            Some(tol) if !(tol > 0.0 && tol.is_finite()) => {
                Err(Error::setting("tol", tol, "must be positive and finite"))
            }
            tol => Ok(tol),
        }
    }

    /// The iteration limit, at least 1.
    pub fn max_iter(&mut self) -> Result<Option<u64>, Error> {
        self.known.push("max_iter");
        match self.left.max_iter.take() {
            Some(0) => Err(Error::setting("max_iter", 0, "must be at least 1")),
            limit => Ok(limit),
        }
    }

    /// The seed.
    pub fn seed(&mut self) -> Option<u64> {
        self.known.push("seed");
        self.left.seed.take()
    }

    /// The reference measure of the entropic term: [`Options::prior`], or the key `reference` of `set`.
    pub fn reference(&mut self) -> Result<Option<Reference>, Error> {
        let named = self.left.set.remove("reference");
        self.known.extend(["prior", "reference"]);
        match (self.left.prior.take(), named) {
            (Some(_), Some(name)) => {
                let rule = "is given beside `prior`: one of the two";
                Err(Error::setting("reference", name, rule))
            }
            (None, Some(name)) => Reference::parse(&name).map(Some),
            (given, None) => Ok(given),
        }
    }

    /// A setting of [`Options::set`], parsed; `rule` says what it must be.
    pub fn get<T: std::str::FromStr>(
        &mut self,
        name: &'static str,
        rule: &str,
    ) -> Result<Option<T>, Error> {
        self.known.push(name);
        let Some(text) = self.left.set.remove(name) else {
            return Ok(None);
        };
        text.parse()
            .map(Some)
            .map_err(|_| Error::setting(name, text, rule))
    }

    /// An error for the first option that was set and not read: [`Error::UnknownSetting`], so that who asks many
    /// backends can tell an option that one lacks from a value that it refuses.
    pub fn finish(self) -> Result<(), Error> {
        let rest = &self.left;
        // "No such setting; it has `tol`" would contradict itself.
        if let Some((name, value)) = rest.set.iter().find(|(k, _)| is_field(k)) {
            let rule = "is a field of `Options` of its own, and no key of `set`";
            return Err(Error::setting(name, value, rule));
        }
        let fixed = [
            match rest.reg {
                Some(Reg::Relative(r)) => ("reg_rel", Some(r.to_string())),
                Some(Reg::Absolute(r)) => ("reg", Some(r.to_string())),
                None => ("reg", None),
            },
            ("tol", rest.tol.map(|t| t.to_string())),
            ("max_iter", rest.max_iter.map(|k| k.to_string())),
            ("seed", rest.seed.map(|s| s.to_string())),
            ("prior", rest.prior.as_ref().map(ToString::to_string)),
        ];
        let unread = fixed
            .into_iter()
            .find_map(|(name, value)| Some((name.to_owned(), value?)));
        let unread = unread.or_else(|| rest.set.iter().next().map(|(k, v)| (k.clone(), v.clone())));
        let Some((name, value)) = unread else {
            return Ok(());
        };
        Err(Error::UnknownSetting {
            backend: self.backend,
            name,
            value: shown(value),
            known: self.known.into_iter().map(str::to_owned).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_regularization_below_the_digits_of_the_cost_is_refused() {
        let cost = [0.0, 1.0, 3.0, 0.5];
        let problem = Problem::from_slices(&[0.5, 0.5], &[0.5, 0.5], &cost).unwrap();
        let refusal = |reg: Reg| reg.resolve_in_range(&problem).unwrap_err().to_string();
        assert_eq!(
            refusal(Reg::Absolute(1e-300)),
            "`reg` = 1e-300: is too small beside costs that differ by 3e0: an entropic backend needs 3.6e-15 of that, 1.1e-14 \
             in the units of the cost, or rounding decides where mass goes; an exact backend needs no `reg`"
        );
        assert!(refusal(Reg::Relative(1e-17)).starts_with("`reg_rel` = 1e-17: is too small"));
        assert!(refusal(Reg::Absolute(1e308)).contains("normal number"));
        // The limit itself, and whatever the unit of the cost is.
        let least = 3.0 * LEAST_REG;
        assert_eq!(Reg::Absolute(least).resolve_in_range(&problem), Ok(least));
        assert!(
            Reg::Absolute(0.99 * least)
                .resolve_in_range(&problem)
                .is_err()
        );
        let scaled = cost.map(|c| 1e-200 * c);
        let problem = Problem::from_slices(&[0.5, 0.5], &[0.5, 0.5], &scaled).unwrap();
        assert!(Reg::Absolute(1e-206).resolve_in_range(&problem).is_ok());
        assert!(Reg::Absolute(1e-216).resolve_in_range(&problem).is_err());
        // Nothing to tell apart: any will do. So where only points without weight are far.
        for cost in [[7.0; 4], [1e30, 1e30, 7.0, 1e30]] {
            let problem = Problem::from_slices(&[0.0, 1.0], &[1.0, 0.0], &cost).unwrap();
            assert!(Reg::Absolute(1e-300).resolve_in_range(&problem).is_ok());
        }
    }

    #[test]
    fn unread_options_are_refused() {
        let mut options = Options {
            tol: Some(1e-9),
            ..Options::default()
        };
        options.set.insert("precision".into(), "f32".into());
        let mut reader = OptionReader::new("sinkhorn", &options);
        assert_eq!(reader.tol().unwrap(), Some(1e-9));
        let error = reader.finish().unwrap_err().to_string();
        assert_eq!(
            error,
            "`precision` = f32: `sinkhorn` has no such setting; it has tol"
        );
        // The same name in the wrong place.
        options.set.insert("tol".into(), "1e-5".into());
        let mut reader = OptionReader::new("sinkhorn", &options);
        assert_eq!(reader.tol().unwrap(), Some(1e-9));
        assert_eq!(
            reader.finish().unwrap_err().to_string(),
            "`tol` = 1e-5: is a field of `Options` of its own, and no key of `set`"
        );
        let mut reader = OptionReader::new(
            "x",
            &Options {
                max_iter: Some(0),
                tol: Some(-1.0),
                ..Options::default()
            },
        );
        assert!(reader.max_iter().is_err() && reader.tol().is_err());
    }
}
