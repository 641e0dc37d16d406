//! The nearest of many measures, without solving for those that can't be among them.
//!
//! A pair of potentials that is feasible for one problem is feasible for every other with the same cost, and bounds its
//! value from below. So each solve bounds all others; where that leaves a measure in play, its own support gives a better
//! pair, at a fraction of what a solve costs.

mod found;

use std::sync::{Arc, OnceLock};

use ot_kernels::exp;
use solver_api::transform::c_transform_to_target;
use solver_api::{
    Batch, Capability, Certify, Context, Cost, CostKind, Measure, Problem, Solution, Solver,
};

pub(crate) use found::Near;
use found::Seek;

use crate::retrieval::{ModelCost, Score};
use crate::transport::{Source, Sources, checked};
use crate::{Error, steps};

/// Rounding of a lower bound, as a part of what it is a difference of: sums of as many terms as an image has pixels.
const SLACK: f64 = 1e-9;

/// Measures on the targets of a cost, among which the nearest to others are sought.
#[derive(Clone)]
pub(crate) struct Search<'a> {
    solver: &'a dyn Solver,
    sources: Sources,
    targets: Vec<Measure>,
    score: Score,
    exhaustive: bool,
    /// Where each target has weight.
    supports: Vec<Support>,
    /// A feasible pair from the mean of all targets to each of them: f, ⟨g, b⟩ and the size of the numbers.
    towards: OnceLock<Vec<Toward>>,
}

#[derive(Clone)]
struct Support {
    places: Vec<u32>,
    weights: Vec<f64>,
}

impl Support {
    fn of(measure: &Measure) -> Self {
        let weights = measure.weights().iter().enumerate();
        let (places, weights) = weights
            .filter(|(_, w)| **w > 0.0)
            .map(|(j, w)| (j as u32, *w))
            .unzip();
        Self { places, weights }
    }

    /// Σ g_j b_j.
    fn product(&self, g: &[f64]) -> f64 {
        let pairs = self.places.iter().zip(&self.weights);
        pairs.map(|(&j, b)| g[j as usize] * b).sum()
    }
}

#[derive(Clone)]
struct Toward {
    f: Vec<f64>,
    received: f64,
    size: f64,
}

impl<'a> Search<'a> {
    /// Nothing is solved yet.
    pub(crate) fn new(
        solver: &'a dyn Solver,
        cost: Arc<dyn Cost>,
        targets: Vec<Measure>,
        score: Score,
    ) -> Self {
        let exact = solver.capabilities().has(Capability::Exact);
        Self {
            solver,
            sources: Sources::new(cost),
            supports: targets.iter().map(Support::of).collect(),
            targets,
            score,
            exhaustive: !(exact || score == Score::Objective),
            towards: OnceLock::new(),
        }
    }

    /// Solves for what bounds the costs of all queries, one problem for each target, unless that was done before. The
    /// observer of `context` hears nothing of it; the deadline and the token hold.
    ///
    /// # Errors
    /// What the solver refuses of the problems between the mean and each target, and [`Error::Stopped`].
    pub(crate) fn prepare(&self, context: &Context) -> Result<(), Error> {
        if !self.exhaustive && self.towards.get().is_none() {
            let quiet = context.for_step(context.threads())?;
            let towards = self.mean_to_targets(&quiet)?;
            // Another thread may have been as fast, with the same.
            let _ = self.towards.set(towards);
        }
        Ok(())
    }

    pub(crate) fn exhaustive(mut self) -> Self {
        self.exhaustive = true;
        self
    }

    /// The costs of `query` to the targets, of which the `count` nearest are solved for, and those that might have been.
    pub(crate) fn nearest(
        &self,
        query: &Measure,
        count: usize,
        context: &mut Context,
    ) -> Result<Answer, Error> {
        self.seek(query, Seek::All(count), context)
    }

