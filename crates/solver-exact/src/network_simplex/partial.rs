//! Partial problems: a dummy source and a dummy target take what does not move, at no cost.
//!
//! Of masses A and B, S is to move. A dummy source of weight B − S serves the targets that get nothing, a dummy target of
//! weight A − S takes what sources keep. A pair of the two dummies would move more than S: it costs D. With V(S) the
//! optimum, a plan with mass δ on that pair costs V(S + δ) + D·δ. V is convex and grows by min C at least, so any
//! D > −min C keeps δ at 0: [`price_of_dummies`] is of the size of the costs, and takes no digit from them.
//!
//! No entry sends or gets more than S. Weights above 2·S count as 2·S, so that whole units (`flow.rs`) resolve a small S;
//! at twice S the bound is never met, and the potentials of such entries are 0, as those of the problem itself.

use solver_api::{CostRange, Marginals, Potentials, Problem};

use super::cost::{CostView, Row, Rows};
use super::flow::Moved;

/// The dummies of a problem.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Dummies {
    /// Sources and columns before the dummies.
    pub(super) n: usize,
    pub(super) m: usize,
    /// Whether there is a dummy source, and a dummy target: not where all of the other side moves.
    pub(super) source: bool,
    pub(super) target: bool,
    /// What the pair of the two costs.
    pub(super) price: f64,
}

impl Dummies {
    /// Cuts the weights to twice the mass that moves and adds the dummies' own; `None` for a problem without them.
    pub(super) fn add(problem: &Problem, a: &mut Vec<f64>, b: &mut Vec<f64>) -> Option<Self> {
        let Marginals::Partial { mass } = problem.marginals() else {
            return None;
        };
        let (n, m) = (a.len(), b.len());
        let spare = |w: &mut Vec<f64>| {
            w.iter_mut().for_each(|w| *w = w.min(2.0 * mass));
            sum_less(w, mass)
        };
        let (spare_a, spare_b) = (spare(a), spare(b));
        let (source, target) = (spare_b > 0.0, spare_a > 0.0);
        a.extend(source.then_some(spare_b));
        b.extend(target.then_some(spare_a));
        Some(Self {
            n,
            m,
            source,
            target,
            price: 0.0,
        })
    }

    /// What the engine's units are to move.
    pub(super) fn moved(&self, problem: &Problem) -> Moved {
        Moved {
            n: self.n,
            m: self.m,
            mass: problem.mass(),
        }
    }

    /// Sources and columns with the dummies.
    fn shape(&self) -> (usize, usize) {
        (
            self.n + usize::from(self.source),
            self.m + usize::from(self.target),
        )
    }

    /// Starting duals g of the columns, from those of the partial problem, whose costs are lower by `low` here: the dummy
    /// target's is 0, and the dummy source's is −λ.
    pub(super) fn warm(&self, g: &mut Vec<f64>, lambda: f64, low: f64) {
        g.iter_mut().for_each(|g| *g += lambda - low);
        g.extend(self.target.then_some(0.0));
    }

    /// `cost`, n×m in rows, with the dummies' row and column.
    pub(super) fn extend<T: Copy + From<f32>>(&self, cost: &mut Vec<T>, price: T) {
        let ((rows, columns), zero) = (self.shape(), T::from(0.0));
        cost.resize(rows * columns, zero);
        if self.target {
            for i in (0..self.n).rev() {
                cost.copy_within(i * self.m..(i + 1) * self.m, i * columns);
                cost[i * columns + self.m] = zero;
            }
        }
        if self.source {
            let row = &mut cost[self.n * columns..];
            row.fill(zero);
            if self.target {
                row[self.m] = price;
            }
        }
    }

    /// Whether a pair of the engine is one of the problem.
    pub(super) fn is_real(&self, i: usize, j: usize) -> bool {
        i < self.n && j < self.m
    }

    /// f, g ≤ 0 and λ, from the engine's potentials f and g, into `potentials` at the places that `source` and `column`
    /// name; `low` is what was taken off the costs.
    pub(super) fn settle(
        &self,
        f: impl Fn(usize) -> f64,
        g: impl Fn(usize) -> f64,
        low: f64,
        potentials: &mut Potentials,
        source: impl Fn(usize) -> usize,
        column: impl Fn(usize) -> usize,
    ) {
        let highest = |p: &dyn Fn(usize) -> f64, len: usize| {
            let finite = (0..len).map(p).filter(|p| p.is_finite());
            finite.fold(f64::NEG_INFINITY, f64::max)
        };
        // Without a dummy all potentials of a side may rise together: up to where the highest is 0.
        let of_target = if self.target {
            g(self.m)
        } else {
            -highest(&f, self.n)
        };
        let of_source = if self.source {
            f(self.n)
        } else {
            -highest(&g, self.m)
        };
        let below = |p: f64| if p.is_finite() { p.min(0.0) } else { 0.0 };
        for i in 0..self.n {
            potentials.f[source(i)] = below(f(i) + of_target);
        }
        for j in 0..self.m {
            potentials.g[column(j)] = below(g(j) + of_source);
        }
        potentials.lambda = low - of_source - of_target;
    }
}

/// D: as far above −min C as the costs are apart, or a part of their size.
pub(super) fn price_of_dummies(range: &CostRange) -> f64 {
    let margin = range.spread().max(range.min.abs() / 16.0);
    if margin > 0.0 {
        margin - range.min
    } else {
        1.0
    }
}

/// Σ w − less, or 0 where that is rounding.
fn sum_less(w: &[f64], less: f64) -> f64 {
    // Two numbers to the sum (Neumaier), so that what is left of it keeps its digits.
    let (mut sum, mut error) = (-less, 0.0);
    for &w in w {
        let next = sum + w;
        error += if sum.abs() >= w {
            (sum - next) + w
        } else {
            (w - next) + sum
        };
        sum = next;
    }
    let left = sum + error;
    if left <= 4.0 * f64::EPSILON * less {
        0.0
    } else {
        left
    }
}

/// A cost that is read where it stands, with the dummies' row and column.
pub(super) struct Extended<'a> {
    pub(super) cost: CostView<'a>,
    pub(super) dummies: Dummies,
}

impl Rows for Extended<'_> {
    fn row(&self, i: usize, out: &mut [f64]) {
        let Dummies { n, m, price, .. } = self.dummies;
        let (real, dummy) = out.split_at_mut(m);
        if i == n {
            real.fill(0.0);
            dummy.fill(price);
            return;
        }
        dummy.fill(0.0);
        match self.cost.stored_row(i) {
            Ok(Row::F64(row)) => real.copy_from_slice(row),
            Ok(Row::F32(row)) => real.iter_mut().zip(row).for_each(|(r, &c)| *r = c.into()),
            Err((rows, i)) => rows.row(i, real),
        }
    }

    fn entry(&self, i: usize, j: usize) -> f64 {
        let Dummies { n, m, price, .. } = self.dummies;
        match (i < n, j < m) {
            (true, true) => self.cost.entry(i, j),
            (false, false) => price,
            _ => 0.0,
        }
    }
}
