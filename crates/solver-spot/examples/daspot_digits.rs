//! Domain adaptation by DASPOT (source 002, section 3.5): MNIST and USPS in both directions, MNIST to MNIST in colour. The
//! accuracy on test points of the target, beside no adaptation, adaptation by entropic transport with the group lasso (on
//! pixels, and on the embedding of the source's classifier), and training on the target's labels.
//!
//! ```text
//! cargo run --release -p solver-spot --example daspot_digits [-- --full --data DIR] [--seeds N] [--steps N] [--warm N]
//! ```
//!
//! Quick: digits of MNIST and optdigits at 8×8 from `fixtures/`. `--full` needs `mnist`, `usps` and `mnist_m_like` below DIR. No
//! method but the last sees a label of the target. Each seed of `--full` is kept in `target/figures`, and not trained again.
#[path = "shared/domains_of_digits.rs"]
mod digits;
#[path = "shared/kept.rs"]
mod kept;
#[path = "../../ot-apps/examples/shared/methods.rs"]
mod methods;
#[path = "../../ot-apps/examples/shared/options.rs"]
mod options;

use std::time::Instant;

use digits::{CLASSES, Digits, Task};
use kept::Kept;
use methods::{entropic, mass, settings};
use options::{Args, Outcome};
use ot_apps::adaptation::{Adaptation, Regularizer};
use ot_nn::{Layer, Network};
use solver_api::Context;
use solver_spot::daspot::{Classifier, Daspot, DaspotSettings, Labelled, convolutions};
use solver_spot::{Generator, SpotSettings, critic, keep_variance, perceptron};

/// Length of the embeddings, and of the latent variable.
const WIDTH: usize = 64;
const LATENT: usize = 32;
/// Points of each side that adaptation by a discrete plan takes.
const DISCRETE: usize = 1000;
const METHODS: [&str; 8] = [
    "none",
    "D_X of DASPOT",
    "OTDA pixels",
    "OTDA embedding",
    "source's objective",
    "pairs not heard",
    "DASPOT",
    "target's labels",
];

fn main() -> Outcome {
    let args = Args::read(&["seeds", "steps", "warm"])?;
    let tasks = match &args.data {
        Some(data) if args.full => digits::whole(data)?,
        None if !args.full => digits::fixtures()?,
        _ => return Err("--full and --data DIR go together".into()),
    };
    let seeds = args.count("seeds", 2, 3);
    let steps = args.count("steps", 1600, 1600) as u64;
    let warm = args.count("warm", 400, 600) as u64;
    let kept = Kept::new("daspot_digits", args.full);
    println!(
        "{warm} steps on the source, {steps} with the plan, {seeds} seeds; accuracy on the target's test points, %"
    );
    for task in &tasks {
        let sizes = (task.source.len(), task.target.len(), task.test.len());
        println!(
            "\n{}: {} source, {} target, {} test points",
            task.name, sizes.0, sizes.1, sizes.2
        );
        let mut all = Vec::new();
        for seed in 0..seeds as u64 {
            let started = Instant::now();
            let name = format!("{}_{seed}", task.name.replace([' ', '/'], "_"));
            let settings = format!("{sizes:?}, {:?}", settings_of(seed, steps, warm, true));
            let row = kept.or(&name, settings, || run(task, seed, steps, warm))?;
            let said = METHODS.iter().zip(row).map(|(m, a)| format!("{m} {a:.1}"));
            let said: Vec<_> = said.collect();
            println!(
                "  seed {seed}: {}; {:.0} s",
                said.join(", "),
                started.elapsed().as_secs_f64()
            );
            all.push(row);
        }
        for (k, method) in METHODS.iter().enumerate() {
            let (mean, spread) = moments(all.iter().map(|row| row[k]));
            println!("  {method:>18} {mean:6.2} ± {spread:.2}");
        }
    }
    Ok(())
}

/// Mean and standard deviation.
fn moments(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let count = values.clone().count() as f64;
    let mean = values.clone().sum::<f64>() / count;
    let squares: f64 = values.map(|v| (v - mean) * (v - mean)).sum();
    (mean, (squares / (count - 1.0).max(1.0)).sqrt())
}

/// The accuracies of [`METHODS`].
fn run(task: &Task, seed: u64, steps: u64, warm: u64) -> Outcome<[f64; 8]> {
    let test = &task.test;
    let alone = trained(&task.source, &task.source, seed, steps, warm)?;
    let none = score(&alone.predict_source(&test.points)?, test);
    let pixels = discrete(task, seed, |d| {
        Ok(d.points
            .iter()
            .map(|v| f64::from(0.5 * (v + 1.0)))
            .collect())
    })?;
    let embedding = discrete(task, seed, |d| {
        Ok(alone.source_classifier().embed(&d.points, true)?)
    })?;
    let theirs = adapted(task, objective_of_the_source(seed, steps, warm))?;
    let theirs = score(&theirs.predict(&test.points)?, test);
    let silent = adapted(task, settings_of(seed, steps, warm, false))?;
    let silent = score(&silent.predict(&test.points)?, test);
    let daspot = adapted(task, settings_of(seed, steps, warm, true))?;
    let adapted = score(&daspot.predict(&test.points)?, test);
    let of_x = score(&daspot.predict_source(&test.points)?, test);
    let told = trained(&task.target, &task.target, seed, steps, warm)?;
    let told = score(&told.predict_source(&test.points)?, test);
    Ok([none, of_x, pixels, embedding, theirs, silent, adapted, told])
}

