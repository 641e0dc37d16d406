//! A smaller problem whose duals carry the long waves of the full one.
//!
//! A cost matrix has no geometry, but its own entries show which rows and columns are alike: the costs
//! to a few landmarks serve as coordinates. Rows and columns are put in groups of four by a kd-split on
//! these, each group is represented by its heaviest member with the mass of all, and the problem of a
//! sixteenth of the entries is solved exactly. One c-transform from the representatives' rows extends
//! its duals to all columns. Unlike a random sample, the groups keep the mass where it is.

use super::engine::{Instance, Watch};

/// Members of a group.
const GROUP: usize = 4;

/// Landmarks on each side.
const LANDMARKS: usize = 8;

/// Costs further than this many spreads from the lowest (forbidden pairs, that is) stop here.
const CAP: f32 = 8.0;

/// The grouped problem.
#[derive(Debug, Default)]
pub(super) struct Coarse {
    features: Vec<f32>,
    order: Vec<u32>,
    stack: Vec<(u32, u32)>,
    rows: Vec<u32>,
    columns: Vec<u32>,
    pub(super) supply: Vec<f64>,
    pub(super) demand: Vec<f64>,
    pub(super) cost: Vec<f32>,
    /// Potentials on their way to all columns.
    extended: Vec<f64>,
}

impl Coarse {
    /// Bytes of the grouped cost of an n×m problem.
    pub(super) fn bytes(n: usize, m: usize) -> usize {
        n.div_ceil(GROUP) * m.div_ceil(GROUP) * size_of::<f32>()
    }

    /// Groups both sides and reads the representatives' costs, as `(c − low)·scale`; `false` where it was stopped.
    pub(super) fn build(
        &mut self,
        instance: &Instance<'_>,
        low: f64,
        scale: f64,
        buffer: &mut [f64],
        watch: &mut Watch<'_, '_>,
    ) -> bool {
        let (n, m) = (instance.supply.len(), instance.demand.len());
        let narrow = |c: f64| (((c - low) * scale) as f32).min(CAP);
        self.features.clear();
        for i in 0..n {
            if !watch.goes_on(LANDMARKS) {
                return false;
            }
            for k in 0..LANDMARKS {
                let j = (2 * k + 1) * m / (2 * LANDMARKS);
                self.features.push(narrow(instance.cost.entry(i, j)));
            }
        }
        self.order.clear();
        self.order.extend(0..n as u32);
        if !self.split(watch) {
            return false;
        }
        represent(
            &self.order,
            instance.supply,
            &mut self.rows,
            &mut self.supply,
        );

        self.features.clear();
        self.features.resize(m * LANDMARKS, 0.0);
        for k in 0..LANDMARKS {
            if !watch.goes_on(m) {
                return false;
            }
            let i = (2 * k + 1) * n / (2 * LANDMARKS);
            let row = instance.cost.row(i, buffer);
            for j in 0..m {
                self.features[j * LANDMARKS + k] = narrow(row.at(j));
            }
        }
        self.order.clear();
        self.order
            .extend((0..m as u32).filter(|&j| instance.demand[j as usize] > 0.0));
        if !self.split(watch) {
            return false;
        }
        represent(
            &self.order,
            instance.demand,
            &mut self.columns,
            &mut self.demand,
        );

        self.cost.clear();
        for &i in &self.rows {
            if !watch.goes_on(m) {
                return false;
            }
            let row = instance.cost.row(i as usize, buffer);
            self.cost
                .extend(self.columns.iter().map(|&j| narrow(row.at(j as usize))));
        }
        true
    }

    /// Orders the elements so that consecutive groups are alike; `false` where it was stopped.
    fn split(&mut self, watch: &mut Watch<'_, '_>) -> bool {
        self.stack.clear();
        self.stack.push((0, self.order.len() as u32));
        while let Some((from, to)) = self.stack.pop() {
            let len = (to - from) as usize;
            if len <= GROUP {
                continue;
            }
            if !watch.goes_on(len * LANDMARKS) {
                return false;
            }
            let part = &mut self.order[from as usize..to as usize];
            let features = &self.features;
            let at = |x: u32, k: usize| features[x as usize * LANDMARKS + k];
            let mut widest = (0, f32::NEG_INFINITY);
            for k in 0..LANDMARKS {
                let (mut low, mut high) = (f32::INFINITY, f32::NEG_INFINITY);
                for &x in part.iter() {
                    low = low.min(at(x, k));
                    high = high.max(at(x, k));
                }
                if high - low > widest.1 {
                    widest = (k, high - low);
                }
            }
            let half = (len / 2).next_multiple_of(GROUP).min(len - 1);
            part.select_nth_unstable_by(half, |&x, &y| at(x, widest.0).total_cmp(&at(y, widest.0)));
            self.stack.push((from, from + half as u32));
            self.stack.push((from + half as u32, to));
        }
        true
    }

    /// The signed potentials `p` of all columns from `f` of the representatives' rows, both in the units
    /// of the full cost: one c-transform, over fewer rows where it is stopped.
    pub(super) fn extend(
        &mut self,
        instance: &Instance<'_>,
        f: impl Fn(usize) -> f64,
        p: &mut [f64],
        buffer: &mut [f64],
        watch: &mut Watch<'_, '_>,
    ) {
        self.extended.clear();
        self.extended.resize(p.len(), f64::INFINITY);
        for (k, &i) in self.rows.iter().enumerate() {
            if !watch.goes_on(p.len()) {
                break;
            }
            instance
                .cost
                .row(i as usize, buffer)
                .column_min(f(k), &mut self.extended);
        }
        for (p, g) in p.iter_mut().zip(&self.extended) {
            if p.is_finite() && g.is_finite() {
                *p = -g;
            }
        }
    }
}

/// The heaviest member and the mass of each group.
fn represent(order: &[u32], weights: &[f64], members: &mut Vec<u32>, masses: &mut Vec<f64>) {
    members.clear();
    masses.clear();
    for group in order.chunks(GROUP) {
        let mut best = group[0];
        let mut mass = 0.0;
        for &x in group {
            mass += weights[x as usize];
            if weights[x as usize] > weights[best as usize] {
                best = x;
            }
        }
        members.push(best);
        masses.push(mass);
    }
}
