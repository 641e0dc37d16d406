//! What takes n² pairs with any other cost, axis by axis with that of a grid: n·Σ dims operations, O(n) memory.

use ot_kernels::separable::{Axis, LogAxis, log_sum_exp};

use crate::cost::{Cost, CostKind, GridCost};
use crate::measure;

/// The grid, if the cost is that of one.
pub(crate) fn grid_of(cost: &dyn Cost) -> Option<&GridCost> {
    match cost.kind() {
        CostKind::Grid(grid) => Some(grid),
        _ => None,
    }
}

/// min_j (C_ij − p_j) over the cells that `uses` accepts and whose p is finite; +∞ where there are none. C is
/// symmetric: both c-transforms are this one.
pub(crate) fn least(grid: &GridCost, p: &[f64], uses: impl Fn(usize) -> bool) -> Vec<f64> {
    let signed = p.iter().enumerate();
    let x: Vec<f64> = signed
        .map(|(j, &p)| {
            if p.is_finite() && uses(j) {
                -p
            } else {
                f64::INFINITY
            }
        })
        .collect();
    let axes: Vec<_> = (grid.dims().iter().enumerate())
        .map(|(k, &d)| Axis::new(&grid.axis_cost(k), d))
        .collect();
    let axes: Vec<_> = axes.iter().collect();
    let (mut out, mut room) = (vec![0.0; x.len()], vec![0.0; x.len()]);
    ot_kernels::separable::least(&axes, &x, &mut out, &mut room, true);
    out
}

/// The sums of `v` over all axes but `k`.
fn marginal(grid: &GridCost, v: &[f64], k: usize) -> Vec<f64> {
    let d = grid.dims()[k];
    let below: usize = grid.dims()[k + 1..].iter().product();
    let mut sums = vec![0.0; d];
    for (line, values) in v.chunks_exact(below).enumerate() {
        sums[line % d] += values.iter().sum::<f64>();
    }
    sums
}

/// Σ_j c_k(|i − j|) v_j for each i of axis `k`.
fn axis_prices(grid: &GridCost, k: usize, v: &[f64]) -> Vec<f64> {
    let c = grid.by_distance(k);
    (0..v.len())
        .map(|i| {
            v.iter()
                .enumerate()
                .map(|(j, v)| v * c[i.abs_diff(j)])
                .sum()
        })
        .collect()
}

/// ⟨u vᵀ, C⟩ for u, v ≥ 0: a sum over axes of what their marginals come to. O(n + Σ dims²).
pub(crate) fn price_of_product(grid: &GridCost, u: &[f64], v: &[f64]) -> f64 {
    let (mass_u, mass_v) = (measure::sum(u), measure::sum(v));
    let mut total = 0.0;
    for k in 0..grid.dims().len() {
        // Each side at mass 1: products of tiny masses underflow.
        let prices = axis_prices(grid, k, &scaled(marginal(grid, v, k), mass_v));
        let u = scaled(marginal(grid, u, k), mass_u);
        total += u.iter().zip(prices).map(|(u, p)| u * p).sum::<f64>();
    }
    mass_u * mass_v * total
}

fn scaled(mut v: Vec<f64>, mass: f64) -> Vec<f64> {
    if mass > 0.0 {
        v.iter_mut().for_each(|v| *v /= mass);
    }
    v
}

/// C v: Σ_j C_ij v_j for each cell. O(n + Σ dims²).
pub(crate) fn prices_of(grid: &GridCost, v: &[f64]) -> Vec<f64> {
    let mut prices = vec![0.0; v.len()];
    for (k, &d) in grid.dims().iter().enumerate() {
        let along = axis_prices(grid, k, &marginal(grid, v, k));
        let below: usize = grid.dims()[k + 1..].iter().product();
        for (line, out) in prices.chunks_exact_mut(below).enumerate() {
            out.iter_mut().for_each(|p| *p += along[line % d]);
        }
    }
    prices
}

/// Log-domain products with exp(−C/ε).
#[derive(Debug)]
pub(crate) struct SoftGrid {
    axes: Vec<LogAxis>,
    reg: f64,
}

impl SoftGrid {
    pub(crate) fn new(grid: &GridCost, reg: f64) -> Self {
        let axis = |k| LogAxis::new(grid.by_distance(k), 1.0 / reg, None);
        Self {
            axes: (0..grid.dims().len()).map(axis).collect(),
            reg,
        }
    }

    /// ln Σ_j exp(x_j − C_ij/ε).
    pub(crate) fn log_sum_exp(&self, x: &[f64]) -> Vec<f64> {
        let axes: Vec<_> = self.axes.iter().collect();
        through(&axes, x)
    }

    /// ⟨P, C⟩ for P_ij = exp(x_i + y_j − C_ij/ε) and the cost of `grid`, of the same dimensions: axis by axis the
    /// product with the kernel of that axis times its cost.
    pub(crate) fn price(&self, grid: &GridCost, kernel: &GridCost, x: &[f64], y: &[f64]) -> f64 {
        let mut total = Vec::new();
        for k in 0..self.axes.len() {
            let c = grid.by_distance(k);
            let unit = c.iter().fold(0.0_f64, |t, c| t.max(*c));
            if unit == 0.0 {
                continue;
            }
            let weights: Vec<f64> = c.iter().map(|c| c / unit).collect();
            let priced = LogAxis::new(kernel.by_distance(k), 1.0 / self.reg, Some(&weights));
            let mut axes: Vec<_> = self.axes.iter().collect();
            axes[k] = &priced;
            let logs = through(&axes, y);
            let parts: Vec<f64> = x.iter().zip(logs).map(|(&x, l)| exp_of_sum(x, l)).collect();
            total.push(unit * measure::sum(&parts));
        }
        measure::sum(&total)
    }

    /// −ε ln Σ_j (w_j/scale) exp((p_j − C_ij)/ε), over the cells with weight; +∞ where there are none.
    pub(crate) fn soft_transform(&self, p: &[f64], w: &[f64], scale: f64) -> Vec<f64> {
        let x: Vec<f64> = p
            .iter()
            .zip(w)
            .map(|(p, &w)| {
                if w > 0.0 {
                    p / self.reg + (w / scale).ln()
                } else {
                    f64::NEG_INFINITY
                }
            })
            .collect();
        let mut out = self.log_sum_exp(&x);
        out.iter_mut().for_each(|x| *x *= -self.reg);
        out
    }
}

/// exp(x + y), and 0 where x says that there is nothing.
pub(crate) fn exp_of_sum(x: f64, y: f64) -> f64 {
    if x == f64::NEG_INFINITY {
        0.0
    } else {
        (x + y).exp()
    }
}

fn through(axes: &[&LogAxis], x: &[f64]) -> Vec<f64> {
    let (mut out, mut room) = (vec![0.0; x.len()], vec![0.0; x.len()]);
    log_sum_exp(axes, x, &mut out, &mut room, true);
    out
}
