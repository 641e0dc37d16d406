//! Conjugate gradients on the Schur complement over the targets.

use ot_kernels::linear::product_sum;
use solver_api::{Error, PlanRow, Termination};

use super::hessian::{Hessian, HessianSolver, Shifts};
use crate::input::shape;
use crate::rows::{Chunks, sum_into};

/// Jacobi-preconditioned conjugate gradients on S = D_c(1 + ρb) − Pᵀ(D_r(1 + ρa))⁻¹P. One pass over the plan an
/// iteration, memory O(n + m) beside it. Their number grows as ε falls, like the square root of Sinkhorn's.
#[derive(Debug, Clone, PartialEq)]
pub struct ConjugateGradient {
    /// The residual, in L1 over the mass, above which the answer is refused. Default: 1e-10; iterations go on to what
    /// f64 can do, some 1e-15.
    pub tol: f64,
    /// Iterations. Default: 20 000, which is far beyond what any plan took that f64 can tell from an unconnected one.
    pub max_iter: u64,
}

impl Default for ConjugateGradient {
    fn default() -> Self {
        Self {
            tol: 1e-10,
            max_iter: 20_000,
        }
    }
}

/// Where the residual may end: rounding.
const FLOOR: f64 = 2e-16;
/// Iterations without a new best residual after which nothing more is to be had, beside one for each unknown.
const PATIENCE: usize = 200;

/// Room for a chunk of rows.
struct Room {
    columns: Vec<f64>,
    scratch: Vec<f64>,
}

impl HessianSolver for ConjugateGradient {
    fn solve(&self, hessian: &Hessian<'_>, u: &[f64], v: &[f64]) -> Result<Shifts, Error> {
        let (n, m) = hessian.shape();
        for (argument, len, want) in [("u", u.len(), n), ("v", v.len(), m)] {
            if len != want {
                return Err(shape(
                    argument,
                    &[len],
                    format!("the Hessian is of {n} + {m}"),
                ));
            }
        }
        Run::new(hessian).solve(self, u, v)
    }
}

struct Run<'a, 'b> {
    h: &'a Hessian<'b>,
    chunks: Chunks<Room>,
    /// (D_r(1 + ρa))⁻¹, 0 for rows without mass.
    inv_rows: Vec<f64>,
    mass: f64,
}

impl<'a, 'b> Run<'a, 'b> {
    fn new(h: &'a Hessian<'b>) -> Self {
        let (n, m) = h.shape();
        let inverse = |r: &f64| {
            if *r > 0.0 {
                1.0 / (r * (1.0 + h.ridge_a))
            } else {
                0.0
            }
        };
        Self {
            chunks: Chunks::new(n, h.entries_per_row(), |_| Room {
                columns: vec![0.0; m],
                scratch: h.scratch(),
            }),
            inv_rows: h.r.iter().map(inverse).collect(),
            mass: h.c.iter().sum(),
            h,
        }
    }

    fn solve(
        mut self,
        settings: &ConjugateGradient,
        u: &[f64],
        v: &[f64],
    ) -> Result<Shifts, Error> {
        let (n, m) = self.h.shape();
        let mut residual = self.right_hand_side(u, v);
        self.h.project(&mut residual);
        let jacobi = self.diagonal();
        let mut t = vec![0.0; m];
        let (mut best, mut best_error) = (vec![0.0; m], self.size(&residual));
        let mut z: Vec<f64> = residual.iter().zip(&jacobi).map(|(r, d)| r * d).collect();
        let mut direction = z.clone();
        let mut image = vec![0.0; m];
        let mut energy = product_sum(&residual, &z);
        let (mut iterations, mut since) = (0, 0);
        while best_error > FLOOR
            && iterations < settings.max_iter
            && since < PATIENCE + m
            && energy > 0.0
        {
            self.apply(&direction, &mut image);
            let curvature = product_sum(&direction, &image);
            if !(curvature > 0.0 && curvature.is_finite()) {
                break;
            }
            let step = energy / curvature;
            for j in 0..m {
                t[j] += step * direction[j];
                residual[j] -= step * image[j];
                z[j] = residual[j] * jacobi[j];
            }
            iterations += 1;
            since += 1;
            let error = self.size(&residual);
            if error < best_error {
                // A crumb is no progress.
                if error < 0.9 * best_error {
                    since = 0;
                }
                best_error = error;
                best.copy_from_slice(&t);
            }
            let next = product_sum(&residual, &z);
            let ratio = next / energy;
            energy = next;
            for (d, z) in direction.iter_mut().zip(&z) {
                *d = z + ratio * *d;
            }
        }
        if best_error.is_nan() || best_error > settings.tol {
            return Err(Error::NotConverged {
                solver: "conjugate-gradient".to_owned(),
                termination: if iterations == settings.max_iter {
                    Termination::IterationLimit
                } else {
                    Termination::Stalled
                },
                iterations: Some(iterations),
                source_error: best_error,
                target_error: best_error,
            });
        }
        let mut s = vec![0.0; n];
        let mut scratch = self.h.scratch();
        for (i, s) in s.iter_mut().enumerate() {
            if self.h.r[i] > 0.0 {
                *s = (u[i] - dot(self.h.row(i, &mut scratch), &best)) * self.inv_rows[i];
            }
        }
        Ok(Shifts {
            s,
            t: best,
            iterations,
        })
    }

