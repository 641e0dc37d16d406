//! Section 3.4 of source 000: a convolution before the transport, learned so that the plan couples equal labels (loss
//! (3.1)), by implicit gradients where the source took finite differences. Held-out digits are then coupled with labelled
//! ones with the learned filter and without: mass between equal labels and accuracy of both rules, mean and standard
//! error over seeds, and that of the differences, as all filters tell the same draws. Then the time of a step, and of the
//! finite differences in its place. The filter is printed and drawn.
//!
//! λ = 1/ε = 30, with every cost divided by its mean. Beside it, a filter for retrieval: queries and models are filtered,
//! without negative weights, and the loss is in costs.
//!
//! ```text
//! cargo run --release -p ot-apps --example learned_filter [-- --full --data DIR]
//!     [--seeds N] [--steps N] [--draw N] [--repeats N] [--queries N]
//! ```
//! `--draw` counts digits of a class on each side, when learning and when telling; `--repeats` the held-out draws for
//! each seed, `--queries` those of retrieval.

#[path = "shared/args.rs"]
mod args;
#[path = "shared/picture.rs"]
mod picture;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use args::{Args, Outcome};
use ot_apps::images::by_class;
use ot_apps::scores::mean_and_error;
use ot_apps::{
    Bernoulli, Coupling, CouplingLoss, CouplingRule, Filter, FilterLearner, FilterSettings, Images,
    ModelSet, Retrieval, RetrievalFilterLearner, RetrievalFilterSettings, RetrievalLoss, Score,
    pixel_cost,
};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use rand::SeedableRng;
use rand::seq::IndexedRandom;
use rand::seq::index::sample;
use rand_pcg::Pcg64;
use solver_api::{Certify, Context, Cost, Ground, PointCost, Reg};
use solver_exact::NetworkSimplex;
use solver_sinkhorn::{Settings, Sinkhorn};

const LAMBDA: f64 = 30.0;
/// What is learned: ground cost and side of the filter.
const KINDS: [(&str, usize); 4] = [
    ("euclidean", 3),
    ("sqeuclidean", 3),
    ("log1p", 3),
    ("euclidean", 5),
];

type Digits = (Images, Vec<i64>);

fn solver(reg: f64) -> Outcome<Sinkhorn> {
    Ok(Sinkhorn::new(Settings {
        tol: Some(1e-6),
        ..Settings::with_reg(Reg::Absolute(reg))
    })?)
}

fn context() -> Context {
    Context::default().certified(Certify::Off)
}

/// `each` digits of every class.
fn draw(digits: &Digits, each: usize, rng: &mut Pcg64) -> Outcome<Digits> {
    let classes: BTreeMap<i64, Vec<usize>> = by_class(&digits.1, digits.0.len())?;
    let sampled = classes.values().flat_map(|places| {
        let drawn: Vec<usize> = places.sample(rng, each).copied().collect();
        drawn
    });
    let places: Vec<usize> = sampled.collect();
    let labels = places.iter().map(|&i| digits.1[i]).collect();
    Ok((digits.0.select(&places), labels))
}

/// Mass between equal labels, and accuracy by representative and by class, all in %.
fn told(filter: &Filter, ground: &Ground, x: &Digits, y: &Digits) -> Outcome<[f64; 3]> {
    let unit = solver(1.0 / LAMBDA)?;
    let loss = CouplingLoss::new(
        &unit,
        ground.clone(),
        (x.0.clone(), &x.1),
        (y.0.clone(), &y.1),
    )?;
    let mass = loss.value(filter, &mut context())?;
    let (from, to) = (filter.apply(&x.0), filter.apply(&y.0));
    let points = PointCost::new(from.clone(), to.clone(), x.0.cells(), ground.clone())?;
    let (n, m) = points.shape();
    let mut costs = vec![0.0; n * m];
    points.block(0..n, 0..m, &mut costs);
    // ε is a part of the mean cost.
    let scaled = solver(costs.iter().sum::<f64>() / costs.len() as f64 / LAMBDA)?;
    let coupling = Coupling::new(&scaled, ground.clone())?.fit(&to, x.0.cells(), &y.1)?;
    let coupled = coupling.predict(&from, &mut context())?;
    Ok([
        100.0 * mass,
        100.0 * coupled.accuracy(CouplingRule::Representative, &x.1)?,
        100.0 * coupled.accuracy(CouplingRule::ClassSum, &x.1)?,
    ])
}

fn cell(values: impl Iterator<Item = f64>) -> String {
    let (mean, error) = mean_and_error(&values.collect::<Vec<_>>());
    format!("{mean:.2} ± {error:.2}")
}

