//! Energy distance and maximum mean discrepancy: what Sinkhorn divergences tend to as ε grows. O(n + m) memory.

use std::sync::Arc;

use ot_kernels::exp::exp_in_place;
use ot_kernels::linear::{add_scaled, product_sum};
use ot_kernels::reduce;

use solver_api::{Cost, Error, Ground, Measure, PlanRow, PointCost};

use crate::input::shape;
use crate::objective::WeightGradient;
use crate::points::{CostGradient, PointGradient, chain_rule};
use crate::rows::{Chunks, sum_into};

/// What two points have to do with each other.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Kernel {
    /// −c(x, y) for a ground cost c. Conditionally positive definite, and the discrepancy ≥ 0, for `euclidean`,
    /// `power:P` with P ≤ 2 and `sqeuclidean`; others are taken as they are.
    Negative(Ground),
    /// exp(−‖x − y‖²/(2σ²)).
    Gaussian(f64),
    /// exp(−‖x − y‖/σ).
    Laplace(f64),
}

/// ½·MMD² of two measures of equal mass, Σ a k(x, x′) a/2 + Σ b k(y, y′) b/2 − Σ a k(x, y) b, and its derivatives.
#[derive(Debug, Clone)]
pub struct Discrepancy {
    /// ½·MMD².
    pub value: f64,
    kernel: Kernel,
    a: Measure,
    b: Measure,
    /// Kernel matrices by way of the costs they are functions of: between, among sources, among targets.
    costs: [PointCost; 3],
    /// Σ_j k(x_i, y_j) b_j less Σ k(x_i, x_j) a_j, the other way round for b.
    potentials: WeightGradient,
}

/// E(a, b) − ½E(a, a) − ½E(b, b) of the product plans, E(a, b) = Σ a_i b_j c(x_i, y_j): the energy distance as 001 has it,
/// which is half of that in statistics (2E(a, b) − E(a, a) − E(b, b)). Points are row-major of dimension `dim`.
/// Time O((n + m)²·dim), memory O((n + m)·dim).
///
/// # Errors
/// Those of [`PointCost::new`]; lengths that differ; masses that differ by more than 1e-9 relative (where they differ,
/// the value depends on the origin of c).
pub fn energy_distance(
    a: &Measure,
    b: &Measure,
    x: &[f64],
    y: &[f64],
    dim: usize,
    ground: &Ground,
) -> Result<Discrepancy, Error> {
    discrepancy(a, b, x, y, dim, &Kernel::Negative(ground.clone()))
}

/// ½·MMD² with the given kernel: for [`Kernel::Negative`] the [`energy_distance`].
///
/// # Errors
/// As [`energy_distance`]; a σ that is not positive and finite.
pub fn discrepancy(
    a: &Measure,
    b: &Measure,
    x: &[f64],
    y: &[f64],
    dim: usize,
    kernel: &Kernel,
) -> Result<Discrepancy, Error> {
    let ground = kernel.ground()?;
    let (x, y): (Arc<[f64]>, Arc<[f64]>) = (x.into(), y.into());
    let cost = |x: &Arc<[f64]>, y: &Arc<[f64]>| {
        PointCost::new(Arc::clone(x), Arc::clone(y), dim, ground.clone())
    };
    let costs = [cost(&x, &y)?, cost(&x, &x)?, cost(&y, &y)?];
    let (n, m) = costs[0].shape();
    for (argument, len, want) in [("a", a.len(), n), ("b", b.len(), m)] {
        if len != want {
            return Err(shape(argument, &[len], format!("there are {want} points")));
        }
    }
    let (a_mass, b_mass) = (a.mass(), b.mass());
    if matches!(kernel, Kernel::Negative(_)) && (a_mass - b_mass).abs() > 1e-9 * a_mass.max(b_mass)
    {
        return Err(Error::MassMismatch {
            a_mass,
            b_mass,
            tolerance: 1e-9,
        });
    }
    let (wa, wb) = (a.weights(), b.weights());
    let [ab, aa, bb] = &costs;
    // Towards the other measure less towards one's own: values that nearly cancel do so before they are weighted.
    let (to_a, to_b) = kernel.sums(ab, wa, wb);
    let (own_a, _) = kernel.sums(aa, wa, wa);
    let (own_b, _) = kernel.sums(bb, wb, wb);
    let apart = |own: &[f64], other: &[f64]| -> Vec<f64> {
        own.iter().zip(other).map(|(o, t)| o - t).collect()
    };
    let potentials = WeightGradient {
        a: apart(&own_a, &to_a),
        b: apart(&own_b, &to_b),
    };
    // ½⟨a, K a⟩ + ½⟨b, K b⟩ − ⟨a, K b⟩.
    let value = 0.5 * reduce::dot(wa, &potentials.a) + 0.5 * reduce::dot(wb, &potentials.b);
    Ok(Discrepancy {
        value,
        kernel: kernel.clone(),
        a: a.clone(),
        b: b.clone(),
        costs,
        potentials,
    })
}

