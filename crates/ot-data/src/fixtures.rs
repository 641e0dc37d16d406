//! The repository's own problems: small real inputs with values that other libraries computed.
//!
//! `fixtures/manifest.json` lists them; `fixtures/README.md` says where each comes from and how its
//! expected values were made. A fixture states a problem in plain arrays, so that this crate needs
//! to know no solver.

use std::fs;
use std::path::{Path, PathBuf};

use ndarray::{Array1, Array2};
use serde::Deserialize;

use crate::{DataError, read};

/// One line of the manifest: everything but the arrays.
#[derive(Debug, Clone, Deserialize)]
#[non_exhaustive]
pub struct Entry {
    /// Short and stable, such as `mnist-7-2`.
    pub name: String,
    /// For a person, such as `MNIST 7 → 2`.
    pub title: String,
    /// Sizes, units and preparation, in a few words.
    pub description: String,
    /// The sort of data, such as `digits` or `documents`.
    pub kind: String,
    /// The file that says where the data come from, relative to `fixtures/`.
    pub origin: PathBuf,
    /// The licence of the data.
    pub licence: String,
    /// What independent libraries computed.
    pub expected: Expected,
    /// Entropic solutions in long double, where there are some.
    #[serde(default)]
    pub entropic: Vec<EntropicEntry>,
    /// Solutions of partial problems, where there are some.
    #[serde(default)]
    pub partial: Vec<PartialEntry>,
    a: Option<PathBuf>,
    b: Option<PathBuf>,
    normalize: bool,
    cost: CostEntry,
}

/// The unregularized optimum, as POT and SciPy's HiGHS found it.
#[derive(Debug, Clone, Deserialize)]
#[non_exhaustive]
pub struct Expected {
    /// The optimum: POT's value, or the whole number it must be where masses and costs are integers.
    pub optimum: f64,
    /// POT's network simplex, its plan summed up in long double.
    pub pot: f64,
    /// HiGHS.
    pub highs: f64,
    /// What HiGHS was given.
    pub highs_method: String,
    /// A bound from below, from HiGHS's potentials made feasible in long double.
    pub lower_bound: f64,
    /// (POT's value − `lower_bound`) / POT's value; below zero by rounding only.
    pub relative_gap: f64,
    /// Whether `optimum` is exact, because masses and costs are integers.
    pub exact_integer: bool,
    /// The closed form, for problems that have one.
    #[serde(default)]
    pub closed_form: Option<f64>,
}

/// The manifest's line for one entropic solution; see [`Entropic`].
#[derive(Debug, Clone, Deserialize)]
#[non_exhaustive]
pub struct EntropicEntry {
    /// `reg` over the largest cost between points with mass.
    pub reg_rel: f64,
    /// The regularization, in cost units.
    pub reg: f64,
    /// ⟨P, C⟩.
    pub transport_cost: f64,
    /// ⟨P, C⟩ + reg·KL(P ‖ a⊗b), at mass 1.
    pub objective: f64,
    /// The larger of the two marginal errors in L1 that the reference reached.
    pub marginal_error: f64,
    potentials: Option<PathBuf>,
}

/// The manifest's line for one partial problem: weights `b` times a factor, and the mass that moves.
#[derive(Debug, Clone, Deserialize)]
#[non_exhaustive]
pub struct PartialEntry {
    /// What the weights of `b` are multiplied by.
    pub b_factor: f64,
    /// The mass that moves.
    pub mass: f64,
    /// The optimum by POT, the plan summed up in long double.
    pub optimum: f64,
    /// The optimum by HiGHS.
    pub highs: f64,
    /// Entropic solutions in long double, by falling regularization.
    pub entropic: Vec<PartialEntropicEntry>,
}

/// The manifest's line for one entropic solution of a partial problem.
#[derive(Debug, Clone, Deserialize)]
#[non_exhaustive]
pub struct PartialEntropicEntry {
    /// The regularization, in cost units.
    pub reg: f64,
    /// ⟨P, C⟩.
    pub transport_cost: f64,
    /// ⟨P, C⟩ + reg·KL(P ‖ a⊗b), in the units of the weights.
    pub objective: f64,
    /// What the values of plan and potentials differ by, relative: the reference's own error.
    pub gap: f64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum CostEntry {
    Dense {
        matrix: PathBuf,
    },
    Points {
        x: PathBuf,
        y: PathBuf,
        metric: String,
    },
    Grid {
        shape: Vec<usize>,
        metric: String,
    },
}

/// How the cost of a fixture is given. Metrics are named as on the command line.
#[derive(Debug, Clone, PartialEq)]
pub enum FixtureCost {
    /// The n×m matrix itself.
    Dense(Array2<f64>),
    /// Two clouds of points, in rows, and the distance between them.
    Points {
        /// Source, n×d.
        x: Array2<f64>,
        /// Target, m×d.
        y: Array2<f64>,
        /// `sqeuclidean` or `euclidean`.
        metric: String,
    },
    /// Source and target are images of this shape, with pixels one apart, in C order.
    Grid {
        /// Height, width.
        shape: Vec<usize>,
        /// `sqeuclidean` or `euclidean`.
        metric: String,
    },
}

/// One entropic solution, in double; the sums behind it were made in long double.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Entropic {
    /// Regularization and values.
    pub values: EntropicEntry,
    /// The soft potentials (f, g), centred so that ⟨f,a⟩ = ⟨g,b⟩, where they are kept.
    pub potentials: Option<(Array1<f64>, Array1<f64>)>,
}

