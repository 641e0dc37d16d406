//! The plan as a matrix in f32: the first phase of a path, while most pairs still carry mass.

use ot_kernels::exp::gibbs_row;
use ot_kernels::kernel_product::{ProductWorkspace, gram};
use ot_kernels::pricing::{Entry, row_min};
use ot_kernels::reduce::plain_sum;
use ot_kernels::soft::{Power, add_row, entropy_row, reweigh_row, row_above, weigh_row};
use rayon::prelude::*;

use crate::dual::{Dual, Point};
use crate::newton::{GROUND, LEAST_GROUND, SparseSystem, Store};

/// Chunks of rows: a fixed number, so that sums come out alike whatever the number of threads is.
const CHUNKS: usize = 8;
/// Below so many pairs a pass stays on one thread.
const PAIRS_IN_LINE: usize = 1 << 16;
/// Products of a dense solve.
const MOST_PRODUCTS: usize = 30;
/// Entries below this part of their row's mass are left out of a sparse system: the first while levels are left at an
/// error far above it, the second where passes are exact.
const EDGE: f32 = 1e-6;
const EXACT_EDGE: f32 = 1e-10;
/// A sparse system pays below this part of all pairs.
const SPARSE_BELOW: f64 = 0.15;

/// n×m f32 entries beyond the cost.
#[derive(Debug)]
pub struct Dense<'a, T> {
    dual: Dual<'a, T>,
    /// exp((g̃ − C − shift)/ε); a row of the plan is that times `scale`.
    entries: Vec<f32>,
    scale: Vec<f64>,
    /// Σ of each row of `entries`, and the same in f64.
    sums: Vec<f64>,
    totals: Vec<f64>,
    /// Column sums of diag(scale) `entries`: with `totals`, what makes the system that of a Laplacian to the last digit.
    /// Parts that hang together by little would have eigenvalues of rounding otherwise.
    degree: Vec<f64>,
    /// The shift of each row at the last pass, +∞ before the first: a guess at the next one.
    shifts: Vec<f64>,
    /// Whether exponentials are taken in f64: the plan is then right to its last digits, and twice as slow.
    pub exact: bool,
    /// Products that a linear solve may take.
    pub most_products: usize,
    /// g + ε log b and its negative.
    tilted: Vec<f64>,
    negated: Vec<f64>,
    /// What the entries were made at.
    kept: Kept,
    /// By what each column's entries change.
    weights_by: Vec<f32>,
    /// Column sums of each chunk, those of `entries`, and a row in f64 for it.
    partial: Vec<f64>,
    chunk: usize,
    product: ProductWorkspace,
    weights: Vec<f64>,
    system: SparseSystem,
    /// Whether the sparse system holds the plan of the last pass; it is built when first asked for.
    is_sparse: bool,
    /// Whether a diagonal preconditioner was not enough once.
    is_hard: bool,
    /// Columns of a row that carry mass.
    heavy: Vec<u32>,
    fresh: bool,
    cg: Vectors,
}

/// What the entries in memory are good for: those of other potentials, and of another ε, are powers of them.
#[derive(Debug, Clone, Default)]
struct Kept {
    /// 0 where they can't be used.
    eps: f64,
    tilted: Vec<f64>,
    /// Entries that are 0 may be up to e^{−depth} of their row's mass.
    depth: f64,
    /// Their error, in roundings of f32.
    roundings: f64,
}

impl Kept {
    /// How the entries at `eps` and `tilted` come out of those that are kept, if they do so well enough, and the logarithm
    /// of what all are divided by. `by` becomes each column's factor, 1 at most.
    fn change(&mut self, eps: f64, tilted: &[f64], by: &mut [f32]) -> Option<(Power, f64)> {
        let power = (Power::ALL.into_iter())
            .find(|power| (self.eps - power.value() * eps).abs() <= 1e-12 * self.eps)?;
        let change = |(to, from): (&f64, &f64)| (to - from) / eps;
        let changes = || tilted.iter().zip(&self.tilted).map(change);
        let top = changes().fold(f64::NEG_INFINITY, f64::max);
        let bottom = changes().fold(f64::INFINITY, f64::min);
        let depth = (self.depth * power.value()).min(DEEPEST) - (top - bottom);
        let roundings = self.roundings * power.value() + 3.0;
        if !(depth >= DEEP_ENOUGH && roundings <= MOST_ROUNDINGS) {
            return None;
        }
        for (by, change) in by.iter_mut().zip(changes()) {
            *by = (change - top).exp() as f32;
        }
        (self.depth, self.roundings) = (depth, roundings);
        Some((power, top))
    }
}

