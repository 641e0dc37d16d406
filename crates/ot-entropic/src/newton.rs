//! The Newton system of the semi-dual, and a step along its solution.
//!
//! With r = P1 and c = Pᵀ1 the Hessian of the semi-dual, times −ε, is
//! S = diag(c + (ε/γb) t) − Pᵀ diag(1 / ((1 + ε/γa) r)) P, where t is what c should be: the Schur complement of a
//! Laplacian whose edges are the entries of P. A Newton step solves S y = t − c and moves g by ε·y.

use ot_kernels::pricing::Entry;

use crate::dual::{Dual, Point};
use crate::laplacian::{Bipartite, Cholesky, Keep, Pcg};

/// A plan in memory, dense or a list, with what a path asks of it.
pub trait Store {
    /// From `point.g` and `point.eps`: everything else in `point`, and the entries of the plan.
    fn pass(&mut self, point: &mut Point);

    /// Row and column sums of P log(P / a⊗b), for the plan of the last pass.
    fn entropy(&mut self, point: &Point, rows: &mut [f64], cols: &mut [f64]);

    /// Solves S y = `cols` − Pᵀ(`rows` / ((1 + ε/γa) r)) to the relative residual `tol`; without `rows` they are 0.
    /// Returns the number of products.
    fn solve(
        &mut self,
        point: &Point,
        rows: Option<&[f64]>,
        cols: &[f64],
        y: &mut [f64],
        tol: f64,
    ) -> usize;
}

/// Weight of the spring that ties each target of a balanced problem to the ground, relative to its mass.
pub(crate) const GROUND: f64 = 1e-8;
/// And of any target, whose weights may be too small for their reciprocals.
pub(crate) const LEAST_GROUND: f64 = 1e-100;
/// Edges below this part of their row's mass are left out of the linear system. Below the second one they are left out of
/// the preconditioner of short rows, unless parts hang together by them: the factor is made in a third of the time, for a
/// few products more.
pub(crate) const EDGE: f64 = 1e-10;
const CUT: f64 = 1e-2;
/// Of the edges below the cut the preconditioner keeps so many a vertex, where rows are long.
const DRAWN: f64 = 8.0;
/// Above so many edges a row, a diagonal preconditioner is the cheaper one.
const JACOBI_FROM: usize = 40;
/// Products that a solve may take with either preconditioner.
const MOST_JACOBI: usize = 150;
/// The next graph is preconditioned by its factor if the diagonal took more than so many.
const MANY_JACOBI: usize = 60;
const MOST_CHOLESKY: usize = 300;

/// The preconditioner of a system on a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Preconditioner {
    /// The factorization, however long rows are: long waves over a plane take a diagonal hundreds of products.
    Factor,
    /// The diagonal alone. In many dimensions there are no long waves, and a factor would fill up.
    Diagonal,
}

/// Solves the system on a graph, by the preconditioner that fits.
#[derive(Debug, Default)]
pub struct SparseSystem {
    pub(crate) graph: Bipartite,
    factor: Cholesky,
    pcg: Pcg,
    rhs: Vec<f64>,
    x: Vec<f64>,
    /// Whether the factor belongs to the graph.
    factored: bool,
    /// Whether there is one, of a graph before it at least.
    has_factor: bool,
    pub(crate) jacobi: bool,
    /// Whether it stays so, whatever the residual is.
    diagonal: bool,
    /// Whether the diagonal was not enough for a graph of long rows.
    is_hard: bool,
    seed: u64,
}