fn adapted(task: &Task, settings: DaspotSettings) -> Outcome<Daspot> {
    let mut training = daspot(&task.source, &task.target, settings)?;
    training.fit(&Context::default(), &mut |look| {
        eprintln!(
            "    {:5} κ {:.2} cost {:.3} losses {:.3} {:.3} {:.3} agreement {:.2} critics see {:.2} {:.2} moved {:.3}",
            look.step,
            look.listening,
            look.cost,
            look.source_loss,
            look.label_loss,
            look.target_loss,
            look.agreement,
            look.apart[0],
            look.apart[1],
            look.moved
        );
    })?;
    Ok(training)
}

fn settings_of(seed: u64, steps: u64, warm_steps: u64, heard: bool) -> DaspotSettings {
    let default = DaspotSettings::default();
    DaspotSettings {
        spot: SpotSettings {
            steps,
            critic_steps: 2,
            first_eta: 3.0,
            eta: 30.0,
            critic_rate: 2.0,
            check_every: (steps / 5).max(1),
            seed,
            ..default.spot
        },
        warm_steps,
        pull: 10.0,
        made_weight: if heard { default.made_weight } else { 0.0 },
        ..default
    }
}

/// Of section 3.5, with nothing added, in as many steps.
fn objective_of_the_source(seed: u64, steps: u64, warm: u64) -> DaspotSettings {
    let ours = settings_of(seed, steps + warm, 0, true);
    DaspotSettings {
        target_weight: 0.0,
        pull: 0.0,
        confidence: 0.0,
        normalized: false,
        shares: 0.0,
        delay: 0.0,
        ramp: 0.0,
        made_weight: 1.0,
        ..ours
    }
}

/// The same classifier in the same number of steps, on labels alone: no plan is heard.
fn trained(of: &Digits, other: &Digits, seed: u64, steps: u64, warm: u64) -> Outcome<Daspot> {
    let settings = settings_of(seed, 1, warm + steps, false);
    let silent = DaspotSettings {
        delay: 1.0,
        ramp: 1.0,
        ..settings
    };
    let mut training = daspot(of, other, silent)?;
    training.fit(&Context::default(), &mut |_| ())?;
    Ok(training)
}

fn daspot(source: &Digits, target: &Digits, settings: DaspotSettings) -> Outcome<Daspot> {
    let seed = 16 * settings.spot.seed;
    let made = |of: &Digits, k| -> Outcome<Network<f32>> {
        let mut chain = perceptron(LATENT, 256, 2, of.dim(), 0.2);
        chain.push(Layer::Tanh);
        let mut network = Network::new(&chain, seed + k)?;
        keep_variance(&mut network);
        Ok(network)
    };
    let judge = |of: &Digits, k| Network::new(&critic(of.dim(), 128, 2, 0.2), seed + k);
    let classifier = |of: &Digits, k| -> Outcome<Classifier<f32>> {
        let chain = convolutions((of.channels, of.side), &[16, 32], WIDTH, 0.1);
        let decision = Network::new(&[Layer::linear(WIDTH, CLASSES)], seed + k + 1)?;
        Ok(Classifier::new(Network::new(&chain, seed + k)?, decision)?)
    };
    let labels = source.labels.clone();
    Ok(Daspot::new(
        Generator::separate(vec![made(source, 1)?, made(target, 1)?])?,
        vec![judge(source, 3)?, judge(target, 4)?],
        [classifier(source, 5)?, classifier(target, 7)?],
        Labelled::new(source.points.clone(), source.dim(), labels, CLASSES)?,
        target.points.clone(),
        settings,
    )?)
}

fn score(found: &[usize], of: &Digits) -> f64 {
    let right = found.iter().zip(&of.labels).filter(|(a, b)| a == b).count();
    100.0 * right as f64 / of.len() as f64
}

/// The group lasso's plan between some points of each side, mapped by `features` and brought to length one; then the nearest
/// adapted source point of each test point.
fn discrete(
    task: &Task,
    seed: u64,
    features: impl Fn(&Digits) -> Outcome<Vec<f64>>,
) -> Outcome<f64> {
    // Every so many, from another one for each seed: no set is in the order of its classes.
    let some = |of: &Digits| {
        let step = (of.len() / DISCRETE).max(1);
        of.at((seed as usize % step..of.len())
            .step_by(step)
            .take(DISCRETE))
    };
    let labelled = |name: &str, of: &Digits| -> Outcome<methods::Labelled> {
        let points = features(of)?;
        Ok(methods::Labelled {
            name: name.to_owned(),
            dim: points.len() / of.len(),
            points,
            labels: of.labels.iter().map(|l| *l as i64).collect(),
        }
        .unit())
    };
    let source = labelled("source", &some(&task.source))?;
    let target = labelled("target", &some(&task.target))?;
    let test = labelled("test", &task.test)?;
    let solver = entropic(0.05)?;
    let set = settings(Regularizer::group_lasso(0.1), mass(f64::INFINITY));
    let fitted = Adaptation::new(&solver, set)?.fit(
        &source.source()?,
        &target.target()?,
        &mut Context::default(),
    )?;
    test.told_by(fitted.adapted(), &source.labels)
}
