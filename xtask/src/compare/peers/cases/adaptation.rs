//! Domain adaptation from samples to adapted samples, beside POT's classes at their settings.

use std::time::Instant;

use kantorovich::apps::adaptation::{Adaptation, AdaptationSettings, Domain, Regularizer};
use kantorovich::{Context, Options, Reg, Solver};
use serde_json::json;

use super::super::duel::Duel;
use super::super::worker::Timed;
use super::tools::{clouds, one_thread};
use super::{EXACT, Failure, Ring};

/// ε and class weight, on the cost divided by its maximum.
const REG: f64 = 0.05;
const CLASS_WEIGHT: f64 = 0.1;
const CLASSES: usize = 10;
/// The entropic backend that is fast at this ε whatever the plan.
const ENTROPIC: &str = "sinkhorn-stabilized";

impl Ring<'_> {
    /// Exact and group-lasso adaptation of n labelled samples: cost matrix, plan and barycentric mapping on both sides. The
    /// value of the group lasso is its objective, which POT's ten rounds of at most 200 iterations may leave higher.
    pub(super) fn adaptation(&mut self, n: usize, dim: usize) -> Result<(), Failure> {
        self.worker.forget()?;
        let (x, y) = clouds(n, dim, 7);
        let labels: Vec<i64> = (0..n).map(|i| (i % CLASSES) as i64).collect();
        // Classes lie apart, as those that somebody would adapt do.
        let spread = |mut points: Vec<f64>, by: f64| {
            for (i, row) in points.chunks_exact_mut(dim).enumerate() {
                row[i % CLASSES] += 1.0;
                row[CLASSES] += by;
            }
            points
        };
        let (x, y) = (spread(x, 0.0), spread(y, 0.5));
        let marks: Vec<f64> = labels.iter().map(|l| *l as f64).collect();
        let mut files = json!({
            "x": self.put("da_x", &[n, dim], &x)?,
            "y": self.put("da_y", &[n, dim], &y)?,
            "labels": self.put("da_labels", &[n], &marks)?,
            "reg": REG,
            "weight": CLASS_WEIGHT,
        });
        let source = Domain::new("source", x, dim)?.labelled(&labels)?;
        let target = Domain::new("target", y, dim)?;
        let entropic = Options {
            reg: Some(Reg::Absolute(REG)),
            tol: Some(1e-6),
            ..Options::default()
        };
        let context = one_thread()?;
        for (name, options, regularizer, op, peer, aim) in [
            (
                EXACT,
                Options::default(),
                Regularizer::None,
                "adapt_emd",
                "POT EMDTransport",
                None,
            ),
            (
                ENTROPIC,
                entropic,
                Regularizer::group_lasso(CLASS_WEIGHT),
                "adapt_group_lasso",
                "POT SinkhornLpl1Transport",
                Some(10.0),
            ),
        ] {
            let Some(solver) = self.solver(name, &options)? else {
                continue;
            };
            let settings = AdaptationSettings {
                regularizer,
                ..AdaptationSettings::default()
            };
            files["op"] = json!(op);
            (self.tell)(&format!("{name} · n = {n}, d = {dim} · {peer}"));
            let duel = Duel {
                goal: "domain adaptation",
                case: format!("n = {n}, d = {dim}, {CLASSES} classes"),
                ours: name.to_owned(),
                peer: peer.to_owned(),
                must: Some(5.0),
                aim,
            };
            let worker = &mut *self.worker;
            let row = duel.fight(
                &mut || adapt(solver.as_ref(), &settings, &source, &target, &context),
                &mut || worker.call(&files),
            );
            self.finish(row);
        }
        Ok(())
    }
}

fn adapt(
    solver: &dyn Solver,
    settings: &AdaptationSettings,
    source: &Domain,
    target: &Domain,
    context: &Context,
) -> Result<Timed, String> {
    let begun = Instant::now();
    let adaptation = Adaptation::new(solver, settings.clone()).map_err(|e| e.to_string())?;
    let fitted = adaptation.fit(source, target, &mut context.clone());
    let fitted = fitted.map_err(|e| e.to_string())?;
    std::hint::black_box(fitted.adapted());
    Ok(Timed {
        seconds: begun.elapsed().as_secs_f64(),
        value: Some(fitted.objective()),
        said: Vec::new(),
    })
}