impl SparseSystem {
    /// Takes a graph whose edges are in place: adds the ground for `point`.
    pub fn prepare<T>(&mut self, dual: &Dual<'_, T>, point: &Point) {
        let (rows, cols) = (dual.row_softness(point.eps), dual.col_softness(point.eps));
        let least = if dual.is_balanced() { GROUND } else { 0.0 };
        self.graph.finish(
            point.sent.iter().map(|r| rows * r),
            point
                .received
                .iter()
                .zip(&point.wanted)
                .map(|(c, t)| (cols * t + least * c).max(LEAST_GROUND)),
        );
        for (j, c) in point.received.iter().enumerate() {
            self.graph.tie_target(j, *c);
        }
        self.factored = false;
        self.jacobi =
            !self.is_hard && self.graph.edges() > JACOBI_FROM * point.f.len().max(point.g.len());
    }

    /// Takes the factorization as preconditioner, however long rows are.
    pub fn factor_it(&mut self) {
        self.jacobi = false;
    }

    /// Takes this preconditioner until the next graph.
    pub(crate) fn precondition(&mut self, by: Preconditioner) {
        self.diagonal = by == Preconditioner::Diagonal;
        self.jacobi = self.diagonal;
    }

    /// [`Store::solve`].
    pub fn solve(&mut self, rows: Option<&[f64]>, cols: &[f64], y: &mut [f64], tol: f64) -> usize {
        let mut products = 0;
        if self.jacobi {
            self.rhs.clear();
            self.rhs.extend_from_slice(cols);
            if let Some(rows) = rows {
                // The Laplacian's vertices of sources carry −f.
                self.x.clear();
                self.x.extend(rows.iter().map(|h| -h));
                self.graph.reduce(&self.x, &mut self.rhs);
            }
            let solved = (self.pcg).solve_reduced(&self.graph, &self.rhs, y, tol, MOST_JACOBI);
            products += solved.iterations;
            // The graph is harder than its rows are long.
            self.jacobi = self.diagonal || solved.residual <= tol;
            self.is_hard = !self.diagonal && (!self.jacobi || solved.iterations > MANY_JACOBI);
        }
        if !self.jacobi {
            let (n, m) = self.graph.shape();
            // The tangent asks right after a step, which has changed weights by little: the step's factor will do.
            let keep = rows.is_some() && self.has_factor;
            if !self.factored && !keep {
                self.seed += 1;
                let is_long = self.graph.edges() > JACOBI_FROM * n.max(m);
                let keep = Keep {
                    cut: CUT,
                    drawn: if is_long { DRAWN } else { 0.0 },
                };
                self.factor.factor(&self.graph, keep, self.seed);
                self.factored = true;
                self.has_factor = true;
            }
            self.rhs.clear();
            match rows {
                Some(rows) => self.rhs.extend(rows.iter().map(|h| -h)),
                None => self.rhs.resize(n, 0.0),
            }
            self.rhs.extend_from_slice(cols);
            self.x.resize(n + m, 0.0);
            let (rhs, x) = (&self.rhs, &mut self.x);
            let solved = (self.pcg).solve(&self.graph, &self.factor, rhs, x, tol, MOST_CHOLESKY);
            products += solved.iterations;
            y.copy_from_slice(&self.x[n..]);
        }
        products
    }
}

/// The longest step of any potential, in units of ε, to begin with. Where a marginal is relaxed it grows by this factor
/// while whole steps of that length are good ones: γ is the length there, and may be many ε.
const LONGEST: f64 = 4.0;
const LONGER: f64 = 4.0;
/// The same for the shift of all of them together, where a marginal is relaxed.
const LONGEST_SHIFT: f64 = 1e7;
/// Passes that a line search may take.
const TRIES: usize = 12;

/// A step's length for one potential. Where a part of the plan hangs on by next to nothing, what flows there grows as
/// e^{g/ε}, and a Newton step asks for the ratio of what is wanted to what flows: its logarithm would do.
pub(crate) fn shorten(y: f64, most: f64) -> f64 {
    let long = y.abs() / most;
    if long <= 1.0 {
        y
    } else {
        (most + long.ln()).copysign(y)
    }
}

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stepped {
    /// The full Newton step in units of ε, without the shift that all potentials have in common.
    pub full: f64,
    /// Whether potentials were kept from going as far as that.
    pub is_cut: bool,
    /// The part of it that was taken; 0 where none was an ascent.
    pub taken: f64,
    /// Products of the linear solve.
    pub products: usize,
    /// Passes over the plan.
    pub passes: usize,
}

