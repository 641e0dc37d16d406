//! Joint densities as heat maps with both marginals beside them, in one SVG.

use std::error::Error;
use std::fmt::Write;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// White to dark blue, even steps of lightness.
const COLOURS: [[f64; 3]; 6] = [
    [255.0, 255.0, 255.0],
    [214.0, 229.0, 244.0],
    [147.0, 195.0, 223.0],
    [75.0, 151.0, 201.0],
    [24.0, 100.0, 170.0],
    [8.0, 42.0, 97.0],
];
const MADE: RGBColor = RGBColor(214, 96, 30);
/// Pictures are drawn so many times as large as they are shown: the backend knows whole pixels only.
const FINE: u32 = 4;
/// Height of a strip with a marginal, and the room for labels, of a panel and of the title.
const STRIP: u32 = 74 * FINE;
const LABELS: u32 = 36 * FINE;
const SIDE: u32 = 330 * FINE;
const TALL: u32 = 372 * FINE;
const HEAD: u32 = 52 * FINE;
const UNIT: i32 = FINE as i32;

/// A joint density with its marginals and the true ones.
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) below: String,
    pub(crate) x: Vec<f64>,
    pub(crate) y: Vec<f64>,
    /// A row for each x.
    pub(crate) density: Vec<f64>,
    pub(crate) made: [Vec<f64>; 2],
    pub(crate) real: [Vec<f64>; 2],
}

/// Rows of panels.
pub(crate) fn write(path: &Path, title: &str, rows: &[Vec<Panel>]) -> Outcome {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0) as u32;
    let (wide, tall) = (columns * SIDE + 10 * FINE, rows.len() as u32 * TALL + HEAD);
    let (mut svg, mut images) = (String::new(), String::new());
    {
        let root = SVGBackend::with_string(&mut svg, (wide, tall)).into_drawing_area();
        root.fill(&WHITE)?;
        let text = |size: u32| ("sans-serif", FINE * size).into_font().color(&BLACK);
        root.draw(&Text::new(
            title.to_owned(),
            (12 * UNIT, 10 * UNIT),
            text(17),
        ))?;
        let legend = [
            (BLACK, "wanted marginal"),
            (MADE, "marginal of the joint density"),
        ];
        let mut left = 12 * UNIT;
        for (colour, name) in legend {
            let line = PathElement::new(
                [(left, 40 * UNIT), (left + 22 * UNIT, 40 * UNIT)],
                colour.stroke_width(2 * FINE),
            );
            root.draw(&line)?;
            root.draw(&Text::new(name, (left + 28 * UNIT, 33 * UNIT), text(13)))?;
            left += (60 + 7 * name.len() as i32) * UNIT;
        }
        for (r, row) in rows.iter().enumerate() {
            for (c, panel) in row.iter().enumerate() {
                let at = (c as u32 * SIDE, HEAD + r as u32 * TALL);
                let area = root.clone().shrink((at.0, at.1), (SIDE, TALL));
                panel.draw(&area, &mut images)?;
            }
        }
        root.present()?;
    }
    // Pictures last: they lie over nothing but their own frames.
    let drawn = format!("width=\"{wide}\" height=\"{tall}\"");
    let shown = format!("width=\"{}\" height=\"{}\"", wide / FINE, tall / FINE);
    let svg = svg
        .replacen(&drawn, &shown, 1)
        .replace("</svg>", &format!("{images}</svg>"));
    std::fs::write(path, svg)?;
    Ok(())
}

impl Panel {
    fn draw(&self, area: &Area<'_>, images: &mut String) -> Outcome {
        let text = |size: u32| ("sans-serif", FINE * size).into_font().color(&BLACK);
        area.draw(&Text::new(
            self.title.clone(),
            (LABELS as i32, 4 * UNIT),
            text(14),
        ))?;
        let body = area.margin(24 * FINE, 26 * FINE, 0, 4 * FINE);
        let (wide, tall) = body.dim_in_pixel();
        let (side, down) = (wide - STRIP, tall - STRIP);
        let ends = |v: &[f64]| v[0]..v[v.len() - 1];
        let (top, rest) = body.split_vertically(STRIP);
        let (map, right) = rest.split_horizontally(side);
        let (top, _) = top.split_horizontally(side);
        let most = |k: usize| {
            let all = self.made[k].iter().chain(&self.real[k]);
            1.1 * all.fold(0.0_f64, |m, v| m.max(*v))
        };
        let mut above = ChartBuilder::on(&top)
            .margin_left(LABELS)
            .build_cartesian_2d(ends(&self.x), 0.0..most(0))?;
        for (values, style) in [
            (&self.real[0], BLACK.stroke_width(2 * FINE)),
            (&self.made[0], MADE.stroke_width(FINE)),
        ] {
            let points = self.x.iter().copied().zip(values.iter().copied());
            above.draw_series(LineSeries::new(points, style))?;
        }
        let mut beside = ChartBuilder::on(&right)
            .margin_bottom(LABELS)
            .build_cartesian_2d(0.0..most(1), ends(&self.y))?;
        for (values, style) in [
            (&self.real[1], BLACK.stroke_width(2 * FINE)),
            (&self.made[1], MADE.stroke_width(FINE)),
        ] {
            let points = values.iter().copied().zip(self.y.iter().copied());
            beside.draw_series(LineSeries::new(points, style))?;
        }
        let mut chart = ChartBuilder::on(&map)
            .x_label_area_size(LABELS)
            .y_label_area_size(LABELS)
            .build_cartesian_2d(ends(&self.x), ends(&self.y))?;
        chart
            .configure_mesh()
            .disable_mesh()
            .x_labels(7)
            .y_labels(7)
            .x_label_formatter(&|v| format!("{v:.0}"))
            .y_label_formatter(&|v| format!("{v:.0}"))
            .x_desc("x")
            .y_desc("y")
            .label_style(text(11))
            .axis_desc_style(text(12))
            .axis_style(BLACK.stroke_width(FINE))
            .set_all_tick_mark_size(4 * FINE)
            .draw()?;
        let (xs, ys) = chart.plotting_area().get_pixel_range();
        writeln!(
            images,
            "<image x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" preserveAspectRatio=\"none\" \
             href=\"data:image/png;base64,{}\"/>",
            xs.start + 1,
            ys.start,
            xs.end - xs.start - 1,
            ys.end - ys.start - 1,
            base64(&self.png()?)
        )?;
        let place = (LABELS as i32, 28 * UNIT + (STRIP + down) as i32);
        area.draw(&Text::new(self.below.clone(), place, text(12)))?;
        Ok(())
    }

    /// A pixel for each point of the grid; y grows upward.
    fn png(&self) -> Outcome<Vec<u8>> {
        let (n, m) = (self.x.len(), self.y.len());
        let most = self.density.iter().fold(0.0_f64, |m, v| m.max(*v));
        let mut bytes = Vec::with_capacity(3 * n * m);
        for j in (0..m).rev() {
            for i in 0..n {
                // The root shows the feet of steep densities, too.
                let part = (self.density[i * m + j] / most).clamp(0.0, 1.0).sqrt();
                let at = part * (COLOURS.len() - 1) as f64;
                let k = (at as usize).min(COLOURS.len() - 2);
                let share = at - k as f64;
                let (low, high) = (COLOURS[k], COLOURS[k + 1]);
                for c in 0..3 {
                    bytes.push((low[c] + share * (high[c] - low[c])).round() as u8);
                }
            }
        }
        let mut out = Vec::new();
        let mut encoder = png::Encoder::new(&mut out, n as u32, m as u32);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.write_header()?.write_image_data(&bytes)?;
        Ok(out)
    }
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
