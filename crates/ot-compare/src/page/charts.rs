//! The two plots: accuracy against time for one problem, time against n for a series.

use super::svg::{Canvas, Frame, LogAxis, grid, power_of_ten, time_tick};
use super::{Palette, both_widths};
use crate::report::{Figures, ProblemReport, growth, labels, times};
use crate::show;

/// Between two numbers below an axis.
const TICKS_APART: f64 = 46.0;
/// Below this relative error two doubles can't be told apart.
pub(super) const ROUNDING: f64 = 1e-16;

/// Time across, relative error up. The mark stands at the true error; its whisker reaches up to the certified gap,
/// which is all that one knows without the optimum.
pub(crate) fn accuracy(problem: &ProblemReport, palette: &Palette) -> Option<String> {
    let solved: Vec<(String, usize, &Figures)> = problem
        .rows
        .iter()
        .filter_map(|r| Some((r.label(), palette.slot(&r.backend), r.figures()?)))
        .collect();
    let x = LogAxis::around(solved.iter().map(|s| s.2.seconds), 2)?;
    let about = format!("{}: relative error against time", problem.title);
    Some(both_widths(700.0, |width, class| {
        let height = if width > 500.0 { 310.0 } else { 290.0 };
        let mut canvas = Canvas::new(width, height);
        let frame = Frame {
            left: 46.0,
            top: 22.0,
            right: width - 26.0,
            bottom: height - 36.0,
        };
        let y_tick = |k: i32| {
            if k == -16 {
                "exact".to_owned()
            } else {
                power_of_ten(k)
            }
        };
        let y = LogAxis::between(-16, 1);
        let (x, y) = grid(&mut canvas, frame, x, y, time_tick, y_tick);
        canvas.text("title", "start", (4.0, 12.0), "relative error");
        canvas.text(
            "title",
            "end",
            (frame.right, height - 4.0),
            "median time of a solve →",
        );
        for (label, slot, figures) in &solved {
            let at = x.at(figures.seconds);
            let error = figures.error.map_or(ROUNDING, |e| e.abs().max(ROUNDING));
            let gap = figures.gap.map_or(error, |g| g.abs().max(ROUNDING));
            let (foot, head) = (y.at(error.min(gap)), y.at(gap));
            let whisker = format!("whisker c{slot}");
            if foot - head > 1.0 {
                canvas.line(&whisker, (at, foot), (at, head));
                canvas.line(&whisker, (at - 4.0, head), (at + 4.0, head));
            }
            canvas.mark(
                *slot,
                !figures.converged,
                (at, y.at(error)),
                &tip(label, figures),
            );
        }
        for (label, _, figures) in &solved {
            let error = figures.error.map_or(ROUNDING, |e| e.abs().max(ROUNDING));
            let at = (x.at(figures.seconds), y.at(error));
            canvas.label("label", at, label, frame);
        }
        canvas.finish(class, &about)
    }))
}

pub(super) fn tip(label: &str, figures: &Figures) -> String {
    let known = |v: Option<f64>| v.map_or("not known".to_owned(), show::relative);
    let bracket = match (figures.lower, figures.upper) {
        (Some(lower), Some(upper)) => {
            format!("[{}, {}]", show::value(lower), show::value(upper))
        }
        _ => "none".to_owned(),
    };
    let phases: String = figures
        .phases
        .iter()
        .map(|phase| format!("\n{} {}", phase.name, phase.show()))
        .collect();
    format!(
        "{label}\ncost {}\nerror {}\ncertified {bracket}\ngap {}\ntime {} ({} – {})\n{}{}",
        show::value(figures.transport_cost),
        known(figures.error),
        known(figures.gap),
        show::seconds(figures.seconds),
        show::seconds(figures.seconds_min),
        show::seconds(figures.seconds_max),
        figures.termination,
        figures.iterations.map_or(String::new(), |k| format!(
            ", {} iterations",
            show::count(k)
        )),
    ) + &phases
}

