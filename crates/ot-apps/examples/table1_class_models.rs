//! Table 1 of source 000: accuracy of image retrieval on digits by 1 to 6 models a class, for samples, medoids, mixtures
//! of Bernoullis, barycenters, Wasserstein k-means and models that are learned through the potentials, by an exact and an
//! entropic solver; mean and standard error over seeds.
//! And four tables beside it: which ground cost does best, what leaving out faint pixels of the models does, how far models
//! come that learn from more digits, and what a small network makes of the costs to all models.
//!
//! ```text
//! cargo run --release -p ot-apps --example table1_class_models [-- --full --data DIR]
//!     [--train N] [--test N] [--seeds N] [--models N] [--averaged N] [--learned N] [--read N] [--row N]
//!     [--least N]
//! ```
//! `--train` and `--averaged` count digits a class: all that models may see, and those that barycenters are made of (and
//! half of which are clustered by transport cost, and a third of which medoids are drawn from). `--learned` counts digits
//! of all classes together, from which the mixtures of Bernoullis are moved. `--row` makes but that row of models, 1 for
//! samples to 6 for learned ones, 7 the table by digits alone, and 8 that of the network, which reads the costs of `--read`
//! digits. `--models` are the most models a class, and `--least` the fewest of that last table.
//! Without `--data` it reads the 400 and 200 digits of `fixtures/mnist`.

#[path = "shared/args.rs"]
mod args;

use std::sync::Arc;
use std::time::Instant;

use args::{Args, Outcome};
use ot_apps::class_models::ClassModels;
use ot_apps::scores::mean_and_error;
use ot_apps::{
    Bernoulli, Bregman, BregmanSettings, ClusterBarycenters, DissimilarityClassifier,
    DissimilaritySettings, Images, KMeansSettings, LearnerSettings, Medoids, ModelLearner,
    ModelSet, Retrieval, Samples, Score, WassersteinKMeans, pixel_cost,
};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_pcg::Pcg64;
use solver_api::{Context, Ground, Measure, Reg, Solver};
use solver_exact::NetworkSimplex;
use solver_sinkhorn::{Settings, Sinkhorn};

/// Pixels below this part of the largest of a model are left out.
const CUTOFF: f64 = 0.1;
/// ε of the entropic solver, as a part of the largest cost.
const REG: f64 = 0.05;
/// ε of the barycenters: smaller ones blur less and take longer.
const REG_OF_BARYCENTERS: f64 = 0.01;

struct Data {
    train: Images,
    labels: Vec<i64>,
    test: Images,
    expected: Vec<i64>,
    context: Context,
}

impl Data {
    fn read(args: &Args) -> Outcome<Self> {
        let (train, labels) = args.digits("train")?;
        let (test, expected) = args.digits("t10k")?;
        let kept = first_of_each(&labels, args.count("train", 1000, 5000));
        let asked = args.count("test", 500, 2000).min(test.len());
        Ok(Self {
            train: train.select(&kept),
            labels: kept.iter().map(|&i| labels[i]).collect(),
            test: test.select(&(0..asked).collect::<Vec<_>>()),
            expected: expected[..asked].to_vec(),
            context: Context::default(),
        })
    }

    /// The same with fewer digits to tell, for what only guides a choice.
    fn beginning(&self, most: usize) -> Self {
        let count = self.test.len().min(most);
        Self {
            train: self.train.clone(),
            labels: self.labels.clone(),
            test: self.test.select(&(0..count).collect::<Vec<_>>()),
            expected: self.expected[..count].to_vec(),
            context: self.context.clone(),
        }
    }

    fn fit(&self, kind: &dyn ClassModels, models: usize, seed: u64) -> Outcome<ModelSet> {
        let set = ModelSet::fit(kind, &self.train, &self.labels, models, seed, &self.context)?;
        Ok(set)
    }

