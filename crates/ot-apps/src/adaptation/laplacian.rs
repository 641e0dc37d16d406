//! The Laplacian regularizer: similar samples stay side by side on their way.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use solver_api::{Cost, DenseCost, Ground, PointCost};

use super::Domain;
use super::conditional::Penalty;
use crate::Error;

/// What is to vary little between similar samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Smooth {
    /// Where samples arrive, x̂_i = Σ_j γ_ij y_j / a_i.
    #[default]
    Positions,
    /// How they are moved, x̂_i − x_i.
    Displacements,
}

/// The similarity graph of a domain.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Similarity {
    /// 1 between a sample and each of its k nearest others, ½ where only one is among the other's.
    Neighbours(usize),
    /// exp(−‖x − x′‖²/2σ²) between all: O(n²) numbers.
    Gaussian(f64),
}

/// What can be set of the Laplacian regularizer
/// η (½ α Σ_ik a_i a_k S_ik ‖x̂_i − x̂_k‖² + ½ (1 − α) Σ_jl b_j b_l S_jl ‖ŷ_j − ŷ_l‖²).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LaplacianSettings {
    /// η, at least 0. Default: 1. What it weighs has the unit of the points squared, beside the cost in the unit of its own:
    /// with points in units of about their largest distance, the default suits.
    pub weight: f64,
    /// α, the share of the source, from 0 to 1. Default: 1, the source alone.
    pub source_share: f64,
    /// Default: positions.
    pub smooth: Smooth,
    /// Default: three neighbours.
    pub similarity: Similarity,
}

impl Default for LaplacianSettings {
    fn default() -> Self {
        Self {
            weight: 1.0,
            source_share: 1.0,
            smooth: Smooth::Positions,
            similarity: Similarity::Neighbours(3),
        }
    }
}

impl LaplacianSettings {
    pub(super) fn check(&self) -> Result<(), Error> {
        if !(self.weight >= 0.0 && self.weight.is_finite()) {
            let rule = "must be finite and not negative";
            return Err(Error::setting("laplacian weight", self.weight, rule));
        }
        if !(0.0..=1.0).contains(&self.source_share) {
            let rule = "must be from 0 to 1";
            return Err(Error::setting("source_share", self.source_share, rule));
        }
        match self.similarity {
            Similarity::Neighbours(0) => Err(Error::setting("neighbours", 0, "must be at least 1")),
            Similarity::Gaussian(width) if !(width > 0.0 && width.is_finite()) => {
                Err(Error::setting("width", width, "must be positive"))
            }
            _ => Ok(()),
        }
    }
}

/// One side's graph: edges (i, k, w_ik) with w = weights × similarity, each pair once.
struct Graph {
    edges: Vec<(usize, usize, f64)>,
}

impl Graph {
    fn new(domain: &Domain, similarity: Similarity) -> Result<Self, Error> {
        let n = domain.len();
        let weights = domain.weights().weights();
        let points = domain.shared_points();
        let points = PointCost::new(points.clone(), points, domain.dim(), Ground::SqEuclidean)?;
        let dense = DenseCost::materialize(&points)?;
        let mut similar = vec![0.0; n * n];
        let mut row = vec![0.0; n];
        for i in 0..n {
            dense.row(i, &mut row);
            match similarity {
                Similarity::Neighbours(k) => {
                    let mut order: Vec<usize> = (0..n).filter(|&k| k != i).collect();
                    let k = k.min(order.len());
                    if k > 0 {
                        order.select_nth_unstable_by(k - 1, |&p, &q| {
                            row[p].total_cmp(&row[q]).then(p.cmp(&q))
                        });
                    }
                    for &other in &order[..k] {
                        similar[i * n + other] += 0.5;
                        similar[other * n + i] += 0.5;
                    }
                }
                Similarity::Gaussian(width) => {
                    for (k, d) in row.iter().enumerate() {
                        similar[i * n + k] = (-0.5 * d / (width * width)).exp();
                    }
                }
            }
        }
        let mut edges = Vec::new();
        for i in 0..n {
            for k in i + 1..n {
                let w = weights[i] * weights[k] * similar[i * n + k];
                if w > 0.0 {
                    edges.push((i, k, w));
                }
            }
        }
        Ok(Self { edges })
    }

