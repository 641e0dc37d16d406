//! The (n+m)-square matrix of an entropic plan: a weighted bipartite graph's Laplacian with signs, damped on relaxed
//! sides.

use std::ops::Range;

use solver_api::cost::row_of;
use solver_api::{Error, Plan, PlanRow, Problem, Solution};

use crate::rows::{Chunks, sum_into};

/// Entries of a plan that are kept in memory (12 bytes each) for the many passes of a linear solver; a plan with more
/// of them is streamed, and its rows computed again in each pass.
const STORED: usize = 1 << 25;
/// An entry below this part of both its row's and its column's sum is below their rounding, even thousands of them.
const LOST: f64 = 1e-20;

/// H = [[D_r(1 + ρa), P], [Pᵀ, D_c(1 + ρb)]] of a plan P, with D_r = diag(P1), D_c = diag(Pᵀ1) and ρ = ε/γ, which is 0
/// for a hard side.
#[derive(Debug)]
pub struct Hessian<'a> {
    /// P1.
    pub r: Vec<f64>,
    /// Pᵀ1.
    pub c: Vec<f64>,
    /// ε/γa.
    pub ridge_a: f64,
    /// ε/γb.
    pub ridge_b: f64,
    graph: Graph<'a>,
    /// The component of each source and target; those without mass have none (`u32::MAX`).
    of_source: Vec<u32>,
    of_target: Vec<u32>,
    components: usize,
}

#[derive(Debug)]
enum Graph<'a> {
    Stored {
        start: Vec<usize>,
        cols: Vec<u32>,
        values: Vec<f64>,
    },
    Streamed(&'a Plan),
}

/// The solution of a system with a [`Hessian`].
#[derive(Debug, Clone, PartialEq)]
pub struct Shifts {
    /// n unknowns.
    pub s: Vec<f64>,
    /// m unknowns.
    pub t: Vec<f64>,
    /// Iterations done, 0 for a direct solver.
    pub iterations: u64,
}

impl Shifts {
    pub(crate) fn zero(n: usize, m: usize) -> Self {
        Self {
            s: vec![0.0; n],
            t: vec![0.0; m],
            iterations: 0,
        }
    }
}

/// Solves systems with the Hessian of an entropic plan. Another one than [`ConjugateGradient`](super::ConjugateGradient)
/// is a preconditioner or a factorization of one's own, on the rows that [`Hessian::visit_row`] gives.
pub trait HessianSolver: Sync {
    /// H [s; t] = [u; v]. Entries without mass (r_i = 0, c_j = 0) take no part and are 0. Where H is singular, any
    /// solution will do.
    ///
    /// # Errors
    /// [`Error::NotConverged`] where the residual stays above the solver's tolerance.
    fn solve(&self, hessian: &Hessian<'_>, u: &[f64], v: &[f64]) -> Result<Shifts, Error>;
}

/// What a chunk of rows holds of the graph and of the right-hand side.
struct Part {
    counts: Vec<usize>,
    cols: Vec<u32>,
    values: Vec<f64>,
    stored: bool,
    u: Vec<f64>,
    v: Vec<f64>,
    scratch: Vec<f64>,
    costs: Vec<f64>,
}

impl<'a> Hessian<'a> {
    /// The Hessian at a solution, and the right-hand side for ⟨P, C⟩ in units of ε:
    /// u_i = Σ_j P_ij e_ij − ρa r_i f_i/ε with e = (C − f ⊕ g)/ε, v alike.
    pub(crate) fn of(
        problem: &Problem,
        solution: &'a Solution,
        gamma_a: f64,
        gamma_b: f64,
    ) -> (Self, Vec<f64>, Vec<f64>) {
        let (n, m) = problem.shape();
        let plan = &solution.plan;
        let (r, c) = plan.marginals();
        let (f, g) = (&solution.potentials.f, &solution.potentials.g);
        let (cost, inv_eps) = (problem.cost(), 1.0 / solution.reg);
        let make = |_: Range<usize>| Part {
            counts: Vec::new(),
            cols: Vec::new(),
            values: Vec::new(),
            stored: true,
            u: Vec::new(),
            v: vec![0.0; m],
            scratch: plan.scratch(),
            costs: vec![0.0; m],
        };
        let mut chunks = Chunks::new(n, m, make);
        chunks.pass(|part, rows| {
            let limit = (STORED / n).saturating_mul(rows.len());
            for i in rows {
                let costs = row_of(cost, i, &mut part.costs);
                let (fi, ri) = (f[i], r[i]);
                let (mut sum, mut count) = (0.0, 0);
                let (cols, values, v) = (&mut part.cols, &mut part.values, &mut part.v);
                let stored = part.stored;
                plan.row(i, &mut part.scratch).visit(|j, p| {
                    if p <= LOST * ri.min(c[j]) {
                        return;
                    }
                    let e = p * ((costs[j] - fi - g[j]) * inv_eps);
                    sum += e;
                    v[j] += e;
                    if stored {
                        cols.push(j as u32);
                        values.push(p);
                        count += 1;
                    }
                });
                part.u.push(sum);
                part.counts.push(count);
                if part.stored && part.cols.len() > limit {
                    part.stored = false;
                    (part.cols, part.values) = (Vec::new(), Vec::new());
                }
            }
        });
        let parts = chunks.into_rooms();
        let mut v = vec![0.0; m];
        sum_into(&mut v, parts.iter().map(|part| &part.v[..]));
        let mut u: Vec<f64> = parts
            .iter()
            .flat_map(|part| part.u.iter().copied())
            .collect();
        let (ridge_a, ridge_b) = (solution.reg / gamma_a, solution.reg / gamma_b);
        // ρ·r·f/ε = r·f/γ; nothing for a hard side.
        let damp = |w: &mut [f64], sums: &[f64], p: &[f64], gamma: f64| {
            if gamma.is_finite() {
                for ((w, &sum), &p) in w
                    .iter_mut()
                    .zip(sums)
                    .zip(p)
                    .filter(|((_, r), _)| **r > 0.0)
                {
                    *w -= sum * p / gamma;
                }
            }
        };
        damp(&mut u, &r, f, gamma_a);
        damp(&mut v, &c, g, gamma_b);
        let graph = if parts.iter().all(|part| part.stored) {
            stored(parts)
        } else {
            Graph::Streamed(plan)
        };
        let mut hessian = Self {
            of_source: Vec::new(),
            of_target: Vec::new(),
            components: 0,
            r,
            c,
            ridge_a,
            ridge_b,
            graph,
        };
        hessian.find_components();
        (hessian, u, v)
    }