/// What one kind of filter came to: a filter for each seed, the means over its draws without and with it, what each step
/// saw, and what no filter has on draws like those of the steps.
struct Learned {
    filters: Vec<Filter>,
    plain: Vec<[f64; 3]>,
    filtered: Vec<[f64; 3]>,
    histories: Vec<Vec<f64>>,
    without: f64,
}

/// Mass between equal labels without a filter, in %: the mean over draws of as many digits as a step has, `each` of a class
/// on one side and as many others on the other.
fn without(ground: &Ground, train: &Digits, each: usize) -> Outcome<f64> {
    const DRAWS: usize = 50;
    let unit = solver(1.0 / LAMBDA)?;
    let mut rng = Pcg64::seed_from_u64(2000);
    let mut sum = 0.0;
    for _ in 0..DRAWS {
        let both = draw(train, 2 * each, &mut rng)?;
        let side = |odd: usize| {
            let places: Vec<usize> = (odd..both.0.len()).step_by(2).collect();
            let labels: Vec<i64> = places.iter().map(|&i| both.1[i]).collect();
            (both.0.select(&places), labels)
        };
        let (x, y) = (side(0), side(1));
        let loss = CouplingLoss::new(&unit, ground.clone(), (x.0, &x.1), (y.0, &y.1))?;
        sum += loss.value(&Filter::identity(3)?, &mut context())?;
    }
    Ok(100.0 * sum / DRAWS as f64)
}

fn main() -> Outcome {
    let args = Args::read(&["seeds", "steps", "draw", "repeats", "queries"])?;
    let seeds = args.count("seeds", 2, 5);
    let repeats = args.count("repeats", 5, 20);
    let each = args.count("draw", 8, 10);
    let steps = args.count("steps", 30, 100);
    let (train, test) = (args.digits("train")?, args.digits("t10k")?);
    println!(
        "digits of {}: {} to learn from, {} held out; {seeds} seeds, {steps} steps, {each} digits of a class on each \
         side, {repeats} held-out draws a seed, λ = {LAMBDA}",
        args.source(),
        train.0.len(),
        test.0.len()
    );
    let learner = solver(1.0 / LAMBDA)?;
    println!(
        "\n{:>12}{:>6}{:>24}{:>16}{:>16}{:>16}{:>10}",
        "ground", "side", "held out, %", "identity", "learned", "difference", "fit, s"
    );
    let mut all = Vec::new();
    for (name, side) in KINDS {
        let ground = Ground::parse(name)?;
        let settings = FilterSettings {
            side,
            ground: ground.clone(),
            steps,
            draw: each,
            ..FilterSettings::default()
        };
        let learner = FilterLearner::new(&learner, settings)?;
        let identity = Filter::identity(side)?;
        let mut kind = Learned {
            filters: Vec::new(),
            plain: Vec::new(),
            filtered: Vec::new(),
            histories: Vec::new(),
            without: without(&ground, &train, each)?,
        };
        let started = Instant::now();
        for seed in 0..seeds as u64 {
            let learned = learner.fit(&train.0, &train.1, seed, &mut context())?;
            kind.filters.push(learned.filter().clone());
            kind.histories.push(learned.history().to_vec());
        }
        let seconds = started.elapsed().as_secs_f64() / seeds as f64;
        for (seed, filter) in kind.filters.iter().enumerate() {
            let mut rng = Pcg64::seed_from_u64(1000 + seed as u64);
            let mut sums = [[0.0; 3]; 2];
            for _ in 0..repeats {
                let (x, y) = (draw(&test, each, &mut rng)?, draw(&train, each, &mut rng)?);
                for (sums, filter) in sums.iter_mut().zip([&identity, filter]) {
                    let found = told(filter, &ground, &x, &y)?;
                    sums.iter_mut()
                        .zip(found)
                        .for_each(|(s, v)| *s += v / repeats as f64);
                }
            }
            kind.plain.push(sums[0]);
            kind.filtered.push(sums[1]);
        }
        for (k, what) in [
            "mass between equal labels",
            "accuracy",
            "accuracy, class sum",
        ]
        .into_iter()
        .enumerate()
        {
            let both = || kind.plain.iter().zip(&kind.filtered);
            print!("{name:>12}{side:>6}{what:>27}");
            print!("{:>16}", cell(both().map(|(plain, _)| plain[k])));
            print!("{:>16}", cell(both().map(|(_, filtered)| filtered[k])));
            print!(
                "{:>16}",
                cell(both().map(|(plain, filtered)| filtered[k] - plain[k]))
            );
            println!("{seconds:>10.1}");
        }
        all.push(kind);
    }

    retrieval(&args, &train, &test)?;

    println!("\nfilters of the first seed, weights over the sum of their sizes");
    let first: Vec<Filter> = all
        .iter()
        .map(|kind| kind.filters[0].normalized())
        .collect();
    for ((name, side), filter) in KINDS.iter().zip(&first) {
        println!("{name}");
        for row in filter.weights().chunks_exact(*side) {
            row.iter().for_each(|w| print!("{w:>9.3}"));
            println!();
        }
    }

    println!("\none step, {each} digits of a class on each side, milliseconds (the best of five)");
    println!(
        "{:>6}{:>12}{:>22}{:>10}",
        "side", "implicit", "finite differences", "ratio"
    );
    let mut rng = Pcg64::seed_from_u64(7);
    let (x, y) = (draw(&train, each, &mut rng)?, draw(&test, each, &mut rng)?);
    let loss = CouplingLoss::new(&learner, Ground::Euclidean, (x.0, &x.1), (y.0, &y.1))?;
    for side in [3, 5] {
        let filter = Filter::identity(side)?;
        let best = |work: &dyn Fn() -> Outcome| -> Outcome<f64> {
            let mut best = f64::INFINITY;
            for _ in 0..5 {
                let started = Instant::now();
                work()?;
                best = best.min(1e3 * started.elapsed().as_secs_f64());
            }
            Ok(best)
        };
        let implicit = best(&|| {
            loss.gradient(&filter, &mut context())?;
            Ok(())
        })?;
        let differences = best(&|| {
            for k in 0..side * side {
                for step in [1e-4, -1e-4] {
                    let mut weights = filter.weights().to_vec();
                    weights[k] += step;
                    loss.value(&Filter::new(side, weights)?, &mut context())?;
                }
            }
            Ok(())
        })?;
        let ratio = differences / implicit;
        println!("{side:>6}{implicit:>12.1}{differences:>22.1}{ratio:>10.1}");
    }
    println!("\n{}", picture(&all, &first)?);
    Ok(())
}

