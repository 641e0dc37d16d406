//! `ot classify`.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use kantorovich::{Auto, Capability, Certify, Context, Ground, Reg, Solver};
use ot_apps::class_models::ClassModels;
use ot_apps::{
    Bernoulli, Bregman, BregmanSettings, ClusterBarycenters, Coupling, CouplingRule, Images,
    KMeansSettings, ModelSet, Retrieval, Samples, Score, WassersteinKMeans, pixel_cost, scores,
};
use serde::Serialize;

use crate::Cli;
use crate::args::ClassifyArgs;
use crate::exit::{Exit, Failure};
use crate::input::load;
use crate::interrupt::{self, Solving};
use crate::memory::Meter;
use crate::output::ClassesOut;
use crate::solve;

/// ε of the barycenters, as a part of the largest cost.
const REG_OF_BARYCENTERS: f64 = 1e-2;
/// Images of a class that barycenters are made of, and that Wasserstein k-means clusters.
const AVERAGED: usize = 100;
const CLUSTERED: usize = 50;

const MODELS: [&str; 4] = ["samples", "bernoulli", "barycenter", "kmeans"];
const RULES: [&str; 2] = ["retrieval", "coupling"];

/// The JSON object of `ot classify --json`: the fields of `ot solve` (null where one problem's figure has no meaning for
/// many), what was asked for, and the accuracy.
#[derive(Debug, Serialize)]
struct Report {
    backend: String,
    model: String,
    models: usize,
    rule: String,
    metric: String,
    n: usize,
    m: usize,
    termination: String,
    converged: bool,
    transport_cost: Option<f64>,
    objective: Option<f64>,
    lower_bound: Option<f64>,
    upper_bound: Option<f64>,
    mass: Option<f64>,
    marginal_error: Option<f64>,
    iterations: Option<u64>,
    seconds: f64,
    certify_seconds: Option<f64>,
    extra_bytes: Option<u64>,
    peak_bytes: Option<u64>,
    accuracy: Option<f64>,
}

/// What was found, whatever the rule.
struct Found {
    classes: Vec<i64>,
    converged: bool,
    transport_cost: Option<f64>,
    objective: Option<f64>,
    backend: String,
}

/// Fits the models, classifies, and returns the report with its exit status.
pub(crate) fn run(cli: &Cli<'_>, args: &ClassifyArgs) -> Result<(String, Exit), Failure> {
    let model = one_of("model", &args.model, &MODELS)?;
    let rule = one_of("rule", &args.rule, &RULES)?;
    let ground = Ground::parse(&args.metric)?;
    if rule == "retrieval" && matches!(ground, Ground::Arc | Ground::Cosine) {
        let problem = format!(
            "`{}` is no cost between pixels: choose another",
            args.metric
        );
        return Err(Failure::option("metric", problem));
    }
    let names_tree = |pair: &String| pair.starts_with("tree=");
    if args.solver.set.iter().any(names_tree) {
        let rule = "`tree` is a part of `ot solve`'s problems: images have a `--metric`";
        return Err(Failure::option("set", rule));
    }
    let mut options = solve::options(&args.solver)?;
    // The seed is that of the models; a backend that is named and has one draws from it, too.
    let factory = cli.registry.get(&args.solver.backend)?;
    let settings = factory.settings();
    let seeded = settings.iter().any(|setting| setting.name == "seed");
    if args.solver.backend == Auto::NAME || !seeded {
        options.seed = None;
    }
    let solver = cli.registry.build(&args.solver.backend, &options)?;
    let heeds = solver.capabilities().has(Capability::Interruptible);
    if args.solver.time_limit.is_some() && !heeds {
        let problem = format!(
            "`{}` lacks `{}`",
            args.solver.backend,
            Capability::Interruptible
        );
        return Err(Failure::option("time-limit", problem));
    }
    let out = args.out.as_deref().map(ClassesOut::check).transpose()?;
    let train = images("train", &args.train)?;
    let labels = classes("labels", &args.labels)?;
    let test = images("test", &args.test)?;
    let expected = args
        .test_labels
        .as_deref()
        .map(|path| classes("test-labels", path));
    let expected = expected.transpose()?;
    if let Some(expected) = &expected
        && expected.len() != test.len()
    {
        let problem = format!(
            "{} labels, but there are {} images in --test",
            expected.len(),
            test.len()
        );
        return Err(Failure::option("test-labels", problem));
    }
    if train.size() != test.size() {
        let ((h, w), (height, width)) = (test.size(), train.size());
        let problem = format!("images of {h}×{w}, but those of --train are {height}×{width}");
        return Err(Failure::option("test", problem));
    }

    let mut context = solve::context(&args.solver)?.certified(Certify::Off);
    let meter = Meter::start(cli.memory);
    let started = Instant::now();
    if let Some(limit) = solve::time_limit(&args.solver)? {
        context = context.time_limit(limit);
    }
    context = context.cancelled_by(interrupt::token());
    let solving = heeds.then(Solving::begin);
    let asked = Asked {
        solver: solver.as_ref(),
        model,
        models: args.models,
        seed: args.solver.seed.unwrap_or(0),
        ground,
    };
    let found = asked.classify(rule, &train, &labels, &test, &context);
    drop(solving);
    let found = found.map_err(|error| match error {
        ot_apps::Error::Transport(error) => Failure::from(cli.registry.with_hint(error)),
        error => Failure::usage(error.to_string()),
    })?;
    let seconds = started.elapsed().as_secs_f64();
    if let Some(out) = &out {
        out.write(&found.classes)?;
    }
    let accuracy = expected.map(|expected| scores::accuracy(&found.classes, &expected));
    let accuracy = accuracy
        .transpose()
        .map_err(|e| Failure::usage(e.to_string()))?;
    let classes = labels
        .iter()
        .collect::<std::collections::BTreeSet<_>>()
        .len();
    let report = Report {
        backend: found.backend,
        model: model.to_owned(),
        models: args.models,
        rule: rule.to_owned(),
        metric: args.metric.clone(),
        n: test.len(),
        m: args.models * classes,
        termination: if found.converged {
            "converged"
        } else {
            "iteration-limit"
        }
        .to_owned(),
        converged: found.converged,
        transport_cost: found.transport_cost,
        objective: found.objective,
        lower_bound: None,
        upper_bound: None,
        mass: None,
        marginal_error: None,
        iterations: None,
        seconds,
        certify_seconds: None,
        extra_bytes: meter.extra(),
        peak_bytes: meter.process_peak(),
        accuracy,
    };
    let text = if args.json {
        let json = serde_json::to_string(&report);
        json.map_err(|e| Failure::usage(e.to_string()))? + "\n"
    } else {
        report.to_text()
    };
    let exit = if found.converged {
        Exit::Solved
    } else {
        Exit::NotConverged
    };
    Ok((text, exit))
}