    /// (n, m).
    #[must_use]
    pub fn shape(&self) -> (usize, usize) {
        (self.r.len(), self.c.len())
    }

    /// Room for [`Hessian::visit_row`].
    #[must_use]
    pub fn scratch(&self) -> Vec<f64> {
        match &self.graph {
            Graph::Stored { .. } => Vec::new(),
            Graph::Streamed(plan) => plan.scratch(),
        }
    }

    /// Row `i` of the plan. Stored entries below rounding are left out.
    pub(crate) fn row<'b>(&'b self, i: usize, scratch: &'b mut [f64]) -> PlanRow<'b> {
        match &self.graph {
            Graph::Stored {
                start,
                cols,
                values,
            } => {
                let at = start[i]..start[i + 1];
                PlanRow::Sparse(&cols[at.clone()], &values[at])
            }
            Graph::Streamed(plan) => plan.row(i, scratch),
        }
    }

    /// Visits (j, P_ij) of row `i`, j ascending.
    pub fn visit_row(&self, i: usize, scratch: &mut [f64], visit: impl FnMut(usize, f64)) {
        self.row(i, scratch).visit(visit);
    }

    /// About what a pass reads of each row.
    pub(crate) fn entries_per_row(&self) -> usize {
        match &self.graph {
            Graph::Stored { values, .. } => values.len().div_ceil(self.r.len().max(1)),
            Graph::Streamed(_) => self.c.len(),
        }
    }

    /// Connected components of the plan's graph; a streamed plan counts as one.
    fn find_components(&mut self) {
        let (n, m) = self.shape();
        let mut root: Vec<u32> = (0..(n + m) as u32).collect();
        fn find(root: &mut [u32], mut k: u32) -> u32 {
            while root[k as usize] != k {
                // Halving the path.
                root[k as usize] = root[root[k as usize] as usize];
                k = root[k as usize];
            }
            k
        }
        match &self.graph {
            Graph::Stored { start, cols, .. } => {
                for i in 0..n {
                    for &j in &cols[start[i]..start[i + 1]] {
                        let (p, q) = (find(&mut root, i as u32), find(&mut root, n as u32 + j));
                        root[p.max(q) as usize] = p.min(q);
                    }
                }
            }
            Graph::Streamed(_) => root.fill(0),
        }
        let mut number = vec![u32::MAX; n + m];
        let mut count = 0;
        let mut label = |k: usize, mass: f64, root: &mut [u32]| {
            if mass == 0.0 {
                return u32::MAX;
            }
            let at = find(root, k as u32) as usize;
            if number[at] == u32::MAX {
                number[at] = count;
                count += 1;
            }
            number[at]
        };
        self.of_source = (0..n).map(|i| label(i, self.r[i], &mut root)).collect();
        self.of_target = (0..m).map(|j| label(n + j, self.c[j], &mut root)).collect();
        self.components = count as usize;
    }