/// −log of the smallest normal number of f32, and what is deep enough for entries that are lost.
const DEEPEST: f64 = 87.0;
const DEEP_ENOUGH: f64 = 32.0;
/// Kept entries are made anew when they may be off by more than so many roundings, 6e-5: far below the errors that levels
/// are left with.
const MOST_ROUNDINGS: f64 = 1024.0;

/// Vectors of conjugate gradients on the dense system.
#[derive(Debug, Default)]
struct Vectors {
    diagonal: Vec<f64>,
    r: Vec<f64>,
    z: Vec<f64>,
    p: Vec<f64>,
    q: Vec<f64>,
}

impl<'a, T: Entry> Dense<'a, T> {
    /// Room for a plan. Products run on `threads` threads.
    #[must_use]
    pub fn new(dual: Dual<'a, T>, threads: usize) -> Self {
        let (n, m) = dual.shape();
        let in_line = n * m < PAIRS_IN_LINE;
        let chunk = if in_line { n } else { n.div_ceil(CHUNKS) };
        Self {
            dual,
            entries: vec![0.0; n * m],
            scale: vec![0.0; n],
            sums: vec![0.0; n],
            totals: vec![0.0; n],
            degree: vec![0.0; m],
            shifts: vec![f64::INFINITY; n],
            exact: false,
            most_products: MOST_PRODUCTS,
            tilted: vec![0.0; m],
            negated: vec![0.0; m],
            kept: Kept::default(),
            weights_by: vec![0.0; m],
            partial: vec![0.0; 3 * m * n.div_ceil(chunk)],
            chunk,
            product: ProductWorkspace::new(m, if in_line { 1 } else { threads }),
            weights: vec![0.0; n],
            system: SparseSystem::default(),
            is_sparse: false,
            is_hard: false,
            heavy: Vec::new(),
            fresh: false,
            cg: Vectors::default(),
        }
    }

    /// Builds the sparse system if few enough pairs carry more than 1e-6 of their row's mass, or if it `must` be.
    fn build_system(&mut self, point: &Point, must: bool) {
        self.fresh = true;
        let m = self.dual.b.len();
        let n = self.scale.len();
        let edge = if self.exact || must { EXACT_EDGE } else { EDGE };
        let least = |i: usize| edge * self.sums[i] as f32;
        // Every sixteenth row tells what to expect.
        self.heavy.clear();
        for i in (0..n).step_by(16) {
            row_above(&self.entries[i * m..(i + 1) * m], least(i), &mut self.heavy);
        }
        let seen = n.div_ceil(16) * m;
        self.is_sparse = must || (self.heavy.len() as f64) < SPARSE_BELOW * seen as f64;
        if !self.is_sparse {
            return;
        }
        self.system.graph.begin(m);
        for (i, row) in self.entries.chunks_exact(m).enumerate() {
            self.heavy.clear();
            row_above(row, least(i), &mut self.heavy);
            let scale = self.scale[i];
            let edges = self.heavy.iter();
            self.system
                .graph
                .push_row(edges.map(|&j| (j, scale * f64::from(row[j as usize]))));
        }
        self.system.prepare(&self.dual, point);
        if must {
            self.system.factor_it();
        }
    }

