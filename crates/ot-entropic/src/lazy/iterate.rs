//! The iteration over all points.

use ot_kernels::Elem;

use super::coarse::{Clusters, Coarse};
use super::pass::{Between, Pairs, Passes, Sums, Tick};
use super::{Posed, wanted};
use crate::anderson::Anderson;

/// Single precision is used for tolerances from here on, and refused below.
pub const NARROW_REACHES: f64 = 1e-5;
/// An iterate is taken if its error is at most so many times the least seen.
const WORSE: f64 = 1.5;
/// Passes without a new least error after which the iteration has stalled.
const IDLE: u64 = 30;
/// The shortest part of a step that is tried.
const SHORTEST: f64 = 1e-2;
/// What is expected of the first correction.
const FIRST_RATE: f64 = 0.1;
/// The longest step, in units of ε.
const LONGEST: f64 = 8.0;

/// The number type of the exponentials. Potentials and sums are in f64 throughout, and so is the last pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Arithmetic {
    /// Single precision where the tolerance allows.
    #[default]
    Auto,
    /// Single precision.
    F32,
    /// Double precision.
    F64,
}

/// Settings of [`solve`].
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// The L1 error of either marginal to reach.
    pub tol: f64,
    /// Number type of the exponentials.
    pub arithmetic: Arithmetic,
    /// Clusters of either side: 8·most² bytes.
    pub most_clusters: usize,
    /// Threads of the current pool that passes may use.
    pub threads: usize,
}

/// Where the iteration stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stage {
    /// Whole passes over all pairs.
    pub passes: u64,
    /// The part of the present pass that is done, or 1 at its end.
    pub part: f64,
    /// The L1 error of the last whole pass; +∞ before the first.
    pub error: f64,
}

/// Sees every pass and much in between, from any thread; `false` stops the solve.
pub type Watch<'a> = dyn Fn(&Stage) -> bool + Sync + 'a;

/// How the iteration ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Both errors are within the tolerance.
    Converged,
    /// They do not fall any more.
    Stalled,
    /// The caller said stop.
    Stopped,
}

/// What came out, in the order of the points that the clouds were made of.
#[derive(Debug, Clone)]
pub struct Lazily {
    /// Source potentials.
    pub f: Vec<f64>,
    /// Target potentials.
    pub g: Vec<f64>,
    /// P1.
    pub sent: Vec<f64>,
    /// Pᵀ1.
    pub received: Vec<f64>,
    /// ⟨P, C⟩.
    pub paid: f64,
    /// The larger of the two L1 errors.
    pub error: f64,
    /// How it ended.
    pub end: End,
    /// Passes in f32 and in f64.
    pub passes: (u64, u64),
    /// Exponentials of all of them: those of pairs that count.
    pub pairs: u64,
    /// Newton steps on the coarse problem.
    pub coarse_steps: u64,
    /// A bracket around the optimum without ε at mass 1, for balanced problems of costs that are not negative.
    pub bracket: Option<(f64, f64)>,
}

struct Run<'a, 'w> {
    posed: Posed<'a>,
    settings: Settings,
    cost: Option<Box<dyn Pairs + 'a>>,
    f: Vec<f64>,
    g: Vec<f64>,
    sums: Sums,
    narrow: Passes<f32>,
    wide: Passes<f64>,
    passes: (u64, u64),
    pairs: u64,
    error: f64,
    /// Whether the sums are those of a pass in f64.
    is_wide: bool,
    watch: &'w Watch<'w>,
}