/// Buffers of [`step`], made once.
#[derive(Debug, Clone, Default)]
pub struct Steps {
    /// Whether all potentials g may be shifted together, as where both marginals are hard: steps leave that out.
    is_free: bool,
    /// The longest step at present.
    longest: f64,
    gradient: Vec<f64>,
    y: Vec<f64>,
    before: Vec<f64>,
}

impl Steps {
    /// Buffers for steps on this dual.
    #[must_use]
    pub fn new<T>(dual: &Dual<'_, T>) -> Self {
        Self {
            is_free: dual.is_balanced(),
            longest: LONGEST,
            ..Self::default()
        }
    }
}

/// One Newton step on the semi-dual from `point`, whose plan is that of `store`.
///
/// The semi-dual is concave along the step, so that its slope falls: a length is good where the slope has fallen to
/// less than half, up or down. Slopes are differences of marginals; values of the dual, which a step near the end
/// changes by less than their rounding, are not needed.
pub fn step(store: &mut dyn Store, point: &mut Point, work: &mut Steps, tol: f64) -> Stepped {
    let Steps {
        is_free,
        longest: most,
        gradient,
        y,
        before,
    } = work;
    gradient.clear();
    gradient.extend(point.wanted.iter().zip(&point.received).map(|(t, c)| t - c));
    y.resize(gradient.len(), 0.0);
    let products = store.solve(point, None, gradient, y, tol);
    // A shift of all potentials together hardly changes a plan: what is long about a step is what differs from it.
    let mass: f64 = point.wanted.iter().sum();
    for ((y, c), t) in y.iter_mut().zip(&point.received).zip(&point.wanted) {
        if is_negligible(*c, *t, mass) {
            *y = 0.0;
        }
    }
    let shift = y.iter().zip(&point.wanted).map(|(y, t)| y * t).sum::<f64>() / mass;
    let shift = if *is_free {
        // Rounding over next to nothing; many of them would cost the potentials their digits.
        y.iter_mut().for_each(|y| *y -= shift);
        0.0
    } else {
        shift.clamp(-LONGEST_SHIFT, LONGEST_SHIFT)
    };
    let full = y.iter().fold(0.0_f64, |t, y| t.max((y - shift).abs()));
    let longest = full.max(shift.abs());
    let mut stepped = Stepped {
        full,
        is_cut: false,
        taken: 0.0,
        products,
        passes: 0,
    };
    if !(longest > 0.0 && longest.is_finite()) {
        return stepped;
    }
    let first = point.error();
    let slope = |point: &Point, y: &[f64]| -> f64 {
        let terms = point.wanted.iter().zip(&point.received).zip(y);
        terms.map(|((t, c), y)| (t - c) * y).sum()
    };
    // A part of the graph that hangs on next to nothing would take all others' step along: each goes as far as it may.
    let is_cut = full > *most;
    stepped.is_cut = is_cut;
    if is_cut {
        for y in y.iter_mut() {
            *y = shift + shorten(*y - shift, *most);
        }
    }
    // The longest move at full length, in units of ε.
    let taken_most = y
        .iter()
        .fold(1e-3_f64, |t, y| t.max((*y - shift).abs()))
        .min(200.0);
    // Of the next step, if this one is a whole one.
    let longer = if is_cut && !*is_free {
        *most * LONGER
    } else {
        *most
    };
    *most = LONGEST;
    let start = slope(point, y);
    if start <= 0.0 || start.is_nan() {
        return stepped;
    }
    before.clone_from(&point.g);
    let mut length = 1.0_f64;
    // The slope at the longest length that was too short, and at the shortest that was too long.
    let (mut low, mut high) = ((0.0, start), None::<(f64, f64)>);
    for _ in 0..TRIES {
        for ((g, before), y) in point.g.iter_mut().zip(&*before).zip(&*y) {
            *g = before + point.eps * length * y;
        }
        store.pass(point);
        stepped.passes += 1;
        let (here, error) = (slope(point, y), point.error());
        stepped.taken = length;
        if !(here.is_finite() && error.is_finite()) {
            // Beyond the range of numbers: nothing is known but that it was too long.
            length *= 0.1;
            continue;
        }
        // At the end, slopes are rounding; the error has the word there.
        if here.abs() <= 0.5 * start || error <= 0.5 * first || (here > 0.0 && length >= 1.0) {
            if length >= 1.0 {
                *most = longer;
            }
            return stepped;
        }
        if here > 0.0 {
            if high.is_some() {
                // Longer than asked for helps little; what was gained is kept.
                return stepped;
            }
            low = (length, here);
        } else {
            high = Some((length, here));
        }
        // Where the slope is 0 on the curve of an exponential, as flows grow, but not too close to either end.
        let (from, at_from) = low;
        let (to, at_to) = high.unwrap_or((1.0, 0.0));
        let apart = (to - from) * taken_most;
        let part = (apart.exp_m1() * (at_from / (at_from - at_to))).ln_1p() / apart;
        length = from + (to - from) * part.clamp(0.1, 0.9);
    }
    if point.error() > first || point.error().is_nan() {
        point.g.clone_from(before);
        store.pass(point);
        stepped.passes += 1;
        stepped.taken = 0.0;
    }
    stepped
}

