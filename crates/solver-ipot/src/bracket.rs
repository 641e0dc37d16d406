//! How far the optimum is: an almost-vertex near the plan, potentials that are tight on it, and their two values.

use solver_api::rounding::Remainder;
use solver_api::{Error, Plan, Problem, SparsePlan, round};

use crate::forest::{Forest, Tight};
use crate::instance::Instance;
use crate::rows::{List, Passes};

/// Entries for each weight up to which a plan's cycles are cancelled; of a plan with more, the largest.
const ENTRIES: usize = 24;
/// The mass, of 1, that further entries may carry together.
const LEFT_OUT: f64 = 1e-12;
/// The share of the smaller weight below which an edge ties no potentials.
const CUT: f64 = 1e-3;

/// A gap that is none.
const NOTHING: f64 = 1e-13;

/// What potentials are made tight on, in turn: the vertex, which is right once that is the best one; the largest entries
/// of the plan, which is right where many vertices are the best; nothing, where masses are too uncertain to tell.
#[derive(Debug, Clone, Copy)]
enum Tie {
    Vertex,
    Plan,
    None,
}

/// The memory of a check, and what the last one found.
#[derive(Debug, Default)]
pub(crate) struct Bracket {
    forest: Forest,
    /// The maximum spanning forest of the plan.
    span: Forest,
    tight: Tight,
    /// (mass, source, target) of what goes into the forest.
    entries: Vec<(f64, u32, u32)>,
    rest: Vec<f64>,
    sums: Vec<f64>,
    /// Tight potentials: g, and f as its c-transform.
    pub(crate) f: Vec<f64>,
    pub(crate) g: Vec<f64>,
    trial: Vec<f64>,
    tied: Vec<f64>,
    /// ⟨f, a⟩ + ⟨g, b⟩ and the cost of the forest, at mass 1 and spread 1.
    pub(crate) lower: f64,
    pub(crate) upper: f64,
}

impl Bracket {
    /// (upper − lower), which is relative to mass and spread.
    pub(crate) fn gap(&self) -> f64 {
        self.upper - self.lower
    }

    /// Brackets the optimum from entries of a plan, its soft potentials and the error of its marginals. One to four passes
    /// over the cost.
    pub(crate) fn check(
        &mut self,
        problem: &Problem,
        instance: &Instance,
        passes: &mut Passes,
        list: &List,
        (f, g): (&[f64], &[f64]),
        error: f64,
    ) -> Result<(), Error> {
        let (n, m) = instance.shape();
        self.collect(list, n, m);
        self.make_feasible(problem, instance)?;
        self.entries
            .sort_unstable_by(|x, y| y.0.total_cmp(&x.0).then(x.1.cmp(&y.1)).then(x.2.cmp(&y.2)));
        self.forest.clear(n, m);
        for &(mass, i, j) in &self.entries {
            let (i, j) = (i as usize, j as usize);
            self.forest.insert(i, j, mass, instance.entry(i, j));
        }
        self.forest.settle(&instance.a, &instance.b, &mut self.rest);
        self.upper = self.forest.price();
        self.lower = f64::NEG_INFINITY;
        for tie in [Tie::Vertex, Tie::Plan, Tie::None] {
            self.tied.clear();
            self.tied.extend_from_slice(f);
            self.trial.clear();
            self.trial.extend_from_slice(g);
            let forest = match tie {
                Tie::Vertex => Some(&self.forest),
                Tie::Plan => {
                    self.span(instance);
                    Some(&self.span)
                }
                Tie::None => None,
            };
            let (tied, trial) = (&mut self.tied, &mut self.trial);
            if let Some(forest) = forest {
                let weights = (&instance.a[..], &instance.b[..]);
                forest.tighten(weights, (CUT, error), tied, trial, &mut self.tight);
            }
            passes.hard(instance, trial, tied);
            self.keep_if_better(instance);
            if self.gap() <= NOTHING {
                return Ok(());
            }
        }
        // What the other transform gains.
        if self.lower == f64::NEG_INFINITY {
            return Ok(());
        }
        self.tied.clone_from(&self.f);
        passes.hard_columns(instance, &self.tied, &mut self.trial);
        self.keep_if_better(instance);
        Ok(())
    }

    /// Takes the feasible potentials `tied` and `trial` over if they prove more.
    fn keep_if_better(&mut self, instance: &Instance) {
        let value = |p: &[f64], w: &[f64]| p.iter().zip(w).map(|(p, w)| p * w).sum::<f64>();
        let lower = value(&self.tied, &instance.a) + value(&self.trial, &instance.b);
        if lower > self.lower {
            self.lower = lower;
            std::mem::swap(&mut self.f, &mut self.tied);
            std::mem::swap(&mut self.g, &mut self.trial);
        }
    }

