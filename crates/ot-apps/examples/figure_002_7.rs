//! Figure 2.7 of source 002: the colours of one photograph given to another one, channel by channel (above) and by
//! palettes in three dimensions (below), by exact, proximal and entropic plans; the corner of a mouth, zoomed.
//! Tables say how far each is from the exact map, how far the colours of the result are from those of the reference, and
//! how long an image of twelve megapixels takes.
//!
//! ```text
//! cargo run --release -p ot-apps --example figure_002_7 [-- --full]
//! ```
//! Photographs are those of `fixtures/photos`. `--full` takes palettes of 2 000 colours in the place of 300.

#[path = "shared/picture.rs"]
mod picture;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use ot_apps::{ChannelTransfer, ColourImage, Palette, PaletteSettings, PaletteTransfer};
use solver_api::{Context, Ground, PointCost, Problem, Reg, Solver};
use solver_exact::NetworkSimplex;
use solver_exact::closed::{Line, Settings as LineSettings};
use solver_ipot::{Ipot, Settings as IpotSettings};
use solver_stabilized::{Settings as EntropicSettings, SinkhornStabilized};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// Top left corner and side of what is zoomed, and how often each pixel is repeated.
const MOUTH: ([usize; 2], usize, usize) = ([93, 160], 32, 5);
/// Pixels between the images of the figure.
const GAP: usize = 8;
/// Colours that W₂ between images is measured on.
const MEASURED: usize = 400;

fn photo(name: &str) -> Outcome<ColourImage> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/photos");
    let loaded = ot_data::read(folder.join(format!("{name}.png")))?;
    let (shape, ot_data::Array::U8(levels)) = (loaded.array.shape().to_vec(), loaded.array) else {
        return Err(format!("{name}: bytes are wanted").into());
    };
    let size = (shape[0], shape[1]);
    Ok(ColourImage::new(
        "photo",
        size,
        levels.into_iter().collect::<Vec<u8>>(),
    )?)
}

fn entropic(reg: f64) -> Outcome<SinkhornStabilized> {
    Ok(SinkhornStabilized::new(EntropicSettings::with_reg(
        Reg::Relative(reg),
    ))?)
}

/// The largest and the mean difference of two images, in levels.
fn apart(one: &ColourImage, other: &ColourImage) -> (u8, f64) {
    let off = one.pixels().iter().zip(other.pixels());
    let off = off.map(|(a, b)| a.abs_diff(*b));
    let sum: f64 = off.clone().map(f64::from).sum();
    (off.max().unwrap_or(0), sum / one.pixels().len() as f64)
}

/// W₂ between the colours of two images, in levels: exact, between their palettes.
fn distance(one: &ColourImage, other: &ColourImage) -> Outcome<f64> {
    let [x, y] = [one, other].map(|i| Palette::clusters(i, MEASURED, 0, &Context::default()));
    let (x, y) = (x?, y?);
    let cost = PointCost::new(x.colours(), y.colours(), 3, Ground::SqEuclidean)?;
    let problem = Problem::new(x.weights().clone(), y.weights().clone(), Arc::new(cost))?;
    let cost = NetworkSimplex::default().solve(&problem)?.transport_cost;
    Ok(255.0 * cost.max(0.0).sqrt())
}

/// The image with the mouth in its upper right corner, as large as [`MOUTH`] says.
fn zoomed(image: &ColourImage) -> Vec<u8> {
    let ([top, left], side, times) = MOUTH;
    let (_, width) = image.size();
    let mut pixels = image.pixels().to_vec();
    for i in 0..side * times {
        for j in 0..side * times {
            let from = 3 * ((top + i / times) * width + left + j / times);
            let to = 3 * (i * width + width - side * times + j);
            let edge = i + 1 >= side * times || j == 0;
            for c in 0..3 {
                pixels[to + c] = if edge { 255 } else { image.pixels()[from + c] };
            }
        }
    }
    pixels
}

/// Rows of images of one size on white; the reference keeps its own and is put at the top of its place.
fn figure(rows: &[Vec<ColourImage>], zoom: &ColourImage) -> (Vec<usize>, Vec<u8>) {
    let (height, width) = zoom.size();
    let across = rows.iter().map(Vec::len).max().unwrap_or(0);
    let size = (
        rows.len() * (height + GAP) - GAP,
        across * (width + GAP) - GAP,
    );
    let mut sheet = vec![255; 3 * size.0 * size.1];
    for (r, row) in rows.iter().enumerate() {
        for (k, image) in row.iter().enumerate() {
            let own = if image.size() == zoom.size() {
                zoomed(image)
            } else {
                image.pixels().to_vec()
            };
            let line = 3 * image.size().1.min(width);
            let lines = own.chunks_exact(3 * image.size().1).take(height);
            for (i, pixels) in lines.enumerate() {
                let at = 3 * ((r * (height + GAP) + i) * size.1 + k * (width + GAP));
                sheet[at..at + line].copy_from_slice(&pixels[..line]);
            }
        }
    }
    (vec![size.0, size.1, 3], sheet)
}

