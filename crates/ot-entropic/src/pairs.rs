//! Some pairs of a plan, row by row, with their costs: what a list does with the pairs that it has chosen.

use ot_kernels::exp::exp_in_place;

use crate::dual::{Dual, Point};
use crate::newton::{EDGE, Preconditioner, SparseSystem};

/// Pairs with their costs and the plan on them: 20 bytes each.
#[derive(Debug, Default)]
pub(crate) struct Pairs {
    /// Where each row begins; one more than there are rows.
    pub(crate) start: Vec<u32>,
    pub(crate) cols: Vec<u32>,
    pub(crate) costs: Vec<f64>,
    /// Masses of the last pass.
    pub(crate) plan: Vec<f64>,
    tilted: Vec<f64>,
    system: SparseSystem,
    /// Whether the system is that of the last pass.
    fresh: bool,
}

impl Pairs {
    /// Before new pairs are put in.
    pub(crate) fn clear(&mut self) {
        self.start.clear();
        self.start.push(0);
        self.cols.clear();
        self.costs.clear();
        self.fresh = false;
    }

    /// After that: room for the plan, and no more.
    pub(crate) fn seal(&mut self) {
        self.plan.clear();
        self.plan.reserve_exact(self.cols.len());
        self.plan.resize(self.cols.len(), 0.0);
    }

    /// The pairs of row `i`.
    pub(crate) fn span(&self, i: usize) -> (usize, usize) {
        (self.start[i] as usize, self.start[i + 1] as usize)
    }

    /// Keeps the pairs `(row, pair)` for which that is asked.
    pub(crate) fn retain(&mut self, keep: impl Fn(usize, usize, &Self) -> bool) {
        let (mut kept, mut from) = (0, 0);
        for i in 0..self.start.len() - 1 {
            let to = self.start[i + 1] as usize;
            for e in from..to {
                if keep(i, e, self) {
                    self.cols[kept] = self.cols[e];
                    self.costs[kept] = self.costs[e];
                    self.plan[kept] = self.plan[e];
                    kept += 1;
                }
            }
            from = to;
            self.start[i + 1] = kept as u32;
        }
        self.cols.truncate(kept);
        self.costs.truncate(kept);
        self.plan.truncate(kept);
        self.fresh = false;
    }

    /// [`Store::pass`](crate::newton::Store::pass).
    pub(crate) fn pass<T>(&mut self, dual: &Dual<'_, T>, point: &mut Point) {
        self.fresh = false;
        let (eps, inv_eps) = (point.eps, 1.0 / point.eps);
        self.tilted.clear();
        let parts = point.g.iter().zip(dual.b);
        self.tilted.extend(parts.map(|(g, b)| g + eps * b.ln()));
        point.received.fill(0.0);
        let mut from = 0;
        for (i, &to) in self.start[1..].iter().enumerate() {
            let to = to as usize;
            let (cols, costs) = (&self.cols[from..to], &self.costs[from..to]);
            let plan = &mut self.plan[from..to];
            from = to;
            let mut shift = f64::NEG_INFINITY;
            for ((p, &j), c) in plan.iter_mut().zip(cols).zip(costs) {
                *p = self.tilted[j as usize] - c;
                shift = shift.max(*p);
            }
            for p in plan.iter_mut() {
                *p = (*p - shift) * inv_eps;
            }
            exp_in_place(plan);
            let sum: f64 = plan.iter().sum();
            let (f, sent) = dual.row_update(i, shift * inv_eps + sum.ln(), eps);
            (point.f[i], point.sent[i]) = (f, sent);
            let scale = sent / sum;
            for (p, &j) in plan.iter_mut().zip(cols) {
                *p *= scale;
                point.received[j as usize] += *p;
            }
        }
        for (j, t) in point.wanted.iter_mut().enumerate() {
            *t = dual.wanted(j, point.g[j]);
        }
    }

    /// [`Store::entropy`](crate::newton::Store::entropy).
    pub(crate) fn entropy(&self, point: &Point, rows: &mut [f64], cols: &mut [f64]) {
        let inv_eps = 1.0 / point.eps;
        cols.fill(0.0);
        for (i, row) in rows.iter_mut().enumerate() {
            let (from, to) = self.span(i);
            let mut sum = 0.0;
            for e in from..to {
                let j = self.cols[e] as usize;
                let h = self.plan[e] * ((point.f[i] + point.g[j] - self.costs[e]) * inv_eps);
                sum += h;
                cols[j] += h;
            }
            *row = sum;
        }
    }

