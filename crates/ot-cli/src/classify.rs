//! `ot classify`.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use kantorovich::{Context, Ground, Reg, Solver};
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
use crate::many::{self, Figures, Job};
use crate::output::ArrayOut;

/// ε of the barycenters, as a part of the largest cost.
const REG_OF_BARYCENTERS: f64 = 1e-2;
/// Images of a class that barycenters are made of, and that Wasserstein k-means clusters.
const AVERAGED: usize = 100;
const CLUSTERED: usize = 50;

const MODELS: [&str; 4] = ["samples", "bernoulli", "barycenter", "kmeans"];
const RULES: [&str; 2] = ["retrieval", "coupling"];

/// The JSON object of `ot classify --json`: what was asked for, and the accuracy, beside the usual fields.
#[derive(Debug, Serialize)]
struct Report {
    #[serde(flatten)]
    figures: Figures,
    model: String,
    models: usize,
    rule: String,
    metric: String,
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
    let job = Job::new(cli, &args.solver, "images have a `--metric`")?;
    let out = args.out.as_deref().map(|path| ArrayOut::check("out", path));
    let out = out.transpose()?;
    if let Some(out) = &out {
        out.is_none_of(&[
            ("train", Some(args.train.as_path())),
            ("labels", Some(args.labels.as_path())),
            ("test", Some(args.test.as_path())),
            ("test-labels", args.test_labels.as_deref()),
        ])?;
    }
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

    let asked = Asked {
        solver: job.solver(),
        model,
        models: args.models,
        seed: args.solver.seed.unwrap_or(0),
        ground,
    };
    let (found, ended) = job.run(rule, |context| {
        asked.classify(rule, &train, &labels, &test, context)
    })?;
    if let (Some(out), Some(found)) = (&out, &found) {
        out.write(&[found.classes.len()], &found.classes)?;
    }
    let accuracy = found.as_ref().zip(expected.as_ref());
    let accuracy = accuracy.map(|(found, expected)| scores::accuracy(&found.classes, expected));
    let accuracy = accuracy.transpose().map_err(|error| job.failure(error))?;
    let classes: BTreeSet<_> = labels.iter().collect();
    let shape = (test.len(), args.models * classes.len());
    let backend = found.as_ref().map(|found| found.backend.clone());
    let backend = backend.unwrap_or_else(|| args.solver.backend.clone());
    let within = found.as_ref().is_some_and(|found| found.converged);
    let mut figures = Figures::new(backend, shape, within, &ended);
    if let Some(found) = &found {
        figures.transport_cost = found.transport_cost;
        figures.objective = found.objective;
    }
    let report = Report {
        figures,
        model: model.to_owned(),
        models: args.models,
        rule: rule.to_owned(),
        metric: args.metric.clone(),
        accuracy,
    };
    let text = if args.json {
        many::json(&report)?
    } else {
        report.to_text()
    };
    Ok((text, report.figures.exit()))
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
                backend: found.solver().to_owned(),
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
        let of = &self.figures;
        let models = format!("{} of {} a class, {} in all", self.models, self.model, of.m);
        let mut pairs = vec![
            ("backend", of.backend.clone()),
            ("models", models),
            ("rule", format!("{}, metric {}", self.rule, self.metric)),
            ("images", of.n.to_string()),
            ("termination", of.verdict()),
        ];
        if let Some(accuracy) = self.accuracy {
            pairs.push(("accuracy", format!("{:.2} %", 100.0 * accuracy)));
        }
        pairs.push(("time", format!("{:.3} s", of.seconds)));
        many::lines(&pairs)
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
