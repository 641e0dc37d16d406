//! From a library's answer, good to its tolerance, to a plan with exact marginals and the potentials that prove it.
//!
//! 1. The support of a basic solution is a forest: the flow on it follows from supplies and demands alone.
//! 2. Where that leaves a negative flow or an imbalance (weights below the library's tolerance do), the flow is cut
//!    back to what supplies and demands allow, and the rest goes along augmenting paths.
//! 3. Bellman–Ford on the residual graph: a negative cycle is cancelled, and without one the distances are potentials.
//! 4. Steps 2 and 3 may leave cycles in the support that cost the same either way round: flow is sent around each until
//!    an arc is empty, so that the plan is a vertex.

use std::collections::VecDeque;

use super::network::Network;

/// Below this a flow (of a total of 1) is rounding.
const CRUMB: f64 = 1e-14;
/// Below this an improvement (of costs in [0, 1]) is rounding.
const TIE: f64 = 1e-14;
/// Cycles to cancel before giving up; a library's answer needs none or a few.
const MAX_CYCLES: usize = 100_000;
const NONE: u32 = u32::MAX;

/// Flow for each arc, and potentials with F_i + G_j ≤ c_ij up to rounding.
#[derive(Debug)]
pub(super) struct Polished {
    pub(super) flow: Vec<f64>,
    pub(super) f: Vec<f64>,
    pub(super) g: Vec<f64>,
    /// ⟨flow, c⟩ less the value of the potentials.
    pub(super) gap: f64,
}

/// Time O(arcs·rounds) with as many rounds as the longest shortest path has arcs; memory O(arcs).
pub(super) fn polish(network: &Network, answer: Vec<f64>) -> Polished {
    let mut flow = on_forest(network, &answer);
    repair(network, &mut flow);
    let mut search = Search::new(network);
    for _ in 0..MAX_CYCLES {
        if !search.run(network, &flow) {
            break;
        }
        search.cancel(network, &mut flow);
    }
    to_forest(network, &mut flow);
    let f: Vec<f64> = search.row_distance.iter().map(|d| -d).collect();
    let g = search.col_distance;
    let paid: f64 = network
        .arcs
        .iter()
        .zip(&flow)
        .map(|(arc, x)| arc.cost * x)
        .sum();
    let pair = |p: &[f64], w: &[f64]| p.iter().zip(w).map(|(p, w)| p * w).sum::<f64>();
    // Distances are no potentials where cycles are left: what exceeds a cost counts against the proof.
    let excess = network.arcs.iter().fold(0.0_f64, |worst, arc| {
        worst.max(f[arc.row as usize] + g[arc.col as usize] - arc.cost)
    });
    let gap = paid - pair(&f, &network.supply) - pair(&g, &network.demand) + excess;
    Polished { flow, f, g, gap }
}

/// The largest arcs of the answer that form a forest, with the flow that supplies and demands force on them.
fn on_forest(network: &Network, answer: &[f64]) -> Vec<f64> {
    let (rows, cols) = (network.supply.len(), network.demand.len());
    let mut order: Vec<usize> = (0..answer.len()).filter(|&k| answer[k] > CRUMB).collect();
    order.sort_by(|&k, &l| answer[l].total_cmp(&answer[k]).then(k.cmp(&l)));
    let ends = |k: usize| {
        let arc = network.arcs[k];
        [arc.row as usize, rows + arc.col as usize]
    };
    let mut parent: Vec<usize> = (0..rows + cols).collect();
    fn find(parent: &mut [usize], mut v: usize) -> usize {
        while parent[v] != v {
            parent[v] = parent[parent[v]];
            v = parent[v];
        }
        v
    }
    let mut touching: Vec<Vec<usize>> = vec![Vec::new(); rows + cols];
    for k in order {
        let [u, v] = ends(k);
        let (root_u, root_v) = (find(&mut parent, u), find(&mut parent, v));
        if root_u != root_v {
            parent[root_u] = root_v;
            touching[u].push(k);
            touching[v].push(k);
        }
    }
    // Leaves first: a leaf's one arc carries all that the leaf has left.
    let mut left: Vec<f64> = network
        .supply
        .iter()
        .chain(&network.demand)
        .copied()
        .collect();
    let mut degree: Vec<usize> = touching.iter().map(Vec::len).collect();
    let mut flow = vec![0.0; answer.len()];
    let mut done = vec![false; answer.len()];
    let mut leaves: VecDeque<usize> = (0..rows + cols).filter(|&v| degree[v] == 1).collect();
    while let Some(leaf) = leaves.pop_front() {
        let Some(&k) = touching[leaf].iter().find(|&&k| !done[k]) else {
            continue;
        };
        let [u, v] = ends(k);
        let other = if u == leaf { v } else { u };
        flow[k] = left[leaf];
        left[other] -= left[leaf];
        left[leaf] = 0.0;
        done[k] = true;
        degree[other] -= 1;
        if degree[other] == 1 {
            leaves.push_back(other);
        }
    }
    flow
}

