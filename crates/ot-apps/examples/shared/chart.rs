//! Line charts of the examples: a method has one colour in all of them.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::prelude::*;

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// The colours of methods by their names, in every chart. They stay apart in grey, too.
const METHODS: [(&[&str], RGBColor); 6] = [
    (&["truth"], BLACK),
    (&["mean squared error"], RGBColor(31, 78, 140)),
    (&["KL"], RGBColor(214, 96, 30)),
    (
        &["W", "W₁ (EMD)", "EMD", "Wasserstein"],
        RGBColor(46, 139, 87),
    ),
    (&["EMD²", "EMD², chain"], RGBColor(180, 30, 60)),
    // With any part of KL.
    (&["W + ", "W₁ + ", "EMD + "], RGBColor(130, 60, 150)),
];

/// The colours of lines that are no method, in their order.
const VALUES: [RGBColor; 10] = [
    RGBColor(20, 50, 95),
    RGBColor(60, 180, 190),
    RGBColor(190, 160, 20),
    RGBColor(230, 120, 170),
    RGBColor(110, 110, 110),
    RGBColor(100, 70, 40),
    RGBColor(31, 120, 200),
    RGBColor(150, 190, 90),
    RGBColor(200, 60, 20),
    RGBColor(160, 130, 220),
];

fn colour(name: &str, place: usize) -> RGBColor {
    let name = name.trim_end_matches(REDUCED);
    let is = |known: &&str| *known == name || known.ends_with(' ') && name.starts_with(known);
    let method = METHODS.iter().find(|(names, _)| names.iter().any(is));
    method.map_or(VALUES[place % VALUES.len()], |(_, colour)| *colour)
}

/// What ends the name of a method on other data, and makes its line a dashed one.
const REDUCED: &str = ", reduced";

/// x, y and the error of y.
type Point = (f64, f64, f64);

/// A line with a name.
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) points: Vec<Point>,
}

/// A chart of some lines; a single line has no legend.
pub(crate) struct Panel<'a> {
    pub(crate) title: &'a str,
    pub(crate) x: &'a str,
    pub(crate) y: &'a str,
    /// Equal ratios along x are equally far, and there is a tick at each of the points.
    pub(crate) log: bool,
    /// Where the y axis begins, or somewhat below the least value.
    pub(crate) from: Option<f64>,
    pub(crate) lines: &'a [Line],
    pub(crate) legend: SeriesLabelPosition,
}

/// An axis with ticks where they are wanted.
struct Ticked {
    range: Range<f64>,
    ticks: Vec<f64>,
}

impl Ranged for Ticked {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let share = (value - self.range.start) / (self.range.end - self.range.start);
        let length = f64::from(limit.1 - limit.0);
        limit.0 + (share * length).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() {
            Vec::new()
        } else {
            self.ticks.clone()
        }
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

/// Some five to ten round numbers from `low` to `high`.
fn round(low: f64, high: f64) -> Vec<f64> {
    let rough = (high - low).max(1e-9) / 8.0;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|s| s * power);
    let step = step.into_iter().find(|s| *s >= rough).unwrap_or(rough);
    let (first, last) = ((low / step).ceil() as i64, (high / step).floor() as i64);
    (first..=last).map(|k| k as f64 * step).collect()
}

/// A number without zeros that say nothing.
fn short(value: f64) -> String {
    let text = format!("{value:.6}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0" } else { text }.to_owned()
}

impl Panel<'_> {
    pub(crate) fn draw(&self, area: &DrawingArea<SVGBackend<'_>, Shift>) -> Outcome {
        let log = self.log;
        let place = |x: f64| if log { x.log10() } else { x };
        let all = || self.lines.iter().flat_map(|line| &line.points);
        let ends = |values: &dyn Fn(&Point) -> [f64; 2]| {
            all()
                .flat_map(values)
                .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
                    (low.min(v), high.max(v))
                })
        };
        let (left, right) = ends(&|p| [place(p.0); 2]);
        let (least, most) = ends(&|p| [p.1 - p.2, p.1 + p.2]);
        let (side, room) = (
            0.04 * (right - left).max(1e-9),
            0.06 * (most - least).max(1e-9),
        );
        let (bottom, top) = (self.from.unwrap_or(least - room), most + room);
        let mut ticks = round(left, right);
        if log {
            ticks = all().map(|p| place(p.0)).collect();
            ticks.sort_by(f64::total_cmp);
            ticks.dedup();
        }
        let x_axis = Ticked {
            range: left - side..right + side,
            ticks,
        };
        let y_axis = Ticked {
            range: bottom..top,
            ticks: round(bottom, top),
        };
        let mut chart = ChartBuilder::on(area)
            .caption(self.title, ("sans-serif", 17))
            .margin(12)
            .x_label_area_size(42)
            .y_label_area_size(66)
            .build_cartesian_2d(x_axis, y_axis)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .x_desc(self.x)
            .y_desc(self.y)
            .y_label_formatter(&|y| short(*y))
            .x_label_formatter(&|x| short(if log { 10_f64.powf(*x) } else { *x }))
            .draw()?;
        for (k, line) in self.lines.iter().enumerate() {
            let dashed = line.name.ends_with(REDUCED);
            let style = colour(&line.name, k).stroke_width(2);
            let path = line.points.iter().map(|p| (place(p.0), p.1));
            let drawn = if dashed {
                let dashes = DashedLineSeries::new(path, 6, 4, style);
                chart.draw_series(dashes)?
            } else {
                chart.draw_series(LineSeries::new(path, style))?
            };
            let gap = if dashed { 7 } else { 18 };
            drawn.label(&line.name).legend(move |place| {
                EmptyElement::at(place)
                    + PathElement::new([(0, 0), (gap, 0)], style)
                    + PathElement::new([(11, 0), (18, 0)], style)
            });
            let half = 0.006 * (right - left);
            let errors = line
                .points
                .iter()
                .filter(|p| p.2 > 0.0)
                .flat_map(|&(x, y, e)| {
                    let x = place(x);
                    let cap = |y| PathElement::new([(x - half, y), (x + half, y)], style);
                    [
                        PathElement::new([(x, y - e), (x, y + e)], style),
                        cap(y - e),
                        cap(y + e),
                    ]
                });
            chart.draw_series(errors)?;
        }
        if self.lines.len() > 1 {
            chart
                .configure_series_labels()
                .position(self.legend.clone())
                .border_style(BLACK.mix(0.3))
                .background_style(WHITE.mix(0.9))
                .draw()?;
        }
        Ok(())
    }
}
