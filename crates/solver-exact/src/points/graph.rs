//! Which pairs count: the nearest targets of each source and the nearest sources of each target, by reduced cost.

use super::field::Field;
use super::hierarchy::Cloud;
use super::kd::Kd;
use super::search::search;

/// Nearest targets of a source, and nearest sources of a target, at least. Measured in the plane: fewer leave targets that
/// nobody lists, more cost time in every pass.
pub(super) const OF_SOURCE: usize = 12;
pub(super) const OF_TARGET: usize = 8;

/// A point's partners have this multiple of its mass: lists of a few do not hold a plan where a point has the mass of a
/// thousand others. (With masses of any size, n points list n log n partners.)
const MASS: f64 = 2.0;
/// Partners of a point at most, and how much longer lists that lack mass get from one search to the next.
const MOST: usize = 4096;
const LONGER: usize = 4;
/// No lists get longer once there are so many pairs for each point.
const BUDGET: usize = 64;
/// The least width, as a part of the mean.
const NARROWEST: f64 = 1e-3;

/// Pairs by source, targets ascending.
#[derive(Debug, Default)]
pub(super) struct Graph {
    pub(super) start: Vec<u32>,
    pub(super) target: Vec<u32>,
    pub(super) cost: Vec<f64>,
    /// How far the last of a source's nearest targets is above the first, in reduced cost; where all are alike, a little.
    pub(super) width: Vec<f64>,
}

/// What a task found: points with their partners, each point's nearest and last reduced cost, and whose lists lack mass.
#[derive(Default)]
struct Listed {
    pairs: Vec<(u32, u32)>,
    ends: Vec<(u32, f64, f64)>,
    lacking: Vec<u32>,
}

/// Potentials of both sides, in kd-order, with their bounds.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) f: Field,
    pub(super) g: Field,
    /// What was found, before it is sorted.
    pairs: Vec<(u32, u32)>,
    /// What the last of a point's nearest is at most.
    most: Vec<f64>,
}

impl Graph {
    /// The pairs of some sources in a row.
    pub(super) fn rows(&self, sources: std::ops::Range<usize>) -> std::ops::Range<usize> {
        self.start[sources.start] as usize..self.start[sources.end] as usize
    }

    pub(super) fn row(&self, i: usize) -> std::ops::Range<usize> {
        self.rows(i..i + 1)
    }

    /// For these potentials of the targets; `f` becomes their c-transform. O((n + m) log(n + m)) where the tree prunes and
    /// masses are alike.
    pub(super) fn build(
        &mut self,
        x: &Cloud,
        y: &Cloud,
        f: &mut [f64],
        g: &[f64],
        fields: &mut Fields,
    ) {
        let Fields {
            f: of_x,
            g: of_y,
            pairs,
            most,
        } = fields;
        pairs.clear();
        of_y.set(&y.kd, g);
        self.width.clear();
        self.width.resize(x.len(), 0.0);
        self.bound_sources(g, most);
        list(x, y, of_y, OF_SOURCE, most, |listed| {
            pairs.extend_from_slice(&listed.pairs);
            for &(i, first, last) in &listed.ends {
                f[i as usize] = first;
                self.width[i as usize] = (last - first).max(0.0);
            }
        });
        let mean = self.width.iter().sum::<f64>() / self.width.len() as f64;
        let narrowest = NARROWEST * mean + f64::MIN_POSITIVE.sqrt();
        for width in &mut self.width {
            *width = width.max(narrowest);
        }
        of_x.set(&x.kd, f);
        self.bound_targets(f, y.len(), most);
        list(y, x, of_x, OF_TARGET, most, |listed| {
            pairs.extend(listed.pairs.iter().map(|&(j, i)| (i, j)));
        });
        self.gather(&x.kd, &y.kd, pairs);
    }

    /// Forgets the pairs: those of another level bound nothing.
    pub(super) fn forget(&mut self) {
        self.start.clear();
        self.target.clear();
        self.cost.clear();
    }

    /// What the last of each source's nearest targets is at most, as the pairs that were listed say; nothing where there were none.
    /// Searches that know it go on only where something is nearer.
    fn bound_sources(&self, g: &[f64], most: &mut Vec<f64>) {
        most.clear();
        for i in 0..self.start.len().saturating_sub(1) {
            let mut least = Least::<OF_SOURCE>::default();
            for k in self.row(i) {
                least.add(self.cost[k] - g[self.target[k] as usize]);
            }
            most.push(least.bound());
        }
    }