/// Pixels below this part of the largest of a model are left out.
const CUTOFF: f64 = 0.2;

/// The other loss: a filter without negative weights before retrieval by one mixture of Bernoullis a class.
fn retrieval(args: &Args, train: &Digits, test: &Digits) -> Outcome {
    let seeds = args.count("seeds", 2, 5);
    let asked = args.count("queries", 60, 300).min(test.0.len());
    let context = Context::default();
    let cost = pixel_cost(test.0.size(), &Ground::Log1p)?;
    let exact = NetworkSimplex::default();
    let settings = RetrievalFilterSettings {
        steps: args.count("steps", 30, 100) / 3,
        ..RetrievalFilterSettings::default()
    };
    let temperature = settings.temperature;
    let learner = RetrievalFilterLearner::new(&exact, Arc::clone(&cost), settings)?;
    let identity = Filter::identity(3)?;
    // −log p and accuracy, without and with the filter, for each seed.
    let (mut plain, mut filtered) = (Vec::new(), Vec::new());
    let mut first = None;
    let started = Instant::now();
    for seed in 0..seeds as u64 {
        let mut rng = Pcg64::seed_from_u64(seed);
        let seen = draw(train, 500, &mut rng)?;
        let kind = Bernoulli::default();
        let models =
            ModelSet::fit(&kind, &seen.0, &seen.1, 1, seed, &context)?.sparsified(CUTOFF)?;
        let learned = learner.fit(&seen.0, &seen.1, &models, seed, &mut context.clone())?;
        let places = sample(&mut rng, test.0.len(), asked).into_vec();
        let labels: Vec<i64> = places.iter().map(|&i| test.1[i]).collect();
        let queries = test.0.select(&places);
        let pixels = models.measures().iter().flat_map(|m| m.weights().to_vec());
        let images = Images::new("models", queries.size(), pixels.collect::<Vec<_>>())?;
        for (filter, out) in [(&identity, &mut plain), (learned.filter(), &mut filtered)] {
            let both = (queries.clone(), &labels[..]);
            let loss = RetrievalLoss::new(&exact, Arc::clone(&cost), temperature, both, &models)?;
            let set = ModelSet::new(&filter.images(&images)?, models.labels())?;
            let told = Retrieval::new(&exact, Arc::clone(&cost), set, Score::TransportCost)?
                .predict(&filter.images(&queries)?, &context)?;
            out.push([
                loss.value(filter, &context)?,
                100.0 * told.accuracy(&labels)?,
            ]);
        }
        first.get_or_insert(learned.filter().clone());
    }
    let seconds = started.elapsed().as_secs_f64() / seeds as f64;
    println!(
        "\nretrieval of {asked} held-out digits by one mixture of Bernoullis a class, log(1 + d), network-simplex, filters \
         without negative weights, {seconds:.1} s a seed"
    );
    for (k, what) in ["mean of −log p", "accuracy, %"].into_iter().enumerate() {
        let both = || plain.iter().zip(&filtered);
        print!("{what:>45}");
        print!("{:>16}", cell(both().map(|(plain, _)| plain[k])));
        print!("{:>16}", cell(both().map(|(_, filtered)| filtered[k])));
        println!(
            "{:>16}",
            cell(both().map(|(plain, filtered)| filtered[k] - plain[k]))
        );
    }
    for row in first
        .iter()
        .flat_map(|filter| filter.weights().chunks_exact(3))
    {
        row.iter().for_each(|w| print!("{w:>9.3}"));
        println!();
    }
    Ok(())
}