    /// The number of connected components.
    #[must_use]
    pub fn components(&self) -> usize {
        self.components
    }

    /// Makes ⟨s, r⟩ = ⟨t, c⟩ in every component of a Hessian without ridges.
    pub(crate) fn centre(&self, shifts: &mut Shifts) {
        let mut sums = vec![[0.0_f64; 2]; self.components];
        let mut add = |of: &[u32], x: &[f64], w: &[f64], sign: f64| {
            for ((&k, x), w) in of
                .iter()
                .zip(x)
                .zip(w)
                .filter(|((k, _), _)| **k != u32::MAX)
            {
                sums[k as usize][0] += sign * x * w;
                sums[k as usize][1] += w;
            }
        };
        add(&self.of_source, &shifts.s, &self.r, 1.0);
        add(&self.of_target, &shifts.t, &self.c, -1.0);
        let move_by = |of: &[u32], x: &mut [f64], sign: f64| {
            for (&k, x) in of.iter().zip(x).filter(|(k, _)| **k != u32::MAX) {
                let [sum, mass] = sums[k as usize];
                *x -= sign * sum / mass;
            }
        };
        move_by(&self.of_source, &mut shifts.s, 1.0);
        move_by(&self.of_target, &mut shifts.t, -1.0);
    }

    /// Takes off `w` (m entries) what a singular Schur complement can't give: its sum over each component.
    pub(crate) fn project(&self, w: &mut [f64]) {
        if self.ridge_a > 0.0 || self.ridge_b > 0.0 {
            return;
        }
        let mut sums = vec![[0.0_f64; 2]; self.components];
        for ((&k, w), c) in self
            .of_target
            .iter()
            .zip(&*w)
            .zip(&self.c)
            .filter(|((k, _), _)| **k != u32::MAX)
        {
            sums[k as usize][0] += w;
            sums[k as usize][1] += c;
        }
        for ((&k, w), c) in self
            .of_target
            .iter()
            .zip(w)
            .zip(&self.c)
            .filter(|((k, _), _)| **k != u32::MAX)
        {
            let [sum, mass] = sums[k as usize];
            *w -= sum * (c / mass);
        }
    }

    /// ‖[u; v] − H [s; t]‖₁ over the mass of both sides.
    pub(crate) fn residual(&self, shifts: &Shifts, u: &[f64], v: &[f64]) -> f64 {
        let mut scratch = self.scratch();
        let mut columns: Vec<f64> = (v.iter().zip(&self.c).zip(&shifts.t))
            .map(|((v, c), t)| v - c * (1.0 + self.ridge_b) * t)
            .collect();
        let mut sum = 0.0;
        for i in (0..self.r.len()).filter(|&i| self.r[i] > 0.0) {
            let s = shifts.s[i];
            let mut left = u[i] - self.r[i] * (1.0 + self.ridge_a) * s;
            self.row(i, &mut scratch).visit(|j, p| {
                left -= p * shifts.t[j];
                columns[j] -= p * s;
            });
            sum += left.abs();
        }
        sum += (columns.iter().zip(&self.c))
            .filter(|(_, c)| **c > 0.0)
            .map(|(x, _)| x.abs())
            .sum::<f64>();
        sum / (self.r.iter().sum::<f64>() + self.c.iter().sum::<f64>())
    }
}

fn stored<'a>(parts: Vec<Part>) -> Graph<'a> {
    let mut start = vec![0];
    let (mut cols, mut values) = (Vec::new(), Vec::new());
    for part in parts {
        for count in &part.counts {
            start.push(start[start.len() - 1] + count);
        }
        // One part at a time is copied and dropped.
        cols.extend_from_slice(&part.cols);
        values.extend_from_slice(&part.values);
    }
    Graph::Stored {
        start,
        cols,
        values,
    }
}
