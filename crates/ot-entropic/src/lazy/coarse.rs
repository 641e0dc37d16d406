//! The coarse problem: its solution, what it says of all points, and Newton corrections by its Hessian.

use super::cloud::Cloud;
use super::pass::{Between, Pairs, Passes, Sums, Tick};
use super::{Posed, wanted};
use crate::dense::Dense;
use crate::dual::{Dual, Point};
use crate::newton::Store;
use crate::path::{Path, Watch, follow};

/// What a linear solve of the coarse system leaves of its residual.
const RESIDUAL: f64 = 1e-4;
const MOST_PRODUCTS: usize = 300;
/// Logarithms of sums beyond it may have met the ends of the range of exponentials.
const FAR: f64 = 600.0;
/// Times that an extension may move its own guess.
const MOST_GUESSES: usize = 200;
/// The least exponent of an extension: its sums need no more digits than a correction.
const FLOOR: f64 = -30.0;
/// The most that a correction moves a potential, in units of ε.
const LONGEST: f64 = 4.0;

/// Clusters of both clouds, and what their pairs, and pairs of points with clusters, cost.
pub(super) struct Clusters<'a> {
    posed: Posed<'a>,
    size_x: usize,
    size_y: usize,
    x: Cloud,
    y: Cloud,
    /// Between clusters, row-major, in units that keep it within the range of f32.
    cost: Vec<f32>,
    unit: f64,
    points_to_y: Box<dyn Pairs + 'a>,
    x_to_points: Box<dyn Pairs + 'a>,
}

impl<'a> Clusters<'a> {
    /// At most `most` clusters a side. A cloud of no more points is its own clusters.
    pub(super) fn new(posed: Posed<'a>, most: usize) -> Result<Self, String> {
        let size = |n: usize| n.div_ceil(most.max(1)).next_power_of_two();
        let (size_x, size_y) = (size(posed.x.len()), size(posed.y.len()));
        let means = posed.geometry.has_means();
        let (x, y) = (
            posed.x.grouped(size_x, means),
            posed.y.grouped(size_y, means),
        );
        let (n, m) = (x.len(), y.len());
        let mut cost = Vec::with_capacity(n * m);
        let largest = posed.spread.max(posed.least.abs());
        // A power of two, which costs no digits.
        let unit = if largest > 0.0 && largest.is_finite() {
            largest.log2().round().clamp(-1000.0, 1000.0).exp2()
        } else {
            1.0
        };
        {
            let pairs = posed.geometry.pairs(&x, &y)?;
            let mut row = vec![0.0; m];
            for i in 0..n {
                pairs.block(i..i + 1, 0..m, &mut row);
                cost.extend(row.iter().map(|&c| (c / unit) as f32));
            }
        }
        let points_to_y = posed.geometry.pairs(posed.x, &y)?;
        let x_to_points = posed.geometry.pairs(&x, posed.y)?;
        Ok(Self {
            posed,
            size_x,
            size_y,
            x,
            y,
            cost,
            unit,
            points_to_y,
            x_to_points,
        })
    }

    fn dual(&self) -> Dual<'_, f32> {
        Dual {
            cost: &self.cost,
            a: self.x.weights(),
            b: self.y.weights(),
            gamma_a: self.posed.gamma_a / self.unit,
            gamma_b: self.posed.gamma_b / self.unit,
        }
    }

    fn given<'b>(&self, cost: &'b dyn Pairs) -> Option<&'b dyn Pairs> {
        (!self.posed.geometry.is_squared()).then_some(cost)
    }

    fn points_to_y(&self) -> Between<'_> {
        Between {
            x: self.posed.x,
            y: &self.y,
            cost: self.given(&*self.points_to_y),
        }
    }

    fn x_to_points(&self) -> Between<'_> {
        Between {
            x: &self.x,
            y: self.posed.y,
            cost: self.given(&*self.x_to_points),
        }
    }

    /// Follows the path of the coarse problem down to ε. `g` are potentials of all targets to start from. The point
    /// reached, in units of `unit`, or `None` where `watch` stopped it.
    pub(super) fn follow(
        &self,
        tol: f64,
        g: Option<&[f64]>,
        threads: usize,
        watch: &mut Watch<'_>,
    ) -> Option<Point> {
        let path = Path {
            reg: self.posed.eps / self.unit,
            tol,
            spread: self.posed.spread / self.unit,
            threads,
        };
        let start = g.map(|g| {
            let mut g = self.means(g, self.posed.y, self.size_y);
            g.iter_mut().for_each(|g| *g /= self.unit);
            g
        });
        let mut stopped = false;
        let followed = follow(self.dual(), path, start.as_deref(), &mut |stage, point| {
            let goes_on = watch(stage, point);
            stopped |= !goes_on;
            goes_on
        });
        (!stopped).then_some(followed.point)
    }

    /// Weighted means of `values` over clusters.
    fn means(&self, values: &[f64], cloud: &Cloud, size: usize) -> Vec<f64> {
        let parts = values.chunks(size).zip(cloud.weights().chunks(size));
        parts
            .map(|(v, w)| {
                let mass: f64 = w.iter().sum();
                v.iter().zip(w).map(|(v, w)| v * w).sum::<f64>() / mass
            })
            .collect()
    }
}

