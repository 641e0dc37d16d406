//! The iteration over all points.

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
/// The coarse problem says too little of this ε where so many passes leave the error above this one.
const PATIENCE: u64 = 4;
pub(super) const POOR: f64 = 0.5;
/// And does not fall by this factor any more.
const FALLING: f64 = 0.8;
/// Passes that an ε on the way may take, and the one asked for while its error is above the second number.
const LONG: u64 = 6;
const STILL_POOR: f64 = 0.05;
/// An ε on the way is left at this error: Newton steps on a list see to the rest.
const ROUGH: f64 = 0.2;

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
    /// Whether every pass gives a bracket: two fifths more time for those in f32.
    pub brackets: bool,
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
    /// At the end of a pass, where [`Settings::brackets`] asks for it: [`Lazily::bracket`] of its potentials.
    pub bracket: Option<(f64, f64)>,
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

pub(super) struct Run<'a, 'w> {
    pub(super) posed: Posed<'a>,
    pub(super) settings: Settings,
    pub(super) cost: Option<Box<dyn Pairs + 'a>>,
    pub(super) f: Vec<f64>,
    pub(super) g: Vec<f64>,
    pub(super) sums: Sums,
    pub(super) narrow: Passes<f32>,
    pub(super) wide: Passes<f64>,
    pub(super) passes: (u64, u64),
    pub(super) pairs: u64,
    pub(super) error: f64,
    /// The least error of the iteration that stalled last.
    pub(super) least: f64,
    /// Whether the sums are those of a pass in f64.
    pub(super) is_wide: bool,
    pub(super) coarse_steps: u64,
    /// The ε asked for: that of `posed` may be one on the way.
    pub(super) asked: f64,
    pub(super) watch: &'w Watch<'w>,
}

/// Solves `posed`. `start` holds potentials of both sides, in the clouds' orders. O(n + m) memory and
/// 8·`most_clusters`² bytes; where lists are needed, 40 bytes for each of at most 32 pairs a point, or 160 MB.
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
        least: f64::INFINITY,
        is_wide: false,
        coarse_steps: 0,
        asked: posed.eps,
        watch,
    };
    let mut end = run.at(posed.eps, start.is_some(), Until::Tolerance)?;
    let lost = end.is_none() || end == Some(End::Stalled) && run.least > 1e2 * settings.tol;
    if lost && posed.is_balanced() {
        end = run.by_lists()?;
    }
    Ok(run.finished(end.unwrap_or(End::Stalled)))
}

/// Until when the iteration goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// The tolerance, as long as there is hope.
    Tolerance,
    /// The tolerance, or the end of all means.
    End,
    /// Roughly right: an ε on the way.
    Rough,
}

impl<'a> Run<'a, '_> {
    /// Iterates at `eps`, driven by its coarse problem, from the present potentials where these are `warm`. `None` where
    /// that leads nowhere.
    pub(super) fn at(&mut self, eps: f64, warm: bool, until: Until) -> Result<Option<End>, String> {
        self.posed.eps = eps;
        self.error = f64::INFINITY;
        let Settings {
            tol,
            most_clusters,
            threads,
            ..
        } = self.settings;
        let clusters = Clusters::new(self.posed, most_clusters)?;
        let coarse_tol = (1e-2 * tol).clamp(1e-10, 1e-6);
        let begun = self.stage(0.0);
        let watch = self.watch;
        let mut steps = 0;
        let start = warm.then_some(self.g.as_slice());
        let point = clusters.follow(coarse_tol, start, threads, &mut |stage, _| {
            steps = stage.steps;
            watch(&begun)
        });
        self.coarse_steps += steps;
        let coarse =
            point.and_then(|point| Coarse::new(&clusters, point, threads, &|_| watch(&begun)));
        Ok(match coarse {
            Some(mut coarse) => self.iterate(&mut coarse, warm, until),
            None => Some(End::Stopped),
        })
    }
}

impl Run<'_, '_> {
    fn iterate(&mut self, coarse: &mut Coarse<'_, '_>, warm: bool, until: Until) -> Option<End> {
        let (n, m) = (self.f.len(), self.g.len());
        let Settings {
            tol, arithmetic, ..
        } = self.settings;
        let is_rough = until == Until::Rough;
        let always_wide = match arithmetic {
            _ if is_rough => false,
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
        let mut passes = 0;
        let mut wide = always_wide || until == Until::End;
        loop {
            if !self.pass(wide) {
                // Half a pass is none.
                self.sums.prices.clear();
                self.back_to(&best_z, best);
                return Some(End::Stopped);
            }
            let error = self.error;
            let is_done = if until == Until::Rough {
                error <= ROUGH
            } else {
                wide && error <= tol
            };
            if is_done {
                return Some(End::Converged);
            }
            if !(self.watch)(&self.stage(1.0)) {
                return Some(End::Stopped);
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
            passes += 1;
            let may_be_left = until != Until::End && self.posed.is_balanced();
            let least = error.min(best);
            let is_poor = least > POOR && error > FALLING * best;
            let is_slow = is_rough || least > STILL_POOR;
            if may_be_left && (passes >= PATIENCE && is_poor || passes >= LONG && is_slow) {
                return None;
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
                    return Some(End::Stopped);
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
                self.least = best;
                self.back_to(&best_z, best);
                return Some(End::Stalled);
            }
            let step = z.iter().zip(&d).map(|(z, d)| z + d);
            for (to, p) in self.f.iter_mut().chain(&mut self.g).zip(step) {
                *to = p;
            }
            wide = always_wide || !is_rough && self.is_last(error);
        }
    }

    /// Whether the pass after a correction at this error may be the last one: that is made in f64.
    fn is_last(&self, error: f64) -> bool {
        error * FIRST_RATE <= self.settings.tol
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

    pub(super) fn stage(&self, part: f64) -> Stage {
        Stage {
            passes: self.passes.0 + self.passes.1,
            part,
            // That of another ε says nothing.
            error: if self.posed.eps > self.asked {
                f64::INFINITY
            } else {
                self.error
            },
            bracket: if part >= 1.0 && self.settings.brackets {
                self.bracket(self.is_wide)
            } else {
                None
            },
        }
    }

    /// One pass at the present potentials, and their errors.
    fn pass(&mut self, wide: bool) -> bool {
        let stage = self.stage(0.0);
        let watch = self.watch;
        self.pass_told(wide, wide || self.settings.brackets, &|part| {
            watch(&Stage { part, ..stage })
        })
    }

    pub(super) fn pass_told(&mut self, wide: bool, priced: bool, tick: &Tick<'_>) -> bool {
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
}
