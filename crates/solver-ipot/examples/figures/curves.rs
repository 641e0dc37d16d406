//! Curves over two logarithmic axes.

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::common::Outcome;

/// Colours that are told apart on white, also in grey.
pub(crate) const COLOURS: [RGBColor; 5] = [
    RGBColor(31, 78, 140),
    RGBColor(214, 96, 30),
    RGBColor(46, 139, 87),
    RGBColor(150, 50, 120),
    RGBColor(90, 90, 90),
];

/// A curve with its name.
pub(crate) struct Curve {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

/// Powers of ten, and the 2 and 5 between them; the others have a line and no name.
fn tick(v: &f64) -> String {
    let exponent = (v.log10() + 1e-9).floor();
    match (v / 10_f64.powf(exponent)).round() as u32 {
        1 => format!("1e{exponent}"),
        leading @ (2 | 5) => format!("{leading}e{exponent}"),
        _ => String::new(),
    }
}

/// Curves over two logarithmic axes.
pub(crate) fn log_log(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    title: &str,
    axes: [&str; 2],
    x: std::ops::Range<f64>,
    y: std::ops::Range<f64>,
    curves: &[Curve],
) -> Outcome {
    let x_decades = (x.end / x.start).log10();
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 17))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(64)
        .build_cartesian_2d(x.log_scale(), y.clone().log_scale())?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_labels(if x_decades < 2.0 { 4 } else { 10 })
        .x_desc(axes[0])
        .y_desc(axes[1])
        .x_label_formatter(&tick)
        .y_label_formatter(&tick)
        .draw()?;
    for (k, curve) in curves.iter().enumerate() {
        let colour = COLOURS[k % COLOURS.len()];
        let points = curve.points.iter().map(|&(x, v)| (x, v.max(y.start)));
        chart
            .draw_series(LineSeries::new(points.clone(), colour.stroke_width(2)))?
            .label(&curve.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        chart.draw_series(points.map(|p| Circle::new(p, 2, colour.filled())))?;
    }
    // In the corner that the curves leave free.
    let falls = |curve: &Curve| match (curve.points.first(), curve.points.last()) {
        (Some(first), Some(last)) => last.1 < 0.1 * first.1,
        _ => false,
    };
    let corner = if !curves.iter().any(falls) {
        SeriesLabelPosition::UpperLeft
    } else {
        SeriesLabelPosition::LowerLeft
    };
    chart
        .configure_series_labels()
        .position(corner)
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.25))
        .draw()?;
    Ok(())
}
