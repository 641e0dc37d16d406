//! Digits by kernels exp(−d/t) of transport distances and by neighbours, as in 004 (after Cuturi, 2013, section 5.1): error
//! of a support vector machine against the number of digits to learn from, exact beside entropic transport at several ε
//! and beside distances that know nothing of the plane; t and C by cross-validation on the training digits.
//!
//! ```text
//! cargo run --release -p ot-apps --example kernel_digits [-- --full --data DIR] [--train N] [--test N] [--seeds N]
//! ```
//! `--train` and `--test` count digits in all. Tables of distances are kept in `target/tables` while they grow: started
//! again after an interruption, the example goes on with them.

#[path = "shared/args.rs"]
mod args;
#[path = "shared/chart.rs"]
mod chart;
#[path = "shared/picture.rs"]
mod picture;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use args::{Args, Outcome};
use chart::{Line, Panel};
use ot_apps::scores::mean_and_error;
use ot_apps::svm::select;
use ot_apps::{
    DistanceTable, Distances, Images, KernelClassifier, Neighbours, Score, SvmSettings,
    exponential_kernel, pixel_cost,
};
use plotters::prelude::*;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_pcg::Pcg64;
use solver_api::{Context, Ground, Measure, Reg, Solver};
use solver_exact::NetworkSimplex;
use solver_sinkhorn::{Settings, Sinkhorn};

/// ε as parts of the largest distance between pixels.
const REGS: [f64; 3] = [0.02, 0.05, 0.2];
const FOLDS: usize = 4;
/// t among these quantiles of the distances, and C, as Cuturi chooses them.
const QUANTILES: [f64; 3] = [0.1, 0.2, 0.5];
const PENALTIES: [f64; 4] = [0.1, 1.0, 10.0, 100.0];
/// How often a growing table is stored.
const STORED: Duration = Duration::from_secs(20);

/// Distances among the training digits, and from the test digits to them.
struct Tables {
    name: String,
    within: DistanceTable,
    across: DistanceTable,
}

fn main() -> Outcome {
    let args = Args::read(&["train", "test", "seeds"])?;
    let (train, labels) = args.digits("train")?;
    let (test, expected) = args.digits("t10k")?;
    let seeds = args.count("seeds", 3, 6) as u64;
    let train = first(&train, args.count("train", 200, 1000));
    let test = first(&test, args.count("test", 100, 500));
    let (labels, expected) = (&labels[..train.len()], &expected[..test.len()]);
    println!(
        "digits of {}: {} to learn from, {} to tell; {seeds} seeds, {FOLDS} folds",
        args.source(),
        train.len(),
        test.len()
    );

    let exact = NetworkSimplex::default();
    let mut tables = vec![transport("exact", &exact, &train, &test)?];
    for reg in REGS {
        let solver = Sinkhorn::new(Settings {
            tol: Some(1e-3),
            ..Settings::with_reg(Reg::Relative(reg))
        })?;
        let name = format!("Sinkhorn, ε = {reg}");
        tables.push(transport(&name, &solver, &train, &test)?);
    }
    tables.push(plain("Hellinger", &train, &test, &|p, q| {
        let terms = p.iter().zip(q).map(|(p, q)| (p.sqrt() - q.sqrt()).powi(2));
        terms.sum::<f64>().sqrt()
    })?);
    tables.push(plain("Euclidean", &train, &test, &|p, q| {
        let terms = p.iter().zip(q).map(|(p, q)| (p - q).powi(2));
        terms.sum::<f64>().sqrt()
    })?);

    println!(
        "\nerror in %, mean ± standard error over seeds (a seed draws the digits to learn from and the folds)"
    );
    let sizes: Vec<usize> = [4, 2, 1].iter().map(|k| train.len() / k).collect();
    print!("{:>22}", "machine on");
    sizes
        .iter()
        .for_each(|n| print!("{:>15}", format!("{n} digits")));
    println!(
        "{:>12}{:>10}{:>9}{:>20}",
        "t quantile", "C", "ridge", "nearest neighbour"
    );
    let mut curves = Vec::new();
    for table in &tables {
        let mut curve = Vec::new();
        let mut last = String::new();
        print!("{:>22}", table.name);
        for &n in &sizes {
            let mut errors = Vec::new();
            for seed in 0..seeds {
                let tried = tell(table, labels, expected, n, seed)?;
                errors.push(100.0 * tried.error);
                last = format!(
                    "{:>12}{:>10}{:>9.2}",
                    tried.quantile, tried.penalty, tried.ridge
                );
                if n == train.len() {
                    let nearest = nearest(table, labels, expected);
                    last += &format!("{:>20.1}", 100.0 * nearest);
                }
            }
            let (mean, error) = mean_and_error(&errors);
            print!("{:>15}", format!("{mean:.1} ± {error:.1}"));
            curve.push((n as f64, mean, error));
        }
        println!("{last}");
        curves.push(Line {
            name: table.name.clone(),
            points: curve,
        });
    }

    println!("\nneighbours that bounds leave to be solved for (exact, Euclidean ground)");
    let cost = pixel_cost(train.size(), &Ground::Euclidean)?;
    let context = Context::default();
    for count in [1, 5] {
        let begun = Instant::now();
        let neighbours = Neighbours::new(&exact, cost.clone(), count, Score::TransportCost)?;
        let fitted = neighbours.fit(&train, labels, &context)?;
        let fit = begun.elapsed().as_secs_f64();
        let begun = Instant::now();
        let voted = fitted.predict(&test, &context)?;
        let asked = begun.elapsed().as_secs_f64();
        println!(
            "k = {count}: {:.1} of {} a query, error {:.1} %; fit {fit:.1} s, {:.1} ms a query",
            voted.solved() as f64 / test.len() as f64,
            train.len(),
            100.0 * (1.0 - voted.accuracy(expected)?),
            1e3 * asked / test.len() as f64
        );
    }
    let file = picture::path("kernel_digits.svg")?;
    draw(&curves, &file)?;
    println!("\n{}", file.display());
    Ok(())
}

