//! The entering arc: candidate lists first, whole rows when these run dry.

use super::cost::CostView;
use super::lists::{Candidate, Lists, relaxed};
use super::tree::Tree;

/// How a run of pivots ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// No pair violates dual feasibility.
    Optimal,
    /// The pivots allowed are spent.
    IterationLimit,
    /// The caller's check asked to stop.
    Stopped,
    /// Some mass cannot leave forbidden pairs.
    Infeasible,
}

/// What a caller's check sees.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    pub(crate) pivots: u64,
    /// ⟨P, C⟩ of the current basis at mass 1 (in phase one the share of the mass on forbidden pairs);
    /// `None` while starting duals are computed.
    pub(crate) value: Option<f64>,
    /// Lower and upper bound of the optimum in the caller's units, where they were asked for.
    pub(crate) bracket: Option<(f64, f64)>,
}

impl Progress {
    /// While starting duals are computed.
    pub(crate) const STARTING: Self = Self {
        pivots: 0,
        value: None,
        bracket: None,
    };
}

/// Called every [`CHECK_EVERY`] pivots and once a sweep; `false` stops the run.
pub(crate) type Check<'a> = dyn FnMut(&Progress) -> bool + 'a;

const CHECK_EVERY: u64 = 512;

/// The pricing tolerance relative to the terms of a reduced cost: potentials are recomputed from the
/// tree, so their errors are sums of roundings along its paths, a few hundred ulp at worst.
const TOLERANCE: f64 = 64.0 * f64::EPSILON;

/// Candidates kept from one scan of the lists.
const MINOR: usize = 32;

/// Violated pairs of one row that enter its list at most.
const PER_ROW: usize = 8;

/// Rounds by depth, and what part of the last round's largest violation still counts in the next.
const DEPTHS: u32 = 6;
const FALL: f64 = 0.25;

/// Sweeps without gain before the tolerance grows.
const PATIENCE: u32 = 8;

/// Scratch of [`Run::optimise`].
#[derive(Debug, Default)]
pub(crate) struct Pricing {
    candidates: Vec<Candidate>,
    found: Vec<(f64, u32)>,
}

/// The pricing tolerance. Rounding could in principle keep a handful of ties alive for ever: when whole
/// sweeps bring nothing, ties are read more generously.
#[derive(Debug)]
struct Tolerance {
    tol: f64,
    value: f64,
    stalled: u32,
}

impl Tolerance {
    fn new() -> Self {
        Self {
            tol: TOLERANCE,
            value: f64::INFINITY,
            stalled: 0,
        }
    }

    /// The tolerance after a sweep that ended at `value`.
    fn after(&mut self, value: f64) -> f64 {
        self.stalled = if value < self.value {
            0
        } else {
            self.stalled + 1
        };
        self.value = value;
        if self.stalled >= PATIENCE {
            self.tol *= 4.0;
            self.stalled = 0;
        }
        self.tol
    }
}

/// How large a violation must be to count, round by round.
#[derive(Debug)]
struct Depth {
    /// Keys from here on wait; 0 when none do.
    threshold: f64,
    /// The lowest key of the round.
    deepest: f64,
    /// Rounds left before none wait.
    rounds: u32,
    priced: usize,
}

impl Depth {
    fn new(in_use: bool) -> Self {
        // The first round finds out how deep violations are, and puts all it sees on the lists.
        let rounds = if in_use { DEPTHS } else { 0 };
        Self {
            threshold: 0.0,
            deepest: 0.0,
            rounds,
            priced: 0,
        }
    }

    /// After `priced` more rows of `n`.
    fn after(&mut self, priced: usize, n: usize) {
        self.priced += priced;
        if self.priced < n || self.rounds == 0 {
            return;
        }
        self.rounds -= 1;
        self.threshold = if self.rounds == 0 {
            0.0
        } else {
            FALL * self.deepest
        };
        (self.priced, self.deepest) = (0, 0.0);
    }
}

/// What a look at the next rows came to.
enum Row {
    /// So many rows have no violated pair that counts.
    Clean(usize),
    /// One had: perhaps the run must end.
    Pivot(Option<Status>),
}

/// The state that all pivots share.
pub(crate) struct Run<'a, 'c> {
    pub(crate) cost: CostView<'a>,
    pub(crate) tree: &'a mut Tree,
    pub(crate) lists: &'a mut Lists,
    pub(crate) buffer: &'a mut [f64],
    pub(crate) pivots: u64,
    pub(crate) max_pivots: u64,
    /// ⟨P, C⟩ at mass 1, kept up to date by the pivots.
    pub(crate) value: f64,
    /// The share of the mass that one unit is.
    pub(crate) unit: f64,
    /// Stop as soon as the value is not positive (phase one).
    pub(crate) stop_at_zero: bool,
    /// Whether rows are priced one by one, without lists.
    pub(crate) by_rows: bool,
    /// Whether the duals may be far off.
    pub(crate) cold: bool,
    pub(crate) check: &'a mut Check<'c>,
    /// Weights of sources and columns, where each check is to tell a bracket.
    pub(crate) bracket: Option<(&'a [f64], &'a [f64])>,
}