    /// The linear system of the last pass, made when it is first asked for; with a preconditioner of the caller's choice,
    /// or that which fits the length of rows.
    pub(crate) fn system<T>(
        &mut self,
        dual: &Dual<'_, T>,
        point: &Point,
        by: Option<Preconditioner>,
    ) -> &mut SparseSystem {
        if !self.fresh {
            self.fresh = true;
            self.system.graph.begin(dual.b.len());
            for (i, sent) in point.sent.iter().enumerate() {
                let (from, to) = (self.start[i] as usize, self.start[i + 1] as usize);
                let least = EDGE * sent;
                let edges = self.cols[from..to].iter().zip(&self.plan[from..to]);
                let heavy = edges.filter(|(_, p)| **p > least);
                self.system.graph.push_row(heavy.map(|(j, p)| (*j, *p)));
            }
            self.system.prepare(dual, point);
            if let Some(by) = by {
                self.system.precondition(by);
            }
        }
        &mut self.system
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two sources, three targets, four pairs.
    fn pairs() -> Pairs {
        let mut pairs = Pairs::default();
        pairs.clear();
        pairs.cols.extend([0, 2, 1, 2]);
        pairs.costs.extend([1.0, 2.0, -1e6, -1e6 + 0.5]);
        pairs.start.extend([2, 4]);
        pairs.seal();
        pairs
    }

    fn dual() -> Dual<'static, f64> {
        Dual {
            cost: &[],
            a: &[0.25, 0.75],
            b: &[0.25, 0.25, 0.5],
            gamma_a: f64::INFINITY,
            gamma_b: f64::INFINITY,
        }
    }

    #[test]
    fn a_pass_makes_the_rows_right_whatever_the_costs_are() {
        let (mut pairs, dual) = (pairs(), dual());
        let eps = 0.5;
        // Exponents of the second row are about 2e6.
        let mut point = Point::new(2, vec![0.1, -0.2, 0.3], eps);
        pairs.pass(&dual, &mut point);
        assert_eq!(point.sent, [0.25, 0.75]);
        let ratio = (2.0_f64) * ((0.3 - 2.0 - (0.1 - 1.0)) / eps).exp();
        let first = 0.25 / (1.0 + ratio);
        assert!((pairs.plan[0] - first).abs() < 1e-15);
        assert!((pairs.plan[2] + pairs.plan[3] - 0.75).abs() < 1e-15);
        assert_eq!(point.received[0], pairs.plan[0]);
        assert_eq!(point.received[2], pairs.plan[1] + pairs.plan[3]);
        let f = eps * (pairs.plan[0] / (0.25 * 0.25)).ln() - 0.1 + 1.0;
        assert!((point.f[0] - f).abs() < 1e-14);
        // P log(P / a⊗b).
        let (mut rows, mut cols) = (vec![0.0; 2], vec![0.0; 3]);
        pairs.entropy(&point, &mut rows, &mut cols);
        let of = |p: f64, a: f64, b: f64| p * (p / (a * b)).ln();
        let wanted = [
            of(pairs.plan[0], 0.25, 0.25),
            of(pairs.plan[1], 0.25, 0.5),
            of(pairs.plan[2], 0.75, 0.25),
            of(pairs.plan[3], 0.75, 0.5),
        ];
        assert!((rows[0] - wanted[0] - wanted[1]).abs() < 1e-14);
        // Costs of 1e6 have ulps of 1e-10.
        assert!((cols[2] - wanted[1] - wanted[3]).abs() < 1e-9);
        assert!((cols[0] - wanted[0]).abs() < 1e-14);
    }

    #[test]
    fn what_is_kept_stays_in_its_row() {
        let mut pairs = pairs();
        pairs.plan.copy_from_slice(&[0.1, 0.2, 0.3, 0.4]);
        pairs.retain(|i, e, pairs| i == 1 || pairs.plan[e] > 0.15);
        assert_eq!(pairs.start, [0, 1, 3]);
        assert_eq!(pairs.cols, [2, 1, 2]);
        assert_eq!(pairs.costs, [2.0, -1e6, -1e6 + 0.5]);
        assert_eq!(pairs.plan, [0.2, 0.3, 0.4]);
        pairs.retain(|i, _, _| i == 0);
        assert_eq!(
            (pairs.start.clone(), pairs.span(1)),
            (vec![0, 1, 1], (1, 1))
        );
    }
}