fn first(images: &Images, count: usize) -> Images {
    images.select(&(0..count.min(images.len())).collect::<Vec<_>>())
}

fn measures(images: &Images) -> Outcome<Vec<Measure>> {
    let all: Result<Vec<_>, _> = (0..images.len()).map(|i| images.measure(i)).collect();
    Ok(all?)
}

fn transport(name: &str, solver: &dyn Solver, train: &Images, test: &Images) -> Outcome<Tables> {
    let distances = Distances::new(
        solver,
        pixel_cost(train.size(), &Ground::Euclidean)?,
        Score::TransportCost,
    )?;
    let (train, test) = (measures(train)?, measures(test)?);
    Ok(Tables {
        name: name.to_owned(),
        within: grown(&distances, name, &train, None)?,
        across: grown(&distances, name, &test, Some(&train))?,
    })
}

/// A table, from where an earlier run has left it.
fn grown(
    distances: &Distances<'_>,
    name: &str,
    rows: &[Measure],
    cols: Option<&[Measure]>,
) -> Outcome<DistanceTable> {
    let (n, m) = (rows.len(), cols.unwrap_or(rows).len());
    // The digits are part of the name: another set's table is another table.
    let mut print = 0xcbf2_9ce4_8422_2325_u64;
    for w in rows
        .iter()
        .chain(cols.unwrap_or(&[]))
        .flat_map(Measure::weights)
    {
        print = (print ^ w.to_bits()).wrapping_mul(0x0100_0000_01b3);
    }
    let folder = PathBuf::from("target/tables");
    std::fs::create_dir_all(&folder)?;
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    let file = folder.join(format!("kernel_digits-{plain}-{n}x{m}-{print:016x}.npy"));
    let mut table = if file.is_file() {
        let stored = ot_data::read(&file)?.into_matrix()?;
        DistanceTable::from_values(n, m, stored.into_iter().collect::<Vec<_>>())?
    } else {
        DistanceTable::empty(n, m)?
    };
    let missing = table.missing();
    if missing == 0 {
        return Ok(table);
    }
    let context = Context::default();
    let begun = Instant::now();
    let mut stored = Instant::now();
    distances.fill(&mut table, rows, cols, &context, &mut |table| {
        if stored.elapsed() > STORED {
            stored = Instant::now();
            // Kept for a next run only: where it can't be, this one goes on.
            let _ = ot_data::npy::write(&file, &[n, m], table.values());
        }
    })?;
    let seconds = begun.elapsed().as_secs_f64();
    // Distances are symmetric: the mirror of an entry is not solved for.
    let solves = if cols.is_none() {
        missing.div_ceil(2)
    } else {
        missing
    };
    ot_data::npy::write(&file, &[n, m], table.values())?;
    println!(
        "{name}: {solves} solves for {n}×{m} in {seconds:.1} s, {:.0} a second on {} threads, {} short of their tolerance",
        solves as f64 / seconds,
        context.threads(),
        table.unconverged().len()
    );
    Ok(table)
}

