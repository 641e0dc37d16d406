//! The comparisons: the rows of PERFORMANCE's goals that a peer can be measured on.

mod adaptation;
mod barycenters;
mod batches;
mod digits;
#[cfg(feature = "line")]
mod line;
mod partial;
mod points;
mod relaxed;
mod stabilized;
mod tools;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use kantorovich::{DenseCost, Options, Problem, Reg, Registry, Solver};
use ot_compare::case::{self, Case};
use ot_compare::report::PeerRow;
use ot_compare::show;
use serde_json::{Value, json};

use self::tools::{clouds, measured, one_thread, random_problem, sinkhorn, solve, with};
use super::duel::{Duel, per_iteration};
use super::worker::Worker;

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
    // A solve of 10 000 points takes the peer half a minute, and 4 GB.
    let points: &[(usize, Option<(f64, f64)>)] = match quick {
        true => &[(2000, None)],
        false => &[(4000, None), (10_000, Some((25.0, 50.0)))],
    };
    for &(n, goal) in points {
        ring.points(n, goal)?;
    }
    ring.partial(1000)?;
    ring.fixtures(root, quick)?;
    if wanted.problem("", ot_compare::applications::GROUP) {
        ring.digits(root, quick)?;
        ring.adaptation(1000, 50)?;
        ring.convolutional(root, quick)?;
        ring.free_support()?;
    }
    let n = if quick { 1000 } else { 2000 };
    for dim in [2, 16] {
        for uniform in [true, false] {
            ring.stabilized(n, dim, uniform)?;
        }
    }
    if !quick {
        ring.pot_stabilized(1000)?;
    }
    ring.per_iteration(1000, extra)?;
    ring.relaxed(1000)?;
    if !quick {
        ring.per_iteration(5000, Extra::default())?;
    }
    if wanted.problem("", case::SCALE) {
        ring.shared_cost(if quick { 256 } else { 1024 })?;
        ring.shared_grid(if quick { 256 } else { 1024 })?;
        ring.many_small(if quick { 128 } else { 512 })?;
        #[cfg(feature = "line")]
        ring.line(if quick { 100_000 } else { 1_000_000 })?;
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
        for Case { problem, about, .. } in case::all(root, &[])? {
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
