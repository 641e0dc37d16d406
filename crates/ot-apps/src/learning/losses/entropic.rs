//! The entropic Wasserstein loss of 003: all rows of a batch against one kernel.
//!
//! W(h, y) = min ⟨T, M⟩ − ε·H(T) over plans from h to y, equation (6), with ε = 1/λ and H(T) = −Σ T log T. T = diag(u) K
//! diag(v); algorithm 1 iterates u ← h ⊘ (K (y ⊘ Kᵀu)), and ∂W/∂h = ε log u less its plain mean. Here K = e^{−M/ε}: the
//! source's factor e⁻¹ goes into u, where the mean takes it away.
//!
//! Sources: 003 (Frogner et al., *Learning with a Wasserstein loss*, 2015), section 4; Cuturi, *Sinkhorn distances*
//! (2013).

use ot_kernels::exp::exp_in_place;
use ot_kernels::gemm::{ktu_batch, kv_batch};
use ot_kernels::ln::ln;
use ot_kernels::scaling::divide;
use solver_api::{Context, Reg};

use super::{Loss, Rows, Sums};
use crate::Error;
use crate::learning::LabelCost;

/// No cost is more than this many times ε: scalings are as large as reciprocals of the kernel, and products of two of
/// them times the smallest prediction have to be normal numbers.
pub(super) const LARGEST_EXPONENT: f64 = 150.0;

/// What the entropy is relative to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EntropicReference {
    /// −ε·H(T), as in 003. It draws predictions apart: for a single true label κ the least loss is that of h ∝ e^{−M_κ/ε},
    /// so that labels near to the right one are said, too (003, figure 4).
    #[default]
    Lebesgue,
    /// ε·KL(T ‖ h⊗y), as everywhere else in this library: for a single true label the loss is ⟨h, M_κ⟩, without ε.
    Marginals,
}

/// What can be set of [`EntropicWasserstein`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EntropicSettings {
    /// ε = 1/λ. Default: 0.05 of the largest cost: plans blur over labels that are a twentieth of it apart.
    pub reg: Reg,
    /// Iterations at most of a batch. Default: 20. Rows go on from where they stood in the last epoch, so that few are
    /// needed; a target of one label takes 1 whatever is set.
    pub iterations: usize,
    /// The marginal error, L1 and relative to the mass, at which a batch ends. Default: 1e-4, far below the noise of a
    /// stochastic gradient.
    pub tol: f64,
    /// What the entropy is relative to. Default: as in 003.
    pub reference: EntropicReference,
}

impl Default for EntropicSettings {
    fn default() -> Self {
        Self {
            reg: Reg::Relative(0.05),
            iterations: 20,
            tol: 1e-4,
            reference: EntropicReference::Lebesgue,
        }
    }
}

/// 003's loss between distributions of equal mass. Predictions must be above 0. An iteration on a batch of B rows is two
/// products of K×K with K×B; memory K² for the kernel and O(B·K). On one thread.
#[derive(Debug, Clone)]
pub struct EntropicWasserstein {
    settings: EntropicSettings,
    kernel: Kernel,
}

/// e^{−M/ε}.
#[derive(Debug, Clone)]
pub(super) struct Kernel {
    pub(super) labels: usize,
    pub(super) reg: f64,
    entries: Vec<f64>,
}

impl Kernel {
    pub(super) fn new(cost: &LabelCost, reg: Reg) -> Result<Self, Error> {
        reg.check()?;
        let eps = reg.resolve_beside(cost.shared().as_ref());
        let largest = cost.largest();
        if largest > LARGEST_EXPONENT * eps {
            let rule = format!(
                "must be at least {:e}, the largest cost over {LARGEST_EXPONENT}, or kernels leave the range of numbers; \
                 `TransportLoss` takes any solver, such as sinkhorn-stabilized, down to 0",
                largest / LARGEST_EXPONENT
            );
            return Err(Error::setting("reg", eps, &rule));
        }
        let mut entries: Vec<f64> = cost.matrix().iter().map(|m| -m / eps).collect();
        exp_in_place(&mut entries);
        Ok(Self {
            labels: cost.labels(),
            reg: eps,
            entries,
        })
    }

    /// out = K v for each row.
    pub(super) fn times(&self, v: &[f64], out: &mut [f64]) {
        kv_batch(&self.entries, self.labels, self.labels, v, out, 1);
    }

    /// out = Kᵀ u for each row.
    pub(super) fn back(&self, u: &[f64], out: &mut [f64]) {
        ktu_batch(&self.entries, self.labels, self.labels, u, out, 1);
    }
}

pub(super) fn check_iterations(iterations: usize, tol: f64) -> Result<(), Error> {
    if iterations == 0 {
        return Err(Error::setting("iterations", 0, "must be at least 1"));
    }
    if tol >= 0.0 && tol.is_finite() {
        return Ok(());
    }
    Err(Error::setting(
        "tol",
        tol,
        "must be finite and not negative",
    ))
}

