//! Figure 3 of source 000: accuracy of the coupling classifier on digits for a concave cost log(1 + d), the distance d and
//! the convex cost d² between images, against λ = 1/ε (left) and against the similarity of the two samples (right). Mean
//! and standard error over repeats; table and picture.
//!
//! Samples and representatives have three digits of each class, and as many more of classes drawn at random as it takes
//! to be as dissimilar as asked; similarity is the part of the samples whose class has a representative left. Costs are
//! those of the source, as they are, so that one λ is far sharper for d² (about 100) than for log(1 + d) (about 2.4).
//! `--normalized 1` divides each by its mean: what is left then is the shape of the cost.
//!
//! ```text
//! cargo run --release -p ot-apps --example figure3_cost_functions [-- --full --data DIR]
//!     [--repeats N] [--normalized 1]
//! ```

#[path = "shared/args.rs"]
mod args;
#[path = "shared/picture.rs"]
mod picture;

use std::collections::BTreeMap;

use args::{Args, Outcome};
use ot_apps::scores::mean_and_error;
use ot_apps::{Coupling, CouplingRule, Images};
use plotters::coord::Shift;
use plotters::prelude::*;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use solver_api::{Certify, Context, Cost, Ground, PointCost, Reg};
use solver_stabilized::{Settings, SinkhornStabilized};

const LAMBDAS: [f64; 7] = [0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0];
const SHARES: [f64; 6] = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0];
const COLOURS: [RGBColor; 3] = [
    RGBColor(46, 139, 87),
    RGBColor(31, 78, 140),
    RGBColor(196, 60, 30),
];
const COSTS: [(&str, Ground); 3] = [
    ("log(1 + d)", Ground::Log1p),
    ("d", Ground::Euclidean),
    ("d²", Ground::SqEuclidean),
];

/// Places by class.
fn pools(labels: &[i64]) -> Vec<Vec<usize>> {
    let mut pools = BTreeMap::<i64, Vec<usize>>::new();
    labels
        .iter()
        .enumerate()
        .for_each(|(i, l)| pools.entry(*l).or_default().push(i));
    pools.into_values().collect()
}

/// Three digits of each class and `extra` more. Of those, `share` are of four classes drawn at random, different ones on
/// the two sides as it happens, and the rest of any class.
fn draw(pools: &[Vec<usize>], extra: usize, share: f64, rng: &mut Pcg64) -> Vec<usize> {
    let few: Vec<usize> = (0..4).map(|_| rng.random_range(0..pools.len())).collect();
    let mut classes: Vec<usize> = (0..pools.len()).flat_map(|c| [c; 3]).collect();
    for _ in 0..extra {
        let skewed = rng.random::<f64>() < share;
        let any = rng.random_range(0..pools.len());
        classes.push(if skewed {
            few.choose(rng).copied().unwrap_or(any)
        } else {
            any
        });
    }
    classes
        .iter()
        .filter_map(|&c| pools[c].choose(rng).copied())
        .collect()
}

/// The part of the samples that finds a representative of its class, each of which serves one.
fn similarity(samples: &[i64], representatives: &[i64]) -> f64 {
    let mut left = BTreeMap::<i64, usize>::new();
    representatives
        .iter()
        .for_each(|l| *left.entry(*l).or_default() += 1);
    let served = samples.iter().filter(|l| match left.get_mut(l) {
        Some(count) if *count > 0 => {
            *count -= 1;
            true
        }
        _ => false,
    });
    served.count() as f64 / samples.len() as f64
}

struct Data {
    train: (Images, Vec<i64>),
    test: (Images, Vec<i64>),
    raw: bool,
}

struct Trial {
    similarity: f64,
    accuracy: [f64; 3],
}

impl Data {
    /// One draw, by the three costs.
    fn trial(&self, lambda: f64, extra: usize, share: f64, seed: u64) -> Outcome<Trial> {
        let mut rng = Pcg64::seed_from_u64(seed);
        let rows = draw(&pools(&self.test.1), extra, share, &mut rng);
        let cols = draw(&pools(&self.train.1), extra, share, &mut rng);
        let (x, y) = (self.test.0.select(&rows), self.train.0.select(&cols));
        let pick = |labels: &[i64], places: &[usize]| {
            places.iter().map(|&i| labels[i]).collect::<Vec<_>>()
        };
        let (expected, labels) = (pick(&self.test.1, &rows), pick(&self.train.1, &cols));
        let mut accuracy = [0.0; 3];
        for (accuracy, (_, ground)) in accuracy.iter_mut().zip(COSTS) {
            let scale = if self.raw {
                1.0
            } else {
                let cost = PointCost::new(x.pixels(), y.pixels(), x.cells(), ground.clone())?;
                let (n, m) = cost.shape();
                let mut all = vec![0.0; n * m];
                cost.block(0..n, 0..m, &mut all);
                all.iter().sum::<f64>() / all.len() as f64
            };
            let settings = Settings {
                tol: Some(1e-6),
                ..Settings::with_reg(Reg::Absolute(scale / lambda))
            };
            let solver = SinkhornStabilized::new(settings)?;
            let coupling = Coupling::new(&solver, ground)?.fit(y.pixels(), y.cells(), &labels)?;
            let mut context = Context::default().certified(Certify::Off);
            let coupled = coupling.predict(x.pixels(), &mut context)?;
            *accuracy = coupled.accuracy(CouplingRule::Representative, &expected)?;
        }
        Ok(Trial {
            similarity: similarity(&expected, &labels),
            accuracy,
        })
    }
}

/// A place on the axis, and mean and standard error for each cost.
type Row = (f64, [(f64, f64); 3]);

