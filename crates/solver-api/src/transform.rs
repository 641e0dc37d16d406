//! Potentials and their (soft) c-transforms.

use crate::{Error, assert_len};
use ot_kernels::pricing::row_min;
use ot_kernels::reduce::{both_minima, col_min_update};

use crate::cost::{ArcCost, Cost, CostKind, DenseData, LineCost, row_of, tree_of};
use crate::feasibility::{UNROUTED, components, may_forbid};
use crate::problem::{Marginals, Problem};
use crate::rows::fold_rows;
use crate::separable::{SoftGrid, grid_of, least};

/// Up to so many pairs a transform on a line looks at all of them.
const PAIRS_IN_LINE: usize = 1 << 12;

/// Dual potentials in cost units: f (n entries) and g (m entries).
///
/// Balanced: centred so that ⟨f, a⟩ = ⟨g, b⟩, one shift for each connected component of the allowed pairs.
/// Entries of zero weight are extended by the (soft) c-transform; one without an allowed partner is +∞.
/// Partial: f, g ≤ 0 and f⊕g + λ ≤ C; the transforms are cut off at 0, and no entry is +∞.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Potentials {
    /// Source potential.
    pub f: Vec<f64>,
    /// Target potential.
    pub g: Vec<f64>,
    /// Multiplier λ of the mass in a partial problem; 0 elsewhere.
    pub lambda: f64,
}

impl Potentials {
    /// Potentials without a mass multiplier.
    #[must_use]
    pub fn new(f: Vec<f64>, g: Vec<f64>) -> Self {
        Self { f, g, lambda: 0.0 }
    }

    /// Checks lengths and rejects NaN: what a warm start from outside has to pass.
    pub fn check(&self, n: usize, m: usize) -> Result<(), Error> {
        for (argument, v, len) in [("f", &self.f, n), ("g", &self.g, m)] {
            if v.len() != len {
                return Err(Error::shape(
                    argument,
                    &[v.len()],
                    format!("the problem is {n}×{m}"),
                ));
            }
            if let Some(at) = v.iter().position(|x| x.is_nan() || *x == f64::NEG_INFINITY) {
                let rule = "potentials must be numbers (+inf only at entries without a partner)";
                return Err(Error::setting(format!("{argument}[{at}]"), v[at], rule));
            }
        }
        Ok(())
    }

    /// Σ|f|a + Σ|g|b + |λ|·mass without what is infinite: what the terms of a certificate's sums come to in absolute
    /// value. Where pairs are forbidden, a part of the mass that is larger than rounding may lack an allowed way
    /// ([`check_feasible`](crate::check_feasible)), and the dual is paid for it: that counts by as much more.
    ///
    /// # Panics
    /// If the lengths are not those of the problem's weights.
    #[must_use]
    pub fn terms(&self, problem: &Problem) -> f64 {
        self.assert_fits(problem);
        let mass = problem.mass();
        let part = if may_forbid(problem.cost()) && problem.cost().range().forbidden > 0 {
            UNROUTED / 1e-12 * mass
        } else {
            0.0
        };
        let side = |p: &[f64], w: &[f64]| {
            let (mut sum, mut most) = (0.0, 0.0_f64);
            for (p, &w) in p.iter().zip(w).filter(|(p, w)| **w > 0.0 && p.is_finite()) {
                sum += p.abs() * w;
                most = most.max(p.abs());
            }
            sum + most * part
        };
        let (a, b) = (problem.a().weights(), problem.b().weights());
        side(&self.f, a) + side(&self.g, b) + self.lambda.abs() * mass
    }

    /// Panics unless there is an entry for each of the problem's weights.
    #[track_caller]
    pub(crate) fn assert_fits(&self, problem: &Problem) {
        let (n, m) = problem.shape();
        assert_len("f", self.f.len(), n, "sources");
        assert_len("g", self.g.len(), m, "targets");
    }

    /// Centres balanced potentials and extends all to zero-weight entries: hard c-transforms for `reg` = 0,
    /// soft ones otherwise. O(n·m) where there are zero weights or forbidden pairs, else O(n + m).
    ///
    /// # Panics
    /// If the lengths are not those of the problem's weights.
    pub fn settle(&mut self, problem: &Problem, reg: f64) {
        self.assert_fits(problem);
        if problem.marginals() == Marginals::Balanced {
            self.centre(problem);
        }
        self.extend(problem, reg);
    }

