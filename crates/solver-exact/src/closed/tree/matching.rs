//! The sweep up, which makes the plan, and the sweep down, which makes the potentials.

use ot_kernels::wide::Wide;
use solver_api::{Termination, TreeCost};

/// No item, or the end of a list.
const NONE: u32 = u32::MAX;
/// Places after which the caller is asked whether to go on.
const CHECK: usize = 1 << 16;

/// What is left of a weight by rounding, relative to it.
const CRUMB: f64 = 2.0 * f64::EPSILON;

/// A plan, as (source, target, mass), and the potential at each source and target.
pub(super) struct Matching {
    pub(super) triples: Vec<(u32, u32, f64)>,
    pub(super) f: Vec<f64>,
    pub(super) g: Vec<f64>,
}

/// First and last item of a list.
#[derive(Clone, Copy)]
struct List {
    first: u32,
    last: u32,
}

const EMPTY: List = List {
    first: NONE,
    last: NONE,
};

/// Sources (or targets) that wait for a partner, in lists: one for each place.
struct Waiting<'a> {
    weights: &'a [f64],
    at: Vec<List>,
    next: Vec<u32>,
    /// What each still has to send, or to get. Twice the digits: a heavy item may meet a million light ones.
    rest: Vec<Wide>,
}

impl<'a> Waiting<'a> {
    fn new(places: &[u32], weights: &'a [f64], nodes: usize) -> Self {
        let mut waiting = Self {
            weights,
            at: vec![EMPTY; nodes],
            next: vec![NONE; places.len()],
            rest: weights.iter().map(|&w| w.into()).collect(),
        };
        for (k, &p) in places.iter().enumerate().filter(|(k, _)| weights[*k] > 0.0) {
            let k = k as u32;
            waiting.append(p as usize, List { first: k, last: k });
        }
        waiting
    }

    fn append(&mut self, place: usize, list: List) {
        let here = &mut self.at[place];
        if here.first == NONE {
            *here = list;
        } else if list.first != NONE {
            self.next[here.last as usize] = list.first;
            here.last = list.last;
        }
    }

    /// Takes `mass` off the first item at `place`, which goes where nothing but rounding is left of it: 0.1 and 0.2 are
    /// 0.3 here, and no crumb of 3e-17 looks for a partner elsewhere.
    fn take(&mut self, place: usize, mass: f64) {
        let first = self.at[place].first as usize;
        self.rest[first] = self.rest[first] - mass.into();
        if self.rest[first].value() <= CRUMB * self.weights[first] {
            self.at[place].first = self.next[first];
        }
    }
}

/// Matches in each subtree what it can, from the leaves on; what is left waits at the parent. Each step uses up a source
/// or a target, so that there are at most n + m − 1 entries: O(N + n + m).
///
/// `go_on` is asked from time to time with the places done, and may stop it.
pub(super) fn matched(
    cost: &TreeCost,
    a: &[f64],
    b: &[f64],
    mut go_on: impl FnMut(usize) -> Option<Termination>,
) -> Result<Matching, Termination> {
    let tree = cost.tree();
    let (up, length) = (tree.parent_places(), tree.lengths_by_place());
    let mut sources = Waiting::new(cost.source_places(), a, tree.len());
    let mut targets = Waiting::new(cost.target_places(), b, tree.len());
    let mut triples = Vec::with_capacity(a.len() + b.len());
    let mut seen = vec![0_u64; tree.len()];
    for (places, weights) in [(cost.source_places(), a), (cost.target_places(), b)] {
        let heavy = places.iter().zip(weights).filter(|(_, w)| **w > 0.0);
        heavy.for_each(|(&p, _)| seen[p as usize] += 1);
    }
    let everything: u64 = seen.iter().sum();
    // 1 where sources wait for what is above, −1 where targets do, 0 where nothing crosses the edge: the sign of φ.
    let mut excess = vec![0_i8; tree.len()];
    for k in (0..tree.len()).rev() {
        if k % CHECK == 0
            && let Some(end) = go_on(tree.len() - k)
        {
            return Err(end);
        }
        loop {
            let (i, j) = (sources.at[k].first, targets.at[k].first);
            if i == NONE || j == NONE {
                break;
            }
            let (send, get) = (sources.rest[i as usize], targets.rest[j as usize]);
            let mass = if send < get { send } else { get }.value();
            triples.push((i, j, mass));
            // The one with less is used up, though its last half unit in the last place may be left.
            if send < get {
                sources.rest[i as usize] = mass.into();
            } else {
                targets.rest[j as usize] = mass.into();
            }
            sources.take(k, mass);
            targets.take(k, mass);
        }
        // What is left where everything has been seen is rounding, and crosses no edge: it would give potentials the length
        // of edges that no cost has.
        if k == 0 || seen[k] == everything {
            break;
        }
        let above = up[k] as usize;
        seen[above] += seen[k];
        for (waiting, sign) in [(&mut sources, 1), (&mut targets, -1)] {
            let left = waiting.at[k];
            if left.first != NONE {
                waiting.append(above, left);
                excess[k] = sign;
            }
        }
    }
    let mut potential = vec![Wide::ZERO; tree.len()];
    for k in 1..tree.len() {
        let above = potential[up[k] as usize];
        potential[k] = above + f64::from(excess[k]) * length[k];
    }
    let at = |places: &[u32], sign: f64| -> Vec<f64> {
        let values = places.iter().map(|&p| sign * potential[p as usize].value());
        // Never −0.
        values.map(|v| v + 0.0).collect()
    };
    Ok(Matching {
        f: at(cost.source_places(), 1.0),
        g: at(cost.target_places(), -1.0),
        triples,
    })
}
