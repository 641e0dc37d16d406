//! The Newton system of the semi-dual, and a step along its solution.
//!
//! With r = P1 and c = Pᵀ1 the Hessian of the semi-dual, times −ε, is
//! S = diag(c + (ε/γb) t) − Pᵀ diag(1 / ((1 + ε/γa) r)) P, where t is what c should be: the Schur complement of a
//! Laplacian whose edges are the entries of P. A Newton step solves S y = t − c and moves g by ε·y.

use crate::dual::{Dual, Point};
use crate::laplacian::{Bipartite, Cholesky, Pcg, Preconditioner};

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
/// Edges below this part of their row's mass are left out of the linear system, and below the second one out of the
/// preconditioner.
pub(crate) const EDGE: f64 = 1e-10;
const CUT: f64 = 1e-9;
/// Above so many edges a row, a diagonal preconditioner is the cheaper one.
const JACOBI_FROM: usize = 40;
/// Products that a solve may take with either preconditioner.
const MOST_JACOBI: usize = 300;
const MOST_CHOLESKY: usize = 80;

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
    jacobi: bool,
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
                .map(|(c, t)| cols * t + least * c),
        );
        self.factored = false;
        self.jacobi = self.graph.edges() > JACOBI_FROM * point.f.len().max(point.g.len());
    }

    /// [`Store::solve`].
    pub fn solve(&mut self, rows: Option<&[f64]>, cols: &[f64], y: &mut [f64], tol: f64) -> usize {
        let (n, m) = self.graph.shape();
        self.rhs.clear();
        match rows {
            // The Laplacian's vertices of sources carry −f.
            Some(rows) => self.rhs.extend(rows.iter().map(|h| -h)),
            None => self.rhs.resize(n, 0.0),
        }
        self.rhs.extend_from_slice(cols);
        self.x.resize(n + m, 0.0);
        let mut products = 0;
        if self.jacobi {
            let by = Preconditioner::Jacobi;
            let solved = self
                .pcg
                .solve(&self.graph, by, &self.rhs, &mut self.x, tol, MOST_JACOBI);
            products += solved.iterations;
            // The graph is harder than its rows are long.
            self.jacobi = solved.residual <= tol;
        }
        if !self.jacobi {
            // The tangent asks right after a step, which has changed weights by little: the step's factor will do.
            let keep = rows.is_some() && self.has_factor;
            if !self.factored && !keep {
                self.seed += 1;
                self.factor.factor(&self.graph, CUT, self.seed);
                self.factored = true;
                self.has_factor = true;
            }
            let by = Preconditioner::Cholesky(&self.factor);
            let solved =
                self.pcg
                    .solve(&self.graph, by, &self.rhs, &mut self.x, tol, MOST_CHOLESKY);
            products += solved.iterations;
        }
        y.copy_from_slice(&self.x[n..]);
        products
    }
}

/// The longest step of any potential, in units of ε.
const LONGEST: f64 = 4.0;
/// Passes that a line search may take.
const TRIES: usize = 12;

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stepped {
    /// The full Newton step in units of ε, without the shift that all potentials have in common.
    pub full: f64,
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
    gradient: Vec<f64>,
    y: Vec<f64>,
    before: Vec<f64>,
}

/// One Newton step on the semi-dual from `point`, whose plan is that of `store`.
///
/// The semi-dual is concave along the step, so that its slope falls: a length is good where the slope has fallen to
/// less than half, up or down. Slopes are differences of marginals; values of the dual, which a step near the end
/// changes by less than their rounding, are not needed.
pub fn step(store: &mut dyn Store, point: &mut Point, work: &mut Steps, tol: f64) -> Stepped {
    let Steps {
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
    let shift = y.iter().zip(&point.wanted).map(|(y, t)| y * t).sum::<f64>() / mass;
    let full = y.iter().fold(0.0_f64, |t, y| t.max((y - shift).abs()));
    let longest = full.max(shift.abs());
    let mut stepped = Stepped {
        full,
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
    if full > LONGEST {
        for y in y.iter_mut() {
            *y = shift + (*y - shift).clamp(-LONGEST, LONGEST);
        }
    }
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
        // At the end, slopes are rounding; the error has the word there.
        if here.abs() <= 0.5 * start || error <= 0.5 * first {
            return stepped;
        }
        if here > 0.0 {
            if length >= 1.0 || high.is_some() {
                // Longer than asked for helps little; what was gained is kept.
                return stepped;
            }
            low = (length, here);
        } else {
            high = Some((length, here));
        }
        // Where the slope is 0 on the chord, but not too close to either end.
        let (from, at_from) = low;
        let (to, at_to) = high.unwrap_or((1.0, 0.0));
        let part = at_from / (at_from - at_to);
        length = from + (to - from) * part.clamp(0.1, 0.5);
    }
    if point.error() > first {
        point.g.clone_from(before);
        store.pass(point);
        stepped.passes += 1;
        stepped.taken = 0.0;
    }
    stepped
}

/// Moves the potentials of targets whose mass is far too small to where their own sum would be right: up to `most`
/// times, while one gets less than a quarter of what it should. Where a target gets next to nothing the quadratic
/// model of a Newton step is useless.
pub fn lift_starved<T>(
    dual: &Dual<'_, T>,
    store: &mut dyn Store,
    point: &mut Point,
    most: usize,
) -> usize {
    let soft = 1.0 / (1.0 + dual.col_softness(point.eps));
    for done in 0..most {
        let starved = |(c, t): (&f64, &f64)| *c < 0.25 * t;
        if !point.received.iter().zip(&point.wanted).any(starved) {
            return done;
        }
        for ((g, c), t) in point.g.iter_mut().zip(&point.received).zip(&point.wanted) {
            *g += point.eps * soft * log_ratio(*t, *c);
        }
        store.pass(point);
    }
    most
}

/// log(wanted / received). Nothing at all, in the numbers at hand, is still not infinitely far away.
pub(crate) fn log_ratio(wanted: f64, received: f64) -> f64 {
    let ratio = wanted / received.max(1e-30 * wanted);
    if ratio > 0.0 { ratio.ln() } else { 0.0 }
}
