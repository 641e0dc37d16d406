//! One side of a problem as the engine wants it: points of positive weight, each place once, about their mean where that is no
//! other problem.

use std::ops::Range;

/// Points of positive weight about their mean. Points in one place are one point to the engine: it would find all of them
/// equally near, and could leave none of them out.
pub(super) struct Side {
    /// Where each point stands in the caller's order, place by place, and where each place begins.
    members: Vec<u32>,
    start: Vec<u32>,
    /// The weight of each of them.
    shares: Vec<f64>,
    /// Of each place.
    pub(super) weights: Vec<f64>,
    pub(super) points: Vec<f64>,
    pub(super) mean: Vec<f64>,
    /// Points of weight zero: where each stands in the caller's order, and where it is, about the same mean.
    pub(super) idle: Vec<u32>,
    pub(super) idle_points: Vec<f64>,
}

impl Side {
    /// `centred`: about the mean, for squared distances. A plan that is optimal between clouds is so between shifted ones, as
    /// ‖x − y − δ‖² differs from ‖x − y‖² by a function of x and one of y. So clouds that are far apart lose no digits, and
    /// lists are as short as if they were not.
    pub(super) fn of(points: &[f64], dim: usize, weights: &[f64], centred: bool) -> Self {
        let row = |k: u32| &points[k as usize * dim..][..dim];
        let mut members: Vec<u32> = (0..weights.len() as u32)
            .filter(|&k| weights[k as usize] > 0.0)
            .collect();
        let order = |&i: &u32, &k: &u32| {
            let axes = row(i).iter().zip(row(k));
            let mut axes = axes.map(|(x, y)| x.total_cmp(y));
            axes.find(|c| c.is_ne()).unwrap_or(i.cmp(&k))
        };
        members.sort_unstable_by(order);
        let mut start: Vec<u32> = Vec::with_capacity(members.len() + 1);
        for (at, &k) in members.iter().enumerate() {
            if at == 0 || row(members[at - 1]) != row(k) {
                start.push(at as u32);
            }
        }
        start.push(members.len() as u32);
        let shares: Vec<f64> = members.iter().map(|&k| weights[k as usize]).collect();
        let place = |s: &[u32]| s[0] as usize..s[1] as usize;
        let heavy: Vec<f64> = start
            .windows(2)
            .map(|s| shares[place(s)].iter().sum())
            .collect();
        let mass: f64 = heavy.iter().sum();
        let first = members.first().map_or(&points[..dim], |&k| row(k));
        let mut mean = vec![0.0; dim];
        for (s, w) in start.windows(2).zip(&heavy) {
            let point = row(members[s[0] as usize]);
            for ((m, x), o) in mean.iter_mut().zip(point).zip(first) {
                *m += (w / mass) * (x - o);
            }
        }
        for (m, o) in mean.iter_mut().zip(first) {
            *m += o;
        }
        if !centred {
            mean.fill(0.0);
        }
        let mut about = Vec::with_capacity(heavy.len() * dim);
        for s in start.windows(2) {
            let point = row(members[s[0] as usize]);
            about.extend(point.iter().zip(&mean).map(|(x, m)| x - m));
        }
        let is_idle = |&k: &u32| weights[k as usize] == 0.0;
        let idle: Vec<u32> = (0..weights.len() as u32).filter(is_idle).collect();
        let moved = idle.iter().flat_map(|&k| row(k).iter().zip(&mean));
        let idle_points = moved.map(|(x, m)| x - m).collect();
        Self {
            idle,
            idle_points,
            members,
            start,
            shares,
            weights: heavy,
            points: about,
            mean,
        }
    }

    pub(super) fn extent(&self) -> f64 {
        self.points.iter().fold(0.0, |most, x| x.abs().max(most))
    }

