//! A solver and a barycenter that no backend crate knows.

use std::sync::Arc;
use std::time::Instant;

use solver_api::{
    Barycenter, Barycenters, Capabilities, Capability, Context, Convergence, Cost, Error, Measure,
    Outcome, Plan, Potentials, Problem, Solution, Solver, SparsePlan, Termination, check_feasible,
};

/// Exact for tiny problems with masses that are multiples of 1/`UNITS`: splits both sides into units and goes through
/// all ways to match them, as a shortest augmenting path would, one unit after another (the Hungarian method).
pub(crate) struct Matching;

const UNITS: f64 = 60.0;

impl Solver for Matching {
    fn name(&self) -> &str {
        "matching"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::of(&[Capability::Balanced, Capability::Deterministic])
    }

    fn solve_with(&self, problem: &Problem, context: &mut Context) -> Result<Solution, Error> {
        let started = Instant::now();
        self.capabilities().require(self.name(), problem)?;
        check_feasible(problem)?;
        let mass = problem.mass();
        let (x, y) = (units(problem.a(), mass), units(problem.b(), mass));
        let size = x.len().min(y.len());
        let matched = hungarian(size, |i, j| problem.cost().entry(x[i], y[j]));
        let (n, m) = problem.shape();
        let mut dense = vec![0.0; n * m];
        for (i, j) in matched.into_iter().enumerate() {
            dense[x[i] * m + y[j]] += mass / size as f64;
        }
        let triples = (0..n * m).filter(|e| dense[*e] > 0.0);
        let triples = triples.map(|e| ((e / m) as u32, (e % m) as u32, dense[e]));
        let plan = Plan::from(SparsePlan::from_triples(n, m, triples.collect())?);
        let outcome = Outcome {
            plan,
            potentials: Potentials::new(vec![0.0; n], vec![0.0; m]),
            reg: 0.0,
            termination: Termination::Converged,
            iterations: None,
            history: Vec::new(),
            certificate: None,
        };
        Ok(Solution::assemble(
            self.name(),
            problem,
            outcome,
            started,
            context,
        ))
    }
}

/// The place of each unit of mass, by the largest remainders.
fn units(measure: &Measure, mass: f64) -> Vec<usize> {
    let exact: Vec<f64> = measure.weights().iter().map(|w| w / mass * UNITS).collect();
    let mut counts: Vec<usize> = exact.iter().map(|e| e.floor() as usize).collect();
    let mut order: Vec<usize> = (0..exact.len()).collect();
    order.sort_by(|&i, &j| (exact[j].fract()).total_cmp(&exact[i].fract()));
    let missing = UNITS as usize - counts.iter().sum::<usize>();
    order.into_iter().take(missing).for_each(|i| counts[i] += 1);
    let places = counts.iter().enumerate();
    places
        .flat_map(|(i, &count)| std::iter::repeat_n(i, count))
        .collect()
}

/// The column of each row of a square assignment of least cost (Kuhn 1955, in the O(n³) form with potentials).
fn hungarian(n: usize, cost: impl Fn(usize, usize) -> f64) -> Vec<usize> {
    let (mut u, mut v) = (vec![0.0; n + 1], vec![0.0; n + 1]);
    let (mut row_of, mut way) = (vec![0; n + 1], vec![0; n + 1]);
    for i in 1..=n {
        row_of[0] = i;
        let mut j0 = 0;
        let (mut least, mut used) = (vec![f64::INFINITY; n + 1], vec![false; n + 1]);
        while row_of[j0] != 0 {
            used[j0] = true;
            let (i0, mut delta, mut j1) = (row_of[j0], f64::INFINITY, 0);
            for j in (1..=n).filter(|&j| !used[j]) {
                let reduced = cost(i0 - 1, j - 1) - u[i0] - v[j];
                if reduced < least[j] {
                    (least[j], way[j]) = (reduced, j0);
                }
                if least[j] < delta {
                    (delta, j1) = (least[j], j);
                }
            }
            for j in 0..=n {
                if used[j] {
                    u[row_of[j]] += delta;
                    v[j] -= delta;
                } else {
                    least[j] -= delta;
                }
            }
            j0 = j1;
        }
        while j0 != 0 {
            let j1 = way[j0];
            row_of[j0] = row_of[j1];
            j0 = j1;
        }
    }
    let mut matched = vec![0; n];
    (1..=n).for_each(|j| matched[row_of[j] - 1] = j - 1);
    matched
}

/// Says that it is exact whatever is inside, as a choice among several backends does of which one is.
pub(crate) struct Claims(pub(crate) Box<dyn Solver>);

impl Solver for Claims {
    fn name(&self) -> &str {
        "claims"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::of(&[Capability::Balanced, Capability::Exact])
    }

    fn solve_with(&self, problem: &Problem, context: &mut Context) -> Result<Solution, Error> {
        self.0.solve_with(problem, context)
    }
}

/// Knows relaxed problems only, and so nothing of what the applications need.
pub(crate) struct RelaxedOnly;

impl Solver for RelaxedOnly {
    fn name(&self) -> &str {
        "relaxed-only"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::of(&[Capability::Relaxed])
    }

    fn solve_with(&self, _: &Problem, _: &mut Context) -> Result<Solution, Error> {
        unreachable!("it is refused before it is asked")
    }
}

/// The measure among those given that is the nearest to all of them: a barycenter without any average.
pub(crate) struct Medoid<'a>(pub(crate) &'a dyn Solver);

impl Barycenters for Medoid<'_> {
    fn name(&self) -> &str {
        "medoid"
    }

    fn barycenter(
        &self,
        cost: &Arc<dyn Cost>,
        measures: &[Measure],
        lambda: &[f64],
        context: &mut Context,
    ) -> Result<Barycenter, Error> {
        let mut best = (f64::INFINITY, 0);
        for (k, candidate) in measures.iter().enumerate() {
            let mut total = 0.0;
            for (p, l) in measures.iter().zip(lambda) {
                let problem = Problem::new(p.clone(), candidate.clone(), Arc::clone(cost))?;
                total += l * self.0.solve_with(&problem, context)?.transport_cost;
            }
            if total < best.0 {
                best = (total, k);
            }
        }
        Ok(Barycenter {
            weights: measures[best.1].normalized(),
            convergence: Convergence {
                termination: Termination::Converged,
                iterations: None,
                source_error: 0.0,
                target_error: 0.0,
                history: Vec::new(),
            },
            certificate: None,
        })
    }
}