    /// The nearest target on each side, where `own` says which targets are on the one, and the others are on the other
    /// side: they are in [`Answer::sides`], unless the one costs more than `ratio` times the other.
    pub(crate) fn nearest_of_sides(
        &self,
        query: &Measure,
        own: &[bool],
        ratio: f64,
        context: &mut Context,
    ) -> Result<Answer, Error> {
        self.seek(query, Seek::Sides { own, ratio }, context)
    }

    fn seek(
        &self,
        query: &Measure,
        seek: Seek<'_>,
        context: &mut Context,
    ) -> Result<Answer, Error> {
        context.certify = Certify::Off;
        let query = self.sources.source("queries", query)?;
        if self.exhaustive {
            self.all_at_once(&query, seek, context)
        } else {
            self.one_by_one(&query, seek, context)
        }
    }

    /// The same search among targets that have moved: what was known of the old ones bounds the new ones, too.
    /// O(n·m) a target, and no solve.
    pub(crate) fn moved(mut self, targets: Vec<Measure>) -> Self {
        self.supports = targets.iter().map(Support::of).collect();
        let towards = self.towards.get_mut().into_iter().flatten();
        for (toward, support) in towards.zip(&self.supports) {
            let pair =
                Pair::everywhere(self.sources.cost().as_ref(), std::mem::take(&mut toward.f));
            *toward = Toward {
                received: support.product(&pair.g),
                f: pair.f,
                size: pair.size,
            };
        }
        self.targets = targets;
        self
    }

    fn score(&self, solution: &Solution) -> f64 {
        match self.score {
            Score::TransportCost => solution.transport_cost,
            Score::Objective => solution.objective,
        }
    }

    fn all_at_once(
        &self,
        query: &Source,
        seek: Seek<'_>,
        context: &mut Context,
    ) -> Result<Answer, Error> {
        let batch = Batch::OneToMany {
            cost: Arc::clone(&query.cost),
            source: query.measure.clone(),
            targets: self.targets.clone(),
        };
        let mut answer = Answer::default();
        let mut found = seek.found();
        for (k, solution) in (self.solver.solve_batch(&batch, context).into_iter()).enumerate() {
            let solution = answer.take(solution?)?;
            let score = self.score(&solution);
            answer.costs.push(ModelCost::Solved(score));
            if found.take(k, score) && found.wants_potentials() {
                let a = query.measure.weights();
                found.keep(k, &Pair::new(query.cost.as_ref(), &solution, a));
            }
        }
        answer.sides = found.sides();
        Ok(answer)
    }

    /// The target with the least bound is asked next; its potentials bound all others.
    fn one_by_one(
        &self,
        query: &Source,
        seek: Seek<'_>,
        context: &mut Context,
    ) -> Result<Answer, Error> {
        let a = query.measure.weights();
        let bound = |toward: &Toward| {
            let sent = (query.rows.iter().zip(a)).map(|(&i, a)| product(toward.f[i], *a));
            ModelCost::AtLeast(lower(sent.sum::<f64>() + toward.received, toward.size))
        };
        let mut answer = Answer {
            costs: match self.towards.get() {
                Some(towards) => towards.iter().map(bound).collect(),
                None => vec![ModelCost::AtLeast(f64::NEG_INFINITY); self.targets.len()],
            },
            ..Answer::default()
        };
        let mut found = seek.found();
        let mut margin = 0.0_f64;
        let mut tightened = vec![false; self.targets.len()];
        let mut latest: Option<Pair> = None;
        while let Some(next) = next(&answer.costs, |k| found.worst(k) + margin) {
            let support = &self.supports[next];
            if !tightened[next] {
                tightened[next] = true;
                let own = query.bound(support, None);
                let own = own.max(query.bound(support, latest.as_ref()));
                if let ModelCost::AtLeast(bound) = &mut answer.costs[next] {
                    *bound = bound.max(own);
                }
                continue;
            }
            let b = self.targets[next].clone();
            let problem = Problem::new(query.measure.clone(), b, Arc::clone(&query.cost))?;
            let solution = answer.take(self.solver.solve_with(&problem, context)?)?;
            let score = self.score(&solution);
            answer.costs[next] = ModelCost::Solved(score);
            let pair = Pair::new(query.cost.as_ref(), &solution, a);
            if found.take(next, score) {
                found.keep(next, &pair);
            }
            let sent: f64 = pair.f.iter().zip(a).map(|(f, a)| product(*f, *a)).sum();
            // A plan that misses its marginals may cost less than any that does not.
            let missed = solution.convergence.source_error + solution.convergence.target_error;
            margin = margin.max(2.0 * missed * pair.size);
            // With another reference than a⊗b the objective is not what the pair bounds, and nothing bounds the cost of an
            // entropic plan, which a choice among backends may come up with though one of them is exact.
            let foreign = self.score == Score::TransportCost && solution.reg > 0.0;
            if foreign || lower(sent + support.product(&pair.g), pair.size) > score + margin {
                return self.all_at_once(query, seek, context);
            }
            for (k, (cost, support)) in (answer.costs.iter_mut().zip(&self.supports)).enumerate() {
                if let ModelCost::AtLeast(bound) = cost
                    && *bound <= found.worst(k) + margin
                {
                    *bound = bound.max(lower(sent + support.product(&pair.g), pair.size));
                }
            }
            // Soft potentials are no start for hard ones.
            latest = (solution.reg == 0.0).then_some(pair);
        }
        answer.sides = found.sides();
        Ok(answer)
    }

