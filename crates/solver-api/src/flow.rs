//! Routing mass over the allowed pairs: the maximum flow behind the feasibility check, and the way that rounding
//! sends its remainder when some pairs are forbidden.

use std::collections::{BTreeMap, VecDeque};

use crate::cost::{Cost, visit_allowed};

const NONE: u32 = u32::MAX;

/// P_ij of a plan that is already there and may be rerouted.
pub(crate) type BaseFlow<'a> = &'a dyn Fn(usize, usize) -> f64;

/// Flow on top of an optional base plan. Memory O(n + m + pairs touched).
pub(crate) struct Routing<'a> {
    cost: &'a dyn Cost,
    base: Option<BaseFlow<'a>>,
    rest_a: Vec<f64>,
    rest_b: Vec<f64>,
    /// Changes to the base, by target. Ordered, so that runs repeat bit for bit.
    added: Vec<BTreeMap<u32, f64>>,
    seen_source: Vec<bool>,
    seen_target: Vec<bool>,
    /// Mass at or below this is rounding.
    crumb: f64,
}

impl<'a> Routing<'a> {
    /// `rest_a` is still to be sent, `rest_b` still to be received.
    pub(crate) fn new(
        cost: &'a dyn Cost,
        base: Option<BaseFlow<'a>>,
        rest_a: Vec<f64>,
        rest_b: Vec<f64>,
    ) -> Self {
        let (n, m) = cost.shape();
        Self {
            cost,
            base,
            rest_a,
            rest_b,
            added: vec![BTreeMap::new(); m],
            seen_source: vec![false; n],
            seen_target: vec![false; m],
            crumb: 0.0,
        }
    }

    /// Routes as much as possible, `limit` at most; returns what is left of the limit, or of the sources' mass where
    /// that is less.
    pub(crate) fn route(&mut self, limit: f64) -> f64 {
        let mut budget = limit;
        let left = |rest: &[f64], budget: f64| budget.min(rest.iter().sum());
        self.crumb = left(&self.rest_a, budget) * 1e-16;
        self.greedy(&mut budget);
        while budget > self.crumb && self.augment(&mut budget) {}
        left(&self.rest_a, budget)
    }

    /// The changes (i, j, ΔP_ij), zeros left out.
    pub(crate) fn changes(&self) -> impl Iterator<Item = (usize, usize, f64)> + '_ {
        self.added.iter().enumerate().flat_map(|(j, column)| {
            column
                .iter()
                .filter(|c| *c.1 != 0.0)
                .map(move |(&i, &t)| (i as usize, j, t))
        })
    }

    /// After [`Routing::route`] came to its end: the sources that residual arcs reach from unsent mass, and all
    /// targets they reach. No reachable target has room: a violating set.
    pub(crate) fn reachable(&self) -> (Vec<usize>, Vec<usize>) {
        let seen = |v: &[bool]| (0..v.len()).filter(|&k| v[k]).collect();
        (seen(&self.seen_source), seen(&self.seen_target))
    }

    fn greedy(&mut self, budget: &mut f64) {
        let mut scratch = vec![0.0; self.rest_b.len()];
        for i in 0..self.rest_a.len() {
            if self.rest_a[i] <= 0.0 {
                continue;
            }
            let (rest_a, rest_b, added) = (&mut self.rest_a[i], &mut self.rest_b, &mut self.added);
            visit_allowed(self.cost, i, &mut scratch, |j, _| {
                let t = rest_a.min(rest_b[j]).min(*budget);
                if t > 0.0 {
                    *rest_a -= t;
                    rest_b[j] -= t;
                    *budget -= t;
                    *added[j].entry(i as u32).or_insert(0.0) += t;
                }
            });
        }
    }

    /// One breadth-first forest from all unsent mass, and an augmentation for every target with room in it.
    /// False when nothing moved.
    fn augment(&mut self, budget: &mut f64) -> bool {
        let (n, m) = (self.rest_a.len(), self.rest_b.len());
        self.seen_source.fill(false);
        self.seen_target.fill(false);
        let (mut from_target, mut from_source) = (vec![NONE; n], vec![NONE; m]);
        let mut scratch = vec![0.0; m];
        let mut queue = VecDeque::new();
        for i in (0..n).filter(|&i| self.rest_a[i] > self.crumb) {
            self.seen_source[i] = true;
            queue.push_back(i);
        }
        let mut ends = Vec::new();
        let mut reached = Vec::new();
        while let Some(i) = queue.pop_front() {
            reached.clear();
            let seen = &mut self.seen_target;
            visit_allowed(self.cost, i, &mut scratch, |j, _| {
                if !seen[j] {
                    seen[j] = true;
                    reached.push(j);
                }
            });
            for &j in &reached {
                from_source[j] = i as u32;
                if self.rest_b[j] > self.crumb {
                    ends.push(j);
                } else {
                    self.sources_of(j, |routing, k| {
                        routing.seen_source[k] = true;
                        from_target[k] = j as u32;
                        queue.push_back(k);
                    });
                }
            }
        }
        let mut moved = false;
        for end in ends {
            moved |= self.push_along(end, &from_source, &from_target, budget);
        }
        moved
    }

    fn flow(&self, i: usize, j: usize) -> f64 {
        let base = self.base.map_or(0.0, |base| base(i, j));
        base + self.added[j].get(&(i as u32)).copied().unwrap_or(0.0)
    }

    /// Calls `visit` for every unseen source whose flow to `j` can be taken back.
    fn sources_of(&mut self, j: usize, mut visit: impl FnMut(&mut Self, usize)) {
        let candidates: Vec<usize> = if self.base.is_some() {
            (0..self.rest_a.len()).collect()
        } else {
            self.added[j].keys().map(|&i| i as usize).collect()
        };
        for i in candidates {
            if !self.seen_source[i] && self.flow(i, j) > self.crumb {
                visit(self, i);
            }
        }
    }

    /// Pushes what the path to `end` can bear. Earlier pushes of the phase may have used it up.
    fn push_along(
        &mut self,
        end: usize,
        from_source: &[u32],
        from_target: &[u32],
        budget: &mut f64,
    ) -> bool {
        let mut bottleneck = self.rest_b[end].min(*budget);
        let mut j = end;
        let root = loop {
            let i = from_source[j] as usize;
            let back = from_target[i];
            if back == NONE {
                break i;
            }
            j = back as usize;
            bottleneck = bottleneck.min(self.flow(i, j));
        };
        bottleneck = bottleneck.min(self.rest_a[root]);
        if bottleneck <= self.crumb {
            return false;
        }
        let mut j = end;
        loop {
            let i = from_source[j];
            *self.added[j].entry(i).or_insert(0.0) += bottleneck;
            let back = from_target[i as usize];
            if back == NONE {
                break;
            }
            j = back as usize;
            *self.added[j].entry(i).or_insert(0.0) -= bottleneck;
        }
        self.rest_a[root] -= bottleneck;
        self.rest_b[end] -= bottleneck;
        *budget -= bottleneck;
        true
    }
}