/// Solves `posed`. `start` holds potentials of both sides, in the clouds' orders. O(n + m) memory and
/// 8·`most_clusters`² bytes.
///
/// # Errors
/// Where the cost refuses points of a cluster.
pub fn solve(
    posed: Posed<'_>,
    settings: Settings,
    start: Option<(&[f64], &[f64])>,
    watch: &Watch<'_>,
) -> Result<Lazily, String> {
    let cost = if posed.geometry.is_squared() {
        None
    } else {
        Some(posed.geometry.pairs(posed.x, posed.y)?)
    };
    let (n, m, dim) = (posed.x.len(), posed.y.len(), posed.x.dim());
    let (f, g) = match start {
        Some((f, g)) => (f.to_vec(), g.to_vec()),
        None => (vec![0.0; n], vec![0.0; m]),
    };
    let mut run = Run {
        posed,
        settings,
        cost,
        f,
        g,
        sums: Sums::default(),
        narrow: Passes::new(dim),
        wide: Passes::new(dim),
        passes: (0, 0),
        pairs: 0,
        error: f64::INFINITY,
        is_wide: false,
        watch,
    };
    let clusters = Clusters::new(posed, settings.most_clusters)?;
    let coarse_tol = (1e-2 * settings.tol).clamp(1e-10, 1e-6);
    let mut coarse_steps = 0;
    let begun = Stage {
        passes: 0,
        part: 0.0,
        error: f64::INFINITY,
    };
    let warm = start.map(|(_, g)| g);
    let point = clusters.follow(coarse_tol, warm, settings.threads, &mut |stage, _| {
        coarse_steps = stage.steps;
        watch(&begun)
    });
    let coarse =
        point.and_then(|point| Coarse::new(&clusters, point, settings.threads, &|_| watch(&begun)));
    let end = match coarse {
        Some(mut coarse) => run.iterate(&mut coarse, start.is_some()),
        None => End::Stopped,
    };
    Ok(run.finished(end, coarse_steps))
}

impl Run<'_, '_> {
    fn iterate(&mut self, coarse: &mut Coarse<'_, '_>, warm: bool) -> End {
        let (n, m) = (self.f.len(), self.g.len());
        let Settings {
            tol, arithmetic, ..
        } = self.settings;
        let always_wide = match arithmetic {
            Arithmetic::Auto => tol < 2.0 * NARROW_REACHES,
            Arithmetic::F32 => false,
            Arithmetic::F64 => true,
        };
        if !warm {
            self.f.copy_from_slice(&coarse.f);
            self.g.copy_from_slice(&coarse.g);
        }
        let mut weights = self.posed.x.weights().to_vec();
        weights.extend_from_slice(self.posed.y.weights());
        let mut mixing = Anderson::new(n + m);
        let mut z = vec![0.0; n + m];
        let (mut best_z, mut best_d) = (vec![0.0; n + m], vec![0.0; n + m]);
        let mut d = vec![0.0; n + m];
        let (mut df, mut dg) = (Vec::with_capacity(n), Vec::with_capacity(m));
        let (mut best, mut idle, mut length) = (f64::INFINITY, 0, 1.0);
        let mut wide = always_wide;
        loop {
            if !self.pass(wide) {
                // Half a pass is none.
                self.sums.prices.clear();
                self.back_to(&best_z, best);
                return End::Stopped;
            }
            let error = self.error;
            if wide && error <= tol {
                return End::Converged;
            }
            if !(self.watch)(&self.stage(1.0)) {
                return End::Stopped;
            }
            if warm && best.is_infinite() && (error > 0.5 || error.is_nan()) && self.f != coarse.f {
                // Potentials of another problem: the coarse solution is the better start.
                self.f.copy_from_slice(&coarse.f);
                self.g.copy_from_slice(&coarse.g);
                continue;
            }
            if error < 0.9 * best {
                idle = 0;
            } else {
                idle += 1;
            }
            let eps = self.posed.eps;
            // NaN is not better either.
            if error <= WORSE * best {
                let tick = |part: f64| {
                    let _ = part;
                    (self.watch)(&self.stage(1.0))
                };
                let at = (self.f.as_slice(), self.g.as_slice());
                let marginals = (self.sums.rows.as_slice(), self.sums.cols.as_slice());
                if !coarse.correct(at, marginals, (&mut df, &mut dg), &tick) {
                    return End::Stopped;
                }
                z[..n].copy_from_slice(&self.f);
                z[n..].copy_from_slice(&self.g);
                for (d, y) in d.iter_mut().zip(df.iter().chain(&dg)) {
                    *d = eps * y;
                }
                if error < best {
                    best = error;
                    best_z.copy_from_slice(&z);
                    best_d.copy_from_slice(&d);
                    length = 1.0;
                }
                d.iter_mut().zip(&z).for_each(|(d, z)| *d += z);
                mixing.mix(&z, &mut d, &weights);
                for (d, z) in d.iter_mut().zip(&z) {
                    *d = (*d - z).clamp(-LONGEST * eps, LONGEST * eps);
                }
            } else {
                mixing.clear();
                length *= 0.5;
                z.copy_from_slice(&best_z);
                for (d, b) in d.iter_mut().zip(&best_d) {
                    *d = length * b;
                }
            }
            if idle > IDLE || length < SHORTEST || best.is_infinite() {
                self.back_to(&best_z, best);
                return End::Stalled;
            }
            let step = z.iter().zip(&d).map(|(z, d)| z + d);
            for (to, p) in self.f.iter_mut().chain(&mut self.g).zip(step) {
                *to = p;
            }
            wide = always_wide || self.is_last(error);
        }
    }