    /// L z for z of rows of `dim`, with L the Laplacian: (L z)_i = Σ_k w_ik (z_i − z_k).
    fn apply(&self, z: &[f64], dim: usize) -> Vec<f64> {
        let mut out = vec![0.0; z.len()];
        for &(i, k, w) in &self.edges {
            for t in 0..dim {
                let d = w * (z[i * dim + t] - z[k * dim + t]);
                out[i * dim + t] += d;
                out[k * dim + t] -= d;
            }
        }
        out
    }

    /// zᵀ L z, a sum of squares.
    fn energy(&self, z: &[f64], dim: usize) -> f64 {
        let of = |&(i, k, w): &(usize, usize, f64)| {
            let squares = (0..dim).map(|t| (z[i * dim + t] - z[k * dim + t]).powi(2));
            w * squares.sum::<f64>()
        };
        self.edges.iter().map(of).sum()
    }
}

/// The penalty between two domains. Values and gradients take O(n·m·dim).
pub(super) struct Laplacian {
    settings: LaplacianSettings,
    source: Domain,
    target: Domain,
    of_source: Option<Graph>,
    of_target: Option<Graph>,
}

impl Laplacian {
    pub(super) fn new(
        settings: LaplacianSettings,
        source: &Domain,
        target: &Domain,
    ) -> Result<Self, Error> {
        let share = settings.source_share;
        let graph = |domain: &Domain, share: f64| {
            let graph = (share > 0.0).then(|| Graph::new(domain, settings.similarity));
            graph.transpose()
        };
        Ok(Self {
            of_source: graph(source, share)?,
            of_target: graph(target, 1.0 - share)?,
            settings,
            source: source.clone(),
            target: target.clone(),
        })
    }

    /// Where samples arrive (or how they are moved), n×dim.
    fn sent(&self, plan: &[f64]) -> Vec<f64> {
        let (n, m, dim) = self.shape();
        let mut z = vec![0.0; n * dim];
        let plan = MatRef::from_row_major_slice(plan, n, m);
        product(plan, self.target.points(), &mut z, dim);
        self.settle(&mut z, &self.source);
        z
    }

    /// The same of the targets.
    fn received(&self, plan: &[f64]) -> Vec<f64> {
        let (n, m, dim) = self.shape();
        let mut z = vec![0.0; m * dim];
        let plan = MatRef::from_row_major_slice(plan, n, m).transpose();
        product(plan, self.source.points(), &mut z, dim);
        self.settle(&mut z, &self.target);
        z
    }

    fn settle(&self, z: &mut [f64], domain: &Domain) {
        let dim = domain.dim();
        let rows = z.chunks_exact_mut(dim).zip(domain.weights().weights());
        for ((z, w), x) in rows.zip(domain.points().chunks_exact(dim)) {
            // A sample without weight goes nowhere.
            let inverse = if *w > 0.0 { 1.0 / w } else { 0.0 };
            z.iter_mut().for_each(|z| *z *= inverse);
            if self.settings.smooth == Smooth::Displacements {
                z.iter_mut().zip(x).for_each(|(z, x)| *z -= x);
            }
        }
    }

    fn shape(&self) -> (usize, usize, usize) {
        (self.source.len(), self.target.len(), self.source.dim())
    }

    /// 2·share·η·diag(1/w) L z.
    fn pulled(&self, graph: &Graph, z: &[f64], domain: &Domain, share: f64) -> Vec<f64> {
        let dim = domain.dim();
        let mut pulled = graph.apply(z, dim);
        for (row, w) in pulled.chunks_exact_mut(dim).zip(domain.weights().weights()) {
            let factor = if *w > 0.0 {
                2.0 * share * self.settings.weight / w
            } else {
                0.0
            };
            row.iter_mut().for_each(|v| *v *= factor);
        }
        pulled
    }
}