    /// The L1 norm over the mass.
    fn size(&self, x: &[f64]) -> f64 {
        x.iter().map(|x| x.abs()).sum::<f64>() / self.mass
    }

    /// v − Pᵀ(D_r(1 + ρa))⁻¹u.
    fn right_hand_side(&mut self, u: &[f64], v: &[f64]) -> Vec<f64> {
        let (h, inv) = (self.h, &self.inv_rows);
        self.chunks.pass(|room, rows| {
            room.columns.fill(0.0);
            for i in rows.filter(|&i| inv[i] > 0.0) {
                let mean = u[i] * inv[i];
                h.row(i, &mut room.scratch)
                    .visit(|j, p| room.columns[j] += p * mean);
            }
        });
        let mut out = vec![0.0; v.len()];
        sum_into(
            &mut out,
            self.chunks.rooms().iter().map(|room| &room.columns[..]),
        );
        for ((out, v), c) in out.iter_mut().zip(v).zip(&h.c) {
            *out = if *c > 0.0 { v - *out } else { 0.0 };
        }
        out
    }

    /// The inverse of the diagonal, 0 where there is no mass. S_jj = ρb c_j + Σ_i P_ij (1 − P_ij/(r_i(1 + ρa))).
    fn diagonal(&mut self) -> Vec<f64> {
        let (h, inv) = (self.h, &self.inv_rows);
        self.chunks.pass(|room, rows| {
            room.columns.fill(0.0);
            for i in rows {
                h.row(i, &mut room.scratch)
                    .visit(|j, p| room.columns[j] += p * (1.0 - p * inv[i]).max(0.0));
            }
        });
        let mut out = vec![0.0; h.c.len()];
        sum_into(
            &mut out,
            self.chunks.rooms().iter().map(|room| &room.columns[..]),
        );
        for (out, &c) in out.iter_mut().zip(&h.c) {
            // What is below rounding is no coupling.
            let d = *out + h.ridge_b * c;
            *out = if c > 0.0 { 1.0 / d.max(1e-16 * c) } else { 0.0 };
        }
        out
    }

    /// S x, as ρb c_j x_j + Σ_i P_ij (x_j − x̄_i) with x̄_i = Σ_k P_ik x_k / (r_i(1 + ρa)): differences before sums.
    fn apply(&mut self, x: &[f64], out: &mut [f64]) {
        let (h, inv) = (self.h, &self.inv_rows);
        self.chunks.pass(|room, rows| {
            room.columns.fill(0.0);
            let columns = &mut room.columns;
            for i in rows.filter(|&i| inv[i] > 0.0) {
                let row = h.row(i, &mut room.scratch);
                let mean = dot(row, x) * inv[i];
                match row {
                    PlanRow::Dense(p) => {
                        for ((c, p), x) in columns.iter_mut().zip(p).zip(x) {
                            *c += p * (x - mean);
                        }
                    }
                    PlanRow::Sparse(cols, p) => {
                        for (&j, p) in cols.iter().zip(p) {
                            columns[j as usize] += p * (x[j as usize] - mean);
                        }
                    }
                }
            }
        });
        sum_into(
            out,
            self.chunks.rooms().iter().map(|room| &room.columns[..]),
        );
        for ((out, &c), x) in out.iter_mut().zip(&h.c).zip(x) {
            *out = if c > 0.0 {
                *out + h.ridge_b * c * x
            } else {
                0.0
            };
        }
    }
}

/// Σ_j P_j x_j of one row.
fn dot(row: PlanRow<'_>, x: &[f64]) -> f64 {
    match row {
        PlanRow::Dense(p) => product_sum(p, x),
        PlanRow::Sparse(cols, p) => cols.iter().zip(p).map(|(&j, p)| p * x[j as usize]).sum(),
    }
}
