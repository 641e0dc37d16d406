//! The page's section on applications.

use std::fmt::Write as _;

use super::svg::escape;
use super::{Palette, tables};
use crate::report::Report;

/// Nothing where the report has no applications.
pub(super) fn section(html: &mut String, report: &Report, palette: &Palette) {
    if report.applications.is_empty() {
        return;
    }
    html.push_str(r#"<section id="applications"><h2>What applications make of them</h2><p class="lead">The same classifiers over every backend: what a backend's accuracy and speed are worth in use. Entropic ones at one ε. A model or an image that a dual bound rules out is not solved for.</p>"#);
    for application in &report.applications {
        let _ = write!(
            html,
            r#"<article id="{}"><h3>{}</h3><p class="about">{}</p>{}</article>"#,
            escape(&application.name),
            escape(&application.title),
            escape(&application.description),
            tables::of_application(application, palette)
        );
    }
    html.push_str("</section>");
}