impl Penalty for Laplacian {
    fn value(&self, plan: &[f64]) -> f64 {
        let share = self.settings.source_share;
        let dim = self.source.dim();
        let of_source = self.of_source.as_ref();
        let of_source = of_source.map_or(0.0, |graph| share * graph.energy(&self.sent(plan), dim));
        let of_target = self.of_target.as_ref();
        let of_target = of_target.map_or(0.0, |graph| {
            (1.0 - share) * graph.energy(&self.received(plan), dim)
        });
        self.settings.weight * (of_source + of_target)
    }

    fn gradient(&self, plan: &[f64], out: &mut [f64]) {
        let (n, m, dim) = self.shape();
        let share = self.settings.source_share;
        out.fill(0.0);
        let mut out = MatMut::from_row_major_slice_mut(out, n, m);
        let (x, y) = (self.source.points(), self.target.points());
        let mut add = |left: &[f64], right: &[f64]| {
            let left = MatRef::from_row_major_slice(left, n, dim);
            let right = MatRef::from_row_major_slice(right, m, dim).transpose();
            matmul(out.as_mut(), Accum::Add, left, right, 1.0, Par::Seq);
        };
        if let Some(graph) = &self.of_source {
            add(
                &self.pulled(graph, &self.sent(plan), &self.source, share),
                y,
            );
        }
        if let Some(graph) = &self.of_target {
            let pulled = self.pulled(graph, &self.received(plan), &self.target, 1.0 - share);
            add(x, &pulled);
        }
    }
}

/// out = p·y, for y of rows of `dim`.
fn product(p: MatRef<'_, f64>, y: &[f64], out: &mut [f64], dim: usize) {
    let y = MatRef::from_row_major_slice(y, p.ncols(), dim);
    let out = MatMut::from_row_major_slice_mut(out, p.nrows(), dim);
    matmul(out, Accum::Replace, p, y, 1.0, Par::Seq);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_by_differences() {
        let x: Vec<f64> = (0..10).map(|k| (1.3 * f64::from(k)).sin()).collect();
        let y: Vec<f64> = (0..8).map(|k| (2.1 * f64::from(k)).cos()).collect();
        let source = Domain::new("source", x, 2).expect("points");
        let source = source
            .weighted(&[0.1, 0.3, 0.2, 0.15, 0.25])
            .expect("weights");
        let target = Domain::new("target", y, 2).expect("points");
        let plan: Vec<f64> = (0..20)
            .map(|k| 0.05 + 0.01 * (f64::from(k) * 0.7).sin())
            .collect();
        for similarity in [Similarity::Neighbours(2), Similarity::Gaussian(0.8)] {
            for smooth in [Smooth::Positions, Smooth::Displacements] {
                for source_share in [1.0, 0.0, 0.3] {
                    let settings = LaplacianSettings {
                        weight: 1.7,
                        source_share,
                        smooth,
                        similarity,
                    };
                    let penalty = Laplacian::new(settings, &source, &target).expect("graphs");
                    super::super::conditional::tests::check_gradient(&penalty, &plan);
                }
            }
        }
    }

    #[test]
    fn a_translation_moves_all_alike() {
        // Displacements of a translation are equal: no energy; positions differ as the samples do.
        let x = [0.0, 1.0, 3.0];
        let source = Domain::new("source", x, 1).expect("points");
        let target = Domain::new("target", x.map(|v| v + 5.0), 1).expect("points");
        let mut identity = [0.0; 9];
        [0, 4, 8].iter().for_each(|&k| identity[k] = 1.0 / 3.0);
        let energy = |smooth| {
            let settings = LaplacianSettings {
                smooth,
                similarity: Similarity::Neighbours(1),
                ..LaplacianSettings::default()
            };
            let penalty = Laplacian::new(settings, &source, &target).expect("graphs");
            penalty.value(&identity)
        };
        assert!(energy(Smooth::Displacements).abs() < 1e-15);
        // 0 and 1 are each other's nearest (1), 3 has 1 (½): (1 + ½·4)/9.
        assert!((energy(Smooth::Positions) - 3.0 / 9.0).abs() < 1e-15);
    }
}
