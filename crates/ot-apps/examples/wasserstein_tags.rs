//! Figures 5, 6 and 7 of source 003: W + α·KL between sets of labels, with the distance between word vectors of their names
//! as ground metric, beside KL alone. The top-K cost against K; top-K cost and AUC against α; and what is proposed for
//! a few samples.
//!
//! Clothing (Fashion-MNIST): one label of ten for each image. With `--data`, also tags of news: the words of BBC headlines,
//! told from the text below them, all of them and with similar ones left out (the source's reduced redundancy). The
//! source's photographs and tags of Flickr are not at hand.
//!
//! ```text
//! cargo run --release -p ot-apps --example wasserstein_tags [-- --full --data DIR]
//! ```

#[path = "shared/chart.rs"]
mod chart;
#[path = "shared/clothing.rs"]
mod clothing;
#[path = "shared/headlines.rs"]
mod headlines;
#[path = "shared/picture.rs"]
mod picture;

use std::sync::Arc;

use chart::{Line, Panel};
use clothing::{Args, Outcome};
use ot_apps::learning::losses::{
    EntropicSettings, EntropicWasserstein, KullbackLeibler, Loss, WeightedSum,
};
use ot_apps::learning::{LabelCost, Targets, Training, WassersteinClassifier};
use ot_apps::scores::{mean_and_error, mean_auc, ranking, top_k_costs};
use plotters::prelude::*;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_pcg::Pcg64;
use rayon::prelude::*;
use solver_api::{Context, Reg};

/// KL alone is the last.
const ALPHAS: [f64; 8] = [0.0, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0];
const RUNS: usize = ALPHAS.len() + 1;

/// A training and a test set, drawn with a seed.
struct Split {
    train: (Vec<f64>, Targets),
    test: (Vec<f64>, Targets),
    /// Which samples the test ones are.
    places: Vec<usize>,
}

struct Task<'a> {
    name: &'a str,
    metric: &'a LabelCost,
    names: &'a [String],
    dim: usize,
    splits: Vec<Split>,
    epochs: usize,
    rate: f64,
    /// ε of costs whose largest is 1.
    reg: f64,
}

/// Of one run: top-K costs, AUC, and predictions.
struct Found {
    costs: Vec<f64>,
    auc: f64,
    h: Vec<f64>,
}

impl Task<'_> {
    fn run(&self, k: usize, split: &Split) -> Outcome<Found> {
        let loss: Arc<dyn Loss> = match ALPHAS.get(k) {
            None => Arc::new(KullbackLeibler),
            Some(&alpha) => {
                let settings = EntropicSettings {
                    reg: Reg::Absolute(self.reg),
                    iterations: 10,
                    ..EntropicSettings::default()
                };
                let own = EntropicWasserstein::new(&self.metric.scaled(), settings)?;
                Arc::new(WeightedSum::with_kl(Arc::new(own), alpha)?)
            }
        };
        let training = Training {
            epochs: self.epochs,
            rate: self.rate,
            decay: 0.05_f64.powf(1.0 / self.epochs as f64),
            batch: 50,
            ..Training::default()
        };
        let learner = WassersteinClassifier::new(loss, training)?;
        let context = Context::default().with_threads(1)?;
        let (x, targets) = &split.train;
        let h = learner
            .fit_targets(x, self.dim, targets, &context)?
            .predict_proba(&split.test.0)?;
        let most = self.names.len().min(20);
        Ok(Found {
            costs: top_k_costs(&h, &split.test.1, self.metric, most)?,
            auc: mean_auc(&h, &split.test.1)?.ok_or("no label tells samples apart")?,
            h,
        })
    }

    /// All runs of all splits, run by run.
    fn all(&self) -> Outcome<Vec<Vec<Found>>> {
        let runs: Vec<_> = (0..RUNS)
            .flat_map(|k| self.splits.iter().map(move |s| (k, s)))
            .collect();
        let found = runs
            .into_par_iter()
            .map(|(k, split)| self.run(k, split))
            .collect::<Outcome<Vec<_>>>()?;
        let mut found = found.into_iter();
        Ok((0..RUNS)
            .map(|_| found.by_ref().take(self.splits.len()).collect())
            .collect())
    }
}

