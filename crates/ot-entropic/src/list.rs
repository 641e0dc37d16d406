//! The plan as a list of candidates: the second phase of a path, where few pairs carry mass.
//!
//! A pair is on the list if its slack C_ij − f_i − g_j was below (T₀ + D)·ε when the list was built ([`Reach`]). All
//! others carry less than e^{−T₀} of a_i b_j each, as long as the potentials have not risen by more than D·ε together.
//! Where the source marginal is relaxed, f is here what would send all of a_i ([`Dual::hard`]), and e^{−T₀} is relative
//! to what the row does send.

use ot_kernels::pricing::{Entry, row_collect, row_min};
use rayon::prelude::*;

use crate::dual::{Dual, Point};
use crate::newton::Store;
use crate::pairs::Pairs;

/// How far a list reaches, in units of ε.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reach {
    /// T₀: what is left out carries less than e^{−T₀} of a_i b_j.
    pub silent: f64,
    /// D: by how much potentials may rise before the list must be built again.
    pub drift: f64,
}

impl Reach {
    /// On the way: e^{−18} = 1.5e-8 is far below the errors that levels are left with.
    pub const WAY: Self = Self {
        silent: 18.0,
        drift: 14.0,
    };
    /// The same with further pairs, so that steps of many ε leave the list valid.
    pub const FAR: Self = Self {
        drift: 4.0 * Self::WAY.drift,
        ..Self::WAY
    };
    /// At the end: e^{−35} = 6e-16 is below the rounding of the sums, and potentials hardly move any more.
    pub const END: Self = Self {
        silent: 35.0,
        drift: 3.0,
    };

    /// The slack up to which pairs are listed, in units of ε.
    #[must_use]
    pub fn limit(self) -> f64 {
        self.silent + self.drift
    }
}

/// Up to so many thousandths of all pairs a list is short.
const SHORT: usize = 10;

/// Candidate pairs with their costs and the plan on them.
#[derive(Debug)]
pub struct List<'a, T> {
    dual: Dual<'a, T>,
    pairs: Pairs,
    /// Potentials when the list was built, and the slack that all other pairs had then.
    built_f: Vec<f64>,
    built_g: Vec<f64>,
    beyond: f64,
    reach: Reach,
    /// How often it was built from the whole cost.
    pub builds: usize,
}

/// Entries of a plan, row by row.
#[derive(Debug, Clone, Default)]
pub struct Entries {
    start: Vec<u32>,
    cols: Vec<u32>,
    mass: Vec<f64>,
}

impl Entries {
    /// Source `i`: targets and masses.
    #[must_use]
    pub fn row(&self, i: usize) -> (&[u32], &[f64]) {
        let at = self.start[i] as usize..self.start[i + 1] as usize;
        (&self.cols[at.clone()], &self.mass[at])
    }
}

/// The part of all pairs, from every sixteenth row, with a slack below `limit`.
pub fn density<T: Entry>(dual: &Dual<'_, T>, point: &Point, limit: f64) -> f64 {
    let (n, m) = dual.shape();
    let negated: Vec<f64> = point.g.iter().map(|g| -g).collect();
    let mut found = Vec::new();
    let mut seen = 0;
    for i in (0..n).step_by(16) {
        let f = dual.hard(point.f[i], point.eps);
        row_collect(dual.row(i), &negated, f, 0.0, limit, &mut found);
        seen += m;
    }
    found.len() as f64 / seen as f64
}

impl<'a, T: Entry> List<'a, T> {
    /// The list at `point`: one pass over the cost.
    #[must_use]
    pub fn build(dual: Dual<'a, T>, point: &Point, reach: Reach) -> Self {
        let mut list = Self {
            dual,
            pairs: Pairs::default(),
            built_f: Vec::new(),
            built_g: Vec::new(),
            beyond: 0.0,
            reach,
            builds: 0,
        };
        list.rebuild(point, reach);
        list
    }

    /// How far to reach on the way: while a list is short, further pairs on it cost less than building it again.
    #[must_use]
    pub fn way(&self) -> Reach {
        let (n, m) = self.dual.shape();
        if self.len() < SHORT * n * m / 1000 {
            Reach::FAR
        } else {
            Reach::WAY
        }
    }