/// A problem, ready to be solved, and what its solution should be.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Fixture {
    /// Name, origin, licence and expected values.
    pub entry: Entry,
    /// Source weights, n; their sum equals that of `b` up to rounding. Zeros are as in the data.
    pub a: Array1<f64>,
    /// Target weights, m.
    pub b: Array1<f64>,
    /// The cost.
    pub cost: FixtureCost,
    /// Entropic solutions, by falling regularization.
    pub entropic: Vec<Entropic>,
}

/// The manifest of a repository whose root is given, in its order.
///
/// # Errors
/// A manifest that is missing or is not what this reader expects.
pub fn list(root: impl AsRef<Path>) -> Result<Vec<Entry>, DataError> {
    #[derive(Deserialize)]
    struct Manifest {
        fixtures: Vec<Entry>,
    }
    let path = folder(root.as_ref()).join("manifest.json");
    let text = fs::read_to_string(&path).map_err(|e| DataError::io(&path, "read", e))?;
    let manifest: Manifest = serde_json::from_str(&text).map_err(|source| DataError::Json {
        path: path.clone(),
        source,
    })?;
    Ok(manifest.fixtures)
}

/// One fixture, by name.
///
/// # Errors
/// [`UnknownFixture`](DataError::UnknownFixture), and as [`list`] and [`Entry::load`].
pub fn load(root: impl AsRef<Path>, name: &str) -> Result<Fixture, DataError> {
    let root = root.as_ref();
    let entries = list(root)?;
    match entries.iter().find(|entry| entry.name == name) {
        Some(entry) => entry.load(root),
        None => Err(DataError::UnknownFixture {
            path: folder(root).join("manifest.json"),
            name: name.to_owned(),
            known: entries.into_iter().map(|entry| entry.name).collect(),
        }),
    }
}

/// Every fixture, in the manifest's order; under 1 MB in all, costs of images not counted.
///
/// # Errors
/// As [`list`] and [`Entry::load`].
pub fn load_all(root: impl AsRef<Path>) -> Result<Vec<Fixture>, DataError> {
    let root = root.as_ref();
    list(root)?.iter().map(|entry| entry.load(root)).collect()
}

fn folder(root: &Path) -> PathBuf {
    root.join("fixtures")
}

impl Entry {
    /// Reads the arrays. `root` is the repository's root, as for [`list`].
    ///
    /// # Errors
    /// What the readers have, and [`Mismatch`](DataError::Mismatch) where weights and cost are of
    /// different sizes.
    pub fn load(&self, root: impl AsRef<Path>) -> Result<Fixture, DataError> {
        let folder = folder(root.as_ref());
        let matrix = |name: &Path| read(folder.join(name))?.into_matrix();
        let cost = match &self.cost {
            CostEntry::Dense { matrix: name } => FixtureCost::Dense(matrix(name)?),
            CostEntry::Points { x, y, metric } => FixtureCost::Points {
                x: matrix(x)?,
                y: matrix(y)?,
                metric: metric.clone(),
            },
            CostEntry::Grid { shape, metric } => FixtureCost::Grid {
                shape: shape.clone(),
                metric: metric.clone(),
            },
        };
        let (n, m) = cost.dim();
        let weights = |name: &Option<PathBuf>, n: usize| {
            let mut w = match name {
                Some(name) => {
                    let path = folder.join(name);
                    let w = read(&path)?.into_vector()?;
                    if w.len() != n {
                        let found = w.len();
                        return Err(DataError::Mismatch {
                            path,
                            what: "weights",
                            found,
                            expected: n,
                        });
                    }
                    w
                }
                None => Array1::ones(n),
            };
            if self.normalize {
                w /= w.sum();
            }
            Ok(w)
        };
        let (a, b) = (weights(&self.a, n)?, weights(&self.b, m)?);
        let entropic = self
            .entropic
            .iter()
            .map(|e| e.load(&folder))
            .collect::<Result<_, _>>()?;
        Ok(Fixture {
            entry: self.clone(),
            a,
            b,
            cost,
            entropic,
        })
    }
}

impl Entry {
    /// The words that the points of source and target stand for, in order, where the fixture is of documents.
    ///
    /// # Errors
    /// A list of words that is missing.
    pub fn words(&self, root: impl AsRef<Path>) -> Result<Option<[Vec<String>; 2]>, DataError> {
        let CostEntry::Points { x, y, .. } = &self.cost else {
            return Ok(None);
        };
        let beside = |points: &Path| {
            let stem = points.to_str()?.strip_suffix(".vectors.npy")?;
            Some(folder(root.as_ref()).join(format!("{stem}.words.txt")))
        };
        let (Some(x), Some(y)) = (beside(x), beside(y)) else {
            return Ok(None);
        };
        let lines = |path: PathBuf| match fs::read_to_string(&path) {
            Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
            Err(e) => Err(DataError::io(&path, "read", e)),
        };
        Ok(Some([lines(x)?, lines(y)?]))
    }
}

impl EntropicEntry {
    fn load(&self, folder: &Path) -> Result<Entropic, DataError> {
        let potentials = match &self.potentials {
            Some(name) => {
                let mut archive = crate::npz::Archive::open(folder.join(name))?;
                Some((
                    archive.read("f")?.into_vector()?,
                    archive.read("g")?.into_vector()?,
                ))
            }
            None => None,
        };
        Ok(Entropic {
            values: self.clone(),
            potentials,
        })
    }
}

impl FixtureCost {
    /// The number of sources and of targets.
    pub fn dim(&self) -> (usize, usize) {
        match self {
            Self::Dense(matrix) => matrix.dim(),
            Self::Points { x, y, .. } => (x.nrows(), y.nrows()),
            Self::Grid { shape, .. } => {
                let bins = shape.iter().product();
                (bins, bins)
            }
        }
    }
}
