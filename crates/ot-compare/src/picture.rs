//! What the data of a problem look like: small drawings' worth of numbers, made from the inputs.

use ndarray::Array2;
use ot_data::fixtures::{Fixture, FixtureCost};

/// More points than this in a scatter say no more and only make the page heavy.
const MOST_POINTS: usize = 350;
/// Words listed for a document.
const MOST_WORDS: usize = 12;

/// An image that an application starts from or makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pixels {
    /// Across.
    pub width: usize,
    /// 1 for grey, 3 for red, green and blue.
    pub channels: usize,
    /// Levels, row by row, channels together.
    pub values: Vec<u8>,
}

/// A drawing of a problem's data.
#[derive(Debug, Clone)]
pub enum Picture {
    /// Two images of the same shape; brightness is mass, 0 to 255.
    Images {
        /// Pixels across.
        width: usize,
        /// Source pixels, row by row.
        source: Vec<u8>,
        /// Target pixels, row by row.
        target: Vec<u8>,
    },
    /// Two clouds in the plane.
    Points {
        /// (x, y, weight over the mean weight).
        source: Vec<[f64; 3]>,
        /// The same of the target.
        target: Vec<[f64; 3]>,
        /// What the axes are.
        axes: String,
    },
    /// Two weighted samples on a line.
    Line {
        /// (position, share of mass).
        source: Vec<[f64; 2]>,
        /// The same of the target.
        target: Vec<[f64; 2]>,
    },
    /// Two palettes.
    Swatches {
        /// (red, green, blue from 0 to 1; share of mass), heaviest first.
        source: Vec<([f64; 3], f64)>,
        /// The same of the target.
        target: Vec<([f64; 3], f64)>,
    },
    /// Two documents.
    Words {
        /// (word, share of mass), heaviest first.
        source: Vec<(String, f64)>,
        /// The same of the target.
        target: Vec<(String, f64)>,
    },
    /// A cost matrix, 0 to 255.
    Matrix {
        /// Columns.
        width: usize,
        /// Entries, row by row.
        cells: Vec<u8>,
    },
}

/// The plan of a small problem by an exact and an entropic solver.
#[derive(Debug, Clone)]
pub struct PlanPair {
    /// The problem's title.
    pub title: String,
    /// The plans, exact first.
    pub plans: Vec<DrawnPlan>,
    /// Colours of sources and targets, where the data are colours: groups of about the same lightness.
    pub colours: Option<[Vec<[f64; 3]>; 2]>,
    /// Mass of sources and targets.
    pub marginals: [Vec<f64>; 2],
}

/// One plan, in the order in which it is drawn.
#[derive(Debug, Clone)]
pub struct DrawnPlan {
    /// Backend and setting.
    pub label: String,
    /// Cells of the plan that carry a thousandth or more of what the fullest one does.
    pub cells: usize,
    /// (row, column, share of mass) of what is drawn.
    pub entries: Vec<(usize, usize, f64)>,
}

/// A picture of a fixture's data. `labels` are words of source and target, where its points are words.
#[must_use]
pub fn of_fixture(fixture: &Fixture, labels: Option<&[Vec<String>; 2]>) -> Picture {
    let (a, b) = (shares(&fixture.a.to_vec()), shares(&fixture.b.to_vec()));
    match &fixture.cost {
        FixtureCost::Grid { shape, .. } => Picture::Images {
            width: shape.last().copied().unwrap_or(1),
            source: brightness(&a),
            target: brightness(&b),
        },
        FixtureCost::Dense(matrix) => Picture::Matrix {
            width: matrix.ncols(),
            cells: brightness(&matrix.iter().copied().collect::<Vec<_>>()),
        },
        FixtureCost::Points { x, y, .. } => match labels {
            Some([source, target]) => Picture::Words {
                source: heaviest(source.clone(), &a, MOST_WORDS),
                target: heaviest(target.clone(), &b, MOST_WORDS),
            },
            None if fixture.entry.kind == "colours" => Picture::Swatches {
                source: heaviest(triples(x), &a, usize::MAX),
                target: heaviest(triples(y), &b, usize::MAX),
            },
            None => of_points(x, y, &a, &b),
        },
    }
}

