//! The stabilized backend: against POT's exact solver, since no entropic peer gets there, and against what POT's own
//! stabilized solvers return.

use kantorovich::{Options, Reg};
use serde_json::json;

use super::tools::{one_thread, random_problem, solve, with};
use super::{Duel, Failure, Ring};

/// The L1 error of both marginals.
const TOL: f64 = 1e-9;
/// Iterations that POT's solvers get: 10 to 20 seconds at n = 1000.
const ITERATIONS: u64 = 1000;
/// Values of `reg` that its ε-scaling goes through, from 1e4 down by e each: the last ones are the one asked for.
const SCALINGS: u64 = 20;

impl Ring<'_> {
    /// Any `reg` to 1e-9 beside the exact optimum of the same problem.
    pub(super) fn stabilized(
        &mut self,
        n: usize,
        dim: usize,
        uniform: bool,
    ) -> Result<(), Failure> {
        if !self.wanted.cloud(n, dim) || !self.has("sinkhorn-stabilized") {
            return Ok(());
        }
        let both = self.both(random_problem(n, dim, uniform, 7)?)?;
        let job = with(&both.files, json!({"op": "emd2"}));
        let (must, aim) = if dim == 2 { (2.0, 5.0) } else { (4.0, 10.0) };
        for relative in [1e-3, 1e-4, 1e-5, 1e-6] {
            let options = Options {
                reg: Some(Reg::Relative(relative)),
                tol: Some(TOL),
                ..Options::default()
            };
            let Some(solver) = self.solver("sinkhorn-stabilized", &options)? else {
                return Ok(());
            };
            let weights = if uniform { "uniform" } else { "random" };
            let case = format!("n = {n}, d = {dim}, {weights}, reg {relative:.0e}");
            (self.tell)(&format!("sinkhorn-stabilized · {case}"));
            let duel = Duel {
                goal: "sinkhorn-stabilized, to 1e-9",
                case,
                ours: "sinkhorn-stabilized".to_owned(),
                peer: "POT emd2, the exact optimum".to_owned(),
                must: Some(must),
                aim: Some(aim),
            };
            let context = one_thread()?;
            let worker = &mut *self.worker;
            let row = duel.fight(
                &mut || {
                    let (timed, solution) =
                        super::tools::solved(solver.as_ref(), &both.problem, &context)?;
                    solution.require_converged().map_err(|e| e.to_string())?;
                    Ok(timed)
                },
                &mut || worker.call(&job),
            );
            self.finish(row);
        }
        Ok(())
    }

    /// What POT's solvers for small `reg` return within [`ITERATIONS`].
    pub(super) fn pot_stabilized(&mut self, n: usize) -> Result<(), Failure> {
        if !self.wanted.cloud(n, 2) || !self.has("sinkhorn-stabilized") {
            return Ok(());
        }
        let both = self.both(random_problem(n, 2, false, 7)?)?;
        let relative = 1e-3;
        let reg = relative * both.problem.cost().range().max_abs();
        let options = Options {
            reg: Some(Reg::Absolute(reg)),
            tol: Some(TOL),
            ..Options::default()
        };
        for (method, rounds, said) in [
            ("sinkhorn_stabilized", ITERATIONS, "1000 iterations"),
            (
                "sinkhorn_epsilon_scaling",
                SCALINGS,
                "20 values of reg with 100 iterations each",
            ),
        ] {
            let Some(solver) = self.solver("sinkhorn-stabilized", &options)? else {
                return Ok(());
            };
            (self.tell)(&format!("sinkhorn-stabilized · n = {n} · POT {method}"));
            let job = with(
                &both.files,
                json!({"op": "stabilized", "method": method, "reg": reg, "iterations": rounds}),
            );
            let duel = Duel {
                goal: "sinkhorn-stabilized, to its end",
                case: format!("n = {n}, d = 2, random, reg {relative:.0e}"),
                ours: "sinkhorn-stabilized, to 1e-9".to_owned(),
                peer: format!("POT {method}, {said}"),
                must: None,
                aim: None,
            };
            let context = one_thread()?;
            let worker = &mut *self.worker;
            let row = duel.fight(
                &mut || solve(solver.as_ref(), &both.problem, &context),
                &mut || worker.call(&job),
            );
            self.finish(row);
        }
        Ok(())
    }
}
