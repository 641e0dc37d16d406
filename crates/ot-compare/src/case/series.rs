//! Problems of one kind and many sizes: how time grows.

use std::path::Path;
use std::sync::Arc;

use ndarray::Array2;
use ot_apps::Palette;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_distr::StandardNormal;
use rand_pcg::Pcg64Mcg;
use solver_api::{Ground, Measure, PointCost, Problem};

use super::{Case, SCALE};
use crate::Error;
use crate::applications::photo;
use crate::picture::{self, Picture};
use crate::report::ProblemReport;

/// Problems of one kind and many sizes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Series {
    /// In names: `scale-{key}-{n}`.
    key: &'static str,
    title: &'static str,
    about: &'static str,
    dim: usize,
    clouds: Clouds,
    /// Between 0.1 and 1.1 before they are brought to 1, instead of all alike.
    random_weights: bool,
    pub(super) sizes: &'static [usize],
}

#[derive(Debug, Clone, Copy)]
enum Clouds {
    /// Two unit cubes.
    Cubes,
    /// A unit cube, and five Gaussians of spread 0.05 in it.
    Blobs,
    /// Two standard Gaussians, 3 apart in every coordinate.
    Gaussians,
    /// The first cells of two wells, in their first channels.
    Cytometry,
    /// Colours of two photographs, weighted by their pixels: as many of each as asked for, or all.
    Colours,
}

pub(super) const SERIES: [Series; 12] = [
    Series {
        key: "d2",
        title: "d = 2",
        about: "uniform in the unit cube, equal weights",
        dim: 2,
        clouds: Clouds::Cubes,
        random_weights: false,
        sizes: &[
            250, 500, 1000, 2000, 10_000, 20_000, 50_000, 100_000, 200_000,
        ],
    },
    Series {
        key: "d16",
        title: "d = 16",
        about: "uniform in the unit cube, equal weights",
        dim: 16,
        clouds: Clouds::Cubes,
        random_weights: false,
        sizes: &[250, 500, 1000, 2000, 10_000, 20_000],
    },
    Series {
        key: "d2-random",
        title: "d = 2, random weights",
        about: "uniform in the unit cube, weights from 0.1 to 1.1",
        dim: 2,
        clouds: Clouds::Cubes,
        random_weights: true,
        sizes: &[10_000, 20_000, 50_000, 100_000, 200_000],
    },
    Series {
        key: "blobs",
        title: "a square and five blobs",
        about: "uniform in the unit square, and five Gaussians of spread 0.05; random weights",
        dim: 2,
        clouds: Clouds::Blobs,
        random_weights: true,
        sizes: &[10_000, 20_000, 50_000],
    },
    Series {
        key: "gaussians",
        title: "shifted Gaussians",
        about: "standard Gaussians in the plane, 3 apart in both coordinates; random weights",
        dim: 2,
        clouds: Clouds::Gaussians,
        random_weights: true,
        sizes: &[10_000, 20_000, 50_000],
    },
    Series {
        key: "d3-random",
        title: "d = 3, random weights",
        about: "uniform in the unit cube, weights from 0.1 to 1.1",
        dim: 3,
        clouds: Clouds::Cubes,
        random_weights: true,
        sizes: &[10_000, 20_000, 50_000],
    },
    Series {
        key: "d8-random",
        title: "d = 8, random weights",
        about: "uniform in the unit cube, weights from 0.1 to 1.1",
        dim: 8,
        clouds: Clouds::Cubes,
        random_weights: true,
        sizes: &[10_000, 20_000],
    },
    Series {
        key: "d16-random",
        title: "d = 16, random weights",
        about: "uniform in the unit cube, weights from 0.1 to 1.1",
        dim: 16,
        clouds: Clouds::Cubes,
        random_weights: true,
        sizes: &[10_000, 20_000],
    },
    Series {
        key: "cytometry2",
        title: "cytometry, 2 channels",
        about: "cells of two wells (bacteria of one strain, a mixture), arcsinh(x/150), equal weights",
        dim: 2,
        clouds: Clouds::Cytometry,
        random_weights: false,
        sizes: &[1000, 2000, 5000, 10_000],
    },
    Series {
        key: "cytometry3",
        title: "cytometry, 3 channels",
        about: "cells of two wells (bacteria of one strain, a mixture), arcsinh(x/150), equal weights",
        dim: 3,
        clouds: Clouds::Cytometry,
        random_weights: false,
        sizes: &[1000, 2000, 5000, 10_000],
    },
    Series {
        key: "cytometry4",
        title: "cytometry, 4 channels",
        about: "cells of two wells (bacteria of one strain, a mixture), arcsinh(x/150), equal weights",
        dim: 4,
        clouds: Clouds::Cytometry,
        random_weights: false,
        sizes: &[1000, 2000, 5000, 10_000],
    },
    Series {
        key: "colours",
        title: "colours of photographs",
        about: "distinct colours of coffee and of a cat, weighted by pixels; in the last problem all of them",
        dim: 3,
        clouds: Clouds::Colours,
        random_weights: false,
        sizes: &[5000, 10_000, 20_000, 49_787],
    },
];