    /// Accuracy in %, and milliseconds a query.
    fn ask(&self, solver: &dyn Solver, ground: &Ground, models: ModelSet) -> Outcome<[f64; 2]> {
        let cost = pixel_cost(self.test.size(), ground)?;
        let started = Instant::now();
        // The same for an exact solver; with an entropic one, C_λ of the source, which can be bounded.
        let retrieval = Retrieval::new(solver, cost, models, Score::Objective)?;
        let found = retrieval.predict(&self.test, &self.context)?;
        if found.unconverged() > 0 {
            println!(
                "{} solves ended short of the tolerance",
                found.unconverged()
            );
        }
        let time = 1e3 * started.elapsed().as_secs_f64() / self.test.len() as f64;
        Ok([100.0 * found.accuracy(&self.expected)?, time])
    }
}

/// The first `each` places of every class, in their order.
fn first_of_each(labels: &[i64], each: usize) -> Vec<usize> {
    let mut seen = std::collections::BTreeMap::<i64, usize>::new();
    let mut places = Vec::new();
    for (i, label) in labels.iter().enumerate() {
        let count = seen.entry(*label).or_default();
        *count += 1;
        if *count <= each {
            places.push(i);
        }
    }
    places
}

fn main() -> Outcome {
    let args = Args::read(&[
        "train", "test", "seeds", "models", "averaged", "learned", "read", "row", "least",
    ])?;
    let seeds = args.count("seeds", 2, 5) as u64;
    let most = args.count("models", 6, 6);
    let averaged = args.count("averaged", 20, 120);
    let learned = args.count("learned", 1000, 20_000);
    let read = args.count("read", 1000, 20_000);
    let row = args.count("row", 0, 0);
    let counts = args.count("least", 1, 1)..=most;
    let data = Data::read(&args)?;
    println!(
        "digits of {}: {} to learn from, {} to tell; {seeds} seeds",
        args.source(),
        data.train.len(),
        data.test.len()
    );
    let exact = NetworkSimplex::default();
    let entropic = Sinkhorn::new(Settings {
        tol: Some(1e-4),
        ..Settings::with_reg(Reg::Relative(REG))
    })?;
    let bregman = Bregman::new(BregmanSettings {
        reg: Reg::Relative(REG_OF_BARYCENTERS),
        debiased: true,
        max_iter: 200,
        ..BregmanSettings::default()
    })?;
    let squares = pixel_cost(data.test.size(), &Ground::SqEuclidean)?;
    let bernoulli = Bernoulli::default();
    let barycenters = ClusterBarycenters::new(&bregman, Arc::clone(&squares), averaged)?;
    let few = KMeansSettings {
        samples: averaged / 2,
        rounds: 3,
    };
    let kmeans = WassersteinKMeans::new(&exact, &bregman, squares, few)?;
    let log1p = pixel_cost(data.test.size(), &Ground::Log1p)?;
    let medoids = Medoids::new(&exact, Arc::clone(&log1p), averaged.div_ceil(3))?;
    let settings = LearnerSettings {
        samples: learned,
        ..LearnerSettings::default()
    };
    let learner = ModelLearner::new(&exact, log1p, settings)?;
    let kinds: [Kind<'_>; 6] = [
        (&Samples, None),
        (&medoids, None),
        (&bernoulli, None),
        (&barycenters, None),
        (&kmeans, None),
        (&bernoulli, Some(&learner)),
    ];

    if row == 0 {
        choices(&data, &bernoulli, most, &exact)?;
    }
    let rows = kinds.into_iter().enumerate();
    let rows = rows
        .filter(|(k, _)| row == 0 || row == k + 1)
        .map(|(_, kind)| kind)
        .collect::<Vec<_>>();
    if !rows.is_empty() {
        table(&data, &rows, most, seeds, [&exact, &entropic])?;
    }
    if row == 0 || row == 7 {
        by_digits(&data, &bernoulli, most, learned, &exact)?;
    }
    if row == 0 || row == 8 {
        let learned = (&bernoulli as &dyn ClassModels, &learner);
        by_reader(&data, learned, counts, seeds, read, &exact)?;
    }
    Ok(())
}

