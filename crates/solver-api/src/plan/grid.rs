//! An implicit plan over the cost of a grid, axis by axis.

use super::{ImplicitPlan, Plan};
use crate::cost::{Cost, GridCost};
use crate::separable::{SoftGrid, exp_of_sum, grid_of};
use crate::solution::Measured;

/// P_ij = exp(x_i + y_j − C_ij/ε).
#[derive(Debug)]
pub(crate) struct GridPlan<'a> {
    grid: &'a GridCost,
    soft: SoftGrid,
    /// f/ε + ln r.
    x: Vec<f64>,
    /// g/ε + ln s.
    y: Vec<f64>,
}

/// p/ε + ln w, and −∞ for an entry without weight.
fn exponents(p: &[f64], w: &[f64], reg: f64) -> Vec<f64> {
    let exponent = |(p, &w): (&f64, &f64)| {
        if w == 0.0 {
            f64::NEG_INFINITY
        } else {
            p / reg + w.ln()
        }
    };
    p.iter().zip(w).map(exponent).collect()
}

impl Plan {
    /// The plan as one on a grid, if it is implicit and its cost is that of a grid.
    pub(crate) fn on_grid(&self) -> Option<GridPlan<'_>> {
        let Self::Implicit(plan) = self else {
            return None;
        };
        let ImplicitPlan {
            f, g, r, s, reg, ..
        } = plan;
        let grid = grid_of(plan.cost.as_ref())?;
        Some(GridPlan {
            grid,
            soft: SoftGrid::new(grid, *reg),
            x: exponents(f, r, *reg),
            y: exponents(g, s, *reg),
        })
    }

    /// Marginals and cost, for a plan and a cost on the same grid.
    pub(crate) fn measure_on_grid(&self, cost: &dyn Cost) -> Option<Measured> {
        let (plan, grid) = self.on_grid().zip(grid_of(cost))?;
        plan.fits(grid).then(|| Measured {
            sent: plan.apply(None),
            received: plan.apply_transpose(None),
            transport_cost: plan.price(grid),
        })
    }

    /// Marginals and cost of diag(x) P diag(y) over the pairs with a_i > 0 and b_j > 0, for a plan and a cost on the
    /// same grid.
    pub(crate) fn scaled_on_grid(
        &self,
        cost: &dyn Cost,
        a: &[f64],
        x: &[f64],
        b: &[f64],
        y: &[f64],
    ) -> Option<(Vec<f64>, Vec<f64>, f64)> {
        let (mut plan, grid) = self.on_grid().zip(grid_of(cost))?;
        if !plan.fits(grid) {
            return None;
        }
        let used = |scale: &[f64], w: &[f64]| -> Vec<f64> {
            let pairs = scale.iter().zip(w);
            pairs
                .map(|(&x, &w)| if w > 0.0 { x } else { 0.0 })
                .collect()
        };
        plan.scale(&used(x, a), &used(y, b));
        Some((
            plan.apply(None),
            plan.apply_transpose(None),
            plan.price(grid),
        ))
    }
}

