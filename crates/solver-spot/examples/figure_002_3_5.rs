//! Figure 3.5 of source 002: pairs of MNIST digits and of digits on photographs, made by generators that have seen no pair. The
//! cost is that of edges (Sobel). How often classifiers of both sides say the same of a pair, beside chance and beside the exact
//! plan between images; a grid of pairs as `target/figures/figure_002_3_5.png`.
//!
//! ```text
//! cargo run --release -p solver-spot --example figure_002_3_5 [-- --full --data DIR] [--steps N] [--filters N]
//!     [--critic-steps N] [--critic-rate N] [--first-eta N] [--eta N] [--seed N] [--threads 2]
//! ```
//!
//! Quick: the few images of the fixtures, two minutes, to see that it works. `--full`: all of `DIR/mnist` and
//! `DIR/mnist_m_like`, half an hour; every two minutes the training is saved beside the picture, and goes on from there when it is
//! started again.
#[path = "shared/digits.rs"]
mod digits;
#[path = "../../ot-apps/examples/shared/options.rs"]
mod options;
#[path = "../../ot-apps/examples/shared/picture.rs"]
mod picture;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use digits::{Digits, Judge, Told};
use options::{Args, Outcome};
use ot_nn::Network;
use rand::SeedableRng;
use rand::seq::index::sample;
use rand_pcg::Pcg64;
use solver_api::{Context, Problem, Solver, Termination};
use solver_exact::NetworkSimplex;
use solver_spot::{
    ContinuousSolver, Generator, Samples, Sobel, Spot, SpotSettings, image_critic, image_generator,
    keep_variance,
};

/// Height and width of all images.
const SIDE: usize = 28;
const LATENT: usize = 64;
/// Pairs that are judged, and how many are made at once.
const PAIRS: usize = 2000;
const BLOCK: usize = 250;
/// A classifier that is so sure of a class is confident.
const CONFIDENT: f64 = 0.9;
/// Seconds between two states on disk.
const SAVED_EVERY: u64 = 120;
/// Columns and rows of pairs in the picture.
const GRID: (usize, usize) = (12, 4);

fn main() -> Outcome {
    let names = [
        "steps",
        "filters",
        "critic-steps",
        "critic-rate",
        "first-eta",
        "eta",
        "seed",
        "threads",
    ];
    let args = Args::read(&names)?;
    let data = args.data.as_deref();
    let read = |set: &str, part: &str| Digits::read(data, set, part);
    let (x, y) = (read("mnist", "train")?, read("mnist_m_like", "train")?);
    let (x_test, y_test) = (read("mnist", "t10k")?, read("mnist_m_like", "test")?);
    println!(
        "{} and {} training images, {} and {} test images",
        x.labels.len(),
        y.labels.len(),
        x_test.labels.len(),
        y_test.labels.len()
    );

    let steps = args.count("steps", 1000, 24_000) as u64;
    let settings = SpotSettings {
        steps,
        critic_steps: args.count("critic-steps", 2, 2),
        batch: 32,
        rate: 2e-4,
        critic_rate: args.count("critic-rate", 3, 3) as f64,
        betas: (0.5, 0.999),
        first_eta: args.count("first-eta", 5, 5) as f64,
        eta: args.count("eta", 15, 15) as f64,
        averaging: 0.05,
        check_every: (steps / 20).max(100),
        seed: args.count("seed", 1, 1) as u64,
        ..SpotSettings::default()
    };
    let filters = args.count("filters", 8, 8);
    let mut spot =
        training(&x, &y, filters, settings)?.side_by_side(args.count("threads", 1, 1) > 1);
    train(&mut spot, args.full)?;

    let learning = if args.full { [2500, 4000] } else { [400, 400] };
    let judges = [
        Judge::learn(&x, learning[0], 1)?,
        Judge::learn(&y, learning[1], 2)?,
    ];
    for (judge, test, name) in [
        (&judges[0], &x_test, "MNIST"),
        (&judges[1], &y_test, "MNIST-M-like"),
    ] {
        let (right, sure) = judge.accuracy(test)?;
        println!(
            "classifier of {name}: {:.1} % of the test images are told, {:.3} sure on average",
            100.0 * right,
            sure
        );
    }
    real_pairs(&x_test, &y_test, &judges, data)?;
    made_pairs(&spot, &judges)
}

