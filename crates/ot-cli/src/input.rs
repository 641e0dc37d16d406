//! From files to measures, costs and potentials.

use std::path::Path;
use std::sync::Arc;

use kantorovich::{
    Cost, DenseCost, Error, GridCost, GridGround, Ground, Measure, PointCost, Potentials, Reference,
};
use ndarray::{Array2, ArrayD};
use ot_data::{Array, DataError, Dtype, Loaded, npz};

use crate::args::SolveArgs;
use crate::exit::Failure;
use crate::memory;
use crate::tree;

/// Everything that `ot solve` reads, in memory and not yet checked by the problem's rules.
pub(crate) struct Inputs {
    a: Option<Weights>,
    b: Option<Weights>,
    cost: CostInput,
    pub(crate) warm: Option<Potentials>,
}

/// Weights in a list, and the type they were stored in.
struct Weights {
    values: Vec<f64>,
    narrow: bool,
}

enum CostInput {
    Matrix(Array),
    Points(Array2<f64>, Array2<f64>, Ground),
    Grid(Vec<usize>, Ground),
    /// Parents and lengths, and the nodes of both sides.
    Tree([Array2<f64>; 3]),
}

impl Inputs {
    /// Reads all files. Options are checked before the first of them is opened.
    pub(crate) fn read(args: &SolveArgs) -> Result<Self, Failure> {
        let on_tree = tree::given(args)?;
        let metric = args.metric.as_deref().filter(|_| on_tree.is_none());
        let ground = metric.map(Ground::parse).transpose()?;
        let dims = args.grid.as_deref().map(grid_dims).transpose()?;
        let cost = match (&args.cost, &args.x, &args.y, dims, ground) {
            (Some(path), ..) => CostInput::Matrix(matrix(path)?),
            (_, Some(x), Some(y), ..) if on_tree.is_some() => {
                let tree = on_tree.map(|file| points("set", file));
                let tree = tree.transpose()?.unwrap_or_default();
                CostInput::Tree([tree, points("x", x)?, points("y", y)?])
            }
            (_, Some(_), Some(_), _, None) => {
                let missing = "the following required arguments were not provided: --metric <NAME>";
                return Err(Failure::usage(missing));
            }
            (_, Some(x), Some(y), _, Some(ground)) => {
                CostInput::Points(points("x", x)?, points("y", y)?, ground)
            }
            (.., Some(_), Some(Ground::Arc | Ground::Cosine)) => {
                let name = args.metric.as_deref().unwrap_or_default();
                let rule =
                    format!("`{name}` is no cost between the cells of a grid: choose another");
                return Err(Failure::option("metric", rule));
            }
            (.., Some(dims), Some(ground)) => CostInput::Grid(dims, ground),
            // The parser's groups leave nothing else.
            _ => return Err(Failure::usage("one of --cost, --x and --grid is needed")),
        };
        let dims = match &cost {
            CostInput::Grid(dims, _) => Some(&dims[..]),
            _ => None,
        };
        let weights = |option, path: &Option<_>| {
            let read = |path: &std::path::PathBuf| weights(option, path, dims);
            path.as_ref().map(read).transpose()
        };
        Ok(Self {
            a: weights("a", &args.a)?,
            b: weights("b", &args.b)?,
            warm: args.warm.as_deref().map(potentials).transpose()?,
            cost,
        })
    }

    /// The cost, checked. One pass over a matrix; points and grids are not written out.
    pub(crate) fn cost(&mut self) -> Result<Arc<dyn Cost>, Error> {
        // The array is given up here, so that the cost is in memory once.
        let input = std::mem::replace(&mut self.cost, CostInput::Grid(vec![], Ground::Arc));
        Ok(match input {
            CostInput::Matrix(array) => Arc::new(dense(array)?),
            CostInput::Points(x, y, ground) => {
                Arc::new(PointCost::from_arrays(x.view(), y.view(), ground)?)
            }
            CostInput::Tree([rows, x, y]) => Arc::new(tree::cost(&rows, &x, &y)?),
            CostInput::Grid(dims, Ground::SqEuclidean) => {
                Arc::new(GridCost::new(&dims, GridGround::SqEuclidean)?)
            }
            CostInput::Grid(dims, Ground::Cityblock) => {
                Arc::new(GridCost::new(&dims, GridGround::Cityblock)?)
            }
            CostInput::Grid(dims, ground) => {
                let cells: Arc<[f64]> = cell_coordinates(&dims).into();
                Arc::new(PointCost::new(
                    Arc::clone(&cells),
                    cells,
                    dims.len(),
                    ground,
                )?)
            }
        })
    }

    /// The two measures, checked: `n` and `m` equal weights where none were given.
    pub(crate) fn measures(
        &mut self,
        (n, m): (usize, usize),
        normalize: bool,
    ) -> Result<(Measure, Measure), Error> {
        let one = |argument, given: Option<Weights>, len| -> Result<Measure, Error> {
            let measure = match given {
                None => Measure::uniform(len)?,
                Some(w) if w.narrow => {
                    // They were single precision in the file: narrowing gives them back as they were.
                    let narrow: Vec<f32> = w.values.iter().map(|&v| v as f32).collect();
                    Measure::from_f32(argument, &narrow)?
                }
                Some(w) => Measure::named(argument, w.values)?,
            };
            Ok(if normalize {
                measure.normalized()
            } else {
                measure
            })
        };
        Ok((one("a", self.a.take(), n)?, one("b", self.b.take(), m)?))
    }
}

pub(crate) fn load(option: &str, path: &Path) -> Result<Loaded, Failure> {
    ot_data::read(path).map_err(|e| Failure::option(option, e))
}

