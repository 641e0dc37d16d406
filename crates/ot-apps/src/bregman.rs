//! Entropic barycenters on a fixed support by iterated Bregman projections.
//!
//! q minimizes Σ_k λ_k (⟨P_k, C⟩ + ε KL(P_k ‖ 1)) over plans from p_k to q. With K = exp(−C/ε) the projections are
//! u_k = p_k / K v_k, q = Π_k (Kᵀ u_k)^{λ_k}, v_k = q / Kᵀ u_k.
//!
//! Why this and not descent along any solver's potentials (Cuturi and Doucet, 2014): it converges linearly without a
//! step size, and an iteration on all measures together is two matrix products, where a step of a descent is one solve
//! for each measure. With squared distances it blurs by about √(ε/2); `debiased` takes that out again.
//!
//! Sources: Benamou, Carlier, Cuturi, Nenna and Peyré, *Iterative Bregman projections for regularized transportation
//! problems* (2015); Janati, Cuturi and Gramfort, *Debiased Sinkhorn barycenters* (2020), algorithm 1.

use std::sync::Arc;
use std::time::Instant;

use ot_kernels::exp;
use ot_kernels::gemm::{ktu_batch, kv_batch};
use ot_kernels::separable::{Axis, multiply};
use solver_api::{
    Barycenter, Barycenters, Check, Context, Convergence, Cost, CostKind, Error, Measure, Progress,
    Reg, Termination,
};

/// No spread of the cost is more than this many times ε: scalings are as large as the reciprocals of the kernel, and
/// products of two of them have to be numbers.
const LARGEST_EXPONENT: f64 = 300.0;

/// What can be set of [`Bregman`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BregmanSettings {
    /// Regularization ε. Default: 4e-3 of the largest cost, near the least that the kernel's range admits (the spread
    /// of the cost over 300): a barycenter's blur is no help.
    pub reg: Reg,
    /// The largest of the measures' marginal errors, L1 at mass 1, at which it ends; with `debiased` also what the fixed
    /// point is off by. Default: 1e-3: the last thousandth
    /// of the mass takes as long as all before it, and a picture shows none of it.
    pub tol: f64,
    /// Iterations at most. Default: 1000.
    pub max_iter: u64,
    /// Takes the blur of the entropy out, for costs that are the same on both sides. Default: off.
    pub debiased: bool,
}

impl Default for BregmanSettings {
    fn default() -> Self {
        Self {
            reg: Reg::Relative(4e-3),
            tol: 1e-3,
            max_iter: 1000,
            debiased: false,
        }
    }
}

/// Barycenters by iterated Bregman projections. Time O(n·m·K) an iteration (O(n·Σ dims·K) for a cost that is a
/// [`GridCost`](solver_api::GridCost)), memory O(n·m + (n + m)·K).
#[derive(Debug, Clone, Default)]
pub struct Bregman {
    settings: BregmanSettings,
}

impl Bregman {
    /// The name in reports and errors.
    pub const NAME: &str = "bregman";