    /// Whether the pass after a correction at this error may be the last one: that is made in f64.
    fn is_last(&self, error: f64) -> bool {
        error * FIRST_RATE <= 0.5 * self.settings.tol
    }

    fn back_to(&mut self, z: &[f64], error: f64) {
        if error < f64::INFINITY {
            let n = self.f.len();
            self.f.copy_from_slice(&z[..n]);
            self.g.copy_from_slice(&z[n..]);
            // The sums are those of another point.
            self.error = f64::INFINITY;
            self.sums.prices.clear();
        }
    }

    fn stage(&self, part: f64) -> Stage {
        Stage {
            passes: self.passes.0 + self.passes.1,
            part,
            error: self.error,
        }
    }

    /// One pass at the present potentials, and their errors.
    fn pass(&mut self, wide: bool) -> bool {
        let stage = self.stage(0.0);
        let watch = self.watch;
        self.pass_told(wide, wide, &|part| watch(&Stage { part, ..stage }))
    }

    fn pass_told(&mut self, wide: bool, priced: bool, tick: &Tick<'_>) -> bool {
        let Posed { x, y, eps, .. } = self.posed;
        let cost = self.cost.as_deref();
        let between = Between {
            x,
            y,
            cost: cost.map(|cost| cost as &dyn Pairs),
        };
        let at = (self.f.as_slice(), self.g.as_slice());
        self.is_wide = wide;
        let sums = &mut self.sums;
        let whole = if wide {
            let floor = (1e-9 * self.settings.tol).ln().max(-36.0);
            self.wide.run(between, at, eps, floor, priced, sums, tick)
        } else {
            let floor = (1e-4 * self.settings.tol).ln();
            self.narrow.run(between, at, eps, floor, priced, sums, tick)
        };
        if !whole {
            return false;
        }
        *(if wide {
            &mut self.passes.1
        } else {
            &mut self.passes.0
        }) += 1;
        self.pairs += self.sums.pairs;
        self.normalize();
        let off = |ratios: &[f64], p: &[f64], w: &[f64], gamma: f64| -> f64 {
            let terms = ratios.iter().zip(p).zip(w);
            terms
                .map(|((r, p), w)| w * (r - wanted(*p, gamma)).abs())
                .sum()
        };
        let a = off(&self.sums.rows, &self.f, x.weights(), self.posed.gamma_a);
        let b = off(&self.sums.cols, &self.g, y.weights(), self.posed.gamma_b);
        self.error = if a.is_nan() { a } else { a.max(b) };
        true
    }

    /// Balanced potentials are moved by the constant that makes the mass of the plan 1.
    fn normalize(&mut self) {
        if !self.posed.is_balanced() {
            return;
        }
        let terms = self.sums.rows.iter().zip(self.posed.x.weights());
        let mass: f64 = terms.map(|(r, w)| r * w).sum();
        if !(mass > 0.0 && mass.is_finite()) {
            return;
        }
        let log = mass.ln();
        let shift = self.posed.eps * log;
        self.f.iter_mut().for_each(|f| *f -= shift);
        let Sums {
            rows,
            cols,
            prices,
            row_tops,
            col_tops,
            ..
        } = &mut self.sums;
        row_tops.iter_mut().chain(col_tops).for_each(|x| *x -= log);
        rows.iter_mut().chain(cols).for_each(|r| *r /= mass);
        for (p, r) in prices.iter_mut().zip(rows) {
            *p = *p / mass - *r * log;
        }
    }