/// What the table is made with is chosen on mixtures of Bernoullis alone.
fn choices(data: &Data, bernoulli: &Bernoulli, most: usize, exact: &dyn Solver) -> Outcome {
    let mixtures = data.fit(bernoulli, most, 0)?;
    let few_digits = data.beginning(500);
    println!(
        "\n{most} mixtures of Bernoullis a class, by ground cost (network-simplex, cutoff {CUTOFF})"
    );
    println!("{:>14}{:>12}{:>14}", "ground", "accuracy, %", "ms a query");
    for name in [
        "sqeuclidean",
        "power:1.5",
        "euclidean",
        "log1p",
        "power:0.5",
        "atan",
    ] {
        let models = mixtures.sparsified(CUTOFF)?;
        let [accuracy, time] = few_digits.ask(exact, &Ground::parse(name)?, models)?;
        println!("{name:>14}{accuracy:>12.1}{time:>14.1}");
    }
    println!("\nthe same by cutoff (log1p)");
    println!(
        "{:>14}{:>12}{:>14}{:>18}",
        "cutoff", "accuracy, %", "ms a query", "pixels a model"
    );
    for cutoff in [0.0, 0.02, 0.05, 0.1, 0.2, 0.4] {
        let models = mixtures.sparsified(cutoff)?;
        let pixels: usize = models.measures().iter().map(Measure::support_len).sum();
        let pixels = pixels / models.len();
        let [accuracy, time] = few_digits.ask(exact, &Ground::Log1p, models)?;
        println!("{cutoff:>14}{accuracy:>12.1}{time:>14.1}{pixels:>18}");
    }

    Ok(())
}

/// A way to make models, and what moves them then.
type Kind<'k> = (&'k dyn ClassModels, Option<&'k ModelLearner<'k>>);