/// A lower bound on the optimum from the columns' signed potentials, in one pass over the cost: with the sources'
/// c-transform of them no pair is violated, whatever the tree's own potentials do.
pub(crate) fn lower_bound(
    cost: &CostView<'_>,
    a: &[f64],
    b: &[f64],
    sinks: &[f64],
    buffer: &mut [f64],
) -> f64 {
    let sinks = &sinks[..b.len()];
    let (mut total, mut lost) = (0.0_f64, 0.0_f64);
    let mut add = |term: f64| {
        // Neumaier's sum: f and g are large against what they add up to where costs have a large offset.
        let sum = total + term;
        lost += if total.abs() >= term.abs() {
            (total - sum) + term
        } else {
            (term - sum) + total
        };
        total = sum;
    };
    // What has no allowed pair is skipped: its mass is rounding, or the problem would be infeasible.
    for (i, &a) in a.iter().enumerate() {
        let least = cost.row(i, buffer).min(sinks);
        if least < f64::INFINITY {
            add(a * least);
        }
    }
    for (&b, &p) in b.iter().zip(sinks) {
        if b > 0.0 && p < f64::INFINITY {
            add(-b * p);
        }
    }
    // What overflows leaves no number in `lost`; the plain sum then tells the truth.
    if lost.is_finite() {
        total + lost
    } else {
        total
    }
}

impl Run<'_, '_> {
    fn check(&mut self) -> bool {
        let bracket = self.bracket.map(|(a, b)| {
            let sinks = &self.tree.potential[self.tree.sources()..];
            let lower = lower_bound(&self.cost, a, b, sinks, self.buffer);
            (lower, self.value * a.iter().sum::<f64>())
        });
        let progress = Progress {
            pivots: self.pivots,
            value: Some(self.value),
            bracket,
        };
        (self.check)(&progress)
    }

    /// Pivots until no pair is violated.
    ///
    /// From a cold start, large violations go first: a round over all rows takes only pairs violated by more than
    /// a part of the largest violation, and the part falls from round to round. Smaller violations mostly
    /// vanish on their own.
    pub(crate) fn optimise(&mut self, scratch: &mut Pricing) -> Status {
        let n = self.tree.sources();
        if self.by_rows {
            return self.optimise_by_rows();
        }
        let batch = n.div_ceil(2);
        let mut tol = TOLERANCE;
        let mut cursor = 0;
        let mut depth = Depth::new(self.cold);
        let mut patience = Tolerance::new();
        loop {
            if depth.threshold == 0.0 {
                let cost = self.cost;
                self.tree.recompute_potentials(|i, j| cost.entry(i, j));
                tol = patience.after(self.value);
            }
            if !self.check() {
                return Status::Stopped;
            }
            let mut found = 0;
            let mut priced = 0;
            while priced < n && (found == 0 || priced < batch) {
                let (key, violations) = self.price_row(cursor, tol, depth.threshold, scratch);
                depth.deepest = depth.deepest.min(key);
                found += violations;
                priced += 1;
                cursor = if cursor + 1 == n { 0 } else { cursor + 1 };
            }
            if found == 0 && depth.threshold == 0.0 {
                return Status::Optimal;
            }
            depth.after(priced, n);
            if let Some(status) = self.list_phase(scratch, tol, depth.threshold) {
                return status;
            }
        }
    }

    /// For small problems: rows in turn, one pivot on the most violated pair of each. With the matrix in
    /// cache this beats keeping lists, although it takes more pivots.
    fn optimise_by_rows(&mut self) -> Status {
        let n = self.tree.sources();
        let spell = 8 * (n + self.cost.columns) as u64;
        let mut patience = Tolerance::new();
        let mut cursor = 0;
        loop {
            let cost = self.cost;
            self.tree.recompute_potentials(|i, j| cost.entry(i, j));
            let tol = patience.after(self.value);
            if !self.check() {
                return Status::Stopped;
            }
            let before = self.pivots;
            let mut clean = 0;
            while clean < n && self.pivots - before < spell {
                match self.next_row(&mut cursor, tol) {
                    Row::Clean(rows) => clean += rows,
                    Row::Pivot(None) => clean = 0,
                    Row::Pivot(Some(status)) => return status,
                }
            }
            if self.pivots == before {
                return Status::Optimal;
            }
        }
    }

