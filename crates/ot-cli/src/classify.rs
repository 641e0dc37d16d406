//! `ot classify`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kantorovich::{Context, Ground, Reg, Solver, Termination};
use ot_apps::class_models::ClassModels;
use ot_apps::{
    Bernoulli, Bregman, BregmanSettings, ClusterBarycenters, Coupling, CouplingRule, Images,
    KMeansSettings, LearnerSettings, Medoids, ModelLearner, ModelSet, Retrieval, Samples, Score,
    WassersteinKMeans, pixel_cost, scores,
};
use serde::Serialize;

use crate::Cli;
use crate::args::ClassifyArgs;
use crate::exit::{Exit, Failure};
use crate::input::load;
use crate::many::{self, Figures, Job};
use crate::output::ArrayOut;

/// The marginals of barycenters: a model needs no more, and debiased iterations slow down on the way there.
const TOL_OF_BARYCENTERS: f64 = 1e-2;
/// ε of the barycenters, as a part of the largest cost.
const REG_OF_BARYCENTERS: f64 = 1e-2;
/// Images of a class that barycenters are made of and medoids drawn from, and that Wasserstein k-means clusters.
const AVERAGED: usize = 100;
const CLUSTERED: usize = 50;

const MODELS: [&str; 5] = ["samples", "medoids", "bernoulli", "barycenter", "kmeans"];
const RULES: [&str; 2] = ["retrieval", "coupling"];

/// Classes of test labels that are named where none can be right.
const NAMED: usize = 5;
/// Whole numbers up to this are exact as doubles.
const EXACT: u64 = 1 << 53;

/// The JSON object of `ot classify --json`: what was asked for, how many images a stop left without a class, how many test
/// labels can't be right, and the accuracy (of the images that have a class), beside the usual fields.
#[derive(Debug, Serialize)]
struct Report {
    #[serde(flatten)]
    figures: Figures,
    model: String,
    models: usize,
    learned_from: Option<usize>,
    rule: String,
    metric: String,
    missing: usize,
    accuracy: Option<f64>,
    unknown_labels: Option<usize>,
    #[serde(skip)]
    unknown: BTreeMap<i64, usize>,
    #[serde(skip)]
    written: Option<PathBuf>,
}

/// What was found, whatever the rule.
#[derive(Default)]
struct Found {
    /// `None` for an image that a stop left without one.
    classes: Vec<Option<i64>>,
    stopped: Option<Termination>,
    /// The models were there.
    fitted: bool,
    converged: bool,
    transport_cost: Option<f64>,
    objective: Option<f64>,
    backend: Option<String>,
}