    /// Products, and the relative residual.
    fn dense_solve(
        &mut self,
        point: &Point,
        rows: Option<&[f64]>,
        cols: &[f64],
        y: &mut [f64],
        tol: f64,
    ) -> (usize, f64) {
        let m = cols.len();
        let soft = 1.0 + self.dual.row_softness(point.eps);
        let col_soft = self.dual.col_softness(point.eps);
        let least = if self.dual.is_balanced() { GROUND } else { 0.0 };
        // P = diag(scale) E: the scales go into the weights.
        for ((w, s), total) in self.weights.iter_mut().zip(&self.scale).zip(&self.totals) {
            *w = if *total > 0.0 {
                s / (soft * total)
            } else {
                0.0
            };
        }
        let Vectors {
            diagonal,
            r,
            z,
            p,
            q,
        } = &mut self.cg;
        for vector in [&mut *diagonal, r, z, p, q] {
            vector.resize(m, 0.0);
        }
        for (((d, c), t), r) in diagonal
            .iter_mut()
            .zip(&self.degree)
            .zip(&point.wanted)
            .zip(&mut *r)
        {
            *d = c * (1.0 + least) + col_soft * t;
            *r = 0.0;
        }
        if let Some(rows) = rows {
            // r = −Pᵀ (rows / (soft·sent)).
            let m = self.dual.b.len();
            for (i, row) in self.entries.chunks_exact(m).enumerate() {
                if point.sent[i] > 0.0 {
                    add_row(row, -rows[i] * self.scale[i] / (soft * point.sent[i]), r);
                }
            }
        }
        for (r, c) in r.iter_mut().zip(cols) {
            *r += c;
        }
        y.fill(0.0);
        let dot = |x: &[f64], y: &[f64]| -> f64 { x.iter().zip(y).map(|(x, y)| x * y).sum() };
        let precondition = |r: &[f64], z: &mut [f64]| {
            for ((z, r), d) in z.iter_mut().zip(r).zip(&*diagonal) {
                *z = if *d > LEAST_GROUND { r / d } else { 0.0 };
            }
        };
        precondition(r, z);
        p.copy_from_slice(z);
        let mut rho = dot(r, z);
        let first = rho;
        let mut products = 0;
        while products < self.most_products && rho > tol * tol * first {
            gram(&self.entries, &self.weights, p, q, &mut self.product);
            products += 1;
            for ((q, p), d) in q.iter_mut().zip(&*p).zip(&*diagonal) {
                *q = d * p - *q;
            }
            let curvature = dot(p, q);
            if !(curvature > 0.0 && curvature.is_finite()) {
                break;
            }
            let alpha = rho / curvature;
            for (((x, p), r), q) in y.iter_mut().zip(&*p).zip(&mut *r).zip(&*q) {
                *x += alpha * p;
                *r -= alpha * q;
            }
            precondition(r, z);
            let next = dot(r, z);
            let beta = next / rho;
            rho = next;
            for (p, z) in p.iter_mut().zip(&*z) {
                *p = z + beta * *p;
            }
        }
        // Targets of little mass hardly count in the norm of the residual: each one's own equation, given the others.
        for (y, z) in y.iter_mut().zip(&*z) {
            *y += z;
        }
        let residual = if first > 0.0 {
            (rho / first).max(0.0).sqrt()
        } else {
            0.0
        };
        (products, residual)
    }
}

/// Sums of rows within which a guessed shift is good: entries that count are far from both ends of f32.
const LEAST_SUM: f64 = 1e-20;
const LARGEST_SUM: f64 = 1e20;

/// A chunk of rows: its number, entries, scales, sums, totals, shifts, f, masses, and accumulators.
type Rows<'a> = (
    usize,
    &'a mut [f32],
    &'a mut [f64],
    &'a mut [f64],
    &'a mut [f64],
    &'a mut [f64],
    &'a mut [f64],
    &'a mut [f64],
    &'a mut [f64],
);