/// Uniform points in the unit cube of dimension `dim`, n×dim.
#[must_use]
pub fn uniform_points(n: usize, dim: usize, seed: u64) -> Array2<f64> {
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    Array2::from_shape_fn((n, dim), |_| rng.random())
}

impl Series {
    /// Whether it comes from fixtures.
    pub(super) fn is_real(&self) -> bool {
        matches!(self.clouds, Clouds::Cytometry | Clouds::Colours)
    }

    pub(super) fn case(&self, root: &Path, n: usize) -> Result<Case, Error> {
        let [(x, a), (y, b)] = match self.clouds {
            Clouds::Cytometry => self.cells(root, n)?,
            Clouds::Colours => self.colours(root, n)?,
            _ => {
                let (x, y) = self.points(n);
                [(x, self.weights(n, 3)?), (y, self.weights(n, 4)?)]
            }
        };
        let picture = (n == self.sizes[0])
            .then(|| picture::of_points(&x, &y, a.weights(), b.weights()))
            .filter(|p| matches!(p, Picture::Points { .. }));
        let cost = PointCost::from_arrays(x.view(), y.view(), Ground::SqEuclidean)?;
        let what = if self.is_real() { "" } else { "random " };
        let (n, m) = (x.nrows(), y.nrows());
        Ok(Case {
            problem: Problem::new(a, b, Arc::new(cost))?,
            about: ProblemReport {
                name: format!("{SCALE}-{}-{n}", self.key),
                title: format!("{n} {what}points, {}", self.title),
                description: self.about.to_owned(),
                group: SCALE.to_owned(),
                n,
                m,
                metric: "sqeuclidean".to_owned(),
                licence: self.licence().map(str::to_owned),
                reference: None,
                series: Some(self.title.to_owned()),
                rows: Vec::new(),
                sweep: Vec::new(),
                picture,
            },
            fixture: None,
        })
    }

    /// Of the origins beside the fixtures.
    fn licence(&self) -> Option<&'static str> {
        match self.clouds {
            Clouds::Cytometry => Some("MIT"),
            Clouds::Colours => Some("CC0-1.0"),
            _ => None,
        }
    }

    fn cells(&self, root: &Path, n: usize) -> Result<[(Array2<f64>, Measure); 2], Error> {
        let side = |name: &str| -> Result<_, Error> {
            let file = root.join(format!("fixtures/cytometry/{name}.whole.npy"));
            let events = ot_data::read(file)?.into_matrix()?;
            let n = n.min(events.nrows());
            let first = Array2::from_shape_fn((n, self.dim), |at| events[at]);
            Ok((first, Measure::uniform(n)?))
        };
        Ok([side("cfp")?, side("mixed")?])
    }

    fn colours(&self, root: &Path, n: usize) -> Result<[(Array2<f64>, Measure); 2], Error> {
        let whole = Some(&n) == self.sizes.last();
        let side = |name: &str| -> Result<_, Error> {
            let palette = Palette::every(&photo(root, name)?)?;
            let (colours, weights) = (palette.colours(), palette.weights().weights());
            let mut chosen: Vec<usize> = (0..weights.len()).collect();
            if !whole {
                chosen.shuffle(&mut Pcg64Mcg::seed_from_u64(6));
                chosen.truncate(n);
            }
            let points = Array2::from_shape_fn((chosen.len(), self.dim), |(i, k)| {
                colours[chosen[i] * self.dim + k]
            });
            let weights: Vec<f64> = chosen.iter().map(|&k| weights[k]).collect();
            Ok((points, Measure::new(weights)?.normalized()))
        };
        Ok([side("coffee")?, side("chelsea")?])
    }

    fn points(&self, n: usize) -> (Array2<f64>, Array2<f64>) {
        let (x, mut y) = (
            uniform_points(n, self.dim, 1),
            uniform_points(n, self.dim, 2),
        );
        let normal = |seed| {
            let mut rng = Pcg64Mcg::seed_from_u64(seed);
            Array2::from_shape_simple_fn((n, self.dim), || rng.sample::<f64, _>(StandardNormal))
        };
        match self.clouds {
            Clouds::Cubes | Clouds::Cytometry | Clouds::Colours => (x, y),
            Clouds::Blobs => {
                let centres = uniform_points(5, self.dim, 5);
                let spread = normal(2);
                y.indexed_iter_mut().for_each(|((i, k), v)| {
                    *v = centres[(i % 5, k)] + 0.05 * spread[(i, k)];
                });
                (x, y)
            }
            Clouds::Gaussians => (normal(1), normal(2) + 3.0),
        }
    }

    fn weights(&self, n: usize, seed: u64) -> Result<Measure, Error> {
        if !self.random_weights {
            return Ok(Measure::uniform(n)?);
        }
        let mut rng = Pcg64Mcg::seed_from_u64(seed);
        let raw: Vec<f64> = (0..n).map(|_| 0.1 + rng.random::<f64>()).collect();
        let sum: f64 = raw.iter().sum();
        let weights: Vec<f64> = raw.into_iter().map(|w| w / sum).collect();
        Ok(Measure::new(weights)?)
    }
}