/// Mean and error of something of each split.
fn over(found: &[Found], what: impl Fn(&Found) -> f64) -> (f64, f64) {
    mean_and_error(&found.iter().map(what).collect::<Vec<_>>())
}

fn name(k: usize) -> String {
    match ALPHAS.get(k) {
        None => "KL".to_owned(),
        Some(0.0) => "W".to_owned(),
        Some(alpha) => format!("W + {alpha}·KL"),
    }
}

/// The table of a task, and the α of the least top-4 cost.
fn report(task: &Task<'_>, found: &[Vec<Found>]) -> usize {
    let splits = &task.splits;
    println!(
        "\n{}: {} labels, {} to learn from, {} to tell, {} splits, {} epochs, λ = {}",
        task.name,
        task.names.len(),
        splits[0].train.1.len(),
        splits[0].test.1.len(),
        splits.len(),
        task.epochs,
        1.0 / task.reg
    );
    println!(
        "{:>14}{:>18}{:>18}{:>18}{:>18}",
        "", "top-1 cost", "top-2", "top-4", "AUC"
    );
    for (k, found) in found.iter().enumerate() {
        print!("{:>14}", name(k));
        let shown = |(mean, error): (f64, f64)| format!("{mean:.4} ± {error:.4}");
        for at in [0, 1, 3] {
            print!("{:>18}", shown(over(found, |f| f.costs[at])));
        }
        println!("{:>18}", shown(over(found, |f| f.auc)));
    }
    let cost = |k: usize| over(&found[k], |f| f.costs[3]).0;
    (0..ALPHAS.len()).fold(0, |best, k| if cost(k) < cost(best) { k } else { best })
}

/// Top-K cost of a run against K.
fn by_k(found: &[Vec<Found>], k: usize, name: String) -> Line {
    let point = |at: usize| {
        let (mean, error) = over(&found[k], |f| f.costs[at]);
        ((at + 1) as f64, mean, error)
    };
    Line {
        name,
        points: (0..found[k][0].costs.len()).map(point).collect(),
    }
}

/// What a run's top-K cost is more than that of KL on the same split, in percent: mean and error.
fn beside_kl(found: &[Vec<Found>], k: usize, at: usize) -> (f64, f64) {
    let pairs = found[k].iter().zip(&found[RUNS - 1]);
    mean_and_error(
        &pairs
            .map(|(own, kl)| 100.0 * (own.costs[at] / kl.costs[at] - 1.0))
            .collect::<Vec<_>>(),
    )
}

/// [`beside_kl`] against K.
fn difference(found: &[Vec<Found>], k: usize, name: String) -> Line {
    let point = |at: usize| {
        let (mean, error) = beside_kl(found, k, at);
        ((at + 1) as f64, mean, error)
    };
    Line {
        name,
        points: (0..found[k][0].costs.len()).map(point).collect(),
    }
}

/// Something against α > 0.
fn by_alpha(name: &str, what: impl Fn(usize) -> (f64, f64)) -> Line {
    let point = |k: usize| {
        let (mean, error) = what(k);
        (ALPHAS[k], mean, error)
    };
    Line {
        name: name.to_owned(),
        points: (1..ALPHAS.len()).map(point).collect(),
    }
}

