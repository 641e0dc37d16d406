//! The page's section on applications.

use std::fmt::Write as _;

use super::svg::escape;
use super::{Palette, pictures, tables};
use crate::report::{ApplicationReport, Report};

const APPLICATIONS: &str = r#"<section id="applications"><h2>What applications make of them</h2><p class="lead">The same applications over every backend: what a backend's accuracy and speed are worth in use. Entropic ones at one ε for what tells classes and a smaller one for what makes pictures. A model or an image that a dual bound rules out is not solved for.</p>"#;
const CONTINUOUS: &str = r#"<section id="continuous"><h2>What can only be drawn from</h2><p class="lead">A training of push-forward networks beside exact plans between samples. The value of the distributions themselves is known; times are the seconds until an estimate comes within 5 % and 1 % of it, and stays there, and of exact plans those of a draw and a solve where all draws are as near.</p>"#;

/// Applications and trainings; nothing where the report has none.
pub(super) fn sections(html: &mut String, report: &Report, palette: &Palette) {
    section(html, APPLICATIONS, &report.applications, palette);
    section(html, CONTINUOUS, &report.continuous, palette);
}

fn section(
    html: &mut String,
    heading: &str,
    applications: &[ApplicationReport],
    palette: &Palette,
) {
    if applications.is_empty() {
        return;
    }
    html.push_str(heading);
    for application in applications {
        let _ = write!(
            html,
            r#"<article id="{}"><h3>{}</h3><p class="about">{}</p>{}{}</article>"#,
            escape(&application.name),
            escape(&application.title),
            escape(&application.description),
            made(application),
            tables::of_application(application, palette)
        );
    }
    html.push_str("</section>");
}

/// What an application starts from, and what backends make of it.
fn made(application: &ApplicationReport) -> String {
    let own = |(caption, pixels): &(String, _)| pictures::pixels(pixels, caption);
    let inputs: String = application.inputs.iter().map(own).collect();
    let rows = application.rows.iter();
    let pictures =
        rows.filter_map(|row| Some(pictures::pixels(row.picture.as_ref()?, &row.label())));
    let outputs: String = pictures.collect();
    if outputs.is_empty() {
        return String::new();
    }
    format!(r#"<div class="gallery">{inputs}</div><div class="gallery made">{outputs}</div>"#)
}
