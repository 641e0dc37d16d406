//! Points without a matrix.

use kantorovich::{Certify, Options};
use serde_json::json;

use super::super::duel::Duel;
use super::tools::{clouds, one_thread, random_problem, solved, with};
use super::{Failure, Ring};

const POINTS: &str = "exact-points";
/// Up to this size the peer that makes no matrix either comes to an end in seconds.
const LAZY: usize = 4000;

impl Ring<'_> {
    /// Ours gets points; the peer gets its matrix, and what that costs to make is not counted.
    pub(super) fn points(&mut self, n: usize, goal: Option<(f64, f64)>) -> Result<(), Failure> {
        if !self.wanted.cloud(n, 2) {
            return Ok(());
        }
        let Some(solver) = self.solver(POINTS, &Options::default())? else {
            return Ok(());
        };
        for uniform in [true, false] {
            self.worker.forget()?;
            let problem = random_problem(n, 2, uniform, 7)?;
            let (x, y) = clouds(n, 2, 7);
            let files = json!({
                "a": self.put("a", &[n], problem.a().weights())?,
                "b": self.put("b", &[n], problem.b().weights())?,
                "x": self.put("x", &[n, 2], &x)?, "y": self.put("y", &[n, 2], &y)?,
            });
            let weights = if uniform { "uniform" } else { "random weights" };
            for (op, peer) in [("emd2_points", "POT emd2"), ("emd2_lazy", "POT emd2_lazy")] {
                if op == "emd2_lazy" && n > LAZY {
                    continue;
                }
                let case = format!("n = {n}, d = 2, {weights}");
                (self.tell)(&format!("{POINTS} · {case} · {peer}"));
                // Its proof is part of the solve.
                let context = one_thread()?.certified(Certify::default());
                let job = with(&files, json!({"op": op}));
                let marks = goal.filter(|_| op == "emd2_points");
                let duel = Duel {
                    goal: POINTS,
                    case,
                    ours: POINTS.to_owned(),
                    peer: peer.to_owned(),
                    must: marks.map(|m| m.0),
                    aim: marks.map(|m| m.1),
                };
                let worker = &mut *self.worker;
                let row = duel.fight(
                    &mut || {
                        let (mut timed, solution) = solved(solver.as_ref(), &problem, &context)?;
                        let gap = solution.certificate.map_or(f64::NAN, |c| c.gap());
                        timed.said = vec![format!("certified, gap {gap:.0e}")];
                        Ok(timed)
                    },
                    &mut || worker.call(&job),
                );
                self.finish(row);
            }
        }
        Ok(())
    }
}