    /// Each axis by a factor of its own.
    pub(super) fn stretch(&mut self, by: &[f64]) {
        let all = self.points.chunks_exact_mut(by.len());
        for point in all.chain(self.idle_points.chunks_exact_mut(by.len())) {
            point.iter_mut().zip(by).for_each(|(x, by)| *x *= by);
        }
    }

    /// The mean square of each axis, in units of the largest coordinate.
    pub(super) fn spread(&self) -> Vec<f64> {
        let dim = self.mean.len();
        let unit = 1.0 / self.extent();
        let mass: f64 = self.weights.iter().sum();
        let mut spread = vec![0.0; dim];
        for (point, w) in self.points.chunks_exact(dim).zip(&self.weights) {
            for (s, x) in spread.iter_mut().zip(point) {
                *s += w / mass * (x * unit) * (x * unit);
            }
        }
        spread
    }

    fn place(&self, k: usize) -> Range<usize> {
        self.start[k] as usize..self.start[k + 1] as usize
    }

    /// Those of the caller's points that are in a place.
    pub(super) fn members(&self, k: usize) -> &[u32] {
        &self.members[self.place(k)]
    }
}

/// What each place has not given or taken yet.
struct Open<'a> {
    side: &'a Side,
    left: Vec<f64>,
    /// The next of each place's points.
    next: Vec<usize>,
}

impl<'a> Open<'a> {
    fn new(side: &'a Side) -> Self {
        Self {
            side,
            left: side.shares.clone(),
            next: side.start.iter().map(|&s| s as usize).collect(),
        }
    }

    /// The next point of a place, and how much it takes: the last one all that comes.
    fn next(&self, place: usize) -> (usize, f64) {
        let at = self.next[place];
        let is_last = at + 1 == self.side.place(place).end;
        (
            at,
            if is_last {
                f64::INFINITY
            } else {
                self.left[at]
            },
        )
    }

    fn take(&mut self, place: usize, mass: f64) {
        let (at, room) = self.next(place);
        self.left[at] -= mass;
        if mass >= room {
            self.next[place] += 1;
        }
    }
}

/// A plan between places as one between the caller's points, at most one entry for each of them more.
pub(super) fn between_points(plan: &[(u32, u32, f64)], x: &Side, y: &Side) -> Vec<(u32, u32, f64)> {
    let (mut from, mut to) = (Open::new(x), Open::new(y));
    let mut out = Vec::with_capacity(x.members.len() + y.members.len());
    for &(i, j, mass) in plan {
        let (i, j) = (i as usize, j as usize);
        let mut mass = mass;
        while mass > 0.0 {
            let ((s, given), (t, room)) = (from.next(i), to.next(j));
            let part = mass.min(given).min(room);
            if part > 0.0 {
                out.push((x.members[s], y.members[t], part));
            }
            from.take(i, part);
            to.take(j, part);
            mass -= part;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_in_one_place_are_one_and_get_their_shares_back() {
        let points = [1.0, 2.0, 0.0, 0.0, 1.0, 2.0, 5.0, 5.0, 1.0, 2.0];
        let weights = [0.1, 0.2, 0.3, 0.0, 0.4];
        let side = Side::of(&points, 2, &weights, true);
        assert_eq!(side.members, [1, 0, 2, 4]);
        assert_eq!(side.start, [0, 1, 4]);
        assert!((side.weights[1] - 0.8).abs() < 1e-15);
        let other = Side::of(&[3.0, 4.0], 1, &[0.45, 0.55], true);
        let plan = [(0, 0, 0.2), (1, 0, 0.25), (1, 1, 0.55)];
        let split = between_points(&plan, &side, &other);
        let mut sent = [0.0; 5];
        let mut got = [0.0; 2];
        for (i, j, mass) in split {
            sent[i as usize] += mass;
            got[j as usize] += mass;
        }
        for (have, want) in sent.iter().zip(weights).chain(got.iter().zip([0.45, 0.55])) {
            assert!((have - want).abs() < 1e-15, "{have} {want}");
        }
    }
}