/// Generators that start as the same one, so that a latent variable means the same to both.
fn training(x: &Digits, y: &Digits, filters: usize, settings: SpotSettings) -> Outcome<Spot<f32>> {
    let seed = 8 * settings.seed;
    let (of_x, of_y) = (x.images.shape(), y.images.shape());
    let mut grey = Network::<f32>::new(&image_generator(LATENT, filters, of_x)?, seed)?;
    let mut colour = Network::<f32>::new(&image_generator(LATENT, filters, of_y)?, seed)?;
    keep_variance(&mut grey);
    keep_variance(&mut colour);
    // All layers but the last are drawn alike already: it makes each colour as the other one makes grey.
    let last = 9 * filters;
    let from = grey.parameters().len() - last - 1;
    let filter = grey.parameters()[from..from + last].to_vec();
    for channel in 0..of_y.0 {
        let at = from + channel * last;
        colour.parameters_mut()[at..at + last].copy_from_slice(&filter);
    }
    let critics = vec![
        Network::new(&image_critic(filters, of_x)?, seed + 1)?,
        Network::new(&image_critic(filters, of_y)?, seed + 2)?,
    ];
    println!(
        "{} and {} parameters of the generators, {} and {} of the critics",
        grey.parameters().len(),
        colour.parameters().len(),
        critics[0].parameters().len(),
        critics[1].parameters().len()
    );
    Ok(Spot::new(
        Generator::separate(vec![grey, colour])?,
        critics,
        vec![Arc::new(x.images.clone()), Arc::new(y.images.clone())],
        Arc::new(Sobel::new(SIDE, SIDE)?),
        settings,
    )?)
}

