//! The problems of the comparison: every fixture, and a series over n.

mod series;

use std::path::Path;
use std::sync::Arc;

use ndarray::Array2;
use ot_data::fixtures::{self, Fixture, FixtureCost};
use solver_api::{Cost, DenseCost, GridCost, GridGround, Ground, Measure, PointCost, Problem};

use self::series::SERIES;
pub use self::series::uniform_points;
use crate::Error;
use crate::picture;
use crate::report::{ProblemReport, Reference};

/// The group of the series over n.
pub const SCALE: &str = "scale";
/// `--quick` leaves out what has more pairs than this.
const QUICK_PAIRS: usize = 1_100_000;
/// What has more pairs than this must be named, itself or its group, and only exact backends that need no matrix are asked.
const ORDINARY_PAIRS: usize = 1 << 25;

/// A problem, and what a report says of it.
#[derive(Debug, Clone)]
pub struct Case {
    /// The problem itself.
    pub problem: Problem,
    /// Everything but the rows.
    pub about: ProblemReport,
    /// The fixture it comes from, if any.
    pub fixture: Option<Fixture>,
}

/// Every fixture of the repository at `root`, in the manifest's order, then the series over n, of which the large problems and
/// those of real clouds are made only if one of `wanted` is of their kind.
///
/// # Errors
/// A fixture that can't be read, or is no valid problem.
pub fn all(root: &Path, wanted: &[String]) -> Result<Vec<Case>, Error> {
    let mut cases = Vec::new();
    for entry in fixtures::list(root)? {
        let fixture = entry.load(root)?;
        let words = entry.words(root)?;
        cases.push(of_fixture(fixture, words.as_ref())?);
    }
    let large = wanted.iter().any(|name| name.starts_with(SCALE));
    for series in &SERIES {
        let ordinary = |n: &&usize| !series.is_real() && **n * **n <= ORDINARY_PAIRS;
        for &n in series.sizes.iter().filter(|n| large || ordinary(n)) {
            cases.push(series.case(root, n)?);
        }
    }
    Ok(cases)
}

/// Those of `cases` that `wanted` names, by name or group; all of them if it is empty. `quick` leaves out the
/// large ones unless they are named.
///
/// # Errors
/// A name that is neither a problem nor a group.
pub fn select(cases: Vec<Case>, wanted: &[String], quick: bool) -> Result<Vec<Case>, Error> {
    for name in wanted {
        if !cases.iter().any(|c| c.about.is(name)) {
            let mut known: Vec<String> = cases.iter().map(|c| c.about.group.clone()).collect();
            known.dedup();
            known.extend(crate::run::GROUPS.iter().map(|&g| g.to_owned()));
            known.extend(cases.iter().map(|c| c.about.name.clone()));
            return Err(Error::UnknownProblem {
                name: name.clone(),
                known,
            });
        }
    }
    Ok(cases
        .into_iter()
        .filter(|c| c.about.is_wanted(wanted, quick))
        .collect())
}

impl ProblemReport {
    /// Whether [`select`] keeps it.
    pub(crate) fn is_wanted(&self, wanted: &[String], quick: bool) -> bool {
        let asked = wanted.is_empty() || wanted.iter().any(|name| self.is(name));
        let small = self.n * self.m < QUICK_PAIRS;
        asked
            && (wanted.contains(&self.name)
                || (!quick || small) && (!self.is_large() || !wanted.is_empty()))
    }

    /// Whether it is for exact backends without a matrix alone, and only where it or its group is named.
    pub(crate) fn is_large(&self) -> bool {
        self.n * self.m > ORDINARY_PAIRS
    }

    fn is(&self, name: &str) -> bool {
        self.name == name || self.group == name
    }
}

