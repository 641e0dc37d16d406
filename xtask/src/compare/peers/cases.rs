//! The comparisons: the rows of PERFORMANCE's goals that a peer can be measured on.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use kantorovich::{
    Batch, Certify, Context, DenseCost, Measure, Options, PointCost, Problem, Reg, Registry, Solver,
};
use ot_compare::case::{self, Case, uniform_points};
use ot_compare::report::PeerRow;
use ot_compare::show;
use serde_json::{Value, json};

use super::duel::{Duel, per_iteration};
use super::worker::{Timed, Worker};
use crate::PEAK;

/// Our exact solver in all duels.
const EXACT: &str = "network-simplex";

type Failure = Box<dyn std::error::Error>;

/// Which duels are wanted: those of our backends and on the inputs that were named, all where none was.
#[derive(Debug, Clone, Copy)]
pub(in crate::compare) struct Wanted<'a> {
    pub(in crate::compare) backends: &'a [String],
    pub(in crate::compare) problems: &'a [String],
}

impl Wanted<'_> {
    fn backend(&self, name: &str) -> bool {
        self.backends.is_empty() || self.backends.iter().any(|b| b == name)
    }

    /// Random clouds go by the names of the comparison's series; inputs without a name there, such as batches, by its
    /// group alone.
    fn problem(&self, name: &str, group: &str) -> bool {
        self.problems.is_empty() || self.problems.iter().any(|p| p == name || p == group)
    }

    fn cloud(&self, n: usize, dim: usize) -> bool {
        self.problem(&format!("{}-d{dim}-{n}", case::SCALE), case::SCALE)
    }
}

/// What all comparisons need.
struct Ring<'a> {
    registry: &'a Registry,
    wanted: Wanted<'a>,
    worker: &'a mut Worker,
    arrays: PathBuf,
    rows: Vec<PeerRow>,
    tell: &'a mut dyn FnMut(&str),
}

/// Peers beyond POT and SciPy.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Extra {
    pub(super) ott: bool,
    pub(super) geomloss: bool,
}

/// A problem on both sides: ours, and the names of its files.
struct Both {
    problem: Problem,
    files: Value,
}

pub(super) fn all(
    root: &Path,
    arrays: &Path,
    registry: &Registry,
    wanted: Wanted<'_>,
    extra: Extra,
    quick: bool,
    worker: &mut Worker,
    tell: &mut dyn FnMut(&str),
) -> Result<Vec<PeerRow>, Failure> {
    let mut ring = Ring {
        registry,
        wanted,
        worker,
        arrays: arrays.to_owned(),
        rows: Vec::new(),
        tell,
    };
    let sizes: &[usize] = if quick { &[1000] } else { &[1000, 2000, 4000] };
    for &n in sizes {
        for (dim, goals) in [
            (2, [(5.0, 12.0), (3.5, 8.0)]),
            (16, [(12.0, 30.0), (6.0, 15.0)]),
        ] {
            for (uniform, goal) in [true, false].into_iter().zip(goals) {
                ring.clouds(n, dim, uniform, goal)?;
            }
        }
    }
    ring.fixtures(root, quick)?;
    ring.per_iteration(1000, extra)?;
    if !quick {
        ring.per_iteration(5000, Extra::default())?;
    }
    if wanted.problem("", case::SCALE) {
        ring.shared_cost(if quick { 256 } else { 1024 })?;
        ring.many_small(if quick { 128 } else { 512 })?;
    }
    Ok(ring.rows)
}