/// What the options come to.
struct Asked<'a> {
    solver: &'a dyn Solver,
    model: &'static str,
    models: usize,
    seed: u64,
    ground: Ground,
}

impl Asked<'_> {
    fn classify(
        &self,
        rule: &str,
        train: &Images,
        labels: &[i64],
        test: &Images,
        context: &Context,
    ) -> Result<Found, ot_apps::Error> {
        // Models are made on pixels. Where the metric is between whole images, pixels are as far as squares say.
        let retrieval = rule == "retrieval";
        let between_pixels = if retrieval {
            &self.ground
        } else {
            &Ground::SqEuclidean
        };
        let cost = pixel_cost(train.size(), between_pixels)?;
        let bregman = Bregman::new(BregmanSettings {
            reg: Reg::Relative(REG_OF_BARYCENTERS),
            debiased: true,
            ..BregmanSettings::default()
        })?;
        let bernoulli = Bernoulli::default();
        let barycenters = ClusterBarycenters::new(&bregman, Arc::clone(&cost), AVERAGED)?;
        let settings = KMeansSettings {
            samples: CLUSTERED,
            ..KMeansSettings::default()
        };
        let kmeans = WassersteinKMeans::new(self.solver, &bregman, Arc::clone(&cost), settings)?;
        let kind: &dyn ClassModels = match self.model {
            "samples" => &Samples,
            "bernoulli" => &bernoulli,
            "barycenter" => &barycenters,
            _ => &kmeans,
        };
        let models = ModelSet::fit(kind, train, labels, self.models, self.seed, context)?;
        if retrieval {
            let retrieval = Retrieval::new(self.solver, cost, models, Score::TransportCost)?;
            let found = retrieval.predict(test, context)?;
            return Ok(Found {
                classes: found.predictions().to_vec(),
                converged: found.unconverged() == 0,
                transport_cost: None,
                objective: None,
                backend: self.solver.name().to_owned(),
            });
        }
        let y: Vec<f64> = models
            .measures()
            .iter()
            .flat_map(|m| m.weights().to_vec())
            .collect();
        let mut x = Vec::with_capacity(test.pixels().len());
        for i in 0..test.len() {
            x.extend_from_slice(test.measure(i)?.weights());
        }
        let coupling = Coupling::new(self.solver, self.ground.clone())?;
        let coupling = coupling.fit(&y, test.cells(), models.labels())?;
        let pool = context.clone();
        let coupled = pool.install(|| coupling.predict(&x, &mut context.clone()))?;
        let solution = coupled.solution();
        Ok(Found {
            classes: coupled.predictions(CouplingRule::Representative),
            converged: solution.convergence.converged(),
            transport_cost: Some(solution.transport_cost),
            objective: Some(solution.objective),
            backend: solution.solver.clone(),
        })
    }
}

impl Report {
    fn to_text(&self) -> String {
        let mut text = String::new();
        let mut line = |label: &str, value: String| {
            // A String never refuses.
            let _ = writeln!(text, "{label:<15} {value}");
        };
        let verdict = if self.converged {
            ""
        } else {
            ": NOT all within their tolerance"
        };
        line("backend", self.backend.clone());
        line(
            "models",
            format!(
                "{} of {} a class, {} in all",
                self.models, self.model, self.m
            ),
        );
        line("rule", format!("{}, metric {}", self.rule, self.metric));
        line("images", self.n.to_string());
        line("termination", format!("{}{verdict}", self.termination));
        if let Some(accuracy) = self.accuracy {
            line("accuracy", format!("{:.2} %", 100.0 * accuracy));
        }
        line("time", format!("{:.3} s", self.seconds));
        text
    }
}

fn one_of(option: &str, value: &str, names: &[&'static str]) -> Result<&'static str, Failure> {
    let found = names.iter().find(|name| **name == value);
    found.copied().ok_or_else(|| {
        let problem = format!("`{value}` must be one of {}", names.join(", "));
        Failure::option(option, problem)
    })
}

fn images(option: &'static str, path: &Path) -> Result<Images, Failure> {
    let images = load(option, path)?.into_images();
    let images = images.map_err(|e| Failure::option(option, e))?;
    let (_, height, width) = images.dim();
    let images = Images::new(
        option,
        (height, width),
        images.into_iter().collect::<Vec<_>>(),
    );
    images.map_err(|e| Failure::option(option, e))
}

fn classes(option: &str, path: &Path) -> Result<Vec<i64>, Failure> {
    let labels = load(option, path)?.into_labels();
    Ok(labels.map_err(|e| Failure::option(option, e))?.to_vec())
}