    /// With checked settings.
    ///
    /// # Errors
    /// A setting outside of its range.
    pub fn new(settings: BregmanSettings) -> Result<Self, Error> {
        settings.reg.check()?;
        if !(settings.tol > 0.0 && settings.tol.is_finite()) {
            let rule = "must be positive and finite";
            return Err(Error::setting("tol", settings.tol, rule));
        }
        if settings.max_iter == 0 {
            return Err(Error::setting("max_iter", 0, "must be at least 1"));
        }
        Ok(Self { settings })
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &BregmanSettings {
        &self.settings
    }

    /// ε in cost units.
    fn reg(&self, cost: &dyn Cost) -> Result<f64, Error> {
        let range = cost.range();
        if range.forbidden > 0 {
            return Err(Error::unsupported(Self::NAME, "forbidden-pairs"));
        }
        let reg = self.settings.reg.resolve_beside(cost);
        if range.spread() > LARGEST_EXPONENT * reg {
            let least = range.spread() / LARGEST_EXPONENT;
            let rule = format!(
                "is too small for costs that differ by {:e}: `bregman` needs {least:e} or more",
                range.spread()
            );
            return Err(Error::setting("reg", reg, rule));
        }
        Ok(reg)
    }
}

impl Barycenters for Bregman {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn barycenter(
        &self,
        cost: &Arc<dyn Cost>,
        measures: &[Measure],
        lambda: &[f64],
        context: &mut Context,
    ) -> Result<Barycenter, Error> {
        let (n, m) = cost.shape();
        if lambda.len() != measures.len() {
            return Err(Error::ShapeMismatch {
                argument: "lambda",
                found: lambda.len().to_string(),
                expected: format!("there are {} measures", measures.len()),
            });
        }
        if let Some(odd) = measures.iter().find(|p| p.len() != n) {
            return Err(Error::ShapeMismatch {
                argument: "measures",
                found: odd.len().to_string(),
                expected: format!("`cost` has {n} rows"),
            });
        }
        if self.settings.debiased && n != m {
            return Err(Error::ShapeMismatch {
                argument: "cost",
                found: format!("{n}×{m}"),
                expected: "`debiased` needs the same points on both sides".to_owned(),
            });
        }
        let lambda = Measure::named("lambda", lambda)?.normalized();
        let reg = self.reg(cost.as_ref())?;
        // Rows where no measure has weight have u = 0.
        let grid = matches!(cost.kind(), CostKind::Grid(_));
        let used = |i: &usize| grid || measures.iter().any(|p| p.weights()[*i] > 0.0);
        let rows: Vec<usize> = (0..n).filter(used).collect();
        let kernel = Kernel::new(cost.as_ref(), reg, &rows);
        let own = self.settings.debiased.then(|| {
            if rows.len() == n {
                None
            } else {
                Some(Kernel::new(cost.as_ref(), reg, &(0..n).collect::<Vec<_>>()))
            }
        });
        let mut state = State::new(measures, &rows, m, own);
        let started = Instant::now();
        let mut history = Vec::new();
        let mut iteration = 0;
        let termination = loop {
            iteration += 1;
            let error = state.step(&kernel, lambda.weights());
            if (iteration > 1 && !error.is_finite()) || !state.q.iter().all(|q| q.is_finite()) {
                break Termination::NumericalFailure;
            }
            if error <= self.settings.tol {
                break Termination::Converged;
            }
            if iteration >= self.settings.max_iter {
                break Termination::IterationLimit;
            }
            let elapsed = started.elapsed();
            if context.keep_history {
                history.push(Check {
                    iteration,
                    error,
                    elapsed,
                });
            }
            let progress = Progress {
                problem: context.problem_index,
                iteration,
                part: None,
                error,
                tol: self.settings.tol,
                certificate: None,
                elapsed,
            };
            if let Some(termination) = context.check(&progress) {
                break termination;
            }
        };
        let convergence = Convergence {
            termination,
            iterations: Some(iteration),
            source_error: 0.0,
            target_error: state.error,
            history,
        };
        if termination == Termination::NumericalFailure {
            return Err(Error::NotConverged {
                solver: Self::NAME.to_owned(),
                termination,
                iterations: Some(iteration),
                source_error: 0.0,
                target_error: state.error,
            });
        }
        Ok(Barycenter {
            weights: Measure::named("barycenter", state.q)?.normalized(),
            convergence,
        })
    }
}

/// exp(−C/ε), as the cost is stored.
enum Kernel {
    Matrix(Vec<f64>, usize, usize),
    Grid(Vec<Axis<f64>>),
}

impl Kernel {
    /// Of the rows of the cost at `rows`, which are all of them for a grid.
    fn new(cost: &dyn Cost, reg: f64, rows: &[usize]) -> Self {
        // What is taken off the cost scales the kernel, and so all of u, alone.
        let gibbs = |c: &mut [f64], least: f64| {
            c.iter_mut().for_each(|c| *c = (least - *c) / reg);
            exp::exp_in_place(c);
        };
        if let CostKind::Grid(grid) = cost.kind() {
            let axes = grid.dims().iter().enumerate().map(|(k, &d)| {
                let mut c = grid.axis_cost(k);
                gibbs(&mut c, 0.0);
                Axis::new(&c, d)
            });
            return Self::Grid(axes.collect());
        }
        let (n, m) = (rows.len(), cost.shape().1);
        let mut kernel = vec![0.0; n * m];
        for (out, &i) in kernel.chunks_exact_mut(m).zip(rows) {
            cost.row(i, out);
        }
        gibbs(&mut kernel, cost.range().min);
        Self::Matrix(kernel, n, m)
    }

    /// K v of many vectors, one after another.
    fn forward(&self, v: &[f64], out: &mut [f64]) {
        match self {
            Self::Matrix(k, n, m) => kv_batch(k, *n, *m, v, out, 1),
            Self::Grid(axes) => along(axes, v, out),
        }
    }