impl Ring<'_> {
    fn solver(&self, name: &str, options: &Options) -> Result<Option<Box<dyn Solver>>, Failure> {
        if !self.has(name) {
            return Ok(None);
        }
        Ok(Some(self.registry.build(name, options)?))
    }

    fn has(&self, name: &str) -> bool {
        self.wanted.backend(name) && self.registry.names().contains(&name)
    }

    fn finish(&mut self, row: PeerRow) {
        let ratio = row.ratio.map_or("no ratio".to_owned(), show::ratio);
        (self.tell)(&format!(
            "{} · {} · {} against {}: {ratio}",
            row.goal, row.case, row.ours, row.peer
        ));
        self.rows.push(row);
    }

    fn put(&self, name: &str, shape: &[usize], values: &[f64]) -> Result<String, Failure> {
        let path = self.arrays.join(format!("{name}.npy"));
        ot_data::npy::write(&path, shape, values)?;
        Ok(path.display().to_string())
    }

    fn both(&mut self, problem: Problem) -> Result<Both, Failure> {
        self.worker.forget()?;
        let dense = DenseCost::materialize(problem.cost())?;
        let (n, m) = problem.shape();
        let entries = dense
            .as_f64()
            .ok_or("a materialized cost is in double precision")?;
        let files = json!({
            "a": self.put("a", &[n], problem.a().weights())?,
            "b": self.put("b", &[m], problem.b().weights())?,
            "cost": self.put("cost", &[n, m], entries)?,
        });
        // Both sides get the matrix: what it costs to make it is not compared.
        let problem = Problem::new(problem.a().clone(), problem.b().clone(), Arc::new(dense))?;
        Ok(Both { problem, files })
    }

    /// The exact solver against one of the worker's, on one problem.
    fn exact(
        &mut self,
        goal: &'static str,
        case: &str,
        both: &Both,
        op: &str,
        peer: &str,
        marks: Option<(f64, f64)>,
    ) -> Result<(), Failure> {
        let name = EXACT;
        let Some(solver) = self.solver(name, &Options::default())? else {
            return Ok(());
        };
        (self.tell)(&format!("{name} · {case} · {peer}"));
        let context = one_thread()?;
        let job = with(&both.files, json!({"op": op}));
        let duel = Duel {
            goal,
            case: case.to_owned(),
            ours: name.to_owned(),
            peer: peer.to_owned(),
            must: marks.map(|m| m.0),
            aim: marks.map(|m| m.1),
        };
        let worker = &mut *self.worker;
        let row = duel.fight(
            &mut || solve(solver.as_ref(), &both.problem, &context),
            &mut || worker.call(&job),
        );
        self.finish(row);
        Ok(())
    }

    fn clouds(
        &mut self,
        n: usize,
        dim: usize,
        uniform: bool,
        goal: (f64, f64),
    ) -> Result<(), Failure> {
        if !self.wanted.cloud(n, dim) || !self.has(EXACT) {
            return Ok(());
        }
        let both = self.both(random_problem(n, dim, uniform, 7)?)?;
        let weights = if uniform { "uniform" } else { "random weights" };
        let case = format!("n = {n}, d = {dim}, {weights}");
        self.exact(
            "network-simplex, dense",
            &case,
            &both,
            "emd2",
            "POT emd2",
            Some(goal),
        )?;
        // At n = 4000 it takes up to 13 s, and says nothing new.
        if uniform && n <= 2000 {
            self.exact(
                "network-simplex, dense",
                &case,
                &both,
                "assignment",
                "SciPy LSA",
                None,
            )?;
        }
        Ok(())
    }

    fn fixtures(&mut self, root: &Path, quick: bool) -> Result<(), Failure> {
        if !self.has(EXACT) {
            return Ok(());
        }
        for Case { problem, about, .. } in case::all(root)? {
            if !self.wanted.problem(&about.name, &about.group) {
                continue;
            }
            let goal: (&'static str, Option<(f64, f64)>) = match about.group.as_str() {
                "digits" => ("digit pairs", Some((3.0, 5.0))),
                "images" if about.n == 4096 && !quick => ("64×64 grid", Some((8.0, 20.0))),
                "colours" | "synthetic" => ("small problems", None),
                _ => continue,
            };
            let both = self.both(problem)?;
            if goal.0 == "small problems" {
                self.exact(goal.0, &about.name, &both, "highs", "SciPy HiGHS", None)?;
            }
            self.exact(goal.0, &about.name, &both, "emd2", "POT emd2", goal.1)?;
        }
        Ok(())
    }

    /// Sinkhorn's time an iteration: the difference of two runs, which cancels set-up and plan.
    fn per_iteration(&mut self, n: usize, extra: Extra) -> Result<(), Failure> {
        if !self.wanted.cloud(n, 2) || !self.has("sinkhorn") {
            return Ok(());
        }
        let both = self.both(random_problem(n, 2, true, 7)?)?;
        let reg = 3e-3 * both.problem.cost().range().max_abs();
        let (few, many) = if n > 2000 { (10, 40) } else { (20, 220) };
        let mut peers = vec![("sinkhorn", "POT sinkhorn, kernel domain")];
        if extra.ott {
            peers.push(("ott", "OTT-JAX sinkhorn, log domain, f64"));
        }
        for (op, peer) in peers {
            let registry = self.registry;
            (self.tell)(&format!("sinkhorn · n = {n} · {peer}"));
            let context = one_thread()?;
            let duel = Duel {
                goal: "sinkhorn, per iteration",
                case: format!("n = {n}, d = 2"),
                ours: "sinkhorn".to_owned(),
                peer: peer.to_owned(),
                must: None,
                aim: None,
            };
            let worker = &mut *self.worker;
            let job = |iterations: u64| {
                with(
                    &both.files,
                    json!({"op": op, "reg": reg, "iterations": iterations}),
                )
            };
            let problem = &both.problem;
            let row = duel.fight(
                &mut || {
                    per_iteration(few, many, &mut |iterations| {
                        let solver = sinkhorn(registry, reg, iterations, None)?;
                        solve(solver.as_ref(), problem, &context)
                    })
                },
                &mut || per_iteration(few, many, &mut |k| worker.call(&job(k))),
            );
            self.finish(row);
        }
        if extra.geomloss {
            self.geomloss(&both.problem, n)?;
        }
        Ok(())
    }

    /// GeomLoss anneals and stops by a schedule of its own: its value shows how far it got.
    fn geomloss(&mut self, problem: &Problem, n: usize) -> Result<(), Failure> {
        let reg = 1e-2 * problem.cost().range().max_abs();
        let options = Options {
            reg: Some(Reg::Absolute(reg)),
            ..Options::default()
        };
        let Some(solver) = self.solver("sinkhorn", &options)? else {
            return Ok(());
        };
        let (x, y) = clouds(n, 2, 7);
        let weights = problem.a().weights();
        let job = json!({
            "op": "geomloss", "reg": reg,
            "a": self.put("ga", &[n], weights)?, "b": self.put("gb", &[n], weights)?,
            "x": self.put("gx", &[n, 2], &x)?, "y": self.put("gy", &[n, 2], &y)?,
        });
        let context = one_thread()?;
        let duel = Duel {
            goal: "sinkhorn, to its end",
            case: format!("n = {n}, d = 2, reg 1e-2"),
            ours: "sinkhorn, to 1e-9".to_owned(),
            peer: "GeomLoss, its schedule".to_owned(),
            must: None,
            aim: None,
        };
        let worker = &mut *self.worker;
        let row = duel.fight(
            &mut || {
                let mut solution = measured(solver.as_ref(), problem, &context)?;
                // What GeomLoss returns is the regularized objective.
                solution.0.value = Some(solution.1);
                Ok(solution.0)
            },
            &mut || worker.call(&job),
        );
        self.finish(row);
        Ok(())
    }

    /// One source against many targets that share a cost: 28×28 pixels, against the two products that an
    /// iteration can't do without, and against POT's call for many targets.
    fn shared_cost(&mut self, columns: usize) -> Result<(), Failure> {
        if !self.has("sinkhorn") {
            return Ok(());
        }
        self.worker.forget()?;
        let side = 28;
        let n = side * side;
        let points = case::grid_points(&[side, side]);
        let ground = kantorovich::Ground::parse("sqeuclidean")?;
        let cost = DenseCost::materialize(&PointCost::from_arrays(
            points.view(),
            points.view(),
            ground,
        )?)?;
        let entries = cost
            .as_f64()
            .ok_or("a materialized cost is in double precision")?;
        let reg = 3e-3 * entries.iter().copied().fold(0.0, f64::max);
        let weights: Vec<Vec<f64>> = (0..=columns).map(|k| random_weights(n, k as u64)).collect();
        let by_column: Vec<f64> = (0..n)
            .flat_map(|i| weights[1..].iter().map(move |w| w[i]))
            .collect();
        let files = json!({
            "a": self.put("batch-a", &[n], &weights[0])?,
            "b": self.put("batch-b", &[n, columns], &by_column)?,
            "cost": self.put("batch-cost", &[n, n], entries)?,
        });
        let measure = |w: &Vec<f64>| Measure::new(w.clone());
        let batch = Batch::OneToMany {
            source: measure(&weights[0])?,
            targets: weights[1..].iter().map(measure).collect::<Result<_, _>>()?,
            cost: Arc::new(cost),
        };
        let (few, many) = (10, 40);
        let context = one_thread()?;
        for precision in ["f64", "f32"] {
            let registry = self.registry;
            let mut peers = vec![(
                "gemm",
                format!("NumPy, two gemms, {precision}"),
                Some((0.8, 0.91)),
            )];
            if precision == "f64" {
                peers.push(("sinkhorn", "POT sinkhorn, many targets".to_owned(), None));
            }
            for (op, peer, marks) in peers {
                (self.tell)(&format!("sinkhorn {precision} · {n} × {columns} · {peer}"));
                let duel = Duel {
                    goal: "shared-cost batch, per iteration",
                    case: format!("{n} bins × {columns} targets"),
                    ours: format!("sinkhorn, batch, {precision}"),
                    peer,
                    must: marks.map(|m| m.0),
                    aim: marks.map(|m| m.1),
                };
                let worker = &mut *self.worker;
                let job = |iterations: u64| {
                    let call = json!({"op": op, "reg": reg, "iterations": iterations, "columns": columns, "dtype": precision});
                    with(&files, call)
                };
                let row = duel.fight(
                    &mut || {
                        per_iteration(few, many, &mut |iterations| {
                            let solver = sinkhorn(registry, reg, iterations, Some(precision))?;
                            solve_batch(solver.as_ref(), &batch, &context)
                        })
                    },
                    &mut || per_iteration(few, many, &mut |k| worker.call(&job(k))),
                );
                self.finish(row);
            }
        }
        Ok(())
    }

    /// Separate problems of 20 to 100 points a side, in one call of ours and in a loop of Python's.
    fn many_small(&mut self, count: usize) -> Result<(), Failure> {
        self.worker.forget()?;
        let sizes: Vec<usize> = (0..count).map(|k| 20 + (k * 37) % 81).collect();
        let mut problems = Vec::new();
        let (mut a, mut b, mut costs) = (Vec::new(), Vec::new(), Vec::new());
        for (k, &n) in sizes.iter().enumerate() {
            let lazy = random_problem(n, 2, false, k as u64)?;
            let dense = DenseCost::materialize(lazy.cost())?;
            a.extend_from_slice(lazy.a().weights());
            b.extend_from_slice(lazy.b().weights());
            costs.extend_from_slice(
                dense
                    .as_f64()
                    .ok_or("a materialized cost is in double precision")?,
            );
            problems.push(Problem::new(
                lazy.a().clone(),
                lazy.b().clone(),
                Arc::new(dense),
            )?);
        }
        let sizes_as_numbers: Vec<f64> = sizes.iter().map(|&n| n as f64).collect();
        let files = json!({
            "a": self.put("many-a", &[a.len()], &a)?,
            "b": self.put("many-b", &[b.len()], &b)?,
            "cost": self.put("many-cost", &[costs.len()], &costs)?,
            "sizes": self.put("many-sizes", &[count], &sizes_as_numbers)?,
        });
        let batch = Batch::Separate(problems);
        let reg = 0.05;
        let entropic = Options {
            reg: Some(Reg::Relative(reg)),
            ..Options::default()
        };
        for (name, options, peer, job) in [
            (
                "network-simplex",
                Options::default(),
                "POT emd2 in a loop",
                json!({"op": "emd2_loop"}),
            ),
            (
                "sinkhorn",
                entropic,
                "POT sinkhorn2 in a loop",
                json!({"op": "emd2_loop", "reg": reg}),
            ),
        ] {
            let Some(solver) = self.solver(name, &options)? else {
                continue;
            };
            (self.tell)(&format!("{name} · {count} small problems"));
            let (one, two) = (one_thread()?, threads(2)?);
            let job = with(&files, job);
            let duel = |ours: &str, peer: &str, must, aim| Duel {
                goal: "many small problems",
                case: format!("{count} problems, n = 20–100"),
                ours: ours.to_owned(),
                peer: peer.to_owned(),
                must,
                aim,
            };
            let worker = &mut *self.worker;
            let beside = duel(&format!("{name}, batch"), peer, Some(10.0), Some(20.0));
            let first = beside.fight(
                &mut || solve_batch(solver.as_ref(), &batch, &one),
                &mut || worker.call(&job),
            );
            self.finish(first);
            let second = duel(
                &format!("{name}, two threads"),
                &format!("{name}, one thread"),
                Some(1.8),
                None,
            );
            let row = second.fight(
                &mut || solve_batch(solver.as_ref(), &batch, &two),
                &mut || solve_batch(solver.as_ref(), &batch, &one),
            );
            self.finish(row);
        }
        Ok(())
    }
}