/// Rows of both solvers, from the same models.
fn table(
    data: &Data,
    kinds: &[Kind<'_>],
    most: usize,
    seeds: u64,
    solvers: [&dyn Solver; 2],
) -> Outcome {
    println!(
        "\naccuracy in %, mean ± standard error over seeds; ground log1p, cutoff {CUTOFF}, reg {REG} of the largest cost"
    );
    print!("{:>12}{:>17}", "models", "solver");
    (1..=most).for_each(|k| print!("{k:>13}"));
    println!("{:>12}{:>13}", "fit, s", "ms a query");
    for &(kind, learner) in kinds {
        let name = learner.map_or(kind.name(), |_| "learned");
        let mut accuracies = [vec![Vec::new(); most], vec![Vec::new(); most]];
        let (mut fits, mut times) = (0.0, [0.0; 2]);
        for k in 1..=most {
            for seed in 0..seeds {
                let started = Instant::now();
                let mut models = data.fit(kind, k, seed)?;
                if let Some(learner) = learner {
                    let moved =
                        learner.fit(&models, &data.train, &data.labels, seed, &data.context)?;
                    models = moved.models().clone();
                }
                let models = models.sparsified(CUTOFF)?;
                fits = started.elapsed().as_secs_f64();
                for (s, solver) in solvers.into_iter().enumerate() {
                    let [accuracy, time] = data.ask(solver, &Ground::Log1p, models.clone())?;
                    accuracies[s][k - 1].push(accuracy);
                    times[s] = time;
                }
            }
        }
        for (s, solver) in solvers.map(Solver::name).into_iter().enumerate() {
            print!("{name:>12}{solver:>17}");
            for values in &accuracies[s] {
                let (mean, error) = mean_and_error(values);
                print!("{:>13}", format!("{mean:.1} ± {error:.1}"));
            }
            println!("{fits:>12.1}{:>13.1}", times[s]);
        }
    }
    println!(
        "fit and query: the last seed with {most} models, on this machine's {} threads",
        data.context.threads()
    );
    Ok(())
}

/// Models that have learned from a third of `learned` digits, from as many, and from thrice and ten times as many.
fn by_digits(
    data: &Data,
    bernoulli: &Bernoulli,
    most: usize,
    learned: usize,
    exact: &dyn Solver,
) -> Outcome {
    println!(
        "\n{most} mixtures of Bernoullis a class, moved by more and more digits (network-simplex)"
    );
    println!(
        "{:>10}{:>14}{:>10}{:>24}",
        "digits", "accuracy, %", "fit, s", "wrong of the last, %"
    );
    let start = data.fit(bernoulli, most, 0)?;
    let [accuracy, _] = data.ask(exact, &Ground::Log1p, start.sparsified(CUTOFF)?)?;
    println!("{:>10}{accuracy:>14.1}", 0);
    let cost = pixel_cost(data.test.size(), &Ground::Log1p)?;
    for samples in [learned / 3, learned, 3 * learned, 10 * learned] {
        let settings = LearnerSettings {
            samples: samples.max(1),
            ..LearnerSettings::default()
        };
        let learner = ModelLearner::new(exact, Arc::clone(&cost), settings)?;
        let started = Instant::now();
        let moved = learner.fit(&start, &data.train, &data.labels, 0, &data.context)?;
        let time = started.elapsed().as_secs_f64();
        let models = moved.models().sparsified(CUTOFF)?;
        let [accuracy, _] = data.ask(exact, &Ground::Log1p, models)?;
        // Of a tenth of the steps: digits that were told before they were learned from.
        let steps = moved.history();
        let last = &steps[steps.len() - steps.len().div_ceil(10)..];
        let wrong: usize = last.iter().map(|step| step.wrong).sum();
        let seen: usize = last.iter().map(|step| step.samples).sum();
        let wrong = 100.0 * wrong as f64 / seen as f64;
        println!("{samples:>10}{accuracy:>14.1}{time:>10.1}{wrong:>24.1}");
    }
    Ok(())
}

/// What a network reads from the costs to all learned models, beside the least cost.
fn by_reader(
    data: &Data,
    (kind, learner): (&dyn ClassModels, &ModelLearner<'_>),
    counts: std::ops::RangeInclusive<usize>,
    seeds: u64,
    read: usize,
    exact: &dyn Solver,
) -> Outcome {
    let mut order: Vec<usize> = (0..data.train.len()).collect();
    println!(
        "\naccuracy in % of learned models, by the least cost and by a network that read the costs of {} digits (network-simplex)",
        read.min(order.len())
    );
    println!(
        "{:>10}{:>14}{:>14}{:>14}{:>10}{:>10}{:>14}",
        "models", "least", "linear", "network", "costs, s", "fit, s", "ms a query"
    );
    let cost = pixel_cost(data.test.size(), &Ground::Log1p)?;
    for k in counts {
        let mut accuracies = [Vec::new(), Vec::new(), Vec::new()];
        let mut times = [0.0; 3];
        for seed in 0..seeds {
            order.shuffle(&mut Pcg64::seed_from_u64(seed));
            let seen = &order[..read.min(order.len())];
            let digits = data.train.select(seen);
            let labels: Vec<i64> = seen.iter().map(|&i| data.labels[i]).collect();
            let start = data.fit(kind, k, seed)?;
            let moved = learner.fit(&start, &data.train, &data.labels, seed, &data.context)?;
            let models = moved.models().sparsified(CUTOFF)?;
            let of = |hidden: usize| {
                let settings = DissimilaritySettings {
                    hidden,
                    ..DissimilaritySettings::default()
                };
                let (cost, models) = (Arc::clone(&cost), models.clone());
                DissimilarityClassifier::new(exact, cost, models, Score::TransportCost, settings)
            };
            let [linear, network] = [of(0)?, of(DissimilaritySettings::default().hidden)?];
            let started = Instant::now();
            let known = linear.costs(&digits, &data.context)?;
            times[0] = started.elapsed().as_secs_f64();
            let started = Instant::now();
            let asked = linear.costs(&data.test, &data.context)?;
            times[2] = 1e3 * started.elapsed().as_secs_f64() / data.test.len() as f64;
            accuracies[0].push(100.0 * asked.accuracy(&data.expected)?);
            for (place, classifier) in [(1, linear), (2, network)] {
                let started = Instant::now();
                let fitted = classifier.fit_costs(&known, &labels, &data.context)?;
                times[1] = started.elapsed().as_secs_f64();
                let found = fitted.predict_costs(asked.clone())?;
                accuracies[place].push(100.0 * found.accuracy(&data.expected)?);
            }
        }
        print!("{k:>10}");
        for values in &accuracies {
            let (mean, error) = mean_and_error(values);
            print!("{:>14}", format!("{mean:.1} ± {error:.1}"));
        }
        let [costs, fit, query] = times;
        println!("{costs:>10.1}{fit:>10.1}{query:>14.1}");
    }
    Ok(())
}