/// The coarse plan at its solution, and the extension of its potentials to all points.
pub(super) struct Coarse<'c, 'a> {
    clusters: &'c Clusters<'a>,
    store: Dense<'c, f32>,
    /// In units of the clusters' costs, and in those of the caller.
    scaled: Point,
    point: Point,
    /// The extensions of the coarse potentials: the best for g on the coarse targets, and for f on the coarse sources.
    pub(super) f: Vec<f64>,
    pub(super) g: Vec<f64>,
    passes: Passes<f64>,
    sums: Sums,
    rows: Vec<f64>,
    cols: Vec<f64>,
    y: Vec<f64>,
    moved: Vec<f64>,
}

impl<'c, 'a> Coarse<'c, 'a> {
    /// Extends the potentials of `point`. `None` where `tick` stopped it.
    pub(super) fn new(
        clusters: &'c Clusters<'a>,
        mut scaled: Point,
        threads: usize,
        tick: &Tick<'_>,
    ) -> Option<Self> {
        let mut store = Dense::new(clusters.dual(), threads);
        store.most_products = MOST_PRODUCTS;
        store.pass(&mut scaled);
        let mut point = scaled.clone();
        point.eps *= clusters.unit;
        for p in point.f.iter_mut().chain(&mut point.g) {
            *p *= clusters.unit;
        }
        let spread_out = |v: &[f64], size: usize, n: usize| -> Vec<f64> {
            (0..n).map(|i| v[i / size]).collect()
        };
        let (n, m) = (clusters.posed.x.len(), clusters.posed.y.len());
        let mut coarse = Self {
            f: spread_out(&point.f, clusters.size_x, n),
            g: spread_out(&point.g, clusters.size_y, m),
            clusters,
            store,
            passes: Passes::new(clusters.x.dim()),
            sums: Sums::default(),
            rows: vec![0.0; clusters.x.len()],
            cols: vec![0.0; clusters.y.len()],
            y: vec![0.0; clusters.y.len()],
            moved: Vec::new(),
            scaled,
            point,
        };
        coarse.extend(tick).then_some(coarse)
    }

    /// From guesses to the soft c-transforms, which are −(soft) ε log Σ_l b_l exp((g_l − C_il)/ε) and its twin.
    fn extend(&mut self, tick: &Tick<'_>) -> bool {
        let posed = self.clusters.posed;
        let eps = posed.eps;
        let (soft_a, soft_b) = posed.softness();
        for side in [0, 1] {
            for _ in 0..MOST_GUESSES {
                let (between, f, g) = if side == 0 {
                    (self.clusters.points_to_y(), &self.f, &self.point.g)
                } else {
                    (self.clusters.x_to_points(), &self.point.f, &self.g)
                };
                let sums = &mut self.sums;
                // Guesses may be far off: nothing is left out.
                if !self
                    .passes
                    .run(between, (f, g), eps, f64::NEG_INFINITY, false, sums, tick)
                {
                    return false;
                }
                let (mine, ratios, soft) = if side == 0 {
                    (&mut self.f, &self.sums.rows, soft_a)
                } else {
                    (&mut self.g, &self.sums.cols, soft_b)
                };
                let mut farthest = 0.0_f64;
                for ratio in ratios {
                    farthest = farthest.max(ratio.ln().abs());
                }
                let is_near = farthest < FAR;
                for (p, ratio) in mine.iter_mut().zip(ratios) {
                    let hard = *p - eps * ratio.ln();
                    *p = if is_near { soft * hard } else { hard };
                }
                if is_near || farthest.is_nan() {
                    break;
                }
            }
        }
        true
    }