/// n across, time up, one line for each backend and setting, labelled at its end with the exponent by which its time grows.
pub(crate) fn scaling(title: &str, points: &[&ProblemReport], palette: &Palette) -> Option<String> {
    let lines: Vec<(String, String, usize)> = labels(points)
        .into_iter()
        .map(|(label, backend)| {
            let exponent = growth(&times(points, &label));
            let said = exponent.map_or_else(String::new, |k| format!(" n^{k:.2}"));
            (label.clone() + &said, label, palette.slot(backend))
        })
        .collect();
    let figures = |p: &ProblemReport, label: &str| {
        let row = p.rows.iter().find(|r| r.label() == label)?;
        row.figures().cloned()
    };
    let rows = points.iter().flat_map(|p| &p.rows);
    let y = LogAxis::around(rows.filter_map(|r| Some(r.figures()?.seconds)), 2)?;
    let sizes: Vec<f64> = points.iter().map(|p| p.n as f64).collect();
    let (low, high) = (
        sizes.iter().copied().fold(f64::INFINITY, f64::min),
        sizes.iter().copied().fold(0.0, f64::max),
    );
    let about = format!("{title}: time against n");
    Some(both_widths(480.0, |width, class| {
        let height = 300.0;
        let mut canvas = Canvas::new(width, height);
        let longest = lines.iter().map(|l| l.0.chars().count()).max().unwrap_or(0);
        let frame = Frame {
            left: 54.0,
            top: 22.0,
            right: width - 16.0 - longest as f64 * 6.1,
            bottom: height - 36.0,
        };
        let y = y.over(frame.bottom, frame.top);
        let across = |n: f64| {
            let share = if high > low {
                (n / low).ln() / (high / low).ln()
            } else {
                0.5
            };
            frame.left + 10.0 + share * (frame.right - frame.left - 20.0)
        };
        for k in y.decades(8) {
            let at = y.at(10f64.powi(k));
            canvas.line("grid", (frame.left, at), (frame.right, at));
            canvas.text("tick", "end", (frame.left - 7.0, at + 3.8), &time_tick(k));
        }
        let mut free = f64::NEG_INFINITY;
        for &n in &sizes {
            let at = across(n);
            canvas.line("grid", (at, frame.top), (at, frame.bottom));
            if at < free {
                continue;
            }
            free = at + TICKS_APART;
            canvas.text(
                "tick",
                "middle",
                (at, frame.bottom + 16.0),
                &show::count(n as u64),
            );
        }
        canvas.line(
            "axis",
            (frame.left, frame.bottom),
            (frame.right, frame.bottom),
        );
        canvas.text("title", "start", (4.0, 12.0), "median time of a solve");
        canvas.text(
            "title",
            "end",
            (frame.right, height - 4.0),
            "points a side →",
        );
        guide(&mut canvas, frame, &across, y, (low, high));
        let mut ends: Vec<(String, f64, f64)> = Vec::new();
        for (said, label, slot) in &lines {
            let line: Vec<(f64, f64, Figures, usize)> = points
                .iter()
                .filter_map(|p| {
                    let f = figures(p, label)?;
                    Some((across(p.n as f64), y.at(f.seconds), f, p.n))
                })
                .collect();
            let path: Vec<(f64, f64)> = line.iter().map(|p| (p.0, p.1)).collect();
            canvas.polyline(&format!("series c{slot}"), &path);
            for (x, y, f, n) in &line {
                let tip = format!("n = {n}\n{}", tip(label, f));
                canvas.mark(*slot, !f.converged, (*x, *y), &tip);
            }
            if let Some((x, y, ..)) = line.last() {
                ends.push((said.clone(), *x, *y));
            }
        }
        spread(&mut ends, frame);
        for (label, x, y) in &ends {
            canvas.text("label", "start", (x + 12.0, y + 4.0), label);
        }
        canvas.finish(class, &about)
    }))
}

/// What a cost proportional to n² would look like, as a slope to compare with.
fn guide(
    canvas: &mut Canvas,
    frame: Frame,
    across: &impl Fn(f64) -> f64,
    y: LogAxis,
    (low, high): (f64, f64),
) {
    if high <= low {
        return;
    }
    let start = 10f64.powi(y.from) * 1.6;
    // It ends where it would leave the frame.
    let most = (10f64.powi(y.to) / start).sqrt() * low;
    let end = high.min(most);
    let from = (across(low), y.at(start));
    let to = (across(end), y.at(start * (end / low).powi(2)));
    canvas.line("guide", from, to);
    let at = (0.5 * (from.0 + to.0) + 8.0, 0.5 * (from.1 + to.1) + 12.0);
    if at.0 < frame.right {
        canvas.text("tick", "start", at, "∝ n²");
    }
}

/// Moves the labels at the ends of lines apart, keeping their order.
fn spread(ends: &mut [(String, f64, f64)], frame: Frame) {
    const APART: f64 = 14.0;
    ends.sort_by(|p, q| p.2.total_cmp(&q.2));
    for k in 1..ends.len() {
        ends[k].2 = ends[k].2.max(ends[k - 1].2 + APART);
    }
    let mut limit = frame.bottom;
    for end in ends.iter_mut().rev() {
        end.2 = end.2.min(limit);
        limit = end.2 - APART;
    }
}