    /// [`centre`](Self::centre) where points of weight zero have their potentials already, and all pairs are allowed.
    pub(crate) fn centre_all(&mut self, problem: &Problem) {
        let (a, b) = (problem.a().weights(), problem.b().weights());
        let Some(first) = a.iter().position(|&w| w > 0.0) else {
            return;
        };
        let before = self.f[first];
        if problem.marginals() == Marginals::Balanced {
            self.centre(problem);
        }
        let shift = self.f[first] - before;
        let idle = |potential: &mut [f64], weights: &[f64], shift: f64| {
            let idle = potential
                .iter_mut()
                .zip(weights)
                .filter(|(_, w)| **w == 0.0);
            idle.for_each(|(p, _)| *p += shift);
        };
        idle(&mut self.f, a, shift);
        idle(&mut self.g, b, -shift);
    }

    pub(crate) fn centre(&mut self, problem: &Problem) {
        let (a, b) = (problem.a().weights(), problem.b().weights());
        let (of_source, of_target, count) = components(problem);
        let mut sums = vec![[0.0_f64; 3]; count];
        // At mass 1: tiny masses times tiny potentials would underflow.
        let mass = problem.mass();
        for (i, &c) in of_source.iter().enumerate().filter(|(i, _)| a[*i] > 0.0) {
            let w = a[i] / mass;
            sums[c as usize][0] += self.f[i] * w;
            sums[c as usize][2] += w;
        }
        for (j, &c) in of_target.iter().enumerate().filter(|(j, _)| b[*j] > 0.0) {
            let w = b[j] / mass;
            sums[c as usize][1] += self.g[j] * w;
            sums[c as usize][2] += w;
        }
        // By the mass of both sides: those of a component whose mass is rounding may differ by any factor.
        let shift: Vec<f64> = sums.iter().map(|[f, g, masses]| (g - f) / masses).collect();
        let of = |c: u32| shift[c as usize];
        let usable = |s: f64| if s.is_finite() { s } else { 0.0 };
        self.f
            .iter_mut()
            .zip(&of_source)
            .zip(a)
            .filter(|(_, w)| **w > 0.0)
            .for_each(|((f, &c), _)| *f += usable(of(c)));
        self.g
            .iter_mut()
            .zip(&of_target)
            .zip(b)
            .filter(|(_, w)| **w > 0.0)
            .for_each(|((g, &c), _)| *g -= usable(of(c)));
    }

    fn extend(&mut self, problem: &Problem, reg: f64) {
        let (a, b) = (problem.a(), problem.b());
        let (zero_a, zero_b) = (a.support_len() < a.len(), b.support_len() < b.len());
        let cost = problem.cost();
        // Balanced potentials belong to the problem at mass 1.
        let scale = match problem.marginals() {
            Marginals::Balanced => problem.mass(),
            _ => 1.0,
        };
        // Of a partial problem: f + g + λ takes the place of f + g, and potentials stay below 0.
        let lambda = self.lambda;
        let partial = matches!(problem.marginals(), Marginals::Partial { .. });
        let lowered = |p: Vec<f64>| -> Vec<f64> {
            if partial {
                p.into_iter().map(|p| (p - lambda).min(0.0)).collect()
            } else {
                p
            }
        };
        if reg > 0.0 {
            let f =
                zero_a.then(|| soft_to_source(cost, &self.g, b.weights(), scale, reg, a.weights()));
            let g =
                zero_b.then(|| soft_to_target(cost, &self.f, a.weights(), scale, reg, b.weights()));
            replace_zero(&mut self.f, f.map(lowered), a.weights());
            replace_zero(&mut self.g, g.map(lowered), b.weights());
            return;
        }
        if zero_b {
            let g = c_transform_to_target(cost, &self.f, |i| a.weights()[i] > 0.0);
            replace_zero(&mut self.g, Some(lowered(g)), b.weights());
        }
        if zero_a {
            // Against all targets, the extended ones too: then f⊕g ≤ C holds everywhere.
            let f = c_transform_to_source(cost, &self.g, |_| true);
            replace_zero(&mut self.f, Some(lowered(f)), a.weights());
        }
    }
}

fn replace_zero(potential: &mut [f64], extended: Option<Vec<f64>>, weights: &[f64]) {
    let Some(extended) = extended else { return };
    for ((p, e), &w) in potential.iter_mut().zip(extended).zip(weights) {
        if w == 0.0 {
            *p = e;
        }
    }
}