/// A Sinkhorn solver that stops after `iterations`.
fn sinkhorn(
    registry: &Registry,
    reg: f64,
    iterations: u64,
    precision: Option<&str>,
) -> Result<Box<dyn Solver>, String> {
    let mut options = Options {
        reg: Some(Reg::Absolute(reg)),
        max_iter: Some(iterations),
        ..Options::default()
    };
    if let Some(precision) = precision {
        options
            .set
            .insert("precision".to_owned(), precision.to_owned());
    }
    registry
        .build("sinkhorn", &options)
        .map_err(|e| e.to_string())
}

fn threads(count: usize) -> Result<Context, Failure> {
    Ok(Context::default()
        .with_threads(count)?
        .certified(Certify::Off))
}

fn one_thread() -> Result<Context, Failure> {
    threads(1)
}

fn with(files: &Value, more: Value) -> Value {
    let mut job = files.clone();
    if let (Value::Object(job), Value::Object(more)) = (&mut job, more) {
        job.extend(more);
    }
    job
}

fn solve(solver: &dyn Solver, problem: &Problem, context: &Context) -> Result<Timed, String> {
    measured(solver, problem, context).map(|(timed, _)| timed)
}

/// Wall time around the call, set-up included; and the objective.
fn measured(
    solver: &dyn Solver,
    problem: &Problem,
    context: &Context,
) -> Result<(Timed, f64), String> {
    let mut inner = context.clone();
    PEAK.reset_peak_usage();
    let before = PEAK.current_usage();
    let begun = Instant::now();
    let solution = context
        .install(|| solver.solve_with(problem, &mut inner))
        .map_err(|e| e.to_string())?;
    let seconds = begun.elapsed().as_secs_f64();
    let (n, m) = problem.shape();
    let extra = PEAK.peak_usage().saturating_sub(before) as f64 / (8 * n * m) as f64;
    let said = vec![format!("extra memory {extra:.2}× the cost matrix")];
    let timed = Timed {
        seconds,
        value: Some(solution.transport_cost),
        said,
    };
    Ok((timed, solution.objective))
}