impl EntropicWasserstein {
    /// At `cost` between labels.
    ///
    /// # Errors
    /// A setting outside of its range, and a `reg` below 1/150 of the largest cost.
    pub fn new(cost: &LabelCost, settings: EntropicSettings) -> Result<Self, Error> {
        check_iterations(settings.iterations, settings.tol)?;
        Ok(Self {
            settings,
            kernel: Kernel::new(cost, settings.reg)?,
        })
    }

    /// ε in the units of the cost.
    #[must_use]
    pub fn reg(&self) -> f64 {
        self.kernel.reg
    }

    /// u, v and K v of every row, by algorithm 1 from `v`; v = 0 everywhere is no start.
    fn scale(&self, rows: &Rows<'_>, v: &mut [f64], u: &mut [f64], kv: &mut [f64]) {
        let (h, y) = (rows.prediction(), rows.target());
        let mut ktu = vec![0.0; h.len()];
        // With all of a row's target on one label there is one plan, and one iteration finds it from anywhere.
        let single = rows
            .pairs()
            .all(|(_, y)| y.iter().filter(|y| **y > 0.0).count() == 1);
        let most = if single { 1 } else { self.settings.iterations };
        u.fill(1.0);
        if !single {
            self.kernel.times(v, kv);
            let labels = rows.labels();
            let starts = u.chunks_exact_mut(labels).zip(kv.chunks_exact(labels));
            for ((u, kv), (h, _)) in starts.zip(rows.pairs()) {
                // A row that was seen before; a new one starts from u = 1, as algorithm 1 does.
                if kv.iter().all(|kv| *kv > 0.0) {
                    divide(h, kv, u);
                }
            }
        }
        for iteration in 0..most {
            self.kernel.back(u, &mut ktu);
            if iteration > 0 && self.settled(rows, v, &ktu) {
                break;
            }
            divide(y, &ktu, v);
            self.kernel.times(v, kv);
            divide(h, kv, u);
        }
    }

    /// Whether the columns of every row's plan have their mass; its rows have.
    fn settled(&self, rows: &Rows<'_>, v: &[f64], ktu: &[f64]) -> bool {
        let labels = rows.labels();
        let sides = v.chunks_exact(labels).zip(ktu.chunks_exact(labels));
        sides.zip(rows.pairs()).all(|((v, ktu), (_, y))| {
            let (mut off, mut mass) = (0.0, 0.0);
            for j in 0..labels {
                off += (v[j] * ktu[j] - y[j]).abs();
                mass += y[j];
            }
            off <= self.settings.tol * mass
        })
    }
}

impl Loss for EntropicWasserstein {
    fn name(&self) -> String {
        "entropic-wasserstein".to_owned()
    }

    fn labels(&self) -> Option<usize> {
        Some(self.kernel.labels)
    }

    fn memory(&self, labels: usize) -> usize {
        labels
    }

    fn evaluate(
        &self,
        rows: Rows<'_>,
        memory: &mut [f64],
        sums: &mut Sums<'_>,
        _context: &mut Context,
    ) -> Result<(), Error> {
        rows.check(self.kernel.labels, true)?;
        rows.check_masses()?;
        let (labels, reg) = (rows.labels(), self.kernel.reg);
        let (mut u, mut kv) = (vec![0.0; memory.len()], vec![0.0; memory.len()]);
        self.scale(&rows, memory, &mut u, &mut kv);
        // log u from log(K v): u itself may be as small as the prediction.
        let (mut log_kv, mut log_h) = (u, vec![0.0; kv.len()]);
        ln(&kv, &mut log_kv);
        ln(rows.prediction(), &mut log_h);
        let sides = log_kv.chunks_exact(labels).zip(log_h.chunks_exact(labels));
        let sides = sides.zip(memory.chunks_exact(labels));
        for (row, (((log_kv, log_h), v), (h, y))) in sides.zip(rows.pairs()).enumerate() {
            let entropy = match self.settings.reference {
                EntropicReference::Lebesgue => 1.0,
                EntropicReference::Marginals => 0.0,
            };
            let potential = |i: usize| reg * (entropy * log_h[i] - log_kv[i]);
            let (mut value, mut mean) = (0.0, 0.0);
            for i in 0..labels {
                let f = potential(i);
                value += h[i] * f;
                mean += f / labels as f64;
                if y[i] > 0.0 {
                    // g = ε log v, less ε log y where the reference is that of the marginals.
                    let over = if entropy > 0.0 { v[i] } else { v[i] / y[i] };
                    value += y[i] * reg * over.ln();
                }
            }
            sums.add(row, value, (0..labels).map(|i| potential(i) - mean));
        }
        Ok(())
    }
}