/// A fixture as a problem, its cost in the form in which the fixture states it.
///
/// # Errors
/// Weights or a cost that are not valid.
pub fn of_fixture(fixture: Fixture, words: Option<&[Vec<String>; 2]>) -> Result<Case, Error> {
    let cost: Arc<dyn Cost> = match &fixture.cost {
        FixtureCost::Dense(matrix) => Arc::new(DenseCost::from_array(matrix.view())?),
        FixtureCost::Points { x, y, metric } => {
            let ground = Ground::parse(metric)?;
            Arc::new(PointCost::from_arrays(x.view(), y.view(), ground)?)
        }
        FixtureCost::Grid { shape, metric } => grid(shape, metric)?,
    };
    let metric = match &fixture.cost {
        FixtureCost::Dense(_) => "matrix",
        FixtureCost::Points { metric, .. } | FixtureCost::Grid { metric, .. } => metric,
    };
    let a = Measure::from_array("a", fixture.a.view())?;
    let b = Measure::from_array("b", fixture.b.view())?;
    let problem = Problem::new(a, b, cost)?;
    let (n, m) = problem.shape();
    let entry = &fixture.entry;
    let by = if entry.expected.exact_integer {
        "POT and HiGHS, in whole numbers"
    } else {
        "POT and HiGHS"
    };
    let about = ProblemReport {
        name: entry.name.clone(),
        title: entry.title.clone(),
        description: entry.description.clone(),
        group: entry.kind.replace(' ', "-"),
        n,
        m,
        metric: metric.to_owned(),
        licence: Some(entry.licence.clone()),
        reference: Some(Reference {
            value: entry.expected.optimum,
            by: by.to_owned(),
        }),
        series: None,
        rows: Vec::new(),
        sweep: Vec::new(),
        picture: Some(picture::of_fixture(&fixture, words)),
    };
    Ok(Case {
        problem,
        about,
        fixture: Some(fixture),
    })
}

/// A product grid with unit spacing where the metric has one, points otherwise.
fn grid(shape: &[usize], metric: &str) -> Result<Arc<dyn Cost>, Error> {
    if metric == "sqeuclidean" {
        return Ok(Arc::new(GridCost::new(shape, GridGround::SqEuclidean)?));
    }
    let points = grid_points(shape);
    let ground = Ground::parse(metric)?;
    Ok(Arc::new(PointCost::from_arrays(
        points.view(),
        points.view(),
        ground,
    )?))
}

/// The points of a grid with unit spacing, in C order.
#[must_use]
pub fn grid_points(shape: &[usize]) -> Array2<f64> {
    let count = shape.iter().product();
    Array2::from_shape_fn((count, shape.len()), |(i, k)| {
        let inner: usize = shape[k + 1..].iter().product();
        (i / inner % shape[k]) as f64
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids_are_in_c_order() {
        let points = grid_points(&[2, 3]);
        let rows: Vec<_> = points.rows().into_iter().map(|r| (r[0], r[1])).collect();
        assert_eq!(
            rows,
            [(0., 0.), (0., 1.), (0., 2.), (1., 0.), (1., 1.), (1., 2.)]
        );
    }

    #[test]
    fn problems_are_chosen_by_name_and_by_group() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let of = |n| SERIES[0].case(&root, n).unwrap();
        let cases = || vec![of(250), of(2000), of(10_000)];
        let names = |wanted: &[&str], quick| {
            let wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
            select(cases(), &wanted, quick)
                .map(|c| c.into_iter().map(|c| c.about.n).collect::<Vec<_>>())
        };
        assert_eq!(names(&["scale"], false).unwrap(), vec![250, 2000, 10_000]);
        // Large ones are not among all, and not quick.
        assert_eq!(names(&[], false).unwrap(), vec![250, 2000]);
        assert_eq!(names(&["scale"], true).unwrap(), vec![250]);
        assert_eq!(names(&["scale-d2-2000"], true).unwrap(), vec![2000]);
        let twice = ["scale-d2-250", "scale-d2-250", "scale"];
        assert_eq!(names(&twice, false).unwrap(), vec![250, 2000, 10_000]);
        let error = names(&["digit"], false).unwrap_err().to_string();
        assert!(
            error.contains("`digit`") && error.contains("scale-d2-250"),
            "{error}"
        );
    }
}