impl Kernel {
    /// The cost that the kernel is a function of.
    fn ground(&self) -> Result<Ground, Error> {
        let (sigma, ground) = match self {
            Self::Negative(ground) => return Ok(ground.clone()),
            Self::Gaussian(sigma) => (*sigma, Ground::SqEuclidean),
            Self::Laplace(sigma) => (*sigma, Ground::Euclidean),
        };
        if sigma > 0.0 && sigma.is_finite() {
            Ok(ground)
        } else {
            Err(Error::setting(
                "sigma",
                sigma,
                "must be positive and finite",
            ))
        }
    }

    /// What the cost is divided by in the exponent; 0 where there is none.
    fn scale(&self) -> f64 {
        match self {
            Self::Negative(_) => 0.0,
            Self::Gaussian(sigma) => 2.0 * sigma * sigma,
            Self::Laplace(sigma) => *sigma,
        }
    }

    /// From a row of costs to a row of kernel values.
    fn of_row(&self, row: &mut [f64]) {
        let scale = self.scale();
        if scale == 0.0 {
            row.iter_mut().for_each(|c| *c = -*c);
            return;
        }
        let factor = -1.0 / scale;
        row.iter_mut().for_each(|c| *c *= factor);
        exp_in_place(row);
    }

    /// K b and Kᵀa.
    fn sums(&self, cost: &PointCost, a: &[f64], b: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let (n, m) = cost.shape();
        let mut chunks = Chunks::new(n, m * cost.dim(), |_| {
            (Vec::new(), vec![0.0; m], vec![0.0; m])
        });
        chunks.pass(|(own, columns, row), rows| {
            for i in rows {
                cost.row(i, row);
                self.of_row(row);
                own.push(product_sum(row, b));
                add_scaled(a[i], row, columns);
            }
        });
        let rooms = chunks.into_rooms();
        let mut columns = vec![0.0; m];
        sum_into(&mut columns, rooms.iter().map(|room| &room.1[..]));
        (rooms.into_iter().flat_map(|room| room.0).collect(), columns)
    }
}

/// ∂(Σ a k b)/∂c, a row at a time.
struct KernelGradient<'a> {
    kernel: &'a Kernel,
    cost: &'a PointCost,
    a: &'a [f64],
    b: &'a [f64],
}

impl CostGradient for KernelGradient<'_> {
    fn shape(&self) -> (usize, usize) {
        self.cost.shape()
    }

    fn scratch(&self) -> Vec<f64> {
        vec![0.0; self.b.len()]
    }

    fn row<'a>(&'a self, i: usize, scratch: &'a mut [f64]) -> PlanRow<'a> {
        let scale = self.kernel.scale();
        if scale == 0.0 {
            scratch
                .iter_mut()
                .zip(self.b)
                .for_each(|(out, b)| *out = -self.a[i] * b);
        } else {
            self.cost.row(i, scratch);
            self.kernel.of_row(scratch);
            let factor = -self.a[i] / scale;
            scratch
                .iter_mut()
                .zip(self.b)
                .for_each(|(out, b)| *out *= factor * b);
        }
        PlanRow::Dense(scratch)
    }
}

impl Discrepancy {
    /// MMD, the root of twice the value; 0 where rounding has left it below.
    #[must_use]
    pub fn mmd(&self) -> f64 {
        (2.0 * self.value).max(0.0).sqrt()
    }

    /// ∂value/∂(a, b). For [`Kernel::Negative`] only directions that keep the masses equal have a meaning.
    #[must_use]
    pub fn weights(&self) -> &WeightGradient {
        &self.potentials
    }

    /// ∂value/∂(X, Y). Time O((n + m)²·dim).
    ///
    /// # Errors
    /// `Ground::OfDistance`.
    pub fn points(&self) -> Result<PointGradient, Error> {
        let (a, b) = (self.a.weights(), self.b.weights());
        let [ab, aa, bb] = &self.costs;
        let of = |cost: &PointCost, a: &[f64], b: &[f64]| -> Result<PointGradient, Error> {
            let kernel = &self.kernel;
            chain_rule(cost, &KernelGradient { kernel, cost, a, b })
        };
        let mut out = of(ab, a, b)?;
        out.x.iter_mut().chain(&mut out.y).for_each(|d| *d = -*d);
        let (aa, bb) = (of(aa, a, a)?, of(bb, b, b)?);
        out.add(0.5, &aa.x, &bb.x);
        out.add(0.5, &aa.y, &bb.y);
        Ok(out)
    }
}
