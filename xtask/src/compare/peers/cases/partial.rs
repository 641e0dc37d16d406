//! Partial transport of a given mass.

use kantorovich::{Options, Problem};
use serde_json::json;

use super::super::duel::Duel;
use super::tools::{one_thread, random_problem, solve, with};
use super::{EXACT, Failure, Ring};

/// Shares of the mass that move.
const SHARES: [f64; 2] = [0.5, 0.9];

impl Ring<'_> {
    /// Clouds of n points in the plane, of which a share is matched: POT adds a dummy point to each side too.
    pub(super) fn partial(&mut self, n: usize) -> Result<(), Failure> {
        if !self.wanted.cloud(n, 2) {
            return Ok(());
        }
        let Some(solver) = self.solver(EXACT, &Options::default())? else {
            return Ok(());
        };
        for uniform in [true, false] {
            let both = self.both(random_problem(n, 2, uniform, 7)?)?;
            for share in SHARES {
                let (balanced, files) = (&both.problem, &both.files);
                let mass = share * balanced.a().mass().min(balanced.b().mass());
                let (a, b) = (balanced.a().clone(), balanced.b().clone());
                let problem = Problem::partial(a, b, balanced.shared_cost(), mass)?;
                let weights = if uniform { "uniform" } else { "random weights" };
                let case = format!("n = {n}, d = 2, {weights}, {share} of the mass");
                let peer = "POT partial_wasserstein";
                (self.tell)(&format!("{EXACT} · {case} · {peer}"));
                let context = one_thread()?;
                let job = with(files, json!({"op": "partial", "mass": mass}));
                let duel = Duel {
                    goal: "partial transport",
                    case,
                    ours: EXACT.to_owned(),
                    peer: peer.to_owned(),
                    must: None,
                    aim: None,
                };
                let worker = &mut *self.worker;
                let row = duel.fight(
                    &mut || solve(solver.as_ref(), &problem, &context),
                    &mut || worker.call(&job),
                );
                self.finish(row);
            }
        }
        Ok(())
    }
}
