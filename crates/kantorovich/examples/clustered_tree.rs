//! A tree built by clustering real points, and how far transport along it is from transport between the points:
//! `cargo run --release -p kantorovich --example clustered_tree`.
//!
//! Average linkage joins the points of both sides (`fixtures/`: blood cells in 50 dimensions, cytometry in 4, words in 100)
//! into one binary tree, whose paths are the distances at which clusters were joined. Transport on it is exact in linear
//! time, once the tree is there; the table has its cost beside the optimum between the points, and the times. How well the
//! tree ranks is told by forty mixtures of the two sides, each at its own distance from one of them: the correlation of
//! the ranks that the two costs give them.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use kantorovich::closed::tree::{Linkage, TreeSolver, cluster};
use kantorovich::prelude::*;
use kantorovich::{DenseCost, TreeCost};
use ndarray::Array2;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

/// Mixtures of the two sides that are ranked.
const MIXTURES: usize = 40;

/// Two clouds of real points.
struct Clouds {
    name: &'static str,
    x: Array2<f64>,
    y: Array2<f64>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures");
    let read = |name: &str| ot_data::npy::read(fixtures.join(name))?.into_matrix();
    let clouds = [
        Clouds {
            name: "blood cells",
            x: read("cells/monocytes.npy")?,
            y: read("cells/dendritic.npy")?,
        },
        Clouds {
            name: "cytometry",
            x: read("cytometry/cfp.npy")?,
            y: read("cytometry/mixed.npy")?,
        },
        Clouds {
            name: "words",
            x: read("documents/apache-2.0.vectors.npy")?,
            y: read("documents/cc0-1.0.vectors.npy")?,
        },
    ];
    println!(
        "{:>12}{:>12}{:>10}{:>10}{:>8}{:>14}{:>16}{:>10}{:>10}{:>8}",
        "",
        "points",
        "exact",
        "tree",
        "ratio",
        "rank corr.",
        "clustering",
        "exact",
        "tree",
        "faster"
    );
    for clouds in &clouds {
        let (n, m, dim) = (clouds.x.nrows(), clouds.y.nrows(), clouds.x.ncols());
        let all: Vec<f64> = clouds.x.iter().chain(&clouds.y).copied().collect();
        let distances = PointCost::new(all.clone(), all.clone(), dim, Ground::Euclidean)?;
        let begun = Instant::now();
        let clustering = cluster(&distances, Linkage::Average)?;
        let clustered = begun.elapsed().as_secs_f64();

        // The same points as places and as nodes of the tree.
        let problems = |rows: &[usize], cols: &[usize]| -> Result<[Problem; 2], Box<dyn Error>> {
            let pick = |order: &[usize]| -> Vec<f64> {
                let point = |&k: &usize| all[k * dim..(k + 1) * dim].iter().copied();
                order.iter().flat_map(point).collect()
            };
            let points = PointCost::new(pick(rows), pick(cols), dim, Ground::Euclidean)?;
            let points = DenseCost::materialize(&points)?;
            let paths = TreeCost::new(Arc::clone(&clustering.tree), rows, cols)?;
            let (a, b) = (Measure::uniform(rows.len())?, Measure::uniform(cols.len())?);
            let exact = Problem::new(a.clone(), b.clone(), Arc::new(points))?;
            Ok([exact, Problem::new(a, b, Arc::new(paths))?])
        };
        let exact_solver = Registry::default().build("network-simplex", &Options::default())?;
        let solvers: [&dyn Solver; 2] = [exact_solver.as_ref(), &TreeSolver::default()];
        let (rows, cols): (Vec<_>, Vec<_>) = ((0..n).collect(), (n..n + m).collect());
        let (mut values, mut seconds) = ([0.0; 2], [0.0; 2]);
        let whole = problems(&rows, &cols)?;
        for (k, (solver, problem)) in solvers.iter().zip(&whole).enumerate() {
            let solution = solver.solve(problem)?.require_converged()?;
            values[k] = solution.transport_cost;
            seconds[k] = solution.solve_time.as_secs_f64();
        }
        let mut rng = Pcg64::seed_from_u64(3);
        let mut ranked = [Vec::new(), Vec::new()];
        for _ in 0..MIXTURES {
            let (mut of_x, mut of_y) = (rows.clone(), cols.clone());
            of_x.shuffle(&mut rng);
            of_y.shuffle(&mut rng);
            // Half of the one side, against the other half with more or less of the other side in it.
            let (source, rest) = of_x.split_at(n / 2);
            of_y.truncate(rng.random_range(0..=m));
            let target = [rest, &of_y].concat();
            let pair = problems(source, &target)?;
            for (k, (solver, problem)) in solvers.iter().zip(&pair).enumerate() {
                ranked[k].push(solver.solve(problem)?.require_converged()?.transport_cost);
            }
        }
        println!(
            "{:>12}{:>12}{:>10.4}{:>10.4}{:>8.3}{:>14.2}{:>14.3} s{:>8.4} s{:>8.4} s{:>8.0}",
            clouds.name,
            format!("{n}+{m}"),
            values[0],
            values[1],
            values[1] / values[0],
            spearman(&ranked[0], &ranked[1]),
            clustered,
            seconds[0],
            seconds[1],
            seconds[0] / seconds[1]
        );
    }
    Ok(())
}

/// The correlation of the ranks of two lists.
fn spearman(x: &[f64], y: &[f64]) -> f64 {
    let ranks = |v: &[f64]| {
        let mut order: Vec<usize> = (0..v.len()).collect();
        order.sort_by(|&i, &j| v[i].total_cmp(&v[j]));
        let mut ranks = vec![0.0; v.len()];
        order
            .iter()
            .enumerate()
            .for_each(|(r, &i)| ranks[i] = r as f64);
        ranks
    };
    let off: f64 = ranks(x)
        .iter()
        .zip(ranks(y))
        .map(|(x, y)| (x - y) * (x - y))
        .sum();
    let n = x.len() as f64;
    1.0 - 6.0 * off / (n * (n * n - 1.0))
}