    /// Hard pairs, which bound ⟨P, C⟩ and every objective.
    fn mean_to_targets(&self, context: &Context) -> Result<Vec<Toward>, Error> {
        let mut mean = vec![0.0; self.sources.cost().shape().0];
        for b in &self.targets {
            mean.iter_mut().zip(b.weights()).for_each(|(m, w)| *m += w);
        }
        let mean = Measure::named("models", mean)?.normalized();
        steps::run(context, "models", self.targets.len(), |k, own| {
            own.certify = Certify::Off;
            let b = self.targets[k].clone();
            let problem = Problem::new(mean.clone(), b, Arc::clone(self.sources.cost()))?;
            let solution = checked(self.solver.solve_with(&problem, own)?)?;
            let pair = Pair::everywhere(self.sources.cost().as_ref(), solution.potentials.f);
            Ok(Toward {
                received: self.supports[k].product(&pair.g),
                f: pair.f,
                size: pair.size,
            })
        })
    }
}

/// The unsolved target with the least bound, of those whose bound is not above `most` of them.
fn next(costs: &[ModelCost], most: impl Fn(usize) -> f64) -> Option<usize> {
    let mut next: Option<(usize, f64)> = None;
    for (k, cost) in costs.iter().enumerate() {
        if let ModelCost::AtLeast(bound) = *cost
            && bound <= most(k)
            && next.is_none_or(|(_, least)| bound < least)
        {
            next = Some((k, bound));
        }
    }
    next.map(|(k, _)| k)
}

impl Source {
    /// The bound of the pair (f, g) on a target's own support, with g that of `pair` or 0, and the best f beside it:
    /// f_i = min over the support of C_ij − g_j. −∞ where the cost is no matrix, whose rows would have to be made.
    fn bound(&self, support: &Support, pair: Option<&Pair>) -> f64 {
        let CostKind::Dense(dense) = self.cost.kind() else {
            return f64::NEG_INFINITY;
        };
        let Some(entries) = dense.as_f64() else {
            return f64::NEG_INFINITY;
        };
        let m = self.cost.shape().1;
        let (mut sent, mut size) = (0.0, 0.0_f64);
        let mut least_of = |price: &dyn Fn(u32) -> f64| {
            let rows = entries.chunks_exact(m).zip(self.measure.weights());
            for (row, a) in rows.filter(|(_, a)| **a > 0.0) {
                let costs = support.places.iter().map(|&j| row[j as usize] - price(j));
                let least = costs.fold(
                    f64::INFINITY,
                    |least: f64, c| {
                        if c < least { c } else { least }
                    },
                );
                size = size.max(least.abs());
                sent += least * a;
            }
        };
        let received = match pair {
            None => {
                least_of(&|_| 0.0);
                0.0
            }
            Some(pair) => {
                least_of(&|j| pair.g[j as usize]);
                size = size.max(pair.size);
                support.product(&pair.g)
            }
        };
        lower(sent + received, size)
    }
}