/// g_j = min_i (C_ij − f_i) over the sources that `uses` accepts and whose f is finite; +∞ where no such source
/// may reach j. One streaming pass; for a grid, n·Σ dims; for a tree, two sweeps over it.
///
/// # Panics
/// If `f` does not have an entry for each row of the cost.
#[must_use]
pub fn c_transform_to_target(
    cost: &dyn Cost,
    f: &[f64],
    uses: impl Fn(usize) -> bool + Sync,
) -> Vec<f64> {
    let (n, m) = cost.shape();
    assert_len("f", f.len(), n, "rows of the cost");
    if let Some(grid) = grid_of(cost) {
        return least(grid, f, uses);
    }
    if let Some(line) = line_of(cost) {
        return line.transform_to_target(f, uses);
    }
    if let Some(arc) = arc_of(cost) {
        return arc.transform_to_target(f, uses);
    }
    if let Some(tree) = tree_of(cost) {
        return tree.least_to_targets(f, uses);
    }
    let parts = fold_rows(
        n,
        m,
        || (vec![f64::INFINITY; m], vec![0.0; m]),
        |(best, scratch), i| {
            let fi = f[i];
            if !fi.is_finite() || !uses(i) {
                return;
            }
            match stored_f32(cost, i) {
                Some(row) => col_min_update(row, fi, best),
                None => col_min_update(row_of(cost, i, scratch), fi, best),
            }
        },
    );
    parts
        .into_iter()
        .map(|part| part.0)
        .reduce(|mut all, part| {
            all.iter_mut().zip(part).for_each(|(g, p)| *g = g.min(p));
            all
        })
        .unwrap_or_default()
}

/// f_i = min_j (C_ij − g_j) over the targets that `uses` accepts and whose g is finite; +∞ where i may reach
/// none of them. One streaming pass; for a grid, n·Σ dims; for a tree, two sweeps over it.
///
/// # Panics
/// If `g` does not have an entry for each column of the cost.
#[must_use]
pub fn c_transform_to_source(
    cost: &dyn Cost,
    g: &[f64],
    uses: impl Fn(usize) -> bool + Sync,
) -> Vec<f64> {
    let (n, m) = cost.shape();
    assert_len("g", g.len(), m, "columns of the cost");
    if let Some(grid) = grid_of(cost) {
        return least(grid, g, uses);
    }
    if let Some(line) = line_of(cost) {
        return line.transform_to_source(g, uses);
    }
    if let Some(arc) = arc_of(cost) {
        return arc.transform_to_source(g, uses);
    }
    if let Some(tree) = tree_of(cost) {
        return tree.least_to_sources(g, uses);
    }
    // −g, and +∞ for a target that is not used: it loses every comparison.
    let signed: Vec<f64> = g
        .iter()
        .enumerate()
        .map(|(j, &v)| {
            if v.is_finite() && uses(j) {
                -v
            } else {
                f64::INFINITY
            }
        })
        .collect();
    let parts = fold_rows(
        n,
        m,
        || (Vec::new(), vec![0.0; m]),
        |(out, scratch), i| {
            out.push(match stored_f32(cost, i) {
                Some(row) => row_min(row, &signed),
                None => row_min(row_of(cost, i, scratch), &signed),
            });
        },
    );
    parts.into_iter().flat_map(|part| part.0).collect()
}

/// Both transforms in one pass over the cost: [`c_transform_to_target`] of f and [`c_transform_to_source`] of g.
pub(crate) fn both_c_transforms(
    cost: &dyn Cost,
    f: &[f64],
    uses_source: impl Fn(usize) -> bool + Sync,
    g: &[f64],
    uses_target: impl Fn(usize) -> bool,
) -> (Vec<f64>, Vec<f64>) {
    let (n, m) = cost.shape();
    if let Some(grid) = grid_of(cost) {
        return (least(grid, f, uses_source), least(grid, g, uses_target));
    }
    if let Some(line) = line_of(cost) {
        let to_target = line.transform_to_target(f, uses_source);
        return (to_target, line.transform_to_source(g, uses_target));
    }
    if let Some(arc) = arc_of(cost) {
        let to_target = arc.transform_to_target(f, uses_source);
        return (to_target, arc.transform_to_source(g, uses_target));
    }
    if let Some(tree) = tree_of(cost) {
        let to_targets = tree.least_to_targets(f, uses_source);
        return (to_targets, tree.least_to_sources(g, uses_target));
    }
    // What takes no part gets −∞, which makes its C − f and C − g +∞.
    let part = |v: f64, uses: bool| {
        if v.is_finite() && uses {
            v
        } else {
            f64::NEG_INFINITY
        }
    };
    let g: Vec<f64> = (0..m).map(|j| part(g[j], uses_target(j))).collect();
    let parts = fold_rows(
        n,
        m,
        || (Vec::new(), vec![f64::INFINITY; m], vec![0.0; m]),
        |(to_source, to_target, scratch), i| {
            let fi = part(f[i], uses_source(i));
            to_source.push(match stored_f32(cost, i) {
                Some(row) => both_minima(row, fi, &g, to_target),
                None => both_minima(row_of(cost, i, scratch), fi, &g, to_target),
            });
        },
    );
    let (mut to_target, mut to_source) = (vec![f64::INFINITY; m], Vec::with_capacity(n));
    for part in parts {
        to_source.extend(part.0);
        let pairs = to_target.iter_mut().zip(part.1);
        pairs.for_each(|(all, part)| *all = all.min(part));
    }
    (to_target, to_source)
}

