//! The sorted coupling: mass in order of position goes to mass in order of position.

use ot_kernels::order;
use solver_api::{Error, LineCost, Measured, SparsePlan};

/// One side: points of positive weight, in order of position.
#[derive(Debug, Default)]
pub(super) struct Side {
    /// Which point of the problem stands at each place.
    pub(super) index: Vec<u32>,
    pub(super) at: Vec<f64>,
    pub(super) weight: Vec<f64>,
}

impl Side {
    pub(super) fn of(positions: &[f64], weights: &[f64]) -> Self {
        let points = order::carried(positions, |i| (weights[i], i as u32));
        let heavy = weights.iter().filter(|w| **w > 0.0).count();
        let mut side = Self {
            index: Vec::with_capacity(heavy),
            at: Vec::with_capacity(heavy),
            weight: Vec::with_capacity(heavy),
        };
        for (at, (weight, index)) in points.into_iter().filter(|(_, (w, _))| *w > 0.0) {
            side.at.push(at);
            side.weight.push(weight);
            side.index.push(index);
        }
        side
    }

    /// The same side from the place `first` on, around a circle of circumference 1.
    #[cfg(feature = "circle")]
    pub(super) fn turned(mut self, first: usize) -> Self {
        self.at[..first].iter_mut().for_each(|p| *p += 1.0);
        self.index.rotate_left(first);
        self.at.rotate_left(first);
        self.weight.rotate_left(first);
        self
    }

    /// `values` by place, as an array over all `len` points of the problem, 0 elsewhere.
    pub(super) fn spread(&self, values: &[f64], len: usize) -> Vec<f64> {
        let mut out = vec![0.0; len];
        for (&i, v) in self.index.iter().zip(values) {
            out[i as usize] = *v;
        }
        out
    }
}

/// A sum that keeps what additions round away (Knuth's two-sum).
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sum {
    high: f64,
    low: f64,
}

impl Sum {
    #[inline]
    pub(super) fn add(&mut self, term: f64) {
        let sum = self.high + term;
        let part = sum - self.high;
        self.low += (self.high - (sum - part)) + (term - part);
        self.high = sum;
    }

    pub(super) fn value(self) -> f64 {
        self.high + self.low
    }

    /// The sum less a number.
    #[cfg(feature = "line")]
    pub(super) fn less(self, what: f64) -> f64 {
        (self.high - what) + self.low
    }
}

/// The coupling, by place.
#[derive(Debug)]
pub(super) struct Coupling {
    /// Where the entries of each source start; one more at the end.
    start: Vec<u32>,
    /// Target of each entry, as a point of the problem, and its mass.
    cols: Vec<u32>,
    values: Vec<f64>,
    /// Potentials with f + g = C on every entry.
    pub(super) f: Vec<f64>,
    pub(super) g: Vec<f64>,
    sent: Vec<f64>,
    received: Vec<f64>,
    paid: f64,
}

impl Coupling {
    /// The northwest-corner rule on both sides in order. At most n + m − 1 entries. Each step goes on to the next source or
    /// the next target, whose potential changes by what the cost changes, so that potentials carry the digits of their steps.
    pub(super) fn of(x: &Side, y: &Side, cost: &LineCost<'_>) -> Self {
        let (n, m) = (x.at.len(), y.at.len());
        let mut start = Vec::with_capacity(n + 1);
        let mut cols = Vec::with_capacity(n + m);
        let mut values = Vec::with_capacity(n + m);
        let (mut f, mut g) = (Vec::with_capacity(n), Vec::with_capacity(m));
        let (mut sent, mut received) = (Vec::with_capacity(n), Vec::with_capacity(m));
        let mut paid = Sum::default();
        let (mut i, mut j) = (0, 0);
        let (mut left, mut right) = (x.weight[0], y.weight[0]);
        let (mut goes, mut comes) = (0.0, 0.0);
        let (mut at_f, mut at_g) = (Sum::default(), Sum::default());
        at_f.add(cost.between(x.at[0], y.at[0]));
        start.push(0);
        f.push(at_f.value());
        g.push(0.0);
        loop {
            // The last of a side takes what rounding leaves of the other.
            let moved = match (i + 1 == n, j + 1 == m) {
                (true, true) => left.max(right),
                (true, false) => right,
                (false, true) => left,
                (false, false) => left.min(right),
            };
            if moved > 0.0 {
                cols.push(y.index[j]);
                values.push(moved);
                paid.add(moved * cost.between(x.at[i], y.at[j]));
                goes += moved;
                comes += moved;
            }
            left -= moved;
            right -= moved;
            let (next_source, next_target) = (i + 1 < n && left <= 0.0, j + 1 < m && right <= 0.0);
            if next_source {
                at_f.add(cost.change(x.at[i], x.at[i + 1], y.at[j]));
                f.push(at_f.value());
                sent.push(goes);
                start.push(cols.len() as u32);
                i += 1;
                (left, goes) = (x.weight[i], 0.0);
            }
            if next_target {
                at_g.add(cost.change(y.at[j], y.at[j + 1], x.at[i]));
                g.push(at_g.value());
                received.push(comes);
                j += 1;
                (right, comes) = (y.weight[j], 0.0);
            }
            if !(next_source || next_target) {
                break;
            }
        }
        sent.push(goes);
        received.push(comes);
        start.push(cols.len() as u32);
        Self {
            start,
            cols,
            values,
            f,
            g,
            sent,
            received,
            paid: paid.value(),
        }
    }

    /// The plan of the problem, and what it sends and costs.
    pub(super) fn plan(
        &self,
        x: &Side,
        y: &Side,
        (n, m): (usize, usize),
    ) -> Result<(SparsePlan, Measured), Error> {
        let plan = SparsePlan::from_rows(n, m, &x.index, &self.start, &self.cols, &self.values)?;
        let measured = Measured {
            sent: x.spread(&self.sent, n),
            received: y.spread(&self.received, m),
            transport_cost: self.paid,
        };
        Ok((plan, measured))
    }
}