/// Potentials whose ⟨f, a⟩ + ⟨g, b⟩ is a lower bound of the score, for one a and any b, or for any a and b.
#[derive(Clone, Debug)]
struct Pair {
    f: Vec<f64>,
    g: Vec<f64>,
    /// The largest of them.
    size: f64,
}

impl Pair {
    /// The best g beside the f of a solution from `a`. The transform is ours: whether the solver's own g is one is not
    /// taken for granted. Entropic ones, soft: g_j = −ε log Σ_i a_i exp((f_i − C_ij)/ε).
    fn new(cost: &dyn Cost, solution: &Solution, a: &[f64]) -> Self {
        let f = &solution.potentials.f;
        let mut g = c_transform_to_target(cost, f, |i| a[i] > 0.0);
        let reg = solution.reg;
        if reg > 0.0 {
            let mut sums = vec![0.0; g.len()];
            let mut row = vec![0.0; g.len()];
            for (i, (&f, &a)) in f.iter().zip(a).enumerate() {
                if !(a > 0.0 && f.is_finite()) {
                    continue;
                }
                cost.row(i, &mut row);
                for (c, g) in row.iter_mut().zip(&g) {
                    *c = (f + g - *c) / reg;
                }
                exp::exp_in_place(&mut row);
                sums.iter_mut().zip(&row).for_each(|(s, e)| *s += a * e);
            }
            g.iter_mut().zip(sums).for_each(|(g, s)| *g -= reg * s.ln());
        }
        Self::of(f.clone(), g)
    }

    fn everywhere(cost: &dyn Cost, f: Vec<f64>) -> Self {
        let g = c_transform_to_target(cost, &f, |_| true);
        Self::of(f, g)
    }

    fn of(f: Vec<f64>, g: Vec<f64>) -> Self {
        let finite = |v: &&f64| v.is_finite();
        let all = f.iter().chain(&g).filter(finite);
        let size = all.fold(0.0, |most: f64, v| most.max(v.abs()));
        Self { f, g, size }
    }
}

/// A bound less what rounding may have added to it; −∞ where a potential of a weight is not finite.
fn lower(bound: f64, size: f64) -> f64 {
    let bound = bound - 2.0 * SLACK * size;
    if bound.is_finite() {
        bound
    } else {
        f64::NEG_INFINITY
    }
}

/// A potential times its weight, 0 where there is none.
fn product(potential: f64, weight: f64) -> f64 {
    if weight > 0.0 {
        potential * weight
    } else {
        0.0
    }
}

/// What came out for one query.
#[derive(Default)]
pub(crate) struct Answer {
    pub(crate) costs: Vec<ModelCost>,
    pub(crate) unconverged: usize,
    /// Who solved: with a choice among backends, the one of the first solve.
    pub(crate) solver: String,
    /// The nearest on either side, where sides were asked for and both have targets.
    pub(crate) sides: Option<[Near; 2]>,
}

impl Answer {
    /// The target of the least solved cost, the first of equals.
    pub(crate) fn nearest(&self) -> usize {
        let mut best: Option<(usize, f64)> = None;
        for (k, cost) in self.costs.iter().enumerate() {
            if let ModelCost::Solved(cost) = *cost
                && best.is_none_or(|(_, least)| cost < least)
            {
                best = Some((k, cost));
            }
        }
        best.map_or(0, |(k, _)| k)
    }

    fn take(&mut self, solution: Solution) -> Result<Solution, Error> {
        let solution = checked(solution)?;
        self.unconverged += usize::from(!solution.convergence.converged());
        if self.solver.is_empty() {
            self.solver.clone_from(&solution.solver);
        }
        Ok(solution)
    }
}
