//! `ot barycenter`: what is asked, methods of a fixed support, and the report.

mod free;

use std::sync::Arc;

use kantorovich::{
    Barycenter, Barycenters, Certify, Context, Cost, DenseCost, Ground, Measure, Problem, Reg,
    Solver,
};
use ot_apps::barycenters::entropy;
use ot_apps::{
    Bregman, BregmanSettings, FixedSupport, FixedSupportSettings, IpotBarycenter,
    IpotBarycenterSettings, UnbalancedBarycenter, UnbalancedBarycenterSettings, pixel_cost,
};
use serde::Serialize;

use crate::Cli;
use crate::args::{BarycenterArgs, SolverArgs};
use crate::distances::histograms;
use crate::exit::{Exit, Failure};
use crate::input::{grid_dims, load, matrix};
use crate::many::{self, Figures, Job, MarginalError};
use crate::output::ArrayOut;
use crate::report::number;

const METHODS: [&str; 8] = [
    "bregman",
    "convolutional",
    "debiased",
    "ipot",
    "unbalanced",
    "lp",
    "fixed",
    "free",
];

/// The JSON object of `ot barycenter --json`: the method and how sharp its answer is, beside the usual fields. n counts
/// measures, m points of the support; the costs are means over the measures.
#[derive(Debug, Serialize)]
struct Report {
    #[serde(flatten)]
    figures: Figures,
    method: String,
    entropy: Option<f64>,
}

/// Averages, stores, and returns the report with its exit status.
pub(crate) fn run(cli: &Cli<'_>, args: &BarycenterArgs) -> Result<(String, Exit), Failure> {
    let Some(&method) = METHODS.iter().find(|name| **name == args.method) else {
        let problem = format!("`{}` must be one of {}", args.method, METHODS.join(", "));
        return Err(Failure::option("method", problem));
    };
    belongs(args, method)?;
    let inside = method == "free" || method == "fixed";
    if !inside && method != "lp" && args.solver.backend != "auto" {
        let problem = format!("`{method}` has no solver inside: leave it out");
        return Err(Failure::option("backend", problem));
    }
    if method == "lp" {
        max_pairs(&args.solver)?;
    } else if !inside && !args.solver.set.is_empty() {
        let problem = format!("`{method}` has no solver inside whose settings these could be");
        return Err(Failure::option("set", problem));
    }
    // What is the method's own is not the solver's.
    let mut of_solver = args.solver.clone();
    of_solver.tol = None;
    of_solver.max_iter = None;
    if !inside {
        (of_solver.reg, of_solver.reg_rel) = (None, None);
        of_solver.backend = "auto".to_owned();
        of_solver.set.clear();
    }
    let job = Job::new(
        cli,
        &of_solver,
        "a barycenter has `--grid`, `--cost` or `--points`",
        method == "free",
    )?;
    let out = ArrayOut::check("out", &args.out)?;
    let weights_out = args.weights_out.as_deref();
    let weights_out = weights_out.map(|path| ArrayOut::check("weights-out", path));
    let weights_out = weights_out.transpose()?;
    let mut inputs = vec![
        ("weights", args.weights.as_deref()),
        ("cost", args.cost.as_deref()),
        ("lambda", args.lambda.as_deref()),
        ("start", args.start.as_deref()),
    ];
    inputs.extend(
        args.points
            .iter()
            .map(|path| ("points", Some(path.as_path()))),
    );
    let of_points = args.point_weights.iter();
    inputs.extend(of_points.map(|path| ("point-weights", Some(path.as_path()))));
    for written in [Some(&out), weights_out.as_ref()].into_iter().flatten() {
        written.is_none_of(&inputs)?;
    }
    if weights_out.as_ref().is_some_and(|other| other.is(&out)) {
        let rule = format!("{} is already --out", args.out.display());
        return Err(Failure::option("weights-out", rule));
    }
    let report = if method == "free" {
        free::run(&job, args, &out, weights_out.as_ref())?
    } else {
        fixed(&job, args, method, &out)?
    };
    let text = if args.json {
        many::json(&report)?
    } else {
        report.to_text()
    };
    Ok((text, report.figures.exit()))
}

