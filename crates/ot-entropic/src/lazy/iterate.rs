//! The iteration over all points.

use ot_kernels::Elem;

use super::coarse::{Clusters, Coarse};
use super::near::{FEW_AXES, ROOM, Tiled, WAYS};
use super::pass::{Between, Pairs, Passes, Sums, Tick};
use super::{Posed, wanted};
use crate::anderson::Anderson;
use crate::dual::{Dual, Point};
use crate::near::Near;
use crate::near::follow::{self, Stop};
use crate::newton::Preconditioner;

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
const POOR: f64 = 0.5;
/// And does not fall by this factor any more.
const FALLING: f64 = 0.8;
/// Passes that an ε on the way may take, and the one asked for while its error is above the second number.
const LONG: u64 = 6;
const STILL_POOR: f64 = 0.05;
/// An ε on the way is left at this error: Newton steps on a list see to the rest.
const ROUGH: f64 = 0.2;
/// What ε is multiplied by in search of one of which the coarse problem says enough, up to this part of the spread.
const UP: f64 = 2.0;
const WIDEST: f64 = 0.1;
/// What ε is divided by while lists are too long.
const DOWN: f64 = 2.0;

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
    /// The least error of the iteration that stalled last.
    least: f64,
    /// Whether the sums are those of a pass in f64.
    is_wide: bool,
    coarse_steps: u64,
    /// The ε asked for: that of `posed` may be one on the way.
    asked: f64,
    watch: &'w Watch<'w>,
}

/// Solves `posed`. `start` holds potentials of both sides, in the clouds' orders. O(n + m) memory and
/// 8·`most_clusters`² bytes; where lists are needed, 40 bytes for each of at most `ROOM` pairs.
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
enum Until {
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
    fn at(&mut self, eps: f64, warm: bool, until: Until) -> Result<Option<End>, String> {
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

    /// Where ε is so small beside the clusters that their problem says little of the given one, few pairs carry mass: from
    /// an ε at which it says enough, Newton steps on lists of near pairs lead down. `None` never comes out.
    fn by_lists(&mut self) -> Result<Option<End>, String> {
        let eps = self.posed.eps;
        let result = self.down_to(eps);
        self.posed.eps = eps;
        if result? == Some(End::Stopped) {
            // The potentials are those of another ε, and the last pass was.
            self.sums.prices.clear();
            return Ok(Some(End::Stopped));
        }
        self.at(eps, true, Until::End)
    }

    fn down_to(&mut self, eps: f64) -> Result<Option<End>, String> {
        let most = (WIDEST * self.posed.spread).max(eps);
        let mut now = eps;
        loop {
            now = (UP * now).min(most);
            match self.at(now, false, Until::Rough)? {
                Some(End::Converged) => break,
                Some(End::Stopped) => return Ok(Some(End::Stopped)),
                _ if self.error <= POOR => break,
                _ if now >= most => return Ok(None),
                _ => {}
            }
        }
        while now > eps {
            let reached = match self.on_lists(now, eps)? {
                Ok(reached) => reached,
                Err(Stop::Told) => return Ok(Some(End::Stopped)),
                Err(Stop::Lost) => now,
            };
            if reached <= eps {
                break;
            }
            now = (reached / DOWN).max(eps);
            if now > eps && self.at(now, true, Until::Rough)? == Some(End::Stopped) {
                return Ok(Some(End::Stopped));
            }
        }
        Ok(None)
    }

    /// Newton steps on lists from `from` to `to`. The ε that was reached.
    fn on_lists(&mut self, from: f64, to: f64) -> Result<Result<f64, Stop>, String> {
        let Posed { x, y, geometry, .. } = self.posed;
        let made;
        let cost = match &self.cost {
            Some(cost) => &**cost,
            None => {
                made = geometry.pairs(x, y)?;
                &*made
            }
        };
        let pairs = Tiled {
            x,
            y,
            cost,
            is_squared: geometry.is_squared(),
        };
        let dual = Dual {
            cost: &[],
            a: x.weights(),
            b: y.weights(),
            gamma_a: f64::INFINITY,
            gamma_b: f64::INFINITY,
        };
        let mut point = Point::new(x.len(), self.g.clone(), from);
        // The f that belongs to g.
        let parts = self.f.iter().zip(&self.sums.rows);
        point.f = parts.map(|(f, r)| f - from * r.ln()).collect();
        let by = if x.dim() <= FEW_AXES {
            Preconditioner::Factor
        } else {
            Preconditioner::Diagonal
        };
        let stage = self.stage(0.0);
        let watch = self.watch;
        let mut ended = Err(Stop::Lost);
        for reach in WAYS {
            let near = Near::new(dual, &pairs, by, ROOM);
            let mut way = follow::Run::new(near, reach, point.clone());
            ended = way.follow(to, Some(0.5 * self.settings.tol), &mut |_| watch(&stage));
            if ended != Err(Stop::Lost) {
                point = way.point;
                break;
            }
        }
        let is_finite = |p: &[f64]| p.iter().all(|p| p.is_finite());
        Ok(match ended {
            Err(stop) => Err(stop),
            Ok(()) if !(is_finite(&point.f) && is_finite(&point.g)) => Err(Stop::Lost),
            Ok(()) => {
                self.f.clone_from(&point.f);
                self.g.clone_from(&point.g);
                Ok(point.eps)
            }
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

    fn stage(&self, part: f64) -> Stage {
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
    fn finished(mut self, end: End) -> Lazily {
        if self.sums.prices.is_empty() {
            self.is_wide = end == End::Stalled;
            self.pass_told(self.is_wide, true, &|_| true);
        }
        let Posed { x, y, .. } = self.posed;
        let masses = |ratios: &[f64], w: &[f64]| -> Vec<f64> {
            ratios.iter().zip(w).map(|(r, w)| r * w).collect()
        };
        let (sent, received) = (
            masses(&self.sums.rows, x.weights()),
            masses(&self.sums.cols, y.weights()),
        );
        let paid = self.paid();
        let bracket = self.bracket(self.is_wide);
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
            coarse_steps: self.coarse_steps,
            bracket,
        }
    }

    /// ⟨P, C⟩ from the last pass, which was priced.
    fn paid(&self) -> f64 {
        let Posed { x, y, eps, .. } = self.posed;
        let dot = |ratios: &[f64], w: &[f64], p: &[f64]| -> f64 {
            let terms = ratios.iter().zip(w).zip(p);
            terms.map(|((r, w), p)| r * w * p).sum()
        };
        let logs: f64 = (self.sums.prices.iter().zip(x.weights()))
            .map(|(p, w)| p * w)
            .sum();
        dot(&self.sums.rows, x.weights(), &self.f) + dot(&self.sums.cols, y.weights(), &self.g)
            - eps * logs
    }

    /// Both ends from the last pass. Below: f with what the largest exponent of each column leaves to g, or the other
    /// way round, satisfies f + g ≤ C. Above: the plan P with x_i = min(1, a_i/r_i) and y_j = min(1, b_j/c_j) on both
    /// sides stays within a and b and costs no more than P; what it leaves is at most 1 − Σ x_i r_i + Σ (1 − y_j) c_j,
    /// and no unit of that costs more than the largest cost.
    fn bracket(&self, wide: bool) -> Option<(f64, f64)> {
        let Posed { x, y, eps, .. } = self.posed;
        if self.sums.prices.is_empty()
            || !self.posed.is_balanced()
            || (self.posed.least < 0.0 || self.posed.least.is_nan())
        {
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
        let paid = self.paid();
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