impl GridPlan<'_> {
    /// Whether `grid` has the same cells.
    pub(crate) fn fits(&self, grid: &GridCost) -> bool {
        self.grid.dims() == grid.dims()
    }

    /// diag(x) P diag(y).
    pub(crate) fn scale(&mut self, x: &[f64], y: &[f64]) {
        for (exponents, scale) in [(&mut self.x, x), (&mut self.y, y)] {
            exponents
                .iter_mut()
                .zip(scale)
                .for_each(|(e, s)| *e += s.ln());
        }
    }

    /// P v; without `v`, the row sums.
    pub(crate) fn apply(&self, v: Option<&[f64]>) -> Vec<f64> {
        self.product(&self.x, &self.y, v)
    }

    /// Pᵀ u; without `u`, the column sums.
    pub(crate) fn apply_transpose(&self, u: Option<&[f64]>) -> Vec<f64> {
        self.product(&self.y, &self.x, u)
    }

    fn product(&self, to: &[f64], from: &[f64], v: Option<&[f64]>) -> Vec<f64> {
        let Some(v) = v else {
            return self.positive(to, from.to_vec());
        };
        // What is positive and what is negative apart: logarithms have no sign.
        let part = |sign: f64| -> Vec<f64> {
            let exponent = |(x, &v): (&f64, &f64)| {
                let v = sign * v;
                if v <= 0.0 {
                    f64::NEG_INFINITY
                } else {
                    x + v.ln()
                }
            };
            from.iter().zip(v).map(exponent).collect()
        };
        let mut out = self.positive(to, part(1.0));
        if v.iter().any(|v| *v < 0.0) {
            let less = self.positive(to, part(-1.0));
            out.iter_mut().zip(less).for_each(|(p, q)| *p -= q);
        }
        out
    }

    fn positive(&self, to: &[f64], from: Vec<f64>) -> Vec<f64> {
        let mut logs = self.soft.log_sum_exp(&from);
        logs.iter_mut()
            .zip(to)
            .for_each(|(l, &x)| *l = exp_of_sum(x, *l));
        logs
    }

    /// ⟨P, C⟩ for the cost of `grid`.
    pub(crate) fn price(&self, grid: &GridCost) -> f64 {
        self.soft.price(grid, self.grid, &self.x, &self.y)
    }

    /// The mean target point of each source, m×dim points `y`.
    pub(crate) fn barycentric_projection(&self, y: &[f64], dim: usize) -> Vec<f64> {
        let n = self.x.len();
        let masses = self.soft.log_sum_exp(&self.y);
        let mut means = vec![0.0; n * dim];
        for k in 0..dim {
            let along = || y.iter().skip(k).step_by(dim);
            // From the least coordinate on, so that nothing cancels.
            let least = along().fold(f64::INFINITY, |t, y| t.min(*y));
            let from: Vec<f64> = along()
                .zip(&self.y)
                .map(|(y, x)| x + (y - least).ln())
                .collect();
            let logs = self.soft.log_sum_exp(&from);
            for (i, mean) in means.iter_mut().skip(k).step_by(dim).enumerate() {
                if self.x[i] > f64::NEG_INFINITY && masses[i] > f64::NEG_INFINITY {
                    *mean = least + (logs[i] - masses[i]).exp();
                }
            }
        }
        means
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::cost::{DenseCost, GridGround};
    use crate::{Certificate, Measure, Potentials, Problem, certify, round};

    fn number(k: usize) -> f64 {
        (k as f64 * 0.618_033_988_749_894_9).fract()
    }

    /// The same plan over the cost of a grid and over its matrix.
    fn twins(
        dims: &[usize],
        ground: GridGround,
        reg: f64,
        salt: usize,
    ) -> ([Problem; 2], [Plan; 2], Potentials) {
        let spacing: Vec<f64> = (0..dims.len()).map(|k| 1.0 + 0.5 * k as f64).collect();
        let grid = GridCost::with_spacing(dims, &spacing, ground).unwrap();
        let n: usize = dims.iter().product();
        let dense = Arc::new(DenseCost::materialize(&grid).unwrap());
        let weights = |salt: usize| -> Measure {
            let weight = |k: usize| {
                if k % 4 == 2 {
                    0.0
                } else {
                    0.1 + number(7 * k + salt)
                }
            };
            Measure::new((0..n).map(weight).collect::<Vec<f64>>())
                .unwrap()
                .normalized()
        };
        let (a, b) = (weights(salt), weights(3 * salt + 1));
        let potential = |salt: usize| -> Vec<f64> {
            (0..n)
                .map(|k| reg * (3.0 * number(5 * k + salt) - 1.0))
                .collect()
        };
        let (f, g) = (potential(salt), potential(salt + 9));
        let costs: [Arc<dyn Cost>; 2] = [Arc::new(grid), dense];
        let of = |cost: &Arc<dyn Cost>| {
            let problem = Problem::new(a.clone(), b.clone(), Arc::clone(cost)).unwrap();
            let (f, g) = (f.as_slice().into(), g.as_slice().into());
            let plan = ImplicitPlan::new(
                Arc::clone(cost),
                f,
                g,
                a.shared_weights(),
                b.shared_weights(),
                reg,
            );
            (problem, Plan::from(plan.unwrap()))
        };
        let [(p, q), (r, s)] = [of(&costs[0]), of(&costs[1])];
        ([p, r], [q, s], Potentials::new(f, g))
    }

    fn close(x: &[f64], y: &[f64], tolerance: f64) {
        assert_eq!(x.len(), y.len());
        // Sums that cancel leave the rounding of their terms.
        let size = y.iter().fold(1e-16_f64, |m, y| m.max(y.abs()));
        for (x, y) in x.iter().zip(y) {
            assert!((x - y).abs() <= tolerance * size, "{x} {y}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(32) })]
        #[test]
        fn a_grid_says_what_its_matrix_says(
            dims in prop::collection::vec(1_usize..9, 1..4),
            reg in prop::sample::select(vec![0.02, 0.5, 5.0, 200.0]),
            squared in any::<bool>(),
            salt in 0_usize..50,
        ) {
            let ground = if squared { GridGround::SqEuclidean } else { GridGround::Cityblock };
            let (problems, plans, potentials) = twins(&dims, ground, reg, salt);
            let [on, off] = &plans;
            let n = on.shape().0;
            let v: Vec<f64> = (0..n).map(|k| number(k) - 0.3).collect();
            let tolerance = 1e-12;
            close(&on.marginals().0, &off.marginals().0, tolerance);
            close(&on.marginals().1, &off.marginals().1, tolerance);
            close(&on.apply(&v).unwrap(), &off.apply(&v).unwrap(), tolerance);
            close(&on.apply_transpose(&v).unwrap(), &off.apply_transpose(&v).unwrap(), tolerance);
            let y: Vec<f64> = (0..3 * n).map(|k| 10.0 * number(3 * k) - 7.0).collect();
            close(
                &on.barycentric_projection(&y, 3).unwrap(),
                &off.barycentric_projection(&y, 3).unwrap(),
                tolerance,
            );
            let prices = [0, 1].map(|k| plans[k].transport_cost(problems[k].cost()));
            // Sums of terms up to the largest cost times the mass.
            let most = problems[0].cost().range().max;
            let near = |x: f64, y: f64| close(&[x, most], &[y, most], tolerance);
            near(prices[0], prices[1]);
            let rounded = [0, 1].map(|k| round(&problems[k], &plans[k]).transport_cost);
            near(rounded[0], rounded[1]);
            let mut settled = [potentials.clone(), potentials.clone()];
            for (settled, problem) in settled.iter_mut().zip(&problems) {
                settled.settle(problem, reg);
            }
            close(&settled[0].f, &settled[1].f, tolerance);
            close(&settled[0].g, &settled[1].g, tolerance);
            let both = |k: usize| {
                let Certificate { lower, upper } = certify(&problems[k], &plans[k], &potentials);
                [lower, upper, most]
            };
            close(&both(0), &both(1), 1e-11);
            // Sparse plans on a grid need no rows of the cost.
            let sparse: Plan = crate::SparsePlan::from_triples(n, n, on.to_triples(1e-4)).unwrap().into();
            let rounded = [0, 1].map(|k| round(&problems[k], &sparse).transport_cost);
            near(rounded[0], rounded[1]);
            // Other conditions on the marginals.
            for which in 0..3 {
                let certificates = problems.each_ref().map(|p| {
                    let (a, b, cost) = (p.a().clone(), p.b().clone(), p.shared_cost());
                    let p = match which {
                        0 => Problem::partial(a, b, cost, 0.6),
                        1 => Problem::relaxed(a, b, cost, 2.0, 0.7),
                        _ => Problem::relaxed(a, b, cost, f64::INFINITY, 0.7),
                    };
                    let p = p.unwrap();
                    let k = usize::from(!matches!(p.cost().kind(), crate::CostKind::Grid(_)));
                    let Certificate { lower, upper } = certify(&p, &plans[k], &potentials);
                    [lower, upper, most]
                });
                close(&certificates[0], &certificates[1], 1e-11);
            }
        }
    }

    #[test]
    fn potentials_that_are_no_numbers_prove_nothing() {
        let cost: Arc<dyn Cost> =
            Arc::new(GridCost::new(&[2, 2], GridGround::SqEuclidean).unwrap());
        let w = Measure::new(vec![0.25; 4]).unwrap();
        let problem = Problem::new(w.clone(), w.clone(), Arc::clone(&cost)).unwrap();
        let f: Arc<[f64]> = vec![0.0, f64::NAN, 0.0, 0.0].into();
        let g: Arc<[f64]> = vec![0.0; 4].into();
        let plan = ImplicitPlan::new(cost, f, g, w.shared_weights(), w.shared_weights(), 1.0);
        let plan = Plan::from(plan.unwrap());
        assert_eq!(round(&problem, &plan).transport_cost, f64::INFINITY);
        let bracket = certify(
            &problem,
            &plan,
            &Potentials::new(vec![0.0; 4], vec![0.0; 4]),
        );
        assert_eq!(bracket.upper, f64::INFINITY);
    }
}