    /// The Newton correction of all potentials, in units of ε, for a plan whose marginals over the weights are `rows`
    /// and `cols`. Returns `false` where `tick` stopped it.
    pub(super) fn correct(
        &mut self,
        (f, g): (&[f64], &[f64]),
        (rows, cols): (&[f64], &[f64]),
        (df, dg): (&mut Vec<f64>, &mut Vec<f64>),
        tick: &Tick<'_>,
    ) -> bool {
        let Clusters {
            posed,
            size_x,
            size_y,
            ..
        } = *self.clusters;
        let eps = posed.eps;
        let (soft_a, soft_b) = posed.softness();
        missing(
            (rows, f, posed.gamma_a),
            posed.x.weights(),
            size_x,
            &mut self.rows,
        );
        missing(
            (cols, g, posed.gamma_b),
            posed.y.weights(),
            size_y,
            &mut self.cols,
        );
        self.store.solve(
            &self.scaled,
            Some(&self.rows),
            &self.cols,
            &mut self.y,
            RESIDUAL,
        );
        let longest = self.y.iter().fold(0.0_f64, |t, y| t.max(y.abs()));
        // A solve that found nothing leaves what the points say themselves.
        if !longest.is_finite() {
            self.y.fill(0.0);
        }
        self.moved.clear();
        let moves = self.point.g.iter().zip(&self.y);
        self.moved
            .extend(moves.map(|(g, y)| g + eps * y.clamp(-LONGEST, LONGEST)));
        let between = self.clusters.points_to_y();
        let at = (self.f.as_slice(), self.moved.as_slice());
        if !self
            .passes
            .run(between, at, eps, FLOOR, false, &mut self.sums, tick)
        {
            return false;
        }
        local((rows, f, posed.gamma_a), soft_a, df);
        far(&self.f, &self.sums.rows, eps, soft_a, df);
        // What sources have moved by, as their clusters see it.
        let mean = self.clusters.means(df, posed.x, size_x);
        self.moved.clear();
        let moves = self.point.f.iter().zip(&mean);
        self.moved
            .extend(moves.map(|(f, d)| f + eps * d.clamp(-LONGEST, LONGEST)));
        let between = self.clusters.x_to_points();
        let at = (self.moved.as_slice(), self.g.as_slice());
        if !self
            .passes
            .run(between, at, eps, FLOOR, false, &mut self.sums, tick)
        {
            return false;
        }
        local((cols, g, posed.gamma_b), soft_b, dg);
        far(&self.g, &self.sums.cols, eps, soft_b, dg);
        true
    }
}

/// What clusters miss of the marginals that they should have.
fn missing(
    (ratios, potential, gamma): (&[f64], &[f64], f64),
    weights: &[f64],
    size: usize,
    out: &mut [f64],
) {
    let parts = ratios
        .chunks(size)
        .zip(potential.chunks(size))
        .zip(weights.chunks(size));
    for (out, ((ratios, potential), weights)) in out.iter_mut().zip(parts) {
        let terms = ratios.iter().zip(potential).zip(weights);
        *out = terms.map(|((r, p), w)| w * (wanted(*p, gamma) - r)).sum();
    }
}

/// The part of a step that a point's own marginal asks for: what would make it right alone.
fn local((ratios, potential, gamma): (&[f64], &[f64], f64), soft: f64, out: &mut Vec<f64>) {
    out.clear();
    out.extend(ratios.iter().zip(potential).map(|(r, p)| {
        let log_wanted = -p / gamma;
        // Nothing at all, in the numbers at hand, is still not infinitely far away.
        soft * (log_wanted - r.max(1e-30).ln())
    }));
}

/// The part that the moves of partners ask for: how the extension from the clusters changes.
fn far(base: &[f64], ratios: &[f64], eps: f64, soft: f64, out: &mut [f64]) {
    for ((out, base), ratio) in out.iter_mut().zip(base).zip(ratios) {
        // The sum at the base is e^{base/ε·(1 − 1/soft)}: 1 for a hard marginal.
        let before = base / eps * (1.0 - 1.0 / soft);
        let change = soft * (ratio.max(1e-30).ln() - before);
        *out -= change.clamp(-LONGEST, LONGEST);
    }
}
