//! MNIST and USPS, labels of one carried to the other in both directions, with class shares that differ.
//!
//! ```text
//! cargo run --release -p ot-apps --example mnist_usps [-- --full --data DIR]
//! ```
//! The whole protocol needs `mnist_usps16` below DIR (`mnist16-images-idx3-ubyte.gz`, `usps16_raw.npy` and the labels of both);
//! without it the same methods run on digits of two groups of writers, `fixtures/digits8`. `--full` adds COIL1 and COIL2.

#[path = "shared/domains.rs"]
mod domains;

use std::path::{Path, PathBuf};

use domains::{Labelled, accuracy, entropic, fixtures, mass, settings, validated};
use ot_apps::adaptation::{Adaptation, Regularizer};
use solver_api::Context;
use solver_exact::NetworkSimplex;

pub(crate) type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// What reverse validation chooses from: (ε, class weight, γ).
const GRID: [(f64, f64, f64); 6] = [
    (0.05, 0.1, f64::INFINITY),
    (0.1, 1.0, f64::INFINITY),
    (0.05, 0.1, 0.3),
    (0.05, 0.1, 0.1),
    (0.05, 0.1, 0.03),
    (0.1, 1.0, 0.1),
];

const METHODS: [&str; 8] = [
    "none",
    "emd",
    "sinkhorn",
    "lasso .05 .1",
    "lasso .1 1",
    "one-sided",
    "proportions",
    "validated",
];

fn main() -> Outcome {
    let (full, data) = options()?;
    let pairs = match data {
        Some(data) if full => whole(&data)?,
        None if !full => vec![fixtures()?],
        _ => return Err("--full and --data DIR go together".into()),
    };
    println!(
        "1-nearest neighbour on the adapted source, % of the target; ε on the cost divided by its maximum"
    );
    print!("{:>24}", "pair");
    METHODS.iter().for_each(|name| print!("{name:>14}"));
    println!();
    for [one, other] in &pairs {
        for (from, to) in [(one, other), (other, one)] {
            let row = pair(from, to)?;
            print!("{:>24}", format!("{} to {}", from.name, to.name));
            row.iter().for_each(|a| print!("{a:>14.1}"));
            println!();
        }
    }
    Ok(())
}

/// The accuracies of [`METHODS`].
fn pair(from: &Labelled, to: &Labelled) -> Outcome<[f64; 8]> {
    let plain = || settings(Regularizer::None, mass(f64::INFINITY));
    let lasso = |weight, gamma| settings(Regularizer::group_lasso(weight), mass(gamma));
    let (name, chosen) = validated(&GRID, from, to)?;
    eprintln!("{} to {}: {name}", from.name, to.name);
    Ok([
        to.told_by(&from.points, &from.labels)?,
        accuracy(&NetworkSimplex::default(), plain(), from, to)?,
        accuracy(&entropic(0.05)?, plain(), from, to)?,
        accuracy(&entropic(0.05)?, lasso(0.1, f64::INFINITY), from, to)?,
        accuracy(&entropic(0.1)?, lasso(1.0, f64::INFINITY), from, to)?,
        accuracy(&entropic(0.05)?, lasso(0.1, 0.1), from, to)?,
        proportioned(from, to)?,
        chosen,
    ])
}

/// The class shares of the target, guessed from the one-sided plan's labels, are given to the source; then balanced.
fn proportioned(from: &Labelled, to: &Labelled) -> Outcome<f64> {
    let solver = entropic(0.05)?;
    let (source, target) = (from.source()?, to.target()?);
    let mut context = Context::default();
    let first = settings(Regularizer::group_lasso(0.1), mass(0.1));
    let first = Adaptation::new(&solver, first)?.fit(&source, &target, &mut context)?;
    let mut counts = std::collections::BTreeMap::<i64, f64>::new();
    // No class is ruled out by a guess.
    from.labels.iter().for_each(|label| {
        counts.insert(*label, 1.0);
    });
    for label in first.predict(&to.points)? {
        *counts.entry(label).or_default() += 1.0;
    }
    let total: f64 = counts.values().sum();
    counts.values_mut().for_each(|count| *count /= total);
    let again = settings(Regularizer::group_lasso(0.1), mass(f64::INFINITY));
    let source = source.proportioned(&counts)?;
    let fitted = Adaptation::new(&solver, again)?.fit(&source, &target, &mut context)?;
    to.told_by(fitted.adapted(), &from.labels)
}

/// MNIST and USPS, COIL1 and COIL2: pixels of unit norm.
fn whole(data: &Path) -> Outcome<Vec<[Labelled; 2]>> {
    let digits = data.join("mnist_usps16");
    let coil = data.join("coil20");
    let read = |name, points: PathBuf, labels: PathBuf| -> Outcome<Labelled> {
        Ok(domains::read(name, &points, &labels)?.unit())
    };
    Ok(vec![
        [
            read(
                "MNIST",
                digits.join("mnist16-images-idx3-ubyte.gz"),
                digits.join("mnist16-labels-idx1-ubyte.gz"),
            )?,
            read(
                "USPS",
                digits.join("usps16_raw.npy"),
                digits.join("usps16-labels-idx1-ubyte.gz"),
            )?,
        ],
        [
            read(
                "COIL1",
                coil.join("coil1.npy"),
                coil.join("coil1_labels.npy"),
            )?,
            read(
                "COIL2",
                coil.join("coil2.npy"),
                coil.join("coil2_labels.npy"),
            )?,
        ],
    ])
}

/// `--full` and `--data DIR`.
fn options() -> Outcome<(bool, Option<PathBuf>)> {
    let (mut full, mut data) = (false, None);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--full" => full = true,
            "--data" => data = Some(args.next().ok_or("`--data` needs a value")?.into()),
            _ => return Err(format!("`{arg}`: there are --full, --data DIR").into()),
        }
    }
    Ok((full, data))
}
