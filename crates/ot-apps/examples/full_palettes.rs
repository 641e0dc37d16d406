//! One photograph takes on the colours of another one, by the exact plan between all colours of both: no clusters, no samples.
//!
//! ```text
//! cargo run --release -p ot-apps --example full_palettes [-- --data DATA] [--threads N]
//! ```
//! Coffee takes the colours of a cat, photographs of `fixtures/`; with `--data`, a temple those of a flower (`DATA/photos`, 57 595 and
//! 45 063 colours). Each colour goes to the mean of where its mass goes. Images go to `target/figures/full_palettes.png`: source,
//! reference and result side by side.
#[path = "shared/options.rs"]
mod options;
#[path = "shared/picture.rs"]
mod picture;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use options::{Args, Outcome};
use ot_apps::{ColourImage, Palette};
use solver_api::{Context, Ground, PointCost, Problem, Solver};
use solver_exact::ExactPoints;

fn main() -> Outcome {
    let args = Args::read(&["threads"])?;
    let threads = args.count("threads", 2, 2);
    let (folder, names) = match &args.data {
        Some(data) => (data.join("photos"), ["china", "flower"]),
        None => {
            let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures");
            (fixtures.join("photos"), ["coffee", "chelsea"])
        }
    };
    let [source, reference] = names.map(|name| photo(folder.join(format!("{name}.png"))));
    let (source, reference) = (source?, reference?);
    let (from, to) = (Palette::every(&source)?, Palette::every(&reference)?);
    let started = Instant::now();
    let cost = PointCost::new(from.colours(), to.colours(), 3, Ground::SqEuclidean)?;
    let problem = Problem::new(from.weights().clone(), to.weights().clone(), Arc::new(cost))?;
    let mut context = Context::default().with_threads(threads)?;
    let solution = ExactPoints::default().solve_with(&problem, &mut context)?;
    let seconds = started.elapsed().as_secs_f64();
    let (n, m) = problem.shape();
    println!(
        "{} to {}: {n} and {m} colours, {threads} threads",
        names[0], names[1]
    );
    println!(
        "{:?} after {seconds:.1} s and {} pivots; W2 {:.3} levels, gap {:.1e} of the cost; a matrix would have {:.1} GB",
        solution.convergence.termination,
        solution.convergence.iterations.unwrap_or(0),
        255.0 * solution.transport_cost.sqrt(),
        solution.certificate.map_or(f64::NAN, |c| c.gap() / c.upper),
        8e-9 * n as f64 * m as f64,
    );
    let moved = solution.plan.barycentric_projection(to.colours(), 3)?;
    let result = recoloured(&source, &from, &moved)?;
    let file = picture::path("full_palettes.png")?;
    side_by_side(&file, &[&source, &reference, &result])?;
    println!("{}", file.display());
    Ok(())
}

fn photo(file: PathBuf) -> Outcome<ColourImage> {
    let read = ot_data::png::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let (shape, ot_data::Array::U8(levels)) = (read.array.shape().to_vec(), read.array) else {
        return Err(format!("{}: bytes are wanted", file.display()).into());
    };
    let levels: Vec<u8> = levels.into_iter().collect();
    Ok(ColourImage::new("photo", (shape[0], shape[1]), levels)?)
}

/// Every pixel by its own colour's word.
fn recoloured(image: &ColourImage, palette: &Palette, moved: &[f64]) -> Outcome<ColourImage> {
    let level = |c: &f64| (255.0 * c).round().clamp(0.0, 255.0) as u8;
    let three = |colours: &[f64]| -> Vec<[u8; 3]> {
        let colours = colours.chunks_exact(3);
        colours
            .map(|c| [level(&c[0]), level(&c[1]), level(&c[2])])
            .collect()
    };
    let (known, moved) = (three(palette.colours()), three(moved));
    let pixel = |p: &[u8]| known.binary_search(&[p[0], p[1], p[2]]).map(|at| moved[at]);
    let pixels: Result<Vec<_>, _> = image.pixels().chunks_exact(3).map(pixel).collect();
    let pixels = pixels.map_err(|_| "a pixel is not in its own palette")?;
    Ok(ColourImage::new("result", image.size(), pixels.concat())?)
}

/// Images on white, from left to right.
fn side_by_side(file: &Path, images: &[&ColourImage]) -> Outcome {
    const GAP: usize = 8;
    let height = images.iter().map(|i| i.size().0).max().unwrap_or(0);
    let width: usize = images.iter().map(|i| i.size().1 + GAP).sum();
    let mut pixels = vec![255; 3 * height * width];
    let mut left = 0;
    for image in images {
        let (_, own) = image.size();
        for (k, row) in image.pixels().chunks_exact(3 * own).enumerate() {
            let at = 3 * (k * width + left);
            pixels[at..at + row.len()].copy_from_slice(row);
        }
        left += own + GAP;
    }
    Ok(ot_data::png::write(file, &[height, width, 3], &pixels)?)
}