/// Takes the cycles out of the support, each in the direction that does not cost more.
fn to_forest(network: &Network, flow: &mut [f64]) {
    let (rows, cols) = (network.supply.len(), network.demand.len());
    let ends = |k: u32| {
        let arc = network.arcs[k as usize];
        [arc.row as usize, rows + arc.col as usize]
    };
    // Arcs of the forest so far at each node.
    let mut at: Vec<Vec<u32>> = vec![Vec::new(); rows + cols];
    let mut came_by = vec![NONE; rows + cols];
    let mut stack = Vec::new();
    for k in 0..flow.len() as u32 {
        if flow[k as usize] <= 0.0 {
            continue;
        }
        let [row, col] = ends(k);
        // The way through the forest from the row to the column closes a cycle with the arc.
        came_by.fill(NONE);
        stack.clear();
        stack.push(row);
        while let Some(v) = stack.pop() {
            for &l in &at[v] {
                let [r, c] = ends(l);
                let next = if r == v { c } else { r };
                if l != came_by[v] && came_by[next] == NONE && next != row {
                    came_by[next] = l;
                    stack.push(next);
                }
            }
        }
        if came_by[col] != NONE {
            let (mut with, mut against) = (vec![k], Vec::new());
            let mut v = col;
            while v != row {
                let l = came_by[v];
                let [r, c] = ends(l);
                if c == v {
                    against.push(l);
                    v = r;
                } else {
                    with.push(l);
                    v = c;
                }
            }
            let cost =
                |arcs: &[u32]| -> f64 { arcs.iter().map(|&l| network.arcs[l as usize].cost).sum() };
            if cost(&with) > cost(&against) {
                std::mem::swap(&mut with, &mut against);
            }
            let amount = against
                .iter()
                .map(|&l| flow[l as usize])
                .fold(f64::INFINITY, f64::min);
            with.iter().for_each(|&l| flow[l as usize] += amount);
            against.iter().for_each(|&l| flow[l as usize] -= amount);
            for &l in against.iter().filter(|&&l| flow[l as usize] <= 0.0) {
                for v in ends(l) {
                    at[v].retain(|&x| x != l);
                }
            }
        }
        if flow[k as usize] > 0.0 {
            at[row].push(k);
            at[col].push(k);
        }
    }
}

/// Makes the flow non-negative and its marginals right, along allowed arcs.
fn repair(network: &Network, flow: &mut [f64]) {
    let (rows, cols) = (network.supply.len(), network.demand.len());
    flow.iter_mut().for_each(|x| *x = x.max(0.0));
    let mut sent = vec![0.0; rows];
    for (arc, x) in network.arcs.iter().zip(flow.iter()) {
        sent[arc.row as usize] += x;
    }
    // Rows, then columns, are cut back where they carry too much beyond rounding.
    let cut = |have: f64, want: f64| {
        if have > want + CRUMB {
            want / have
        } else {
            1.0
        }
    };
    let mut taken = vec![0.0; cols];
    for (arc, x) in network.arcs.iter().zip(flow.iter_mut()) {
        *x *= cut(sent[arc.row as usize], network.supply[arc.row as usize]);
        taken[arc.col as usize] += *x;
    }
    sent.fill(0.0);
    let mut rest_b = network.demand.clone();
    for (arc, x) in network.arcs.iter().zip(flow.iter_mut()) {
        let col = arc.col as usize;
        *x *= cut(taken[col], network.demand[col]);
        sent[arc.row as usize] += *x;
        rest_b[col] -= *x;
    }
    let mut rest_a: Vec<f64> = network
        .supply
        .iter()
        .zip(&sent)
        .map(|(a, s)| a - s)
        .collect();
    // Nothing left beyond rounding: the usual case.
    while rest_a.iter().any(|r| *r > CRUMB) && augment(network, flow, &mut rest_a, &mut rest_b) {}
}