fn weights(option: &str, path: &Path, grid: Option<&[usize]>) -> Result<Weights, Failure> {
    let loaded = load(option, path)?;
    let narrow = loaded.dtype() == Dtype::F32;
    let values = if grid.is_some_and(|dims| dims == loaded.shape()) {
        loaded.array.into_f64().into_iter().collect()
    } else {
        let list = loaded.into_vector().map_err(|e| match (e, grid) {
            (DataError::WrongShape { path, shape, .. }, Some(dims)) => Failure::option(
                option,
                format!(
                    "{}: an array of shape {shape:?} where the grid has {dims:?} cells",
                    path.display()
                ),
            ),
            (e, _) => Failure::option(option, e),
        })?;
        list.to_vec()
    };
    Ok(Weights { values, narrow })
}

/// The reference of the entropic term, n×m.
pub(crate) fn prior(path: &Path) -> Result<Reference, Failure> {
    let matrix = load("prior", path)?.into_matrix();
    let matrix = matrix.map_err(|e| Failure::option("prior", e))?;
    Ok(Reference::from_array(matrix.view())?)
}

pub(crate) fn points(option: &str, path: &Path) -> Result<Array2<f64>, Failure> {
    let loaded = load(option, path)?;
    loaded.into_matrix().map_err(|e| Failure::option(option, e))
}

/// A matrix in the type it is stored in. A list is no cost matrix, though other readers take it for n×1.
pub(crate) fn matrix(path: &Path) -> Result<Array, Failure> {
    let loaded = load("cost", path)?;
    match *loaded.shape() {
        [n, m] if n > 0 && m > 0 => Ok(loaded.array),
        _ => Err(Failure::option(
            "cost",
            DataError::WrongShape {
                shape: loaded.shape().to_vec(),
                path: loaded.path,
                expected: "an n×m matrix with at least one entry",
            },
        )),
    }
}

/// Single precision stays single precision: half the memory, and solvers read either.
fn dense(array: Array) -> Result<DenseCost, Error> {
    let (n, m) = (array.shape()[0], array.shape()[1]);
    match array {
        Array::F32(entries) => DenseCost::from_f32(n, m, shared(&entries)),
        other => DenseCost::new(n, m, shared(&other.into_f64())),
    }
}

fn shared<T: Copy>(entries: &ArrayD<T>) -> Arc<[T]> {
    match entries.as_slice() {
        Some(slice) => slice.into(),
        None => entries.iter().copied().collect(),
    }
}

/// `HxW` or `HxWxD`, or `N` cells on a line.
pub(crate) fn grid_dims(text: &str) -> Result<Vec<usize>, Failure> {
    let axes: Option<Vec<usize>> = text
        .split(['x', 'X', '×'])
        .map(|axis| axis.trim().parse().ok().filter(|&cells| cells > 0))
        .collect();
    let dims = axes.filter(|dims| (1..=3).contains(&dims.len()));
    let wrong = || {
        Failure::option(
            "grid",
            format!("`{text}` must be HxW or HxWxD, as in 28x28, or N for a line"),
        )
    };
    let dims = dims.ok_or_else(wrong)?;
    // Two weights, two potentials and their workspace for each cell, and a table for each axis.
    let cells = dims.iter().try_fold(1_u64, |c, &d| c.checked_mul(d as u64));
    let tables = dims.iter().map(|&d| (d as u64).saturating_mul(d as u64));
    let numbers = cells.and_then(|c| tables.fold(c.checked_mul(8), |s, t| s?.checked_add(t)));
    let limit = memory::available();
    if numbers
        .and_then(|n| n.checked_mul(8))
        .is_none_or(|bytes| bytes > limit)
    {
        let rule = format!("`{text}` has more cells than fit into memory");
        return Err(Failure::option("grid", rule));
    }
    Ok(dims)
}

/// Row and column (and layer) of each cell, in C order.
fn cell_coordinates(dims: &[usize]) -> Vec<f64> {
    let cells: usize = dims.iter().product();
    let mut coordinates = Vec::with_capacity(cells * dims.len());
    for cell in 0..cells {
        let mut below = cells;
        for &d in dims {
            below /= d;
            coordinates.push((cell / below % d) as f64);
        }
    }
    coordinates
}

fn potentials(path: &Path) -> Result<Potentials, Failure> {
    let wrong = |e| Failure::option("warm", e);
    let mut archive = npz::Archive::open(path).map_err(wrong)?;
    let mut side =
        |key| -> Result<Vec<f64>, DataError> { Ok(archive.read(key)?.into_vector()?.to_vec()) };
    let (f, g) = (side("f").map_err(wrong)?, side("g").map_err(wrong)?);
    Ok(Potentials::new(f, g))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids_are_read_and_bounded() {
        assert_eq!(grid_dims("28x30").unwrap(), [28, 30]);
        assert_eq!(grid_dims("2x3x4").unwrap(), [2, 3, 4]);
        assert_eq!(grid_dims("28").unwrap(), [28]);
        for bad in [
            "",
            "0",
            "2x",
            "0x3",
            "-1x2",
            "2x3x4x5",
            "axb",
            "99999999999x99999999999",
        ] {
            assert!(grid_dims(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn cells_are_numbered_like_a_grid_cost() {
        let points = cell_coordinates(&[2, 3]);
        assert_eq!(points, [0., 0., 0., 1., 0., 2., 1., 0., 1., 1., 1., 2.]);
        let grid = GridCost::new(&[2, 3], GridGround::SqEuclidean).unwrap();
        let cloud = PointCost::new(points.clone(), points, 2, Ground::SqEuclidean).unwrap();
        for (i, j) in [(0, 5), (4, 2), (3, 3)] {
            assert_eq!(grid.entry(i, j), cloud.entry(i, j));
        }
    }
}