/// Refuses options that another method would have, and misses those that this one needs.
fn belongs(args: &BarycenterArgs, method: &str) -> Result<(), Failure> {
    let free = method == "free";
    let of_free = [
        ("points", !args.points.is_empty()),
        ("support", args.support.is_some()),
        ("start", args.start.is_some()),
        ("starts", args.starts.is_some()),
        ("point-weights", !args.point_weights.is_empty()),
        ("find-weights", args.find_weights),
        ("weights-out", args.weights_out.is_some()),
    ];
    let of_fixed = [
        ("weights", args.weights.is_some()),
        ("grid", args.grid.is_some()),
        ("cost", args.cost.is_some()),
        ("metric", args.metric.is_some()),
    ];
    let others = if free { &of_fixed[..] } else { &of_free[..] };
    if let Some((option, _)) = others.iter().find(|(_, given)| *given) {
        let rule = if free {
            "the support of `free` moves: its measures are --points"
        } else {
            "is an option of --method free"
        };
        return Err(Failure::option(option, rule));
    }
    let missing = |option: &str, rule: &str| Err(Failure::option(option, rule));
    if free {
        if args.points.is_empty() {
            return missing(
                "points",
                "is needed by --method free: one file for each measure",
            );
        }
        if args.support.is_none() && args.start.is_none() {
            return missing(
                "support",
                "is needed by --method free: how many points, or --start",
            );
        }
        if args.support.is_some() && args.start.is_some() {
            return missing("support", "is that of --start: give one of the two");
        }
    } else {
        if args.weights.is_none() {
            return missing("weights", "is needed: one row for each measure");
        }
        if args.grid.is_none() && args.cost.is_none() {
            return missing("grid", "is needed, or --cost: where the bins are");
        }
        if method == "convolutional" && args.grid.is_none() {
            return missing("grid", "is needed by --method convolutional");
        }
    }
    if args.gamma.is_some() && method != "unbalanced" {
        return missing("gamma", "is an option of --method unbalanced");
    }
    let no_reg = method == "lp" && (args.solver.reg.is_some() || args.solver.reg_rel.is_some());
    if no_reg || (method == "lp" && (args.solver.tol.is_some() || args.solver.max_iter.is_some())) {
        let rule = "`lp` is exact: it takes no --reg, --reg-rel, --tol and --max-iter";
        return missing("method", rule);
    }
    Ok(())
}

/// What a fixed support comes to.
struct Averaged {
    answer: Barycenter,
    backend: String,
    mean_cost: Option<f64>,
}

fn fixed(
    job: &Job<'_>,
    args: &BarycenterArgs,
    method: &str,
    out: &ArrayOut,
) -> Result<Report, Failure> {
    let cost = cost(args, method)?;
    let (bins, support) = cost.shape();
    if method != "lp" && cost.range().forbidden > 0 {
        let rule =
            format!("pairs that are forbidden (inf) are taken by `lp` alone, not by `{method}`");
        return Err(Failure::option("cost", rule));
    }
    // The parser has seen to it that there is one.
    let path = args.weights.clone().unwrap_or_default();
    let shape = load("weights", &path)?.shape().to_vec();
    if let (Some(text), [_, height, width]) = (&args.grid, &shape[..])
        && let [rows, cols] = grid_dims(text)?[..]
        && (rows, cols) != (*height, *width)
    {
        let rule = format!("`{text}`, but the images of --weights are {height}x{width}");
        return Err(Failure::option("grid", rule));
    }
    let masses = method == "unbalanced";
    let measures = histograms("weights", &path, bins, masses)?;
    let lambda = lambda(args, measures.len())?;
    let asked = Asked {
        cost: &cost,
        measures: &measures,
        lambda: &lambda,
        args,
    };
    let (found, ended) = job.run(method, |context| {
        asked.average(method, job.solver(), context)
    })?;
    let mut report = Report {
        figures: Figures::new(None, (measures.len(), support), false, &ended),
        method: method.to_owned(),
        entropy: None,
    };
    if let Some(found) = found {
        let q = &found.answer.weights;
        // An image, if images came in.
        match shape[..] {
            [_, height, width] if height * width == support => {
                out.write(&[height, width], q.weights())?;
            }
            _ => out.write(&[support], q.weights())?,
        }
        report.entropy = Some(entropy(q));
        report.figures.settle(&found.answer.convergence);
        report.figures.backend = Some(found.backend);
        report.figures.transport_cost = found.mean_cost;
        report.figures.mass = Some(q.mass());
        if let Some(bracket) = found.answer.certificate {
            report.figures.lower_bound = Some(bracket.lower);
            report.figures.upper_bound = Some(bracket.upper);
        }
    }
    Ok(report)
}

struct Asked<'a> {
    cost: &'a Arc<dyn Cost>,
    measures: &'a [Measure],
    lambda: &'a [f64],
    args: &'a BarycenterArgs,
}

/// Reg of the options, or a default.
fn reg(args: &SolverArgs, default: Reg) -> Reg {
    match (args.reg, args.reg_rel) {
        (Some(reg), _) => Reg::Absolute(reg),
        (None, Some(reg)) => Reg::Relative(reg),
        (None, None) => default,
    }
}

