//! KL-relaxed marginals against POT's translation-invariant Sinkhorn.

use kantorovich::{Measure, Options, Problem, Reg};
use serde_json::json;

use super::tools::{one_thread, random_problem, solve, with};
use super::{Both, Duel, Failure, Ring};

/// Both to the same tolerance: ours on the marginal equations, POT's on the change of its scalings.
const TOL: f64 = 1e-9;

impl Ring<'_> {
    /// Masses 1 and 1.5, `reg` and γ relative to the largest cost.
    pub(super) fn relaxed(&mut self, n: usize) -> Result<(), Failure> {
        if !self.wanted.cloud(n, 2) || !self.has("sinkhorn") {
            return Ok(());
        }
        let base = random_problem(n, 2, false, 7)?;
        let heavier: Vec<f64> = base.b().weights().iter().map(|w| 1.5 * w).collect();
        let top = base.cost().range().max_abs();
        let both = self.both(base)?;
        let files = with(
            &both.files,
            json!({"b": self.put("heavier", &[n], &heavier)?}),
        );
        let Both { problem, .. } = both;
        for (reg, gammas) in [(5e-2, (1.0, 1.0)), (1e-2, (1.0, 1.0)), (1e-2, (0.1, 10.0))] {
            let (reg, gamma_a, gamma_b) = (reg * top, gammas.0 * top, gammas.1 * top);
            let problem = Problem::relaxed(
                problem.a().clone(),
                Measure::named("b", heavier.as_slice())?,
                problem.shared_cost(),
                gamma_a,
                gamma_b,
            )?;
            let options = Options {
                reg: Some(Reg::Absolute(reg)),
                tol: Some(TOL),
                ..Options::default()
            };
            let Some(solver) = self.solver("sinkhorn", &options)? else {
                return Ok(());
            };
            let job = json!({
                "op": "unbalanced", "reg": reg, "gamma_a": gamma_a, "gamma_b": gamma_b, "tol": TOL,
            });
            let job = with(&files, job);
            let case = format!(
                "n = {n}, reg {:.0e}, γ {}, {}",
                reg / top,
                gammas.0,
                gammas.1
            );
            (self.tell)(&format!("sinkhorn, relaxed · {case}"));
            let context = one_thread()?;
            let duel = Duel {
                goal: "unbalanced",
                case,
                ours: "sinkhorn".to_owned(),
                peer: "POT sinkhorn_unbalanced, translation-invariant".to_owned(),
                must: Some(2.0),
                aim: Some(4.0),
            };
            let worker = &mut *self.worker;
            let row = duel.fight(
                &mut || solve(solver.as_ref(), &problem, &context),
                &mut || worker.call(&job),
            );
            self.finish(row);
        }
        Ok(())
    }
}