    /// The maximum spanning forest of the entries, which come in order.
    fn span(&mut self, instance: &Instance) {
        let (n, m) = instance.shape();
        self.span.clear(n, m);
        for &(mass, i, j) in &self.entries {
            let (i, j) = (i as usize, j as usize);
            self.span.join(i, j, mass, instance.entry(i, j));
        }
        self.span.sort();
    }

    /// The entries, no more than a multiple of the weights where the others carry next to nothing.
    fn collect(&mut self, list: &List, n: usize, m: usize) {
        self.entries.clear();
        for i in 0..n {
            let (cols, mass) = list.row(i);
            self.entries
                .extend(cols.iter().zip(mass).map(|(&j, &p)| (p, i as u32, j)));
        }
        let most = ENTRIES * (n + m);
        if self.entries.len() > most {
            self.entries.select_nth_unstable_by(most, |x, y| {
                y.0.total_cmp(&x.0).then(x.1.cmp(&y.1)).then(x.2.cmp(&y.2))
            });
            // Where many pairs are tied, as integer costs are, mass is spread over all of them: what is left out has to go
            // somewhere, at any price.
            let left_out: f64 = self.entries[most..].iter().map(|e| e.0).sum();
            if left_out <= LEFT_OUT {
                self.entries.truncate(most);
            }
        }
    }

    /// Scales rows, then columns down to their weights, and sends what is missing along a staircase; along allowed
    /// pairs where some are forbidden.
    fn make_feasible(&mut self, problem: &Problem, instance: &Instance) -> Result<(), Error> {
        if instance.masked {
            return self.make_feasible_masked(problem, instance);
        }
        let (n, m) = instance.shape();
        let (sums, rest) = (&mut self.sums, &mut self.rest);
        for by_row in [true, false] {
            let weights = if by_row { &instance.a } else { &instance.b };
            let of = |e: &(f64, u32, u32)| if by_row { e.1 } else { e.2 } as usize;
            sums.clear();
            sums.resize(weights.len(), 0.0);
            self.entries.iter().for_each(|e| sums[of(e)] += e.0);
            for e in &mut self.entries {
                let (have, want) = (sums[of(e)], weights[of(e)]);
                if have > want {
                    e.0 *= want / have;
                }
            }
        }
        rest.clear();
        rest.extend(instance.a.iter().chain(&instance.b));
        for &(p, i, j) in &self.entries {
            rest[i as usize] -= p;
            rest[n + j as usize] -= p;
        }
        let (mut i, mut j) = (0, 0);
        while i < n && j < m {
            let mass = rest[i].min(rest[n + j]);
            if mass > 0.0 {
                self.entries.push((mass, i as u32, j as u32));
                rest[i] -= mass;
                rest[n + j] -= mass;
            }
            if rest[i] <= rest[n + j] {
                i += 1;
            } else {
                j += 1;
            }
        }
        Ok(())
    }

    fn make_feasible_masked(
        &mut self,
        problem: &Problem,
        instance: &Instance,
    ) -> Result<(), Error> {
        let mass = problem.mass();
        let (n, m) = problem.shape();
        let wide = |&(p, i, j): &(f64, u32, u32)| {
            (
                instance.rows[i as usize],
                instance.cols[j as usize],
                p * mass,
            )
        };
        let plan = Plan::from(SparsePlan::from_triples(
            n,
            m,
            self.entries.iter().map(wide).collect(),
        )?);
        let rounded = round(problem, &plan);
        debug_assert!(!matches!(rounded.remainder, Remainder::RankOne { .. }));
        let rounded = rounded.to_sparse(&plan)?;
        let mut narrow = vec![u32::MAX; m];
        for (k, &j) in instance.cols.iter().enumerate() {
            narrow[j as usize] = k as u32;
        }
        self.entries.clear();
        for (k, &i) in instance.rows.iter().enumerate() {
            let (cols, values) = rounded.row_entries(i as usize);
            for (&j, p) in cols.iter().zip(values).filter(|(_, p)| **p > 0.0) {
                self.entries.push((p / mass, k as u32, narrow[j as usize]));
            }
        }
        Ok(())
    }

    /// The almost-vertex, in the caller's units.
    pub(crate) fn plan(&self, problem: &Problem, instance: &Instance) -> Result<SparsePlan, Error> {
        let mass = problem.mass();
        let weight = |i: usize, j: usize| instance.a[i].min(instance.b[j]);
        let kept = self
            .forest
            .edges()
            .filter(|&(i, j, p)| p > EMPTY * weight(i, j));
        let triples = kept.map(|(i, j, p)| (instance.rows[i], instance.cols[j], p * mass));
        let (n, m) = problem.shape();
        SparsePlan::from_triples(n, m, triples.collect())
    }
}

/// Shares of the smaller weight that are rounding: the edge carries nothing.
const EMPTY: f64 = 1e-14;