fn row(at: f64, trials: &[&Trial]) -> Row {
    let of = |c: usize| {
        mean_and_error(
            &trials
                .iter()
                .map(|t| 100.0 * t.accuracy[c])
                .collect::<Vec<_>>(),
        )
    };
    (at, [of(0), of(1), of(2)])
}

fn table(name: &str, rows: &[Row]) {
    print!("{name:>12}");
    COSTS.iter().for_each(|(name, _)| print!("{name:>16}"));
    println!("   accuracy, %");
    for (at, values) in rows {
        print!("{at:>12.3}");
        values
            .iter()
            .for_each(|(mean, error)| print!("{:>16}", format!("{mean:.1} ± {error:.1}")));
        println!();
    }
}

fn panel(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    title: &str,
    log: bool,
    rows: &[Row],
) -> Outcome {
    let at = |x: f64| if log { x.log10() } else { x };
    let ends = |f: fn(f64, f64) -> f64, start| rows.iter().fold(start, |e, r| f(e, at(r.0)));
    let (low, high) = (
        ends(f64::min, f64::INFINITY),
        ends(f64::max, f64::NEG_INFINITY),
    );
    let values = || rows.iter().flat_map(|r| r.1);
    let least = values().fold(100.0, |l: f64, (m, e)| l.min(m - e)) - 2.0;
    let most = values().fold(0.0, |l: f64, (m, e)| l.max(m + e)) + 2.0;
    let room = 0.05 * (high - low).max(1e-9);
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 17))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(52)
        .build_cartesian_2d(low - room..high + room, least..most)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc(if log { "λ" } else { "similarity, %" })
        .y_desc("accuracy, %")
        .x_label_formatter(&|x| match log {
            // Whole powers of ten alone have a name.
            true if (x - x.round()).abs() < 1e-6 => format!("{}", 10_f64.powi(x.round() as i32)),
            true => String::new(),
            false => format!("{x:.0}"),
        })
        .y_label_formatter(&|y| format!("{y:.0}"))
        .draw()?;
    for (c, ((name, _), colour)) in COSTS.iter().zip(COLOURS).enumerate() {
        let style = colour.stroke_width(2);
        let line = rows.iter().map(|r| (at(r.0), r.1[c].0));
        chart
            .draw_series(LineSeries::new(line, style))?
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
        let half = 0.008 * (high - low);
        chart.draw_series(rows.iter().flat_map(|r| {
            let ((mean, error), x) = (r.1[c], at(r.0));
            let cap = |y| PathElement::new([(x - half, y), (x + half, y)], style);
            let bar = PathElement::new([(x, mean - error), (x, mean + error)], style);
            [bar, cap(mean - error), cap(mean + error)]
        }))?;
    }
    chart
        .configure_series_labels()
        .position(if log {
            SeriesLabelPosition::LowerLeft
        } else {
            SeriesLabelPosition::LowerRight
        })
        .border_style(BLACK.mix(0.3))
        .background_style(WHITE)
        .draw()?;
    Ok(())
}

fn main() -> Outcome {
    let args = Args::read(&["repeats", "normalized"])?;
    let repeats = args.count("repeats", 20, 200);
    let raw = args.count("normalized", usize::MAX, usize::MAX) != 1;
    let data = Data {
        train: args.digits("train")?,
        test: args.digits("t10k")?,
        raw,
    };
    println!(
        "digits of {}, {repeats} repeats, costs {}",
        args.source(),
        if raw {
            "as they are"
        } else {
            "over their mean"
        }
    );
    // The same draws for every λ.
    let (mut by_lambda, mut similar) = (Vec::new(), 0.0);
    for lambda in LAMBDAS {
        let trials = (0..repeats).map(|seed| data.trial(lambda, 10, 0.0, seed as u64));
        let trials = trials.collect::<Outcome<Vec<_>>>()?;
        similar = trials.iter().map(|t| 100.0 * t.similarity).sum::<f64>() / repeats as f64;
        by_lambda.push(row(lambda, &trials.iter().collect::<Vec<_>>()));
    }
    println!("\nby λ, mean similarity {similar:.1} %");
    table("λ", &by_lambda);
    let lambda = if raw { 1.0 } else { 30.0 };
    let mut trials = Vec::new();
    for (k, share) in SHARES.into_iter().enumerate() {
        for seed in 0..repeats {
            trials.push(data.trial(lambda, 30, share, (1000 * (k + 1) + seed) as u64)?);
        }
    }
    let mut bins = BTreeMap::<usize, Vec<&Trial>>::new();
    // Bins of 5 %, with ten draws or more in each.
    trials.iter().for_each(|t| {
        bins.entry((20.0 * t.similarity) as usize)
            .or_default()
            .push(t);
    });
    bins.retain(|_, trials| trials.len() >= 10);
    let by_similarity: Vec<Row> = bins
        .iter()
        .map(|(bin, trials)| row(5.0 * (*bin as f64 + 0.5), trials))
        .collect();
    println!("\nby similarity in %, λ = {lambda}");
    table("similarity", &by_similarity);

    let path = picture::path("figure3_cost_functions.svg")?;
    let root = SVGBackend::new(&path, (1150, 470)).into_drawing_area();
    root.fill(&WHITE)?;
    let areas = root.split_evenly((1, 2));
    panel(
        &areas[0],
        &format!("mean similarity {similar:.0} %"),
        true,
        &by_lambda,
    )?;
    panel(&areas[1], &format!("λ = {lambda}"), false, &by_similarity)?;
    root.present()?;
    println!("\n{}", path.display());
    Ok(())
}
