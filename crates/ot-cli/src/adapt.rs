//! `ot adapt`.

use std::path::Path;

use kantorovich::{Capability, Context, Cost, Ground, PointCost, Reg};
use ot_apps::adaptation::{
    Adaptation, AdaptationSettings, Domain, Features, Jdot, JdotModel, JdotSettings,
    LaplacianSettings, LinearAdaptation, Regularizer, nearest_labels,
};
use ot_apps::scores;
use serde::Serialize;

use crate::Cli;
use crate::args::AdaptArgs;
use crate::exit::{Exit, Failure};
use crate::input::{load, points};
use crate::many::{self, Figures, Job};
use crate::output::ArrayOut;

/// ε of the entropic methods, on the cost divided by its maximum.
const REG: f64 = 0.05;
/// The weight of group-lasso's classes.
const CLASS_WEIGHT: f64 = 0.1;
/// Rounds change the cost, and classes make it steep: scalings of one kernel settle slowly there.
const FOR_ROUNDS: &str = "sinkhorn-stabilized";
/// Added to the variances of `gaussian`, as a part of their mean: fewer samples than dimensions leave some at 0.
const RIDGE: f64 = 1e-6;

/// Rounds at most: conditional gradients around exact plans take hundreds.
const ROUNDS: usize = 1000;

const METHODS: [&str; 7] = [
    "none",
    "emd",
    "sinkhorn",
    "group-lasso",
    "laplacian",
    "gaussian",
    "jdot",
];

/// The JSON object of `ot adapt --json`.
#[derive(Debug, Serialize)]
struct Report {
    #[serde(flatten)]
    figures: Figures,
    method: String,
    accuracy: Option<f64>,
}

/// What was found, whatever the method.
struct Found {
    /// Where the source arrives; nothing from a method that moves no samples.
    adapted: Option<Vec<f64>>,
    predictions: Vec<i64>,
    converged: bool,
    solved: Option<Solved>,
}

/// The figures of a plan, in units of the scaled cost.
struct Solved {
    backend: String,
    transport_cost: f64,
    objective: Option<f64>,
    mass: f64,
    rounds: Option<u64>,
}

/// Adapts, classifies the target, and returns the report with its exit status.
pub(crate) fn run(cli: &Cli<'_>, args: &AdaptArgs) -> Result<(String, Exit), Failure> {
    let method = METHODS.iter().find(|name| **name == args.method);
    let Some(&method) = method else {
        let problem = format!("`{}` must be one of {}", args.method, METHODS.join(", "));
        return Err(Failure::option("method", problem));
    };
    check_options(method, args)?;
    let job = Job::new(cli, &args.solver, "domains have points", false)?;
    let outputs = outputs(args)?;
    if method == "jdot" && args.out.is_some() {
        let rule = "jdot learns a classifier and moves no samples: use --predict";
        return Err(Failure::option("out", rule));
    }
    let (x, y) = (
        points("source", &args.source)?,
        points("target", &args.target)?,
    );
    let labels = classes("labels", &args.labels)?;
    let expected = args
        .target_labels
        .as_deref()
        .map(|path| classes("target-labels", path))
        .transpose()?;
    let (n, m, dim) = (x.nrows(), y.nrows(), x.ncols());
    if y.ncols() != dim {
        let problem = format!(
            "points of dimension {}, but those of --source have {dim}",
            y.ncols()
        );
        return Err(Failure::option("target", problem));
    }
    count("labels", labels.len(), n, "source")?;
    if let Some(expected) = &expected {
        count("target-labels", expected.len(), m, "target")?;
    }
    let x: Vec<f64> = x.into_iter().collect();
    let y: Vec<f64> = y.into_iter().collect();
    let domain = |name, points: Vec<f64>| {
        let made = Domain::new(name, points, dim);
        made.map_err(|error| job.failure(error))
    };
    let (source, target) = (domain("source", x)?, domain("target", y)?);
    // The unit of --reg is that of the cost; the methods divide the cost by its maximum.
    let between = PointCost::new(source.points(), target.points(), dim, Ground::SqEuclidean)?;
    let unit = match between.range().max {
        largest if largest > 0.0 => largest,
        _ => 1.0,
    };
    // What these penalize has the unit of the points: brought to that of the scaled cost, no answer depends on it.
    let length = match method {
        "laplacian" | "jdot" => unit.sqrt(),
        _ => 1.0,
    };
    let scaled = |name, of: &Domain| domain(name, of.points().iter().map(|v| v / length).collect());
    let source = scaled("source", &source)?.labelled(&labels);
    let source = source.map_err(|error| job.failure(error))?;
    let target = scaled("target", &target)?;
    let entropic = matches!(method, "sinkhorn" | "group-lasso");
    let reg = match (args.solver.reg, args.solver.reg_rel) {
        (Some(reg), _) => Some(reg / unit),
        (None, Some(relative)) => Some(relative),
        (None, None) => {
            // Rounds change the cost, so an entropic backend chosen by name must have an ε of its own unit.
            let rounds = matches!(method, "laplacian" | "jdot");
            let has = |capability| job.solver().capabilities().has(capability);
            let blurs = has(Capability::Entropic) && !has(Capability::Exact);
            (entropic || (rounds && blurs)).then_some(REG)
        }
    };
    let job = match reg {
        Some(reg) => job.with_reg(Reg::Absolute(reg), Some(FOR_ROUNDS))?,
        None => job,
    };
    let needed = match method {
        "emd" => Some(Capability::Exact),
        "sinkhorn" | "group-lasso" => Some(Capability::Entropic),
        _ => None,
    };
    if let Some(needed) = needed
        && !job.solver().capabilities().has(needed)
    {
        let problem = format!("`{}` lacks `{needed}`", args.solver.backend);
        return Err(Failure::option("backend", problem));
    }

    let asked = Asked {
        job: &job,
        method,
        class_weight: args.class_weight.unwrap_or(CLASS_WEIGHT),
        alpha: args.alpha,
        own_ridge: args.ridge,
        rounds: args.rounds,
        source: &source,
        target: &target,
        labels: &labels,
    };
    if method == "gaussian" && asked.ridge() <= 0.0 {
        let rule = "no sample of either domain differs from another: `gaussian` has no covariance to carry over";
        return Err(Failure::option("source", rule));
    }
    let (found, ended) = job.run(method, |context| asked.adapt(context))?;
    let [out, predict] = &outputs;
    if let (Some(out), Some(adapted)) = (out, found.as_ref().and_then(|f| f.adapted.as_ref())) {
        let adapted: Vec<f64> = adapted.iter().map(|v| v * length).collect();
        out.write(&[n, dim], &adapted)?;
    }
    if let (Some(predict), Some(found)) = (predict, &found) {
        predict.write(&[m], &found.predictions)?;
    }
    let accuracy = found.as_ref().zip(expected.as_ref());
    let accuracy = accuracy.map(|(found, expected)| scores::accuracy(&found.predictions, expected));
    let accuracy = accuracy.transpose().map_err(|error| job.failure(error))?;
    let solved = found.as_ref().and_then(|found| found.solved.as_ref());
    let backend = solved.map(|solved| solved.backend.clone());
    let within = found.as_ref().is_some_and(|found| found.converged);
    let mut figures = Figures::new(backend, (n, m), within, &ended);
    if let Some(solved) = solved {
        figures.transport_cost = Some(unit * solved.transport_cost);
        figures.objective = solved.objective.map(|value| unit * value);
        figures.mass = Some(solved.mass);
        figures.iterations = solved.rounds;
    }
    let report = Report {
        figures,
        method: method.to_owned(),
        accuracy,
    };
    let text = if args.json {
        many::json(&report)?
    } else {
        report.to_text(dim)
    };
    Ok((text, report.figures.exit()))
}