    /// Goes on from row `cursor` to the first that has a violated pair, and pivots on the most violated one, or to the
    /// last; the cursor is 0 after that.
    fn next_row(&mut self, cursor: &mut usize, tol: f64) -> Row {
        let n = self.tree.sources();
        let (sources, sinks) = self.tree.potential.split_at(n);
        let sinks = &sinks[..self.cost.columns];
        let begun = *cursor;
        let (found, read) = match self.cost.in_place(n) {
            // Rows without such a pair go by in one call.
            Some(matrix) => (matrix.entering(sinks, sources, tol, begun), n),
            None => {
                let row = self.cost.row(begun, self.buffer);
                let column = row.entering(sinks, sources[begun], tol);
                (column.map(|j| (begun, j)), begun + 1)
            }
        };
        let end = found.map_or(read, |(i, _)| i + 1);
        *cursor = if end == n { 0 } else { end };
        let Some((i, j)) = found else {
            return Row::Clean(end - begun);
        };
        let cost = self.cost.entry(i, j);
        let reduced = cost + sinks[j] - sources[i];
        Row::Pivot(self.bring_in(i as u32, (n + j) as u32, cost, reduced))
    }

    /// Reads one row and puts its most violated pairs on the source's list; returns the lowest key and
    /// how many pairs were below the depth.
    fn price_row(&mut self, i: usize, tol: f64, depth: f64, scratch: &mut Pricing) -> (f64, usize) {
        let n = self.tree.sources();
        let row = self.cost.row(i, self.buffer);
        let sinks = &self.tree.potential[n..n + self.cost.columns];
        let shift = self.tree.potential[i];
        let key = row.price(sinks, shift, tol);
        if key >= depth {
            return (key, 0);
        }
        scratch.found.clear();
        row.collect(sinks, shift, tol, 0.25 * key, &mut scratch.found);
        if scratch.found.len() > PER_ROW {
            scratch
                .found
                .select_nth_unstable_by(PER_ROW - 1, |a, b| a.0.total_cmp(&b.0));
            scratch.found.truncate(PER_ROW);
        }
        for &(_, j) in &scratch.found {
            self.lists
                .insert(i, j, row.at(j as usize), &self.tree.potential[n..]);
        }
        (key, scratch.found.len())
    }

    /// Pivots on the lists alone until they hold no pair violated by more than the depth; `Some` when
    /// the run must end.
    pub(crate) fn list_phase(
        &mut self,
        scratch: &mut Pricing,
        tol: f64,
        depth: f64,
    ) -> Option<Status> {
        let n = self.tree.sources();
        let block = (n / 16).max(MINOR).min(n);
        let mut cursor = 0;
        let mut clean = 0;
        while clean < n {
            scratch.candidates.clear();
            let mut scanned = 0;
            while scanned < block {
                if let Some(candidate) = self.lists.best(cursor, self.tree, tol)
                    && candidate.key < depth
                {
                    scratch.candidates.push(candidate);
                }
                cursor = if cursor + 1 == n { 0 } else { cursor + 1 };
                scanned += 1;
            }
            if scratch.candidates.is_empty() {
                clean += scanned;
                continue;
            }
            clean = 0;
            if scratch.candidates.len() > MINOR {
                scratch
                    .candidates
                    .select_nth_unstable_by(MINOR - 1, |a, b| a.key.total_cmp(&b.key));
                scratch.candidates.truncate(MINOR);
            }
            if let Some(status) = self.minor_iterations(&mut scratch.candidates, tol, depth) {
                return Some(status);
            }
        }
        None
    }

    /// Pivots on the most violated of a few candidates, again and again, until none is left.
    fn minor_iterations(
        &mut self,
        candidates: &mut Vec<Candidate>,
        tol: f64,
        depth: f64,
    ) -> Option<Status> {
        let n = self.tree.sources();
        // A little below the depth at which the lists are read: else each pivot reads them again.
        let depth = 0.5 * depth;
        loop {
            let mut best = usize::MAX;
            let mut least = 0.0;
            let mut k = 0;
            while k < candidates.len() {
                let x = candidates[k];
                let p = &self.tree.potential;
                let key = relaxed(x.cost, p[n + x.column as usize], p[x.source as usize], tol);
                if key >= depth {
                    candidates.swap_remove(k);
                    continue;
                }
                if key < least {
                    least = key;
                    best = k;
                }
                k += 1;
            }
            if best == usize::MAX {
                return None;
            }
            let x = candidates.swap_remove(best);
            let sink = n as u32 + x.column;
            let p = &self.tree.potential;
            let reduced = x.cost + p[sink as usize] - p[x.source as usize];
            if let Some(status) = self.bring_in(x.source, sink, x.cost, reduced) {
                return Some(status);
            }
        }
    }

    /// One pivot, and whether the run must end after it; or the end before it, where no pivot is left. (Pricing goes on
    /// after the last one: the basis may be optimal.)
    fn bring_in(&mut self, source: u32, sink: u32, cost: f64, reduced: f64) -> Option<Status> {
        if self.pivots >= self.max_pivots {
            return Some(Status::IterationLimit);
        }
        let units = self.tree.pivot(source, sink, cost, reduced);
        self.pivots += 1;
        self.value += reduced * (units as f64 * self.unit);
        if self.stop_at_zero && self.value <= 0.5 * self.unit {
            return Some(Status::Optimal);
        }
        (self.pivots.is_multiple_of(CHECK_EVERY) && !self.check()).then_some(Status::Stopped)
    }
}
