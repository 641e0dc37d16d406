//! What an epoch costs by loss: 10 000 digits of 784 pixels, 10 classes, batches of 100, a linear softmax by Adam. Losses take
//! turns; the least of the rounds counts, and its ratio to KL. Targets are single labels, and mixtures of three, which take
//! many iterations: rows go on from where the last epoch left them.
//!
//! ```text
//! cargo run --release -p ot-apps --example learning_epochs [-- --data DIR]
//! ```

#[path = "shared/args.rs"]
mod args;

use std::sync::Arc;
use std::time::Instant;

use args::{Args, Outcome};
use ot_apps::learning::losses::{
    EntropicSettings, EntropicWasserstein, HierarchicalEmd, KullbackLeibler, LineWasserstein, Loss,
    RelaxedSettings, RelaxedWasserstein, TransportLoss, WeightedSum,
};
use ot_apps::learning::{LabelCost, Linear, Targets, Training, train};
use solver_api::{Context, Tree};
use solver_exact::NetworkSimplex;

const SAMPLES: usize = 10_000;

fn main() -> Outcome {
    let args = Args::read(&["rounds"])?;
    let (rounds, epochs) = (args.count("rounds", 3, 5), 3);
    let (images, digits) = args.digits("train")?;
    // The few of the fixtures come several times.
    let pick: Vec<usize> = (0..SAMPLES).map(|i| i % images.len()).collect();
    let x = images.select(&pick);
    let single: Vec<usize> = pick.iter().map(|&i| digits[i] as usize).collect();
    let mixed: Vec<f64> = single
        .iter()
        .flat_map(|&d| {
            (0..10).map(move |k| {
                [0.6, 0.3, 0.1]
                    .get((k + 10 - d) % 10)
                    .copied()
                    .unwrap_or(0.0)
            })
        })
        .collect();
    let kinds = [
        ("single labels", Targets::from_classes(10, &single)?),
        ("mixtures", Targets::new(10, mixed)?),
    ];
    let metric = LabelCost::ordered(10, 1.0)?.scaled();
    let solver = NetworkSimplex::default();
    let parent: Vec<usize> = (0..16)
        .map(|k| if k < 10 { 10 + k / 2 } else { 15 })
        .collect();
    let tree = Tree::new(&parent, &[0.5; 16])?;
    let entropic = Arc::new(EntropicWasserstein::new(
        &metric,
        EntropicSettings::default(),
    )?);
    let losses: Vec<Arc<dyn Loss + '_>> = vec![
        Arc::new(KullbackLeibler),
        Arc::clone(&entropic) as Arc<dyn Loss>,
        Arc::new(WeightedSum::with_kl(entropic, 0.5)?),
        Arc::new(RelaxedWasserstein::new(
            &metric,
            RelaxedSettings::default(),
        )?),
        Arc::new(LineWasserstein::bins(10, 1.0)?),
        Arc::new(LineWasserstein::bins(10, 2.0)?),
        Arc::new(HierarchicalEmd::new(
            tree,
            &(0..10).collect::<Vec<_>>(),
            2.0,
        )?),
        Arc::new(TransportLoss::new(&solver, metric)?),
    ];
    let training = Training {
        epochs,
        ..Training::default()
    };
    let context = Context::default();
    for (name, targets) in &kinds {
        println!("{name}: {:>32}{:>10}", "ms an epoch", "to KL");
        let mut least = vec![f64::INFINITY; losses.len()];
        for _ in 0..rounds {
            for (least, loss) in least.iter_mut().zip(&losses) {
                let mut model = Linear::zeros(x.cells(), 10)?;
                let begun = Instant::now();
                train(
                    &mut model,
                    loss.as_ref(),
                    x.pixels(),
                    targets,
                    &training,
                    &context,
                )?;
                *least = least.min(begun.elapsed().as_secs_f64() * 1e3 / epochs as f64);
            }
        }
        for (loss, ms) in losses.iter().zip(&least) {
            println!("{:>36}{ms:>10.1}{:>10.2}", loss.name(), ms / least[0]);
        }
    }
    println!("digits of {}", args.source());
    Ok(())
}