/// A cost of points on a line that are too many for a pass over all pairs to be the faster way.
fn line_of(cost: &dyn Cost) -> Option<LineCost<'_>> {
    let (n, m) = cost.shape();
    LineCost::of(cost).filter(|_| n.saturating_mul(m) > PAIRS_IN_LINE)
}

/// And one of points on a circle.
fn arc_of(cost: &dyn Cost) -> Option<ArcCost<'_>> {
    let (n, m) = cost.shape();
    ArcCost::of(cost).filter(|_| n.saturating_mul(m) > PAIRS_IN_LINE)
}

/// Row `i` of a cost that is stored in single precision: the kernels widen it as they read.
fn stored_f32(cost: &dyn Cost, i: usize) -> Option<&[f32]> {
    if let CostKind::Dense(dense) = cost.kind()
        && let DenseData::F32(data) = dense.data()
    {
        let m = dense.shape().1;
        return Some(&data[i * m..(i + 1) * m]);
    }
    None
}

/// f_i = −ε log Σ_j (b_j / scale) exp((g_j − C_ij)/ε) for the sources with zero weight (of others it may say
/// anything).
pub(crate) fn soft_to_source(
    cost: &dyn Cost,
    g: &[f64],
    b: &[f64],
    scale: f64,
    reg: f64,
    a: &[f64],
) -> Vec<f64> {
    let (n, m) = cost.shape();
    if let Some(grid) = grid_of(cost) {
        return SoftGrid::new(grid, reg).soft_transform(g, b, scale);
    }
    let parts = fold_rows(
        n,
        m,
        || (Vec::new(), vec![0.0; m]),
        |(out, scratch), i| {
            if a[i] > 0.0 {
                out.push(0.0);
                return;
            }
            let row = row_of(cost, i, scratch);
            let terms = || {
                row.iter()
                    .zip(g)
                    .zip(b)
                    .filter(|((c, g), b)| **b > 0.0 && c.is_finite() && g.is_finite())
            };
            let top = terms().fold(f64::NEG_INFINITY, |t: f64, ((c, g), _)| t.max(g - c));
            if top == f64::NEG_INFINITY {
                out.push(f64::INFINITY);
                return;
            }
            let sum: f64 = terms()
                .map(|((c, g), b)| b / scale * ((g - c - top) / reg).exp())
                .sum();
            out.push(-top - reg * sum.ln());
        },
    );
    parts.into_iter().flat_map(|part| part.0).collect()
}