fn draw(file: &str, panels: &[Panel<'_>]) -> Outcome {
    let path = picture::path(file)?;
    let columns = panels.len().min(2);
    let rows = panels.len().div_ceil(2);
    let root =
        SVGBackend::new(&path, (560 * columns as u32, 420 * rows as u32)).into_drawing_area();
    root.fill(&WHITE)?;
    for (area, panel) in root.split_evenly((rows, columns)).iter().zip(panels) {
        panel.draw(area).map_err(|e| e.to_string())?;
    }
    root.present()?;
    println!("{}", path.display());
    Ok(())
}

/// The names of the `most` most probable labels.
fn proposals(task: &Task<'_>, h: &[f64], row: usize, most: usize) -> String {
    let labels = task.names.len();
    let order = ranking(&h[row * labels..(row + 1) * labels]);
    order
        .iter()
        .take(most)
        .map(|&k| task.names[k].as_str())
        .collect::<Vec<_>>()
        .join(", ")
}

/// Figure 7: the first samples of which both first proposals are wrong, and not the same.
fn examples(task: &Task<'_>, found: &[Vec<Found>], best: usize, title: impl Fn(usize) -> String) {
    let (ours, base, split) = (&found[best][0], &found[RUNS - 1][0], &task.splits[0]);
    let labels = task.names.len();
    println!(
        "\nproposals of {}, and of KL alone, where neither says the truth first:",
        name(best)
    );
    let first = |h: &[f64], row: usize| ranking(&h[row * labels..(row + 1) * labels])[0];
    let wrong = (0..split.test.1.len()).filter(|&row| {
        let truth = split.test.1.row(row);
        let (a, b) = (first(&ours.h, row), first(&base.h, row));
        truth[a] == 0.0 && truth[b] == 0.0 && a != b
    });
    for row in wrong.take(6) {
        let truth = split
            .test
            .1
            .row(row)
            .iter()
            .enumerate()
            .filter(|(_, w)| **w > 0.0);
        let truth: Vec<_> = truth.map(|(k, _)| task.names[k].as_str()).collect();
        println!("  {}: {}", title(split.places[row]), truth.join(", "));
        println!("      ours: {}", proposals(task, &ours.h, row, 4));
        println!("      KL:   {}", proposals(task, &base.h, row, 4));
    }
}

/// Figures 5 and 6: costs, and differences to KL's, against K; trade-off against α.
fn picture_of(file: &str, costs: &[Line], differences: &[Line], found: &[Vec<Found>]) -> Outcome {
    let cost = |k: usize| by_alpha(&format!("K = {k}"), |run| beside_kl(found, run, k - 1));
    let by_cost: Vec<Line> = (1..=4).map(cost).collect();
    let auc = [by_alpha("W + α·KL", |run| over(&found[run], |f| f.auc))];
    let panel = |title, x, y, lines, log| Panel {
        title,
        x,
        y,
        log,
        from: None,
        lines,
        legend: SeriesLabelPosition::LowerRight,
    };
    draw(
        file,
        &[
            panel("top-K cost", "K", "top-K cost", costs, false),
            panel(
                "beside KL on the same split",
                "K",
                "top-K cost less that of KL, %",
                differences,
                false,
            ),
            panel(
                "top-K cost of W + α·KL",
                "α",
                "top-K cost less that of KL, %",
                &by_cost,
                true,
            ),
            panel("AUC of W + α·KL, mean over labels", "α", "AUC", &auc, true),
        ],
    )
}

/// Names of the classes of clothing, and the distances between their word vectors.
fn class_names() -> Outcome<(Vec<String>, LabelCost)> {
    let folder = clothing::fixtures().join("fashion");
    let text = std::fs::read_to_string(folder.join("names.txt"))?;
    let name = |line: &str| line.split('\t').next().unwrap_or(line).to_owned();
    let vectors = ot_data::read(folder.join("names.vectors.npy"))?.into_matrix()?;
    let dim = vectors.ncols();
    let vectors: Vec<f64> = vectors.into_iter().collect();
    Ok((
        text.lines().map(name).collect(),
        LabelCost::between_words(&vectors, dim)?,
    ))
}

fn clothing_task(args: &Args) -> Outcome {
    let (names, metric) = class_names()?;
    let (train, test) = (args.clothing("train")?, args.clothing("t10k")?);
    let count = if args.full { 5 } else { 3 };
    // Few to learn from, so that there is something to get wrong; the rest of the training part goes to other splits.
    let each = (train.1.len() / 2).min(1000);
    let pixels = train.0.len() / train.1.len();
    let targets = Targets::from_classes(names.len(), &train.1)?;
    let splits = (0..count).map(|seed| {
        let mut order: Vec<usize> = (0..train.1.len()).collect();
        order.shuffle(&mut Pcg64::seed_from_u64(seed));
        order.truncate(each);
        let x = order
            .iter()
            .flat_map(|&i| &train.0[i * pixels..(i + 1) * pixels]);
        Ok(Split {
            train: (x.copied().collect(), targets.select(&order)),
            test: (test.0.clone(), Targets::from_classes(names.len(), &test.1)?),
            places: (0..test.1.len()).collect(),
        })
    });
    let task = Task {
        name: "clothing",
        metric: &metric,
        names: &names,
        dim: pixels,
        splits: splits.collect::<Outcome<_>>()?,
        epochs: 60,
        rate: 0.003,
        reg: 0.05,
    };
    let found = task.all()?;
    let best = report(&task, &found);
    examples(&task, &found, best, |place| format!("image {place}"));
    let costs = [
        by_k(&found, best, name(best)),
        by_k(&found, RUNS - 1, name(RUNS - 1)),
    ];
    let differences = [difference(&found, best, name(best))];
    picture_of(
        "wasserstein_tags_clothing.svg",
        &costs,
        &differences,
        &found,
    )
}

fn headlines_task(args: &Args, data: &std::path::Path) -> Outcome {
    let news = headlines::read(data, 200)?;
    let count = if args.full { 5 } else { 2 };
    let mut all = Vec::new();
    for (name, sets) in [
        ("tags of news", news.sets.clone()),
        ("tags of news, reduced", news.without_redundancy(0.85)),
    ] {
        let targets = Targets::from_sets(news.tags.len(), &sets)?;
        let each =
            targets.weights().iter().filter(|w| **w > 0.0).count() as f64 / targets.len() as f64;
        println!("\n{name}: {each:.2} tags an article");
        let rows = |places: &[usize]| -> Vec<f64> {
            let rows = places
                .iter()
                .flat_map(|&i| &news.x[i * news.dim..(i + 1) * news.dim]);
            rows.copied().collect()
        };
        let split = |seed| {
            let mut order: Vec<usize> = (0..sets.len()).collect();
            order.shuffle(&mut Pcg64::seed_from_u64(seed));
            let test = order.split_off(sets.len() / 2);
            Split {
                train: (rows(&order), targets.select(&order)),
                test: (rows(&test), targets.select(&test)),
                places: test,
            }
        };
        let task = Task {
            name,
            metric: &news.metric,
            names: &news.tags,
            dim: news.dim,
            splits: (0..count).map(split).collect(),
            epochs: 30,
            rate: 0.003,
            reg: 0.1,
        };
        let found = task.all()?;
        let best = report(&task, &found);
        examples(&task, &found, best, |place| {
            format!("“{}”", news.titles[place])
        });
        all.push((found, best));
    }
    let [(full, best), (reduced, other)] = &all[..] else {
        return Err("two sets of tags are needed".into());
    };
    let less = |k: usize| format!("{}, reduced", name(k));
    let costs = [
        by_k(full, *best, name(*best)),
        by_k(full, RUNS - 1, name(RUNS - 1)),
        by_k(reduced, *other, less(*other)),
        by_k(reduced, RUNS - 1, less(RUNS - 1)),
    ];
    let differences = [
        difference(full, *best, name(*best)),
        difference(reduced, *other, less(*other)),
    ];
    picture_of("wasserstein_tags_news.svg", &costs, &differences, full)
}

fn main() -> Outcome {
    let args = Args::read()?;
    clothing_task(&args)?;
    match &args.data {
        Some(data) => headlines_task(&args, data),
        None => {
            println!("\ntags of news need --data DIR");
            Ok(())
        }
    }
}