/// One breadth-first search from the rows with something left; pushes along the path to the first column with room.
fn augment(network: &Network, flow: &mut [f64], rest_a: &mut [f64], rest_b: &mut [f64]) -> bool {
    let (rows, cols) = (rest_a.len(), rest_b.len());
    let by_col = arcs_by_column(network);
    let (mut into_row, mut into_col) = (vec![NONE; rows], vec![NONE; cols]);
    let mut seen = vec![false; rows];
    let mut queue: VecDeque<usize> = (0..rows).filter(|&i| rest_a[i] > CRUMB).collect();
    queue.iter().for_each(|&i| seen[i] = true);
    let mut end = None;
    'search: while let Some(i) = queue.pop_front() {
        for k in network.row_start[i]..network.row_start[i + 1] {
            let j = network.arcs[k].col as usize;
            if into_col[j] != NONE {
                continue;
            }
            into_col[j] = k as u32;
            if rest_b[j] > CRUMB {
                end = Some(j);
                break 'search;
            }
            for &l in &by_col[j] {
                let row = network.arcs[l as usize].row as usize;
                if flow[l as usize] > CRUMB && !seen[row] {
                    seen[row] = true;
                    into_row[row] = l;
                    queue.push_back(row);
                }
            }
        }
    }
    let Some(end) = end else { return false };
    let mut path = vec![into_col[end]];
    let mut row = network.arcs[path[0] as usize].row as usize;
    let mut amount = rest_b[end];
    while into_row[row] != NONE {
        let back = into_row[row];
        amount = amount.min(flow[back as usize]);
        let forth = into_col[network.arcs[back as usize].col as usize];
        path.extend([back, forth]);
        row = network.arcs[forth as usize].row as usize;
    }
    amount = amount.min(rest_a[row]);
    for (step, &k) in path.iter().enumerate() {
        flow[k as usize] += if step % 2 == 0 { amount } else { -amount };
    }
    rest_a[row] -= amount;
    rest_b[end] -= amount;
    true
}

fn arcs_by_column(network: &Network) -> Vec<Vec<u32>> {
    let mut by_col = vec![Vec::new(); network.demand.len()];
    for (k, arc) in network.arcs.iter().enumerate() {
        by_col[arc.col as usize].push(k as u32);
    }
    by_col
}

/// Shortest distances in the residual graph from all rows at once.
struct Search {
    row_distance: Vec<f64>,
    col_distance: Vec<f64>,
    /// The arc that the distance came by.
    into_row: Vec<u32>,
    into_col: Vec<u32>,
    /// A node of a negative cycle, if one was found: rows first, then columns.
    cycle: usize,
}

impl Search {
    fn new(network: &Network) -> Self {
        let (rows, cols) = (network.supply.len(), network.demand.len());
        Self {
            row_distance: vec![0.0; rows],
            col_distance: vec![f64::INFINITY; cols],
            into_row: vec![NONE; rows],
            into_col: vec![NONE; cols],
            cycle: 0,
        }
    }

    /// Whether there is a negative cycle. Without one, the distances are final.
    fn run(&mut self, network: &Network, flow: &[f64]) -> bool {
        self.row_distance.fill(0.0);
        self.col_distance.fill(f64::INFINITY);
        self.into_row.fill(NONE);
        self.into_col.fill(NONE);
        let used: Vec<usize> = (0..flow.len()).filter(|&k| flow[k] > CRUMB).collect();
        let rounds = network.supply.len() + network.demand.len() + 1;
        for round in 1..=rounds {
            let mut changed = false;
            for (k, arc) in network.arcs.iter().enumerate() {
                let there = self.row_distance[arc.row as usize] + arc.cost;
                let best = &mut self.col_distance[arc.col as usize];
                if there < *best - TIE {
                    *best = there;
                    self.into_col[arc.col as usize] = k as u32;
                    changed = true;
                }
            }
            for &k in &used {
                let arc = network.arcs[k];
                let back = self.col_distance[arc.col as usize] - arc.cost;
                let best = &mut self.row_distance[arc.row as usize];
                if back < *best - TIE {
                    *best = back;
                    self.into_row[arc.row as usize] = k as u32;
                    changed = true;
                }
            }
            if !changed {
                return false;
            }
            // Cycles show in the arcs the distances came by long before the last round.
            if (round % 8 == 0 || round == rounds) && self.find_cycle(network) {
                return true;
            }
        }
        false
    }

