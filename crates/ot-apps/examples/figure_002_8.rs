//! Figure 2.8 of source 002: barycenters of handwritten digits that are scaled and shifted at random, on a grid of 50×50
//! cells; entropic ones at several ε, debiased, and by proximal steps. How sharp each is, as a number: its entropy, and what
//! its mean cost is at most, beside the least there is.
//!
//! As 002 has it: digits are brought to half to double of their size and put on the grid with a bias towards its corners;
//! 50 of each class, equal weights, costs over their largest.
//!
//! ```text
//! cargo run --release -p ot-apps --example figure_002_8                         # 12 digits of three classes of fixtures/
//! cargo run --release -p ot-apps --example figure_002_8 -- --full --data DATA   # 50 of ten
//! ```

#[path = "shared/args.rs"]
mod args;
#[path = "shared/picture.rs"]
mod picture;
#[path = "shared/tiles.rs"]
mod tiles;

use std::sync::Arc;
use std::time::Instant;

use args::{Args, Outcome};
use ot_apps::barycenters::entropy;
use ot_apps::{
    Bregman, BregmanSettings, FixedSupport, FixedSupportSettings, Images, IpotBarycenter,
    IpotBarycenterSettings,
};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use solver_api::{Barycenters, Context, Cost, GridCost, GridGround, Measure, Reg};
use solver_stabilized::SinkhornStabilized;
use tiles::Row;

const SIDE: usize = 50;
/// 002's ε and β, and its iterations.
const EPSILON: f64 = 1e-3;
const ITERATIONS: u64 = 50;
/// Digits of a class that are shown.
const SHOWN: usize = 1;

fn main() -> Outcome {
    let args = Args::read(&["digits", "classes", "iterations", "seed"])?;
    let count = args.count("digits", 12, 50);
    let classes = args.count("classes", 3, 10).min(10);
    let iterations = args.count("iterations", 200, 200) as u64;
    let seed = args.count("seed", 1, 1) as u64;
    let (images, labels) = args.digits("train")?;
    println!(
        "{count} digits of {classes} classes of {}, seed {seed}, on {SIDE}×{SIDE} cells\n",
        args.source()
    );
    let cost: Arc<dyn Cost> = Arc::new(GridCost::new(&[SIDE, SIDE], GridGround::SqEuclidean)?);
    let entropic = SinkhornStabilized::default();
    let methods = methods(iterations, &entropic)?;
    let mut rows: Vec<Row> = vec![Row {
        label: vec!["one of the digits".to_owned()],
        images: Vec::new(),
    }];
    let mut sums = vec![[0.0; 5]; methods.len()];
    rows.extend(methods.iter().map(|(label, _)| Row {
        label: label.clone(),
        images: Vec::new(),
    }));
    for class in 0..classes {
        let measures = scaled_and_shifted(&images, &labels, class as i64, count, seed)?;
        rows[0]
            .images
            .extend(measures.iter().take(SHOWN).map(|p| p.weights().to_vec()));
        for (k, (_, method)) in methods.iter().enumerate() {
            let started = Instant::now();
            let equal = vec![1.0; measures.len()];
            let answer = method.barycenter(&cost, &measures, &equal, &mut Context::default())?;
            let seconds = started.elapsed().as_secs_f64();
            let bracket = answer.certificate.ok_or("the context asks for a bracket")?;
            let of = [
                entropy(&answer.weights),
                bracket.upper,
                bracket.lower,
                answer.convergence.iterations.unwrap_or(0) as f64,
                seconds,
            ];
            sums[k]
                .iter_mut()
                .zip(of)
                .for_each(|(sum, of)| *sum += of / classes as f64);
            rows[k + 1].images.push(answer.weights.weights().to_vec());
        }
    }
    println!(
        "{:<44}{:>10}{:>22}{:>14}{:>12}{:>10}",
        "means over the classes",
        "entropy",
        "mean cost, at most",
        "least, from",
        "iterations",
        "seconds"
    );
    for ((label, _), [entropy, upper, lower, iterations, seconds]) in methods.iter().zip(&sums) {
        let name = label.join(", ");
        println!(
            "{name:<44}{entropy:>10.3}{upper:>22.3}{lower:>14.3}{iterations:>12.0}{seconds:>10.2}"
        );
    }
    let inputs: f64 = rows[0]
        .images
        .iter()
        .map(|p| Ok(entropy(&Measure::new(p.clone())?)))
        .sum::<Result<f64, solver_api::Error>>()?;
    println!(
        "\na digit has an entropy of {:.3}, the uniform measure {:.3}; costs in squared cells",
        inputs / rows[0].images.len() as f64,
        ((SIDE * SIDE) as f64).ln()
    );
    let path = picture::path("figure_002_8.svg")?;
    let title =
        format!("Barycenters of {count} scaled and shifted digits a class, {SIDE}×{SIDE} cells");
    tiles::write(&path, &title, (SIDE, SIDE), &rows)?;
    println!("{}", path.display());
    Ok(())
}

