//! Box plots: median, quartiles, least and largest value, and every value as a dot.

use std::path::Path;

use plotters::prelude::*;

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// Boxes side by side, each with a name below it.
#[derive(Default)]
pub(crate) struct Boxes {
    boxes: Vec<(String, Vec<f64>)>,
}

impl Boxes {
    /// A box of some values, at least one.
    pub(crate) fn push(&mut self, name: String, mut values: Vec<f64>) {
        values.sort_by(f64::total_cmp);
        self.boxes.push((name, values));
    }

    pub(crate) fn draw(&self, file: &Path, x: &str, y: &str) -> Outcome {
        let all = || self.boxes.iter().flat_map(|(_, v)| v.iter().copied());
        let (low, high) = (all().fold(0.0, f64::min), all().fold(0.0, f64::max));
        let room = 0.08 * (high - low).max(1e-9);
        let root = SVGBackend::new(file, (720, 420)).into_drawing_area();
        root.fill(&WHITE)?;
        let name = |at: &SegmentValue<usize>| match at {
            SegmentValue::CenterOf(k) => {
                let named = self.boxes.get(*k);
                named.map_or_else(String::new, |(name, _)| name.clone())
            }
            _ => String::new(),
        };
        let mut chart = ChartBuilder::on(&root)
            .margin(12)
            .x_label_area_size(42)
            .y_label_area_size(66)
            .build_cartesian_2d(
                (0..self.boxes.len().saturating_sub(1)).into_segmented(),
                (low - room) as f32..(high + room) as f32,
            )?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .x_desc(x)
            .y_desc(y)
            .x_labels(self.boxes.len() + 1)
            .x_label_formatter(&name)
            .draw()?;
        let blue = RGBColor(31, 78, 140);
        for (k, (_, values)) in self.boxes.iter().enumerate() {
            let at = |v: f64| (SegmentValue::CenterOf(k), v as f32);
            let of = |share| at(quantile(values, share));
            let whiskers = PathElement::new([of(0.0), of(1.0)], blue.stroke_width(1));
            let stem = PathElement::new([of(0.25), of(0.75)], blue.mix(0.25).stroke_width(28));
            chart.draw_series([whiskers, stem])?;
            let line = Rectangle::new([(-14, -1), (14, 1)], blue.filled());
            chart.draw_series([EmptyElement::at(of(0.5)) + line])?;
            let dot = |v: &f64| Circle::new(at(*v), 2, blue.mix(0.6).filled());
            chart.draw_series(values.iter().map(dot))?;
        }
        root.present()?;
        Ok(())
    }
}

/// Of sorted values, between neighbours by their distance.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    let at = share * last as f64;
    let below = (at.floor() as usize).min(last);
    let above = (below + 1).min(last);
    sorted[below] + (at - at.floor()) * (sorted[above] - sorted[below])
}