/// Moves the potentials of targets to where their own sum would be right: up to `most` times, while one gets less than a
/// quarter or more than four times of what it should. Where a target gets next to nothing, or much more than it wants,
/// the quadratic model of a Newton step is useless; where it gets nothing in the numbers at hand, its column of the cost says how far
/// it has to go. Targets of no account (`is_negligible`) are set in this way too, once. And where a marginal is relaxed,
/// all potentials are shifted so that both sides have the same mass: for γ ≫ ε that takes many ε, and the linear system
/// has few digits for it.
pub fn settle_far_off<T: Entry>(
    dual: &Dual<'_, T>,
    store: &mut dyn Store,
    point: &mut Point,
    most: usize,
) -> usize {
    let soft = 1.0 / (1.0 + dual.col_softness(point.eps));
    let mut settle = !dual.is_balanced();
    for done in 0..most {
        let mass: f64 = point.wanted.iter().sum();
        let (mut far_off, mut negligible) = (false, false);
        for (&c, &t) in point.received.iter().zip(&point.wanted) {
            if is_negligible(c, t, mass) {
                negligible = true;
            } else {
                far_off |= c < 0.25 * t || c > 4.0 * t;
            }
        }
        let shift = dual.best_shift(point);
        let is_shifted = shift.abs() > LEAST_SHIFT * point.eps;
        if !(far_off || is_shifted || settle && negligible) {
            return done;
        }
        for j in 0..point.g.len() {
            let (t, c) = (point.wanted[j], point.received[j]);
            if is_negligible(c, t, mass) {
                if settle {
                    point.g[j] = soft * column_potential(dual, j, &point.f, point.eps);
                }
            } else if c < NOTHING * t {
                point.g[j] = soft * column_potential(dual, j, &point.f, point.eps);
            } else {
                point.g[j] += point.eps * soft * log_ratio(t, c);
            }
        }
        settle = false;
        if is_shifted {
            point.g.iter_mut().for_each(|g| *g -= shift);
        }
        if far_off || is_shifted {
            store.pass(point);
        } else {
            // Nothing else has moved, and no row feels it.
            for (j, t) in point.wanted.iter_mut().enumerate() {
                *t = dual.wanted(j, point.g[j]);
            }
        }
    }
    most
}