    /// Builds it anew from the whole cost.
    pub fn rebuild(&mut self, point: &Point, reach: Reach) {
        self.reach = reach;
        let limit = reach.limit() * point.eps;
        let n = self.dual.a.len();
        let negated: Vec<f64> = point.g.iter().map(|g| -g).collect();
        let dual = &self.dual;
        let chunk = n.div_ceil(8).max(1);
        type Part = (Vec<u32>, Vec<(f64, u32)>, Vec<f64>);
        let parts: Vec<Part> = (0..n.div_ceil(chunk))
            .into_par_iter()
            .map(|c| {
                let (mut counts, mut found) = (Vec::new(), Vec::new());
                let rows = c * chunk..n.min((c + 1) * chunk);
                let mut f = Vec::with_capacity(chunk);
                for i in rows {
                    let row = dual.row(i);
                    let mut f_i = dual.hard(point.f[i], point.eps);
                    let mut collect = |f| row_collect(row, &negated, f, 0.0, limit, &mut found);
                    let mut count = collect(f_i);
                    if count == 0 {
                        // A source potential of another g may be this far off.
                        f_i = row_min(row, &negated);
                        count = collect(f_i);
                    }
                    counts.push(count as u32);
                    f.push(f_i);
                }
                (counts, found, f)
            })
            .collect();
        self.pairs.clear();
        self.built_f.clear();
        let mut i = 0;
        for (counts, found, f) in parts {
            self.built_f.extend(f);
            let mut found = found.into_iter();
            for count in counts {
                let row = dual.row(i);
                for (_, j) in found.by_ref().take(count as usize) {
                    self.pairs.cols.push(j);
                    self.pairs.costs.push(row[j as usize].wide());
                }
                self.pairs.start.push(self.pairs.cols.len() as u32);
                i += 1;
            }
        }
        self.pairs.seal();
        self.built_g.clone_from(&point.g);
        self.beyond = limit;
        self.builds += 1;
    }

    /// Whether every pair that is not listed carries less than e^{−T₀}.
    #[must_use]
    pub fn is_valid(&self, point: &Point) -> bool {
        self.beyond - self.rise(point) >= self.reach.silent * point.eps
    }

    /// By how much a slack may have shrunk since the list was built.
    fn rise(&self, point: &Point) -> f64 {
        let most = |rises: &mut dyn Iterator<Item = f64>| rises.fold(f64::NEG_INFINITY, f64::max);
        let of_f = point.f.iter().zip(&self.built_f);
        let of_g = point.g.iter().zip(&self.built_g);
        most(&mut of_f.map(|(f, built)| self.dual.hard(*f, point.eps) - built))
            + most(&mut of_g.map(|(g, built)| g - built))
    }

    /// Drops the pairs that a list built now would not have, where that is certain and at least half of them. `point` is
    /// that of the last pass.
    pub fn prune(&mut self, point: &Point) {
        let limit = self.reach.limit() * point.eps;
        if self.beyond - self.rise(point) < limit {
            return;
        }
        let is_near = |i: usize, e: usize, pairs: &Pairs| {
            let f = self.dual.hard(point.f[i], point.eps);
            pairs.costs[e] - f - point.g[pairs.cols[e] as usize] < limit
        };
        let near = (0..self.dual.a.len())
            .map(|i| {
                let (from, to) = self.pairs.span(i);
                (from..to).filter(|&e| is_near(i, e, &self.pairs)).count()
            })
            .sum::<usize>();
        if 2 * near > self.len() {
            return;
        }
        self.pairs.retain(is_near);
        self.built_f.clear();
        let f = point.f.iter();
        (self.built_f).extend(f.map(|f| self.dual.hard(*f, point.eps)));
        self.built_g.clone_from(&point.g);
        self.beyond = limit;
    }

    /// The number of candidates.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pairs.cols.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pairs.cols.is_empty()
    }

    /// Source `i` of the plan of the last pass: targets, masses and costs.
    #[must_use]
    pub fn row(&self, i: usize) -> (&[u32], &[f64], &[f64]) {
        let (from, to) = self.pairs.span(i);
        (
            &self.pairs.cols[from..to],
            &self.pairs.plan[from..to],
            &self.pairs.costs[from..to],
        )
    }

    /// ⟨P, C⟩ of the plan of the last pass.
    #[must_use]
    pub fn paid(&self) -> f64 {
        let paid: Vec<f64> = self
            .pairs
            .plan
            .iter()
            .zip(&self.pairs.costs)
            .map(|(p, c)| p * c)
            .collect();
        ot_kernels::reduce::sum(&paid)
    }

    /// The plan of the last pass. The list is empty afterwards, until it is built again.
    pub(crate) fn take(&mut self) -> Entries {
        let pairs = &mut self.pairs;
        pairs.costs.clear();
        Entries {
            start: std::mem::replace(&mut pairs.start, vec![0; self.dual.a.len() + 1]),
            cols: std::mem::take(&mut pairs.cols),
            mass: std::mem::take(&mut pairs.plan),
        }
    }
}