fn solve_batch(solver: &dyn Solver, batch: &Batch, context: &Context) -> Result<Timed, String> {
    let mut inner = context.clone();
    let begun = Instant::now();
    let solved = context.install(|| solver.solve_batch(batch, &mut inner));
    let seconds = begun.elapsed().as_secs_f64();
    let mut total = 0.0;
    for solution in solved {
        total += solution.map_err(|e| e.to_string())?.transport_cost;
    }
    Ok(Timed {
        seconds,
        value: Some(total),
        said: Vec::new(),
    })
}

fn clouds(n: usize, dim: usize, seed: u64) -> (Vec<f64>, Vec<f64>) {
    let cloud = |seed| uniform_points(n, dim, seed).into_iter().collect();
    (cloud(2 * seed), cloud(2 * seed + 1))
}

fn random_weights(n: usize, seed: u64) -> Vec<f64> {
    let raw: Vec<f64> = uniform_points(n, 1, 1000 + seed)
        .into_iter()
        .map(|w| w + 1e-3)
        .collect();
    let total: f64 = raw.iter().sum();
    raw.into_iter().map(|w| w / total).collect()
}

fn random_problem(n: usize, dim: usize, uniform: bool, seed: u64) -> Result<Problem, Failure> {
    let (x, y) = clouds(n, dim, seed);
    let weights = |k: u64| {
        if uniform {
            vec![1.0 / n as f64; n]
        } else {
            random_weights(n, 2 * seed + k)
        }
    };
    let ground = kantorovich::Ground::parse("sqeuclidean")?;
    Ok(Problem::from_points(
        &weights(0),
        &weights(1),
        &x,
        &y,
        dim,
        ground,
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_select_duels() {
        let names = |list: &[&str]| list.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        let (none, backends) = (names(&[]), names(&["sinkhorn"]));
        let all = Wanted {
            backends: &none,
            problems: &none,
        };
        assert!(all.backend(EXACT) && all.cloud(1000, 2) && all.problem("", case::SCALE));
        let problems = names(&["digits", "scale-d2-1000"]);
        let some = Wanted {
            backends: &backends,
            problems: &problems,
        };
        assert!(some.backend("sinkhorn") && !some.backend(EXACT));
        assert!(some.problem("mnist-7-2", "digits") && !some.problem("palettes", "colours"));
        assert!(some.cloud(1000, 2) && !some.cloud(1000, 16) && !some.cloud(2000, 2));
        // Batches belong to the series, not to a point of it.
        assert!(!some.problem("", case::SCALE));
        let problems = names(&["scale"]);
        let series = Wanted {
            problems: &problems,
            ..some
        };
        assert!(series.cloud(4000, 16) && series.problem("", case::SCALE));
        assert!(!series.problem("mnist-7-2", "digits"));
    }
}