impl Asked<'_> {
    fn average(
        &self,
        method: &str,
        solver: &dyn Solver,
        context: &Context,
    ) -> Result<Averaged, ot_apps::Error> {
        let args = &self.args.solver;
        let mut context = context.clone().certified(Certify::AtEnd);
        let mut ask = |barycenters: &dyn Barycenters| {
            barycenters.barycenter(self.cost, self.measures, self.lambda, &mut context)
        };
        let mut backend = method.to_owned();
        let mut mean_cost = None;
        let answer = match method {
            "ipot" => {
                let default = IpotBarycenterSettings::default();
                let ipot = IpotBarycenter::new(IpotBarycenterSettings {
                    beta: reg(args, default.beta),
                    tol: args.tol.unwrap_or(default.tol),
                    max_iter: args.max_iter.unwrap_or(default.max_iter),
                    ..default
                })?;
                ask(&ipot)?
            }
            "unbalanced" => {
                let default = UnbalancedBarycenterSettings::default();
                let relaxed = UnbalancedBarycenter::new(UnbalancedBarycenterSettings {
                    reg: reg(args, default.reg),
                    gamma: self.args.gamma.unwrap_or(default.gamma),
                    tol: args.tol.unwrap_or(default.tol),
                    max_iter: args.max_iter.unwrap_or(default.max_iter),
                })?;
                relaxed.barycenter(self.cost, self.measures, self.lambda, &mut context)?
            }
            "lp" => {
                let lp = linear_program(args)?;
                backend = lp.name().to_owned();
                let answer = ask(lp.as_ref())?;
                mean_cost = Some(self.mean_cost(&answer.weights, solver, &context)?);
                answer
            }
            "fixed" => {
                let default = FixedSupportSettings::default();
                let settings = FixedSupportSettings {
                    tol: args.tol.unwrap_or(default.tol),
                    max_iter: args.max_iter.unwrap_or(default.max_iter),
                };
                let answer = ask(&FixedSupport::new(solver, settings)?)?;
                backend = self.solved_by(&answer.weights, solver, &context)?;
                answer
            }
            _ => {
                let default = BregmanSettings::default();
                let bregman = Bregman::new(BregmanSettings {
                    reg: reg(args, default.reg),
                    tol: args.tol.unwrap_or(default.tol),
                    max_iter: args.max_iter.unwrap_or(default.max_iter),
                    debiased: method == "debiased",
                    ..default
                })?;
                ask(&bregman)?
            }
        };
        Ok(Averaged {
            mean_cost: mean_cost.or(answer.certificate.map(|bracket| bracket.upper)),
            answer,
            backend,
        })
    }

    /// Who it is that solves: a choice among several backends says so with its answer. One solve, or none where time is up.
    fn solved_by(
        &self,
        q: &Measure,
        solver: &dyn Solver,
        context: &Context,
    ) -> Result<String, ot_apps::Error> {
        let (Some(p), None) = (self.measures.first(), context.interrupted()) else {
            return Ok(solver.name().to_owned());
        };
        let problem = Problem::new(p.normalized(), q.clone(), Arc::clone(self.cost))?;
        let mut context = context.for_problem(0).certified(Certify::Off);
        Ok(solver.solve_with(&problem, &mut context)?.solver)
    }

    /// Σ_k λ_k OT(p_k, q), solved.
    fn mean_cost(
        &self,
        q: &Measure,
        solver: &dyn Solver,
        context: &Context,
    ) -> Result<f64, ot_apps::Error> {
        let total: f64 = self.lambda.iter().sum();
        let mut mean = 0.0;
        for (p, lambda) in self.measures.iter().zip(self.lambda) {
            let problem = Problem::new(p.normalized(), q.clone(), Arc::clone(self.cost))?;
            let solution = solver.solve_with(&problem, &mut context.for_problem(0))?;
            mean += lambda / total * solution.transport_cost;
        }
        Ok(mean)
    }
}

/// The linear program by the library that is named, or by the first one that is there.
fn linear_program(args: &SolverArgs) -> Result<Box<dyn Barycenters>, ot_apps::Error> {
    match args.backend.as_str() {
        #[cfg(feature = "lp-microlp")]
        "auto" | "lp-microlp" => Ok(limited(kantorovich::LpBarycenter::microlp(), args)),
        #[cfg(all(feature = "lp-minilp", not(feature = "lp-microlp")))]
        "auto" => Ok(limited(kantorovich::LpBarycenter::minilp(), args)),
        #[cfg(feature = "lp-minilp")]
        "lp-minilp" => Ok(limited(kantorovich::LpBarycenter::minilp(), args)),
        #[cfg(feature = "lp-highs")]
        "lp-highs" => Ok(limited(kantorovich::LpBarycenter::highs(), args)),
        backend => {
            let rule = "must be auto, lp-microlp, lp-minilp or lp-highs for `lp`, and compiled in";
            Err(kantorovich::Error::setting("backend", backend, rule).into())
        }
    }
}