    /// The node before `v` on its shortest path.
    fn before(&self, network: &Network, v: usize) -> Option<usize> {
        let rows = self.into_row.len();
        let arc = |k: u32| network.arcs[k as usize];
        if v < rows {
            let k = self.into_row[v];
            (k != NONE).then(|| rows + arc(k).col as usize)
        } else {
            let k = self.into_col[v - rows];
            (k != NONE).then(|| arc(k).row as usize)
        }
    }

    fn find_cycle(&mut self, network: &Network) -> bool {
        let count = self.into_row.len() + self.into_col.len();
        let mut visit = vec![0_usize; count];
        for start in 0..count {
            let mut v = start;
            while visit[v] == 0 {
                visit[v] = start + 1;
                match self.before(network, v) {
                    Some(u) => v = u,
                    None => break,
                }
            }
            if visit[v] == start + 1 && self.before(network, v).is_some() {
                self.cycle = v;
                return true;
            }
        }
        false
    }

    /// Sends as much as the cycle bears around it.
    fn cancel(&self, network: &Network, flow: &mut [f64]) {
        let rows = self.into_row.len();
        let (mut forward, mut backward) = (Vec::new(), Vec::new());
        let mut v = self.cycle;
        loop {
            if v < rows {
                backward.push(self.into_row[v] as usize);
            } else {
                forward.push(self.into_col[v - rows] as usize);
            }
            match self.before(network, v) {
                Some(u) if u != self.cycle => v = u,
                _ => break,
            }
        }
        let amount = backward
            .iter()
            .map(|&k| flow[k])
            .fold(f64::INFINITY, f64::min);
        forward.iter().for_each(|&k| flow[k] += amount);
        backward.iter().for_each(|&k| flow[k] -= amount);
    }
}

#[cfg(test)]
mod tests {
    use solver_api::Problem;

    use super::*;

    fn network(a: &[f64], b: &[f64], cost: &[f64]) -> Network {
        Network::new(&Problem::from_slices(a, b, cost).unwrap())
    }

    #[test]
    fn a_rough_optimal_answer_becomes_exact() {
        let net = network(&[0.5, 0.5], &[0.25, 0.75], &[0.0, 1.0, 1.0, 0.0]);
        let p = polish(&net, vec![0.250_000_01, 0.25, 1e-9, 0.499_999_98]);
        assert_eq!(p.flow, [0.25, 0.25, 0.0, 0.5]);
        assert!(p.gap.abs() < 1e-15);
    }

    #[test]
    fn cycles_that_cost_nothing_are_taken_out() {
        // All costs are equal: any plan is optimal, and a library may return the one in the middle.
        let w = [0.25; 4];
        let net = network(&w, &w, &[1.0; 16]);
        let mut flow = vec![1.0 / 16.0; 16];
        to_forest(&net, &mut flow);
        assert!(flow.iter().filter(|x| **x > 0.0).count() < 8);
        for k in 0..4 {
            let row: f64 = flow[4 * k..4 * k + 4].iter().sum();
            let col: f64 = flow.iter().skip(k).step_by(4).sum();
            assert_eq!((row, col), (0.25, 0.25));
        }
        // The cheaper way round.
        let half = [0.5, 0.5];
        let net = network(&half, &half, &[0.0, 1.0, 1.0, 0.5]);
        let mut flow = vec![0.25; 4];
        to_forest(&net, &mut flow);
        assert_eq!(flow, [0.5, 0.0, 0.0, 0.5]);
    }

    #[test]
    fn any_answer_becomes_the_optimum() {
        let cost = [0.3, 0.9, 0.4, 0.8, 0.1, 0.7, 0.2, 0.6, 0.0];
        let net = network(&[0.2, 0.3, 0.5], &[0.4, 0.4, 0.2], &cost);
        // Wrong in every way: too much, too little, nothing.
        for answer in [
            vec![0.0; 9],
            vec![1.0; 9],
            (0..9).map(|k| 0.1 * f64::from(k)).collect(),
        ] {
            let p = polish(&net, answer);
            assert!(p.gap.abs() < 1e-14, "{p:?}");
            let row = |i: usize| p.flow[3 * i..3 * i + 3].iter().sum::<f64>();
            let col = |j: usize| p.flow[j] + p.flow[3 + j] + p.flow[6 + j];
            for (have, want) in [
                (row(0), 0.2),
                (row(1), 0.3),
                (row(2), 0.5),
                (col(0), 0.4),
                (col(1), 0.4),
                (col(2), 0.2),
            ] {
                assert!((have - want).abs() < 1e-15);
            }
            assert!(p.flow.iter().all(|x| *x >= 0.0));
        }
    }
}
