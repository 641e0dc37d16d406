//! The ε sweep: bias, certified gap and time against ε, and the table behind them.

use std::fmt::Write as _;

use super::charts::{ROUNDING, tip};
use super::svg::{Canvas, Frame, LogAxis, escape, grid, power_of_ten, time_tick};
use super::{Palette, tables};
use crate::report::{Figures, Outcome, ProblemReport, Report, Row};

/// The same size on all screens: three stand side by side, or below one another.
const WIDTH: f64 = 350.0;
const HEIGHT: f64 = 270.0;

/// What is drawn against ε.
struct Measure {
    title: &'static str,
    value: fn(&Figures) -> Option<f64>,
    tick: fn(i32) -> String,
    axis: fn(&mut dyn Iterator<Item = f64>) -> Option<LogAxis>,
}

fn relative_tick(k: i32) -> String {
    if k == -16 {
        "exact".to_owned()
    } else {
        power_of_ten(k)
    }
}

/// The same for all relative errors, so that charts can be compared.
fn relative_axis(_: &mut dyn Iterator<Item = f64>) -> Option<LogAxis> {
    Some(LogAxis::between(-16, 1))
}

const MEASURES: [Measure; 3] = [
    Measure {
        title: "bias of the cost",
        value: |f| Some(f.error?.abs().max(ROUNDING)),
        tick: relative_tick,
        axis: relative_axis,
    },
    Measure {
        title: "certified gap",
        value: |f| Some(f.gap?.abs().max(ROUNDING)),
        tick: relative_tick,
        axis: relative_axis,
    },
    Measure {
        title: "time of a solve",
        value: |f| Some(f.seconds),
        tick: time_tick,
        axis: |seconds| LogAxis::around(seconds, 2),
    },
];

/// The section, if the report has a sweep.
pub(super) fn section(html: &mut String, report: &Report, palette: &Palette) {
    let swept = || report.problems.iter().filter(|p| !p.sweep.is_empty());
    if swept().next().is_none() {
        return;
    }
    html.push_str(r#"<section id="sweep"><h2>What ε costs, and what it buys</h2><p class="lead">ε runs across, relative to the largest cost. A smaller ε means less bias, and for plain iterations more of them, until a kernel underflows. Dashed lines are exact backends, which have no ε. A hollow mark stopped before its tolerance; a cross at the top is a refusal.</p>"#);
    for problem in swept() {
        let _ = write!(
            html,
            r##"<article id="sweep-{0}"><h3><a href="#{0}">{1}</a></h3><p class="legend">"##,
            escape(&problem.name),
            escape(&problem.title)
        );
        let exact = problem.beside_sweep().map(|row| row.backend.as_str());
        for name in problem.swept().into_iter().chain(exact) {
            let slot = palette.slot(name);
            let _ = write!(
                html,
                r#"<span><i class="dot c{slot}"></i>{}</span>"#,
                escape(name)
            );
        }
        html.push_str(r#"</p><div class="trio">"#);
        for measure in &MEASURES {
            html.push_str(&chart(problem, measure, palette).unwrap_or_default());
        }
        let rows = problem.sweep.iter().map(|point| &point.row);
        let _ = write!(
            html,
            "</div><details><summary>All figures of the sweep</summary>{}</details></article>",
            tables::of_rows(rows, palette)
        );
    }
    html.push_str("</section>");
}

fn chart(problem: &ProblemReport, measure: &Measure, palette: &Palette) -> Option<String> {
    let regs = || problem.sweep.iter().filter_map(|point| point.reg);
    let figures = problem.sweep.iter().filter_map(|p| p.row.figures());
    let y = (measure.axis)(&mut figures.filter_map(measure.value))?;
    let (least, most) = (
        regs().fold(f64::INFINITY, f64::min),
        regs().fold(0.0, f64::max),
    );
    let x = LogAxis::between(
        least.log10().floor() as i32,
        // At least a decade.
        (most.log10().ceil() as i32).max(least.log10().floor() as i32 + 1),
    );
    let mut canvas = Canvas::new(WIDTH, HEIGHT);
    let frame = Frame {
        left: 52.0,
        top: 22.0,
        right: WIDTH - 14.0,
        bottom: HEIGHT - 36.0,
    };
    let (x, y) = grid(&mut canvas, frame, x, y, power_of_ten, measure.tick);
    canvas.text("title", "start", (4.0, 12.0), measure.title);
    canvas.text("title", "end", (frame.right, HEIGHT - 4.0), "ε / max C →");
    for row in problem.beside_sweep() {
        level(&mut canvas, frame, y, row, measure, palette);
    }
    // Curves may coincide: the first lies above the others.
    for (k, name) in problem.swept().into_iter().enumerate().rev() {
        let slot = palette.slot(name);
        let points = || {
            let own = problem.sweep.iter().filter(move |p| p.row.backend == name);
            own.filter_map(|p| Some((x.at(p.reg?), &p.row)))
        };
        let mut path: Vec<(f64, f64)> = points()
            .filter_map(|(at, row)| Some((at, y.at((measure.value)(row.figures()?)?))))
            .collect();
        path.sort_by(|p, q| p.0.total_cmp(&q.0));
        canvas.polyline(&format!("series c{slot}"), &path);
        for (at, row) in points() {
            let label = row.label();
            match &row.outcome {
                Outcome::Solved(figures) => {
                    if let Some(value) = (measure.value)(figures) {
                        let tip = tip(&label, figures);
                        canvas.mark(slot, !figures.converged, (at, y.at(value)), &tip);
                    }
                }
                Outcome::Refused { message, .. } | Outcome::Skipped { message } => {
                    let height = frame.top + 9.0 + 13.0 * k as f64;
                    canvas.cross(slot, (at, height), &format!("{label}\n{message}"));
                }
            }
        }
    }
    let about = format!("{}: {} against ε", problem.title, measure.title);
    Some(canvas.finish("chart", &about))
}

/// An exact backend: the same at every ε.
fn level(
    canvas: &mut Canvas,
    frame: Frame,
    y: LogAxis,
    row: &Row,
    measure: &Measure,
    palette: &Palette,
) {
    let Some(figures) = row.figures() else {
        return;
    };
    let Some(value) = (measure.value)(figures) else {
        return;
    };
    let slot = palette.slot(&row.backend);
    let at = y.at(value);
    canvas.line(
        &format!("level c{slot}"),
        (frame.left, at),
        (frame.right, at),
    );
    let tip = tip(&row.label(), figures);
    canvas.mark(slot, !figures.converged, (frame.right, at), &tip);
}
