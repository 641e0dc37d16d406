//! Line charts of the examples.

use plotters::coord::Shift;
use plotters::prelude::*;

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// Colours that stay apart in grey, too.
const COLOURS: [RGBColor; 10] = [
    RGBColor(31, 78, 140),
    RGBColor(214, 96, 30),
    RGBColor(46, 139, 87),
    RGBColor(130, 60, 150),
    RGBColor(180, 30, 60),
    RGBColor(110, 110, 110),
    RGBColor(60, 180, 190),
    RGBColor(190, 160, 20),
    RGBColor(230, 120, 170),
    RGBColor(100, 70, 40),
];

/// x, y and the error of y.
type Point = (f64, f64, f64);

/// A line with a name.
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) points: Vec<Point>,
}

/// A chart of some lines, in the order of the colours.
pub(crate) struct Panel<'a> {
    pub(crate) title: &'a str,
    pub(crate) x: &'a str,
    pub(crate) y: &'a str,
    /// Where the y axis begins, or somewhat below the least value.
    pub(crate) from: Option<f64>,
    pub(crate) lines: &'a [Line],
    pub(crate) legend: SeriesLabelPosition,
}

impl Panel<'_> {
    pub(crate) fn draw(&self, area: &DrawingArea<SVGBackend<'_>, Shift>) -> Outcome {
        let all = || self.lines.iter().flat_map(|line| &line.points);
        let ends = |values: &dyn Fn(&Point) -> [f64; 2]| {
            all()
                .flat_map(values)
                .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
                    (low.min(v), high.max(v))
                })
        };
        let (left, right) = ends(&|p| [p.0; 2]);
        let (least, most) = ends(&|p| [p.1 - p.2, p.1 + p.2]);
        let (side, room) = (
            0.04 * (right - left).max(1e-9),
            0.06 * (most - least).max(1e-9),
        );
        let bottom = self.from.unwrap_or(least - room);
        let mut chart = ChartBuilder::on(area)
            .caption(self.title, ("sans-serif", 17))
            .margin(12)
            .x_label_area_size(42)
            .y_label_area_size(58)
            .build_cartesian_2d(left - side..right + side, bottom..most + room)?;
        let digits = if most - bottom < 0.05 {
            4
        } else if most - bottom < 0.9 {
            2
        } else if most < 20.0 {
            1
        } else {
            0
        };
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .x_labels(8)
            .y_labels(7)
            .x_desc(self.x)
            .y_desc(self.y)
            .y_label_formatter(&|y| format!("{y:.digits$}"))
            .x_label_formatter(&|x| {
                let short = format!("{x:.2}");
                short.trim_end_matches('0').trim_end_matches('.').to_owned()
            })
            .draw()?;
        for (line, colour) in self.lines.iter().zip(COLOURS.iter().cycle()) {
            let style = colour.stroke_width(2);
            let path = line.points.iter().map(|p| (p.0, p.1));
            chart
                .draw_series(LineSeries::new(path, style))?
                .label(&line.name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
            let half = 0.006 * (right - left);
            let errors = line
                .points
                .iter()
                .filter(|p| p.2 > 0.0)
                .flat_map(|&(x, y, e)| {
                    let cap = |y| PathElement::new([(x - half, y), (x + half, y)], style);
                    [
                        PathElement::new([(x, y - e), (x, y + e)], style),
                        cap(y - e),
                        cap(y + e),
                    ]
                });
            chart.draw_series(errors)?;
        }
        chart
            .configure_series_labels()
            .position(self.legend.clone())
            .border_style(BLACK.mix(0.3))
            .background_style(WHITE.mix(0.9))
            .draw()?;
        Ok(())
    }
}