    /// Kᵀ u of many vectors.
    fn backward(&self, u: &[f64], out: &mut [f64]) {
        match self {
            Self::Matrix(k, n, m) => ktu_batch(k, *n, *m, u, out, 1),
            // Grids are the same from both sides.
            Self::Grid(axes) => along(axes, u, out),
        }
    }
}

fn along(axes: &[Axis<f64>], x: &[f64], out: &mut [f64]) {
    let cells: usize = axes.iter().map(Axis::len).product();
    let axes: Vec<_> = axes.iter().collect();
    let mut room = vec![0.0; cells];
    for (x, out) in x.chunks_exact(cells).zip(out.chunks_exact_mut(cells)) {
        multiply(&axes, x, out, &mut room, false);
    }
}

/// Scalings of all measures, one after another.
struct State {
    p: Vec<f64>,
    v: Vec<f64>,
    q: Vec<f64>,
    /// The scaling that takes the blur out, and the kernel between the points of the support, where that is not the one
    /// of the measures.
    debias: Option<(Vec<f64>, Option<Kernel>)>,
    error: f64,
    started: bool,
    of_rows: Vec<f64>,
    of_cols: Vec<f64>,
    logs: Vec<f64>,
}

impl State {
    fn new(measures: &[Measure], rows: &[usize], m: usize, own: Option<Option<Kernel>>) -> Self {
        let p = measures.iter().map(Measure::normalized);
        let p: Vec<f64> = p
            .flat_map(|p| rows.iter().map(move |&i| p.weights()[i]))
            .collect();
        let (count, n) = (measures.len(), rows.len());
        Self {
            v: vec![1.0; m * count],
            q: vec![0.0; m],
            debias: own.map(|kernel| (vec![1.0; m], kernel)),
            error: f64::INFINITY,
            started: false,
            of_rows: vec![0.0; n * count],
            of_cols: vec![0.0; m * count],
            logs: vec![0.0; m * count],
            p,
        }
    }

    /// One round of projections. The error is that of the plans before it: their sums over the measures are right, and
    /// those over q are off by it. +∞ in the first round.
    fn step(&mut self, kernel: &Kernel, lambda: &[f64]) -> f64 {
        let (count, m) = (lambda.len(), self.q.len());
        kernel.forward(&self.v, &mut self.of_rows);
        // u in the place of K v.
        for (kv, p) in self.of_rows.iter_mut().zip(&self.p) {
            *kv = if *p > 0.0 { p / *kv } else { 0.0 };
        }
        kernel.backward(&self.of_rows, &mut self.of_cols);
        self.error = if self.started {
            let off = |k: usize| {
                let (v, got) = (
                    &self.v[k * m..(k + 1) * m],
                    &self.of_cols[k * m..(k + 1) * m],
                );
                let off = v.iter().zip(got).zip(&self.q);
                off.map(|((v, g), q)| (v * g - q).abs()).sum::<f64>()
            };
            // NaN must not get lost in a maximum.
            (0..count)
                .map(off)
                .fold(0.0, |most: f64, e| if e <= most { most } else { e })
        } else {
            f64::INFINITY
        };
        self.started = true;
        exp::ln(&self.of_cols, &mut self.logs);
        self.q.fill(0.0);
        for (logs, lambda) in self.logs.chunks_exact(m).zip(lambda) {
            // A weight of 0 takes no part, whatever the logarithm is.
            if *lambda > 0.0 {
                self.q
                    .iter_mut()
                    .zip(logs)
                    .for_each(|(q, l)| *q += lambda * l);
            }
        }
        exp::exp_in_place(&mut self.q);
        if let Some((debias, own)) = &mut self.debias {
            self.q.iter_mut().zip(&*debias).for_each(|(q, d)| *q *= d);
            let mut blurred = vec![0.0; m];
            own.as_ref().unwrap_or(kernel).forward(debias, &mut blurred);
            let mut moved = 0.0;
            for ((d, q), b) in debias.iter_mut().zip(&self.q).zip(&blurred) {
                // Where all is settled d·Kd = q.
                moved += (*d * b - q).abs();
                *d = (*d * q / b).sqrt();
            }
            self.error = if moved <= self.error {
                self.error
            } else {
                moved
            };
        }
        for (v, got) in self.v.chunks_exact_mut(m).zip(self.of_cols.chunks_exact(m)) {
            for ((v, got), q) in v.iter_mut().zip(got).zip(&self.q) {
                *v = q / got;
            }
        }
        self.error
    }
}
