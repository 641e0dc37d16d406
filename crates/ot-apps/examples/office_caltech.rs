//! Office-Caltech: labels of images of four origins carried to each other, 12 pairs, by features of images (SURF).
//!
//! ```text
//! cargo run --release -p ot-apps --example office_caltech [-- --full --data DIR]
//! ```
//! The whole protocol needs `office_caltech10/NAME_surf.npy` and `NAME_surf_labels.npy` (amazon, caltech, dslr, webcam) below
//! DIR; without it the same methods run on digits of two groups of writers, `fixtures/digits8`.

#[path = "shared/domains.rs"]
mod domains;

use std::path::PathBuf;

use domains::{Labelled, accuracy, entropic, fixtures, mass, settings, validated};
use ot_apps::adaptation::{Features, Jdot, JdotModel, JdotSettings, Regularizer};
use ot_apps::scores::{self, mean_and_error};
use solver_api::{Context, Solver};
use solver_exact::NetworkSimplex;

pub(crate) type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// What reverse validation chooses from: (ε, class weight, γ).
const GRID: [(f64, f64, f64); 7] = [
    (0.05, 0.1, f64::INFINITY),
    (0.05, 0.3, f64::INFINITY),
    (0.1, 1.0, f64::INFINITY),
    (0.2, 3.0, f64::INFINITY),
    (0.3, 5.0, f64::INFINITY),
    (0.05, 0.1, 0.1),
    (0.2, 3.0, 0.1),
];

/// JDOT whose predictions vote: ε, the weight of the distance, and the ridge.
const VOTERS: [[f64; 3]; 3] = [[0.05, 0.1, 0.2], [0.3, 1.0, 3.0], [1e-3, 3e-3, 1e-2]];

const METHODS: [&str; 12] = [
    "none",
    "emd",
    "sinkhorn",
    "lasso .05 .1",
    "lasso .2 3",
    "one-sided",
    "validated",
    "jdot exact",
    "jdot kernel",
    "jdot .05",
    "jdot .2 3",
    "jdot vote",
];

/// Rows that sum to one, then columns of mean 0 and variance 1.
fn standard(mut of: Labelled) -> Labelled {
    let (dim, n) = (of.dim, of.labels.len() as f64);
    for row in of.points.chunks_exact_mut(dim) {
        let sum: f64 = row.iter().sum();
        row.iter_mut()
            .for_each(|v| *v /= sum.max(f64::MIN_POSITIVE));
    }
    for t in 0..dim {
        let column = || of.points.iter().skip(t).step_by(dim);
        let mean = column().sum::<f64>() / n;
        let variance = column().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n;
        let deviation = if variance > 0.0 { variance.sqrt() } else { 1.0 };
        let column = of.points.iter_mut().skip(t).step_by(dim);
        column.for_each(|v| *v = (*v - mean) / deviation);
    }
    of
}

fn main() -> Outcome {
    let (full, data) = options()?;
    let domains = match data {
        Some(data) if full => office(&data)?,
        None if !full => fixtures()?.to_vec(),
        _ => return Err("--full and --data DIR go together".into()),
    };
    println!(
        "1-nearest neighbour on the adapted source, % of the target; ε on the cost divided by its maximum"
    );
    print!("{:>24}", "pair");
    METHODS.iter().for_each(|name| print!("{name:>14}"));
    println!();
    let mut columns: Vec<Vec<f64>> = vec![Vec::new(); METHODS.len()];
    for from in &domains {
        for to in domains.iter().filter(|to| to.name != from.name) {
            let row = pair(from, to)?;
            print!("{:>24}", format!("{} to {}", from.name, to.name));
            row.iter().for_each(|a| print!("{a:>14.1}"));
            println!();
            columns.iter_mut().zip(row).for_each(|(c, a)| c.push(a));
        }
    }
    print!("{:>24}", "mean");
    columns
        .iter()
        .for_each(|column| print!("{:>14.2}", mean_and_error(column).0));
    println!();
    // JDOT beside OTDA, pair by pair: neither tuned, and both.
    for (jdot, otda) in [(7, 4), (8, 4), (9, 3), (10, 4), (11, 4)] {
        let both = columns[jdot].iter().zip(&columns[otda]);
        let differences: Vec<f64> = both.map(|(j, l)| j - l).collect();
        let (mean, error) = mean_and_error(&differences);
        let spread = error * (differences.len() as f64).sqrt();
        println!(
            "{} less {}: {mean:+.2} ± {error:.2}, deviation over pairs {spread:.2}",
            METHODS[jdot], METHODS[otda]
        );
    }
    Ok(())
}

/// The accuracies of [`METHODS`].
fn pair(from: &Labelled, to: &Labelled) -> Outcome<[f64; 12]> {
    let balanced = mass(f64::INFINITY);
    let plain = || settings(Regularizer::None, balanced);
    let lasso = |weight| settings(Regularizer::group_lasso(weight), balanced);
    let relaxed = |weight| settings(Regularizer::group_lasso(weight), mass(0.1));
    let jdot = |solver: &dyn Solver, alpha, features, ridge| -> Outcome<Vec<i64>> {
        let settings = JdotSettings {
            model: JdotModel::Ridge { features, ridge },
            alpha,
            ..JdotSettings::default()
        };
        let (source, target) = (from.source()?, to.target()?);
        let fitted = Jdot::new(solver, settings)?.fit(&source, &target, &mut Context::default())?;
        Ok(fitted.predict(&to.points)?)
    };
    let right =
        |found: &[i64]| -> Outcome<f64> { Ok(100.0 * scores::accuracy(found, &to.labels)?) };
    let exact = NetworkSimplex::default();
    let mut votes = Vec::new();
    let [regs, alphas, ridges] = VOTERS;
    for reg in regs {
        let solver = entropic(reg)?;
        for alpha in alphas {
            for ridge in ridges {
                votes.push(jdot(&solver, alpha, Features::Linear, ridge)?);
            }
        }
    }
    let (name, chosen) = validated(&GRID, from, to)?;
    eprintln!("{} to {}: {name}", from.name, to.name);
    Ok([
        to.told_by(&from.points, &from.labels)?,
        accuracy(&NetworkSimplex::default(), plain(), from, to)?,
        accuracy(&entropic(0.05)?, plain(), from, to)?,
        accuracy(&entropic(0.05)?, lasso(0.1), from, to)?,
        accuracy(&entropic(0.2)?, lasso(3.0), from, to)?,
        accuracy(&entropic(0.2)?, relaxed(3.0), from, to)?,
        chosen,
        right(&jdot(&exact, 1.0, Features::Linear, 1e-2)?)?,
        right(&jdot(&exact, 1.0, Features::Gaussian { width: 1.0 }, 1e-2)?)?,
        right(&jdot(&entropic(0.05)?, 1.0, Features::Linear, 1e-2)?)?,
        right(&jdot(&entropic(0.2)?, 3.0, Features::Linear, 3e-3)?)?,
        right(&scores::majority(&votes)?)?,
    ])
}

/// The four origins: rows to sum one, z-score by domain, unit norm.
fn office(data: &std::path::Path) -> Outcome<Vec<Labelled>> {
    let folder = data.join("office_caltech10");
    let names = ["amazon", "caltech", "dslr", "webcam"];
    let read = |name: &str| {
        let points = folder.join(format!("{name}_surf.npy"));
        let labels = folder.join(format!("{name}_surf_labels.npy"));
        Ok(standard(domains::read(name, &points, &labels)?).unit())
    };
    names.into_iter().map(read).collect()
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
