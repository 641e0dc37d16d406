//! The cost between two domains: a ground cost, its unit, and what known labels forbid.

use solver_api::{Cost, CostKind, DenseCost, Ground, PointCost};

use super::Domain;
use crate::Error;

/// The unit of the cost.
#[doc(alias = "norm")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum CostScale {
    /// As the ground cost says.
    None,
    /// Divided by the largest entry, so that one regularization means the same for any two domains.
    #[default]
    Max,
    /// Divided by the median entry.
    Median,
    /// log(1 + C).
    Log,
    /// log(1 + log(1 + C)).
    LogLog,
}

impl CostScale {
    /// All of them with their names.
    pub const NAMES: [(&'static str, Self); 5] = [
        ("none", Self::None),
        ("max", Self::Max),
        ("median", Self::Median),
        ("log", Self::Log),
        ("loglog", Self::LogLog),
    ];

    /// By its name.
    ///
    /// # Errors
    /// A name that is none of [`CostScale::NAMES`].
    pub fn parse(name: &str) -> Result<Self, Error> {
        let found = Self::NAMES.iter().find(|(known, _)| *known == name);
        found.map(|(_, scale)| *scale).ok_or_else(|| {
            let names = Self::NAMES.map(|(name, _)| name).join(", ");
            Error::setting("scale", name, &format!("must be one of {names}"))
        })
    }

    /// Brings the entries to this unit. A cost that is 0 everywhere (Median: mostly) stays as it is. O(n·m).
    fn apply(self, entries: &mut [f64]) -> f64 {
        let unit = match self {
            Self::None => return 1.0,
            Self::Max => entries.iter().copied().fold(0.0, f64::max),
            Self::Median => median(entries),
            Self::Log => {
                entries.iter_mut().for_each(|c| *c = c.ln_1p());
                return 1.0;
            }
            Self::LogLog => {
                entries.iter_mut().for_each(|c| *c = c.ln_1p().ln_1p());
                return 1.0;
            }
        };
        if unit <= 0.0 || unit.is_nan() {
            return 1.0;
        }
        entries.iter_mut().for_each(|c| *c /= unit);
        unit
    }
}

/// The mean of the two middle entries.
fn median(entries: &[f64]) -> f64 {
    let mut sorted = entries.to_vec();
    let half = sorted.len() / 2;
    let (below, &mut upper, _) = sorted.select_nth_unstable_by(half, f64::total_cmp);
    if entries.len() % 2 == 1 {
        return upper;
    }
    let lower = below.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    0.5 * lower + 0.5 * upper
}

/// What becomes of pairs whose labels are both known and differ.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub enum KnownLabels {
    /// No mass flows between them; needs a solver with `forbidden-pairs`, and is infeasible where a class has more mass
    /// among labelled targets than among sources.
    #[default]
    Forbid,
    /// They cost at least this many times the largest entry of the cost.
    #[doc(alias = "limit_max")]
    Penalize(f64),
    /// Labels of targets are not looked at.
    Ignore,
}

/// The entries of the cost, n×m row-major, and the unit they were divided by.
pub(crate) struct Entries {
    pub(crate) values: Vec<f64>,
    pub(crate) unit: f64,
    /// Whether a pair is forbidden.
    pub(crate) forbids: bool,
}

/// O(n·m·dim) time, n·m numbers of memory.
pub(crate) fn entries(
    source: &Domain,
    target: &Domain,
    ground: &Ground,
    scale: CostScale,
    known: KnownLabels,
) -> Result<Entries, Error> {
    source.check_beside(target)?;
    let (x, y) = (source.shared_points(), target.shared_points());
    let points = PointCost::new(x, y, source.dim(), ground.clone())?;
    let mut values = matrix(&points)?;
    let unit = scale.apply(&mut values);
    let mut forbids = false;
    let wrong = match known {
        KnownLabels::Ignore => None,
        KnownLabels::Forbid => Some(f64::INFINITY),
        KnownLabels::Penalize(limit) => {
            let most = values.iter().copied().fold(0.0, f64::max);
            Some(limit * most)
        }
    };
    if let Some(wrong) = wrong
        && target.labels().iter().any(Option::is_some)
    {
        let m = target.len();
        for (row, said) in values.chunks_exact_mut(m).zip(source.labels()) {
            let Some(said) = said else { continue };
            for (c, other) in row.iter_mut().zip(target.labels()) {
                if other.is_some_and(|other| other != *said) {
                    *c = c.max(wrong);
                    forbids |= wrong == f64::INFINITY;
                }
            }
        }
    }
    Ok(Entries {
        values,
        unit,
        forbids,
    })
}

/// All entries of a cost, on the threads of the current pool.
fn matrix(cost: &dyn Cost) -> Result<Vec<f64>, Error> {
    let dense = DenseCost::materialize(cost)?;
    Ok(dense.as_f64().map(<[f64]>::to_vec).unwrap_or_default())
}

/// Row `i` of a cost; `scratch` has m entries and is used where the rows are not stored.
pub(crate) fn row_of<'a>(cost: &'a dyn Cost, i: usize, scratch: &'a mut [f64]) -> &'a [f64] {
    if let CostKind::Dense(dense) = cost.kind()
        && let Some(entries) = dense.as_f64()
    {
        let m = cost.shape().1;
        return &entries[i * m..(i + 1) * m];
    }
    cost.row(i, scratch);
    scratch
}
