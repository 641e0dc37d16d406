//! Box plots: median, quartiles, whiskers of 1.5 times the box, and every value as a dot.

use std::path::Path;

use plotters::data::Quartiles;
use plotters::prelude::*;

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// Boxes side by side, each with a name below it.
#[derive(Default)]
pub(crate) struct Boxes {
    boxes: Vec<(String, Vec<f64>)>,
}

impl Boxes {
    /// A box of some values, at least one.
    pub(crate) fn push(&mut self, name: String, values: Vec<f64>) {
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
                (0..self.boxes.len()).into_segmented(),
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
        let boxes = self.boxes.iter().enumerate().map(|(k, (_, values))| {
            Boxplot::new_vertical(SegmentValue::CenterOf(k), &Quartiles::new(values))
                .width(28)
                .style(blue.stroke_width(2))
        });
        chart.draw_series(boxes)?;
        let dots = self.boxes.iter().enumerate().flat_map(|(k, (_, values))| {
            let at = move |v: &f64| (SegmentValue::CenterOf(k), *v as f32);
            let dot = move |v| Circle::new(at(v), 2, blue.mix(0.5).filled());
            values.iter().map(dot)
        });
        chart.draw_series(dots)?;
        root.present()?;
        println!("{}", file.display());
        Ok(())
    }
}