impl<T: Entry> Store for Dense<'_, T> {
    fn pass(&mut self, point: &mut Point) {
        self.fresh = false;
        let m = self.dual.b.len();
        let (dual, eps, exact) = (&self.dual, point.eps, self.exact);
        let inv_eps = 1.0 / eps;
        for (j, (t, n)) in self.tilted.iter_mut().zip(&mut self.negated).enumerate() {
            *t = point.g[j] + eps * dual.b[j].ln();
            *n = -*t;
        }
        let change = if exact {
            None
        } else {
            (self.kept).change(eps, &self.tilted, &mut self.weights_by)
        };
        let by = &self.weights_by;
        let lightest = by.iter().fold(1.0_f32, |t, w| t.min(*w));
        let (tilted, negated, chunk) = (&self.tilted, &self.negated, self.chunk);
        let work = |(at, entries, scale, sums, totals, shifts, f, sent, partial): Rows<'_>| {
            let (cols, rest) = partial.split_at_mut(m);
            let (degree, wide) = rest.split_at_mut(m);
            cols.fill(0.0);
            degree.fill(0.0);
            for (k, row) in entries.chunks_exact_mut(m).enumerate() {
                let i = at * chunk + k;
                let cost = dual.row(i);
                // The last shift will do unless it is so far off that f32 would lose what counts.
                let mut shift = shifts[k];
                let mut sum = if exact || shift == f64::INFINITY {
                    f64::NAN
                } else if let Some((power, top)) = change {
                    shift += eps * top;
                    reweigh_row(row, (1.0 / sums[k]) as f32, power, by, lightest)
                } else {
                    weigh_row(cost, tilted, shift, inv_eps, row)
                };
                if !(LEAST_SUM..LARGEST_SUM).contains(&sum) {
                    shift = -row_min(cost, negated);
                    sum = if exact {
                        gibbs_row(cost, -shift, tilted, inv_eps, wide);
                        plain_sum(wide)
                    } else {
                        weigh_row(cost, tilted, shift, inv_eps, row)
                    };
                }
                // Where the largest exponent would be 0, up to the logarithm of a few terms.
                shifts[k] = shift + eps * sum.ln();
                let (f_i, sent_i) = dual.row_update(i, shift * inv_eps + sum.ln(), eps);
                (f[k], sent[k], sums[k]) = (f_i, sent_i, sum);
                scale[k] = sent_i / sum;
                if exact {
                    add_row(wide, scale[k], cols);
                    for (narrow, wide) in row.iter_mut().zip(&*wide) {
                        *narrow = *wide as f32;
                    }
                    totals[k] = add_row(row, scale[k], degree);
                } else {
                    totals[k] = add_row(row, scale[k], cols);
                }
            }
            if !exact {
                degree.copy_from_slice(cols);
            }
        };
        let chunks = self
            .entries
            .par_chunks_mut(chunk * m)
            .enumerate()
            .zip(self.scale.par_chunks_mut(chunk))
            .zip(self.sums.par_chunks_mut(chunk))
            .zip(self.totals.par_chunks_mut(chunk))
            .zip(self.shifts.par_chunks_mut(chunk))
            .zip(point.f.par_chunks_mut(chunk))
            .zip(point.sent.par_chunks_mut(chunk))
            .zip(self.partial.par_chunks_mut(3 * m))
            .map(
                |((((((((at, entries), scale), sums), totals), shifts), f), sent), partial)| {
                    (at, entries, scale, sums, totals, shifts, f, sent, partial)
                },
            );
        chunks.for_each(work);
        if exact {
            self.kept.eps = 0.0;
        } else {
            self.kept.eps = eps;
            self.kept.tilted.clone_from(&self.tilted);
            if change.is_none() {
                let least = self.sums.iter().fold(1.0_f64, |t, sum| t.min(*sum));
                self.kept.depth = DEEPEST + least.ln();
                self.kept.roundings = 16.0;
            }
        }
        point.received.fill(0.0);
        self.degree.fill(0.0);
        for partial in self.partial.chunks_exact(3 * m) {
            let (cols, rest) = partial.split_at(m);
            for (sum, p) in point.received.iter_mut().zip(cols) {
                *sum += p;
            }
            for (sum, p) in self.degree.iter_mut().zip(rest) {
                *sum += p;
            }
        }
        for (j, t) in point.wanted.iter_mut().enumerate() {
            *t = self.dual.wanted(j, point.g[j]);
        }
    }

    fn entropy(&mut self, point: &Point, rows: &mut [f64], cols: &mut [f64]) {
        let m = self.dual.b.len();
        let (dual, chunk, inv_eps) = (&self.dual, self.chunk, 1.0 / point.eps);
        let scale = &self.scale;
        self.entries
            .par_chunks(chunk * m)
            .enumerate()
            .zip(rows.par_chunks_mut(chunk))
            .zip(self.partial.par_chunks_mut(3 * m))
            .for_each(|(((at, entries), rows), partial)| {
                let sums = &mut partial[..m];
                sums.fill(0.0);
                for (k, row) in entries.chunks_exact(m).enumerate() {
                    let i = at * chunk + k;
                    let (cost, f) = (dual.row(i), point.f[i]);
                    rows[k] = entropy_row(cost, &point.g, row, scale[i], f, inv_eps, sums);
                }
            });
        cols.fill(0.0);
        for partial in self.partial.chunks_exact(3 * m) {
            for (c, p) in cols.iter_mut().zip(&partial[..m]) {
                *c += p;
            }
        }
    }

    fn solve(
        &mut self,
        point: &Point,
        rows: Option<&[f64]>,
        cols: &[f64],
        y: &mut [f64],
        tol: f64,
    ) -> usize {
        if !self.fresh {
            self.build_system(point, self.is_hard);
        }
        if self.is_sparse {
            return self.system.solve(rows, cols, y, tol);
        }
        let (products, residual) = self.dense_solve(point, rows, cols, y, tol);
        if residual <= tol {
            return products;
        }
        // Parts that hang together by little, which a diagonal knows nothing of.
        self.is_hard = true;
        self.build_system(point, true);
        products + self.system.solve(rows, cols, y, tol)
    }
}

#[cfg(test)]
mod tests;