/// Fits the models, classifies, and returns the report with its exit status.
pub(crate) fn run(cli: &Cli<'_>, args: &ClassifyArgs) -> Result<(String, Exit), Failure> {
    let model = many::one_of("model", &args.model, &MODELS)?;
    let rule = many::one_of("rule", &args.rule, &RULES)?;
    let ground = Ground::parse(&args.metric)?;
    if rule == "retrieval" && matches!(ground, Ground::Arc | Ground::Cosine) {
        let problem = format!(
            "`{}` is no cost between pixels: choose another",
            args.metric
        );
        return Err(Failure::option("metric", problem));
    }
    match args.learn {
        Some(0) => return Err(Failure::option("learn", "0: must be at least 1")),
        Some(_) if rule != "retrieval" => {
            let rule = "models learn to be retrieved: it goes with `--rule retrieval`";
            return Err(Failure::option("learn", rule));
        }
        _ => {}
    }
    let job = Job::new(cli, &args.solver, "images have a `--metric`", true)?;
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
        learn: args.learn,
        ground,
    };
    let (found, ended) = job.run(rule, |context| {
        asked.classify(rule, &train, &labels, &test, context)
    })?;
    // A stop before anything was classified leaves every image without a class.
    let found = found.unwrap_or_else(|| Found {
        classes: vec![None; test.len()],
        ..Found::default()
    });
    let ended = ended.stopped(found.stopped);
    // Where there is no class at all, an earlier file stays as it is.
    let any = found.classes.iter().any(Option::is_some);
    if let (Some(out), true) = (&out, any) {
        write(out, &found.classes)?;
    }
    let classes: BTreeSet<i64> = labels.iter().copied().collect();
    let known = |expected: &Vec<i64>| {
        let pairs = found.classes.iter().zip(expected);
        pairs.filter_map(|(found, y)| Some(((*found)?, *y))).unzip()
    };
    let (answers, theirs): (Vec<i64>, Vec<i64>) = expected.as_ref().map(known).unwrap_or_default();
    let accuracy = (!answers.is_empty()).then(|| scores::accuracy(&answers, &theirs));
    let accuracy = accuracy.transpose().map_err(|error| job.failure(error))?;
    let mut unknown = BTreeMap::new();
    for label in expected.iter().flatten().filter(|y| !classes.contains(y)) {
        *unknown.entry(*label).or_default() += 1;
    }
    let shape = (test.len(), args.models * classes.len());
    let mut figures = Figures::new(found.backend, shape, found.converged, &ended);
    figures.transport_cost = found.transport_cost;
    figures.objective = found.objective;
    let report = Report {
        figures,
        model: model.to_owned(),
        models: args.models,
        learned_from: args.learn.filter(|_| found.fitted),
        rule: rule.to_owned(),
        metric: args.metric.clone(),
        missing: found.classes.iter().filter(|class| class.is_none()).count(),
        accuracy,
        unknown_labels: expected.map(|_| unknown.values().sum()),
        unknown,
        written: args.out.clone().filter(|_| any),
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
    learn: Option<usize>,
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
            tol: TOL_OF_BARYCENTERS,
            ..BregmanSettings::default()
        })?;
        let bernoulli = Bernoulli::default();
        let barycenters = ClusterBarycenters::new(&bregman, Arc::clone(&cost), AVERAGED)?;
        let settings = KMeansSettings {
            samples: CLUSTERED,
            ..KMeansSettings::default()
        };
        let kmeans = WassersteinKMeans::new(self.solver, &bregman, Arc::clone(&cost), settings)?;
        let medoids = Medoids::new(self.solver, Arc::clone(&cost), AVERAGED)?;
        let kind: &dyn ClassModels = match self.model {
            "samples" => &Samples,
            "medoids" => &medoids,
            "bernoulli" => &bernoulli,
            "barycenter" => &barycenters,
            _ => &kmeans,
        };
        let mut models = ModelSet::fit(kind, train, labels, self.models, self.seed, context)?;
        let (mut score, mut short) = (Score::TransportCost, models.unconverged() > 0);
        if let Some(samples) = self.learn {
            let settings = LearnerSettings {
                samples,
                ..LearnerSettings::default()
            };
            let learner = ModelLearner::new(self.solver, Arc::clone(&cost), settings)?;
            let learned = learner.fit(&models, train, labels, self.seed, context)?;
            models = learned.models().clone();
            // What they were moved by.
            score = Score::Objective;
            short |= learned.history().iter().any(|step| step.unconverged > 0);
        }
        if retrieval {
            let retrieval = Retrieval::new(self.solver, cost, models, score)?;
            let so_far = retrieval.predict_so_far(test, context)?;
            let found = so_far.answer();
            let solver = found.solver();
            return Ok(Found {
                classes: so_far.spread(found.predictions())?,
                stopped: so_far.stopped(),
                fitted: true,
                converged: found.unconverged() == 0 && !short,
                transport_cost: None,
                objective: None,
                backend: (!solver.is_empty()).then(|| solver.to_owned()),
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
        let classes = coupled.predictions(CouplingRule::Representative);
        Ok(Found {
            classes: classes.into_iter().map(Some).collect(),
            stopped: None,
            fitted: true,
            converged: solution.convergence.converged() && !short,
            transport_cost: Some(solution.transport_cost),
            objective: Some(solution.objective),
            backend: Some(solution.solver.clone()),
        })
    }
}

impl Report {
    fn to_text(&self) -> String {
        let of = &self.figures;
        let mut models = format!("{} of {} a class, {} in all", self.models, self.model, of.m);
        if let Some(learned) = self.learned_from {
            models += &format!(", moved by {learned} images");
        }
        let mut pairs = vec![
            ("backend", of.who()),
            ("models", models),
            ("rule", format!("{}, metric {}", self.rule, self.metric)),
            ("images", self.images()),
            ("termination", of.verdict()),
        ];
        if let Some(accuracy) = self.accuracy {
            let share = match self.missing {
                0 => String::new(),
                _ => " of those classified".to_owned(),
            };
            pairs.push(("accuracy", format!("{:.2} %{share}", 100.0 * accuracy)));
        }
        if let Some(count @ 1..) = self.unknown_labels {
            let mut named: Vec<_> = self.unknown.keys().map(i64::to_string).collect();
            if named.len() > NAMED {
                named.truncate(NAMED);
                named.push("…".to_owned());
            }
            let warning = format!(
                "{count} of {} test labels can't be right: --labels has no {}",
                of.n,
                named.join(", ")
            );
            pairs.push(("warning", warning));
        }
        pairs.push(("time", format!("{:.3} s", of.seconds)));
        many::lines(&pairs)
    }

    fn images(&self) -> String {
        let count = self.figures.n;
        if self.missing == 0 {
            return count.to_string();
        }
        let classified = count - self.missing;
        let missing = match &self.written {
            Some(path) => format!("{} missing (NaN in {})", self.missing, path.display()),
            None => format!("{} missing", self.missing),
        };
        format!("{classified} of {count} classified, {missing}")
    }
}

/// Whole numbers; where a class is missing, doubles with NaN in its place.
fn write(out: &ArrayOut, classes: &[Option<i64>]) -> Result<(), Failure> {
    let shape = [classes.len()];
    let whole: Option<Vec<i64>> = classes.iter().copied().collect();
    if let Some(whole) = whole {
        return out.write(&shape, &whole);
    }
    if let Some(class) = classes.iter().flatten().find(|c| c.unsigned_abs() > EXACT) {
        let rule = format!("class {class} is no double, which an array with missing classes needs");
        return Err(Failure::option("out", rule));
    }
    let number = |class: &Option<i64>| class.map_or(f64::NAN, |class| class as f64);
    let numbers: Vec<f64> = classes.iter().map(number).collect();
    out.write(&shape, &numbers)
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
