//! Transport plans drawn as images: cells darker the more mass they carry, marginals along the edges.

use std::fmt::Write as _;

use super::svg::Canvas;
use crate::picture::{DrawnPlan, PlanPair};

/// Opacities that are told apart; one path each keeps a drawing of thousands of cells small.
const LEVELS: usize = 14;
const SIDE: f64 = 300.0;
const EDGE: f64 = 34.0;

/// All plans of a problem, side by side.
pub(crate) fn figures(pair: &PlanPair) -> String {
    let mut html = String::new();
    for plan in &pair.plans {
        let _ = write!(
            html,
            r#"<figure class="plan">{}<figcaption><b>{}</b> {} cells carry mass</figcaption></figure>"#,
            if pair.colours.is_some() {
                ribbons(pair, plan)
            } else {
                matrix(pair, plan)
            },
            super::svg::escape(&plan.label),
            plan.cells,
        );
    }
    html
}

/// Sources down, targets across.
fn matrix(pair: &PlanPair, plan: &DrawnPlan) -> String {
    let [a, b] = &pair.marginals;
    let (n, m) = (a.len(), b.len());
    let mut canvas = Canvas::new(SIDE + EDGE + 4.0, SIDE + EDGE + 4.0);
    let (cell_w, cell_h) = (SIDE / m as f64, SIDE / n as f64);
    canvas.rect("plan-ground", "", (EDGE, EDGE), (SIDE, SIDE));
    let tallest = |w: &[f64]| w.iter().copied().fold(0.0, f64::max);
    for (i, w) in a.iter().enumerate() {
        let length = (EDGE - 6.0) * w / tallest(a);
        let at = (EDGE - 3.0 - length, EDGE + i as f64 * cell_h);
        canvas.rect("marginal", "", at, (length, (cell_h - 0.6).max(0.5)));
    }
    for (j, w) in b.iter().enumerate() {
        let length = (EDGE - 6.0) * w / tallest(b);
        let at = (EDGE + j as f64 * cell_w, EDGE - 3.0 - length);
        canvas.rect("marginal", "", at, ((cell_w - 0.6).max(0.5), length));
    }
    let largest = plan.entries.iter().map(|e| e.2).fold(0.0, f64::max);
    let mut paths = vec![String::new(); LEVELS];
    for &(i, j, p) in &plan.entries {
        let level = ((p / largest).sqrt() * LEVELS as f64).ceil() as usize;
        let path = &mut paths[level.clamp(1, LEVELS) - 1];
        let (x, y) = (EDGE + j as f64 * cell_w, EDGE + i as f64 * cell_h);
        let _ = write!(path, "M{x:.1} {y:.1}h{cell_w:.1}v{cell_h:.1}h-{cell_w:.1}z");
    }
    for (level, path) in paths.iter().enumerate().filter(|(_, p)| !p.is_empty()) {
        let opacity = (level + 1) as f64 / LEVELS as f64;
        canvas.path("cells", &format!("opacity:{opacity:.2}"), path);
    }
    canvas.finish("chart", &format!("the plan of {}", plan.label))
}

/// Colours left and right, a ribbon for each cell of the plan, as thick as its mass.
fn ribbons(pair: &PlanPair, plan: &DrawnPlan) -> String {
    let Some([x, y]) = &pair.colours else {
        return String::new();
    };
    let [a, b] = &pair.marginals;
    let (width, height, bar) = (SIDE + EDGE, SIDE + EDGE, 22.0);
    let mut canvas = Canvas::new(width, height);
    let rgb = |c: &[f64; 3]| {
        let byte = |v: f64| (255.0 * v.clamp(0.0, 1.0)).round() as u8;
        format!("rgb({},{},{})", byte(c[0]), byte(c[1]), byte(c[2]))
    };
    // Cumulated masses: where each colour begins, and how far its ribbons have got.
    let starts = |w: &[f64]| {
        let mut at = 0.0;
        w.iter()
            .map(|w| {
                let start = at;
                at += w * height;
                start
            })
            .collect::<Vec<f64>>()
    };
    let (mut left, mut right) = (starts(a), starts(b));
    for (side, (colours, (weights, starts))) in
        [(x, (a, &left)), (y, (b, &right))].into_iter().enumerate()
    {
        let at = if side == 0 { 0.0 } else { width - bar };
        for ((c, w), start) in colours.iter().zip(weights).zip(starts.iter()) {
            let style = format!("fill:{}", rgb(c));
            canvas.rect("", &style, (at, *start), (bar, w * height));
        }
    }
    let mut entries = plan.entries.clone();
    entries.sort_by_key(|e| (e.0, e.1));
    let (from, to) = (bar + 2.0, width - bar - 2.0);
    let bend = 0.45 * (to - from);
    for (i, j, p) in entries {
        let thick = p * height;
        let (top, end) = (left[i], right[j]);
        left[i] += thick;
        right[j] += thick;
        let (leave, arrive) = (from + bend, to - bend);
        let (low_top, low_end) = (top + thick, end + thick);
        let d = format!(
            "M{from:.1} {top:.2}C{leave:.1} {top:.2} {arrive:.1} {end:.2} {to:.1} {end:.2}V{low_end:.2}\
             C{arrive:.1} {low_end:.2} {leave:.1} {low_top:.2} {from:.1} {low_top:.2}z"
        );
        canvas.path("ribbon", &format!("fill:{}", rgb(&x[i])), &d);
    }
    canvas.finish("chart", &format!("the plan of {} as ribbons", plan.label))
}
