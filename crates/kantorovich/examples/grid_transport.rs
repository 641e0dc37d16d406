//! How one picture becomes another when its grey moves as cheaply as it can: 64×64 pixels, all pairs of 4096 × 4096, and
//! no matrix. The plan is implicit; its barycentric map says where each pixel's grey goes, and the frames show it on its
//! way.
//!
//! `cargo run --release --example grid_transport [-- A.npy B.npy OUT.svg]`

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kantorovich::prelude::*;

/// Frames, the first and the last picture included.
const FRAMES: usize = 7;
/// Pixels of the drawing for one of the picture.
const SCALE: usize = 3;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<PathBuf> = std::env::args().skip(1).map(PathBuf::from).collect();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/dotmark");
    let file = |k: usize, name: &str| args.get(k).cloned().unwrap_or_else(|| fixtures.join(name));
    let (a, dims) = picture(&file(0, "classicimages-camera-64.npy"))?;
    let (b, other) = picture(&file(1, "cauchydensity-0-64.npy"))?;
    if dims != other {
        return Err(format!("the pictures are {dims:?} and {other:?}").into());
    }
    let out = args
        .get(2)
        .cloned()
        .unwrap_or_else(|| "target/figures/grid_transport.svg".into());
    if let Some(folder) = out.parent() {
        std::fs::create_dir_all(folder)?;
    }

    let cost = Arc::new(GridCost::new(&dims, GridGround::SqEuclidean)?);
    let problem = Problem::new(a.clone(), b.clone(), cost)?;
    let options = Options {
        reg: Some(Reg::Relative(1e-4)),
        tol: Some(1e-6),
        ..Options::default()
    };
    let solver = Registry::new().build("sinkhorn-stabilized", &options)?;
    let solution = solver.solve(&problem)?.require_converged()?;
    println!(
        "{dims:?}: {} iterations, {:.2} s; cost {:.4} in {:?}",
        solution.convergence.iterations.unwrap_or_default(),
        solution.solve_time.as_secs_f64(),
        solution.transport_cost,
        solution.certificate,
    );

    let centres: Vec<f64> = (0..dims[0] * dims[1])
        .flat_map(|i| [(i / dims[1]) as f64, (i % dims[1]) as f64])
        .collect();
    let targets = solution.plan.barycentric_projection(&centres, 2)?;
    let mut frames = Vec::new();
    for frame in 0..FRAMES {
        let t = frame as f64 / (FRAMES - 1) as f64;
        frames.push(if frame + 1 == FRAMES {
            b.weights().to_vec()
        } else {
            moved(&dims, a.weights(), &centres, &targets, t)
        });
    }
    std::fs::write(&out, drawing(&dims, &frames)?)?;
    println!("{}", out.display());
    Ok(())
}

/// A picture as a measure of mass 1: a matrix, or the pixels of a square one after another.
fn picture(path: &Path) -> Result<(Measure, [usize; 2]), Box<dyn Error>> {
    let pixels = ot_data::read(path)?.into_matrix()?;
    let dims = match (pixels.nrows(), pixels.ncols()) {
        (n, 1) if n.isqrt().pow(2) == n => [n.isqrt(); 2],
        (height, width) => [height, width],
    };
    let weights: Vec<f64> = pixels.iter().copied().collect();
    Ok((Measure::new(weights)?.normalized(), dims))
}

/// Each pixel's grey a part `t` of its way along, spread over the four pixels around.
fn moved(dims: &[usize; 2], a: &[f64], from: &[f64], to: &[f64], t: f64) -> Vec<f64> {
    let mut out = vec![0.0; a.len()];
    for (k, &w) in a.iter().enumerate() {
        let at = [0, 1].map(|c| {
            let x = (1.0 - t) * from[2 * k + c] + t * to[2 * k + c];
            x.clamp(0.0, dims[c] as f64 - 1.0)
        });
        for corner in 0..4 {
            let mut share = w;
            let mut cell = 0;
            for c in 0..2 {
                let low = at[c].floor();
                let up = (corner >> c) & 1;
                share *= if up == 1 {
                    at[c] - low
                } else {
                    1.0 - (at[c] - low)
                };
                cell = cell * dims[c] + (low as usize + up).min(dims[c] - 1);
            }
            out[cell] += share;
        }
    }
    out
}

/// The frames side by side, a square for each pixel.
fn drawing(dims: &[usize; 2], frames: &[Vec<f64>]) -> Result<String, std::fmt::Error> {
    let [h, w] = *dims;
    let (wide, gap) = (w * SCALE, 8);
    let total = frames.len() * (wide + gap) + gap;
    let tall = h * SCALE + 2 * gap;
    let mut svg = format!(
        "<svg xmlns='http://www.w3.org/2000/svg' width='{total}' height='{tall}' shape-rendering='crispEdges'>\
         <rect width='100%' height='100%' fill='#fff'/>"
    );
    for (k, frame) in frames.iter().enumerate() {
        let mut sorted = frame.clone();
        sorted.sort_by(f64::total_cmp);
        // The brightest hundredth is white.
        let white = sorted[sorted.len() * 99 / 100].max(f64::MIN_POSITIVE);
        for (i, &v) in frame.iter().enumerate() {
            let grey = (255.0 * (v / white).clamp(0.0, 1.0).sqrt()) as u8;
            let (x, y) = (gap + k * (wide + gap) + i % w * SCALE, gap + i / w * SCALE);
            write!(
                svg,
                "<rect x='{x}' y='{y}' width='{SCALE}' height='{SCALE}' fill='#{grey:02x}{grey:02x}{grey:02x}'/>"
            )?;
        }
    }
    svg.push_str("</svg>\n");
    Ok(svg)
}
