//! The best plan and the best potentials of a training so far: the two ends of a bracket.

use rand::SeedableRng;
use rand_pcg::Pcg64;
use solver_api::transform::{c_transform_to_source, c_transform_to_target};
use solver_api::{Context, Potentials, Problem, SparsePlan};

use crate::cloud::Cloud;
use crate::nearest::{counts, feasible};
use crate::{ContinuousSolver, Error, Spot};

/// Samples for each point of the two clouds in a plan, and at least.
const SAMPLES: (usize, usize) = (20, 4000);
/// Samples that a plan has at least where time is up.
const HURRIED: usize = 1000;
/// Mass that may be missing before more samples are drawn, and how often their number is doubled.
const MISSING: (f64, u32) = (0.05, 4);
/// Seeds of plans are others than those of the training.
const PLANS: u64 = 0x706c_616e;

/// How much a look takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// The least number of samples: time is short.
    Brief,
    /// Some for each point.
    Plain,
    /// More of them while too much mass is missing, and no deadline is near: the last look.
    Full,
}

/// A problem, the training, the clouds, and the unit of the training's cost.
type Looked<'a> = (&'a Problem, &'a Spot<f32>, (&'a Cloud, &'a Cloud), f64);

/// A plan from counts.
pub(crate) struct Counted {
    pub(crate) cost: f64,
    pub(crate) plan: SparsePlan,
    /// The part of the mass that no pair of the generator carries: the north-west corner sends it.
    pub(crate) remainder: f64,
}

#[derive(Default)]
pub(crate) struct Best {
    /// The best plan.
    pub(crate) plan: Option<Counted>,
    /// ⟨f, a⟩ + ⟨g, b⟩, and feasible f and g.
    pub(crate) potentials: Option<(f64, Potentials)>,
}

impl Best {
    /// upper − lower; +∞ while there is none.
    pub(crate) fn gap(&self) -> f64 {
        match (&self.plan, &self.potentials) {
            (Some(plan), Some((lower, _))) => (plan.cost - lower).max(0.0),
            _ => f64::INFINITY,
        }
    }

    /// The cost of the best plan; 0 while there is none.
    pub(crate) fn upper(&self) -> f64 {
        self.plan.as_ref().map_or(0.0, |plan| plan.cost.abs())
    }

    /// Plan and potentials of the training as it stands. At most O((n + m)²·dim) for the plan and two
    /// passes over the cost for each potential.
    pub(crate) fn look(
        &mut self,
        of: Looked<'_>,
        depth: Depth,
        seed: u64,
        context: &Context,
    ) -> Result<(), Error> {
        self.consider_plan(of, depth, seed, context)?;
        self.consider_potentials(of)
    }

    fn consider_plan(
        &mut self,
        (problem, spot, (x, y), _): Looked<'_>,
        depth: Depth,
        seed: u64,
        context: &Context,
    ) -> Result<(), Error> {
        let (n, m) = problem.shape();
        let all = (SAMPLES.0 * (x.kept.len() + y.kept.len())).max(SAMPLES.1);
        let (count, rounds) = match depth {
            Depth::Brief => (SAMPLES.1, 0),
            Depth::Plain => (all, 0),
            Depth::Full => (all, MISSING.1),
        };
        let mut pairs = Vec::with_capacity(count);
        let (mut triples, mut remainder) = (Vec::new(), 1.0);
        let mut rng = Pcg64::seed_from_u64(seed ^ PLANS);
        for round in 0..=rounds {
            let more = if round == 0 { count } else { pairs.len() };
            let mut stopped = false;
            for start in (0..more).step_by(HURRIED) {
                // The nearest of many points takes its time: whoever is in a hurry gets a plan of fewer samples.
                stopped = !pairs.is_empty() && context.interrupted().is_some();
                if stopped {
                    break;
                }
                let block = HURRIED.min(more - start);
                let samples = spot.made(block, &mut rng)?;
                pairs.extend((0..block).map(|s| {
                    let (i, j) = (samples.row(0, s), samples.row(1, s));
                    (x.nearest.to(i), y.nearest.to(j))
                }));
            }
            let weights = (&x.weights[..], &y.weights[..]);
            let (found, missing) = feasible(counts(&mut pairs), weights, (&x.order, &y.order));
            (triples, remainder) = (found, missing);
            if missing <= MISSING.0 || stopped {
                break;
            }
        }
        let mass = problem.mass();
        for (i, j, v) in &mut triples {
            (*i, *j, *v) = (x.kept[*i as usize], y.kept[*j as usize], mass * *v);
        }
        let plan = SparsePlan::from_triples(n, m, triples)?;
        let mut row = vec![0.0; m];
        let mut cost = 0.0;
        for i in x.kept.iter().map(|i| *i as usize) {
            problem.cost().row(i, &mut row);
            let (columns, values) = plan.row_entries(i);
            let paid = columns
                .iter()
                .zip(values)
                .map(|(j, v)| v * row[*j as usize]);
            cost += paid.sum::<f64>();
        }
        if self.plan.as_ref().is_none_or(|best| cost < best.cost) {
            self.plan = Some(Counted {
                cost,
                plan,
                remainder,
            });
        }
        Ok(())
    }

    /// f = −η λ_X and g = −η λ_Y, each made feasible with its c-transform; the better of the two starts, and of none at first.
    fn consider_potentials(
        &mut self,
        (problem, spot, (x, y), unit): Looked<'_>,
    ) -> Result<(), Error> {
        let (n, m) = problem.shape();
        let of = |k, cloud: &Cloud, len| -> Result<Vec<f64>, Error> {
            let mut said = spot.potential(k, &cloud.wide())?;
            // What has left the range of f32 says nothing.
            let sound = said.iter().all(|v| v.is_finite());
            said.iter_mut()
                .for_each(|v| *v = if sound { *v * unit } else { 0.0 });
            Ok(cloud.spread(&said, len))
        };
        let (f, g) = (of(0, x, n)?, of(1, y, m)?);
        let (a, b) = (problem.a().weights(), problem.b().weights());
        let (in_a, in_b) = (|i: usize| a[i] > 0.0, |j: usize| b[j] > 0.0);
        let cost = problem.cost();
        let from_f = |f: &[f64]| {
            let g = c_transform_to_target(cost, f, in_a);
            (c_transform_to_source(cost, &g, in_b), g)
        };
        let from_g = |g: &[f64]| {
            let f = c_transform_to_source(cost, g, in_b);
            let g = c_transform_to_target(cost, &f, in_a);
            (f, g)
        };
        let mut pairs = vec![from_f(&f), from_g(&g)];
        if self.potentials.is_none() {
            pairs.extend([from_f(&vec![0.0; n]), from_g(&vec![0.0; m])]);
        }
        for (f, g) in pairs {
            let lower = paired(&f, a) + paired(&g, b);
            if self
                .potentials
                .as_ref()
                .is_none_or(|(best, _)| lower > *best)
            {
                self.potentials = Some((lower, Potentials::new(f, g)));
            }
        }
        Ok(())
    }
}

fn paired(potential: &[f64], weights: &[f64]) -> f64 {
    let used = potential.iter().zip(weights).filter(|(_, w)| **w > 0.0);
    used.map(|(p, w)| p * w).sum()
}