/// The twin of [`soft_to_source`], column by column.
pub(crate) fn soft_to_target(
    cost: &dyn Cost,
    f: &[f64],
    a: &[f64],
    scale: f64,
    reg: f64,
    b: &[f64],
) -> Vec<f64> {
    if let Some(grid) = grid_of(cost) {
        return SoftGrid::new(grid, reg).soft_transform(f, a, scale);
    }
    let top = c_transform_to_target(cost, f, |i| a[i] > 0.0);
    let (n, m) = cost.shape();
    let parts = fold_rows(
        n,
        m,
        || (vec![0.0; m], vec![0.0; m]),
        |(sums, scratch), i| {
            // A positive weight whose potential is +∞ has no allowed partner, and nothing to say.
            if a[i] == 0.0 || !f[i].is_finite() {
                return;
            }
            for (j, &c) in row_of(cost, i, scratch).iter().enumerate() {
                if b[j] == 0.0 && c.is_finite() {
                    sums[j] += a[i] / scale * ((f[i] - c + top[j]) / reg).exp();
                }
            }
        },
    );
    let mut sums = vec![0.0; m];
    for part in parts {
        sums.iter_mut().zip(part.0).for_each(|(s, p)| *s += p);
    }
    top.iter()
        .zip(sums)
        .map(|(&t, s)| if t.is_finite() { t - reg * s.ln() } else { t })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_weights_are_extended_and_potentials_centred() {
        let cost = [0.0, 2.0, 5.0, 1.0, 0.0, 3.0, 4.0, 1.0, 2.0];
        let problem = Problem::from_slices(&[1.0, 1.0, 0.0], &[1.0, 0.0, 1.0], &cost).unwrap();
        let mut p = Potentials::new(vec![1.0, 0.0, f64::NAN], vec![-1.0, f64::NAN, 3.0]);
        p.settle(&problem, 0.0);
        let dot = |u: &[f64], v: &[f64]| u.iter().zip(v).map(|(x, y)| x * y).sum::<f64>();
        assert!(
            (dot(&p.f, problem.a().weights()) - dot(&p.g, problem.b().weights())).abs() < 1e-14
        );
        for i in 0..3 {
            for j in 0..3 {
                assert!(p.f[i] + p.g[j] <= cost[3 * i + j] + 1e-14);
            }
        }
        // Soft: the extended entries reproduce P1 = 0·(anything) by the defining log-sum-exp.
        let mut soft = Potentials::new(vec![1.0, 0.0, 0.0], vec![-1.0, 0.0, 3.0]);
        soft.settle(&problem, 0.5);
        let lse: f64 = [0, 2]
            .iter()
            .map(|&j| 0.5 * ((soft.g[j] - cost[6 + j]) / 0.5).exp())
            .sum();
        assert!((soft.f[2] + 0.5 * lse.ln()).abs() < 1e-14);
        let lse: f64 = [0, 1]
            .iter()
            .map(|&i| 0.5 * ((soft.f[i] - cost[3 * i + 1]) / 0.5).exp())
            .sum();
        assert!((soft.g[1] + 0.5 * lse.ln()).abs() < 1e-14);
    }

    #[test]
    #[should_panic(expected = "`g` has 1 entries, but there are 2 columns of the cost")]
    fn potentials_of_another_length_are_named() {
        let cost = crate::DenseCost::new(2, 2, vec![0.0; 4]).unwrap();
        let _ = c_transform_to_source(&cost, &[0.0], |_| true);
    }

    #[test]
    fn components_of_unequal_masses_keep_their_size() {
        let inf = f64::INFINITY;
        let cost = [0.0, inf, inf, 0.5];
        let problem = Problem::from_slices(&[1.0, 1e-21], &[1.0, 1e-12], &cost).unwrap();
        let mut p = Potentials::new(vec![0.0, 0.0], vec![0.0, 0.5]);
        p.settle(&problem, 0.0);
        assert!(p.f[1].abs() <= 0.5 && (p.f[1] + p.g[1] - 0.5).abs() < 1e-15);
    }

    #[test]
    fn partial_potentials_are_extended_below_zero_and_the_multiplier() {
        let inf = f64::INFINITY;
        let cost = [1.0, 4.0, inf, 2.0, 0.5, inf, inf, 3.0, inf];
        let weights = crate::Measure::new(vec![1.0, 0.0, 0.0]).unwrap();
        let cost = std::sync::Arc::new(crate::DenseCost::new(3, 3, cost.to_vec()).unwrap());
        let problem = Problem::partial(weights.clone(), weights, cost, 0.5).unwrap();
        let mut p = Potentials {
            lambda: 1.0,
            ..Potentials::new(vec![0.0, 7.0, 7.0], vec![0.0, 7.0, 7.0])
        };
        p.settle(&problem, 0.0);
        // g: min(0, 4 − 0 − 1) and no partner; f: min(0, 2 − 1, 0.5 − 1) and min(0, 3 − 1).
        assert_eq!(p.g, [0.0, 0.0, 0.0]);
        assert_eq!(p.f, [0.0, -0.5, 0.0]);
        let mut p = Potentials {
            lambda: 2.0,
            ..Potentials::new(vec![-0.25, 7.0, 7.0], vec![-0.75, 7.0, 7.0])
        };
        p.settle(&problem, 0.5);
        // One partner each: g_j = C_0j − f_0 − λ − ε log a_0, cut off at 0.
        assert_eq!(p.g, [-0.75, 0.0, 0.0]);
        assert_eq!(p.f, [-0.25, 0.0, 0.0]);
        p.lambda = 5.0;
        p.settle(&problem, 0.5);
        assert_eq!(p.g, [-0.75, -0.75, 0.0]);
        assert_eq!(p.f, [-0.25, -2.25, 0.0]);
    }

    #[test]
    fn an_entry_without_partner_is_infinite() {
        let inf = f64::INFINITY;
        let problem =
            Problem::from_slices(&[1.0, 0.0], &[1.0, 0.0], &[0.0, inf, inf, inf]).unwrap();
        for reg in [0.0, 0.1] {
            let mut p = Potentials::new(vec![0.0; 2], vec![0.0; 2]);
            p.settle(&problem, reg);
            assert_eq!((p.f[1], p.g[1]), (inf, inf));
        }
    }
}