    /// The answer at the present potentials; a pass is made where it is not known what they pay.
    fn finished(mut self, end: End, coarse_steps: u64) -> Lazily {
        if self.sums.prices.is_empty() {
            self.is_wide = end == End::Stalled;
            self.pass_told(self.is_wide, true, &|_| true);
        }
        let Posed { x, y, eps, .. } = self.posed;
        let masses = |ratios: &[f64], w: &[f64]| -> Vec<f64> {
            ratios.iter().zip(w).map(|(r, w)| r * w).collect()
        };
        let (sent, received) = (
            masses(&self.sums.rows, x.weights()),
            masses(&self.sums.cols, y.weights()),
        );
        let dot = |x: &[f64], y: &[f64]| -> f64 { x.iter().zip(y).map(|(x, y)| x * y).sum() };
        let logs = dot(&self.sums.prices, x.weights());
        let paid = dot(&sent, &self.f) + dot(&received, &self.g) - eps * logs;
        let bracket = self.bracket(self.is_wide, paid);
        Lazily {
            paid,
            f: x.restored(&self.f),
            g: y.restored(&self.g),
            sent: x.restored(&sent),
            received: y.restored(&received),
            error: self.error,
            end,
            passes: self.passes,
            pairs: self.pairs,
            coarse_steps,
            bracket,
        }
    }

    /// Both ends from the last pass. Below: f with what the largest exponent of each column leaves to g, or the other
    /// way round, satisfies f + g ≤ C. Above: the plan P with x_i = min(1, a_i/r_i) and y_j = min(1, b_j/c_j) on both
    /// sides stays within a and b and costs no more than P; what it leaves is at most 1 − Σ x_i r_i + Σ (1 − y_j) c_j,
    /// and no unit of that costs more than the largest cost.
    fn bracket(&self, wide: bool, paid: f64) -> Option<(f64, f64)> {
        let Posed { x, y, eps, .. } = self.posed;
        if !self.posed.is_balanced() || (self.posed.least < 0.0 || self.posed.least.is_nan()) {
            return None;
        }
        let Sums {
            rows,
            cols,
            row_tops,
            col_tops,
            magnitude,
            ..
        } = &self.sums;
        let off = if wide {
            rounding::<f64>(*magnitude)
        } else {
            rounding::<f32>(*magnitude)
        };
        let dot = |x: &[f64], y: &[f64]| -> f64 { x.iter().zip(y).map(|(x, y)| x * y).sum() };
        let (a, b) = (x.weights(), y.weights());
        let dual = dot(&self.f, a) + dot(&self.g, b);
        let given = dot(row_tops, a).min(dot(col_tops, b));
        let lower = dual - eps * (given + off);
        let kept: f64 = rows
            .iter()
            .zip(a)
            .map(|(r, a)| a * (r * (1.0 - off)).min((1.0 - off) / (1.0 + off)))
            .sum();
        let cut: f64 = cols
            .iter()
            .zip(b)
            .map(|(c, b)| b * (c * (1.0 + off) - 1.0).max(0.0))
            .sum();
        let most = self.posed.least + self.posed.spread;
        let upper = paid + off * (paid.abs() + eps) + (1.0 - kept + cut).max(0.0) * most;
        (lower <= upper).then_some((lower, upper))
    }
}

/// What a pass in T may err by, relative to its sums.
#[must_use]
pub fn rounding<T: Elem>(magnitude: f64) -> f64 {
    let unit = if size_of::<T>() == size_of::<f32>() {
        f64::from(f32::EPSILON)
    } else {
        f64::EPSILON
    };
    unit * (4.0 + 0.5 * magnitude)
}