/// An option that the method does not have is a usage error.
fn check_options(method: &str, args: &AdaptArgs) -> Result<(), Failure> {
    if args.class_weight.is_some() && method != "group-lasso" {
        let rule = format!("`{method}` has none: it is group-lasso's");
        return Err(Failure::option("class-weight", rule));
    }
    for (option, given) in [("ridge", args.ridge), ("alpha", args.alpha)] {
        if given.is_some() && method != "jdot" {
            let rule = format!("`{method}` has none: it is jdot's");
            return Err(Failure::option(option, rule));
        }
    }
    if args.rounds.is_some() && !matches!(method, "group-lasso" | "laplacian" | "jdot") {
        let rule =
            format!("`{method}` has none: they are those of group-lasso, laplacian and jdot");
        return Err(Failure::option("rounds", rule));
    }
    if matches!(method, "none" | "gaussian") {
        let of = &args.solver;
        let given = [
            ("backend", of.backend != "auto"),
            ("tol", of.tol.is_some()),
            ("max-iter", of.max_iter.is_some()),
            ("set", !of.set.is_empty()),
        ];
        if let Some((option, _)) = given.iter().find(|(_, given)| *given) {
            let rule = format!("`{method}` solves no transport problem");
            return Err(Failure::option(option, rule));
        }
    }
    if matches!(method, "none" | "emd" | "gaussian") {
        let given = [
            ("reg", args.solver.reg.is_some()),
            ("reg-rel", args.solver.reg_rel.is_some()),
        ];
        if let Some((option, _)) = given.iter().find(|(_, given)| *given) {
            let rule = format!("`{method}` has no regularization");
            return Err(Failure::option(option, rule));
        }
    }
    Ok(())
}

/// --out and --predict, checked.
fn outputs(args: &AdaptArgs) -> Result<[Option<ArrayOut>; 2], Failure> {
    let check = |option, path: &Option<_>| {
        let check = |path: &std::path::PathBuf| ArrayOut::check(option, path);
        path.as_ref().map(check).transpose()
    };
    let outputs = [check("out", &args.out)?, check("predict", &args.predict)?];
    for out in outputs.iter().flatten() {
        out.is_none_of(&[
            ("source", Some(args.source.as_path())),
            ("labels", Some(args.labels.as_path())),
            ("target", Some(args.target.as_path())),
            ("target-labels", args.target_labels.as_deref()),
        ])?;
    }
    if let [Some(out), Some(predict)] = &outputs
        && out.is(predict)
    {
        return Err(Failure::option("predict", "is the file of --out"));
    }
    Ok(outputs)
}

