//! A solver as a stranger would write it: exact, by successive shortest paths, for a few dozen points.

use std::time::Instant;

use kantorovich::{
    Capabilities, Capability, Check, Context, DenseCost, DensePlan, Error, Factory, OptionReader,
    Options, Outcome, Plan, Potentials, Problem, Progress, SettingSpec, Solution, Solver,
    Termination, check_feasible,
};

const NAME: &str = "shortest-paths";

/// Makes the solver, and tells the registry about it.
pub(crate) struct ShortestPaths;

impl Factory for ShortestPaths {
    fn name(&self) -> &str {
        NAME
    }

    fn summary(&self) -> &str {
        "exact, by successive shortest paths, for small problems"
    }

    fn capabilities(&self) -> Capabilities {
        use Capability::{Balanced, Deterministic, Exact, ForbiddenPairs, Interruptible};
        Capabilities::of(&[
            Balanced,
            Exact,
            ForbiddenPairs,
            Interruptible,
            Deterministic,
        ])
    }

    fn settings(&self) -> Vec<SettingSpec> {
        vec![SettingSpec {
            name: "max_iter",
            default: "10000".to_owned(),
            doc: "paths, each of which empties a source, a target or a pair",
        }]
    }

    fn build(&self, options: &Options) -> Result<Box<dyn Solver>, Error> {
        let mut reader = OptionReader::new(NAME, options);
        let max_iter = reader.max_iter()?.unwrap_or(10_000);
        reader.finish()?;
        Ok(Box::new(Configured { max_iter }))
    }
}

struct Configured {
    max_iter: u64,
}

impl Solver for Configured {
    fn name(&self) -> &str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        ShortestPaths.capabilities()
    }

    fn solve_with(&self, problem: &Problem, context: &mut Context) -> Result<Solution, Error> {
        let started = Instant::now();
        self.capabilities().require(NAME, problem)?;
        check_feasible(problem)?;

        let mut state = State::new(problem)?;
        let (mut iterations, mut history) = (0, Vec::new());
        let termination = loop {
            let progress = Progress {
                problem: context.problem_index,
                iteration: iterations,
                part: None,
                error: state.unsent(),
                tol: 0.0,
                certificate: None,
                elapsed: started.elapsed(),
            };
            if context.keep_history {
                history.push(Check {
                    iteration: iterations,
                    error: progress.error,
                    elapsed: progress.elapsed,
                });
            }
            if let Some(stopped) = context.check(&progress) {
                break stopped;
            }
            if iterations == self.max_iter {
                break Termination::IterationLimit;
            }
            if !state.augment() {
                break Termination::Optimal;
            }
            iterations += 1;
        };
        let (n, m) = problem.shape();
        let outcome = Outcome {
            potentials: state.potentials(),
            plan: Plan::from(DensePlan::from_solver(n, m, state.flow)?),
            reg: 0.0,
            termination,
            iterations: Some(iterations),
            history,
            certificate: None,
        };
        Ok(Solution::assemble(NAME, problem, outcome, started, context))
    }
}

/// A flow, and what is still to be sent and received.
struct State {
    n: usize,
    m: usize,
    cost: Vec<f64>,
    flow: Vec<f64>,
    supply: Vec<f64>,
    demand: Vec<f64>,
    negligible: f64,
}

impl State {
    fn new(problem: &Problem) -> Result<Self, Error> {
        let (n, m) = problem.shape();
        let cost = DenseCost::materialize(problem.cost())?;
        Ok(Self {
            n,
            m,
            cost: cost.as_f64().unwrap_or_default().to_vec(),
            flow: vec![0.0; n * m],
            supply: problem.a().weights().to_vec(),
            demand: problem.b().weights().to_vec(),
            negligible: 1e-14 * problem.mass(),
        })
    }

    fn unsent(&self) -> f64 {
        self.supply.iter().sum()
    }

    /// Bellman and Ford: the distance of every node (sources, then targets) from the sources that `is_root`
    /// accepts, over allowed pairs and backwards over pairs with flow, and each node's predecessor.
    fn distances(&self, is_root: impl Fn(usize) -> bool) -> (Vec<f64>, Vec<usize>) {
        let (n, m) = (self.n, self.m);
        let mut distance = vec![f64::INFINITY; n + m];
        let mut before = vec![usize::MAX; n + m];
        for i in (0..n).filter(|&i| is_root(i)) {
            distance[i] = 0.0;
        }
        for _ in 0..n + m {
            let mut changed = false;
            for i in 0..n {
                for j in 0..m {
                    let (c, there) = (self.cost[i * m + j], n + j);
                    let slack = 1e-13 * c.abs();
                    if distance[i] + c < distance[there] - slack {
                        (distance[there], before[there]) = (distance[i] + c, i);
                        changed = true;
                    }
                    if self.flow[i * m + j] > 0.0 && distance[there] - c < distance[i] - slack {
                        (distance[i], before[i]) = (distance[there] - c, there);
                        changed = true;
                    }
                }
            }
            if !changed {
                break;
            }
        }
        (distance, before)
    }

    /// Sends what fits along the cheapest path from a source with supply to a target with demand. False where
    /// nothing is left to send.
    fn augment(&mut self) -> bool {
        let (n, m) = (self.n, self.m);
        let (distance, before) = self.distances(|i| self.supply[i] > self.negligible);
        let end = (0..m)
            .filter(|&j| self.demand[j] > self.negligible && distance[n + j].is_finite())
            .min_by(|&j, &k| distance[n + j].total_cmp(&distance[n + k]));
        let Some(end) = end else { return false };
        let mut path = vec![n + end];
        // A path visits no node twice; the bound guards against rounding.
        while let Some(&at) = path.last()
            && before[at] != usize::MAX
            && path.len() <= n + m
        {
            path.push(before[at]);
        }
        let start = path[path.len() - 1];
        if start >= n || path.len() > n + m {
            return false;
        }
        let mut amount = self.supply[start].min(self.demand[end]);
        for step in path.windows(2) {
            if let [source, target] = *step
                && source < n
            {
                amount = amount.min(self.flow[source * m + target - n]);
            }
        }
        for step in path.windows(2) {
            match *step {
                [target, source] if target >= n => self.flow[source * m + target - n] += amount,
                [source, target] => self.flow[source * m + target - n] -= amount,
                _ => {}
            }
        }
        self.supply[start] -= amount;
        self.demand[end] -= amount;
        true
    }

    /// Distances from all sources at once: f = −d, g = d satisfy f⊕g ≤ C, with equality where mass flows.
    fn potentials(&self) -> Potentials {
        let (distance, _) = self.distances(|_| true);
        let f = distance[..self.n].iter().map(|d| -d).collect();
        Potentials::new(f, distance[self.n..].to_vec())
    }
}