type Method<'a> = (Vec<String>, Box<dyn Barycenters + 'a>);

fn methods<'a>(iterations: u64, entropic: &'a SinkhornStabilized) -> Outcome<Vec<Method<'a>>> {
    let label = |lines: &[&str]| lines.iter().map(ToString::to_string).collect();
    let bregman = |reg: f64, debiased: bool| -> Outcome<Box<dyn Barycenters>> {
        Ok(Box::new(Bregman::new(BregmanSettings {
            reg: Reg::Relative(reg),
            debiased,
            ..BregmanSettings::default()
        })?))
    };
    let ipot = |beta: f64, max_iter: u64, printed: bool| -> Outcome<Box<dyn Barycenters>> {
        Ok(Box::new(IpotBarycenter::new(IpotBarycenterSettings {
            beta: Reg::Relative(beta),
            max_iter,
            printed,
            tol: 1e-4,
            ..IpotBarycenterSettings::default()
        })?))
    };
    let descent = FixedSupport::new(
        entropic,
        FixedSupportSettings {
            max_iter: 15,
            ..FixedSupportSettings::default()
        },
    )?;
    Ok(vec![
        (
            label(&["descent along potentials", "(ε = 1e-2, [29])"]),
            Box::new(descent),
        ),
        (
            label(&["Bregman projections", "ε = 1e-2 ([3], [30])"]),
            bregman(1e-2, false)?,
        ),
        (
            label(&["Bregman projections", "ε = 4e-3"]),
            bregman(4e-3, false)?,
        ),
        (
            label(&["Bregman projections", "ε = 1e-3, 002's"]),
            bregman(EPSILON, false)?,
        ),
        (label(&["debiased", "ε = 4e-3"]), bregman(4e-3, true)?),
        (
            label(&["IPOT as printed", "β = 1e-3, 50 iterations"]),
            ipot(EPSILON, ITERATIONS, true)?,
        ),
        (
            label(&["IPOT", &format!("β = 0.1, {iterations} iterations")]),
            ipot(0.1, iterations, false)?,
        ),
    ])
}

/// Digits of a class, each half to double as large and nearer to a corner than to the middle.
fn scaled_and_shifted(
    images: &Images,
    labels: &[i64],
    class: i64,
    count: usize,
    seed: u64,
) -> Outcome<Vec<Measure>> {
    let mut rng = Pcg64::seed_from_u64(seed.wrapping_mul(10).wrapping_add(class as u64));
    let mut own: Vec<usize> = (0..labels.len()).filter(|&i| labels[i] == class).collect();
    if own.len() < count {
        return Err(format!("class {class} has {} digits only", own.len()).into());
    }
    let (height, width) = images.size();
    let mut measures = Vec::with_capacity(count);
    for k in 0..count {
        let pick = rng.random_range(k..own.len());
        own.swap(k, pick);
        let image = images.image(own[k]);
        let scale: f64 = rng.random_range(0.5..2.0);
        // Where the first row and column go; most of it near either end of what is free.
        let mut corner = |cells: usize| {
            let free = SIDE as f64 - scale * cells as f64;
            let bias: f64 = rng.random();
            free * 0.5 * (1.0 - (std::f64::consts::PI * bias).cos())
        };
        let (top, left) = (corner(height), corner(width));
        let value = |y: f64, x: f64| -> f64 {
            // Between the four pixels around; nothing outside.
            let at = |y: f64, x: f64| -> f64 {
                if y < 0.0 || x < 0.0 || y >= height as f64 || x >= width as f64 {
                    return 0.0;
                }
                image[y as usize * width + x as usize]
            };
            let (y0, x0) = (y.floor(), x.floor());
            let (fy, fx) = (y - y0, x - x0);
            (1.0 - fy) * ((1.0 - fx) * at(y0, x0) + fx * at(y0, x0 + 1.0))
                + fy * ((1.0 - fx) * at(y0 + 1.0, x0) + fx * at(y0 + 1.0, x0 + 1.0))
        };
        // Four samples a cell: half as large means that four pixels meet in one.
        let cell = |e: usize| -> f64 {
            let (row, col) = ((e / SIDE) as f64, (e % SIDE) as f64);
            let part = |s: f64| [0.25, 0.75].map(|o| s + o);
            let samples = part(row)
                .into_iter()
                .flat_map(|y| part(col).map(|x| (y, x)));
            samples
                .map(|(y, x)| value((y - top) / scale - 0.5, (x - left) / scale - 0.5))
                .sum()
        };
        measures.push(Measure::new((0..SIDE * SIDE).map(cell).collect::<Vec<_>>())?.normalized());
    }
    Ok(measures)
}
