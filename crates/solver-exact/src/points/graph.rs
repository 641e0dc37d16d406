//! Which pairs count: the nearest targets of each source and the nearest sources of each target, by reduced cost.

use super::kd::{Field, Kd, search};

/// Nearest targets of a source, and nearest sources of a target. Measured in the plane: fewer leave targets that nobody
/// lists, more cost time in every pass.
pub(super) const OF_SOURCE: usize = 12;
pub(super) const OF_TARGET: usize = 8;

/// Pairs by source, targets ascending.
#[derive(Debug, Default)]
pub(super) struct Graph {
    pub(super) start: Vec<u32>,
    pub(super) target: Vec<u32>,
    pub(super) cost: Vec<f64>,
    /// How far the last of a source's nearest targets is above the first, in reduced cost.
    pub(super) width: Vec<f64>,
}

/// Pairs of a task, and the least and the largest reduced cost of each source's list.
type Listed = (Vec<(u32, u32)>, Vec<(f64, f64)>);

/// Potentials of both sides, in kd-order, with their bounds.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) f: Field,
    pub(super) g: Field,
    /// What was found, before it is sorted.
    pairs: Vec<(u32, u32)>,
}

impl Graph {
    /// The pairs of some sources in a row.
    pub(super) fn rows(&self, sources: std::ops::Range<usize>) -> std::ops::Range<usize> {
        self.start[sources.start] as usize..self.start[sources.end] as usize
    }

    pub(super) fn row(&self, i: usize) -> std::ops::Range<usize> {
        self.rows(i..i + 1)
    }

    /// For these potentials of the targets; `f` becomes their c-transform. O((n + m) log(n + m)) where the tree prunes.
    pub(super) fn build(&mut self, x: &Kd, y: &Kd, f: &mut [f64], g: &[f64], fields: &mut Fields) {
        fields.g.set(y, g);
        let unbounded = |_| f64::INFINITY;
        let parts = search(
            x,
            y,
            &fields.g,
            OF_SOURCE,
            unbounded,
            |(pairs, ends): &mut Listed, nearest, points| {
                for (r, i) in points.enumerate() {
                    let (mut first, mut last) = (f64::INFINITY, f64::NEG_INFINITY);
                    for (key, j) in nearest.row(r) {
                        first = first.min(key);
                        last = key;
                        pairs.push((i as u32, j));
                    }
                    ends.push((first, last));
                }
            },
        );
        fields.pairs.clear();
        self.width.clear();
        let mut sources = f.iter_mut();
        for (pairs, ends) in parts {
            fields.pairs.extend(pairs);
            for ((first, last), f) in ends.into_iter().zip(&mut sources) {
                *f = first;
                self.width.push((last - first).max(0.0));
            }
        }
        fields.f.set(x, f);
        let parts = search(
            y,
            x,
            &fields.f,
            OF_TARGET,
            unbounded,
            |pairs: &mut Vec<(u32, u32)>, nearest, points| {
                for (r, j) in points.enumerate() {
                    pairs.extend(nearest.row(r).map(|(_, i)| (i, j as u32)));
                }
            },
        );
        for pairs in parts {
            fields.pairs.extend(pairs);
        }
        self.gather(x, y, &fields.pairs);
    }

    /// Counts, spreads and sorts: each pair once.
    fn gather(&mut self, x: &Kd, y: &Kd, pairs: &[(u32, u32)]) {
        let n = x.len();
        let mut place = vec![0_u32; n + 1];
        for &(i, _) in pairs {
            place[i as usize + 1] += 1;
        }
        for i in 0..n {
            place[i + 1] += place[i];
        }
        let mut of = vec![0_u32; pairs.len()];
        let mut next = place.clone();
        for &(i, j) in pairs {
            let at = &mut next[i as usize];
            of[*at as usize] = j;
            *at += 1;
        }
        self.start.clear();
        self.start.push(0);
        self.target.clear();
        self.cost.clear();
        for i in 0..n {
            let row = &mut of[place[i] as usize..place[i + 1] as usize];
            row.sort_unstable();
            let mut before = u32::MAX;
            for &j in row.iter() {
                if j != before {
                    self.target.push(j);
                    self.cost.push(x.cost(i, y, j as usize));
                    before = j;
                }
            }
            self.start.push(self.target.len() as u32);
        }
    }
}