    /// The same for the targets.
    fn bound_targets(&self, f: &[f64], targets: usize, most: &mut Vec<f64>) {
        most.clear();
        if self.start.is_empty() {
            return;
        }
        let mut least = vec![Least::<OF_TARGET>::default(); targets];
        for (i, f) in f.iter().enumerate() {
            for k in self.row(i) {
                least[self.target[k] as usize].add(self.cost[k] - f);
            }
        }
        most.extend(least.iter().map(Least::bound));
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

/// The least few numbers, ascending.
#[derive(Debug, Clone, Copy)]
struct Least<const N: usize>([f64; N]);

impl<const N: usize> Default for Least<N> {
    fn default() -> Self {
        Self([f64::INFINITY; N])
    }
}

impl<const N: usize> Least<N> {
    fn add(&mut self, value: f64) {
        if value < self.0[N - 1] {
            let mut at = N - 1;
            while at > 0 && self.0[at - 1] > value {
                self.0[at] = self.0[at - 1];
                at -= 1;
            }
            self.0[at] = value;
        }
    }

    /// What is above all of them.
    fn bound(&self) -> f64 {
        self.0[N - 1].next_up()
    }
}

/// The partners of least reduced cost of every point of `x`, `least` of them at least and so many that they have its mass;
/// a point is told when its list is whole.
///
/// `known`: what the last of the `least` is below, where that is known.
fn list(
    x: &Cloud,
    y: &Cloud,
    field: &Field,
    least: usize,
    known: &[f64],
    mut tell: impl FnMut(&Listed),
) {
    let mut lacking: Option<Vec<bool>> = None;
    let mut most = least;
    let mut room = BUDGET * (x.len() + y.len());
    loop {
        let open = |i: usize| lacking.as_ref().is_none_or(|lacking| lacking[i]);
        let is_last = most >= y.len() || most >= MOST || room == 0;
        let parts = search(
            &x.kd,
            &y.kd,
            field,
            most,
            |i| {
                if open(i) {
                    match known.get(i) {
                        Some(&bound) if most == least => bound,
                        _ => f64::INFINITY,
                    }
                } else {
                    f64::NEG_INFINITY
                }
            },
            |found: &mut Listed, nearest, points| {
                for (r, i) in points.enumerate().filter(|&(_, i)| open(i)) {
                    let wanted = MASS * x.weights[i];
                    let (mut mass, mut count, begun) = (0.0, 0, found.pairs.len());
                    let (mut first, mut last) = (f64::INFINITY, f64::NEG_INFINITY);
                    for (key, j) in nearest.row(r) {
                        if count >= least && mass >= wanted {
                            break;
                        }
                        count += 1;
                        mass += y.weights[j as usize];
                        first = first.min(key);
                        last = key;
                        found.pairs.push((i as u32, j));
                    }
                    if mass < wanted && !is_last {
                        found.pairs.truncate(begun);
                        found.lacking.push(i as u32);
                    } else {
                        found.ends.push((i as u32, first, last));
                    }
                }
            },
        );
        let mut next = vec![false; x.len()];
        let mut any = false;
        for part in &parts {
            tell(part);
            room = room.saturating_sub(part.pairs.len());
            for &i in &part.lacking {
                (next[i as usize], any) = (true, true);
            }
        }
        if !any {
            return;
        }
        lacking = Some(next);
        most = (LONGER * most).min(MOST);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::squares;
    use super::*;

    /// One point with half of the mass, among 400 that share the rest: it has to list them all, and each of them needs few.
    #[test]
    fn lists_have_twice_the_mass_of_their_point() {
        let at = |k: usize, by: f64| (k as f64 * by).fract();
        let points = |by: f64| -> Vec<f64> {
            (0..401)
                .flat_map(|k| [at(k, by), at(k, 1.7 * by)])
                .collect()
        };
        let mut heavy = vec![0.5 / 400.0; 401];
        heavy[7] = 0.5;
        let even = vec![1.0 / 401.0; 401];
        let (x, order) = Cloud::sorted(&points(0.618), 2, &heavy, &squares());
        let (y, _) = Cloud::sorted(&points(0.414), 2, &even, &squares());
        let (mut f, mut graph) = (vec![0.0; 401], Graph::default());
        graph.build(&x, &y, &mut f, &vec![0.0; 401], &mut Fields::default());
        let place = order.iter().position(|&k| k == 7).expect("it is there");
        for i in 0..401 {
            let pairs = graph.row(i).len();
            assert_eq!(pairs == 401, i == place, "{i}: {pairs}");
            let nearest = |j: usize| x.kd.cost(i, &y.kd, j);
            let least = (0..401).map(nearest).fold(f64::INFINITY, f64::min);
            assert_eq!(f[i], least);
            assert!(pairs >= OF_SOURCE && graph.width[i] > 0.0);
        }
        // All that is listed is listed once, in ascending order.
        for i in 0..401 {
            let row = &graph.target[graph.row(i)];
            assert!(row.windows(2).all(|pair| pair[0] < pair[1]));
        }
    }
}