/// The photograph again and again up to twelve megapixels, each time a little darker, so that no colours repeat.
fn large(image: &ColourImage) -> Outcome<ColourImage> {
    let size = (3000, 4000);
    let (height, width) = image.size();
    let mut pixels = Vec::with_capacity(3 * size.0 * size.1);
    for i in 0..size.0 {
        for j in 0..size.1 {
            let at = 3 * ((i % height) * width + j % width);
            let darker = (i / height + j / width) as u8;
            pixels.extend(
                image.pixels()[at..at + 3]
                    .iter()
                    .map(|p| p.saturating_sub(darker)),
            );
        }
    }
    Ok(ColourImage::new("large", size, pixels)?)
}

fn main() -> Outcome {
    let colours = match std::env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [] => 300,
        [full] if full == "--full" => 2000,
        [other, ..] => return Err(format!("`{other}`: there is --full").into()),
    };
    let (source, reference) = (photo("astronaut")?, photo("coffee")?);
    let context = Context::default();
    let (line, exact) = (
        Line::new(LineSettings::default())?,
        NetworkSimplex::default(),
    );
    let (rough, fine) = (entropic(1e-2)?, entropic(1e-3)?);
    let ipot = Ipot::new(IpotSettings::default())?;
    let solvers: [(&str, &dyn Solver); 5] = [
        ("closed form", &line),
        ("simplex", &exact),
        ("Sinkhorn 1e-2", &rough),
        ("Sinkhorn 1e-3", &fine),
        ("IPOT", &ipot),
    ];
    println!(
        "astronaut in the colours of coffee, {} threads",
        context.threads()
    );
    println!(
        "W2 of their colours: {:.1} levels",
        distance(&source, &reference)?
    );
    println!(
        "\nchannel by channel: levels from the closed form, W2 of the colours to the reference's"
    );
    println!(
        "{:>15}{:>10}{:>8}{:>8}{:>11}",
        "", "largest", "mean", "W2", "time, ms"
    );
    let mut rows = [vec![source.clone(), reference.clone()], vec![]];
    let mut first = None;
    for (name, solver) in solvers {
        let started = Instant::now();
        let map = ChannelTransfer::new(solver)?.fit(&source, &reference, &context)?;
        let moved = map.transform(&source);
        let time = 1e3 * started.elapsed().as_secs_f64();
        let (largest, mean) = apart(&moved, first.get_or_insert_with(|| moved.clone()));
        let to = distance(&moved, &reference)?;
        println!("{name:>15}{largest:>10}{mean:>8.2}{to:>8.1}{time:>11.1}");
        if name != "closed form" {
            rows[0].push(moved);
        }
    }
    println!(
        "\nby palettes of {colours} colours: levels from the simplex's, W2 of the colours to the reference's"
    );
    println!(
        "{:>15}{:>15}{:>10}{:>8}{:>8}{:>11}",
        "", "palette", "largest", "mean", "W2", "time, ms"
    );
    let mut first = None;
    let ways = [
        ("simplex", &exact as &dyn Solver, false, true),
        ("simplex", &exact, true, true),
        ("Sinkhorn 1e-2", &rough, false, false),
        ("… debiased", &rough, false, true),
        ("Sinkhorn 1e-3", &fine, false, false),
        ("IPOT", &ipot, false, true),
    ];
    for (name, solver, sampled, debiased) in ways {
        let settings = PaletteSettings {
            colours,
            sampled,
            debiased,
            ..PaletteSettings::default()
        };
        let started = Instant::now();
        let mut own = context.clone();
        let map = PaletteTransfer::new(solver, settings)?.fit(&source, &reference, 0, &mut own)?;
        let moved = map.transform(&source, &context)?;
        let time = 1e3 * started.elapsed().as_secs_f64();
        let (largest, mean) = apart(&moved, first.get_or_insert_with(|| moved.clone()));
        let to = distance(&moved, &reference)?;
        let palette = if sampled { "pixels" } else { "clusters" };
        println!("{name:>15}{palette:>15}{largest:>10}{mean:>8.2}{to:>8.1}{time:>11.1}");
        rows[1].push(moved);
    }
    let (shape, sheet) = figure(&rows, &source);
    let path = picture::path("figure_002_7.png")?;
    ot_data::png::write(&path, &shape, &sheet)?;
    println!(
        "\nabove, by channels: source, reference, simplex, Sinkhorn 1e-2 and 1e-3, IPOT; below, by palettes: in the table's order"
    );

    println!("\ntwelve megapixels, both images, from pixels to pixels");
    let (source, reference) = (large(&source)?, large(&reference)?);
    println!("{:>30}{:>9}", "", "time, s");
    let started = Instant::now();
    let map = ChannelTransfer::new(&line)?.fit(&source, &reference, &context)?;
    let _ = map.transform(&source);
    println!(
        "{:>30}{:>9.2}",
        "channels, closed form",
        started.elapsed().as_secs_f64()
    );
    for sampled in [false, true] {
        let settings = PaletteSettings {
            colours,
            sampled,
            ..PaletteSettings::default()
        };
        let started = Instant::now();
        let mut own = context.clone();
        let map = PaletteTransfer::new(&exact, settings)?.fit(&source, &reference, 0, &mut own)?;
        let _ = map.transform(&source, &context)?;
        let name = format!(
            "{colours} {}, simplex",
            if sampled { "pixels" } else { "clusters" }
        );
        println!("{name:>30}{:>9.2}", started.elapsed().as_secs_f64());
    }
    println!("\n{}", path.display());
    Ok(())
}