fn train(spot: &mut Spot<f32>, full: bool) -> Outcome {
    let saved = picture::path("figure_002_3_5.safetensors")?;
    if full && saved.is_file() {
        spot.resume(&saved)?;
        println!(
            "goes on from {} after {} steps",
            saved.display(),
            spot.steps()
        );
    }
    let settings = *spot.settings();
    println!(
        "{} steps, {} of the critics each, batch {}, η from {} to {}",
        settings.steps, settings.critic_steps, settings.batch, settings.first_eta, settings.eta
    );
    let (started, first) = (Instant::now(), spot.steps());
    loop {
        let context = Context::default().time_limit(Duration::from_secs(SAVED_EVERY));
        let ended = spot.train(&context, &mut |look| {
            println!(
                "{:8} η {:7.0}  cost {:7.2}  critics see {:+.4} {:+.4}",
                look.step,
                look.eta,
                look.estimate.cost,
                look.estimate.apart[0],
                look.estimate.apart[1]
            );
        })?;
        if full {
            spot.save(&saved)?;
            draw(&made(spot, GRID.0 * GRID.1)?)?;
        }
        if ended.termination != Termination::TimeLimit {
            break;
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    let steps = (spot.steps() - first) as f64;
    println!("{seconds:.0} s, {:.1} steps/s", steps / seconds);
    Ok(())
}

/// Rows of both sides of so many pairs.
fn made(spot: &Spot<f32>, count: usize) -> Outcome<[Vec<f32>; 2]> {
    let mut rows = [Vec::new(), Vec::new()];
    for block in 0..count.div_ceil(BLOCK) {
        let count = BLOCK.min(count - block * BLOCK);
        let samples: Samples = spot.sample(count, 100 + block as u64)?;
        for (k, rows) in rows.iter_mut().enumerate() {
            rows.extend(samples.marginal(k).iter().map(|v| *v as f32));
        }
    }
    Ok(rows)
}

/// How often both sides are told alike, what chance would make of it, and the same where both classifiers are confident.
fn agreement(of: [&Told; 2]) -> String {
    let count = of[0].class.len() as f64;
    let share =
        |k: usize, told: &Told| told.class.iter().filter(|c| **c == k).count() as f64 / count;
    let chance: f64 = (0..10).map(|k| share(k, of[0]) * share(k, of[1])).sum();
    let all = 0..of[0].class.len();
    let alike = |i: &usize| of[0].class[*i] == of[1].class[*i];
    let confident: Vec<usize> = all
        .clone()
        .filter(|i| of.iter().all(|told| told.sure[*i] >= CONFIDENT))
        .collect();
    let sure = confident.iter().filter(|i| alike(i)).count() as f64;
    format!(
        "{:.1} % alike (chance {:.1} %); {:.1} % where both are confident, {:.0} % of the pairs",
        100.0 * all.filter(alike).count() as f64 / count,
        100.0 * chance,
        100.0 * sure / confident.len().max(1) as f64,
        100.0 * confident.len() as f64 / count
    )
}

/// What the cost makes of real images: of a digit and the same digit on a photograph, of any two, and of the exact plan.
fn real_pairs(x: &Digits, y: &Digits, judges: &[Judge; 2], data: Option<&Path>) -> Outcome {
    let sobel = Sobel::new(SIDE, SIDE)?;
    let (grey, colour): (Vec<_>, Vec<_>) = (
        (0..x.labels.len()).map(|i| x.row(i)).collect(),
        (0..y.labels.len()).map(|j| y.row(j)).collect(),
    );
    if let Some(data) = data {
        let places = ot_data::read(data.join("mnist_m_like/test_source_index.npy"))?;
        let places = places.into_vector()?;
        let mut sum = 0.0;
        for (place, image) in places.iter().zip(&colour) {
            let digit = grey.get(*place as usize);
            sum += sobel.between(digit.ok_or("test_source_index.npy names no digit")?, image)?;
        }
        println!(
            "cost of the same digit on both sides: {:.2}",
            sum / colour.len() as f64
        );
    }
    let count = 500.min(x.labels.len()).min(y.labels.len());
    let chosen = |of: usize, seed| sample(&mut Pcg64::seed_from_u64(seed), of, count).into_vec();
    let (of_x, of_y) = (chosen(grey.len(), 1), chosen(colour.len(), 2));
    let mut cost = Vec::with_capacity(count * count);
    for i in &of_x {
        for j in &of_y {
            cost.push(sobel.between(&grey[*i], &colour[*j])?);
        }
    }
    let any = cost.iter().sum::<f64>() / cost.len() as f64;
    let uniform = vec![1.0; count];
    let problem = Problem::from_slices(&uniform, &uniform, &cost)?;
    let solution = NetworkSimplex::default().solve(&problem)?;
    let mut pairs = Vec::new();
    solution
        .plan
        .for_each_above(0.5, |i, j, _| pairs.push((of_x[i], of_y[j])));
    let same = pairs
        .iter()
        .filter(|(i, j)| x.labels[*i] == y.labels[*j])
        .count();
    println!(
        "exact plan of {count} and {count} test images: cost {:.2} (any two: {any:.2}), {:.1} % of the same label",
        solution.transport_cost / count as f64,
        100.0 * same as f64 / pairs.len().max(1) as f64
    );
    let rows =
        |side: &[Vec<f32>], of: Vec<usize>| of.into_iter().flat_map(|i| side[i].clone()).collect();
    let (i, j): (Vec<usize>, Vec<usize>) = pairs.into_iter().unzip();
    let rows: [Vec<f32>; 2] = [rows(&grey, i), rows(&colour, j)];
    let told = [judges[0].told(&rows[0])?, judges[1].told(&rows[1])?];
    println!("  by the classifiers: {}", agreement([&told[0], &told[1]]));
    Ok(())
}

/// The pairs that were made: costs, classes, agreement.
fn made_pairs(spot: &Spot<f32>, judges: &[Judge; 2]) -> Outcome {
    let rows = made(spot, PAIRS)?;
    let sobel = Sobel::new(SIDE, SIDE)?;
    let grey: Vec<&[f32]> = rows[0].chunks_exact(SIDE * SIDE).collect();
    let colour: Vec<&[f32]> = rows[1].chunks_exact(3 * SIDE * SIDE).collect();
    let (mut pairs, mut any) = (0.0, 0.0);
    for i in 0..PAIRS {
        pairs += sobel.between(grey[i], colour[i])? / PAIRS as f64;
        any += sobel.between(grey[i], colour[(i + 1) % PAIRS])? / PAIRS as f64;
    }
    println!("{PAIRS} pairs that were made: cost {pairs:.2} (any two: {any:.2})");
    let told = [judges[0].told(&rows[0])?, judges[1].told(&rows[1])?];
    println!("  by the classifiers: {}", agreement([&told[0], &told[1]]));
    for (told, name) in told.iter().zip(["MNIST", "MNIST-M-like"]) {
        let sure = told.sure.iter().sum::<f64>() / PAIRS as f64;
        let shares: Vec<String> = (0..10)
            .map(|k| told.class.iter().filter(|c| **c == k).count() as f64)
            .map(|count| format!("{:.0}", 100.0 * count / PAIRS as f64))
            .collect();
        let shares = shares.join(" ");
        println!("  {name}: {sure:.3} sure on average, 0 to 9 make {shares} %");
    }
    draw(&rows)?;
    Ok(())
}

/// Pairs, one above the other, in a grid.
fn draw(rows: &[Vec<f32>; 2]) -> Outcome {
    const SCALE: usize = 2;
    let (columns, lines) = GRID;
    let (tile, gap) = (SCALE * SIDE, 4);
    let (wide, tall) = (
        columns * (tile + gap) + gap,
        lines * (2 * tile + 2 * gap) + gap,
    );
    let mut pixels = vec![255_u8; 3 * wide * tall];
    for place in 0..columns * lines {
        let (top, left) = (
            gap + place / columns * (2 * tile + 2 * gap),
            gap + place % columns * (tile + gap),
        );
        for (side, channels) in [(0, 1), (1, 3)] {
            let size = SIDE * SIDE;
            let Some(image) = rows[side].chunks_exact(channels * size).nth(place) else {
                continue;
            };
            for row in 0..tile {
                for column in 0..tile {
                    let at = row / SCALE * SIDE + column / SCALE;
                    let to = 3 * ((top + side * tile + row) * wide + left + column);
                    for (channel, out) in pixels[to..to + 3].iter_mut().enumerate() {
                        let value = image[(channel % channels) * size + at];
                        *out = ((value + 1.0) * 127.5).round().clamp(0.0, 255.0) as u8;
                    }
                }
            }
        }
    }
    let path = picture::path("figure_002_3_5.png")?;
    let file = std::io::BufWriter::new(std::fs::File::create(&path)?);
    let mut encoder = png::Encoder::new(file, wide as u32, tall as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    // Every row of pixels is there twice: the second one is no difference.
    encoder.set_filter(png::Filter::Up);
    encoder.set_compression(png::Compression::High);
    encoder.write_header()?.write_image_data(&pixels)?;
    println!("{}", path.display());
    Ok(())
}