const POSITIVE: RGBColor = RGBColor(31, 78, 140);
const NEGATIVE: RGBColor = RGBColor(196, 60, 30);

/// The filters, and what the steps saw of L, each point a mean over seeds and ten steps, with dashes where no filter is.
fn picture(all: &[Learned], first: &[Filter]) -> Outcome<String> {
    let path = picture::path("learned_filter.svg")?;
    let root = SVGBackend::new(&path, (1060, 520)).into_drawing_area();
    root.fill(&WHITE)?;
    let (filters, curves) = root.split_vertically(210);
    let font = ("sans-serif", 15).into_font();
    let middle = font.color(&BLACK).pos(Pos::new(HPos::Center, VPos::Center));
    for (k, ((name, side), filter)) in KINDS.iter().zip(first).enumerate() {
        let (x, size) = (60 + 260 * k as i32, 150);
        let title = format!("{name}, {side}×{side}");
        filters.draw(&Text::new(title, (x + size / 2, 22), middle.clone()))?;
        let cell = size / *side as i32;
        let most = filter
            .weights()
            .iter()
            .fold(0.0, |most: f64, w| most.max(w.abs()));
        for (at, &weight) in filter.weights().iter().enumerate() {
            let from = (
                x + cell * (at % side) as i32,
                40 + cell * (at / side) as i32,
            );
            let to = (from.0 + cell, from.1 + cell);
            let colour = if weight < 0.0 { NEGATIVE } else { POSITIVE };
            let part = weight.abs() / most;
            filters.draw(&Rectangle::new([from, to], colour.mix(part).filled()))?;
            filters.draw(&Rectangle::new([from, to], BLACK.mix(0.3)))?;
            if *side == 3 {
                let ink = if part > 0.55 { WHITE } else { BLACK };
                let style = font.color(&ink).pos(Pos::new(HPos::Center, VPos::Center));
                let place = (from.0 + cell / 2, from.1 + cell / 2);
                filters.draw(&Text::new(format!("{weight:.2}"), place, style))?;
            }
        }
    }
    let lines: Vec<Vec<(f64, f64)>> = all
        .iter()
        .map(|kind| {
            let steps = kind.histories[0].len();
            let bins = (0..steps).step_by(10);
            bins.map(|first| {
                let last = steps.min(first + 10);
                let values = kind.histories.iter().flat_map(|h| &h[first..last]);
                let (mean, _) = mean_and_error(&values.copied().collect::<Vec<_>>());
                (0.5 * (first + last) as f64, 100.0 * mean)
            })
            .collect()
        })
        .collect();
    let plain = || all.iter().map(|kind| kind.without);
    let values = || lines.iter().flatten().map(|p| p.1).chain(plain());
    let (least, most) = (values().fold(100.0, f64::min), values().fold(0.0, f64::max));
    let steps = all[0].histories[0].len() as f64;
    let mut chart = ChartBuilder::on(&curves)
        .caption(
            "mass between equal labels on the training draws (dashed: without a filter)",
            ("sans-serif", 16),
        )
        .margin(12)
        .x_label_area_size(38)
        .y_label_area_size(52)
        .build_cartesian_2d(0.0..steps, least - 1.0..most + 1.0)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc("step")
        .y_desc("L, %")
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_label_formatter(&|y| format!("{y:.0}"))
        .draw()?;
    let colours = [
        POSITIVE,
        NEGATIVE,
        RGBColor(46, 139, 87),
        RGBColor(140, 90, 160),
    ];
    for (k, ((line, (name, side)), colour)) in lines.into_iter().zip(KINDS).zip(colours).enumerate()
    {
        let style = colour.stroke_width(2);
        let level = all[k].without;
        // Two kinds of one ground have one level: the second's dashes begin where the first's end.
        let again = KINDS[..k].iter().any(|(earlier, _)| *earlier == name);
        let shift = if again { 0.007 * steps } else { 0.0 };
        let ends = [(shift, level), (steps, level)];
        chart.draw_series(DashedLineSeries::new(ends, 6, 8, colour.stroke_width(1)))?;
        chart
            .draw_series(LineSeries::new(line, style))?
            .label(format!("{name}, {side}×{side}"))
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .border_style(BLACK.mix(0.3))
        .background_style(WHITE)
        .draw()?;
    root.present()?;
    Ok(path.display().to_string())
}
