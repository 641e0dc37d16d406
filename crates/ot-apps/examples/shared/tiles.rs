//! Rows of grey images with labels, as one SVG.

use std::fmt::Write;
use std::path::Path;

/// Side of a tile on the page, and the room for labels.
const TILE: usize = 74;
const GAP: usize = 6;
const LABELS: usize = 190;
/// Room for the title.
const LEAST: usize = 560;

/// A row: what it is called (lines), and its images, each height×width with values from 0 on.
pub(crate) struct Row {
    pub(crate) label: Vec<String>,
    pub(crate) images: Vec<Vec<f64>>,
}

/// Writes rows of images of height×width, each from white (0) to black (its own largest value).
pub(crate) fn write(
    path: &Path,
    title: &str,
    (height, width): (usize, usize),
    rows: &[Row],
) -> Result<(), Box<dyn std::error::Error>> {
    let columns = rows.iter().map(|row| row.images.len()).max().unwrap_or(0);
    let (wide, tall) = (
        (LABELS + columns * (TILE + GAP) + GAP).max(LEAST),
        40 + rows.len() * (TILE + GAP) + GAP,
    );
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{wide}\" height=\"{tall}\" font-family=\"sans-serif\">\n\
         <rect width=\"{wide}\" height=\"{tall}\" fill=\"white\"/>\n\
         <text x=\"12\" y=\"25\" font-size=\"16\">{title}</text>\n"
    );
    for (r, row) in rows.iter().enumerate() {
        let top = 40 + r * (TILE + GAP);
        let first = top + TILE / 2 + 5 - 8 * row.label.len().saturating_sub(1);
        for (l, line) in row.label.iter().enumerate() {
            let size = if l == 0 { 13 } else { 11 };
            let y = first + 16 * l;
            writeln!(
                svg,
                "<text x=\"12\" y=\"{y}\" font-size=\"{size}\">{line}</text>"
            )?;
        }
        for (c, image) in row.images.iter().enumerate() {
            let left = LABELS + c * (TILE + GAP);
            let data = base64(&grey(image, height, width)?);
            writeln!(
                svg,
                "<image x=\"{left}\" y=\"{top}\" width=\"{TILE}\" height=\"{TILE}\" \
                 image-rendering=\"pixelated\" href=\"data:image/png;base64,{data}\"/>\n\
                 <rect x=\"{left}\" y=\"{top}\" width=\"{TILE}\" height=\"{TILE}\" fill=\"none\" stroke=\"#bbb\"/>"
            )?;
        }
    }
    svg += "</svg>\n";
    std::fs::write(path, svg)?;
    Ok(())
}

fn grey(image: &[f64], height: usize, width: usize) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let most = image.iter().fold(0.0_f64, |m, v| m.max(*v));
    let unit = if most > 0.0 { 255.0 / most } else { 0.0 };
    let bytes: Vec<u8> = image
        .iter()
        .map(|v| (255.0 - v * unit).round() as u8)
        .collect();
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, width as u32, height as u32);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header()?.write_image_data(&bytes)?;
    Ok(out)
}

fn base64(bytes: &[u8]) -> String {
    const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk
            .iter()
            .enumerate()
            .fold(0_u32, |w, (k, b)| w | u32::from(*b) << (16 - 8 * k));
        for k in 0..4 {
            let sign = SIGNS[(word >> (18 - 6 * k) & 63) as usize];
            text.push(if k <= chunk.len() { sign as char } else { '=' });
        }
    }
    text
}
