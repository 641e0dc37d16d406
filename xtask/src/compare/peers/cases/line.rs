//! A million points on a line.

use std::time::Instant;

use kantorovich::closed::Line;
use kantorovich::{Context, Ground, Options, Problem};
use serde_json::json;

use super::super::duel::Duel;
use super::super::worker::Timed;
use super::tools::{clouds, random_weights, solve, threads};
use super::{Failure, Ring};

const LINE: &str = "line";
const GOAL: &str = "1-D";

impl Ring<'_> {
    /// Random positions and weights on both sides: the cost alone, which is what `emd2_1d` finds, and the whole solution
    /// beside `emd_1d`, whose sparse plan has neither potentials nor a certificate.
    pub(super) fn line(&mut self, n: usize) -> Result<(), Failure> {
        let Some(whole) = self.solver(LINE, &Options::default())? else {
            return Ok(());
        };
        self.worker.forget()?;
        let (x, y) = clouds(n, 1, 7);
        let (a, b) = (random_weights(n, 14), random_weights(n, 15));
        let files = json!({
            "a": self.put("a", &[n], &a)?, "b": self.put("b", &[n], &b)?,
            "x": self.put("x", &[n], &x)?, "y": self.put("y", &[n], &y)?,
        });
        let alone = |problem: &Problem, context: &Context| -> Result<Timed, String> {
            let begun = Instant::now();
            let value = Line::default().transport_cost(problem, context);
            Ok(Timed {
                seconds: begun.elapsed().as_secs_f64(),
                value: Some(value.map_err(|e| e.to_string())?),
                said: Vec::new(),
            })
        };
        for metric in ["sqeuclidean", "euclidean"] {
            let ground = Ground::parse(metric)?;
            let problem = Problem::from_points(&a, &b, &x, &y, 1, ground)?;
            for (count, ours, op, marks) in [
                (2, "line, two threads", "emd2_1d", Some((6.0, 12.0))),
                (1, "line, one thread", "emd2_1d", None),
                (2, "line, plan and potentials", "emd_1d", None),
            ] {
                let case = format!("{n} + {n} points, {metric}");
                let peer = format!("POT {op}");
                (self.tell)(&format!("{ours} · {case} · {peer}"));
                let context = threads(count)?;
                let job = super::tools::with(&files, json!({"op": op, "metric": metric}));
                let duel = Duel {
                    goal: GOAL,
                    case,
                    ours: ours.to_owned(),
                    peer,
                    must: marks.map(|m| m.0),
                    aim: marks.map(|m| m.1),
                };
                let worker = &mut *self.worker;
                let row = duel.fight(
                    &mut || match op {
                        "emd2_1d" => alone(&problem, &context),
                        // There is no matrix that its memory could be told in.
                        _ => solve(whole.as_ref(), &problem, &context).map(|timed| Timed {
                            said: Vec::new(),
                            ..timed
                        }),
                    },
                    &mut || worker.call(&job),
                );
                self.finish(row);
            }
        }
        Ok(())
    }
}