fn plain(
    name: &str,
    train: &Images,
    test: &Images,
    distance: &dyn Fn(&[f64], &[f64]) -> f64,
) -> Outcome<Tables> {
    let (train, test) = (measures(train)?, measures(test)?);
    let table = |rows: &[Measure]| {
        let each = |p: &Measure| -> Vec<f64> {
            train
                .iter()
                .map(|q| distance(p.weights(), q.weights()))
                .collect()
        };
        DistanceTable::from_values(
            rows.len(),
            train.len(),
            rows.iter().flat_map(each).collect(),
        )
    };
    Ok(Tables {
        name: name.to_owned(),
        within: table(&train)?,
        across: table(&test)?,
    })
}

struct Tried {
    error: f64,
    quantile: f64,
    penalty: f64,
    ridge: f64,
}

/// Error on the test digits of a machine that learns from `n` digits, drawn by `seed`.
fn tell(tables: &Tables, labels: &[i64], expected: &[i64], n: usize, seed: u64) -> Outcome<Tried> {
    let mut drawn: Vec<usize> = (0..labels.len()).collect();
    drawn.shuffle(&mut Pcg64::seed_from_u64(seed));
    // Class by class in turns: few digits are enough of each for the folds.
    let mut seen = BTreeMap::<i64, usize>::new();
    let mut turns: Vec<(usize, usize)> = Vec::with_capacity(drawn.len());
    for i in drawn {
        let turn = seen.entry(labels[i]).or_default();
        turns.push((*turn, i));
        *turn += 1;
    }
    turns.sort_by_key(|(turn, _)| *turn);
    let drawn: Vec<usize> = turns.into_iter().take(n).map(|(_, i)| i).collect();
    let part = |table: &DistanceTable, rows: &[usize]| {
        let (_, m) = table.shape();
        let values = rows
            .iter()
            .flat_map(|i| drawn.iter().map(move |j| table.values()[i * m + j]));
        DistanceTable::from_values(rows.len(), n, values.collect())
    };
    let within = part(&tables.within, &drawn)?;
    let across = part(&tables.across, &(0..expected.len()).collect::<Vec<_>>())?;
    let labels: Vec<i64> = drawn.iter().map(|&i| labels[i]).collect();
    let widths: Vec<f64> = QUANTILES
        .iter()
        .filter_map(|&q| within.quantile(q))
        .collect();
    let context = Context::default();
    let chosen = select(&within, &labels, &widths, &PENALTIES, FOLDS, seed, &context)?;
    let settings = SvmSettings {
        penalty: chosen.penalty,
        ..SvmSettings::default()
    };
    let kernel = exponential_kernel(&within, chosen.t)?;
    let machine = KernelClassifier::fit(&kernel, &labels, settings)?;
    let found = machine.predict(&exponential_kernel(&across, chosen.t)?)?;
    let place = widths.iter().position(|t| *t == chosen.t).unwrap_or(0);
    Ok(Tried {
        error: 1.0 - ot_apps::scores::accuracy(&found, expected)?,
        quantile: QUANTILES[place],
        penalty: chosen.penalty,
        ridge: machine.ridge(),
    })
}

/// Error of the nearest neighbour by a table.
fn nearest(tables: &Tables, labels: &[i64], expected: &[i64]) -> f64 {
    let rows = tables.across.values().chunks_exact(labels.len());
    let wrong = rows.zip(expected).filter(|(row, class)| {
        let least = (0..row.len()).min_by(|&i, &j| row[i].total_cmp(&row[j]));
        least.is_none_or(|i| labels[i] != **class)
    });
    wrong.count() as f64 / expected.len() as f64
}

/// Errors by digits to learn from, each doubling of which takes the same width.
fn draw(lines: &[Line], file: &std::path::Path) -> Outcome {
    let root = SVGBackend::new(file, (720, 460)).into_drawing_area();
    root.fill(&WHITE)?;
    let panel = Panel {
        title: "Digits by exp(−d/t)",
        x: "digits to learn from",
        y: "error on test digits, %",
        log: true,
        from: Some(0.0),
        lines,
        legend: SeriesLabelPosition::UpperRight,
    };
    panel.draw(&root)?;
    root.present()?;
    Ok(())
}