#[cfg(any(feature = "lp-microlp", feature = "lp-minilp", feature = "lp-highs"))]
fn limited(lp: kantorovich::LpBarycenter, args: &SolverArgs) -> Box<dyn Barycenters> {
    // What is wrong with the setting was said before.
    let most = max_pairs(args).unwrap_or_default();
    Box::new(most.map_or(lp, |most| lp.with_max_pairs(most)))
}

/// The one setting that the linear program has.
fn max_pairs(args: &SolverArgs) -> Result<Option<u64>, Failure> {
    let mut most = None;
    for pair in &args.set {
        let value = match pair.split_once('=') {
            Some(("max_pairs", value)) => value.parse().ok().filter(|most| *most > 0),
            _ => {
                let problem = format!("`{pair}`: `lp` has the setting max_pairs alone here");
                return Err(Failure::option("set", problem));
            }
        };
        let Some(value) = value else {
            let problem = format!("`{pair}`: max_pairs must be a whole number, at least 1");
            return Err(Failure::option("set", problem));
        };
        most = Some(value);
    }
    Ok(most)
}

/// Weights of the measures in the mean; equal if there are none.
fn lambda(args: &BarycenterArgs, count: usize) -> Result<Vec<f64>, Failure> {
    let Some(path) = &args.lambda else {
        return Ok(vec![1.0; count]);
    };
    let list = load("lambda", path)?.into_vector();
    let list = list.map_err(|e| Failure::option("lambda", e))?;
    if list.len() != count {
        let rule = format!("{} weights, but there are {count} measures", list.len());
        return Err(Failure::option("lambda", rule));
    }
    let checked = Measure::named("lambda", list.to_vec());
    checked.map_err(|e| Failure::option("lambda", e))?;
    Ok(list.to_vec())
}

fn cost(args: &BarycenterArgs, method: &str) -> Result<Arc<dyn Cost>, Failure> {
    if let Some(path) = &args.cost {
        let entries = matrix(path)?.into_f64();
        let (n, m) = (entries.shape()[0], entries.shape()[1]);
        let entries: Vec<f64> = entries.into_iter().collect();
        let cost = DenseCost::new(n, m, entries).map_err(|e| Failure::option("cost", e))?;
        return Ok(Arc::new(cost));
    }
    let text = args.grid.as_deref().unwrap_or_default();
    let &[height, width] = &grid_dims(text)?[..] else {
        let rule = format!("`{text}` must be HxW, as in 28x28: images have two axes");
        return Err(Failure::option("grid", rule));
    };
    let metric = args.metric.as_deref().unwrap_or("sqeuclidean");
    let ground = Ground::parse(metric)?;
    let by_axes = match ground {
        Ground::SqEuclidean => Some(kantorovich::GridGround::SqEuclidean),
        Ground::Cityblock => Some(kantorovich::GridGround::Cityblock),
        _ => None,
    };
    if matches!(ground, Ground::Arc | Ground::Cosine) {
        let rule = format!("`{metric}` is no cost between pixels: choose another");
        return Err(Failure::option("metric", rule));
    }
    if let Some(ground) = by_axes {
        let grid = kantorovich::GridCost::new(&[height, width], ground);
        return Ok(Arc::new(grid.map_err(|e| Failure::option("grid", e))?));
    }
    if method == "convolutional" {
        let rule =
            format!("`{metric}` is no sum over axes: `convolutional` needs one, as sqeuclidean");
        return Err(Failure::option("metric", rule));
    }
    pixel_cost((height, width), &ground).map_err(|e| Failure::option("grid", e))
}

impl Report {
    fn to_text(&self) -> String {
        let of = &self.figures;
        let mut pairs = vec![("method", self.method.clone())];
        if of.backend.as_ref() != Some(&self.method) {
            pairs.push(("backend", of.who()));
        }
        pairs.push(("measures", format!("{} on {} points", of.n, of.m)));
        pairs.push(("termination", of.verdict()));
        if of.transport_cost.is_some() {
            pairs.push(("mean cost", number(of.transport_cost)));
        }
        if let (Some(lower), Some(upper)) = (of.lower_bound, of.upper_bound) {
            let bracket = format!("[{}, {}]", number(Some(lower)), number(Some(upper)));
            pairs.push(("least", bracket));
        }
        if let Some(MarginalError { target, .. }) = of.marginal_error {
            pairs.push(("marginals", format!("off by {}", number(target))));
        }
        if let Some(mass) = of.mass.filter(|mass| (mass - 1.0).abs() > 1e-9) {
            pairs.push(("mass", number(Some(mass))));
        }
        if let Some(entropy) = self.entropy {
            pairs.push(("entropy", format!("{entropy:.4} nats")));
        }
        if let Some(iterations) = of.iterations {
            pairs.push(("iterations", iterations.to_string()));
        }
        pairs.push(("time", format!("{:.3} s", of.seconds)));
        many::lines(&pairs)
    }
}