/// A picture of two clouds with weights: on a line, in the plane, or on their first two principal axes.
#[must_use]
pub fn of_points(x: &Array2<f64>, y: &Array2<f64>, a: &[f64], b: &[f64]) -> Picture {
    if x.ncols() == 1 {
        let line = |p: &Array2<f64>, w: &[f64]| p.iter().zip(w).map(|(&p, &w)| [p, w]).collect();
        return Picture::Line {
            source: line(x, a),
            target: line(y, b),
        };
    }
    let plane = x.ncols() == 2;
    let axes = if plane {
        vec![vec![1.0, 0.0], vec![0.0, 1.0]]
    } else {
        principal_axes(x, y)
    };
    let place = |p: &Array2<f64>, w: &[f64]| {
        let mean = w.iter().sum::<f64>() / w.len() as f64;
        let step = p.nrows().div_ceil(MOST_POINTS);
        let along = |i: usize, k: usize| p.row(i).iter().zip(&axes[k]).map(|(p, e)| p * e).sum();
        (0..p.nrows())
            .step_by(step)
            .map(|i| [along(i, 0), along(i, 1), w[i] / mean])
            .collect()
    };
    Picture::Points {
        source: place(x, a),
        target: place(y, b),
        axes: if plane {
            String::new()
        } else {
            format!("first two principal axes of {}", x.ncols())
        },
    }
}

/// Weights over their sum.
pub(crate) fn shares(weights: &[f64]) -> Vec<f64> {
    let total: f64 = weights.iter().sum();
    weights.iter().map(|w| w / total).collect()
}

/// The rows of a matrix of colours.
pub(crate) fn triples(points: &Array2<f64>) -> Vec<[f64; 3]> {
    let row = |r: ndarray::ArrayView1<'_, f64>| [r[0], r[1 % r.len()], r[2 % r.len()]];
    points.rows().into_iter().map(row).collect()
}

fn heaviest<T>(items: Vec<T>, weights: &[f64], most: usize) -> Vec<(T, f64)> {
    let mut paired: Vec<(T, f64)> = items.into_iter().zip(weights.iter().copied()).collect();
    paired.sort_by(|x, y| y.1.total_cmp(&x.1));
    paired.truncate(most);
    paired
}

/// Scaled so that the largest is white. The square root keeps faint mass visible.
fn brightness(values: &[f64]) -> Vec<u8> {
    let largest = values.iter().copied().fold(0.0, f64::max);
    let scale = if largest > 0.0 { 1.0 / largest } else { 0.0 };
    values
        .iter()
        .map(|v| (255.0 * (v * scale).max(0.0).sqrt()).round() as u8)
        .collect()
}

/// The two directions of largest variance of both clouds together, by power iteration.
fn principal_axes(x: &Array2<f64>, y: &Array2<f64>) -> Vec<Vec<f64>> {
    let dim = x.ncols();
    let rows = || x.rows().into_iter().chain(y.rows());
    let count = (x.nrows() + y.nrows()) as f64;
    let mut mean = vec![0.0; dim];
    for row in rows() {
        mean.iter_mut().zip(row).for_each(|(m, v)| *m += v / count);
    }
    let mut axes: Vec<Vec<f64>> = Vec::new();
    for k in 0..2 {
        // Any start that is not orthogonal to the axis will do.
        let mut axis: Vec<f64> = (0..dim)
            .map(|d| 1.0 / (1.0 + d as f64 + k as f64))
            .collect();
        for _ in 0..60 {
            let mut next = vec![0.0; dim];
            for row in rows() {
                let along: f64 = row
                    .iter()
                    .zip(&mean)
                    .zip(&axis)
                    .map(|((v, m), e)| (v - m) * e)
                    .sum();
                for ((t, v), m) in next.iter_mut().zip(row).zip(&mean) {
                    *t += along * (v - m);
                }
            }
            for known in &axes {
                let overlap: f64 = next.iter().zip(known).map(|(t, e)| t * e).sum();
                next.iter_mut()
                    .zip(known)
                    .for_each(|(t, e)| *t -= overlap * e);
            }
            let norm = next.iter().map(|t| t * t).sum::<f64>().sqrt();
            if norm == 0.0 {
                break;
            }
            axis = next.into_iter().map(|t| t / norm).collect();
        }
        axes.push(axis);
    }
    axes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_axis_is_that_of_the_largest_spread() {
        let x = Array2::from_shape_fn((40, 3), |(i, k)| {
            let t = i as f64 - 20.0;
            [0.1 * (t * 1.7).sin(), 5.0 * t, t * t * 0.02][k]
        });
        let axes = principal_axes(&x, &x);
        assert!(axes[0][1].abs() > 0.999, "{axes:?}");
        let overlap: f64 = axes[0].iter().zip(&axes[1]).map(|(p, q)| p * q).sum();
        assert!(overlap.abs() < 1e-12);
    }

    #[test]
    fn the_heaviest_come_first() {
        let words = ["a", "b", "c"].map(String::from).to_vec();
        let top = heaviest(words, &[0.2, 0.5, 0.3], 2);
        assert_eq!(top, [("b".into(), 0.5), ("c".into(), 0.3)]);
    }
}