impl<T: Entry> Store for List<'_, T> {
    fn pass(&mut self, point: &mut Point) {
        self.pairs.pass(&self.dual, point);
    }

    fn entropy(&mut self, point: &Point, rows: &mut [f64], cols: &mut [f64]) {
        self.pairs.entropy(point, rows, cols);
    }

    fn solve(
        &mut self,
        point: &Point,
        rows: Option<&[f64]>,
        cols: &[f64],
        y: &mut [f64],
        tol: f64,
    ) -> usize {
        self.pairs
            .system(&self.dual, point, None)
            .solve(rows, cols, y, tol)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Clouds, apart, plan_of, sums_of};

    /// Which pairs are on the list.
    fn listed(list: &List<'_, f64>, n: usize, m: usize) -> Vec<bool> {
        let mut listed = vec![false; n * m];
        for i in 0..n {
            for &j in list.row(i).0 {
                listed[i * m + j as usize] = true;
            }
        }
        listed
    }

    #[test]
    fn every_pair_that_carries_mass_is_listed() {
        let (n, m) = (50, 60);
        let clouds = Clouds::new(n, m, 2, 1);
        for (gamma_a, gamma_b) in [(f64::INFINITY, f64::INFINITY), (0.05, 0.3)] {
            for relative in [1e-2, 1e-3] {
                let dual = clouds.dual(gamma_a, gamma_b);
                let mut point = clouds.solved(dual, relative * clouds.spread, 1e-12);
                let plan = plan_of(&dual, &point.f, &point.g, point.eps);
                let (rows, cols) = sums_of(&plan, n, m);
                for reach in [Reach::WAY, Reach::END] {
                    let mut list = List::build(dual, &point, reach);
                    let listed = listed(&list, n, m);
                    assert!(list.len() < n * m, "nothing is left out");
                    // Relative to what the row sends, and to the reference.
                    let least = (-reach.limit()).exp();
                    for (k, p) in plan.iter().enumerate() {
                        let part = p / (rows[k / m] * dual.b[k % m]);
                        assert!(listed[k] || part <= 1.001 * least, "{part:e}");
                        assert!(!listed[k] || part >= 0.999 * least, "{part:e}");
                    }
                    list.pass(&mut point);
                    let within = if reach == Reach::END { 1e-12 } else { 1e-7 };
                    assert!(apart(&point.sent, &rows) < within);
                    assert!(apart(&point.received, &cols) < within);
                    let paid: f64 = plan.iter().zip(dual.cost).map(|(p, c)| p * c).sum();
                    assert!((list.paid() - paid).abs() < within);
                }
            }
        }
    }

    #[test]
    fn a_list_holds_until_potentials_have_moved_too_far() {
        let (n, m) = (40, 40);
        let clouds = Clouds::new(n, m, 2, 2);
        let dual = clouds.balanced();
        let eps = 1e-2 * clouds.spread;
        let point = clouds.solved(dual, eps, 1e-12);
        let reach = Reach::WAY;
        let list = List::build(dual, &point, reach);
        let listed = listed(&list, n, m);
        let silent = (-reach.silent).exp();
        // One source and one target rise: the worst that may happen to a pair.
        let risen = |by: f64| {
            let mut moved = point.clone();
            moved.f[3] += 0.4 * by * eps;
            moved.g[5] += 0.6 * by * eps;
            moved
        };
        assert!(list.is_valid(&point));
        let within = risen(0.999 * reach.drift);
        assert!(list.is_valid(&within));
        for (k, p) in plan_of(&dual, &within.f, &within.g, eps).iter().enumerate() {
            let part = p / (dual.a[k / m] * dual.b[k % m]);
            assert!(listed[k] || part <= 1.001 * silent);
        }
        assert!(!list.is_valid(&risen(1.001 * reach.drift)));
        // At a larger ε the same slacks carry more.
        let mut wider = point.clone();
        wider.eps *= 1.001 * reach.limit() / reach.silent;
        assert!(!list.is_valid(&wider));
    }

    #[test]
    fn a_pruned_list_is_the_one_that_would_be_built() {
        let (n, m) = (40, 50);
        let clouds = Clouds::new(n, m, 2, 3);
        for gamma in [f64::INFINITY, 0.1] {
            let dual = clouds.dual(gamma, gamma);
            let point = clouds.solved(dual, 1e-2 * clouds.spread, 1e-12);
            let mut list = List::build(dual, &point, Reach::WAY);
            let (before, mut next) = (list.len(), point.clone());
            list.pass(&mut next);
            list.prune(&next);
            assert_eq!(list.len(), before, "nothing has become far");
            next.eps *= 0.1;
            list.pass(&mut next);
            list.prune(&next);
            let mut built = List::build(dual, &next, Reach::WAY);
            assert!(list.len() <= before / 2);
            for i in 0..n {
                assert_eq!(list.row(i).0, built.row(i).0);
            }
            let mut again = next.clone();
            list.pass(&mut next);
            built.pass(&mut again);
            assert_eq!(next.received, again.received);
            let taken = list.take();
            assert!(list.is_empty());
            for i in 0..n {
                assert_eq!(taken.row(i), (built.row(i).0, built.row(i).1));
            }
        }
    }

    #[test]
    fn a_row_whose_potential_is_far_off_has_its_nearest_pairs() {
        let clouds = Clouds::new(10, 12, 2, 4);
        let dual = clouds.balanced();
        let mut point = clouds.solved(dual, 1e-2, 1e-10);
        point.f[4] = -1e3;
        let mut list = List::build(dual, &point, Reach::WAY);
        assert!(!list.row(4).0.is_empty());
        list.pass(&mut point);
        assert!(point.f[4] > -10.0 && point.error() < 1e-6);
        // Not for it alone would a density be worth a list.
        assert_eq!(density(&dual, &point, f64::INFINITY), 1.0);
        assert_eq!(density(&dual, &point, -1e3), 0.0);
    }
}