/// What the options come to.
struct Asked<'a> {
    job: &'a Job<'a>,
    method: &'static str,
    class_weight: f64,
    alpha: Option<f64>,
    own_ridge: Option<f64>,
    rounds: Option<usize>,
    source: &'a Domain,
    target: &'a Domain,
    labels: &'a [i64],
}

impl Asked<'_> {
    fn adapt(&self, context: &Context) -> Result<Found, ot_apps::Error> {
        let solver = self.job.solver();
        let regularizer = match self.method {
            "none" => return self.moved(self.source.points().to_vec()),
            "gaussian" => {
                let map = LinearAdaptation::fit(self.source, self.target, self.ridge())?;
                return self.moved(map.transform(self.source.points())?);
            }
            "jdot" => return self.jdot(context),
            "group-lasso" => Regularizer::group_lasso(self.class_weight),
            "laplacian" => Regularizer::Laplacian(LaplacianSettings::default()),
            _ => Regularizer::None,
        };
        let settings = AdaptationSettings {
            regularizer,
            rounds: self.rounds.unwrap_or(ROUNDS),
            ..AdaptationSettings::default()
        };
        let adaptation = Adaptation::new(solver, settings)?;
        let fitted = adaptation.fit(self.source, self.target, &mut context.clone())?;
        let convergence = fitted.convergence();
        Ok(Found {
            predictions: fitted.predict(self.target.points())?,
            adapted: Some(fitted.adapted().to_vec()),
            converged: convergence.converged(),
            solved: Some(Solved {
                backend: fitted.solver().to_owned(),
                transport_cost: fitted.transport_cost(),
                objective: Some(fitted.objective()),
                mass: fitted.marginals().0.iter().sum(),
                rounds: convergence.iterations,
            }),
        })
    }

    /// A method without a solver.
    fn moved(&self, adapted: Vec<f64>) -> Result<Found, ot_apps::Error> {
        let to = self.target.points();
        Ok(Found {
            predictions: nearest_labels(&adapted, self.labels, to, self.target.dim())?,
            adapted: Some(adapted),
            converged: true,
            solved: None,
        })
    }

    /// [`RIDGE`] of the mean variance of both domains together.
    fn ridge(&self) -> f64 {
        let mut sum = 0.0;
        for domain in [self.source, self.target] {
            let (n, dim) = (domain.len() as f64, domain.dim());
            for t in 0..dim {
                let values = || domain.points().iter().skip(t).step_by(dim);
                let mean = values().sum::<f64>() / n;
                sum += values().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n / dim as f64;
            }
        }
        0.5 * RIDGE * sum
    }

    fn jdot(&self, context: &Context) -> Result<Found, ot_apps::Error> {
        let mut settings = JdotSettings::default();
        if let Some(alpha) = self.alpha {
            settings.alpha = alpha;
        }
        if let Some(rounds) = self.rounds {
            settings.rounds = rounds;
        }
        if let Some(ridge) = self.own_ridge {
            let features = Features::Linear;
            settings.model = JdotModel::Ridge { features, ridge };
        }
        let jdot = Jdot::new(self.job.solver(), settings)?;
        let fitted = jdot.fit(self.source, self.target, &mut context.clone())?;
        let convergence = fitted.convergence();
        Ok(Found {
            predictions: fitted.predict(self.target.points())?,
            adapted: None,
            converged: convergence.converged(),
            solved: Some(Solved {
                backend: fitted.solver().to_owned(),
                transport_cost: fitted.transport_cost(),
                // The loss between labels has no unit of the cost.
                objective: None,
                mass: 1.0,
                rounds: convergence.iterations,
            }),
        })
    }
}

impl Report {
    fn to_text(&self, dim: usize) -> String {
        let of = &self.figures;
        let mut pairs = vec![
            ("backend", of.who()),
            ("method", self.method.clone()),
            ("samples", format!("{} to {}, dimension {dim}", of.n, of.m)),
            ("termination", of.verdict()),
        ];
        if let Some(cost) = of.transport_cost {
            pairs.push(("transport cost", format!("{cost:.6}")));
        }
        if let Some(accuracy) = self.accuracy {
            pairs.push(("accuracy", format!("{:.2} %", 100.0 * accuracy)));
        }
        pairs.push(("time", format!("{:.3} s", of.seconds)));
        many::lines(&pairs)
    }
}

/// One label a sample.
fn count(option: &str, found: usize, expected: usize, of: &str) -> Result<(), Failure> {
    if found == expected {
        return Ok(());
    }
    let problem = format!("{found} labels, but there are {expected} samples in --{of}");
    Err(Failure::option(option, problem))
}

fn classes(option: &str, path: &Path) -> Result<Vec<i64>, Failure> {
    let labels = load(option, path)?.into_labels();
    Ok(labels.map_err(|e| Failure::option(option, e))?.to_vec())
}
