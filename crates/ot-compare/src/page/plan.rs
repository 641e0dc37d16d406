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
            matrix(pair, plan),
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
    let colour = |side: usize, k: usize| {
        pair.colours.as_ref().map(|c| {
            let byte = |v: f64| (255.0 * v.clamp(0.0, 1.0)).round() as u8;
            let [r, g, b] = c[side][k];
            format!("fill:rgb({},{},{})", byte(r), byte(g), byte(b))
        })
    };
    let gap = if pair.colours.is_some() { 0.0 } else { 0.6 };
    // Colours as swatches, other weights as bars.
    let length = |style: &Option<String>, share: f64| {
        (EDGE - 6.0) * if style.is_some() { 1.0 } else { share }
    };
    for (i, w) in a.iter().enumerate() {
        let style = colour(0, i);
        let length = length(&style, w / tallest(a));
        let at = (EDGE - 3.0 - length, EDGE + i as f64 * cell_h);
        let size = (length, (cell_h - gap).max(0.5));
        canvas.rect("marginal", &style.unwrap_or_default(), at, size);
    }
    for (j, w) in b.iter().enumerate() {
        let style = colour(1, j);
        let length = length(&style, w / tallest(b));
        let at = (EDGE + j as f64 * cell_w, EDGE - 3.0 - length);
        let size = ((cell_w - gap).max(0.5), length);
        canvas.rect("marginal", &style.unwrap_or_default(), at, size);
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