/// A shift below so many ε is left to Newton's steps.
const LEAST_SHIFT: f64 = 0.1;

/// Received mass that is nothing beside what is wanted: beyond it an f32 plan or a list has no digits left.
const NOTHING: f64 = 1e-12;

/// Whether a target neither gets nor wants a part of the mass that any row would feel: where marginals are relaxed, one
/// that is too far from everything. Linear solves have no digits for it; its potential follows from the others'.
pub(crate) fn is_negligible(received: f64, wanted: f64, mass: f64) -> bool {
    received.max(wanted) < 1e-20 * mass
}

/// −ε log Σ_i a_i exp((f_i − C_ij)/ε), over one column of the cost.
fn column_potential<T: Entry>(dual: &Dual<'_, T>, j: usize, f: &[f64], eps: f64) -> f64 {
    let term = |i: usize| (f[i] - dual.row(i)[j].wide()) / eps + dual.a[i].ln();
    let n = dual.a.len();
    let top = (0..n).map(term).fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = (0..n).map(|i| (term(i) - top).exp()).sum();
    -eps * (top + sum.ln())
}

/// log(wanted / received). Nothing at all, in the numbers at hand, is still not infinitely far away.
pub(crate) fn log_ratio(wanted: f64, received: f64) -> f64 {
    if wanted <= 0.0 {
        return 0.0;
    }
    (wanted / received).clamp(1e-300, 1e30).ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dense::Dense;
    use crate::list::{List, Reach};
    use crate::testing::Clouds;

    #[test]
    fn long_steps_grow_by_their_logarithm() {
        for y in [0.0, 0.5, -3.9, 4.0] {
            assert_eq!(shorten(y, 4.0), y);
        }
        assert!((shorten(4.0 * 100.0_f64.exp(), 4.0) - 104.0).abs() < 1e-12);
        assert_eq!(shorten(-1e300, 4.0), -shorten(1e300, 4.0));
        let steps: Vec<f64> = (0..400)
            .map(|k| shorten(10_f64.powf(0.1 * k as f64 - 5.0), 4.0))
            .collect();
        assert!(steps.windows(2).all(|w| w[0] < w[1]));
    }

    #[test]
    fn newton_converges_by_squares() {
        let clouds = Clouds::new(50, 40, 2, 1);
        for (gamma_a, gamma_b) in [(f64::INFINITY, f64::INFINITY), (0.2, 0.1)] {
            let dual = clouds.dual(gamma_a, gamma_b);
            let mut point = clouds.solved(dual, 0.02 * clouds.spread, 1e-12);
            let mut dense = Dense::new(dual, 1);
            (dense.exact, dense.most_products) = (true, 200);
            let mut list = List::build(dual, &point, Reach::END);
            let solved = point.g.clone();
            for store in [&mut list as &mut dyn Store, &mut dense] {
                for (j, g) in point.g.iter_mut().enumerate() {
                    *g = solved[j] + 1e-3 * point.eps * (j as f64).sin();
                }
                store.pass(&mut point);
                let mut errors = vec![point.error()];
                let mut steps = Steps::new(&dual);
                for _ in 0..2 {
                    let stepped = step(store, &mut point, &mut steps, 1e-8);
                    assert_eq!((stepped.taken, stepped.passes), (1.0, 1));
                    errors.push(point.error());
                }
                // What is left after the first one is a square, or what f32 leaves of the system.
                assert!(errors[1] < 2e-3 * errors[0], "{errors:?}");
                assert!(
                    errors[2] < 2e-3 * errors[1] || errors[2] < 1e-13,
                    "{errors:?}"
                );
            }
        }
    }

    #[test]
    fn a_step_from_afar_is_an_ascent() {
        let clouds = Clouds::new(40, 40, 2, 2);
        let eps = 1e-2 * clouds.spread;
        for gamma in [f64::INFINITY, 0.1, 10.0] {
            let dual = clouds.dual(gamma, gamma);
            let mut point = Point::new(40, vec![0.0; 40], eps);
            for (j, g) in point.g.iter_mut().enumerate() {
                *g = 20.0 * eps * (3.0 * j as f64).sin();
            }
            let mut dense = Dense::new(dual, 1);
            dense.exact = true;
            dense.pass(&mut point);
            // The semi-dual: rows are at their best.
            let value = |point: &Point| -> f64 {
                let side = |p: &[f64], w: &[f64]| -> f64 {
                    let of = |(p, w): (&f64, &f64)| {
                        if gamma.is_infinite() {
                            p * w
                        } else {
                            -gamma * w * (-p / gamma).exp_m1()
                        }
                    };
                    p.iter().zip(w).map(of).sum()
                };
                let mass: f64 = point.sent.iter().sum();
                side(&point.f, dual.a) + side(&point.g, dual.b) - eps * mass
            };
            let mut steps = Steps::new(&dual);
            for _ in 0..40 {
                let before = value(&point);
                let stepped = step(&mut dense, &mut point, &mut steps, 0.1);
                if point.error() < 1e-6 {
                    break;
                }
                settle_far_off(&dual, &mut dense, &mut point, 4);
                assert!(value(&point) > before, "{gamma} {stepped:?}");
            }
            assert!(point.error() < 1e-6, "{gamma} {}", point.error());
        }
    }

    #[test]
    fn targets_that_get_nothing_are_fetched() {
        let clouds = Clouds::new(30, 30, 2, 3);
        for gamma in [f64::INFINITY, 0.1] {
            let dual = clouds.dual(gamma, gamma);
            let mut point = clouds.solved(dual, 1e-3 * clouds.spread, 1e-10);
            // Far beyond what an exponential can hold, either way.
            point.g[3] -= 2.0 * clouds.spread;
            point.g[4] -= 20.0 * point.eps;
            point.g[5] += 3.0 * point.eps;
            let mut dense = Dense::new(dual, 1);
            dense.exact = true;
            dense.pass(&mut point);
            assert!(point.received[3] == 0.0);
            let passes = settle_far_off(&dual, &mut dense, &mut point, 10);
            assert!((1..10).contains(&passes), "{gamma} {passes}");
            for (c, t) in point.received.iter().zip(&point.wanted) {
                assert!((0.25..=4.0).contains(&(c / t)), "{gamma}: {c:e} {t:e}");
            }
            // Nothing to do: no pass.
            assert_eq!(settle_far_off(&dual, &mut dense, &mut point, 10), 0);
        }
    }

    #[test]
    fn the_shift_of_relaxed_potentials_is_found_at_once() {
        let clouds = Clouds::new(20, 25, 2, 4);
        let dual = clouds.dual(1e3, 1e3);
        let mut point = clouds.solved(dual, 1e-2 * clouds.spread, 1e-9);
        point.g.iter_mut().for_each(|g| *g += 50.0);
        let mut dense = Dense::new(dual, 1);
        dense.exact = true;
        dense.pass(&mut point);
        settle_far_off(&dual, &mut dense, &mut point, 4);
        assert!(dual.best_shift(&point).abs() <= LEAST_SHIFT * point.eps);
        assert!(point.error() < 1e-3, "{:e}", point.error());
    }

    #[test]
    fn ratios_of_nothing_are_finite() {
        assert_eq!(log_ratio(0.0, 1.0), 0.0);
        assert_eq!(log_ratio(2.0, 1.0), 2.0_f64.ln());
        assert_eq!(log_ratio(1.0, 0.0), 1e30_f64.ln());
        assert_eq!(log_ratio(1e-300, 1e300), 1e-300_f64.ln());
        assert!(is_negligible(1e-21, 0.0, 1.0) && !is_negligible(1e-21, 1e-19, 1.0));
        assert!(!is_negligible(1e-21, 0.0, 1e-10));
    }
}
